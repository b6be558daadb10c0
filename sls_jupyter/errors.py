"""Every error this package raises on purpose, in one tree.

::

    SlsError
    ├── BadInput                 the caller's mistake: a wrong name, option, frame or file
    │   ├── UnknownName          no asset, run, request, persona or column of that name
    │   ├── UnsealableData       a frame or column that cannot be sealed without loss
    │   ├── CellRunning          a session takes one cell at a time, and one runs
    │   ├── SessionOver          the session has ended; another one has to be opened
    │   └── MalformedDocument    bytes that are not one of our documents, certificates or proofs
    ├── VerificationError        something was found that is not what was signed, sealed or logged
    │   ├── SignatureInvalid     a signature does not verify
    │   ├── DigestMismatch       bytes are not the bytes that were named
    │   ├── EvidenceRejected     attestation evidence failed a check (attestation/refusals.py has one for each)
    │   └── LogInconsistent      a log's checkpoint or proof contradicts what we know of it
    ├── Refused                  an authority said no
    │   ├── AccessDenied         the owner's policy denies; carries every reason and its fix
    │   ├── NotAuthorised        the caller's token or role does not allow this call
    │   └── KeyRefused           one of the nine checks of key release failed; carries its number
    ├── ApprovalPending          a person has to decide first; carries the requests that wait
    ├── RunFailed                the run ended without a result
    │   ├── ProgramFailed        the cell raised
    │   ├── LimitExceeded        a resource limit stopped it; carries the limit's name
    │   ├── OutputWithheld       the gate let nothing through that was asked for
    │   ├── RunCancelled         the requester stopped it
    │   ├── HostDied             its group vanished before its end; carries what the host saw
    │   └── RunLost              who drove it ended first, so nobody can tell how it would have ended
    └── Unavailable              a service, a disk or a device that is needed cannot be used
        ├── HostUnsuitable       no host meets every owner's conditions
        └── TooManyRequests      somebody asked too often; carries after how many seconds to try again

Each carries what was *found*, what was *expected* and a *hint* (what to do next), so a terminal, a
notebook and an HTTP problem document (RFC 9457) show the same three things. What another party reported keeps
saying whose words it is: a stranger's advice is never printed as ours.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sls_jupyter.printing import printable as printable  # at hand where errors are made

MAX_SAID = 600  # characters of one text in another party's report of an error
MAX_DATA_VALUES = 2_000  # of its data
MAX_DATA_DEPTH = 8


class SlsError(Exception):
    """Base of all errors of this package.

    Args:
        message: one sentence, without a trailing newline.
        found: what was there. Never a key and never sealed data.
        expected: what should have been there.
        hint: the next step for the reader.
        detail: JSON values a program may want (numbers, names, digests).
    """

    status: ClassVar[int] = 500
    """HTTP status of the problem document that carries this error."""

    def __init__(
        self,
        message: str,
        *,
        found: object = None,
        expected: object = None,
        hint: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.found = None if found is None else str(found)
        self.expected = None if expected is None else str(expected)
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})
        self.said_by = ""  # who reported this, if it was not this process

    @property
    def sentence(self) -> str:
        """The message in one line; another party's as what it is, its words."""
        return printable(f"{self.said_by} says: {self.message}" if self.said_by else self.message)

    @classmethod
    def code(cls) -> str:
        """The stable, hyphenated name of this class of error: ``KeyRefused`` is ``key-refused``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()

    def lines(self) -> list[str]:
        """The error as a person reads it: the sentence, found and expected, the next step. A line stays a line."""
        return [printable(line) for line in [f"{type(self).__name__}: {self.sentence}", *self._more()]]

    def _more(self) -> list[str]:
        """What follows the sentence."""
        pairs = [
            (name, text) for name, text in (("found", self.found), ("expected", self.expected)) if text is not None
        ]
        lines = ["  " + "; ".join(f"{name} {printable(text)}" for name, text in pairs)] if pairs else []
        return [*lines, *([f"  → {self._advised(self.hint)}"] if self.hint else [])]

    def _advised(self, advice: str) -> str:
        return f"{self.said_by} advises: {advice}" if self.said_by else advice

    def __str__(self) -> str:
        return "\n".join(self.lines())[len(type(self).__name__) + 2 :]

    def _render_traceback_(self, *_: object, **__: object) -> list[str]:
        """IPython's hook: show the sentence and the fix; ``%tb`` still has the whole stack."""
        return self.lines()


class BadInput(SlsError):
    status = 400


class UnknownName(BadInput):
    status = 404


class UnsealableData(BadInput):
    status = 422


class CellRunning(BadInput):
    status = 409


class SessionOver(BadInput):
    status = 409


class MalformedDocument(BadInput):
    status = 400


class VerificationError(SlsError):
    status = 422


class SignatureInvalid(VerificationError):
    pass


class DigestMismatch(VerificationError):
    pass


class EvidenceRejected(VerificationError):
    status = 403


class LogInconsistent(VerificationError):
    pass


class Refused(SlsError):
    status = 403


class AccessDenied(Refused):
    """The owner's policy denies; ``detail["reasons"]`` has every reason with its alias, text and fix."""

    def _more(self) -> list[str]:
        """Each reason with its own fix, one below the other."""
        reasons = self.detail.get("reasons")
        if not isinstance(reasons, list) or not all(isinstance(reason, dict) for reason in reasons):
            return super()._more()
        lines = []
        for reason in reasons:
            lines.append(f"  • {reason.get('alias', '')}: {reason.get('text', '')}")
            lines.append(f"    → {self._advised(str(reason.get('fix', '')))}")
        return lines


class NotAuthorised(Refused):
    status = 401


class KeyRefused(Refused):
    """One of the nine checks of key release failed; ``check`` is its number (1 to 9)."""

    def __init__(self, check: int, message: str, **kwargs: Any) -> None:
        detail = {**(kwargs.pop("detail", None) or {}), "check": check}
        super().__init__(message, detail=detail, **kwargs)

    @property
    def check(self) -> int:
        return int(self.detail["check"])


class ApprovalPending(SlsError):
    """A person has to decide; ``detail["request"]`` has the request's id, ``detail["compared"]`` what differs from an approved one."""

    status = 202

    def _more(self) -> list[str]:
        """What it says anyway, and below it what differs, a line each."""
        compared = self.detail.get("compared")
        if not isinstance(compared, list) or not compared:
            return super()._more()
        first, *rest = map(str, compared)
        return [*super()._more(), f"  {first}", *(f"  • {line}" for line in rest)]


class RunFailed(SlsError):
    status = 409


class ProgramFailed(RunFailed):
    pass


class LimitExceeded(RunFailed):
    pass


class OutputWithheld(RunFailed):
    pass


class RunCancelled(RunFailed):
    pass


class HostDied(RunFailed):
    """The group was gone before it told an end; ``detail["containers"]`` has what the host saw of each."""


class RunLost(RunFailed):
    pass


class Unavailable(SlsError):
    status = 503


class HostUnsuitable(Unavailable):
    pass


class TooManyRequests(Unavailable):
    """Asked too often; ``retry_after`` is after how many seconds it makes sense to try again."""

    status = 429

    @property
    def retry_after(self) -> int:
        seconds = self.detail.get("retry_after")
        return min(max(seconds, 1), 3600) if isinstance(seconds, int) and not isinstance(seconds, bool) else 60


def _tree(cls: type[SlsError]) -> dict[str, type[SlsError]]:
    found = {cls.code(): cls}
    for child in cls.__subclasses__():
        found |= _tree(child)
    return found


def to_problem(error: SlsError) -> dict[str, Any]:
    """The error as an ``application/problem+json`` object (RFC 9457, section 3)."""
    problem: dict[str, Any] = {
        "type": f"urn:sls-jupyter:problem:{error.code()}",
        "title": type(error).__name__,
        "status": error.status,
        "detail": error.message,
    }
    extensions = {"found": error.found, "expected": error.expected, "hint": error.hint or None}
    problem |= {name: value for name, value in extensions.items() if value is not None}
    families = [cls.code() for cls in type(error).__mro__[1:] if issubclass(cls, SlsError) and cls is not SlsError]
    if families:
        problem["families"] = families  # for a reader who does not know the class itself
    if error.detail:
        problem["data"] = error.detail
    return problem


def from_problem(problem: dict[str, Any], said_by: str = "the other side") -> SlsError:
    """The error that :func:`to_problem` described; an unknown type becomes a plain :class:`SlsError`.

    Every text of it is cut to :data:`MAX_SAID` characters and made one line, and it is printed as the words of
    whoever said it.

    Args:
        said_by: who reported it, as a person knows them: ``the authority at https://…``.
    """
    code = str(problem.get("type", "")).rpartition(":")[2]
    known, families = _tree(SlsError), problem.get("families")
    names = [code, *(families[:MAX_DATA_DEPTH] if isinstance(families, list) else [])]
    cls = next((known[name] for name in names if isinstance(name, str) and name in known), SlsError)
    data = _data(problem.get("data"))
    fields: dict[str, Any] = {
        **{name: None if problem.get(name) is None else _said(problem[name]) for name in ("found", "expected")},
        "hint": _said(problem.get("hint") or ""),
        "detail": data,
    }
    message = _said(problem.get("detail") or "It reported an error without a description.")
    check = data.get("check")
    number = check if isinstance(check, int) else 0
    error = KeyRefused(number, message, **fields) if cls is KeyRefused else cls(message, **fields)
    error.said_by = printable(said_by, MAX_SAID)
    return error


def _said(value: object) -> str:
    """Another party's text, bounded, in one line."""
    return printable(value if isinstance(value, str) else str(value)[: 2 * MAX_SAID], MAX_SAID)


def _data(found: object) -> dict[str, Any]:
    """Another party's JSON values: texts as :func:`_said` has them, and none at all if they are too many or too deep."""
    left = MAX_DATA_VALUES

    def clean(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DATA_DEPTH:
            raise OverflowError
        if isinstance(value, dict):
            return {_said(name): clean(one, depth + 1) for name, one in value.items()}
        if isinstance(value, list):
            return [clean(one, depth + 1) for one in value]
        return _said(value) if isinstance(value, str) else value

    try:
        return clean(found, 0) if isinstance(found, dict) else {}
    except OverflowError:
        return {"left_out": "more data than an error needs"}

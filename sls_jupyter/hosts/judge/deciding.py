"""The judge: a policy's bytes, questions in their order, and for each whether the utility VM would allow it.

It follows the framework, not the wishes of this package: what Azure admits is admitted here. What it cannot read it
refuses (:mod:`~sls_jupyter.hosts.judge.reading`), and what it cannot evaluate it denies. Its evidence is 278 recorded
sequences over policies of this package, of confcom and of others, put to Microsoft's own policy engine
(``tests/vectors/cce/judged``). It has not met a utility VM.

Not judged: whether what is asked is true. A root hash, a command or a user id in a question is the caller's word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hosts.judge.case import Allowed, Case
from sls_jupyter.hosts.judge.diagnosis import Difference, nearest
from sls_jupyter.hosts.judge.machine import Machine
from sls_jupyter.hosts.judge.reading import MAX_DEPTH, Module, Reference, read_module
from sls_jupyter.hosts.judge.rules import containers, devices, fragments, reasons
from sls_jupyter.hosts.judge.state import State
from sls_jupyter.hosts.judge.values import Conflict, Undefined, compare, same
from sls_jupyter.hosts.judge.versions import POINTS, Stated, version_of

MAX_ASKED = 100_000  # values in one question
NO_REASON = (
    "Security policy is either not valid or did not provide a reason for denial. "
    "Please check security policy or re-generate with tooling."
)
INVALID_POLICY = "Security policy is not valid. Please check security policy or re-generate with tooling."

_RULES = devices.RULES | containers.RULES | fragments.RULES
_REASONS = ("errors", "error_objects", "reason")
_TAKEN = ("policy", "framework", "api", "metadata")  # packages that no fragment may be


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the utility VM answers to one question."""

    point: str
    allowed: bool
    errors: tuple[str, ...] = ()  # the framework's texts, sorted; empty where the policy gives none
    message: str = ""  # said in place of texts
    problem: str = ""  # what was wrong with the policy itself
    env_list: tuple[str, ...] | None = None  # variables that the container is started with; None: as asked
    caps_list: Mapping[str, Any] | None = None
    allow_stdio_access: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of a denial, for :func:`~sls_jupyter.hosts.judge.words.explain`."""
        return self.errors or tuple(text for text in (self.problem, self.message) if text)[:1]


class Judge:
    """One utility VM under one policy, from its start on.

    Args:
        policy: the decoded bytes, whose SHA-256 is HOST_DATA. At most 1 MiB.
        machine: what the VM brings along.

    Raises:
        MalformedDocument: the policy is not data that can be read; says where.
    """

    def __init__(self, policy: bytes, *, machine: Machine | None = None) -> None:
        self._policy = _usable(read_module(policy))
        self._machine = machine or Machine()
        self._state = State()

    @property
    def state(self) -> State:
        """What has happened so far. To be looked at only."""
        return self._state

    def layers(self) -> list[str]:
        """The root hashes that may be mounted."""
        return [one for one in Stated(self._policy, self._state).layers() if isinstance(one, str)]

    def decide(self, point: str, asked: Mapping[str, Any], *, fragment: bytes | None = None) -> Verdict:
        """Answer one question, and remember what was allowed.

        Args:
            point: of the utility VM's questions, such as ``create_container``.
            asked: the question's input, an object of JSON.
            fragment: for the second ``load_fragment`` of a fragment, its text.

        Raises:
            MalformedDocument: ``asked`` is not JSON within bounds, or the fragment cannot be read.
        """
        _require_json(asked)
        case = Case(point, dict(asked), Stated(self._policy, self._state), self._machine, _read_fragment(fragment))
        try:
            return self._decided(case)
        except _Unusable as error:
            return Verdict(point, False, message=INVALID_POLICY, problem=str(error))
        except Conflict as error:
            return Verdict(point, False, message=INVALID_POLICY, problem=str(error))

    def compare(self, asked: Mapping[str, Any], name: str | None = None) -> list[Difference]:
        """In what a ``create_container`` differs from the policy's container of that name, or from the nearest one.

        Decides nothing and changes nothing; for the words of an error.

        Raises:
            MalformedDocument: ``asked`` is not JSON within bounds.
        """
        _require_json(asked)
        stated = Stated(self._policy, self._state)
        return nearest(Case("create_container", dict(asked), stated, self._machine), list(stated.named()), name)

    def _decided(self, case: Case) -> Verdict:
        bound = self._bound(case.point)
        if isinstance(bound, Reference):
            try:
                found = _RULES[bound.name](case)
                self._state.apply(found.changes)
            except Undefined:
                return self._denied(case)
            return _allowed(case, found, self._state)
        allowed = bound.get("allowed")
        if not isinstance(allowed, bool):
            raise _Unusable("unable to find value for key 'allowed'")
        if not allowed:
            return self._denied(case)
        return Verdict(case.point, True, allow_stdio_access=bound.get("allow_stdio_access") is True)

    def _bound(self, point: str) -> Any:
        """What answers: a rule of the framework, or an object that the policy states."""
        known = POINTS.get(point)
        if known is None:
            raise _Unusable(f"enforcement point rule {point} does not exist")
        version = version_of(self._policy, "api")
        if version is None:
            raise _Unusable("policy does not define api_version")
        try:
            expected = compare(version, known.introduced) >= 0
        except Undefined:
            raise _Unusable(f"enforcement point rule {point} does not exist") from None
        bound = self._policy.get(point)
        if isinstance(bound, Reference):
            return bound
        if bound is None and point not in self._policy.values:
            if expected:
                raise _Unusable(f"rule for {point} is missing from policy")
            return Reference(point) if known.allowed is None else {"allowed": known.allowed}
        if not isinstance(bound, dict):
            raise _Unusable(f"{point} is not an object")
        return {**({} if known.allowed is None else {"allowed": known.allowed}), **bound}

    def _denied(self, case: Case) -> Verdict:
        reason = self._policy.get("reason")
        stated = reason.get("errors") if isinstance(reason, dict) else reason
        if isinstance(stated, Reference) and stated.name == ("errors" if isinstance(reason, dict) else "reason"):
            return Verdict(case.point, False, reasons.errors(case))
        if isinstance(stated, list) and all(isinstance(text, str) for text in stated):
            return Verdict(case.point, False, tuple(stated))
        return Verdict(case.point, False, message=NO_REASON)


def judge(
    policy: bytes, steps: Iterable[tuple[str, Mapping[str, Any]]], *, machine: Machine | None = None
) -> list[Verdict]:
    """The verdict on each of a sequence of questions to one utility VM.

    Raises:
        MalformedDocument: as :class:`Judge` and :meth:`Judge.decide`.
    """
    judging = Judge(policy, machine=machine)
    return [judging.decide(point, asked) for point, asked in steps]


class _Unusable(Exception):
    """The policy does not answer this question."""


def _allowed(case: Case, found: Allowed, state: State) -> Verdict:
    if case.is_set("fragment_loaded"):
        state.remember(list(found.parameters))
    kept = None if found.env_list is None else tuple(found.env_list)
    return Verdict(
        case.point, True, env_list=kept, caps_list=found.caps_list, allow_stdio_access=found.allow_stdio_access is True
    )


# --- what can be judged ---------------------------------------------------------------------------


def _cannot(found: str, expected: str) -> MalformedDocument:
    return MalformedDocument("This policy or question cannot be judged here.", found=found, expected=expected)


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _references(one)


def _usable(policy: Module) -> Module:
    """The policy, if it is one, and refers to the framework only where an answer or a reason stands.

    Raises:
        MalformedDocument: it is something else.
    """
    if policy.package != "policy":
        raise _cannot(f"package {policy.package}", "package policy")
    for name, value in policy.values.items():
        answers = name in POINTS
        known = POINTS if answers else _REASONS if name == "reason" else ()
        if any(one.name not in known for one in _references(value)):
            raise _cannot(f"{name}, which refers to another rule", "rules of the framework, for answers and the reason")
        if answers and isinstance(value, dict) and ("metadata" in value or any(_references(value))):
            raise _cannot(f"{name}, which changes what is remembered", "an answer")
    for kind in ("framework", "api"):
        values = [policy.values[name] for name in (f"{kind}_version", f"{kind}_svn") if name in policy.values]
        if len(values) == 2 and not same(*values):
            raise _cannot(f"two values of {kind}_version", "one")
    return policy


def _read_fragment(fragment: bytes | None) -> Module | None:
    if fragment is None:
        return None
    module = read_module(fragment)
    if module.package.split(".")[0] in _TAKEN or any(any(_references(value)) for value in module.values.values()):
        raise _cannot(f"a fragment of package {module.package}", "data in a package of its own")
    return module


def _require_json(asked: Any) -> None:
    """Bounds on a question, whoever asks.

    Raises:
        MalformedDocument: it is not an object of JSON, or larger or deeper than anything that is asked.
    """
    waiting, seen = [(asked, 0)], 0
    if not isinstance(asked, Mapping):
        raise _cannot(type(asked).__name__, "an object")
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_ASKED:
            raise _cannot("a question that is larger", f"at most {MAX_ASKED} values, {MAX_DEPTH} deep")
        if isinstance(value, Mapping):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
            if not all(isinstance(key, str) for key in value):
                raise _cannot("a key that is no text", "an object of JSON")
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        elif isinstance(value, str):
            _require_text(value)
        elif not (
            value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
        ):
            raise _cannot(type(value).__name__, "a value of JSON")


def _require_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _cannot("half a surrogate pair", "Unicode text") from None

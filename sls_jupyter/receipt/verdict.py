"""The outcome of verifying a receipt: every check of the list, in order, and what nobody pinned.

::

    bytes -- Receipt.parse --> Receipt -- verify_receipt() --> ReceiptVerdict -- require() --> VerifiedReceipt

The last type is made by the step before it only, so whoever asks for one cannot be given what was merely parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import VerificationError
from sls_jupyter.printing import printable
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.statement import Predicate


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that was taken from the receipt itself, because the caller did not say whom to expect."""

    what: str  # owner, log
    value: str  # a DID
    about: str  # the inputs it is about


@dataclass(frozen=True, slots=True)
class ReceiptVerdict:
    """What :func:`sls_jupyter.receipt.verify.verify_receipt` found.

    Attributes:
        accepted: every check passed; a check that could not be made has failed.
        id: the receipt's identifier, ``sha256:…``; "" if it cannot be read.
        kind: of the evidence, as it names itself.
        spec, predicate: what was stated, if it could be read; to be believed only if ``accepted``.
    """

    accepted: bool
    id: str
    kind: str
    at: datetime  # the time that the evidence was judged at
    checks: tuple[Check, ...]
    taken: tuple[Taken, ...]
    spec: StreamSpec | None
    predicate: Predicate | None
    subjects: tuple[tuple[str, str], ...]  # (name, digest) of the results
    receipt: Receipt | None  # as it was parsed
    order: CellOrder | None = None  # in a session, of the cell that it is about, if that was found good

    @property
    def simulated(self) -> bool:
        """No hardware stands behind it."""
        return self.kind.startswith("simulated")

    @property
    def cell(self) -> int | None:
        """Which cell of its session it is about, from 1; ``None`` for a run."""
        return None if self.order is None else self.order.number

    @property
    def previous(self) -> str | None:
        """The receipt of the cell before, by its identifier."""
        record = None if self.predicate is None else self.predicate.cell
        return None if record is None else record.previous

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    @property
    def word(self) -> str:
        """The verdict in a word or two; SIMULATED is in it where no hardware signed."""
        word = "ACCEPTED" if self.accepted else "REFUSED"
        return f"{word}, SIMULATED" if self.simulated else word

    def require(self) -> VerifiedReceipt:
        """The receipt, if every check passed.

        Raises:
            VerificationError: with every check that failed.
        """
        if self.accepted and self.receipt is not None and self.spec is not None:
            return VerifiedReceipt(self.receipt, self.spec, self, proof=_BY_REQUIRE)
        raise VerificationError(
            f"The receipt does not verify: {', '.join(check.name for check in self.failed)}.",
            found="; ".join(f"{check.name}: {check.found}" for check in self.failed)[:1000],
            expected="; ".join(f"{check.name}: {check.expected}" for check in self.failed)[:1000],
            hint="sls verify shows the whole list. Do not rely on what it states.",
            detail={"checks": [check.model_dump() for check in self.checks]},
        )

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": self.word,
            "accepted": self.accepted,
            "simulated": self.simulated,
            "receipt": self.id,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "checks": [{"number": number, **check.model_dump()} for number, check in enumerate(self.checks, start=1)],
            "taken_from_the_receipt": [
                {"what": one.what, "value": one.value, "about": one.about} for one in self.taken
            ],
            "subjects": dict(self.subjects),
            "session": None if self.order is None else self._session(self.order),
            "statement": None if self.predicate is None else _summary(self.predicate, self.spec),
        }

    def _session(self, order: CellOrder) -> dict[str, Any]:
        return {"spec": order.session, "cell": order.number, "order": order.digest, "receipt_before": self.previous}


_BY_REQUIRE = object()


@final
@dataclass(frozen=True, slots=True, repr=False)
class VerifiedReceipt:
    """A receipt whose every check passed, with the verdict that says so."""

    receipt: Receipt
    spec: StreamSpec
    verdict: ReceiptVerdict
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _BY_REQUIRE:
            raise TypeError("Only ReceiptVerdict.require() makes this.")

    @property
    def id(self) -> str:
        """The receipt's identifier, as the logs hold it."""
        return self.verdict.id

    def save(self, path: str | Path) -> Path:
        """Write the receipt; :meth:`sls_jupyter.receipt.receipt.Receipt.save`."""
        return self.receipt.save(path)

    def __repr__(self) -> str:
        return f"{self.receipt!r}: {self.verdict.word}"


def _summary(predicate: Predicate, spec: StreamSpec | None) -> dict[str, Any]:
    return {
        "spec": None if spec is None else {"digest": spec.digest, **spec.model_dump(mode="json")},
        "run": predicate.run.model_dump(mode="json"),
        "gate": None if predicate.gate is None else predicate.gate.model_dump(mode="json"),
        "records": predicate.records.model_dump(mode="json"),
    }


def fail(name: str, found: object, expected: object) -> Check:
    """A line that did not pass, cut to what a line can hold."""
    return Check(name=name[:500], found=str(found)[:500], expected=str(expected)[:500], ok=False)


def passed(name: str, found: object, expected: object = "as found") -> Check:
    """A line that did."""
    return Check(name=name[:500], found=str(found)[:500], expected=str(expected)[:500], ok=True)


def plain(check: Check) -> Check:
    """A line that is one: what cannot be printed, a newline or an escape, stands there by its number."""
    name, found, expected = (printable(text)[:500] for text in (check.name, check.found, check.expected))
    return Check(name=name, found=found, expected=expected, ok=check.ok)


def same_set(name: str, found: Sequence[str], expected: Sequence[str]) -> Check:
    """The line that two sets of DIDs are one."""
    ok = set(found) == set(expected)
    return Check(name=name, found=", ".join(sorted(found))[:500], expected=", ".join(sorted(expected))[:500], ok=ok)

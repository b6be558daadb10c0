"""What the audit sidecar knows of a run, or of a session's cell, and the statement it makes of it.

Input and output are guest code, so their words are taken as they come; only their form is checked. Of a
run that ended before they could say everything, the statement has less, and then it does not verify as
a complete receipt: what is missing is never made up.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from sls_jupyter.contract import cce
from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import digest, verify
from sls_jupyter.errors import DigestMismatch, MalformedDocument
from sls_jupyter.identity import verify_signature
from sls_jupyter.receipt.statement import (
    RUN_STATES,
    CellRecord,
    ChainRecord,
    EnvelopeJson,
    GateVerdict,
    GroupRecord,
    ImageRecord,
    InputRecord,
    Predicate,
    RunRecord,
    Statement,
    Subject,
)
from sls_jupyter.transparency.chain import parse_records
from sls_jupyter.transparency.proofs import DisclosedEntry

RECORDS = "records"  # the subject that every receipt has: the record file


@contextmanager
def _well_formed() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = (
            error.errors(include_url=False, include_input=False)[0]["loc"] if isinstance(error, ValidationError) else ""
        )
        raise MalformedDocument(
            "A container reports in another form.", found=f"{type(error).__name__} {where}"
        ) from None


class Account:
    """One run, from its contract on; of a session, :meth:`of_cell` makes one for each cell.

    Args:
        inputs: for each input of the spec ``{"alias", "manifest", "grant"}``, the latter two as envelopes.
        now: seconds since 1970-01-01 UTC, by this group's clock.

    Raises:
        MalformedDocument: the inputs are not those of the spec.
    """

    def __init__(self, spec: StreamSpec, envelope: bytes, inputs: Any, *, now: int) -> None:
        self.spec = spec
        self.contract = spec.digest  # what the chain of records belongs to: the spec, or a cell's order
        self._cell: tuple[EnvelopeJson, tuple[EnvelopeJson, ...]] | None = None  # order and grants
        self._envelope = EnvelopeJson.of(envelope)
        self._started_at = now
        self._released: dict[str, DisclosedEntry] = {}
        self._begin()
        with _well_formed():
            self._inputs = tuple(
                InputRecord(
                    alias=item.alias,
                    manifest=EnvelopeJson.of(str(one["manifest"]).encode()),
                    grant=EnvelopeJson.of(str(one["grant"]).encode()),
                    released=None,
                )
                for item, one in zip(spec.inputs, inputs, strict=True)
            )

    def _begin(self) -> None:
        """Nothing is known yet of what happened."""
        self._gate: GateVerdict | None = None
        self._subjects: tuple[Subject, ...] = ()
        self._end: tuple[str, str | None] = ("failed", None)  # until the output says how
        self._output_spoke = self._doubtful = False

    def of_cell(self, order: Any, grants: Any, *, now: int) -> Account:
        """Of one cell of this session: what is known of contract and keys holds for all of them.

        Args:
            order: its envelope. grants: the envelopes of the grants to it.
            now: when it was accepted.

        Raises:
            MalformedDocument: they are none, or the order is not this session's.
        """
        with _well_formed():
            envelope = str(order).encode()
            found = verify(envelope, CellOrder, verify_signature, did=self.spec.requester)
            if found.session != self.spec.digest:
                raise DigestMismatch(
                    "The order is for another session.", found=found.session, expected=self.spec.digest
                )
            cell = EnvelopeJson.of(envelope), tuple(EnvelopeJson.of(str(one).encode()) for one in grants)
        account = copy.copy(self)
        account._cell, account.contract, account._started_at = cell, found.digest, now
        account._begin()
        return account

    @property
    def is_doubtful(self) -> bool:
        return self._doubtful

    def doubt(self) -> None:
        """The gate was open for another cell than was fed: nobody can say for it what it let go of this one."""
        self._doubtful = True

    def release(self, alias: str, logged: Any) -> None:
        """Keys came for an input, with the log's proof of it."""
        if alias not in {item.alias for item in self.spec.inputs}:
            raise MalformedDocument("Keys came for an input that the spec has not.", found=alias[:100])
        self._released[alias] = DisclosedEntry.from_json(logged)

    def gate(self, status: str, limit: Any, verdict: Any) -> None:
        """The program has ended, and the gate lets nothing more go.

        Args:
            verdict: of :meth:`sls_jupyter.guest.gate.Gate.verdict`.
        """
        self._gate = GateVerdict.from_json(verdict)
        self._ended(status, limit)

    def finish(self, status: str, subjects: Any) -> None:
        """The output's last word; ``status`` is another than before if it could not seal the results.

        Args:
            subjects: digests by name (:func:`sls_jupyter.guest.bundle.subjects_of`).
        """
        with _well_formed():
            self._subjects = tuple(Subject.of(name, value) for name, value in sorted(dict(subjects).items()))
        if status != self._end[0]:
            self._ended(status, None)

    def _ended(self, status: str, limit: Any) -> None:
        if status not in RUN_STATES:
            raise MalformedDocument("A run cannot end like that.", found=status[:40], expected=", ".join(RUN_STATES))
        self._end, self._output_spoke = (status, None if limit is None else str(limit)[:40]), True

    def retract(self) -> None:
        """What the output said was not about this run: it has said nothing."""
        self._gate, self._subjects, self._end, self._output_spoke = None, (), ("failed", None), False

    def stopped(self) -> None:
        """The host ended the group; if the output has not said how the run ended, that is how."""
        if not self._output_spoke:
            self._end = ("stopped", None)

    def statement(
        self, image: GuestImage, records: bytes, head: str, *, now: int, previous: str | None = None
    ) -> Statement:
        """Everything that is known, for the hardware to sign.

        Args:
            image: this group's own.
            records: the record file; ``head`` is the digest of its last record.
            previous: digest of the statement on the session's cell before.
        """
        policy = cce.policy_for(self.spec, image)
        status, limit = ("failed", None) if self._doubtful else self._end
        run = {"status": status, "limit": limit, "started_at": self._started_at, "ended_at": max(now, self._started_at)}
        predicate = Predicate(
            spec=self._envelope,
            inputs=tuple(one.model_copy(update={"released": self._released.get(one.alias)}) for one in self._inputs),
            group=GroupRecord(image=ImageRecord.of(image), cce_policy=policy.decode()),
            gate=None if self._doubtful else self._gate,
            run=RunRecord.model_validate(run),
            records=ChainRecord(head=head, count=len(parse_records(records))),
            cell=None
            if self._cell is None
            else CellRecord(order=self._cell[0], grants=self._cell[1], previous=previous),
        )
        return Statement.make((Subject.of(RECORDS, digest(records)), *self._subjects), predicate)

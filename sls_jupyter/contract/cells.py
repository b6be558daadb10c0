"""The cells of a session: signed orders in one chain, and the grants that each of them needs.

A session's spec is measured before there is any code. Each cell is an *order*, signed by the requester: it names the
session, all cells so far by digest, itself as the last, and the order before it. Each authority of the spec answers an
order with a *grant* for exactly this one. The guest takes a cell only with an unbroken chain of orders and every
authority's grant; authorities keep the same chain. Both use the functions here, and neither asks the other.

*Terms* of a cell are the session's terms and the cells up to it, without nonces and times: who approved a notebook
approved each of its beginnings, and another fifth cell is asked for from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import FailFast, Field, model_validator

from sls_jupyter.contract.grants import Grant, Obligations, combined_obligations
from sls_jupyter.contract.spec import MAX_CELLS, StreamSpec
from sls_jupyter.documents import Did, Digest, Document, Model, Name, Timestamp, canonical_model_json, digest, verify
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, NotAuthorised
from sls_jupyter.identity import CLOCK_SKEW_SECONDS, verify_signature

MAX_OUTPUTS = 256
MAX_OWED = 32  # receipts that an authority may lack while it grants and a group goes on


class CellTerms(Model):
    """One cell, by digest."""

    code: Digest  # of its exact UTF-8 text
    parameters: Digest  # of its parameter bundle's bytes
    outputs: Annotated[tuple[Name, ...], Field(max_length=MAX_OUTPUTS)] = ()  # named tables, sorted

    @model_validator(mode="after")
    def _one_spelling(self) -> CellTerms:
        if list(self.outputs) != sorted(set(self.outputs)):
            raise ValueError("outputs: unique and sorted")
        return self


class CellOrder(Document):
    """The requester's word that this cell comes next in this session."""

    payload_type: ClassVar[str] = "application/vnd.sls.cell-order.v1+json"
    deeply_frozen: ClassVar[bool] = True
    max_payload_bytes: ClassVar[int] = 2**19  # a receipt has to hold it beside everything else

    requester: Did
    session: Digest  # of the StreamSpec
    previous: Digest | None  # of the CellOrder before; None: the first
    cells: Annotated[
        tuple[CellTerms, ...], FailFast(), Field(min_length=1, max_length=MAX_CELLS)
    ]  # this one is the last
    issued_at: Timestamp
    expires_at: Timestamp

    def signer(self) -> str:
        return self.requester

    @model_validator(mode="after")
    def _in_order(self) -> CellOrder:
        if (self.previous is None) != (len(self.cells) == 1):
            raise ValueError("previous: of every cell but the first")
        if self.expires_at <= self.issued_at:
            raise ValueError("expires_at: after issued_at")
        return self

    @property
    def number(self) -> int:
        """1 for the first cell."""
        return len(self.cells)

    @property
    def cell(self) -> CellTerms:
        """The one that is ordered."""
        return self.cells[-1]


class CellGrant(Document):
    """An authority's yes to one cell of one session, for all of its assets there."""

    payload_type: ClassVar[str] = "application/vnd.sls.cell-grant.v1+json"
    deeply_frozen: ClassVar[bool] = True

    authority: Did
    session: Digest
    order: Digest  # of the CellOrder
    obligations: Obligations  # of its assets together: those of its grants to the session, or stricter
    issued_at: Timestamp
    expires_at: Timestamp

    def signer(self) -> str:
        return self.authority


def cell_terms(spec: StreamSpec, cells: Sequence[CellTerms], *, limits: bool = True) -> str:
    """Digest of what is asked for with these cells, whenever it is asked.

    Args:
        limits: ``False`` leaves the session's limits out, as :attr:`StreamSpec.terms_but_limits` does.
    """
    session = spec.terms if limits else spec.terms_but_limits
    return digest(canonical_model_json({"cells": [one.model_dump(mode="json") for one in cells], "session": session}))


def verify_order(envelope: bytes, spec: StreamSpec, previous: CellOrder | None, *, now: int) -> CellOrder:
    """The next cell of a session, signed by its requester. The one way to trust an order.

    What is *not* checked here: grants, and that the session still lives.

    Args:
        spec: the session's, verified.
        previous: the order before, verified; ``None`` before the first.
        now: seconds since 1970.

    Raises:
        SignatureInvalid, MalformedDocument: the order, or its signer.
        DigestMismatch: of another session, a gap, a repetition, or another chain than the one so far.
        BadInput: it has expired, is not valid yet, or the session has no such cell any more.
    """
    order = verify(envelope, CellOrder, verify_signature, did=spec.requester)
    if spec.session is None or order.session != spec.digest:
        raise DigestMismatch("The order is for another session.", found=order.session, expected=spec.digest)
    number, before = (1, None) if previous is None else (previous.number + 1, previous.digest)
    if order.number != number:
        raise DigestMismatch(
            "The order is not the next cell of this session.",
            found=f"cell {order.number}",
            expected=f"cell {number}",
            hint="Cells are ordered one after another, each once.",
        )
    if order.previous != before or order.cells[:-1] != (() if previous is None else previous.cells):
        raise DigestMismatch(
            "The order follows another chain of cells than this session's.",
            found=str(order.previous),
            expected=str(before),
            hint="Close the session and open it again: approved cells are not asked for again.",
        )
    if number > spec.session.cells:
        raise BadInput(
            "The session has no more cells.",
            found=f"cell {number}",
            expected=f"{spec.session.cells} at most",
            hint="Open a new session; --cells asks for more.",
        )
    _require_current("order", order.issued_at, order.expires_at, now)
    return order


def verify_cell_grants(
    envelopes: Sequence[bytes], spec: StreamSpec, grants: Sequence[Grant], order: CellOrder, *, now: int
) -> tuple[CellGrant, ...]:
    """Every authority's grant for this very order, in the order of :meth:`StreamSpec.authorities`.

    Args:
        grants: those to the session, verified; a cell's are never weaker.

    Raises:
        SignatureInvalid, MalformedDocument: one of them.
        NotAuthorised: an authority's is missing. DigestMismatch: one is for another order or session.
        BadInput: one has expired, or lets go more than the session's.
    """
    found: dict[str, CellGrant] = {}
    for envelope in envelopes:
        grant = verify(envelope, CellGrant, verify_signature, did=None)
        if (grant.session, grant.order) != (spec.digest, order.digest):
            raise DigestMismatch("A grant is for another cell.", found=grant.order, expected=order.digest)
        if grant.authority in found:
            raise MalformedDocument("An authority grants one cell twice.", found=grant.authority)
        found[grant.authority] = grant
    wanted = [did for did, _ in spec.authorities()]
    if missing := [did for did in wanted if did not in found]:
        raise NotAuthorised(
            "An authority has not granted this cell.", found=f"{len(found)} grants", expected=f"one of {missing[0]}"
        )
    if strange := sorted(set(found) - set(wanted)):
        raise NotAuthorised("Somebody grants a cell who is no authority of the session.", found=strange[0])
    for did in wanted:
        _require_current("grant", found[did].issued_at, found[did].expires_at, now)
        _require_not_weaker([one for one in grants if one.authority == did], found[did])
    return tuple(found[did] for did in wanted)


def cell_obligations(spec: StreamSpec, grants: Sequence[Grant], cell_grants: Sequence[CellGrant]) -> Obligations:
    """What the gate enforces for one cell: the strictest of all grants, to the session and to the cell."""
    result = combined_obligations(spec, tuple(grants))
    for grant in cell_grants:
        result = result.combine(grant.obligations)
    return result


def _require_not_weaker(grants: Sequence[Grant], grant: CellGrant) -> None:
    promised = Obligations(full_errors=True)
    for one in grants:
        promised = promised.combine(one.obligations)
    if promised.combine(grant.obligations) != grant.obligations:
        raise BadInput(
            "An authority grants a cell more than it granted the session.",
            found=grant.obligations.model_dump_json(),
            expected=promised.model_dump_json(),
            hint="Tell its owner; nothing ran.",
        )


def _require_current(what: str, issued_at: int, expires_at: int, now: int) -> None:
    if not issued_at - CLOCK_SKEW_SECONDS <= now < expires_at:
        raise BadInput(
            f"The {what} is not valid at this time.",
            found=f"now {now}",
            expected=f"{issued_at} to {expires_at}",
            hint="Run the cell again; if it persists, set this machine's clock.",
        )

"""What somebody asks for and others decide on: a run, or a session with its cells so far.

Policies, approvers and inboxes treat both alike. A run is a proposal of one cell, whose digests are in its spec. A
session's spec has none; there the newest order names all cells, itself as the last. What people decide on are
*terms*: a run's, or those of a session and its cells up to here, without nonces and times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sls_jupyter.contract.cells import CellOrder, CellTerms, cell_terms
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import digest, lp, verify
from sls_jupyter.errors import BadInput, DigestMismatch
from sls_jupyter.identity import verify_signature

_LABEL = "sls-jupyter/beginning/v1"


@dataclass(frozen=True, slots=True)
class CellText:
    """One cell as a reviewer reads it: what its digests are of."""

    code: str = field(repr=False)
    parameters: bytes = field(repr=False)  # the bundle


@dataclass(frozen=True)
class Proposal:
    """A verified spec, and in a session the verified order of its newest cell.

    Raises:
        BadInput: a session without a cell, or a run with an order.
    """

    spec: StreamSpec
    order: CellOrder | None = None

    def __post_init__(self) -> None:
        if self.spec.session is not None and self.order is None:
            raise BadInput(
                "A session is asked for cell by cell.",
                found="a session's spec without an order",
                hint="Ask with POST /v1/cells; in a notebook, %%safestream --session NAME does.",
            )
        if self.spec.session is None and self.order is not None:
            raise BadInput(
                "A run has no cells to order.", found="an order beside a run's spec", hint="Ask with POST /v1/requests."
            )

    @cached_property
    def cells(self) -> tuple[CellTerms, ...]:
        """All that is asked for, this one the last; a run is one cell."""
        if self.order is not None:
            return self.order.cells
        code, parameters = self.spec.code or "", self.spec.parameters or ""  # a run has both
        return (CellTerms(code=code, parameters=parameters, outputs=self.spec.outputs),)

    @property
    def number(self) -> int | None:
        """Of the newest cell, from 1; ``None`` for a run."""
        return None if self.order is None else self.order.number

    @cached_property
    def contract(self) -> str:
        """Digest of the document that this one execution is bound to: a run's spec, a cell's order."""
        return self.spec_digest if self.order is None else self.order.digest

    @cached_property
    def terms(self) -> str:
        """Digest of what is asked for, whenever it is asked: what a person approves."""
        return self.spec_terms if self.order is None else cell_terms(self.spec, self.cells)

    # digests of the spec, each computed once: a proposal is compared many times
    @cached_property
    def spec_digest(self) -> str:
        return self.spec.digest

    @cached_property
    def spec_terms(self) -> str:
        return self.spec.terms

    @cached_property
    def spec_but_limits(self) -> str:
        return self.spec.terms_but_limits

    @cached_property
    def beginnings(self) -> tuple[str, ...]:
        """A key of each beginning, limits aside, to look it up by; the last is that of the whole. A run has one.

        The first is of the spec's terms, each next one ``SHA-256(lp("sls-jupyter/beginning/v1", key before, code, parameters,
        output, …))``.
        """
        key = self.spec_but_limits
        if self.order is None:
            return (key,)
        found = []
        for cell in self.cells:
            key = digest(lp(_LABEL, key, cell.code, cell.parameters, *cell.outputs))
            found.append(key)
        return tuple(found)

    @property
    def code_digests(self) -> tuple[str, ...]:
        """All code that is named: each cell in order, then each code asset."""
        assets = (item.asset for item in self.spec.inputs if item.kind == "code")
        return (*(cell.code for cell in self.cells), *assets)

    def begins(self, other: Proposal) -> bool:
        """Whether the cells of ``other`` are these, or these and more after them."""
        return self.cells == other.cells[: len(self.cells)]

    def is_within(self, approved: Proposal) -> bool:
        """Whether an approval of another proposal holds for this one.

        It does where no limit is higher, the cells are those that the other begins with, and all else is equal.
        """
        same = self.spec_but_limits == approved.spec_but_limits
        return same and self.spec.limits.within(approved.spec.limits) and self.begins(approved)

    def require_texts(self, texts: Sequence[CellText]) -> None:
        """Raise :class:`DigestMismatch` unless these are the very cells, in this order."""
        if len(texts) != len(self.cells):
            raise DigestMismatch(
                "These are not the cells that the order names.",
                found=f"{len(texts)} cells",
                expected=f"{len(self.cells)}",
            )
        for number, (text, cell) in enumerate(zip(texts, self.cells, strict=True), start=1):
            where = "" if self.order is None else f" of cell {number}"
            named = ((text.code.encode(), cell.code, "code"), (text.parameters, cell.parameters, "parameters"))
            for data, expected, what in named:
                if digest(data) != expected:
                    raise DigestMismatch(
                        f"The {what}{where} would be other than what is shown.", found=digest(data), expected=expected
                    )


def verify_proposal(spec: bytes, order: bytes | None) -> Proposal:
    """A proposal from its envelopes: the spec by its requester, the order by the same and for this session.

    What is *not* checked here: times, and the orders before this one; see :func:`~sls_jupyter.contract.cells.verify_order`.

    Raises:
        MalformedDocument, SignatureInvalid: one of them. DigestMismatch: the order is for another session.
        BadInput: a session without an order, or a run with one.
    """
    asked = verify_stream_spec(spec)
    if order is None:
        return Proposal(asked)
    ordered = verify(order, CellOrder, verify_signature, did=asked.requester)
    if ordered.session != asked.digest:
        raise DigestMismatch("The order is for another session.", found=ordered.session, expected=asked.digest)
    return Proposal(asked, ordered)

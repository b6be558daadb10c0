"""A session as its requester asks for it: one spec, and orders in one chain, each with every authority's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.cells import CellOrder, CellTerms, verify_cell_grants
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.contract.spec import SPEC_SECONDS, StreamSpec
from sls_jupyter.documents import canonical_model_json, digest, sign
from sls_jupyter.errors import MalformedDocument, SlsError, UnknownName
from sls_jupyter.identity import Identity
from sls_jupyter.network import side_by_side
from sls_jupyter.safestream.request import ASK_SECONDS, Answers, judged_answer


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What the requester has of a session before its first cell."""

    spec: StreamSpec
    envelope: bytes = field(repr=False)  # DSSE of the spec
    manifests: Mapping[str, bytes] = field(repr=False)  # asset id -> DSSE of its manifest
    contact: bytes = field(repr=False)  # DSSE of the requester's Contact


@dataclass(frozen=True, slots=True)
class OrderedCell:
    """A cell with the order that its requester signed."""

    order: CellOrder
    envelope: bytes = field(repr=False)  # DSSE of the order
    text: CellText = field(repr=False)


def order_cell(
    identity: Identity,
    spec: StreamSpec,
    before: CellOrder | None,
    text: CellText,
    outputs: Sequence[str] = (),
    *,
    now: int,
) -> OrderedCell:
    """Order the next cell of a session.

    Args:
        identity: the requester's.
        before: the order of the cell before; ``None`` for the first cell.
        now: seconds since 1970. The order holds as long as a spec does, for a person to approve it.
    """
    terms = CellTerms(
        code=digest(text.code.encode()), parameters=digest(text.parameters), outputs=tuple(sorted(set(outputs)))
    )
    order = CellOrder(
        requester=identity.did,
        session=spec.digest,
        previous=None if before is None else before.digest,
        cells=(*(() if before is None else before.cells), terms),
        issued_at=now,
        expires_at=now + SPEC_SECONDS,
    )
    return OrderedCell(order, sign(order, identity), text)


def ask_cells(
    request: SessionRequest,
    cells: Sequence[OrderedCell],
    clients: Mapping[str, AuthorityClient],
    *,
    now: int,
    dry_run: bool = False,
) -> Answers:
    """Ask every authority of a session for its newest cell, side by side.

    Args:
        cells: all so far; the last is asked about.
        clients: authority's DID -> client.
        now: seconds since 1970.

    Raises:
        what an authority raises, with its DID in the error's detail; what ``verify_cell_grants`` raises.
    """
    asking = [
        partial(_ask, request, cells, did, clients[did], dry_run=dry_run) for did, _ in request.spec.authorities()
    ]
    answered = side_by_side(asking, ASK_SECONDS)
    answers = Answers.of([one for one, _ in answered])
    envelopes = tuple(envelope for _, envelope in answered if envelope is not None)
    if dry_run or answers.verdict != "allow":
        return answers
    verify_cell_grants(envelopes, request.spec, answers.grants, cells[-1].order, now=now)
    return replace(answers, cell_grants=envelopes)


def ask_next(request: SessionRequest, cell: OrderedCell, clients: Mapping[str, AuthorityClient]) -> Answers:
    """Ask every authority what it would decide about a cell, side by side. Nothing is granted, and nobody is asked to review.

    Raises:
        what an authority raises, with its DID in the error's detail. UnknownName: one does not know the cells before it.
    """
    texts: list[CellText | None] = [*[None] * (cell.order.number - 1), cell.text]

    def ask(did: str) -> Answers:
        try:
            answer = clients[did].submit_cell(request.envelope, [cell.envelope], texts, request.contact, dry_run=True)
            return judged_answer(request, did, answer, dry_run=True)
        except SlsError as error:
            error.detail.setdefault("authority", did)
            raise

    return Answers.of(side_by_side([partial(ask, did) for did, _ in request.spec.authorities()], ASK_SECONDS))


def ask_ahead(request: SessionRequest, cells: Sequence[OrderedCell], clients: Mapping[str, AuthorityClient]) -> Answers:
    """Ask every authority for a whole notebook before its first cell runs, side by side. Nothing is granted yet.

    Raises:
        what an authority raises, with its DID in the error's detail.
    """
    orders, texts = [one.envelope for one in cells], [one.text for one in cells]

    def ask(did: str) -> Answers:
        try:
            answer = clients[did].submit_cell(request.envelope, orders, texts, request.contact)
            return judged_answer(request, did, answer, dry_run=not answer.grants)  # of one cell it is granted at once
        except SlsError as error:
            error.detail.setdefault("authority", did)
            raise

    asking = [partial(ask, did) for did, _ in request.spec.authorities()]
    return Answers.of(side_by_side(asking, ASK_SECONDS))


def _ask(
    request: SessionRequest, cells: Sequence[OrderedCell], did: str, client: AuthorityClient, *, dry_run: bool
) -> tuple[Answers, bytes | None]:
    """One authority's answer: its decisions and grants, and its grant to the cell, unread."""
    orders, texts = [one.envelope for one in cells], [one.text for one in cells]
    left_out = [*[None] * (len(cells) - 1), texts[-1]]
    try:
        try:
            answer = client.submit_cell(request.envelope, orders[-1:], left_out, request.contact, dry_run=dry_run)
        except UnknownName:
            if len(cells) == 1:
                raise
            answer = client.submit_cell(request.envelope, orders, texts, request.contact, dry_run=dry_run)
        answers = judged_answer(request, did, answer, dry_run=dry_run)
        granted = answer.cell_grant
        if (granted is None) == bool(answers.grants):
            raise MalformedDocument("An authority's grants do not fit its decisions.", found=f"a cell grant: {granted}")
        return answers, None if granted is None else canonical_model_json(granted)
    except SlsError as error:
        error.detail.setdefault("authority", did)
        raise

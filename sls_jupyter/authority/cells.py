"""Cells of a session: each is asked for with its order, decided anew, and granted by itself.

An authority keeps the chain of the cells that it granted, and grants only the one that follows; a chain that is longer
is a whole notebook that somebody asks about before it runs: it is decided and reviewed, and its cells are granted one
after another. What an owner changes, withdraws or denies reaches the next cell, because nothing of an earlier decision
is taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import inbox
from sls_jupyter.authority import store as db
from sls_jupyter.authority.decisions import (
    GRANT_SECONDS,
    Case,
    Decisions,
    grants_for,
    keep_grants,
    newest_order,
    require_fitting,
    require_room,
    settle,
    tried,
    verify_spec,
)
from sls_jupyter.authority.inbox import Answer
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import parse_order
from sls_jupyter.authority.standing import beginning_of
from sls_jupyter.contract.cells import MAX_OWED, CellGrant, CellOrder, verify_order
from sls_jupyter.contract.grants import Grant, Obligations
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import sign, verify
from sls_jupyter.errors import BadInput, DigestMismatch, Unavailable, UnknownName
from sls_jupyter.identity import verify_signature

_rows, _texts = db.orders, db.requests  # statements built once: putting one together takes longer than running it
_ENVELOPE = sa.select(_rows.c.envelope).where(_rows.c.id == sa.bindparam("order"))
_GRANT = sa.select(_rows.c.grant).where(_rows.c.id == sa.bindparam("order"))
_CHAIN = (
    sa.select(_rows.c.number, _rows.c.id)
    .where(_rows.c.session == sa.bindparam("session"))
    .order_by(_rows.c.number, _rows.c.seq)
)
_CELL = (
    sa.select(_rows.c.id)
    .where(_rows.c.session == sa.bindparam("session"), _rows.c.number == sa.bindparam("cell"))
    .limit(1)
)
_INSERT = sa.insert(_rows)
_RECEIPT = (
    sa.select(db.receipts.c.id)
    .where(
        db.receipts.c.spec == sa.bindparam("session"),
        db.receipts.c.cell == sa.bindparam("cell"),
        db.receipts.c.released > 0,  # of the group that has the keys
    )
    .limit(1)
)
_TEXTS = sa.select(_texts.c.id, _texts.c.texts).where(
    _texts.c.id.in_(sa.bindparam("ids", expanding=True)), _texts.c.requester == sa.bindparam("requester")
)
_COUNT = (
    sa.update(db.assets)
    .where(db.assets.c.id.in_(sa.bindparam("assets", expanding=True)))
    .values(runs=db.assets.c.runs + 1)
)

CELL_SECONDS = 300  # that the grant of a further cell holds: its group is warm, and takes it at once


@dataclass(frozen=True, slots=True)
class Submission:
    """What a requester sends to ask for the next cell of a session."""

    spec: bytes  # DSSE
    orders: tuple[bytes, ...]  # DSSE: all so far, or the last ones; the last is asked about
    texts: tuple[CellText | None, ...]  # of all cells; None: one that this authority has
    contact: bytes | None = None  # DSSE


@dataclass(frozen=True, slots=True)
class _Kept:
    """One cell of the chain that was granted here."""

    number: int
    id: str  # digest of the order

    def envelope(self, connection: Connection) -> bytes:
        """The order as it was sent, and verified when it was kept. A long notebook's orders are not all read at once."""
        return bytes(connection.execute(_ENVELOPE, {"order": self.id}).scalar_one())

    def grant(self, connection: Connection) -> bytes:
        return bytes(connection.execute(_GRANT, {"order": self.id}).scalar_one())


def submit(authority: Authority, caller: str, sent: Submission, *, dry_run: bool = False) -> Answer:
    """Ask for the next cell of a session, on every asset of this authority that its spec names.

    Args:
        dry_run: decide and write nothing.

    Returns:
        The decisions; with grants to the session and to the cell where all of them allow it and the cell is the next
        one, or was granted before. The same order again gets the same grants.

    Raises:
        as :func:`sls_jupyter.authority.decisions.submit`. DigestMismatch: another chain than the one here, a gap in it,
        or another session's. UnknownName: something was left out that this authority does not have.
        Unavailable: the receipt of the cell :data:`MAX_OWED` before this one is not here.
    """
    inbox.require_not_muted(authority, caller)
    spec = verify_spec(authority, sent.spec, caller)
    if spec.session is None:
        raise BadInput("This spec is of a run, not of a session.", hint="Ask with POST /v1/requests.")
    with authority.store.read() as connection:
        chain = _chain(connection, spec)
        asked, place = _follow(connection, spec, chain, sent.orders, authority.clock())
        if place.is_next:
            _require_receipts(connection, asked)
        texts = _whole(connection, asked, sent.texts)
    require_fitting(asked, texts, sent.contact)
    if dry_run:
        return tried(authority, asked)

    def prepare(cases: Sequence[Case], decisions: Decisions) -> inbox.Asked:
        grants = grants_for(authority, spec, decisions) if place.is_next or place.kept is not None else ()
        answer = Answer(asked.terms, decisions, grants)
        return inbox.Asked(
            asked, sent.spec, sent.orders[-1], texts, sent.contact, tuple(case.published for case in cases), answer
        )

    def write(connection: Connection, ready: inbox.Asked) -> Answer:
        newest = newest_order(connection, spec.digest)  # whatever joins a chain is the newest
        if newest != ((chain[-1].number, chain[-1].id) if chain else None):
            raise Unavailable("Another cell of this session was granted at the same time.", hint="Try again.")
        return _write(connection, authority, ready, place)

    return settle(authority, asked, spec.inputs_of(authority.did), prepare, write)


# --- the chain ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an order stands in the chain that was granted here."""

    is_next: bool  # it follows the last one, or takes the place of a last one that left no receipt
    kept: _Kept | None  # this very order, granted before


def _chain(connection: Connection, spec: StreamSpec) -> tuple[_Kept, ...]:
    """The cells that were granted, in order; where one took the place of another, the newer."""
    kept = {row.number: _Kept(*row) for row in connection.execute(_CHAIN, {"session": spec.digest})}
    return tuple(kept.values())


def _follow(
    connection: Connection, spec: StreamSpec, chain: Sequence[_Kept], orders: Sequence[bytes], now: int
) -> tuple[Proposal, _Place]:
    """The newest of the orders, verified from the chain here on, and its place."""
    if not orders:
        raise BadInput("No order was sent.", expected="the orders of all cells so far", hint="Send them in order.")
    start = parse_order(orders[0]).number  # verified below
    if start > len(chain) + 1:
        raise UnknownName(
            "This authority does not have the orders before this one.",
            found=f"cell {start}",
            expected=f"cell {len(chain) + 1} or an earlier one",
            hint="Send the orders of all cells.",
        )
    previous = parse_order(chain[start - 2].envelope(connection)) if start > 1 else None
    shared = start - 1  # how many cells of the chain here this one begins with
    for envelope in orders:
        number = 1 if previous is None else previous.number + 1
        known = chain[number - 1] if shared == number - 1 < len(chain) else None
        if known is not None and known.envelope(connection) == envelope:
            previous, shared = parse_order(envelope), number
        else:
            previous = verify_order(envelope, spec, previous, now=now)
    assert previous is not None  # noqa: S101  # there is one order at least
    return Proposal(spec, previous), _place(connection, spec, chain, previous, shared)


def _place(connection: Connection, spec: StreamSpec, chain: Sequence[_Kept], order: CellOrder, shared: int) -> _Place:
    if shared == order.number:
        return _Place(is_next=False, kept=chain[shared - 1])
    if shared == len(chain):
        return _Place(is_next=order.number == len(chain) + 1, kept=None)
    if shared == len(chain) - 1 and order.number == len(chain) and not _has_run(connection, spec, order):
        return _Place(is_next=True, kept=None)
    raise _other_chain(order.digest)


def _has_run(connection: Connection, spec: StreamSpec, order: CellOrder) -> bool:
    """Whether a cell of this number left a receipt, or this very one was given up for another before."""
    receipts, orders = db.receipts, db.orders
    left = sa.select(receipts.c.id).where(receipts.c.spec == spec.digest, receipts.c.cell == order.number).limit(1)
    known = connection.execute(sa.select(orders.c.id).where(orders.c.id == order.digest)).first()
    return known is not None or connection.execute(left).first() is not None


def _require_receipts(connection: Connection, asked: Proposal) -> None:
    """The group runs what is granted: nobody collects more grants than so many beyond the last cell that left a receipt.

    A grant ends by the group's clock, which its host could hold back. A group that cannot bring its receipts ends by
    itself, at the same number.

    Raises:
        Unavailable: too many receipts are missing.
    """
    number = (asked.number or 1) - MAX_OWED
    if number >= 1 and connection.execute(_RECEIPT, {"session": asked.spec_digest, "cell": number}).first() is None:
        raise Unavailable(
            "The receipts of earlier cells of this session are missing here.",
            found=f"none of cell {number}",
            expected=f"one of cell {number} before cell {asked.number} is granted",
            hint="Try again; if it persists, the group cannot reach this authority: close the session and open it again.",
        )


def _other_chain(found: str) -> DigestMismatch:
    return DigestMismatch(
        "This authority granted other cells of this session.",
        found=found,
        expected="the orders that were granted, in their order, and one more",
        hint="Close the session and open it again: approved cells are not asked for again.",
    )


# --- the texts ------------------------------------------------------------------------------------


def _whole(connection: Connection, asked: Proposal, texts: Sequence[CellText | None]) -> tuple[CellText, ...]:
    """The text of every cell; those that were left out from an earlier request of the same notebook."""
    if len(texts) != len(asked.cells):
        raise DigestMismatch(
            "These are not the cells that the order names.", found=f"{len(texts)} cells", expected=f"{len(asked.cells)}"
        )
    given = tuple(one for one in texts if one is not None)
    if len(given) == len(texts):
        return given
    known = _known(connection, asked)
    if missing := [at for at, one in enumerate(texts, start=1) if one is None and at > len(known)]:
        raise UnknownName(
            "This authority does not have the text of a cell.",
            found=f"cell {missing[0]}",
            hint="Send the texts of all cells.",
        )
    return tuple(one if one is not None else known[at] for at, one in enumerate(texts))


def _known(connection: Connection, asked: Proposal) -> tuple[CellText, ...]:
    """What is kept of this notebook, or of it without its newest cell; the order's digests decide whether it fits."""
    count = len(asked.cells)
    ids = [asked.terms] + ([beginning_of(asked, count - 1).terms] if count > 1 else [])
    query = {"ids": ids, "requester": asked.spec.requester}
    found = {row.id: row.texts for row in connection.execute(_TEXTS, query)}
    return next((inbox.texts_of(found[one]) for one in ids if one in found), ())


# --- granting -------------------------------------------------------------------------------------


def _write(connection: Connection, authority: Authority, ready: inbox.Asked, place: _Place) -> Answer:
    answer = ready.answer
    ahead = not place.is_next and place.kept is None
    if ahead and answer.verdict == "allow":  # there is nothing to review; each cell is asked for in its turn
        return answer
    if answer.grants:
        kept = keep_grants(connection, authority, ready)
        cell_grant = _keep_order(connection, authority, ready, place, kept)
        answer = Answer(answer.request, answer.decisions, kept, cell_grant)
    inbox.remember(connection, authority, ready)
    return answer


def _keep_order(
    connection: Connection, authority: Authority, ready: inbox.Asked, place: _Place, grants: Sequence[bytes]
) -> bytes:
    """The grant of this cell, stored with its order; the one that it has, as long as that holds for a while yet."""
    order, rows, now = ready.proposal.order, db.orders, authority.clock()
    assert order is not None and ready.order is not None  # noqa: PT018, S101  # a session's
    if place.kept is not None:
        grant = place.kept.grant(connection)
        if verify(grant, CellGrant, verify_signature, did=authority.did).expires_at > now + CELL_SECONDS // 2:
            return grant
    envelope = _cell_grant(authority, ready, order, grants)
    if place.kept is not None:
        connection.execute(sa.update(rows).where(rows.c.id == order.digest).values(grant=envelope, at=now))
        return envelope
    if not ready.is_known:
        require_room(connection, authority)
    cell = {"session": order.session, "cell": order.number}
    if order.number > 1 and connection.execute(_CELL, cell).first() is None:
        _count(connection, ready)
    values = {"session": order.session, "number": order.number, "id": order.digest, "at": now}
    connection.execute(_INSERT, values | {"envelope": ready.order, "grant": envelope})
    return envelope


def _count(connection: Connection, ready: inbox.Asked) -> None:
    """One more run of each asset: a session's first cell counts when keys are released, each later one when it is granted."""
    connection.execute(_COUNT, {"assets": [one.id for one in ready.assets]})


def _cell_grant(authority: Authority, ready: inbox.Asked, order: CellOrder, grants: Sequence[bytes]) -> bytes:
    """A grant for exactly this order, never weaker than those to the session.

    It is short, because nothing takes it back: whoever asks ahead for many cells keeps no stock of them. The first cell's
    holds for as long as the session's, until the group is there; its keys need another decision.
    """
    obligations, now = Obligations(full_errors=True), authority.clock()
    promised = [verify(one, Grant, verify_signature, did=authority.did).obligations for one in grants]
    for one in (*promised, *(decision.obligations for _, decision in ready.answer.decisions)):
        obligations = obligations.combine(one)
    holds = GRANT_SECONDS if order.number == 1 else CELL_SECONDS
    grant = CellGrant(
        authority=authority.did,
        session=order.session,
        order=order.digest,
        obligations=obligations,
        issued_at=now,
        expires_at=min(now + holds, order.expires_at, ready.proposal.spec.expires_at),
    )
    return sign(grant, authority.identity)


def first_cells(connection: Connection, spec: StreamSpec) -> tuple[Proposal, ...]:
    """What keys are released for: a run, or a session with its first cell; nothing before that was granted.

    Where one first cell took the place of another both are here, the newest last: the group takes one of them, and nobody
    here knows which.
    """
    if spec.session is None:
        return (Proposal(spec),)
    rows = db.orders
    query = sa.select(rows.c.envelope).where(rows.c.session == spec.digest, rows.c.number == 1)
    found = connection.execute(query.order_by(rows.c.seq)).scalars()
    return tuple(Proposal(spec, parse_order(bytes(envelope))) for envelope in found)

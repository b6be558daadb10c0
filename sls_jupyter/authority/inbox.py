"""Requests: kept for those who decide on them, in pages; what strangers ask is bounded, expires and can be muted.

A requester is *known* when a policy of an asset that is asked for names them. What the others ask is kept within
bounds, the newest first, and is in no log before somebody decides on it; what a policy refuses them is not kept.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.answers import MAX_PAGE, CellAnswer, RequestDetail, RequestPage, RequestSummary
from sls_jupyter.authority.catalogue import Published
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import read_proposal
from sls_jupyter.authority.standing import approved_before
from sls_jupyter.contract.grants import Approval
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.documents import b64decode, b64encode, canonical_model_json
from sls_jupyter.errors import BadInput, NotAuthorised, UnknownName
from sls_jupyter.policy.facts import Decision, Verdict

MAX_UNKNOWN_OF_ONE = 16  # requests of one DID that is not known
MAX_UNKNOWN = 1024  # of all of them
MAX_UNKNOWN_BYTES = 256 * 2**20
UNKNOWN_SECONDS = 30 * 86_400  # after which they are dropped
MAX_PAGE_BYTES = 4 * 2**20  # of signed documents; a page has one request at least
MAX_ALIKE = 100  # ids that begin alike and are looked at
_DIGEST = "sha256:"
_STATES = {"allow": "granted", "ask": "open", "deny": "denied"}
_rows, _verdicts = db.requests, db.verdicts  # statements built once: putting one together takes longer than running it
_KEPT = sa.select(_rows.c.seq, _rows.c.state, _rows.c.spec, _rows.c.order, _rows.c.logged).where(
    _rows.c.id == sa.bindparam("terms")
)
_BEFORE = sa.select(_rows.c.seq).where(
    _rows.c.but_limits == sa.bindparam("key"),
    _rows.c.spec == sa.bindparam("spec"),
    _rows.c.state == "granted",
    ~sa.exists().where(_verdicts.c.request == _rows.c.id),
)
_REPLACE = sa.update(_rows).where(_rows.c.seq == sa.bindparam("before"))
_DECIDED = sa.select(_verdicts.c.id).where(_verdicts.c.request == sa.bindparam("terms"))
_MUTED = sa.select(db.mutes.c.did).where(db.mutes.c.did == sa.bindparam("did"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authority says to a proposal."""

    request: str  # id of the request in the inbox: the proposal's terms
    decisions: tuple[tuple[str, Decision], ...]  # (asset id, decision)
    grants: tuple[bytes, ...]  # DSSE, one for each of its assets, or none at all; of a session, to the session
    cell_grant: bytes | None = None  # DSSE, in a session: to the cell that was asked for

    @property
    def verdict(self) -> Verdict:
        """deny beats ask beats allow."""
        found = {decision.verdict for _, decision in self.decisions}
        order: tuple[Verdict, ...] = ("deny", "ask", "allow")
        return next(verdict for verdict in order if verdict in found)


@dataclass(frozen=True)
class Asked:
    """A verified request with the answer to it."""

    proposal: Proposal
    envelope: bytes  # DSSE of the spec
    order: bytes | None  # DSSE of the order, in a session
    texts: tuple[CellText, ...]  # of each cell
    contact: bytes | None  # DSSE
    assets: tuple[Published, ...]  # of this authority
    answer: Answer

    @cached_property
    def is_known(self) -> bool:
        """Whether a policy of one of the assets names the requester."""
        policies = [one.policy for one in self.assets]
        named = {did for one in policies for did in (one.owner, *one.requesters, *one.recipients, *one.approvers)}
        return self.proposal.spec.requester in named

    @cached_property
    def packed(self) -> bytes:
        """The texts as they are kept."""
        return canonical_model_json([[one.code, b64encode(one.parameters)] for one in self.texts])

    @property
    def size(self) -> int:
        """Bytes that are stored of it."""
        return sum(map(len, (self.envelope, self.order or b"", self.contact or b"", self.packed)))

    @property
    def parties(self) -> frozenset[str]:
        """In whose inbox it is."""
        approvers = {did for one in self.assets for did in approvers_of(one)}
        return frozenset({self.proposal.spec.requester, *approvers})


def approvers_of(published: Published) -> tuple[str, ...]:
    """Who decides on requests for an asset."""
    return published.policy.approvers or (published.policy.owner,)


# --- keeping --------------------------------------------------------------------------------------


def remember(connection: Connection, authority: Authority, asked: Asked) -> None:
    """Keep the request for the inbox and log what changed; asking again changes nothing."""
    rows, state, proposal = db.requests, _STATES[asked.answer.verdict], asked.proposal
    kept = connection.execute(_KEPT, {"terms": proposal.terms}).first()
    if kept is None and state == "denied" and not asked.is_known:
        return
    if kept is not None and (kept.spec, kept.order, kept.state) == (asked.envelope, asked.order, state):
        return
    logged = kept is not None and bool(kept.logged)
    keeps = logged or asked.is_known or (state == "granted" and _is_decided(connection, proposal.terms))
    before = _before(connection, asked) if state == "granted" else None
    if kept is not None:
        values = {"spec": asked.envelope, "order": asked.order, "logged": keeps}
        connection.execute(sa.update(rows).where(rows.c.seq == kept.seq).values(**values))
        set_state(connection, kept.seq, state)
        _drop(connection, [] if before is None else [before])
    elif before is not None:  # of the same spec, and so of the same people
        connection.execute(_REPLACE, {"before": before} | _row(authority, asked, logged=keeps))
    else:
        _insert(connection, authority, asked, state, logged=keeps)
    if keeps or state == "granted":
        events = [] if logged else [received(proposal)]
        ledger.append(connection, authority, [*events, _decided(asked)])
    if not keeps:
        _make_room(connection, authority, proposal.spec.requester)


def _before(connection: Connection, asked: Asked) -> int | None:
    """The request of the cell before, which this one takes the place of unless somebody decided on it.

    A session that goes on is one request: the newest cell's has the whole notebook.
    """
    if (asked.proposal.number or 1) == 1:
        return None
    return connection.execute(_BEFORE, {"key": asked.proposal.beginnings[-2], "spec": asked.envelope}).scalar()


def _is_decided(connection: Connection, terms: str) -> bool:
    """Whether a person decided on these very terms; an approval of higher limits alone lets a run go, and keeps nothing."""
    return connection.execute(_DECIDED, {"terms": terms}).first() is not None


def _row(authority: Authority, asked: Asked, *, logged: bool) -> dict[str, Any]:
    proposal = asked.proposal
    return {
        "id": proposal.terms,
        "but_limits": proposal.beginnings[-1],
        "spec": asked.envelope,
        "order": asked.order,
        "requester": proposal.spec.requester,
        "contact": asked.contact,
        "texts": asked.packed,
        "known": asked.is_known,
        "logged": logged,
        "bytes": asked.size,
        "created_at": authority.clock(),
    }


def _insert(connection: Connection, authority: Authority, asked: Asked, state: str, *, logged: bool) -> None:
    row = _row(authority, asked, logged=logged)
    inserted = connection.execute(sa.insert(db.requests).values(**row, state=state))
    seq = (inserted.inserted_primary_key or (0,))[0]
    parties = [{"did": did, "seq": seq, "state": state} for did in sorted(asked.parties)]
    connection.execute(sa.insert(db.request_parties), parties)
    readable = [one.id for one in asked.assets if one.manifest.kind == "code" and not one.manifest.confidential]
    people = sorted(asked.parties | {item.owner for item in asked.proposal.spec.inputs})
    readers = [{"asset": asset, "did": did, "seq": seq} for asset in readable for did in people]
    if readers:
        connection.execute(sa.insert(db.readers), readers)


def set_state(connection: Connection, seq: int, state: str) -> None:
    """A request's state, where it is kept and in the inboxes it is in."""
    for table in (db.requests, db.request_parties):
        connection.execute(sa.update(table).where(table.c.seq == seq).values(state=state))


def _meaning(asked: Proposal) -> dict[str, Any]:
    spec, order = asked.spec, {} if asked.order is None else {"order": asked.contract}
    return {"spec": asked.spec_digest, "terms": asked.terms, "requester": spec.requester, **order}


def cell_fact(asked: Proposal) -> dict[str, str | int | bool]:
    """Which cell of a session an entry is about; nothing for a run."""
    return {} if asked.number is None else {"cell": asked.number}


def received(asked: Proposal) -> ledger.Event:
    """That a request came."""
    return ledger.Event("request.received", asked.contract, _meaning(asked), cell_fact(asked))


def _decided(asked: Asked) -> ledger.Event:
    reasons = {reason.code for _, decision in asked.answer.decisions for reason in decision.reasons}
    known_codes = ",".join(sorted(code for code in reasons if re.fullmatch(r"[a-z0-9._-]{1,40}", code)))[:400]
    facts: dict[str, str | int | bool] = {
        "verdict": asked.answer.verdict,
        "assets": len(asked.answer.decisions),
        "reasons": known_codes,
        **cell_fact(asked.proposal),
    }
    return ledger.Event("decision.made", asked.proposal.contract, _meaning(asked.proposal), facts)


# --- what strangers ask ---------------------------------------------------------------------------


def _make_room(connection: Connection, authority: Authority, requester: str) -> None:
    """Drop what is too old or too much of the requests that nobody decided on; the newest stay."""
    rows, oldest = db.requests, authority.clock() - UNKNOWN_SECONDS
    query = sa.select(rows.c.seq, rows.c.requester, rows.c.created_at, rows.c.bytes)
    droppable = connection.execute(query.where(rows.c.logged == sa.false()).order_by(rows.c.seq.desc())).all()
    kept = size = of_one = 0
    gone = []
    for row in droppable:
        of_one += row.requester == requester
        too_many = row.requester == requester and of_one > MAX_UNKNOWN_OF_ONE
        if row.created_at <= oldest or too_many or kept >= MAX_UNKNOWN or size + row.bytes > MAX_UNKNOWN_BYTES:
            gone.append(row.seq)
        else:
            kept, size = kept + 1, size + row.bytes
    _drop(connection, gone)


def _drop(connection: Connection, seqs: list[int]) -> None:
    for start in range(0, len(seqs), 500):  # a statement takes so many values
        some = seqs[start : start + 500]
        for table in (db.readers, db.request_parties, db.requests):
            connection.execute(sa.delete(table).where(table.c.seq.in_(some)))


def require_not_muted(authority: Authority, did: str) -> None:
    """Raise :class:`NotAuthorised` for somebody whom the owner muted."""
    with authority.store.read() as connection:
        muted_ = connection.execute(_MUTED, {"did": did}).first()
    if muted_ is not None:
        raise NotAuthorised(
            "The owner of this authority takes no requests of yours.",
            found=did,
            hint="Ask them in person to take you off their list: sls mute --undo WHO",
        )


def mute(authority: Authority, caller: str, did: str) -> int:
    """Take no request of somebody any more, and drop those of theirs that nobody decided on.

    What was granted to them before holds until it expires, and what is logged stays.

    Returns:
        How many requests were dropped.

    Raises:
        NotAuthorised: only the owner mutes. BadInput: themselves.
    """
    _require_owner(authority, caller)
    if did == authority.owner:
        raise BadInput("An owner cannot mute themselves.", found=did)
    rows, verdicts = db.requests, db.verdicts
    undecided = ~sa.exists().where(verdicts.c.request == rows.c.id)
    query = sa.select(rows.c.seq).where(rows.c.requester == did, undecided)
    query = query.where(sa.or_(rows.c.state == "open", rows.c.logged == sa.false()))
    with authority.store.write() as connection:
        if connection.execute(sa.select(db.mutes.c.did).where(db.mutes.c.did == did)).first() is None:
            connection.execute(sa.insert(db.mutes).values(did=did, at=authority.clock()))
        gone = list(connection.execute(query).scalars())
        _drop(connection, gone)
        return len(gone)


def unmute(authority: Authority, caller: str, did: str) -> None:
    """Take requests of somebody again.

    Raises:
        NotAuthorised. UnknownName: they are not muted.
    """
    _require_owner(authority, caller)
    with authority.store.write() as connection:
        if connection.execute(sa.delete(db.mutes).where(db.mutes.c.did == did)).rowcount == 0:
            raise UnknownName("They are not muted.", found=did[:100])


def muted(authority: Authority, caller: str) -> tuple[str, ...]:
    """Whom the owner muted, the newest first; 10,000 at most."""
    _require_owner(authority, caller)
    with authority.store.read() as connection:
        query = sa.select(db.mutes.c.did).order_by(db.mutes.c.at.desc(), db.mutes.c.did).limit(10_000)
        return tuple(connection.execute(query).scalars())


def _require_owner(authority: Authority, caller: str) -> None:
    if caller != authority.owner:
        raise NotAuthorised("Only the owner mutes.", found=caller, expected=authority.owner)


# --- reading --------------------------------------------------------------------------------------


def page(
    authority: Authority, caller: str, *, after: int | None = None, limit: int = MAX_PAGE, state: str | None = None
) -> RequestPage:
    """Requests that the caller may decide on or has made, newest first, without their code.

    Args:
        after: ``next`` of the page before.
        limit: how many at most; fewer when their documents are large.
        state: only these.
    """
    parties, rows = db.request_parties, db.requests
    query = sa.select(parties.c.seq).where(parties.c.did == caller).order_by(parties.c.seq.desc())
    query = query if state is None else query.where(parties.c.state == state)
    query = query if after is None else query.where(parties.c.seq < after)
    wanted = min(max(1, limit), MAX_PAGE)
    found: list[RequestSummary] = []
    size = 0
    with authority.store.read() as connection:
        seqs = connection.execute(query.limit(wanted + 1)).scalars().all()
        for seq in seqs[:wanted]:
            row = connection.execute(sa.select(*_SUMMARY).where(rows.c.seq == seq)).one()
            size += len(row.spec) + len(row.order or b"") + len(row.contact or b"")
            if found and size > MAX_PAGE_BYTES:
                break
            found.append(RequestSummary(**_summary(row)))
    more = len(seqs) > len(found)
    return RequestPage(requests=tuple(found), next=found[-1].seq if more else None)


_SUMMARY = [db.requests.c[name] for name in ("id", "seq", "state", "created_at", "spec", "order", "contact")]


def _summary(row: Any) -> dict[str, Any]:
    envelopes = {name: None if data is None else data.decode() for name, data in _envelopes(row)}
    return {"id": row.id, "seq": row.seq, "state": row.state, "created_at": row.created_at, **envelopes}


def _envelopes(row: Any) -> tuple[tuple[str, bytes | None], ...]:
    return ("spec", row.spec), ("order", row.order), ("contact", row.contact)


def texts_of(packed: bytes) -> tuple[CellText, ...]:
    """The cells of a request as they are kept."""
    return tuple(CellText(code, b64decode(parameters)) for code, parameters in json.loads(packed))


def one(authority: Authority, caller: str, terms: str) -> RequestDetail:
    """A request with its code and parameters, of a session those of all cells, by its id or the beginning of that.

    Raises:
        UnknownName: none that the caller may see. BadInput: several begin like that.
    """
    with authority.store.read() as connection:
        found = _seqs(connection, caller, terms)
        if len(found) > 1:
            raise BadInput("Several requests begin like that.", found=terms[:80], hint="Write more of the id.")
        if not found:
            raise UnknownName("There is no such request.", found=terms[:80], hint="%sls requests lists them.")
        rows = db.requests
        row = connection.execute(sa.select(*_SUMMARY, rows.c.texts).where(rows.c.seq == found[0])).one()
        asked = read_proposal(row.spec, row.order)
        deciding = _deciding(connection, asked, authority, caller)
        count, approval = approved_before(connection, asked, deciding, authority.clock())
        own = _own(connection, approval) if approval is not None and approval.approver == caller else None
    *before, newest = (CellAnswer(code=one.code, parameters=b64encode(one.parameters)) for one in texts_of(row.texts))
    return RequestDetail(
        **_summary(row),
        code=newest.code,
        parameters=newest.parameters,
        before=None if asked.order is None else tuple(before),
        approved_cells=count,
        approval=own,
    )


def _own(connection: Connection, approval: Approval) -> str:
    """An approval as it was signed."""
    rows = db.verdicts
    query = sa.select(rows.c.envelope).where(rows.c.id == approval.digest)
    return bytes(connection.execute(query).scalar_one()).decode()


def _deciding(connection: Connection, asked: Proposal, authority: Authority, caller: str) -> tuple[str, ...]:
    """Whose approvals the caller is told of: an approver's own, everybody else all."""
    items = asked.spec.inputs_of(authority.did)
    approvers = {did for item in items for did in approvers_of(catalogue.find(connection, item.asset))}
    return (caller,) if caller in approvers else tuple(sorted(approvers))


def _seqs(connection: Connection, caller: str, terms: str) -> list[int]:
    """Requests in the caller's inbox whose id begins like that; two are enough to know that it is ambiguous."""
    rows, parties = db.requests, db.request_parties
    if not terms.startswith(_DIGEST):
        return []
    begins = (rows.c.id >= terms) & (rows.c.id <= terms + "g")  # hex digits end before it
    # first those of the id, which are few, then whose they are: the other way round an inbox is read through
    candidates = connection.execute(sa.select(rows.c.seq).where(begins).limit(MAX_ALIKE + 1)).scalars().all()
    if len(candidates) > MAX_ALIKE:
        raise BadInput("Many requests begin like that.", found=terms[:80], hint="Write more of the id.")
    mine = (parties.c.did == caller) & parties.c.seq.in_(candidates)
    return list(connection.execute(sa.select(parties.c.seq).where(mine).limit(2)).scalars())

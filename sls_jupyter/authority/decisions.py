"""Decisions: a proposal comes in, every asset's policy answers, a person is asked where it says so.

The same call is used to ask, to ask again after an approval and, with ``dry_run``, to see what the
answer would be. Each authority decides alone about its own assets, knowing the whole spec. Runs are asked for here,
cells of sessions in :mod:`~sls_jupyter.authority.cells`; both are decided by the same functions.

Signatures, policies and owners' modules take their time outside the write lock: :func:`settle` decides first,
then locks, and begins anew if anything that the decision was made from has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import catalogue, inbox
from sls_jupyter.authority import store as db
from sls_jupyter.authority.answers import MAX_PARAMETERS_BYTES
from sls_jupyter.authority.catalogue import Published
from sls_jupyter.authority.inbox import Answer, approvers_of
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import parse_order, read_spec
from sls_jupyter.authority.standing import Heard, hear, verdict_ids
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import digest, sign, verify
from sls_jupyter.errors import AccessDenied, BadInput, NotAuthorised, TooManyRequests, Unavailable
from sls_jupyter.identity import Contact, verify_signature
from sls_jupyter.policy.decide import AssetFacts, Decision, DecisionInput, RequestFacts, decide

GRANT_SECONDS = 24 * 3600
MAX_CODE_BYTES = 1 << 20  # of all cells together
MAX_UNKNOWN_GRANTS = 1000  # runs and cells of requesters whom no policy names, granted within a day
MAX_UNKNOWN_GRANT_BYTES = 64 * 2**20  # of what they ask for, within a day
NO_PARAMETERS = (b"", b'{"frames":{},"values":{}}')  # what a request may leave out
_ATTEMPTS = 8

T = TypeVar("T")
R = TypeVar("R")
Decisions = tuple[tuple[str, Decision], ...]  # (asset id, decision)

# what every decision reads, built once: putting a statement together takes longer than running it
_assets, _orders, _releases = db.assets, db.orders, db.releases
_session: sa.BindParameter[str] = sa.bindparam("session")
_cell: sa.BindParameter[int] = sa.bindparam("cell")
_asset: sa.BindParameter[str] = sa.bindparam("asset")
_spec: sa.BindParameter[str] = sa.bindparam("spec")
_newest = (_orders.c.number.desc(), _orders.c.seq.desc())
_STATES = sa.select(_assets.c.id, _assets.c.state, _assets.c.runs).where(
    _assets.c.id.in_(sa.bindparam("assets", expanding=True))
)
_RELEASED = sa.select(_releases.c.asset).where(_releases.c.spec == _session, _releases.c.asset == _asset)
_ORDERED = sa.select(_orders.c.id).where(_orders.c.session == _session, _orders.c.number == _cell).limit(1)
_ORDER_BEFORE = (
    sa.select(_orders.c.envelope)
    .where(_orders.c.session == _session, _orders.c.number < _cell)
    .order_by(*_newest)
    .limit(1)
)
_NEWEST_ORDER = (
    sa.select(_orders.c.number, _orders.c.id).where(_orders.c.session == _session).order_by(*_newest).limit(1)
)
_SPEC = sa.select(db.specs.c.id).where(db.specs.c.id == _spec)
_GRANT = sa.select(db.grants.c.envelope).where(db.grants.c.spec == _spec, db.grants.c.asset == _asset)


def verify_spec(authority: Authority, envelope: bytes, caller: str | None) -> StreamSpec:
    """The spec in a signed envelope, current and about this authority.

    Raises:
        SignatureInvalid, MalformedDocument, NotAuthorised, BadInput.
    """
    spec = read_spec(envelope)
    if caller is not None and caller != spec.requester:
        raise NotAuthorised("Only its requester can send a spec.", found=caller, expected=spec.requester)
    now = authority.clock()
    if not spec.issued_at - 60 <= now < spec.expires_at:
        raise BadInput(
            "The spec is not valid at this time.",
            found=f"now {now}",
            expected=f"{spec.issued_at} to {spec.expires_at}",
            hint="Run the cell again for a fresh spec; if it persists, set this machine's clock.",
        )
    if not spec.inputs_of(authority.did):
        raise BadInput("The spec names no asset of this authority.", expected=authority.did)
    return spec


# --- what a decision is made from ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One asset's decision before it is made: all that it is made from, read at one time."""

    published: Published
    facts: DecisionInput

    def decide(self) -> Decision:
        """Blocks for as long as the owner's own module takes; not for a transaction."""
        return decide(self.published.policy, self.published.module, self.facts)

    @property
    def counts_runs(self) -> bool:
        """Whether another run of the asset could change the decision."""
        return self.published.policy.max_runs is not None or self.published.module is not None


def case_of(
    connection: Connection,
    authority: Authority,
    heard: Heard,
    item: AssetInput,
    claims: dict[str, Any] | None = None,
    also: Approval | None = None,
) -> Case:
    """The case of one asset; with ``claims`` (of verified evidence) it is the one at release.

    Args:
        heard: what people said of what is asked for.
        also: an approval that is not stored yet.

    Raises:
        UnknownName. AccessDenied: the asset is not granted any more. BadInput: the spec describes it wrongly.
    """
    asked, published = heard.asked, catalogue.find(connection, item.asset)
    _require_active(published)
    told = (item.kind, item.owner, item.authority_url)  # keys are asked for, and the end is told, where its owner said
    if told != (published.manifest.kind, published.manifest.owner, published.manifest.authority_url):
        raise BadInput(f"The spec describes {published.manifest.name} wrongly.", hint="Look it up again and run again.")
    verdicts = heard.counting(approvers_of(published), authority.clock(), also)
    manifest, facts = published.manifest, RequestFacts.of(asked, item, granted=granted_before(connection, asked))
    request = DecisionInput(
        phase="grant" if claims is None else "release",
        now=authority.clock(),
        asset=AssetFacts(
            id=published.id,
            kind=manifest.kind,
            name=manifest.name,
            owner=manifest.owner,
            columns=manifest.columns if manifest.kind == "table" else None,
        ),
        # a code asset does not judge itself, only the code it runs with
        request=facts.model_copy(update={"code": tuple(code for code in facts.code if code != published.id)}),
        approvals=tuple(
            one.approver for one in verdicts if isinstance(one, Approval) and one.expires_at > authority.clock()
        ),
        denied=tuple(one.reason for one in verdicts if isinstance(one, Denial)),
        runs=published.runs - _counted(connection, asked, published.id),
        claims=claims,
    )
    return Case(published, request)


def _require_active(published: Published) -> None:
    name = published.manifest.name
    if published.state == "superseded":
        raise AccessDenied(
            f"There is a newer version of {name}, and this request names an older one.",
            found=published.id,
            expected="the version that is active",
            hint="Run the cell again: it then asks for the newer version, under its policy.",
        )
    if published.state != "active":
        raise AccessDenied(
            f"The asset {name} is {published.state}.",
            hint="Its owner took it back; look for a newer version with %sls assets, and run the cell again.",
        )


def _counted(connection: Connection, asked: Proposal, asset: str) -> int:
    """1 if this very cell is among the asset's runs already: the first since its keys were released, others since a grant."""
    if asked.number is None:
        return 0
    if asked.number == 1:
        found = connection.execute(_RELEASED, {"session": asked.spec_digest, "asset": asset}).first()
    else:
        found = connection.execute(_ORDERED, {"session": asked.spec_digest, "cell": asked.number}).first()
    return int(found is not None)


def granted_before(connection: Connection, asked: Proposal) -> int:
    """How many of a session's cells before this one were granted here, from the first on; 0 for a run."""
    if asked.number is None:
        return 0
    envelope = connection.execute(_ORDER_BEFORE, {"session": asked.spec_digest, "cell": asked.number}).scalar()
    if envelope is None:
        return 0
    last = parse_order(envelope)  # verified when it was kept
    return last.number if last.cells == asked.cells[: last.number] else 0


# --- deciding outside the lock --------------------------------------------------------------------


def settle(
    authority: Authority,
    asked: Proposal,
    items: Sequence[AssetInput],
    prepare: Callable[[Sequence[Case], Decisions], T],
    write: Callable[[Connection, T], R],
    *,
    claims: dict[str, Any] | None = None,
    also: Approval | None = None,
) -> R:
    """Decide about ``items``, then write what follows from it in one transaction.

    Args:
        prepare: all that is dear, with nothing locked.
        write: within the write lock, when nothing has changed that the decisions were made from. Both may be
            called again after a change.

    Raises:
        Unavailable: it changed again and again. What :func:`case_of`, ``prepare`` and ``write`` raise.
    """
    for _ in range(_ATTEMPTS):
        with authority.store.read() as connection:
            heard = hear(connection, asked)
            cases = [case_of(connection, authority, heard, item, claims, also) for item in items]
            counted = frozenset(case.published.id for case in cases if case.counts_runs)
            seen = _stamp(connection, asked, items, counted, heard.ids)
        ready = prepare(cases, tuple((case.published.id, case.decide()) for case in cases))
        with authority.store.write() as connection:
            if _stamp(connection, asked, items, counted, verdict_ids(connection, asked)) == seen:
                return write(connection, ready)
    raise Unavailable("Too much happens to these assets at once.", hint="Try again.")


def _stamp(
    connection: Connection,
    asked: Proposal,
    items: Sequence[AssetInput],
    counted: frozenset[str],
    verdicts: frozenset[str],
) -> object:
    """What decisions depend on and that may change: states, numbers of runs, verdicts, a session's chain."""
    found = connection.execute(_STATES, {"assets": [item.asset for item in items]}).all()
    states = {row.id: (row.state, row.runs if row.id in counted else None) for row in found}
    chain = None if asked.number is None else newest_order(connection, asked.spec_digest)
    return states, verdicts, chain


def newest_order(connection: Connection, session: str) -> tuple[int, str] | None:
    """Number and digest of the newest order of a session that was granted here."""
    row = connection.execute(_NEWEST_ORDER, {"session": session}).first()
    return None if row is None else (row.number, row.id)


# --- asking ---------------------------------------------------------------------------------------


def submit(
    authority: Authority,
    caller: str,
    spec_envelope: bytes,
    code: str,
    contact: bytes | None,
    parameters: bytes | None = None,
    *,
    dry_run: bool = False,
) -> Answer:
    """Ask for grants on every asset of this authority that the spec names.

    Args:
        code: the cell's exact text; its digest must be the spec's.
        contact: the requester's signed contact, so that an approver sees a name.
        parameters: the bundle's bytes; their digest must be the spec's.
        dry_run: decide and write nothing.

    Raises:
        BadInput, NotAuthorised, SignatureInvalid, UnknownName. A denial is an answer, not an error.
        TooManyRequests: of requesters whom no policy names.
    """
    inbox.require_not_muted(authority, caller)
    asked = Proposal(verify_spec(authority, spec_envelope, caller))
    texts = (CellText(code, parameters if parameters is not None else _left_out(asked.spec)),)
    require_fitting(asked, texts, contact)
    if dry_run:
        return tried(authority, asked)

    def prepare(cases: Sequence[Case], decisions: Decisions) -> inbox.Asked:
        answer = Answer(asked.terms, decisions, grants_for(authority, asked.spec, decisions))
        assets = tuple(case.published for case in cases)
        return inbox.Asked(asked, spec_envelope, None, texts, contact, assets, answer)

    items = asked.spec.inputs_of(authority.did)
    return settle(authority, asked, items, prepare, lambda connection, ready: _write(connection, authority, ready))


def tried(authority: Authority, asked: Proposal) -> Answer:
    """What the answer would be; nothing is written and nothing granted."""
    with authority.store.read() as connection:
        heard = hear(connection, asked)
        cases = [case_of(connection, authority, heard, item) for item in asked.spec.inputs_of(authority.did)]
    return Answer(asked.terms, tuple((case.published.id, case.decide()) for case in cases), ())


def _left_out(spec: StreamSpec) -> bytes:
    """The parameters of a request that brings none."""
    return next((one for one in NO_PARAMETERS if digest(one) == spec.parameters), b"")


def require_fitting(asked: Proposal, texts: Sequence[CellText], contact: bytes | None) -> None:
    """Texts and contact are within their bounds, and those of this proposal.

    Raises:
        BadInput: too large. DigestMismatch: other texts. NotAuthorised: somebody else's contact.
    """
    code = sum(len(one.code.encode()) for one in texts)
    parameters = sum(len(one.parameters) for one in texts)
    what = "cell is" if asked.number is None else "cells of a session are, together,"
    if code > MAX_CODE_BYTES:
        raise BadInput(f"The {what} too long.", found=f"{code} bytes", expected=f"{MAX_CODE_BYTES} at most")
    if parameters > MAX_PARAMETERS_BYTES:
        raise BadInput(
            "The parameters are too large.", found=f"{parameters} bytes", expected=f"{MAX_PARAMETERS_BYTES} at most"
        )
    asked.require_texts(texts)
    if contact is not None and verify(contact, Contact, verify_signature, did=None).did != asked.spec.requester:
        raise NotAuthorised("The contact is somebody else's.", expected=asked.spec.requester)


def _write(connection: Connection, authority: Authority, asked: inbox.Asked) -> Answer:
    answer = asked.answer
    if answer.grants:
        answer = Answer(answer.request, answer.decisions, keep_grants(connection, authority, asked))
    inbox.remember(connection, authority, asked)
    return answer


def keep_grants(connection: Connection, authority: Authority, asked: inbox.Asked) -> tuple[bytes, ...]:
    """Store the grants with their spec; a spec that was granted before keeps the ones it has."""
    spec, id_ = asked.proposal.spec, asked.proposal.spec_digest
    if connection.execute(_SPEC, {"spec": id_}).first() is None:
        known = asked.is_known
        if not known:
            require_room(connection, authority)
        values = {"id": id_, "envelope": asked.envelope, "requester": spec.requester, "known": known}
        connection.execute(sa.insert(db.specs).values(**values, at=authority.clock()))
    kept = []
    for (asset, _), grant in zip(asked.answer.decisions, asked.answer.grants, strict=True):
        envelope = connection.execute(_GRANT, {"spec": id_, "asset": asset}).scalar()
        if envelope is None:
            envelope = grant
            connection.execute(sa.insert(db.grants).values(spec=id_, asset=asset, envelope=grant))
        kept.append(envelope)
    return tuple(kept)


def _number_and_bytes(rows: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.func.length(rows.c.envelope)), 0))


def require_room(connection: Connection, authority: Authority) -> None:
    """Raise :class:`TooManyRequests` when requesters whom no policy names were granted enough today."""
    rows, orders, since = db.specs, db.orders, authority.clock() - 86_400
    runs = _number_and_bytes(rows).where(rows.c.known.is_(False), rows.c.at > since)
    more = _number_and_bytes(orders).select_from(orders.join(rows, orders.c.session == rows.c.id))
    more = more.where(rows.c.known.is_(False), orders.c.at > since)
    some, others = connection.execute(runs).one(), connection.execute(more).one()
    number, size = int(some[0] + others[0]), int(some[1] + others[1])
    if number >= MAX_UNKNOWN_GRANTS or size >= MAX_UNKNOWN_GRANT_BYTES:
        raise TooManyRequests(
            "Too many runs of requesters whom no policy names were granted today.",
            found=f"{number}, of {size} bytes",
            expected=f"{MAX_UNKNOWN_GRANTS}, of {MAX_UNKNOWN_GRANT_BYTES} bytes, in a day",
            hint="Ask the owner to name you: %seal … --requester DID",
        )


def grants_for(authority: Authority, spec: StreamSpec, decisions: Decisions) -> tuple[bytes, ...]:
    """Signed grants, all of them or none."""
    if any(decision.verdict != "allow" for _, decision in decisions):
        return ()
    now = authority.clock()
    return tuple(
        sign(
            Grant(
                authority=authority.did,
                spec=spec.digest,
                asset=asset,
                columns=decision.columns,
                obligations=decision.obligations,
                tees=decision.tees,
                issued_at=now,
                expires_at=min(now + GRANT_SECONDS, spec.expires_at),
            ),
            authority.identity,
        )
        for asset, decision in decisions
    )

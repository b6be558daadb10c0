"""Decisions: a spec comes in, every asset's policy answers, a person is asked where it says so.

The same call is used to ask, to ask again after an approval and, with ``dry_run``, to see what the
answer would be. Each authority decides alone about its own assets, knowing the whole spec.

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
from sls_jupyter.authority.specs import read_spec
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import digest, sign, verify
from sls_jupyter.errors import AccessDenied, BadInput, DigestMismatch, NotAuthorised, TooManyRequests, Unavailable
from sls_jupyter.identity import Contact, verify_signature
from sls_jupyter.policy.decide import AssetFacts, Decision, DecisionInput, RequestFacts, decide

GRANT_SECONDS = 24 * 3600
MAX_CODE_BYTES = 1 << 20
MAX_UNKNOWN_GRANTS = 1000  # specs of requesters whom no policy names, granted within a day
NO_PARAMETERS = (b"", b'{"frames":{},"values":{}}')  # what a request may leave out
_ATTEMPTS = 8

T = TypeVar("T")
R = TypeVar("R")
Decisions = tuple[tuple[str, Decision], ...]  # (asset id, decision)


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
    spec: StreamSpec,
    item: AssetInput,
    claims: dict[str, Any] | None = None,
    also: Approval | None = None,
) -> Case:
    """The case of one asset; with ``claims`` (of verified evidence) it is the one at release.

    Args:
        also: an approval that is not stored yet.

    Raises:
        UnknownName. AccessDenied: the asset is not granted any more. BadInput: the spec describes it wrongly.
    """
    published = catalogue.find(connection, item.asset)
    _require_active(published)
    told = (item.kind, item.owner, item.authority_url)  # keys are asked for, and the end is told, where its owner said
    if told != (published.manifest.kind, published.manifest.owner, published.manifest.authority_url):
        raise BadInput(f"The spec describes {published.manifest.name} wrongly.", hint="Look it up again and run again.")
    verdicts = _verdicts(connection, spec, approvers_of(published), also)
    manifest, facts = published.manifest, RequestFacts.of(spec, item)
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
        runs=runs_of(connection, published.id),
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


def runs_of(connection: Connection, asset: str) -> int:
    """How many specs an asset's keys were released for."""
    return int(connection.execute(sa.select(db.assets.c.runs).where(db.assets.c.id == asset)).scalar_one())


def _verdicts(
    connection: Connection, spec: StreamSpec, approvers: tuple[str, ...], also: Approval | None
) -> list[Approval | Denial]:
    """The newest verdict of each approver of this asset on these terms."""
    query = sa.select(db.verdicts).where(db.verdicts.c.request == spec.terms, db.verdicts.c.approver.in_(approvers))
    found: list[Approval | Denial] = []
    for row in connection.execute(query).mappings():
        cls: type[Approval | Denial] = Approval if row["approved"] else Denial
        found.append(verify(row["envelope"], cls, verify_signature, did=row["approver"]))
    newest: dict[str, Approval | Denial] = {}
    for verdict in [*found, *([also] if also is not None and also.approver in approvers else [])]:
        known = newest.get(verdict.approver)
        if known is None or verdict.issued_at >= known.issued_at:
            newest[verdict.approver] = verdict
    return list(newest.values())


# --- deciding outside the lock --------------------------------------------------------------------


def settle(
    authority: Authority,
    spec: StreamSpec,
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
            cases = [case_of(connection, authority, spec, item, claims, also) for item in items]
            counted = frozenset(case.published.id for case in cases if case.counts_runs)
            seen = _stamp(connection, spec, items, counted)
        ready = prepare(cases, tuple((case.published.id, case.decide()) for case in cases))
        with authority.store.write() as connection:
            if _stamp(connection, spec, items, counted) == seen:
                return write(connection, ready)
    raise Unavailable("Too much happens to these assets at once.", hint="Try again.")


def _stamp(connection: Connection, spec: StreamSpec, items: Sequence[AssetInput], counted: frozenset[str]) -> object:
    """What decisions about a spec depend on and that may change: states, numbers of runs, verdicts."""
    rows, ids = db.assets, [item.asset for item in items]
    query = sa.select(rows.c.id, rows.c.state, rows.c.runs).where(rows.c.id.in_(ids))
    found = connection.execute(query).all()
    states = {row.id: (row.state, row.runs if row.id in counted else None) for row in found}
    verdicts = connection.execute(sa.select(db.verdicts.c.id).where(db.verdicts.c.request == spec.terms)).scalars()
    return states, frozenset(verdicts)


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
    spec = verify_spec(authority, spec_envelope, caller)
    bundle = _fitting_parameters(spec, parameters)
    _require_fitting(spec, code, contact)
    items = spec.inputs_of(authority.did)
    if dry_run:
        with authority.store.read() as connection:
            cases = [case_of(connection, authority, spec, item) for item in items]
        return Answer(spec.terms, tuple((case.published.id, case.decide()) for case in cases), ())

    def prepare(cases: Sequence[Case], decisions: Decisions) -> inbox.Asked:
        answer = Answer(spec.terms, decisions, _grants(authority, spec, decisions))
        assets = tuple(case.published for case in cases)
        return inbox.Asked(spec, spec_envelope, code, contact, bundle, assets, answer)

    return settle(authority, spec, items, prepare, lambda connection, asked: _write(connection, authority, asked))


def _fitting_parameters(spec: StreamSpec, parameters: bytes | None) -> bytes:
    if parameters is None:
        parameters = next((one for one in NO_PARAMETERS if digest(one) == spec.parameters), b"")
    if len(parameters) > MAX_PARAMETERS_BYTES:
        raise BadInput(
            "The parameters are too large.",
            found=f"{len(parameters)} bytes",
            expected=f"{MAX_PARAMETERS_BYTES} at most",
        )
    if digest(parameters) != spec.parameters:
        raise DigestMismatch(
            "The parameters are not the ones that the spec names.", found=digest(parameters), expected=spec.parameters
        )
    return parameters


def _require_fitting(spec: StreamSpec, code: str, contact: bytes | None) -> None:
    data = code.encode()
    if len(data) > MAX_CODE_BYTES:
        raise BadInput("The cell is too long.", found=f"{len(data)} bytes", expected=f"{MAX_CODE_BYTES} at most")
    if digest(data) != spec.code:
        raise DigestMismatch("The code is not the one the spec names.", found=digest(data), expected=spec.code)
    if contact is not None and verify(contact, Contact, verify_signature, did=None).did != spec.requester:
        raise NotAuthorised("The contact is somebody else's.", expected=spec.requester)


def _write(connection: Connection, authority: Authority, asked: inbox.Asked) -> Answer:
    answer = asked.answer
    if answer.grants:
        answer = Answer(answer.request, answer.decisions, _keep_grants(connection, authority, asked))
    inbox.remember(connection, authority, asked)
    return answer


def _keep_grants(connection: Connection, authority: Authority, asked: inbox.Asked) -> tuple[bytes, ...]:
    """Store the grants with their spec; a spec that was granted before keeps the ones it has."""
    spec, specs, rows = asked.spec, db.specs, db.grants
    if connection.execute(sa.select(specs.c.id).where(specs.c.id == spec.digest)).first() is None:
        known = asked.is_known
        if not known:
            _require_room(connection, authority)
        values = {"id": spec.digest, "envelope": asked.envelope, "requester": spec.requester, "known": known}
        connection.execute(sa.insert(specs).values(**values, at=authority.clock()))
    kept = []
    for (asset, _), grant in zip(asked.answer.decisions, asked.answer.grants, strict=True):
        where = (rows.c.spec == spec.digest) & (rows.c.asset == asset)
        envelope = connection.execute(sa.select(rows.c.envelope).where(where)).scalar()
        if envelope is None:
            envelope = grant
            connection.execute(sa.insert(rows).values(spec=spec.digest, asset=asset, envelope=grant))
        kept.append(envelope)
    return tuple(kept)


def _require_room(connection: Connection, authority: Authority) -> None:
    rows, since = db.specs, authority.clock() - 86_400
    query = sa.select(sa.func.count()).where(rows.c.known.is_(False), rows.c.at > since)
    if connection.execute(query).scalar_one() >= MAX_UNKNOWN_GRANTS:
        raise TooManyRequests(
            "Too many runs of requesters whom no policy names were granted today.",
            expected=f"{MAX_UNKNOWN_GRANTS} in a day",
            hint="Ask the owner to name you: %seal … --requester DID",
        )


def _grants(authority: Authority, spec: StreamSpec, decisions: Decisions) -> tuple[bytes, ...]:
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

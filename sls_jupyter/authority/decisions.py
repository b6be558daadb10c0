"""Decisions: a spec comes in, every asset's policy answers, a person is asked where it says so.

The same call is used to ask, to ask again after an approval and, with ``dry_run``, to see what the
answer would be. Each authority decides alone about its own assets, knowing the whole spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.answers import RequestDetail, RequestPage, RequestSummary
from sls_jupyter.authority.catalogue import Published
from sls_jupyter.authority.service import Authority
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.spec import AssetInput, StreamSpec, verify_stream_spec
from sls_jupyter.documents import D, b64encode, digest, require_digest, sign, verify
from sls_jupyter.errors import AccessDenied, BadInput, DigestMismatch, NotAuthorised, UnknownName
from sls_jupyter.identity import Contact, verify_signature
from sls_jupyter.policy.decide import AssetFacts, Decision, DecisionInput, RequestFacts, decide
from sls_jupyter.transparency.entries import EntryKind

GRANT_SECONDS = 24 * 3600
MAX_CODE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authority says to a spec."""

    request: str  # id of the request in the inbox: the spec's terms
    decisions: tuple[tuple[str, Decision], ...]  # (asset id, decision)
    grants: tuple[bytes, ...]  # DSSE, one for each of its assets, or none at all

    @property
    def verdict(self) -> str:
        """deny beats ask beats allow."""
        found = {decision.verdict for _, decision in self.decisions}
        return next(verdict for verdict in ("deny", "ask", "allow") if verdict in found)


def verify_spec(authority: Authority, envelope: bytes, caller: str | None) -> StreamSpec:
    """The spec in a signed envelope, current and about this authority.

    Raises:
        SignatureInvalid, MalformedDocument, NotAuthorised, BadInput.
    """
    spec = verify_stream_spec(envelope)
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


def submit(
    authority: Authority,
    caller: str,
    spec_envelope: bytes,
    code: str,
    contact: bytes | None,
    parameters: bytes = b"",
    *,
    dry_run: bool = False,
) -> Answer:
    """Ask for grants on every asset of this authority that the spec names.

    Args:
        code: the cell's exact text; its digest must be the spec's.
        contact: the requester's signed contact, so that an approver sees a name.
        parameters: the bundle whose digest is the spec's, for approvers to read.
        dry_run: decide and write nothing.

    Raises:
        BadInput, NotAuthorised, SignatureInvalid, UnknownName. A denial is an answer, not an error.
    """
    spec = verify_spec(authority, spec_envelope, caller)
    if len(code.encode()) > MAX_CODE_BYTES:
        raise BadInput(
            "The cell is too long.", found=f"{len(code.encode())} bytes", expected=f"{MAX_CODE_BYTES} at most"
        )
    if digest(code.encode()) != spec.code:
        raise DigestMismatch("The code is not the one the spec names.", found=digest(code.encode()), expected=spec.code)
    require_digest(parameters, spec.parameters, "the parameters")
    if contact is not None and verify(contact, Contact, verify_signature, did=None).did != caller:
        raise NotAuthorised("The contact is somebody else's.", expected=caller)
    if dry_run:
        with authority.store.read() as connection:
            return Answer(spec.terms, _decide_all(connection, authority, spec), ())
    with authority.store.write() as connection:
        decisions = _decide_all(connection, authority, spec)
        answer = Answer(spec.terms, decisions, _grants(connection, authority, spec, decisions))
        if answer.grants:
            _keep_spec(connection, spec, spec_envelope)
        _remember(connection, authority, spec, spec_envelope, (code, parameters, contact), answer)
        return answer


def _decide_all(connection: Connection, authority: Authority, spec: StreamSpec) -> tuple[tuple[str, Decision], ...]:
    return tuple((item.asset, decide_one(connection, authority, spec, item)) for item in spec.inputs_of(authority.did))


def decide_one(
    connection: Connection,
    authority: Authority,
    spec: StreamSpec,
    item: AssetInput,
    claims: dict[str, Any] | None = None,
) -> Decision:
    """One asset's decision on a spec; with ``claims`` (of verified evidence) it is the one at release."""
    published = catalogue.find(connection, item.asset)
    if published.state != "active":
        raise AccessDenied(
            f"The asset {published.manifest.name} is {published.state}.",
            hint="Its owner took it back; look for a newer version with %sls assets.",
        )
    told = (item.kind, item.owner, item.authority_url)  # keys are asked for, and the end is told, where its owner said
    if told != (published.manifest.kind, published.manifest.owner, published.manifest.authority_url):
        raise BadInput(f"The spec describes {published.manifest.name} wrongly.", hint="Look it up again and run again.")
    approvers = published.policy.approvers or (published.policy.owner,)
    verdicts = _verdicts(connection, spec, approvers)
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
    return decide(published.policy, published.module, request)


def runs_of(connection: Connection, asset: str) -> int:
    """How many specs an asset's keys were released for."""
    query = sa.select(sa.func.count()).select_from(db.releases).where(db.releases.c.asset == asset)
    return int(connection.execute(query).scalar_one())


def _verdicts(connection: Connection, spec: StreamSpec, approvers: tuple[str, ...]) -> list[Approval | Denial]:
    """The newest verdict of each approver of this asset on these terms."""
    query = sa.select(db.verdicts).where(db.verdicts.c.request == spec.terms)
    newest: dict[str, Approval | Denial] = {}
    for row in connection.execute(query).mappings():
        cls: type[Approval | Denial] = Approval if row["approved"] else Denial
        verdict = verify(row["envelope"], cls, verify_signature, did=row["approver"])
        known = newest.get(verdict.approver)
        if verdict.approver in approvers and (known is None or verdict.issued_at >= known.issued_at):
            newest[verdict.approver] = verdict
    return list(newest.values())


def _grants(
    connection: Connection, authority: Authority, spec: StreamSpec, decisions: tuple[tuple[str, Decision], ...]
) -> tuple[bytes, ...]:
    """Signed grants, all of them or none; a spec that was granted before gets the same ones."""
    if any(decision.verdict != "allow" for _, decision in decisions):
        return ()
    envelopes = []
    now = authority.clock()
    for asset, decision in decisions:
        where = (db.grants.c.spec == spec.digest) & (db.grants.c.asset == asset)
        known = connection.execute(sa.select(db.grants.c.envelope).where(where)).scalar()
        if known is None:
            grant = Grant(
                authority=authority.did,
                spec=spec.digest,
                asset=asset,
                columns=decision.columns,
                obligations=decision.obligations,
                tees=decision.tees,
                issued_at=now,
                expires_at=min(now + GRANT_SECONDS, spec.expires_at),
            )
            known = sign(grant, authority.identity)
            connection.execute(sa.insert(db.grants).values(spec=spec.digest, asset=asset, envelope=known))
        envelopes.append(known)
    return tuple(envelopes)


def _keep_spec(connection: Connection, spec: StreamSpec, envelope: bytes) -> None:
    """Keep each granted spec: the request itself holds only the newest one on its terms."""
    if connection.execute(sa.select(db.specs.c.id).where(db.specs.c.id == spec.digest)).first() is None:
        connection.execute(sa.insert(db.specs).values(id=spec.digest, envelope=envelope))


def _remember(
    connection: Connection,
    authority: Authority,
    spec: StreamSpec,
    envelope: bytes,
    material: tuple[str, bytes, bytes | None],
    answer: Answer,
) -> None:
    """Keep the request for the inbox and log what changed; asking again changes nothing."""
    rows, where = db.requests, db.requests.c.id == spec.terms
    code, parameters, contact = material
    state = {"allow": "granted", "ask": "open", "deny": "denied"}[answer.verdict]
    known = connection.execute(sa.select(rows.c.state, rows.c.spec).where(where)).mappings().first()
    meaning = {"spec": spec.digest, "terms": spec.terms, "requester": spec.requester}
    events = []
    if known is None:
        values: dict[str, Any] = {"id": spec.terms, "requester": spec.requester, "code": code, "parameters": parameters}
        values |= {"created_at": authority.clock()}
        connection.execute(sa.insert(rows).values(**values, spec=envelope, contact=contact, state=state))
        events.append(ledger.Event("request.received", spec.digest, meaning))
    elif known["spec"] == envelope and known["state"] == state:
        return
    connection.execute(sa.update(rows).where(where).values(spec=envelope, state=state))
    reasons = {reason.code for _, decision in answer.decisions for reason in decision.reasons}
    known_codes = ",".join(sorted(code for code in reasons if re.fullmatch(r"[a-z0-9._-]{1,40}", code)))[:400]
    facts: dict[str, str | int | bool] = {
        "verdict": answer.verdict,
        "assets": len(answer.decisions),
        "reasons": known_codes,
    }
    events.append(ledger.Event("decision.made", spec.digest, meaning, facts))
    ledger.append(connection, authority, events)


# --- approvers ------------------------------------------------------------------------------------


def inbox(authority: Authority, caller: str, *, after: int | None = None, limit: int = 100) -> RequestPage:
    """Requests the caller may decide on or has made, newest first, without their code."""
    with authority.store.read() as connection:
        rows = connection.execute(sa.select(db.requests).order_by(db.requests.c.created_at.desc())).mappings()
        found = [
            RequestSummary(**_summary(row, seq))
            for seq, row in enumerate(rows)
            if _concerns(connection, authority, caller, row)
        ]
    left = [one for one in found if after is None or one.seq > after]
    page = tuple(left[:limit])
    return RequestPage(requests=page, next=page[-1].seq if len(left) > limit else None)


def one_request(authority: Authority, caller: str, terms: str) -> RequestDetail:
    """A request with everything needed to judge it."""
    with authority.store.read() as connection:
        row = connection.execute(sa.select(db.requests).where(db.requests.c.id == terms)).mappings().first()
        if row is None or not _concerns(connection, authority, caller, row):
            raise UnknownName("There is no such request.", found=terms[:80], hint="%sls requests lists them.")
        return RequestDetail(**_summary(row, 0), code=row["code"], parameters=b64encode(row["parameters"] or b""))


def _concerns(connection: Connection, authority: Authority, caller: str, row: Any) -> bool:
    spec = verify_stream_spec(row["spec"])
    assets = [catalogue.find(connection, item.asset) for item in spec.inputs_of(authority.did)]
    return caller == spec.requester or any(caller in _approvers(published) for published in assets)


def _summary(row: Any, seq: int) -> dict[str, Any]:
    contact = row["contact"]
    told = {"id": row["id"], "seq": seq, "state": row["state"], "created_at": row["created_at"]}
    return {**told, "spec": row["spec"].decode(), "contact": None if contact is None else contact.decode()}


def _approvers(published: Published) -> tuple[str, ...]:
    return published.policy.approvers or (published.policy.owner,)


def record_verdict(authority: Authority, caller: str, envelope: bytes, *, approved: bool) -> int:
    """Store an approver's signed yes or no; returns the index of its log entry.

    The same verdict again changes nothing. The request stays open while other approvals are missing.

    Raises:
        SignatureInvalid, NotAuthorised: the caller did not sign it, or may not decide on any of the assets.
        UnknownName: nothing was asked on these terms.
        DigestMismatch: the approval is for other code. BadInput: it has expired.
        AccessDenied: one of the assets was taken back.
    """
    if approved:
        return _record(authority, caller, envelope, Approval)
    return _record(authority, caller, envelope, Denial)


def _record(authority: Authority, caller: str, envelope: bytes, cls: type[D]) -> int:
    verdict: Any = verify(envelope, cls, verify_signature, did=caller)
    if verdict.authority != authority.did:
        raise NotAuthorised("The verdict is for another authority.", found=verdict.authority, expected=authority.did)
    approved = isinstance(verdict, Approval)
    kind: EntryKind = "approval.given" if approved else "denial.given"
    rows, where = db.requests, db.requests.c.id == verdict.terms
    with authority.store.write() as connection:
        row = connection.execute(sa.select(rows.c.spec).where(where)).first()
        if row is None:
            raise UnknownName(
                "Nothing was asked on these terms.", found=verdict.terms, hint="%sls requests lists them."
            )
        spec = verify_stream_spec(row.spec)
        _require_fitting(connection, authority, caller, verdict, spec)
        if connection.execute(sa.select(db.verdicts.c.id).where(db.verdicts.c.id == verdict.digest)).first():
            return cast(int, ledger.last(connection, spec.terms, kind))
        values = {"id": verdict.digest, "request": spec.terms, "approver": caller, "approved": approved}
        connection.execute(sa.insert(db.verdicts).values(**values, envelope=envelope))
        state = "denied"
        if approved:
            answer = Answer(spec.terms, _decide_all(connection, authority, spec), ())
            state = "open" if answer.verdict == "ask" else "approved"
        connection.execute(sa.update(rows).where(where).values(state=state))
        meaning = {"terms": spec.terms, "approver": caller, "requester": spec.requester}
        return ledger.append(connection, authority, [ledger.Event(kind, spec.terms, meaning)])


def _require_fitting(
    connection: Connection, authority: Authority, caller: str, verdict: Approval | Denial, spec: StreamSpec
) -> None:
    """The verdict is by an approver, about this spec's requester and code, and still counts."""
    assets = [catalogue.find(connection, item.asset) for item in spec.inputs_of(authority.did)]
    if not any(caller in _approvers(published) for published in assets):
        raise NotAuthorised("Only an approver named in the policy can decide.", found=caller)
    if verdict.requester != spec.requester:
        raise NotAuthorised("The verdict names another requester.", found=verdict.requester, expected=spec.requester)
    if isinstance(verdict, Denial):
        return
    if verdict.code != spec.code_digests:
        raise DigestMismatch("The approval is for other code.", expected=", ".join(spec.code_digests))
    if verdict.expires_at <= authority.clock():
        raise BadInput(
            "The approval has expired already.",
            found=f"it ended {authority.clock() - verdict.expires_at} s ago",
            hint="Approve again; if it persists, set this machine's clock.",
        )

"""The key broker: nine checks, and only then keys.

This file is the reason the rest exists. A guest asks for a challenge, answers it with evidence whose
REPORT_DATA binds the challenge to its own HPKE key, and gets the granted columns' keys sealed to that
key. The caller learns the number of the first check that failed. A refusal is logged when its challenge was
ours, so about a spec that was granted, and so many times for each; of anything else nothing is written.

Evidence, signatures and policy take their time outside the write lock. Within it stands only what can have
changed since: the challenge, the grant, the first run, and what the decision was made from.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.assets.azure.place import is_azure, parse_place
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.facts import endorsers_of
from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import AttestationResult, ReferenceValues, VerifiedEvidence
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.catalogue import Published
from sls_jupyter.authority.cells import first_cells
from sls_jupyter.authority.decisions import Case, Decisions, case_of, settle, verify_spec
from sls_jupyter.authority.protocol import pass_info, release_info
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import read_spec
from sls_jupyter.authority.standing import hear
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import b64encode, canonical_json, digest, verify
from sls_jupyter.errors import BadInput, EvidenceRejected, KeyRefused, SlsError, Unavailable
from sls_jupyter.hpke import seal
from sls_jupyter.identity import verify_signature
from sls_jupyter.policy.decide import Decision
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.transparency.entries import EntryKind
from sls_jupyter.transparency.proofs import DisclosedEntry

CHALLENGE_SECONDS = 300
MAX_OPEN_CHALLENGES = 64  # of one spec
PASS_SECONDS = 900  # that a read pass holds longer than the run may take: keys come first, and clocks differ
MAX_REFUSALS = 64  # of one spec that are logged
EVIDENCE_CHECKS = (2, 3, 4, 5)


def challenge(authority: Authority, spec: str) -> bytes:
    """A fresh 32-byte nonce for one release, valid once and for five minutes.

    Raises:
        BadInput: nothing was granted to this spec here, or too many challenges are open.
    """
    nonce, now = secrets.token_bytes(32), authority.clock()
    rows = db.challenges
    with authority.store.read() as connection:  # for whoever made the spec up, nothing is locked
        if connection.execute(sa.select(db.grants.c.spec).where(db.grants.c.spec == spec).limit(1)).first() is None:
            raise BadInput("Nothing was granted to this spec here.", found=spec[:80], hint="Ask for a grant first.")
    with authority.store.write() as connection:
        connection.execute(sa.delete(rows).where(rows.c.expires_at <= now - CHALLENGE_SECONDS))
        query = sa.select(sa.func.count()).select_from(rows).where(rows.c.spec == spec, rows.c.expires_at > now)
        if connection.execute(query).scalar_one() >= MAX_OPEN_CHALLENGES:
            raise BadInput("Too many challenges are open for this spec.", hint="Wait five minutes.")
        values = {"nonce": nonce.hex(), "spec": spec, "expires_at": now + CHALLENGE_SECONDS}
        connection.execute(sa.insert(rows).values(**values))
    return nonce


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What a guest sends to get one asset's keys."""

    spec_envelope: bytes
    asset: str
    nonce: bytes  # 32, from challenge()
    hpke_public_key: bytes  # X-Wing, 1216
    evidence: bytes  # JSON of Evidence


@dataclass(frozen=True, slots=True)
class Released:
    """Keys on their way: only the guest that made ``hpke_public_key`` can open them."""

    sealed_keys: bytes
    columns: tuple[str, ...] | None
    logged: DisclosedEntry  # key.released, with its proof
    sealed_pass: bytes | None = None  # to read the parts, where only the owner's people may

    @property
    def entry(self) -> int:
        """Index of ``key.released`` in the log."""
        return self.logged.proof.index


@dataclass(frozen=True, slots=True)
class _Challenge:
    """A challenge that this authority gave."""

    spec: str
    expires_at: int


@contextmanager
def _failing(check: int, *passing: type[SlsError]) -> Iterator[None]:
    """Turn our own errors into the refusal of one numbered check, but for those in ``passing``."""
    try:
        yield
    except SlsError as error:
        if isinstance(error, (KeyRefused, *passing)):
            raise
        raise KeyRefused(
            check, error.message, found=error.found, expected=error.expected, hint=error.hint, detail=error.detail
        ) from None


@contextmanager
def _failing_at_the_log() -> Iterator[None]:
    """A database that cannot be written is check 8, whatever else is wrong."""
    try:
        yield
    except Unavailable as error:
        raise KeyRefused(
            8,
            "The log entry of this release cannot be written, so no key leaves.",
            found=error.found,
            expected="a database that can be written",
            hint=error.hint,
        ) from None


def release(authority: Authority, request: ReleaseRequest) -> Released:
    """Check everything, log it, and seal the granted columns' keys to the guest.

    The numbered steps are the list in the design (section 6). The spec of check 6 is verified before
    the claims are appraised, because HOST_DATA is rendered from it; a failure is reported under its own
    number all the same.

    Raises:
        KeyRefused: with the number of the first check that failed. The challenge is used up and the
            refusal is logged, unless the challenge was not ours (then nothing is written) or the log itself
            fails (check 8: then nothing at all was written).
    """
    with _failing_at_the_log():
        given = _given(authority, request)
        try:
            return _release(authority, request, given)
        except KeyRefused as error:
            _log_refusal(authority, request, given, error)
            raise


def _given(authority: Authority, request: ReleaseRequest) -> _Challenge:
    """The challenge that the request answers, if this authority gave it and nobody used it."""
    rows = db.challenges
    query = sa.select(rows.c.spec, rows.c.expires_at).where(rows.c.nonce == request.nonce.hex())
    with authority.store.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise _no_challenge("no such challenge")
    return _Challenge(row.spec, row.expires_at)


def _no_challenge(found: str) -> KeyRefused:
    return KeyRefused(
        1,
        "The challenge is unknown, used or too old.",
        found=found,
        expected=f"one of this authority for this spec, {CHALLENGE_SECONDS} seconds old at most",
        hint="Ask for a new challenge and answer it at once.",
    )


def _log_refusal(authority: Authority, request: ReleaseRequest, given: _Challenge, refusal: KeyRefused) -> None:
    """Use the challenge up, and log the refusal about its spec; of one spec so many."""
    rows, room = db.specs, db.specs.c.refusals < MAX_REFUSALS
    with authority.store.write() as connection:
        if not _consumed(connection, request):
            return
        more = sa.update(rows).where(rows.c.id == given.spec, room).values(refusals=rows.c.refusals + 1)
        if connection.execute(more).rowcount == 0:
            return
        meaning = {"asset": request.asset, "reason": refusal.message}
        kinds: list[EntryKind] = ["evidence.refused"] if refusal.check in EVIDENCE_CHECKS else []
        facts = {"check": refusal.check}
        events = [ledger.Event(kind, given.spec, meaning, facts) for kind in (*kinds, "key.refused")]
        ledger.append(connection, authority, events)


def _consumed(connection: Connection, request: ReleaseRequest) -> bool:
    """Whether the challenge was still there; it is not any more."""
    rows = db.challenges
    return connection.execute(sa.delete(rows).where(rows.c.nonce == request.nonce.hex())).rowcount == 1


def _release(authority: Authority, request: ReleaseRequest, given: _Challenge) -> Released:
    # 1. the challenge is for this spec and not older than five minutes
    _require_fresh(authority, request, given)

    # 2. evidence verifies up to a pinned vendor root
    with _failing(2):
        now = datetime.fromtimestamp(authority.clock(), UTC)
        verified = verify_evidence(Evidence.parse(request.evidence), authority.anchors, now=now)

    # 6a. the spec is signed by its requester, is current and names this asset
    with _failing(6, Unavailable), authority.store.read() as connection:
        spec = verify_spec(authority, request.spec_envelope, None)
        item = _input(spec, request.asset)
        published = catalogue.find(connection, item.asset)

    # 2-5. not debug, TCB not below the owner's minimum; REPORT_DATA; HOST_DATA; measurement
    result = _appraise(authority, request, spec, published, verified)

    # 6b. it was granted here, the grant still holds, and this spec has not run before
    with authority.store.read() as connection:
        _require_grant(connection, authority, spec, item)
        _require_first_run(connection, spec, item)
        _require_same_guest(connection, spec, result)

    # 7. the owner's policy, now with the claims in its input, says allow: of a session, to every first cell granted
    claims = result.claims.model_dump(mode="json")
    with authority.store.read() as connection:
        first = first_cells(connection, spec)
    if not first:
        raise KeyRefused(7, "No cell of this session was granted.", found="none", hint="Ask for its first cell.")
    *replaced, asked = first
    for one in replaced:
        with _failing(7, Unavailable):
            _require_allow(_decision(authority, one, item, claims))

    # 9. only then are the granted columns' keys sealed to the guest, with a pass for the storage where it takes one;
    #    they leave when 8 is done
    def prepare(_: Sequence[Case], decisions: Decisions) -> tuple[Decision, bytes, bytes | None]:
        decision = decisions[0][1]
        _require_allow(decision)
        sealed = _sealed(authority, request, spec, published, decision)
        return decision, sealed, _sealed_pass(authority, request, spec, published)

    # 8. the log entry is part of this transaction: no key leaves unless it commits
    def write(connection: Connection, ready: tuple[Decision, bytes, bytes | None]) -> Released:
        if not _consumed(connection, request):
            raise _no_challenge("a challenge that was used meanwhile")
        _require_first_run(connection, spec, item)
        _require_same_guest(connection, spec, result)
        decision, sealed, sealed_pass = ready
        logged = _record_release(connection, authority, request, spec, item, result, decision)
        return Released(sealed, decision.columns, logged, sealed_pass)

    with _failing(7, Unavailable):
        return settle(authority, asked, (item,), prepare, write, claims=claims)


def _decision(authority: Authority, asked: Proposal, item: AssetInput, claims: dict[str, Any]) -> Decision:
    with authority.store.read() as connection:
        case = case_of(connection, authority, hear(connection, asked), item, claims)
    return case.decide()


def _require_fresh(authority: Authority, request: ReleaseRequest, given: _Challenge) -> None:
    """1. A spec that cannot be read has no digest to compare; it is left to check 6."""
    late = authority.clock() - given.expires_at
    if late >= 0:
        raise _no_challenge(f"{late} s too late")
    try:
        spec = read_spec(request.spec_envelope).digest
    except SlsError:
        return
    if spec != given.spec:
        raise _no_challenge("a challenge for another spec")


def _sealed(
    authority: Authority, request: ReleaseRequest, spec: StreamSpec, published: Published, decision: Decision
) -> bytes:
    key_ids = published.manifest.key_ids_for(decision.columns)
    with authority.store.read() as connection:
        keys = catalogue.unwrap_keys(connection, authority, published, key_ids)
    plaintext = canonical_json({name: b64encode(key) for name, key in keys.items()})
    with _failing(9):
        return seal(request.hpke_public_key, release_info(spec.digest, published.id), plaintext)


def _sealed_pass(authority: Authority, request: ReleaseRequest, spec: StreamSpec, published: Published) -> bytes | None:
    """A read pass for the asset's parts, for as long as the run may take; ``None`` where nobody needs one."""
    manifest = published.manifest
    if not is_azure(manifest.storage) or not manifest.parts:
        return None
    with _failing(9):
        until = authority.clock() + spec.limits.wall_seconds + PASS_SECONDS
        given = authority.minter.mint(
            parse_place(manifest.storage), [part.name for part in manifest.parts], until=until
        )
        if given is None:
            return None
        info = pass_info(spec.digest, published.id)
        return seal(request.hpke_public_key, info, canonical_json(given.model_dump(mode="json")))


def _input(spec: StreamSpec, asset: str) -> AssetInput:
    found = next((item for item in spec.inputs if item.asset == asset), None)
    if found is None:
        raise KeyRefused(6, "The spec does not name this asset.", found=asset)
    return found


_CHECK_OF = {"report_data": 3, "init_data": 4, "measurement": 5, "uvm_endorsement": 5, "uvm_feed": 5, "uvm_svn": 5}


def _appraise(
    authority: Authority, request: ReleaseRequest, spec: StreamSpec, published: Published, verified: VerifiedEvidence
) -> AttestationResult:
    """Checks 2 to 5; for several accepted guest images, one of them has to fit as a whole."""
    refusals = []
    for image in authority.images:
        policy = cce.policy_for(spec, image)
        reference = ReferenceValues(
            tees=published.policy.tees,
            measurements=frozenset({image.measurement}),
            init_data=cce.host_data(policy),
            report_data=release_report_data(request.nonce, request.hpke_public_key),
            minimum_tcb=published.policy.minimum_tcb,
            **demands_on(published.policy, verified.claims.tee),
            uvm_feeds=endorsers_of(verified.claims.tee),
        )
        try:
            return appraise(verified, reference)
        except EvidenceRejected as error:
            failed = [_CHECK_OF.get(name, 2) for name in error.detail.get("failed", [])] or [2]
            refusals.append((min(failed), error))
    check, closest = max(refusals, key=lambda refusal: refusal[0])
    raise KeyRefused(
        check, closest.message, found=closest.found, expected=closest.expected, hint=closest.hint, detail=closest.detail
    )


def demands_on(policy: OwnerPolicy, tee: str) -> dict[str, Any]:
    """What the owner demands of this kind of TEE: bulletins and mitigations are AMD's, registers are of TDX."""
    if tee.endswith("-snp"):
        return {"bulletins": policy.bulletins, "mitigations": policy.mitigations}
    return {"registers": policy.registers} if tee == "tdx" else {}


def _require_grant(connection: Connection, authority: Authority, spec: StreamSpec, item: AssetInput) -> None:
    rows = db.grants
    where = (rows.c.spec == spec.digest) & (rows.c.asset == item.asset)
    envelope = connection.execute(sa.select(rows.c.envelope).where(where)).scalar()
    grant = None if envelope is None else verify(envelope, Grant, verify_signature, did=authority.did)
    if grant is None or grant.expires_at <= authority.clock():
        raise KeyRefused(
            6,
            "Nothing that still holds was granted to this spec.",
            found="no grant" if grant is None else "a grant that has expired",
            expected="a grant of this authority for this asset",
            hint="Run the cell again; it asks for a new grant on the same terms.",
        )


def _require_first_run(connection: Connection, spec: StreamSpec, item: AssetInput) -> None:
    rows = db.releases
    where = (rows.c.spec == spec.digest) & (rows.c.asset == item.asset)
    if connection.execute(sa.select(rows.c.at).where(where)).first() is not None:
        raise KeyRefused(
            6,
            "This spec has run already.",
            found="keys released before",
            expected="one run for each spec",
            hint="Run the cell again; that makes a new spec on the same terms.",
        )


def _require_same_guest(connection: Connection, spec: StreamSpec, result: AttestationResult) -> None:
    """One guest gets all keys of a run: a policy admits a second group of the same containers, and a spec runs once."""
    rows, found = db.releases, result.claims.report_id
    first = connection.execute(sa.select(rows.c.report_id).where(rows.c.spec == spec.digest).limit(1)).scalar()
    if first is not None and first != found:
        raise KeyRefused(
            6,
            "Another guest of this run has got keys already.",
            found=f"REPORT_ID {found}",
            expected=f"REPORT_ID {first}",
            hint="Run the cell again; one group gets the keys of one run.",
        )


def _require_allow(decision: Decision) -> None:
    if decision.verdict != "allow":
        reasons = [reason.model_dump() for reason in decision.reasons]
        first = decision.reasons[0] if decision.reasons else None
        raise KeyRefused(
            7,
            first.text if first else "The owner's policy does not allow this.",
            found=decision.verdict,
            expected="allow",
            hint=first.fix if first else "",
            detail={"reasons": reasons},
        )


def _record_release(
    connection: Connection,
    authority: Authority,
    request: ReleaseRequest,
    spec: StreamSpec,
    item: AssetInput,
    result: AttestationResult,
    decision: Decision,
) -> DisclosedEntry:
    rows, tee = db.releases, {"tee": result.claims.tee}
    first = connection.execute(sa.select(rows.c.at).where(rows.c.spec == spec.digest)).first() is None
    values = {"spec": spec.digest, "asset": item.asset, "requester": spec.requester, "at": authority.clock()}
    values["report_id"] = result.claims.report_id
    connection.execute(sa.insert(rows).values(**values))
    assets = db.assets
    connection.execute(sa.update(assets).where(assets.c.id == item.asset).values(runs=assets.c.runs + 1))
    facts: dict[str, str | int | bool] = {**tee, "columns": len(decision.columns or ())}
    guest = digest(request.hpke_public_key)
    meaning = {"spec": spec.digest, "asset": item.asset, "requester": spec.requester, "guest": guest}
    events = [
        ledger.Event("evidence.accepted", spec.digest, meaning, tee),
        *([ledger.Event("run.started", spec.digest, meaning, tee)] if first else []),
        ledger.Event("key.released", spec.digest, {**meaning, "columns": list(decision.columns or ())}, facts),
    ]
    index = ledger.append(connection, authority, events) + len(events) - 1
    return ledger.disclose(connection, authority, index)

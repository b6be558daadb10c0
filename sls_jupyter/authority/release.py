"""The key broker: nine checks, and only then keys.

This file is the reason the rest exists. A guest asks for a challenge, answers it with evidence whose
REPORT_DATA binds the challenge to its own HPKE key, and gets the granted columns' keys sealed to that
key. Every refusal is logged with the number of the first check that failed, and the caller learns it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure_facts import endorsers_of
from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.evidence import AttestationResult, Evidence, ReferenceValues, VerifiedEvidence
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.catalogue import Published
from sls_jupyter.authority.decisions import decide_one, verify_spec
from sls_jupyter.authority.protocol import release_info
from sls_jupyter.authority.service import Authority
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.spec import AssetInput, StreamSpec, verify_stream_spec
from sls_jupyter.documents import b64encode, canonical_json, digest, verify
from sls_jupyter.errors import BadInput, EvidenceRejected, KeyRefused, SlsError, Unavailable
from sls_jupyter.hpke import seal
from sls_jupyter.identity import verify_signature
from sls_jupyter.policy.decide import Decision
from sls_jupyter.transparency.entries import EntryKind
from sls_jupyter.transparency.proofs import DisclosedEntry

CHALLENGE_SECONDS = 300
MAX_OPEN_CHALLENGES = 64  # of one spec
EVIDENCE_CHECKS = (2, 3, 4, 5)


def challenge(authority: Authority, spec: str) -> bytes:
    """A fresh 32-byte nonce for one release, valid once and for five minutes.

    Raises:
        BadInput: nothing was granted to this spec here, or too many challenges are open.
    """
    nonce, now = secrets.token_bytes(32), authority.clock()
    rows = db.challenges
    with authority.store.write() as connection:
        if connection.execute(sa.select(db.grants.c.spec).where(db.grants.c.spec == spec)).first() is None:
            raise BadInput("Nothing was granted to this spec here.", found=spec, hint="Ask for a grant first.")
        connection.execute(sa.delete(rows).where(rows.c.expires_at <= now))
        query = sa.select(sa.func.count()).select_from(rows).where(rows.c.spec == spec)
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

    @property
    def entry(self) -> int:
        """Index of ``key.released`` in the log."""
        return self.logged.proof.index


@contextmanager
def _failing(check: int) -> Iterator[None]:
    """Turn our own errors into the refusal of one numbered check."""
    try:
        yield
    except KeyRefused:
        raise
    except SlsError as error:
        raise KeyRefused(
            check, error.message, found=error.found, expected=error.expected, hint=error.hint, detail=error.detail
        ) from None


def release(authority: Authority, request: ReleaseRequest) -> Released:
    """Check everything, log it, and seal the granted columns' keys to the guest.

    The numbered steps are the list in the design (section 6). The spec of check 6 is verified before
    the claims are appraised, because HOST_DATA is rendered from it; a failure is reported under its own
    number all the same.

    Raises:
        KeyRefused: with the number of the first check that failed. The challenge is used up and the
            refusal is logged, unless the log itself fails (check 8): then nothing at all was written.
    """
    try:
        with authority.store.write() as connection:
            try:
                _consume_challenge(connection, authority, request)
                with connection.begin_nested():  # what a refused release wrote is undone, the refusal stays
                    return _release(connection, authority, request)
            except KeyRefused as error:
                refusal = error
            meaning = {"asset": request.asset, "reason": refusal.message}
            kinds: list[EntryKind] = ["evidence.refused"] if refusal.check in EVIDENCE_CHECKS else []
            subject, facts = _subject(request), {"check": refusal.check}
            events = [ledger.Event(kind, subject, meaning, facts) for kind in (*kinds, "key.refused")]
            ledger.append(connection, authority, events)
    except Unavailable as error:
        raise KeyRefused(
            8,
            "The log entry of this release cannot be written, so no key leaves.",
            found=error.found,
            expected="a database that can be written",
            hint=error.hint,
        ) from None
    raise refusal


def _release(connection: Connection, authority: Authority, request: ReleaseRequest) -> Released:
    """Checks 2 to 9; the challenge was check 1."""
    # 2. evidence verifies up to a pinned vendor root
    with _failing(2):
        now = datetime.fromtimestamp(authority.clock(), UTC)
        verified = verify_evidence(Evidence.parse(request.evidence), authority.anchors, now=now)

    # 6a. the spec is signed by its requester, is current and names this asset
    with _failing(6):
        spec = verify_spec(authority, request.spec_envelope, None)
        item = _input(spec, request.asset)
        published = catalogue.find(connection, item.asset)

    # 2-5. not debug, TCB not below the owner's minimum; REPORT_DATA; HOST_DATA; measurement
    result = _appraise(authority, request, spec, published, verified)

    # 6b. it was granted here, the grant still holds, and this spec has not run before
    _require_grant(connection, authority, spec, item)
    _require_first_run(connection, spec, item)

    # 7. the owner's policy, now with the claims in its input, says allow
    decision = _require_allow(connection, authority, spec, item, result)

    # 8. the log entry is part of this transaction: no key leaves unless it commits
    logged = _record_release(connection, authority, request, spec, item, result, decision)

    # 9. only then are the granted columns' keys sealed to the guest
    key_ids = published.manifest.key_ids_for(decision.columns)
    keys = catalogue.unwrap_keys(connection, authority, published, key_ids)
    plaintext = canonical_json({name: b64encode(key) for name, key in keys.items()})
    with _failing(9):
        sealed = seal(request.hpke_public_key, release_info(spec.digest, item.asset), plaintext)
    return Released(sealed, decision.columns, logged)


def _spec_digest(request: ReleaseRequest) -> str | None:
    """The spec's digest; ``None`` if nobody signed it or it cannot be read."""
    try:
        return verify_stream_spec(request.spec_envelope).digest
    except SlsError:
        return None


def _subject(request: ReleaseRequest) -> str:
    """What a refusal is logged about: the spec if it can be read at all, the asset otherwise."""
    return _spec_digest(request) or request.asset[:71]


def _consume_challenge(connection: Connection, authority: Authority, request: ReleaseRequest) -> None:
    """1. The challenge is ours, for this spec, unused and not older than five minutes.

    A spec that cannot be read has no digest to compare; it is left to check 6.
    """
    rows = db.challenges
    where = rows.c.nonce == request.nonce.hex()
    row = connection.execute(sa.select(rows.c.spec, rows.c.expires_at).where(where)).first()
    connection.execute(sa.delete(rows).where(where))
    if row is None:
        found = "no such challenge"
    elif row.expires_at <= authority.clock():
        found = f"{authority.clock() - row.expires_at} s too late"
    elif _spec_digest(request) not in (None, row.spec):
        found = "a challenge for another spec"
    else:
        return
    raise KeyRefused(
        1,
        "The challenge is unknown, used or too old.",
        found=found,
        expected=f"one of this authority for this spec, {CHALLENGE_SECONDS} seconds old at most",
        hint="Ask for a new challenge and answer it at once.",
    )


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
        policy = cce.render(group_for(spec, image))
        reference = ReferenceValues(
            tees=published.policy.tees,
            measurements=frozenset({image.measurement}),
            init_data=cce.host_data(policy),
            report_data=release_report_data(request.nonce, request.hpke_public_key),
            minimum_tcb=published.policy.minimum_tcb,
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


def _require_allow(
    connection: Connection, authority: Authority, spec: StreamSpec, item: AssetInput, result: AttestationResult
) -> Decision:
    claims: dict[str, Any] = result.claims.model_dump(mode="json")
    with _failing(7):
        decision = decide_one(connection, authority, spec, item, claims)
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
    return decision


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
    connection.execute(sa.insert(rows).values(**values))
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

"""What approvers say to requests: verified, compared with what was asked, kept and logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import catalogue, inbox, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.decisions import Case, Decisions, settle
from sls_jupyter.authority.inbox import Answer, approvers_of
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import read_spec
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import verify
from sls_jupyter.errors import BadInput, DigestMismatch, NotAuthorised, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.transparency.entries import EntryKind

MAX_VERDICTS = 64  # of one approver on one request


def record_verdict(authority: Authority, caller: str, envelope: bytes, *, approved: bool) -> int:
    """Store an approver's signed yes or no; returns the index of its log entry.

    The same verdict again changes nothing. The request stays open while other approvals are missing.

    Raises:
        SignatureInvalid, NotAuthorised: the caller did not sign it, or may not decide on any of the assets.
        UnknownName: nothing was asked on these terms.
        DigestMismatch: the approval is for other code. BadInput: it has expired.
        AccessDenied: one of the assets was taken back, or has a newer version.
    """
    verdict: Approval | Denial
    if approved:
        verdict = verify(envelope, Approval, verify_signature, did=caller)
    else:
        verdict = verify(envelope, Denial, verify_signature, did=caller)
    if verdict.authority != authority.did:
        raise NotAuthorised("The verdict is for another authority.", found=verdict.authority, expected=authority.did)
    spec = _asked(authority, verdict.terms)
    with authority.store.read() as connection:
        _require_fitting(connection, authority, caller, verdict, spec)
    if isinstance(verdict, Denial):
        with authority.store.write() as connection:
            return _keep(connection, authority, spec, verdict, envelope, "denied")

    def prepare(_: Sequence[Case], decisions: Decisions) -> str:
        return "open" if Answer(spec.terms, decisions, ()).verdict == "ask" else "approved"

    def write(connection: Connection, state: str) -> int:
        return _keep(connection, authority, spec, verdict, envelope, state)

    return settle(authority, spec, spec.inputs_of(authority.did), prepare, write, also=verdict)


def _asked(authority: Authority, terms: str) -> StreamSpec:
    rows = db.requests
    with authority.store.read() as connection:
        envelope = connection.execute(sa.select(rows.c.spec).where(rows.c.id == terms)).scalar()
    if envelope is None:
        raise _nothing(terms)
    return read_spec(envelope)


def _nothing(terms: str) -> UnknownName:
    return UnknownName("Nothing was asked on these terms.", found=terms, hint="%sls requests lists them.")


def _require_fitting(
    connection: Connection, authority: Authority, caller: str, verdict: Approval | Denial, spec: StreamSpec
) -> None:
    """The verdict is by an approver, about this spec's requester and code, and still counts."""
    assets = [catalogue.find(connection, item.asset) for item in spec.inputs_of(authority.did)]
    if not any(caller in approvers_of(published) for published in assets):
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


def _keep(
    connection: Connection,
    authority: Authority,
    spec: StreamSpec,
    verdict: Approval | Denial,
    envelope: bytes,
    state: str,
) -> int:
    rows, verdicts = db.requests, db.verdicts
    asked = connection.execute(sa.select(rows.c.seq, rows.c.logged).where(rows.c.id == spec.terms)).first()
    if asked is None:  # dropped meanwhile
        raise _nothing(spec.terms)
    known = connection.execute(sa.select(verdicts.c.entry).where(verdicts.c.id == verdict.digest)).scalar()
    if known is not None:
        return int(known)
    where = (verdicts.c.request == spec.terms) & (verdicts.c.approver == verdict.approver)
    if connection.execute(sa.select(sa.func.count()).where(where)).scalar_one() >= MAX_VERDICTS:
        raise BadInput("You have decided on this request too often.", expected=f"{MAX_VERDICTS} times at most")
    meaning: dict[str, Any] = {"terms": spec.terms, "approver": verdict.approver, "requester": spec.requester}
    kind: EntryKind = "approval.given" if isinstance(verdict, Approval) else "denial.given"
    events = [*([] if asked.logged else [inbox.received(spec)]), ledger.Event(kind, spec.terms, meaning)]
    entry = ledger.append(connection, authority, events) + len(events) - 1
    values = {"id": verdict.digest, "request": spec.terms, "approver": verdict.approver, "entry": entry}
    approved = isinstance(verdict, Approval)
    connection.execute(sa.insert(verdicts).values(**values, approved=approved, envelope=envelope))
    connection.execute(sa.update(rows).where(rows.c.seq == asked.seq).values(logged=True))
    inbox.set_state(connection, asked.seq, state)
    return entry

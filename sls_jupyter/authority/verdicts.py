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
from sls_jupyter.authority.specs import read_proposal
from sls_jupyter.authority.standing import keep_beginnings
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.documents import verify
from sls_jupyter.errors import BadInput, DigestMismatch, NotAuthorised, UnknownName
from sls_jupyter.identity import CLOCK_SKEW_SECONDS, verify_signature
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
    asked = _asked(authority, verdict.terms)
    with authority.store.read() as connection:
        _require_fitting(connection, authority, caller, verdict, asked)
    if isinstance(verdict, Denial):
        with authority.store.write() as connection:
            return _keep(connection, authority, asked, verdict, envelope, "denied")

    def prepare(_: Sequence[Case], decisions: Decisions) -> str:
        return "open" if Answer(asked.terms, decisions, ()).verdict == "ask" else "approved"

    def write(connection: Connection, state: str) -> int:
        return _keep(connection, authority, asked, verdict, envelope, state)

    return settle(authority, asked, asked.spec.inputs_of(authority.did), prepare, write, also=verdict)


def _asked(authority: Authority, terms: str) -> Proposal:
    rows = db.requests
    with authority.store.read() as connection:
        row = connection.execute(sa.select(rows.c.spec, rows.c.order).where(rows.c.id == terms)).first()
    if row is None:
        raise _nothing(terms)
    return read_proposal(row.spec, row.order)


def _nothing(terms: str) -> UnknownName:
    return UnknownName("Nothing was asked on these terms.", found=terms, hint="%sls requests lists them.")


def _require_fitting(
    connection: Connection, authority: Authority, caller: str, verdict: Approval | Denial, asked: Proposal
) -> None:
    """The verdict is by an approver, about this requester and this code, and still counts."""
    spec = asked.spec
    assets = [catalogue.find(connection, item.asset) for item in spec.inputs_of(authority.did)]
    if not any(caller in approvers_of(published) for published in assets):
        raise NotAuthorised("Only an approver named in the policy can decide.", found=caller)
    if verdict.requester != spec.requester:
        raise NotAuthorised("The verdict names another requester.", found=verdict.requester, expected=spec.requester)
    if verdict.issued_at > authority.clock() + CLOCK_SKEW_SECONDS:  # it would outlive whatever is said until then
        raise BadInput(
            "The verdict is from the future.",
            found=f"{verdict.issued_at - authority.clock()} s ahead of this authority",
            hint="Set this machine's clock, and decide again.",
        )
    if isinstance(verdict, Denial):
        return
    if verdict.code != asked.code_digests:
        raise DigestMismatch("The approval is for other code.", expected=", ".join(asked.code_digests))
    if verdict.expires_at <= authority.clock():
        raise BadInput(
            "The approval has expired already.",
            found=f"it ended {authority.clock() - verdict.expires_at} s ago",
            hint="Approve again; if it persists, set this machine's clock.",
        )


def _keep(
    connection: Connection,
    authority: Authority,
    asked: Proposal,
    verdict: Approval | Denial,
    envelope: bytes,
    state: str,
) -> int:
    rows, verdicts, requester = db.requests, db.verdicts, asked.spec.requester
    kept = connection.execute(sa.select(rows.c.seq, rows.c.logged).where(rows.c.id == asked.terms)).first()
    if kept is None:  # dropped meanwhile
        raise _nothing(asked.terms)
    known = connection.execute(sa.select(verdicts.c.entry).where(verdicts.c.id == verdict.digest)).scalar()
    if known is not None:
        return int(known)
    where = (verdicts.c.request == asked.terms) & (verdicts.c.approver == verdict.approver)
    if connection.execute(sa.select(sa.func.count()).where(where)).scalar_one() >= MAX_VERDICTS:
        raise BadInput("You have decided on this request too often.", expected=f"{MAX_VERDICTS} times at most")
    meaning: dict[str, Any] = {"terms": asked.terms, "approver": verdict.approver, "requester": requester}
    kind: EntryKind = "approval.given" if isinstance(verdict, Approval) else "denial.given"
    given = ledger.Event(kind, asked.terms, meaning, inbox.cell_fact(asked))
    events = [*([] if kept.logged else [inbox.received(asked)]), given]
    entry = ledger.append(connection, authority, events) + len(events) - 1
    values = {"id": verdict.digest, "request": asked.terms, "approver": verdict.approver, "entry": entry}
    approved = isinstance(verdict, Approval)
    connection.execute(sa.insert(verdicts).values(**values, approved=approved, envelope=envelope))
    if approved:
        keep_beginnings(connection, asked, verdict.digest)
    connection.execute(sa.update(rows).where(rows.c.seq == kept.seq).values(logged=True))
    inbox.set_state(connection, kept.seq, state)
    return entry

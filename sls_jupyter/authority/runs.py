"""What happened to a run after its keys were released: records from the group, and its end.

The audit sidecar sends the run's chained records with evidence that binds them, so they come from the
very group that got the keys. The requester reports that a run ended or was killed; that is the
requester's word, and is marked as such. Code and outputs are in neither.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure_facts import endorsers_of
from sls_jupyter.attestation.binding import receipt_report_data
from sls_jupyter.attestation.evidence import Evidence, ReferenceValues
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import b64encode, verify
from sls_jupyter.errors import BadInput, EvidenceRejected, NotAuthorised, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.transparency.chain import parse_records, verify_chain

END_STATES = ("ended", "failed", "killed", "cancelled")
MAX_RECORDS_BYTES = 1 << 20


def _find_spec(connection: Connection, digest: str) -> StreamSpec:
    """The granted spec with this digest."""
    envelope = connection.execute(sa.select(db.specs.c.envelope).where(db.specs.c.id == digest)).scalar()
    if envelope is None:
        raise UnknownName("No run of that spec was granted here.", found=digest, hint="%sls runs lists yours.")
    return verify(envelope, StreamSpec, verify_signature, did=None)


def post_records(authority: Authority, spec_digest: str, records: bytes, evidence: Evidence) -> int:
    """Take the audit sidecar's records of a run; the first ones count, later ones must be the same.

    Returns:
        The index of the log entry ``run.records``.

    Raises:
        EvidenceRejected: not from the group that this spec derives, or not about these records.
        VerificationError: the records do not chain.
    """
    if len(records) > MAX_RECORDS_BYTES:
        raise BadInput("A run's records are too large.", expected=f"{MAX_RECORDS_BYTES} bytes at most")
    chained = parse_records(records)
    head = verify_chain(chained, spec_digest)
    with authority.store.write() as connection:
        spec = _find_spec(connection, spec_digest)
        known = connection.execute(sa.select(db.runs.c.records).where(db.runs.c.spec == spec_digest)).scalar()
        if known is not None:
            if known != records:
                raise BadInput("Other records of this run are here already.", hint="A run's records are sent once.")
            return cast(int, ledger.last(connection, spec_digest, "run.records"))
        tee = _appraise_group(connection, authority, spec, head, evidence)
        facts: dict[str, str | int | bool] = {"tee": tee, "record_root": head, "records": len(chained)}
        meaning = {"spec": spec_digest, "requester": spec.requester}
        _set_state(connection, authority, spec, None, records)
        event = ledger.Event("run.records", spec_digest, meaning, facts)
        return ledger.append(connection, authority, [event])


def _appraise_group(
    connection: Connection, authority: Authority, spec: StreamSpec, head: str, evidence: Evidence
) -> str:
    verified = verify_evidence(evidence, authority.anchors, now=datetime.fromtimestamp(authority.clock(), UTC))
    tees = {tee for item in spec.inputs_of(authority.did) for tee in catalogue.find(connection, item.asset).policy.tees}
    refusal: EvidenceRejected | None = None
    for image in authority.images:
        reference = ReferenceValues(
            tees=tees,
            measurements=frozenset({image.measurement}),
            init_data=cce.host_data(cce.render(group_for(spec, image))),
            report_data=receipt_report_data(head),
            uvm_feeds=endorsers_of(verified.claims.tee),
        )
        try:
            return appraise(verified, reference).claims.tee
        except EvidenceRejected as error:
            refusal = error
    raise refusal or EvidenceRejected("This authority accepts no guest image.")


def report_end(authority: Authority, caller: str, spec_digest: str, state: str, reason: str) -> int:
    """The requester's word on how a run ended.

    Args:
        state: one of :data:`END_STATES`.
        reason: a code of ours, such as ``memory`` or ``interrupt``.

    Raises:
        NotAuthorised: somebody else's run. BadInput: no such state, or the run has ended already.
    """
    if state not in END_STATES:
        raise BadInput("A run cannot end like that.", found=state[:40], expected=", ".join(END_STATES))
    with authority.store.write() as connection:
        spec = _find_spec(connection, spec_digest)
        if caller != spec.requester:
            raise NotAuthorised("Only its requester can report on a run.", found=caller, expected=spec.requester)
        known = connection.execute(sa.select(db.runs.c.state).where(db.runs.c.spec == spec_digest)).scalar()
        if known in END_STATES:
            raise BadInput("The run has ended already.", found=known)
        _set_state(connection, authority, spec, state, None)
        meaning = {"spec": spec_digest, "requester": spec.requester, "reported_by": "requester"}
        killed = state in ("killed", "cancelled")
        facts: dict[str, str | int | bool] = {"reason": reason} if killed else {"status": state}
        event = ledger.Event("run.killed" if killed else "run.ended", spec_digest, meaning, facts)
        return ledger.append(connection, authority, [event])


def _set_state(
    connection: Connection, authority: Authority, spec: StreamSpec, state: str | None, records: bytes | None
) -> None:
    rows = db.runs
    values: dict[str, Any] = {"at": authority.clock()}
    values |= {name: value for name, value in (("state", state), ("records", records)) if value is not None}
    where = rows.c.spec == spec.digest
    if connection.execute(sa.update(rows).where(where).values(**values)).rowcount == 0:
        row = {"spec": spec.digest, "requester": spec.requester, "state": "running", **values}
        connection.execute(sa.insert(rows).values(**row))


def history(authority: Authority, caller: str, spec_digest: str) -> dict[str, Any]:
    """Everything this authority logged about a run, with proofs, meanings and salts; for the parties.

    Raises:
        NotAuthorised: neither the requester nor the owner asks.
    """
    with authority.store.read() as connection:
        spec = _find_spec(connection, spec_digest)
        if caller not in (spec.requester, authority.owner):
            raise NotAuthorised("A run's records are for its requester and its owners.", found=caller)
        records = connection.execute(sa.select(db.runs.c.records).where(db.runs.c.spec == spec_digest)).scalar()
        assets = [item.asset for item in spec.inputs_of(authority.did)]
        about = [entry for subject in (*assets, spec.terms, spec_digest) for entry in ledger.about(connection, subject)]
        entries = [
            {
                "proof": json.loads(ledger.prove(connection, authority, index).payload()),
                "salt": None if salt is None else b64encode(salt),
                "meaning": None if meaning is None else json.loads(meaning),
            }
            for index, salt, meaning in sorted(about)
        ]
        return {"log": authority.did, "entries": entries, "records": records.decode() if records else None}

"""What happened to a run after its keys were released: records and receipt from the group, and its end.

The audit sidecar sends the run's chained records with a receipt that the hardware signed over their head,
so they come from the group that this spec derives. The requester reports that a run ended or was killed; that is the
requester's word, and is marked as such. Code and outputs are in neither.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure_facts import endorsers_of
from sls_jupyter.attestation.evidence import ReferenceValues
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import digest
from sls_jupyter.errors import BadInput, DigestMismatch, EvidenceRejected, NotAuthorised, UnknownName
from sls_jupyter.receipt.receipt import Stated, open_envelope
from sls_jupyter.receipt.statement import ChainRecord, Predicate
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.entries import EntryKind

END_STATES = ("ended", "failed", "killed", "cancelled")
MAX_RECORDS_BYTES = 1 << 20
MAX_RECEIPTS = 8  # of one spec, with keys and without


def _find_spec(connection: Connection, digest: str) -> StreamSpec:
    """The granted spec with this digest."""
    envelope = connection.execute(sa.select(db.specs.c.envelope).where(db.specs.c.id == digest)).scalar()
    if envelope is None:
        raise UnknownName("No run of that spec was granted here.", found=digest, hint="%sls runs lists yours.")
    return verify_stream_spec(envelope)


def post_records(authority: Authority, spec_digest: str, records: bytes, receipt: bytes) -> int:
    """Take the audit sidecar's records of a run, with the receipt that the hardware signed; log its digest.

    A spec is run once, but its group can be launched twice, and the second one, which gets no keys, tells of
    itself too. Up to eight receipts with keys and eight without are logged; :func:`history` shows the one
    that holds most of our releases.

    Returns:
        The index of the log entry ``run.records``; the same one if this receipt came before.

    Raises:
        EvidenceRejected: not from the group that this spec derives, or not about this receipt.
        VerificationError: the records do not chain, or the receipt is about others.
        BadInput: too large, or too many.
    """
    if len(records) > MAX_RECORDS_BYTES:
        raise BadInput("A run's records are too large.", expected=f"{MAX_RECORDS_BYTES} bytes at most")
    stated = open_envelope(receipt)
    found = _chain_record(spec_digest, records)
    if stated.statement.predicate.records != found:
        raise DigestMismatch(
            "The receipt is about other records.", found=stated.statement.predicate.records.head, expected=found.head
        )
    rows, id_ = db.receipts, stated.statement.digest
    with authority.store.write() as connection:
        spec = _find_spec(connection, spec_digest)
        shown = _shown_releases(authority, spec, stated.statement.predicate)
        query = sa.select(rows.c.id, rows.c.entry, rows.c.released).where(rows.c.spec == spec_digest)
        kept = connection.execute(query).all()
        if id_ in {row.id for row in kept}:
            return next(int(row.entry) for row in kept if row.id == id_)
        if sum(bool(row.released) == bool(shown) for row in kept) >= MAX_RECEIPTS:
            raise BadInput(
                "This run has too many receipts.",
                expected=f"{MAX_RECEIPTS} at most",
                hint="sls audit RUN shows those that are there; somebody launched its group again and again.",
            )
        tee = _appraise_group(connection, authority, spec, stated)
        facts: dict[str, str | int | bool] = {
            "tee": tee,
            "record_root": found.head,
            "records": found.count,
            "keys": shown,
        }
        meaning = {"spec": spec_digest, "requester": spec.requester}
        _set_state(connection, authority, spec, None)
        about = {**meaning, "envelope": digest(receipt)}  # the evidence too: one ECDSA signature has two spellings
        recorded = ledger.Event("run.records", spec_digest, about, {**facts, "receipt": id_})
        outputs = _output_events(stated.statement.predicate, spec_digest, meaning)
        entry = ledger.append(connection, authority, [recorded, *outputs])
        values = {"spec": spec_digest, "id": id_, "envelope": receipt, "records": records, "released": shown}
        connection.execute(sa.insert(rows).values(**values, entry=entry))
        return entry


def _shown_releases(authority: Authority, spec: StreamSpec, predicate: Predicate) -> int:
    """How many of this authority's assets the group had keys of, by its own word, which is measured code's."""
    ours = {item.alias for item in spec.inputs_of(authority.did)}
    return sum(one.released is not None for one in predicate.inputs if one.alias in ours)


def _output_events(predicate: Predicate, subject: str, meaning: dict[str, str]) -> list[ledger.Event]:
    """That the gate let something go, and that it held something back; how much is for the parties only."""
    if predicate.gate is None:
        return []
    counts: dict[EntryKind, dict[str, int]] = {
        "output.released": predicate.gate.released,
        "output.refused": predicate.gate.withheld,
    }
    facts = {"verdict": predicate.run.status}
    return [ledger.Event(kind, subject, meaning, facts) for kind, found in counts.items() if any(found.values())]


def _chain_record(spec: str, records: bytes) -> ChainRecord:
    chained = parse_records(records)
    return ChainRecord(head=verify_chain(chained, spec), count=len(chained))


def _appraise_group(connection: Connection, authority: Authority, spec: StreamSpec, stated: Stated) -> str:
    """The kind of TEE that signed the receipt, once its evidence is that of this spec's group."""
    now = datetime.fromtimestamp(authority.clock(), UTC)
    verified = verify_evidence(stated.evidence, authority.anchors, now=now)
    tees = {tee for item in spec.inputs_of(authority.did) for tee in catalogue.find(connection, item.asset).policy.tees}
    refusal: EvidenceRejected | None = None
    for image in authority.images:
        reference = ReferenceValues(
            tees=tees,
            measurements=frozenset({image.measurement}),
            init_data=cce.host_data(cce.render(group_for(spec, image))),
            report_data=stated.report_data,
            uvm_feeds=endorsers_of(verified.claims.tee),
        )
        try:
            return appraise(verified, reference).claims.tee
        except EvidenceRejected as error:
            refusal = error
    raise refusal or EvidenceRejected(
        "This authority accepts no guest image.", hint="Its owner has to start it with one that they accept."
    )


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
        _set_state(connection, authority, spec, state)
        meaning = {"spec": spec_digest, "requester": spec.requester, "reported_by": "requester"}
        killed = state in ("killed", "cancelled")
        facts: dict[str, str | int | bool] = {"reason": reason} if killed else {"status": state}
        event = ledger.Event("run.killed" if killed else "run.ended", spec_digest, meaning, facts)
        return ledger.append(connection, authority, [event])


def _set_state(connection: Connection, authority: Authority, spec: StreamSpec, state: str | None) -> None:
    rows = db.runs
    values: dict[str, Any] = {"at": authority.clock()} | ({} if state is None else {"state": state})
    where = rows.c.spec == spec.digest
    if connection.execute(sa.update(rows).where(where).values(**values)).rowcount == 0:
        row = {"spec": spec.digest, "requester": spec.requester, "state": "running", **values}
        connection.execute(sa.insert(rows).values(**row))


def history(authority: Authority, caller: str, spec_digest: str, *, witnesses: int = 0) -> dict[str, Any]:
    """Everything this authority logged about a run, with proofs, meanings and salts; for the parties.

    Args:
        witnesses: how many cosignatures the checkpoint must have that ``run.records`` is proven under.

    Raises:
        NotAuthorised: neither the requester nor the owner asks.
        UnknownName, BadInput: no checkpoint with all these entries has so many cosignatures yet.
    """
    with authority.store.read() as connection:
        spec = _find_spec(connection, spec_digest)
        if caller not in (spec.requester, authority.owner):
            raise NotAuthorised("A run's records are for its requester and its owners.", found=caller)
        rows = db.receipts
        query = sa.select(rows.c.records, rows.c.envelope).where(rows.c.spec == spec_digest)
        kept = connection.execute(query.order_by(rows.c.released.desc(), rows.c.entry)).first()
        subjects = (*(item.asset for item in spec.inputs_of(authority.did)), spec.terms, spec_digest)
        about = sorted(index for subject in subjects for index, _, _ in ledger.about(connection, subject))
        recorded = {row.entry for row in connection.execute(sa.select(rows.c.entry).where(rows.c.spec == spec_digest))}
        entries = [
            ledger.disclose(connection, authority, index, witnesses=witnesses if index in recorded else 0)
            for index in about
        ]
        return {
            "log": authority.did,
            "entries": [entry.model_dump(mode="json") for entry in entries],
            "records": kept.records.decode() if kept else None,
            "receipt": kept.envelope.decode() if kept else None,
        }

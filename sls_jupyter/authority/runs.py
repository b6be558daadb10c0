"""What happened to a run after its keys were released: records and receipt from the group, and its end.

The audit sidecar sends the run's chained records with a receipt that the hardware signed over their head,
so they come from the group that this spec derives. The requester reports that a run ended or was killed; that is the
requester's word, and is marked as such. Code and outputs are in neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.facts import endorsers_of
from sls_jupyter.attestation.evidence import ReferenceValues
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.authority import catalogue, inbox, ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.answers import ExtendsAnswer, HistoryAnswer
from sls_jupyter.authority.decisions import newest_order
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.specs import parse_order, read_spec
from sls_jupyter.contract import cce
from sls_jupyter.contract.cells import cell_terms
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import b64encode, digest
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    EvidenceRejected,
    LogInconsistent,
    NotAuthorised,
    UnknownName,
)
from sls_jupyter.receipt.receipt import Stated, open_envelope
from sls_jupyter.receipt.statement import ChainRecord, Predicate
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.entries import EntryKind
from sls_jupyter.transparency.proofs import DisclosedEntry, proof_checkpoint

END_STATES = ("ended", "failed", "killed", "cancelled")
MAX_RECORDS_BYTES = 1 << 20
MAX_RECEIPTS = 8  # of one spec, with keys and without
MAX_OF_SUBJECT = 256  # entries of one spec, one asset or one request in a run's history, the newest
_SPEC = sa.select(db.specs.c.envelope).where(db.specs.c.id == sa.bindparam("spec"))
_ORDER = sa.select(db.orders.c.envelope).where(
    db.orders.c.session == sa.bindparam("session"), db.orders.c.id == sa.bindparam("order")
)
_ORDERS = sa.select(db.orders.c.id, db.orders.c.envelope).where(
    db.orders.c.session == sa.bindparam("session"), db.orders.c.number == sa.bindparam("cell")
)
_REPORT_ID = sa.select(db.releases.c.report_id).where(db.releases.c.spec == sa.bindparam("spec")).limit(1)
_RECEIPTS = sa.select(db.receipts.c.id, db.receipts.c.entry, db.receipts.c.released).where(
    db.receipts.c.spec == sa.bindparam("spec"), db.receipts.c.cell == sa.bindparam("cell")
)
_RECEIPT = sa.select(db.receipts).where(
    db.receipts.c.spec == sa.bindparam("spec"), db.receipts.c.id == sa.bindparam("receipt")
)
_INSERT = sa.insert(db.receipts)
_SET_STATE = sa.update(db.runs).where(db.runs.c.spec == sa.bindparam("of"))
_LIFE: tuple[EntryKind, ...] = ("asset.published", "policy.changed", "asset.withdrawn", "asset.shredded")


def _find_spec(connection: Connection, digest: str) -> StreamSpec:
    """The granted spec with this digest."""
    envelope = connection.execute(_SPEC, {"spec": digest}).scalar()
    if envelope is None:
        raise UnknownName("No run of that spec was granted here.", found=digest[:80], hint="%sls runs lists yours.")
    return read_spec(envelope)


def post_records(authority: Authority, spec_digest: str, records: bytes, receipt: bytes) -> int:
    """Take the audit sidecar's records of a run, with the receipt that the hardware signed; log its digest.

    In a session there is one for each cell that was granted here, and each names the one before it. A spec is run once, but its group can be launched twice, and the second one, which gets no keys, tells of
    itself too. Up to eight receipts with keys and eight without are logged, in a session of each cell;
    :func:`history` shows the one that holds most of our releases.

    Returns:
        The index of the log entry ``run.records``; the same one if this receipt came before.

    Raises:
        EvidenceRejected: not from the group that this spec derives, or not about this receipt.
        VerificationError: the records do not chain, the receipt is about others, or about a cell that was not granted
            here or that follows another receipt than the one here.
        BadInput: too large, or too many.
    """
    if len(records) > MAX_RECORDS_BYTES:
        raise BadInput("A run's records are too large.", expected=f"{MAX_RECORDS_BYTES} bytes at most")
    with authority.store.read() as connection:  # 1. a run of ours: one look-up
        spec = _find_spec(connection, spec_digest)
        tees = _accepted_tees(connection, authority, spec)
        guest = _guest(connection, spec_digest)
    stated = open_envelope(receipt)
    shown, id_ = _shown_releases(authority, spec, stated.statement.predicate), stated.id
    with authority.store.read() as connection:  # 2. that takes a receipt yet
        asked = _executed(connection, spec, stated.statement.predicate)
        known = _kept(connection, asked, id_, keys=bool(shown))
    if known is not None:
        return known
    tee = _appraise_group(
        authority, spec, tees, stated, guest if shown else None
    )  # 3. evidence, before anything long is read
    found = _chain_record(asked.contract, records)  # 4. the records are those that the receipt is about
    if stated.statement.predicate.records != found:
        raise DigestMismatch(
            "The receipt is about other records.", found=stated.statement.predicate.records.head, expected=found.head
        )
    with authority.store.write() as connection:  # 5. what can have changed meanwhile, then the entry
        known = _kept(connection, asked, id_, keys=bool(shown))
        if known is not None:
            return known
        _require_follows(connection, asked, stated.statement.predicate, keys=bool(shown))
        return _record(connection, authority, asked, _Posted(stated, receipt, records, tee, shown))


def _executed(connection: Connection, spec: StreamSpec, predicate: Predicate) -> Proposal:
    """What a receipt is about: a run, or a cell of a session that was granted here."""
    if (spec.session is None) != (predicate.cell is None):
        raise DigestMismatch(
            "A receipt is of a session's cell, or of a run.",
            found="a run" if predicate.cell is None else "a cell",
            expected="a run" if spec.session is None else "a cell",
        )
    if predicate.cell is None:
        return Proposal(spec)
    id_ = parse_order(predicate.cell.order.encode()).digest
    envelope = connection.execute(_ORDER, {"session": spec.digest, "order": id_}).scalar()
    if envelope is None:
        raise DigestMismatch(
            "The receipt is about a cell that was not granted here.", found=id_, expected="an order of this session"
        )
    return Proposal(spec, parse_order(envelope))


def _require_follows(connection: Connection, asked: Proposal, predicate: Predicate, *, keys: bool) -> None:
    """The receipt names the one that was taken for the cell before, if one was.

    Raises:
        LogInconsistent: it names another one.
    """
    number = asked.number
    if number is None or predicate.cell is None:
        return
    before = connection.execute(_RECEIPTS, {"spec": asked.spec_digest, "cell": number - 1})
    known, named = {row.id for row in before if bool(row.released) == keys}, predicate.cell.previous
    if (named is None) != (number == 1) or (known and named not in known):
        raise LogInconsistent(
            "The receipt does not follow the one of the cell before it.",
            found=str(named),
            expected=", ".join(sorted(known)) or ("none" if number == 1 else "a receipt"),
        )


@dataclass(frozen=True, slots=True)
class _Posted:
    """A receipt that was verified, on its way into the log."""

    stated: Stated
    receipt: bytes
    records: bytes
    tee: str
    shown: int  # releases of ours that it shows


def _kept(connection: Connection, asked: Proposal, receipt: str, *, keys: bool) -> int | None:
    """The index of ``run.records`` if this receipt came before.

    Raises:
        BadInput: it did not, and the run takes no more of its sort (with keys, or without).
    """
    kept = connection.execute(_RECEIPTS, {"spec": asked.spec_digest, "cell": asked.number or 0}).all()
    for row in kept:
        if row.id == receipt:
            return int(row.entry)
    if sum(bool(row.released) == keys for row in kept) >= MAX_RECEIPTS:
        raise BadInput(
            "This run has too many receipts.",
            expected=f"{MAX_RECEIPTS} at most",
            hint="sls audit RUN shows those that are there; somebody launched its group again and again.",
        )
    return None


def _record(connection: Connection, authority: Authority, asked: Proposal, posted: _Posted) -> int:
    statement, spec = posted.stated.statement, asked.spec
    facts: dict[str, str | int | bool] = {
        "tee": posted.tee,
        "record_root": statement.predicate.records.head,
        "records": statement.predicate.records.count,
        "keys": posted.shown,
        **inbox.cell_fact(asked),
    }
    of_cell = {} if asked.number is None else {"order": asked.contract}
    meaning = {"spec": spec.digest, "requester": spec.requester, **of_cell}
    _set_state(connection, authority, spec, None)
    about = {**meaning, "envelope": digest(posted.receipt)}  # the evidence too: one ECDSA signature has two spellings
    recorded = ledger.Event("run.records", asked.contract, about, {**facts, "receipt": posted.stated.id})
    outputs = _output_events(statement.predicate, asked.contract, meaning)
    entry = ledger.append(connection, authority, [recorded, *outputs])
    values = {"spec": spec.digest, "id": posted.stated.id, "envelope": posted.receipt, "records": posted.records}
    more = {"cell": asked.number or 0, "released": posted.shown, "entry": entry}
    connection.execute(_INSERT, values | more)
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


def _chain_record(contract: str, records: bytes) -> ChainRecord:
    chained = parse_records(records)
    return ChainRecord(head=verify_chain(chained, contract), count=len(chained))


def _accepted_tees(connection: Connection, authority: Authority, spec: StreamSpec) -> frozenset[str]:
    found = (catalogue.find(connection, item.asset).policy.tees for item in spec.inputs_of(authority.did))
    return frozenset(tee for tees in found for tee in tees)


def _guest(connection: Connection, spec: str) -> str | None:
    """The REPORT_ID of the guest that got keys for this spec."""
    return connection.execute(_REPORT_ID, {"spec": spec}).scalar()


def _appraise_group(
    authority: Authority, spec: StreamSpec, tees: frozenset[str], stated: Stated, guest: str | None
) -> str:
    """The kind of TEE that signed the receipt, once its evidence is that of this spec's group.

    Args:
        guest: the REPORT_ID that a receipt with keys of ours must have; ``None`` for one without keys.
    """
    now = datetime.fromtimestamp(authority.clock(), UTC)
    verified = verify_evidence(stated.evidence, authority.anchors, now=now)
    refusal: EvidenceRejected | None = None
    for image in authority.images:
        reference = ReferenceValues(
            tees=tees,
            measurements=frozenset({image.measurement}),
            init_data=cce.host_data(cce.policy_for(spec, image)),
            report_data=stated.report_data,
            report_id=guest,
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
    values: dict[str, Any] = {"at": authority.clock()} | ({} if state is None else {"state": state})
    if connection.execute(_SET_STATE, {"of": spec.digest} | values).rowcount == 0:
        row = {"spec": spec.digest, "requester": spec.requester, "state": "running", **values}
        connection.execute(sa.insert(db.runs).values(**row))


def history(
    authority: Authority,
    caller: str,
    spec_digest: str,
    *,
    witnesses: int = 0,
    cell: int | None = None,
    with_receipt: bool = False,
    extends: Collection[int] = (),
) -> HistoryAnswer:
    """Everything this authority logged about a run, with proofs, meanings and salts; for the parties.

    Of a session that is one cell's: its order, decisions and receipt, and what was released with its first cell.

    That is what concerns its spec: the verdicts on its terms, and how each of its assets was published and
    taken back. What others did with the assets is not in it.

    Args:
        witnesses: how many cosignatures the checkpoint must have that ``run.records`` is proven under.
        cell: of a session, from 1; the newest that was granted by default.
        with_receipt: nothing is wanted as long as there is no receipt.
        extends: earlier sizes of the log, of which it is to be shown that the tree of the receipt's entry begins with
            theirs; larger ones are passed over.

    Raises:
        NotAuthorised: neither the requester nor the owner asks.
        UnknownName, BadInput: no checkpoint with all these entries has so many cosignatures yet.
    """
    with authority.store.read() as connection:
        spec = _find_spec(connection, spec_digest)
        if caller not in (spec.requester, authority.owner):
            raise NotAuthorised("A run's records are for its requester and its owners.", found=caller)
        number = _cell_number(connection, spec, cell)
        found = connection.execute(_RECEIPTS, {"spec": spec_digest, "cell": number}).all()
        best = min(found, key=lambda row: (-row.released, row.entry), default=None)
        kept = None if best is None else connection.execute(_RECEIPT, {"spec": spec_digest, "receipt": best.id}).one()
        if kept is None and with_receipt:
            return HistoryAnswer(log=authority.did, entries=(), records=None, receipt=None)
        about = _entries_about(connection, authority, _parts_of(connection, spec, number), spec)
        recorded = {row.entry for row in found}
        needed = {index: witnesses if index in recorded else 0 for index in about}
        entries = ledger.disclose_all(connection, authority, needed)
        return HistoryAnswer(
            log=authority.did,
            entries=entries,
            records=kept.records.decode() if kept else None,
            receipt=kept.envelope.decode() if kept else None,
            extends=() if kept is None else _extends(connection, authority, kept.entry, entries, extends),
        )


def _extends(
    connection: Connection,
    authority: Authority,
    recorded: int,
    entries: Sequence[DisclosedEntry],
    sizes: Collection[int],
) -> tuple[ExtendsAnswer, ...]:
    proof = next((one.proof for one in entries if one.proof.index == recorded), None)
    if proof is None or not sizes:
        return ()
    last = proof_checkpoint(proof).tree_size
    return tuple(
        ExtendsAnswer(
            tree_size=size, hashes=tuple(map(b64encode, ledger.consistency(connection, authority, size, last)))
        )
        for size in sorted(set(sizes))
        if size < last
    )


def _cell_number(connection: Connection, spec: StreamSpec, cell: int | None) -> int:
    """Which cell of a session is asked for; 0 for a run."""
    if spec.session is None:
        if cell is not None:
            raise BadInput("This is a run, which has no cells.", found=f"cell {cell}", hint="Leave the number out.")
        return 0
    newest = newest_order(connection, spec.digest)
    number = (newest[0] if newest is not None else 1) if cell is None else cell
    if newest is None or number > newest[0]:
        raise UnknownName("No such cell of that session was granted here.", found=f"cell {number}")
    return number


def _parts_of(connection: Connection, spec: StreamSpec, number: int) -> frozenset[str]:
    """What entries about one execution are found by: its spec, its terms and, in a session, the orders of that number."""
    if number == 0:
        return frozenset({spec.digest, spec.terms})
    found = {spec.digest}
    for row in connection.execute(_ORDERS, {"session": spec.digest, "cell": number}):
        order = parse_order(row.envelope)
        found |= {row.id, cell_terms(spec, order.cells)}
    return frozenset(found)


def _entries_about(connection: Connection, authority: Authority, parts: frozenset[str], spec: StreamSpec) -> list[int]:
    assets = [item.asset for item in spec.inputs_of(authority.did)]
    found = {at for asset in assets for at in ledger.indices(connection, asset, MAX_OF_SUBJECT, *_LIFE)}
    found |= {at for one in parts for at in ledger.indices(connection, one, MAX_OF_SUBJECT)}
    return sorted(found)

"""Getting a run's receipt: from every authority of its spec, with each log's proof that it holds it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority.answers import MAX_RECEIPT_WAIT
from sls_jupyter.authority.client import AuthorityClient, RunHistory
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import DigestMismatch, LogInconsistent, Unavailable
from sls_jupyter.network import pause
from sls_jupyter.receipt.receipt import Extension, Receipt, Recorded, Stated, open_envelope
from sls_jupyter.receipt.statement import Predicate
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.proofs import DisclosedEntry, proof_checkpoint, verify_log_proof

PAUSE_SECONDS = 0.1  # before an authority that did not wait is asked again
MAX_WAIT_SECONDS = 12.0


def await_receipt(
    spec: StreamSpec, clients: Mapping[str, AuthorityClient], cell: int, like: Receipt | None = None
) -> Receipt:
    """The receipt of a session's cell that has just ended: the authorities answer when the group has sent it.

    Args:
        like: an earlier cell's, as :func:`fetch_receipt` takes it.

    Raises:
        as :func:`fetch_receipt`; Unavailable when the deadline around (:func:`sls_jupyter.network.within`) is over.
    """
    until = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            return fetch_receipt(spec, clients, cell=cell, within=MAX_RECEIPT_WAIT, like=like)
        except Unavailable:
            if time.monotonic() > until:
                raise
        pause(PAUSE_SECONDS)


def fetch_receipt(
    spec: StreamSpec,
    clients: Mapping[str, AuthorityClient],
    *,
    witnesses: int = 0,
    cell: int | None = None,
    within: int = 0,
    like: Receipt | None = None,
) -> Receipt:
    """The receipt of a run that has ended, or of a session's cell; verifying it is the caller's next step.

    Args:
        clients: authority's DID -> client, for every authority of the spec.
        witnesses: how many cosignatures each log's last checkpoint must have.
        cell: of a session, from 1; the newest by default.
        within: seconds that each authority waits for it, :data:`MAX_RECEIPT_WAIT` at most.
        like: the receipt of another cell of the session, which tells what has to be asked beside it: both rest on the
            same releases. Without it each authority is asked twice.

    Raises:
        Unavailable: an authority does not answer, or has no receipt (yet).
        LogInconsistent: two authorities have different receipts.
        what an authority raises: no checkpoint has so many cosignatures, or the caller is no party of the run.
    """
    logs = [did for did, _ in spec.authorities()]
    histories = {
        did: clients[did].history(
            spec.digest,
            witnesses=witnesses,
            cell=cell,
            receipt_within=within,
            extends=() if like is None else _earlier_sizes(like.stated(), did),
        )
        for did in logs
    }
    envelopes = {did: history.receipt for did, history in histories.items() if history.receipt is not None}
    if missing := [did for did in logs if did not in envelopes]:
        raise Unavailable(
            "There is no receipt of this run.",
            found=f"none at {', '.join(missing)}",
            hint="The group ended before its audit sidecar could send one; %sls audit RUN shows what is known.",
        )
    all_stated = {did: open_envelope(envelope) for did, envelope in envelopes.items()}
    found = {stated.id for stated in all_stated.values()}
    if len(found) > 1:  # one statement under two spellings of one signature is one receipt
        raise LogInconsistent(
            "The authorities have different receipts of this run.",
            found=", ".join(sorted(found)),
            hint="Keep them all, and ask the owners: one of them does not show what the group sent.",
            detail={"envelopes": {did: envelope.decode() for did, envelope in envelopes.items()}},
        )
    stated = all_stated[logs[0]]
    contract = verify_stream_spec(stated.statement.predicate.spec.encode(), did=spec.requester)
    if contract.digest != spec.digest:
        raise LogInconsistent("This is the receipt of another run.", found=contract.digest, expected=spec.digest)
    recorded = tuple(_recorded(clients[did], histories[did], stated) for did in logs)
    return Receipt.of(envelopes[logs[0]], stated, recorded)


def _recorded(client: AuthorityClient, history: RunHistory, stated: Stated) -> Recorded:
    receipt = stated.id
    newest_first = reversed(history.entries)
    entry = next((one for one in newest_first if _is_about(one, receipt)), None)
    if entry is None:
        raise LogInconsistent(
            "An authority has a receipt that its log does not hold.", found=client.did, expected="an entry run.records"
        )
    last = proof_checkpoint(entry.proof).tree_size
    sizes = _earlier_sizes(stated, client.did) - {last}
    told = {one: history.extends.get(one) or tuple(map(b64encode, client.consistency(one, last))) for one in sizes}
    return Recorded(entry=entry, extends=tuple(Extension(tree_size=size, hashes=told[size]) for size in sorted(told)))


def _earlier_sizes(stated: Stated, log: str) -> set[int]:
    """Of the trees of a log that a statement has proofs of."""
    earlier = [one.released.proof for one in stated.statement.predicate.inputs if one.released is not None]
    return {proof_checkpoint(proof).tree_size for proof in earlier if proof.log == log}


def _is_about(disclosed: DisclosedEntry, receipt: str) -> bool:
    entry: Entry = verify_log_proof(disclosed.proof, expected_log=None)
    return entry.kind == "run.records" and entry.facts.get("receipt") == receipt


def judge_own(
    receipt: Receipt,
    spec: StreamSpec,
    *,
    image: str,
    anchors: TrustAnchors,
    accept_simulated: bool,
    order: str | None = None,
) -> ReceiptVerdict:
    """Judge the receipt of one's own run: its spec, its owners and logs, and the image it was launched with are known.

    Args:
        image: digest of that image; "" if it is not known, and then nothing is accepted.
        order: digest of the order whose cell it is, in a session.
    """
    return verify_receipt(
        receipt,
        now=datetime.now(UTC),
        images={image} if image else set(),
        anchors=anchors,
        owners={item.owner for item in spec.inputs},
        logs={did for did, _ in spec.authorities()},
        accept_simulated=accept_simulated,
        spec=spec.digest,
        order=order,
    )


def require_follows(predicate: Predicate | None, before: str | None) -> None:
    """The receipt follows that of the cell before, where that is known.

    Raises:
        DigestMismatch: it follows another one.
    """
    cell = None if predicate is None else predicate.cell
    named = None if cell is None else cell.previous
    if before is not None and named != before:
        raise DigestMismatch(
            "The receipt follows another one than the cell before has.", found=str(named), expected=before
        )

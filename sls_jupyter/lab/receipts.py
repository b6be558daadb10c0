"""Receipts, verified by the function that ``sls verify`` calls."""

from __future__ import annotations

import argparse
import binascii
from base64 import b64decode
from typing import cast

from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, UnknownName
from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import MAX_ROWS, Asked
from sls_jupyter.lab.rows import card_of
from sls_jupyter.notebook import receipts
from sls_jupyter.notebook.attest import verdict_card, verdict_words, verify_data
from sls_jupyter.notebook.cards import Card, Line, marks
from sls_jupyter.notebook.cell_lines import body_of
from sls_jupyter.notebook.receipts import Found
from sls_jupyter.notebook.words import is_simulated
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.session import RunRecord, Session
from sls_jupyter.session.contacts import short_did

MAX_CARDS = 20  # of one file
MAX_PINS = 64


def listed(asked: Asked) -> messages.Receipts:
    """The receipts in the folders of this persona's runs, the newest first, and whom one can be pinned to. Nobody is asked."""
    kept = [one for one in asked.session.runs() if one.has_receipt]
    return messages.Receipts(rows=tuple(map(_row, kept[:MAX_ROWS])), parties=_parties(asked.session))


def verify(asked: Asked) -> messages.Verified:
    """Verify the bytes of a file offline, as ``%sls verify`` does. A refusal is an answer, not an error.

    Raises:
        BadInput, MalformedDocument: what is expected of the file cannot be read.
    """
    body, session = cast(messages.VerifyAsked, asked.body), asked.session
    data, name = _decoded(body.data), one_line(body.name)
    options = _options(body)
    if body.name.endswith(".ipynb"):
        return _notebook(session, name, data, options)
    if receipts.looks_like_receipt(data):
        return _receipt(session, name, data, options)
    return _evidence(session, name, data, options)


def notebook(asked: Asked) -> messages.NotebookChecked:
    """For each cell of a saved notebook, whether the kept receipt of its run proves it. Nobody is asked."""
    cells = cast(messages.NotebookAsked, asked.body).cells
    return messages.NotebookChecked(cells=tuple(_checked(asked.session, one) for one in cells))


# --- a file ---------------------------------------------------------------------------------------


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("The file did not arrive whole.", expected="its bytes in base64") from None


def _options(body: messages.VerifyAsked) -> argparse.Namespace:
    if len(body.owners) > MAX_PINS or len(body.logs) > MAX_PINS:
        raise BadInput("So many cannot be expected of one file.", expected=f"{MAX_PINS} owners and logs at most")
    return argparse.Namespace(
        owner=list(body.owners),
        log=list(body.logs),
        image=[],
        witness=[],
        witnesses=None,
        accept_simulated=body.accept_simulated,
    )


def _receipt(session: Session, name: str, data: bytes, options: argparse.Namespace) -> messages.Verified:
    found = [Found(name, data)]
    ((_, verdict),) = receipts.judge_all(found, options, session.trusted_images()).judged
    shown = receipts.receipt_card(verdict, file=name, advice=receipts.advice(data, verdict))
    return messages.Verified(
        kind="receipt",
        accepted=verdict.accepted,
        verdict=receipts.verdict_words(verdict),
        id=verdict.id,
        run=_own_run(session, verdict),
        cards=(card_of(session, shown),),
    )


def _notebook(session: Session, name: str, data: bytes, options: argparse.Namespace) -> messages.Verified:
    """The chain of its receipts, and each one that is refused."""
    try:
        found = receipts.found_in(name, data)
    except BadInput as error:
        return _refused(session, "notebook", error)
    chain = receipts.judge_all(found, options, session.trusted_images())
    cards = [receipts.chain_card(chain)]
    for one, (_, verdict) in zip((one for one in found if one.data is not None), chain.judged, strict=True):
        if not verdict.accepted and len(cards) < MAX_CARDS:
            cards.append(
                receipts.receipt_card(verdict, file=one.name, advice=receipts.advice(one.data or b"", verdict))
            )
    return messages.Verified(
        kind="notebook",
        accepted=chain.accepted,
        verdict=receipts.chain_words(chain),
        id="",
        run="",
        cards=tuple(card_of(session, one) for one in cards),
    )


def _evidence(session: Session, name: str, data: bytes, options: argparse.Namespace) -> messages.Verified:
    try:
        verdict = verify_data([data], name, anchors=session.anchors if options.accept_simulated else None)
    except MalformedDocument:
        hint = "%sls receipt RUN saves a receipt, and the panel's runs have one each."
        return _refused(
            session, "other", BadInput("This file is neither a receipt nor attestation evidence.", hint=hint)
        )
    except SlsError as error:
        return _refused(session, "evidence", error)
    return messages.Verified(
        kind="evidence",
        accepted=verdict.accepted,
        verdict=verdict_words(verdict),
        id="",
        run="",
        cards=(card_of(session, verdict_card(verdict)),),
    )


def _refused(session: Session, kind: str, error: SlsError) -> messages.Verified:
    """A file that cannot be judged, as a verdict."""
    lines = [Line(line) for line in error.lines()]
    shown = Card("REFUSED", [*lines, Line("Do not rely on anything that this file states.")], tone="bad")
    return messages.Verified.model_validate(
        {
            "kind": kind,
            "accepted": False,
            "verdict": f"REFUSED: {error.sentence}",
            "id": "",
            "run": "",
            "cards": (card_of(session, shown),),
        }
    )


def _own_run(session: Session, verdict: ReceiptVerdict) -> str:
    """The run of this persona that an accepted receipt is of."""
    if not verdict.accepted or verdict.spec is None:
        return ""
    contract = verdict.spec.digest if verdict.order is None else verdict.order.digest
    try:
        record = session.run_called(contract)
    except UnknownName:
        return ""
    return record.id if record.contract == contract else ""


# --- what lies here -------------------------------------------------------------------------------


def _row(record: RunRecord) -> messages.ReceiptRow:
    return messages.ReceiptRow(
        run=record.id,
        at=record.started_at,
        inputs=record.inputs,
        purpose=one_line(record.purpose),
        marks=marks(is_simulated(record.tee), record.isolated is False),
    )


def _parties(session: Session) -> tuple[messages.Party, ...]:
    """Who has a name here as an owner, and each authority that this persona knows as a log; every DID was proven once."""
    owners = {who.did: str(who) for who, _ in session.contacts()}
    logs: dict[str, str] = {}
    for log, owner in session.known_logs().items():
        if owner:
            owners.setdefault(owner, str(session.who(owner)))
        logs.setdefault(log, f"{session.who(owner)}'s log" if owner else f"the log {short_did(log)}")
    found = [
        *(messages.Party(did=did, words=one_line(words), role="owner") for did, words in owners.items()),
        *(messages.Party(did=did, words=one_line(words), role="log") for did, words in logs.items()),
    ]
    return tuple(sorted(found, key=lambda one: (one.role != "owner", one.words)))


def _checked(session: Session, cell: messages.RemoteCell) -> messages.CellChecked:
    proof = session.prove_cell(cell.run, body_of(cell.cell))
    return messages.CellChecked(run=cell.run, verified=proof.verified, words=proof.words)

"""Verifying a receipt as a person does: a file, the clock of now, the guest image that is installed here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.contract.image import installed_image
from sls_jupyter.documents import MAX_DOCUMENT_BYTES, canonical_json, parse_json
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.identity import did_from_public_key, public_key_from_did
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verdict import ReceiptVerdict, VerifiedReceipt
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.transparency.cosignature import WitnessPolicy
from sls_jupyter.transparency.note import parse_verifier_key

MAX_NOTEBOOK_BYTES = 256 << 20  # with the outputs and the receipts of all its cells
MAX_NOTEBOOK_VALUES = 4_000_000  # JSON values


def verify_file(
    source: str | Path | bytes | Receipt | VerifiedReceipt,
    *,
    owners: Collection[str] = (),
    logs: Collection[str] = (),
    images: Collection[str] = (),
    witnesses: Collection[str] = (),
    needed: int | None = None,
    accept_simulated: bool = False,
    anchors: TrustAnchors | None = None,
) -> ReceiptVerdict:
    """Verify a receipt offline, without an account, a home or a network.

    Args:
        source: a file's path, its bytes, or a receipt.
        owners: DIDs of exactly the owners expected; none given: those in the receipt are taken, and listed.
        logs: exactly the logs expected, by DID or verifier key (``origin+id+key``); none given: as above.
        images: digests of guest images to believe, beside the one installed here.
        witnesses: verifier keys of witnesses.
        needed: how many of them must have cosigned each log's last checkpoint; all of them by default.
        accept_simulated: accept a receipt that no hardware signed; the verdict says SIMULATED.
        anchors: the vendors' pinned roots by default.

    Returns:
        The verdict; :meth:`ReceiptVerdict.require` makes an error of a bad one.

    Raises:
        BadInput: the file cannot be read, or a DID or key cannot be one.
    """
    policy = WitnessPolicy.of(len(witnesses) if needed is None else needed, witnesses) if witnesses or needed else None
    for did in owners:
        public_key_from_did(did)
    return verify_receipt(
        _bytes(source),
        now=datetime.now(UTC),
        images={installed_image().digest, *images},
        anchors=anchors,
        owners=owners or None,
        logs=[_log_did(key) for key in logs] or None,
        witnesses=policy,
        accept_simulated=accept_simulated,
    )


def _bytes(source: str | Path | bytes | Receipt | VerifiedReceipt) -> bytes:
    if isinstance(source, VerifiedReceipt):
        source = source.receipt
    if isinstance(source, Receipt):
        return source.payload()
    return source if isinstance(source, bytes) else read_receipt(source)


def read_receipt(path: str | Path) -> bytes:
    """A file's bytes, not more than a receipt can have.

    Raises:
        BadInput: it cannot be read, or is too large for a receipt.
    """
    try:
        if not Path(path).is_file():
            raise BadInput("The receipt cannot be read.", found=str(path)[:200], expected="a file")
        with Path(path).open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise BadInput("The receipt cannot be read.", found=f"{str(path)[:200]}: {why}") from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise BadInput(
            "This file is too large for a receipt.",
            found=str(path)[:200],
            expected=f"{MAX_DOCUMENT_BYTES} bytes at most",
        )
    return data


@dataclass(frozen=True, slots=True)
class CellFound:
    """A code cell of an executed notebook, as its file says; nothing is verified."""

    place: int  # among all cells, from 1
    source: str
    receipt: bytes | None
    shows: bool  # it has outputs


def receipts_in(path: str | Path) -> list[bytes]:
    """The receipts in a notebook that was run whole, in the order of its cells: see :func:`cells_in`."""
    return [cell.receipt for cell in cells_in(path) if cell.receipt is not None]


def cells_in(path: str | Path) -> list[CellFound]:
    """The code cells of a notebook that was run whole, each with its receipt: member ``receipt`` of the cell's ``sls``.

    A cell that calls itself another one and has a receipt is among them.

    Raises:
        BadInput: it cannot be read, is too large, or is no notebook with receipts.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_NOTEBOOK_BYTES + 1)
    except (OSError, ValueError):
        raise _no_receipts(path) from None
    return cells_of(data, str(path))


def cells_of(data: bytes, name: str) -> list[CellFound]:
    """The same of a notebook's bytes.

    Args:
        name: for the error.

    Raises:
        BadInput: it is too large, or is no notebook with receipts.
    """
    try:
        found = parse_json(data, max_bytes=MAX_NOTEBOOK_BYTES, max_values=MAX_NOTEBOOK_VALUES)
        every = enumerate(found["cells"] if isinstance(found, dict) else [], start=1)
        cells = [one for place, cell in every if (one := _cell(place, cell)) is not None]
    except (MalformedDocument, KeyError, TypeError, AttributeError, ValueError):
        cells = []
    if not any(cell.receipt is not None for cell in cells):
        raise _no_receipts(name)
    return cells


def _no_receipts(path: str | Path) -> BadInput:
    return BadInput(
        "This notebook has no receipts.",
        found=str(path)[:200],
        expected="an .ipynb file that sls run or papermill --engine safestream wrote",
    )


def _cell(place: int, cell: Any) -> CellFound | None:
    ours = cell.get("metadata", {}).get("sls", {})
    receipt = canonical_json(ours["receipt"]) if isinstance(ours, dict) and "receipt" in ours else None
    if receipt is None and cell.get("cell_type") != "code":
        return None
    return CellFound(place, "".join(cell.get("source", "")), receipt, bool(cell.get("outputs")))


def _log_did(key: str) -> str:
    """The DID of a log's key, from itself or from the log's verifier key.

    Raises:
        MalformedDocument: neither.
    """
    if key.startswith("did:"):
        return did_from_public_key(public_key_from_did(key))
    return did_from_public_key(parse_verifier_key(key)[1])

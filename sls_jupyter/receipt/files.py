"""Verifying a receipt as a person does: a file, the clock of now, the guest image that is installed here."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from sls_jupyter.attestation.evidence import TrustAnchors
from sls_jupyter.contract.image import installed_image
from sls_jupyter.documents import MAX_DOCUMENT_BYTES
from sls_jupyter.errors import BadInput
from sls_jupyter.identity import did_from_public_key, public_key_from_did
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verdict import ReceiptVerdict, VerifiedReceipt
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.transparency.cosignature import WitnessPolicy
from sls_jupyter.transparency.note import parse_verifier_key


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


def _log_did(key: str) -> str:
    """The DID of a log's key, from itself or from the log's verifier key.

    Raises:
        MalformedDocument: neither.
    """
    if key.startswith("did:"):
        return did_from_public_key(public_key_from_did(key))
    return did_from_public_key(parse_verifier_key(key)[1])

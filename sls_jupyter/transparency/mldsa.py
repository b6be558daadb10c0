"""Cosignatures by ML-DSA-44 (FIPS 204), which hold against quantum computers, too (C2SP ``tlog-cosignature``, type 0x06).

Their witness signs a structure and not the text: its own name, the time, the log's origin, and the tree from 0 to its size
with its root hash. So, unlike with Ed25519, extension lines of a checkpoint are not signed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from sls_jupyter.errors import MalformedDocument, SignatureInvalid, Unavailable
from sls_jupyter.transparency.checkpoint import Checkpoint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

ML_DSA_44 = 0x06  # signature type
PUBLIC_KEY_BYTES = 1312
SIGNATURE_BYTES = 2420
_LABEL = b"subtree/v1\n\0"


def message(checkpoint: Checkpoint, name: str, at: int) -> bytes:
    """What the witness ``name`` signs of a checkpoint at a time (seconds since 1970-01-01 UTC).

    Raises:
        MalformedDocument: a name or an origin that is longer than the structure holds.
    """
    names = [text.encode() for text in (name, checkpoint.origin)]
    if not all(1 <= len(text) <= 255 for text in names):
        raise MalformedDocument("A name is too long for a cosignature by ML-DSA-44.", expected="255 bytes at most")
    witness, origin = (bytes([len(text)]) + text for text in names)
    tree = struct.pack(">QQ32s", 0, checkpoint.tree_size, checkpoint.root_hash)
    return _LABEL + witness + at.to_bytes(8, "big") + origin + tree


def _load(public_key: bytes) -> MLDSA44PublicKey:
    """The key; a library without the algorithm is an error of its own, and no signature that holds."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa

        return mldsa.MLDSA44PublicKey.from_public_bytes(public_key)
    except (ImportError, UnsupportedAlgorithm):
        raise Unavailable(
            "Cosignatures by ML-DSA-44 cannot be verified here.",
            found="a cryptography without ML-DSA",
            hint="Install a newer cryptography, or demand a witness with an Ed25519 key.",
        ) from None
    except ValueError:
        raise MalformedDocument("This is not a key of ML-DSA-44.", found=f"{len(public_key)} bytes") from None


def verify(signature: bytes, checkpoint: Checkpoint, name: str, public_key: bytes, at: int) -> None:
    """Check a signature (2420 bytes).

    Raises:
        SignatureInvalid: it does not verify. MalformedDocument: no key. Unavailable: the library lacks the algorithm.
    """
    try:
        _load(public_key).verify(signature, message(checkpoint, name, at))
    except InvalidSignature:
        raise SignatureInvalid("A cosignature by ML-DSA-44 does not verify.", expected=f"one by {name}") from None


def sign(checkpoint: Checkpoint, name: str, key: MLDSA44PrivateKey, at: int) -> bytes:
    """The signature (2420 bytes) of a witness."""
    return key.sign(message(checkpoint, name, at))

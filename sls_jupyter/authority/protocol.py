"""What both sides of the authority's protocol compute: HPKE ``info`` strings, and the message that signs an answer."""

from __future__ import annotations

import hashlib

from sls_jupyter.documents import lp


def publish_info(asset: str) -> bytes:
    """Of master keys on their way to the authority: ``lp("sls-jupyter/publish/v1", asset id)``."""
    return lp("sls-jupyter/publish/v1", asset)


def release_info(spec: str, asset: str) -> bytes:
    """Of master keys on their way to a guest: ``lp("sls-jupyter/release/v1", spec digest, asset id)``."""
    return lp("sls-jupyter/release/v1", spec, asset)


def pass_info(spec: str, asset: str) -> bytes:
    """Of a read pass on its way to a guest: ``lp("sls-jupyter/read-pass/v1", spec digest, asset id)``."""
    return lp("sls-jupyter/read-pass/v1", spec, asset)


# --- signed answers -------------------------------------------------------------------------------

NONCE = "Sls-Nonce"  # request: 32 random bytes, hex
AUTHORITY = "Sls-Authority"  # answer: the DID that signed it
ANSWER_SIGNATURE = "Sls-Signature"  # answer: base64 of an Ed25519 signature over :func:`answer_message`


def answer_message(
    did: str, nonce: str, method: str, target: str, question: bytes, status: int, answer: bytes
) -> bytes:
    """What an authority signs of an answer.

    ``lp("sls-jupyter/answer/v1", DID, nonce, method, target, SHA-256(question), status, SHA-256(answer))``, the
    nonce as 32 bytes, the target as path, ``?`` and query exactly as sent, the status as decimal digits.

    Raises:
        ValueError: the nonce is not hexadecimal.
    """
    digests = hashlib.sha256(question).digest(), hashlib.sha256(answer).digest()
    return lp("sls-jupyter/answer/v1", did, bytes.fromhex(nonce), method, target, digests[0], str(status), digests[1])

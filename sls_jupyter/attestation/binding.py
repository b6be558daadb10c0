"""REPORT_DATA: what a guest has the hardware sign, 64 bytes, one formula for each use.

``lp`` is :func:`sls_jupyter.documents.lp`: each part preceded by its length, so no two uses and no two
lists of parts share a value. Each names the container that asks: measured code, so its word. Golden values: ``tests/vectors/attestation/bindings.json``.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from sls_jupyter.documents import lp


def _bind(*parts: bytes | str) -> bytes:
    return hashlib.sha512(lp(*parts)).digest()


def release_report_data(nonce: bytes, hpke_public_key: bytes) -> bytes:
    """``SHA-512(lp("sls-jupyter/release/v2", "input", nonce, hpke_public_key))``

    The input container that answers this authority's challenge holds the key that sealed keys will go to.
    """
    return _bind("sls-jupyter/release/v2", "input", nonce, hpke_public_key)


def door_report_data(role: Literal["input", "output"], nonce: bytes, spki_der: bytes) -> bytes:
    """``SHA-512(lp("sls-jupyter/door/v2", role, nonce, spki_der))``

    The TLS server that shows this public key (SubjectPublicKeyInfo, DER) is this container of the guest. All containers of a
    group share one report but for these bytes, so whoever asks learns from them alone which one has answered.
    """
    return _bind("sls-jupyter/door/v2", role, nonce, spki_der)


def own_report_data() -> bytes:
    """``SHA-512(lp("sls-jupyter/own/v1"))``: a report that a guest reads itself and shows to nobody."""
    return _bind("sls-jupyter/own/v1")


def receipt_report_data(digest: str) -> bytes:
    """``SHA-512(lp("sls-jupyter/receipt/v2", "audit", digest))``

    The hardware itself signs the receipt; ``digest`` is ``sha256:…`` of its envelope's PAE, as UTF-8 text. (The
    receipt's identifier is another one, that of the payload alone.)
    """
    return _bind("sls-jupyter/receipt/v2", "audit", digest)

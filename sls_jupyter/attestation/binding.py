"""REPORT_DATA: what a guest has the hardware sign, 64 bytes, one formula for each use.

``lp`` is :func:`sls_jupyter.documents.lp`: each part preceded by its length, so no two uses and no two
lists of parts share a value. Golden values: ``tests/vectors/attestation/bindings.json``.
"""

from __future__ import annotations

import hashlib

from sls_jupyter.documents import lp


def _bind(*parts: bytes | str) -> bytes:
    return hashlib.sha512(lp(*parts)).digest()


def release_report_data(nonce: bytes, hpke_public_key: bytes) -> bytes:
    """``SHA-512(lp("sls-jupyter/release/v1", nonce, hpke_public_key))``

    The guest that answers this authority's challenge holds the key that sealed keys will go to.
    """
    return _bind("sls-jupyter/release/v1", nonce, hpke_public_key)


def door_report_data(nonce: bytes, spki_der: bytes) -> bytes:
    """``SHA-512(lp("sls-jupyter/door/v1", nonce, spki_der))``

    The TLS server that shows this public key (SubjectPublicKeyInfo, DER) is inside the guest.
    """
    return _bind("sls-jupyter/door/v1", nonce, spki_der)


def receipt_report_data(digest: str) -> bytes:
    """``SHA-512(lp("sls-jupyter/receipt/v1", digest))``

    The hardware itself signs the receipt; ``digest`` is ``sha256:…`` of its envelope's PAE, as UTF-8 text. (The
    receipt's identifier is another one, that of the payload alone.)
    """
    return _bind("sls-jupyter/receipt/v1", digest)

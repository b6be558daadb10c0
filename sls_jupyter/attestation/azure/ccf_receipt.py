"""Transparency receipts of a CCF ledger: proof that a signed statement is in an append-only log.

A receipt is itself a COSE_Sign1: the ledger signs the root of a Merkle tree, and the receipt carries the
path from a leaf to it. Two checks, and the second is the one that binds: the ledger's signature over the
root, and that the leaf commits to *this* statement. A receipt grafted from another statement passes the first.

::

    leaf = SHA-256(transaction hash || SHA-256(evidence) || data hash)
    data hash = SHA-256(the tagged COSE_Sign1 with an empty unprotected header)

Source: draft-ietf-cose-merkle-tree-proofs; draft-birkholz-cose-receipts-ccf-profile.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from sls_jupyter.attestation.cose import cbor
from sls_jupyter.attestation.cose.sign1 import CWT_CLAIMS, KID, Sign1, verify_sign1
from sls_jupyter.documents import b64decode, parse_json
from sls_jupyter.errors import DigestMismatch, MalformedDocument

RECEIPTS = 394  # unprotected header of a statement: its receipts
_VDS, _VDP, _CCF_LEDGER, _INCLUSION = 395, 396, 2, -1
_LEAF, _PATH = 1, 2
MAX_RECEIPTS = 8
_MAX_PATH = 64
_CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}

LedgerKeys = Mapping[str, ec.EllipticCurvePublicKey]
"""Key id to public key of the ledgers that a relying party knows."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that verified for one statement."""

    ledger: str  # the issuer that the ledger's key signed
    kid: str


# --- the ledgers' keys ----------------------------------------------------------------------------


def parse_ledger_keys(data: bytes) -> LedgerKeys:
    """Read a JSON Web Key Set of ledgers' keys (RFC 7517). EC keys only; trusting them is the caller's choice.

    Raises:
        MalformedDocument: not a key set, a key of another type, or one key id twice.
    """
    document = parse_json(data)
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise MalformedDocument("This is not a JSON Web Key Set.", expected='{"keys": [...]}')
    found = {_text(key, "kid"): _public_key(key) for key in keys}
    if len(found) != len(keys):
        raise MalformedDocument("A key set has one key id twice.")
    return MappingProxyType(found)


def _text(key: dict[str, Any], name: str) -> str:
    value = key.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise MalformedDocument("A key lacks a member.", expected=name)
    return value


def _number(key: dict[str, Any], name: str) -> int:
    text = _text(key, name)
    return int.from_bytes(b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)), "big")


def _public_key(key: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    curve = _CURVES.get(_text(key, "crv")) if key.get("kty") == "EC" else None
    if curve is None:
        raise MalformedDocument("A ledger's key is of an unknown kind.", expected="EC on P-256, P-384 or P-521")
    try:
        return ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), curve()).public_key()
    except ValueError:
        raise MalformedDocument("A ledger's key is not a point of its curve.") from None


# --- receipts -------------------------------------------------------------------------------------


def receipts_of(statement: Sign1) -> tuple[bytes, ...]:
    """The receipts beside a statement, as they stand; nobody signed that they are there.

    Raises:
        MalformedDocument: the header is not a list of byte strings, or too long.
    """
    found = statement.unprotected.get(RECEIPTS, ())
    if not isinstance(found, list | tuple) or not all(isinstance(item, bytes) for item in found):
        raise MalformedDocument("A statement's receipts are malformed.", expected="a list of byte strings")
    if len(found) > MAX_RECEIPTS:
        raise MalformedDocument("A statement has too many receipts.", found=len(found), expected=MAX_RECEIPTS)
    return tuple(found)


def verify_receipt(receipt: bytes, statement: Sign1, ledgers: LedgerKeys) -> Receipt | None:
    """Check one receipt against one statement.

    Returns:
        What verified, or ``None`` if no ledger of ours has its key id: then it says nothing.

    Raises:
        MalformedDocument: it cannot be read.
        SignatureInvalid: the ledger did not sign the root that the receipt's path leads to.
        DigestMismatch: the receipt is one for another statement.
    """
    message = Sign1.parse(receipt)
    kid = message.protected.get(KID)
    if not isinstance(kid, bytes) or message.protected.get(_VDS) != _CCF_LEDGER:
        raise _malformed("no key id, or another kind of ledger")
    name = kid.decode("ascii", "replace")
    key = ledgers.get(name)
    if key is None:
        return None
    data_hash = hashlib.sha256(statement.bare()).digest()
    for proof in _proofs(message):
        root, leaf_data = _fold(proof)
        verify_sign1(message, key, detached=root)
        if not hmac.compare_digest(leaf_data, data_hash):
            raise DigestMismatch(
                "A transparency receipt is one for another statement.", found=leaf_data.hex(), expected=data_hash.hex()
            )
    return Receipt(_ledger(message), name)


def _malformed(found: str) -> MalformedDocument:
    return MalformedDocument("A transparency receipt is malformed.", found=found)


def _ledger(message: Sign1) -> str:
    claims = message.protected.get(CWT_CLAIMS)
    issuer = claims.get(1) if isinstance(claims, Mapping) else None
    if not isinstance(issuer, str) or not 0 < len(issuer) <= 200:
        raise _malformed("no issuer")
    return issuer


def _proofs(message: Sign1) -> tuple[bytes, ...]:
    found = message.unprotected.get(_VDP)
    proofs = found.get(_INCLUSION) if isinstance(found, Mapping) else None
    if not isinstance(proofs, list | tuple) or not 0 < len(proofs) <= MAX_RECEIPTS:
        raise _malformed("no inclusion proof")
    if not all(isinstance(proof, bytes) for proof in proofs):
        raise _malformed("an inclusion proof of the wrong type")
    return tuple(proofs)


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _fold(data: bytes) -> tuple[bytes, bytes]:
    """The root that a proof leads to, and the data hash in its leaf."""
    proof = cbor.decode(data)
    leaf = proof.get(_LEAF) if isinstance(proof, Mapping) else None
    if not isinstance(leaf, list | tuple) or len(leaf) != 3:
        raise _malformed("a leaf of another form")
    transaction, evidence, leaf_data = leaf
    if not (_is_hash(transaction) and isinstance(evidence, str) and _is_hash(leaf_data)):
        raise _malformed("a leaf of another form")
    root = hashlib.sha256(transaction + hashlib.sha256(evidence.encode()).digest() + leaf_data).digest()
    for left, sibling in _path(proof.get(_PATH)):
        root = hashlib.sha256(sibling + root if left else root + sibling).digest()
    return root, leaf_data


def _path(found: object) -> list[tuple[bool, bytes]]:
    if not isinstance(found, list | tuple) or len(found) > _MAX_PATH:
        raise _malformed("a path of another form")
    steps = []
    for step in found:
        if not isinstance(step, list | tuple) or len(step) != 2 or type(step[0]) is not bool or not _is_hash(step[1]):
            raise _malformed("a path of another form")
        steps.append((step[0], step[1]))
    return steps

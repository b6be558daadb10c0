"""A forge of UVM endorsements: chain, COSE_Sign1 and receipts under test roots, each with one thing wrong.

Messages are put together from bytes here and not by the code under test, so that it can be shown anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from forge import MEASUREMENT, rsa_key

FEED = "ContainerPlat-AMD-UVM"
EKU = "1.3.6.1.4.1.311.76.59.1.2"
SIGNED_AT = datetime(2026, 3, 1, tzinfo=UTC)
LEAF_FROM, LEAF_TO = datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
CA_FROM, CA_TO = datetime(2022, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
LEDGER = "ledger.test"


@lru_cache
def ec_key(label: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@lru_cache
def certificate(
    subject: str, issuer: str, *, signer: str = "", ca: bool = True, eku: str = "", rsa_leaf: bool = False
) -> bytes:
    """A certificate for the key of its subject's name, signed by the key of ``signer`` (by default the issuer's)."""
    start, end = (CA_FROM, CA_TO) if ca else (LEAF_FROM, LEAF_TO)
    key: Any = rsa_key(subject) if rsa_leaf else ec_key(subject)
    builder = x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), 7, start, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if eku:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(eku)])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(ec_key(signer or issuer), hashes.SHA384()).public_bytes(Encoding.DER)


def chain(root: str = "uvm root", *, leaf_eku: str = EKU, ca_eku: str = "", **leaf: Any) -> tuple[bytes, ...]:
    return (
        certificate("uvm leaf", "uvm ca", ca=False, eku=leaf_eku, **leaf),
        certificate("uvm ca", root, eku=ca_eku),
        certificate(root, root),
    )


def did(ders: tuple[bytes, ...], predicate: str = f"eku:{EKU}") -> str:
    fingerprint = base64.urlsafe_b64encode(hashlib.sha256(ders[-1]).digest()).rstrip(b"=").decode()
    return f"did:x509:0:sha256:{fingerprint}::{predicate}"


ISSUER = did(chain())


def claims(**changes: Any) -> dict[Any, Any]:
    """CWT claims of the hash-envelope form; keywords are ``iss``, ``sub``, ``iat``, ``svn``."""
    labels = {"iss": 1, "sub": 2, "iat": 6, "svn": "svn"}
    good = {1: ISSUER, 2: FEED, 6: int(SIGNED_AT.timestamp()), "svn": 104}
    return good | {labels[name]: value for name, value in changes.items()}


def envelope_headers(ders: tuple[bytes, ...] | None = None, **changes: Any) -> dict[Any, Any]:
    headers = {1: -35, 15: claims(**changes), 33: list(ders or chain())}
    return headers | {258: -43, 259: "application/octet-stream"}


def json_headers(**changes: Any) -> dict[Any, Any]:
    headers = {1: -35, 3: "application/json", 33: list(chain()), "iss": ISSUER, "feed": FEED}
    return headers | {"signingtime": cbor2.CBORTag(1, int(SIGNED_AT.timestamp()))} | changes


def json_payload(svn: Any = "104", **changes: Any) -> bytes:
    good = {"x-ms-sevsnpvm-guestsvn": svn, "x-ms-sevsnpvm-launchmeasurement": MEASUREMENT.hex()}
    return json.dumps(good | changes).encode()


def raw_signature(key: Any, signed: bytes, algorithm: int) -> bytes:
    if algorithm == -38:
        return bytes(key.sign(signed, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384()))
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


@dataclass(frozen=True)
class Statement:
    """A signed message; ``replace`` changes a part after signing or before, as named."""

    headers: Any = field(default_factory=envelope_headers)
    payload: Any = MEASUREMENT
    unprotected: Any = field(default_factory=dict)
    protected_bytes: bytes = b""  # instead of the headers' encoding
    key: str = "uvm leaf"
    rsa: bool = False
    parts: Any = None  # instead of the four

    def encode(self) -> bytes:
        protected = self.protected_bytes or cbor2.dumps(self.headers)
        signed = cbor2.dumps(["Signature1", protected, b"", self.payload])
        key: Any = rsa_key(self.key) if self.rsa else ec_key(self.key)
        signature = raw_signature(key, signed, -38 if self.rsa else -35)
        parts = [protected, self.unprotected, self.payload, signature] if self.parts is None else self.parts
        return b"\xd2" + cbor2.dumps(parts)


def receipt(statement: bytes, *, key: str = LEDGER, kid: str = LEDGER, steps: int = 3) -> bytes:
    """A receipt by a ledger for a statement."""
    protected, _, payload, signature = cbor2.loads(statement[1:])
    data_hash = hashlib.sha256(b"\xd2" + cbor2.dumps([protected, {}, payload, signature])).digest()
    leaf = [b"t" * 32, "evidence", data_hash]
    root = hashlib.sha256(leaf[0] + hashlib.sha256(b"evidence").digest() + data_hash).digest()
    path = [[bool(step % 2), bytes([step]) * 32] for step in range(steps)]
    for left, sibling in path:
        root = hashlib.sha256(sibling + root if left else root + sibling).digest()
    headers = cbor2.dumps({1: -35, 4: kid.encode(), 395: 2, 15: {1: LEDGER, 2: "statements"}})
    signed = cbor2.dumps(["Signature1", headers, b"", root])
    proof = cbor2.dumps({1: leaf, 2: path})
    parts = [headers, {396: {-1: [proof]}}, None, raw_signature(ec_key(key), signed, -35)]
    return b"\xd2" + cbor2.dumps(parts)


def with_receipts(statement: bytes, *receipts: bytes) -> bytes:
    protected, _, payload, signature = cbor2.loads(statement[1:])
    return b"\xd2" + cbor2.dumps([protected, {394: list(receipts)}, payload, signature])

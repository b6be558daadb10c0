"""COSE_Sign1 (RFC 9052): parsed strictly, verified with one given key.

::

    bytes -- Sign1.parse --> Sign1 -- verify_sign1 --> VerifiedSign1
              types, no trust           signature

What a signer says is read from the protected header only. The unprotected header is kept for what may be
added after signing (receipts); nobody signed it.

Source: RFC 9052 section 4.2 and 4.4, RFC 9053 section 2.1, RFC 8230 (PS256 to PS512), RFC 9360 (x5chain).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, Self, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sls_jupyter.attestation.cose import cbor
from sls_jupyter.errors import MalformedDocument, SignatureInvalid

SIGN1_TAG = b"\xd2"  # tag 18
ALG, CRIT, CONTENT_TYPE, KID, CWT_CLAIMS, X5CHAIN, X5T = 1, 2, 3, 4, 15, 33, 34

_PSS: Mapping[int, hashes.HashAlgorithm] = {-37: hashes.SHA256(), -38: hashes.SHA384(), -39: hashes.SHA512()}
_ECDSA: Mapping[int, tuple[hashes.HashAlgorithm, str, int]] = {
    -7: (hashes.SHA256(), "secp256r1", 32),
    -35: (hashes.SHA384(), "secp384r1", 48),
    -36: (hashes.SHA512(), "secp521r1", 66),
}
_RSA_BITS = range(2048, 8193)
MAX_CERTIFICATES = 8  # in one x5chain


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1 as it stands. Parsed, not verified."""

    protected: Mapping[int | str, Any]
    unprotected: Mapping[int | str, Any]
    payload: bytes | None  # None: detached
    signature: bytes = field(repr=False)
    protected_bytes: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one tagged COSE_Sign1 and nothing after it.

        Raises:
            MalformedDocument: not one, ``crit`` used, a label in both headers, or an algorithm that is not allowed.
        """
        if data[:1] != SIGN1_TAG:
            raise _malformed("no tag 18")
        parts = cbor.decode(data[1:])
        if not isinstance(parts, list | tuple) or len(parts) != 4:
            raise _malformed("not four parts")
        protected_bytes, unprotected, payload, signature = parts
        if not (isinstance(protected_bytes, bytes) and isinstance(signature, bytes)):
            raise _malformed("a part of the wrong type")
        if not (isinstance(payload, bytes) or payload is None) or not isinstance(unprotected, Mapping):
            raise _malformed("a part of the wrong type")
        protected = cbor.decode(protected_bytes)
        if not isinstance(protected, Mapping):
            raise _malformed("a protected header that is no map")
        _check_headers(protected, unprotected)
        return cls(protected, unprotected, payload, signature, protected_bytes)

    def signed_bytes(self, payload: bytes) -> bytes:
        """``Sig_structure`` of RFC 9052 section 4.4, without external data."""
        return cbor.encode(["Signature1", self.protected_bytes, b"", payload])

    def bare(self) -> bytes:
        """The tagged message with an empty unprotected header: what a transparency ledger commits to."""
        return SIGN1_TAG + cbor.encode([self.protected_bytes, {}, self.payload, self.signature])

    def certificates(self) -> tuple[bytes, ...]:
        """The x5chain of the protected header, DER, leaf first.

        Raises:
            MalformedDocument: there is none, or it has the wrong type or size.
        """
        chain = self.protected.get(X5CHAIN)
        ders = (chain,) if isinstance(chain, bytes) else chain
        if not isinstance(ders, list | tuple) or not 0 < len(ders) <= MAX_CERTIFICATES:
            raise _malformed("no x5chain in the protected header")
        if not all(isinstance(der, bytes) for der in ders):
            raise _malformed("an x5chain that is not made of certificates")
        return tuple(ders)


def _malformed(found: str) -> MalformedDocument:
    return MalformedDocument("This is not a COSE_Sign1 we accept.", found=found, expected="RFC 9052 section 4.2")


def _check_headers(protected: Mapping[int | str, Any], unprotected: Mapping[int | str, Any]) -> None:
    if CRIT in protected or CRIT in unprotected:
        raise _malformed("critical headers, and none is known to us")
    if protected.keys() & unprotected.keys():
        raise _malformed("a label in both headers")
    algorithm = protected.get(ALG)
    if type(algorithm) is not int or (algorithm not in _PSS and algorithm not in _ECDSA):
        raise _malformed(f"algorithm {str(algorithm)[:40]} in the protected header")


class _Proof:
    """Held by verify_sign1() alone."""

    __slots__ = ()


_BY_VERIFY = _Proof()


@final
@dataclass(frozen=True, slots=True)
class VerifiedSign1:
    """A message whose signature one key made. Who owns that key is another question."""

    protected: Mapping[int | str, Any]
    payload: bytes
    proof: InitVar[_Proof]

    def __post_init__(self, proof: _Proof) -> None:
        if proof is not _BY_VERIFY:
            raise TypeError("Only verify_sign1() makes this.")


def verify_sign1(message: Sign1, key: object, *, detached: bytes | None = None) -> VerifiedSign1:
    """Check the signature of a message.

    Args:
        key: an RSA key of 2048 to 8192 bits for PS256, PS384, PS512; one of P-256, P-384 or P-521 for ES256,
            ES384, ES512, each its own curve.
        detached: the payload, if and only if the message does not carry it.

    Raises:
        SignatureInvalid: it does not verify, the algorithm does not fit the key, or there is no payload or two.
    """
    payloads = [payload for payload in (message.payload, detached) if payload is not None]
    if len(payloads) != 1:
        raise _invalid(f"{len(payloads)} payloads")
    signed, algorithm = message.signed_bytes(payloads[0]), message.protected[ALG]
    try:
        if algorithm in _PSS:
            _verify_pss(key, message.signature, signed, _PSS[algorithm])
        else:
            _verify_ecdsa(key, message.signature, signed, *_ECDSA[algorithm])
    except (InvalidSignature, ValueError):
        raise _invalid(f"algorithm {algorithm}") from None
    return VerifiedSign1(message.protected, payloads[0], proof=_BY_VERIFY)


def _invalid(found: str) -> SignatureInvalid:
    return SignatureInvalid("The signature of a COSE message does not verify.", found=found)


def _verify_pss(key: object, signature: bytes, signed: bytes, digest: hashes.HashAlgorithm) -> None:
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_BITS:
        raise InvalidSignature
    key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def _verify_ecdsa(
    key: object, signature: bytes, signed: bytes, digest: hashes.HashAlgorithm, curve: str, size: int
) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve or len(signature) != 2 * size:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))

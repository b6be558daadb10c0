"""did:x509, method version 0: an issuer named by a CA's fingerprint and predicates on the leaf certificate.

::

    did:x509:0:sha256:<fingerprint of a CA>::eku:1.3.6.1.4.1.311.76.59.1.2

Resolution is local: the chain comes with the message. That a DID resolves says who the leaf is *within*
that chain; believing the DID is the relying party's choice. Validity periods are not judged here.

Source: did:x509 method specification (microsoft/did-x509), sections "DID Syntax" and "DID Resolution".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from sls_jupyter.attestation.cose.x509_path import PathCertificate, path_faults
from sls_jupyter.errors import MalformedDocument, SignatureInvalid, VerificationError

MAX_DID_CHARACTERS = 4096
PREFIX = "did:x509:0:"
_HASHES = {"sha256": 43, "sha384": 64, "sha512": 86}  # name -> base64url characters of a digest
_FULCIO_ISSUER = "1.3.6.1.4.1.57264.1.1"
_LABELS = {
    NameOID.COMMON_NAME: "CN",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STREET_ADDRESS: "STREET",
}
_OID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_VALUE = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+")
_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]+")


# --- the identifier -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DidX509:
    """A did:x509 taken apart. It says nothing until it is resolved against a chain."""

    did: str  # without a fragment
    algorithm: str  # sha256, sha384, sha512
    fingerprint: str  # base64url, no padding
    predicates: tuple[tuple[str, tuple[str, ...]], ...]  # name, decoded values

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a DID, or a DID URL with a fragment.

        Raises:
            MalformedDocument: not a did:x509 of version 0, a path or a query, an unknown predicate.
        """
        did = text[: MAX_DID_CHARACTERS + 1].partition("#")[0]
        if len(did) > MAX_DID_CHARACTERS:
            raise _malformed("DID is too long.")
        if not did.startswith(PREFIX):
            raise _malformed("DID prefix is invalid.")
        for mark, name in (("/", "paths"), ("?", "queries")):
            if mark in did:
                raise _malformed(f"DID URL {name} are not supported.")
        authority, *predicates = did.removeprefix(PREFIX).split("::")
        algorithm, _, fingerprint = authority.partition(":")
        if algorithm not in _HASHES:
            raise _malformed("Fingerprint algorithm is not supported.")
        if not _FINGERPRINT.fullmatch(fingerprint) or len(fingerprint) != _HASHES[algorithm]:
            raise _malformed("Fingerprint is not a base64url digest.")
        if not predicates:
            raise _malformed("DID has no predicate.")
        return cls(did, algorithm, fingerprint, tuple(_parse_predicate(text) for text in predicates))


def _malformed(message: str) -> MalformedDocument:
    return MalformedDocument(message, expected="did:x509:0:<hash>:<fingerprint>::<predicate>:<value>")


def percent_decode(text: str) -> str:
    """The method's own decoding: letters, digits, ``-``, ``.`` and ``_`` stand for themselves, nothing else does.

    Raises:
        MalformedDocument: another character, ``~`` and ``+`` included, or bytes that are not UTF-8.
    """
    if not _VALUE.fullmatch(text):
        raise _malformed("A DID has a character that must be percent-encoded.")
    try:
        return re.sub(rb"%(..)", lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()
    except UnicodeDecodeError:
        raise _malformed("A DID has percent-encoded bytes that are not UTF-8.") from None


def _parse_predicate(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, rest = text.partition(":")
    if name not in _PREDICATES:
        raise _malformed("DID has an unknown predicate.")
    values = rest.split(":") if rest else []
    check, _matches = _PREDICATES[name]
    check(values)
    return name, tuple(percent_decode(value) for value in values)


def _check_subject(values: list[str]) -> None:
    keys = values[::2]
    if not values or len(values) % 2:
        raise _malformed("Subject predicate needs pairs of key and value.")
    if len(set(keys)) != len(keys):
        raise _malformed("Subject predicate names one field twice.")
    if not all(key in _LABELS.values() or _OID.fullmatch(key) for key in keys):
        raise _malformed("Subject predicate has an unknown key.")


def _check_san(values: list[str]) -> None:
    if len(values) != 2:
        raise _malformed("SAN predicate needs one type and one value.")
    if values[0] not in ("email", "dns", "uri"):
        raise _malformed("SAN predicate has an unknown type.")


def _check_eku(values: list[str]) -> None:
    if len(values) != 1 or not _OID.fullmatch(values[0]):
        raise _malformed("EKU predicate needs one object identifier.")


def _check_fulcio(values: list[str]) -> None:
    if len(values) != 1:
        raise _malformed("Fulcio issuer predicate needs one value.")


# --- the leaf -------------------------------------------------------------------------------------


def _subject(name: x509.Name) -> dict[str, str]:
    fields = [(_LABELS.get(item.oid, item.oid.dotted_string), str(item.value)) for item in name]
    found = dict(fields)
    if len(found) != len(fields):
        raise VerificationError("A certificate's name has one attribute twice.")
    return found


def _sans(leaf: PathCertificate) -> list[tuple[str, str]]:
    kinds = {x509.RFC822Name: "email", x509.DNSName: "dns", x509.UniformResourceIdentifier: "uri"}
    names = leaf.find(x509.SubjectAlternativeName) or ()
    if any(type(name) not in kinds and not isinstance(name, x509.DirectoryName) for name in names):
        raise VerificationError("A certificate has an alternative name of an unsupported kind.")
    return [(kinds[type(name)], name.value) for name in names if type(name) in kinds]


def _match_subject(leaf: PathCertificate, values: tuple[str, ...]) -> bool:
    wanted = dict(zip(values[::2], values[1::2], strict=True))
    return wanted.items() <= _subject(leaf.certificate.subject).items()


def _match_san(leaf: PathCertificate, values: tuple[str, ...]) -> bool:
    return (values[0], values[1]) in _sans(leaf)


def _match_eku(leaf: PathCertificate, values: tuple[str, ...]) -> bool:
    usages = leaf.find(x509.ExtendedKeyUsage)
    if usages is None:
        raise VerificationError("The leaf certificate has no EKU extension.")
    return values[0] in [usage.dotted_string for usage in usages]


def _match_fulcio(leaf: PathCertificate, values: tuple[str, ...]) -> bool:
    found = [item.value for item in leaf.extensions if item.oid.dotted_string == _FULCIO_ISSUER]
    if not found or not isinstance(found[0], x509.UnrecognizedExtension):
        raise VerificationError("The leaf certificate has no Fulcio issuer extension.")
    return found[0].value == b"https://" + values[0].encode()


_PREDICATES: dict[str, tuple[Callable[[list[str]], None], Callable[[PathCertificate, tuple[str, ...]], bool]]] = {
    "subject": (_check_subject, _match_subject),
    "san": (_check_san, _match_san),
    "eku": (_check_eku, _match_eku),
    "fulcio-issuer": (_check_fulcio, _match_fulcio),
}


# --- resolution -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    """A DID that a chain bears out, and the leaf's key."""

    did: str
    key: CertificatePublicKeyTypes
    may_sign: bool  # digitalSignature, or no key usage given
    may_agree: bool  # keyAgreement, or no key usage given

    def document(self) -> dict[str, Any]:
        """The DID document of the specification."""
        key_id = f"{self.did}#0"
        method = {"id": key_id, "type": "JsonWebKey", "controller": self.did, "publicKeyJwk": _jwk(self.key)}
        document: dict[str, Any] = {
            "@context": "https://www.w3.org/ns/cid/v1",
            "id": self.did,
            "verificationMethod": [method],
        }
        if self.may_sign:
            document |= {"authentication": [key_id], "assertionMethod": [key_id]}
        if self.may_agree:
            document["keyAgreement"] = [key_id]
        return document


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwk(key: CertificatePublicKeyTypes) -> dict[str, str]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        fields = {"n": numbers.n, "e": numbers.e}
        return {"kty": "RSA"} | {k: _base64url(v.to_bytes((v.bit_length() + 7) // 8, "big")) for k, v in fields.items()}
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise VerificationError("The leaf's key has no JSON form here.", found=type(key).__name__)
    point, size = key.public_numbers(), (key.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.key_size]
    x, y = (_base64url(value.to_bytes(size, "big")) for value in (point.x, point.y))
    return {"kty": "EC", "crv": curve, "x": x, "y": y}


def resolve(text: str, path: Sequence[PathCertificate]) -> Resolved:
    """Resolve a DID against a chain.

    Args:
        path: leaf first, at least two certificates.

    Raises:
        MalformedDocument: this is no did:x509.
        SignatureInvalid: the chain is none.
        VerificationError: the fingerprint is none of its CAs', or the leaf does not meet a predicate.
    """
    did = DidX509.parse(text)
    if len(path) < 2:
        raise VerificationError("A chain needs at least two certificates.", found=len(path))
    faults = path_faults(path)
    if faults:
        raise SignatureInvalid("The certificate chain does not verify.", found="; ".join(faults)[:400])
    if did.fingerprint not in _fingerprints(did.algorithm, path[1:]):
        raise VerificationError("The CA fingerprint is not one of this chain.", found=did.fingerprint)
    for fault in _predicate_faults(did, path[0]):
        raise VerificationError(fault)
    usage = path[0].find(x509.KeyUsage)
    may_sign = usage is None or usage.digital_signature
    may_agree = usage is None or usage.key_agreement
    if not (may_sign or may_agree):
        raise VerificationError("The leaf's key usage allows neither signing nor key agreement.")
    return Resolved(did.did, path[0].key, may_sign, may_agree)


def _fingerprints(algorithm: str, authorities: Sequence[PathCertificate]) -> list[str]:
    return [_base64url(hashlib.new(algorithm, item.der).digest()) for item in authorities]


def _predicate_faults(did: DidX509, leaf: PathCertificate) -> Iterator[str]:
    _subject(leaf.certificate.subject)
    _sans(leaf)
    for name, values in did.predicates:
        _check, matches = _PREDICATES[name]
        if not matches(leaf, values):
            yield f"The {name} predicate does not match the certificate."

"""A path of X.509 certificates, leaf first, to its own last certificate (RFC 5280 section 6.1).

Whether anybody should believe that last certificate is the caller's question, and so is the time: nothing
here reads a clock or an expiry. AMD's chains have rules of their own (:mod:`sls_jupyter.attestation.amd.chain`).

Not done: policy trees (a path that requires an explicit policy is refused) and revocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from sls_jupyter.attestation.certificates import FOREIGN_ERRORS, MAX_CERTIFICATE_BYTES, load_certificate
from sls_jupyter.errors import MalformedDocument

MAX_PATH = 8
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_KNOWN_CRITICAL = {
    "2.5.29.15",  # key usage
    "2.5.29.17",  # subject alternative name
    "2.5.29.19",  # basic constraints
    "2.5.29.30",  # name constraints
    "2.5.29.32",  # certificate policies
    "2.5.29.33",  # policy mappings
    "2.5.29.36",  # policy constraints
    "2.5.29.37",  # extended key usage
    "2.5.29.54",  # inhibit any policy
}


@dataclass(frozen=True, slots=True)
class PathCertificate:
    """One certificate, read once: what can fail to parse has been parsed."""

    der: bytes
    certificate: x509.Certificate
    key: CertificatePublicKeyTypes
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]

    def find(self, kind: type[Any]) -> Any:
        """The value of the extension of this kind, or ``None``."""
        return next((item.value for item in self.extensions if isinstance(item.value, kind)), None)


def parse_path(ders: Sequence[bytes]) -> tuple[PathCertificate, ...]:
    """Read a path. Nothing is verified.

    Args:
        ders: DER, leaf first; 1 to 8 of them.

    Raises:
        MalformedDocument: not certificates, too many or too large.
    """
    if not 0 < len(ders) <= MAX_PATH:
        raise MalformedDocument("A chain has the wrong number of certificates.", found=len(ders))
    return tuple(_parse(der) for der in ders)


def _parse(der: bytes) -> PathCertificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise MalformedDocument("A certificate is too large.", found=f"{len(der)} bytes")
    try:
        certificate = load_certificate(der)
        return PathCertificate(der, certificate, certificate.public_key(), tuple(certificate.extensions))
    except FOREIGN_ERRORS as error:
        raise MalformedDocument("This is not a certificate we can read.", found=type(error).__name__) from None


def path_faults(path: Sequence[PathCertificate]) -> list[str]:
    """What is wrong with a path, in words; an empty list if nothing is."""
    faults = [fault for index, item in enumerate(path) for fault in _certificate_faults(item, index)]
    for index, (item, issuer) in enumerate(pairwise(path)):
        if not _issued_by(item, issuer):
            faults.append(f"certificate signature failure at {index}")
    last = path[-1]
    if last.certificate.subject == last.certificate.issuer and not _issued_by(last, last):
        faults.append("certificate signature failure at the root")
    return faults + _constraint_faults(path)


def validity_of(path: Sequence[PathCertificate]) -> tuple[datetime, datetime]:
    """The time in which every certificate is valid: the latest start and the earliest end."""
    starts = (item.certificate.not_valid_before_utc for item in path)
    return max(starts), min(item.certificate.not_valid_after_utc for item in path)


# --- one certificate ------------------------------------------------------------------------------


def _certificate_faults(item: PathCertificate, index: int) -> Iterator[str]:
    for extension in item.extensions:
        if extension.critical and extension.oid.dotted_string not in _KNOWN_CRITICAL:
            yield f"unhandled critical extension {extension.oid.dotted_string}"
    policies = item.find(x509.PolicyConstraints)
    if policies is not None and policies.require_explicit_policy is not None:
        yield "an explicit policy is required, which is not supported"
    if not _strong(item.key):
        yield f"a weak or unknown key at {index}"
    if index:
        yield from _issuer_faults(item, index)


def _issuer_faults(item: PathCertificate, index: int) -> Iterator[str]:
    basic, usage = item.find(x509.BasicConstraints), item.find(x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        yield f"invalid CA certificate at {index}"
    elif basic.path_length is not None and basic.path_length < index - 1:
        yield f"path length constraint exceeded at {index}"


def _strong(key: CertificatePublicKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return 2048 <= key.key_size <= 8192
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES


def _issued_by(item: PathCertificate, issuer: PathCertificate) -> bool:
    """The issuer's name is named and its key made the signature, with SHA-2."""
    try:
        if not isinstance(item.certificate.signature_hash_algorithm, _HASHES):
            return False
        item.certificate.verify_directly_issued_by(issuer.certificate)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


# --- name constraints -----------------------------------------------------------------------------


def _constraint_faults(path: Sequence[PathCertificate]) -> list[str]:
    faults = []
    for index, issuer in enumerate(path):
        constraints = issuer.find(x509.NameConstraints)
        if constraints is not None:
            names = [name for item in path[:index] for name in _names(item)]
            faults += [fault for name in names for fault in _name_faults(name, constraints)]
    return faults


def _names(item: PathCertificate) -> list[x509.GeneralName]:
    alternative = item.find(x509.SubjectAlternativeName)
    names: list[x509.GeneralName] = list(alternative) if alternative is not None else []
    mails = item.certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)
    names += [x509.RFC822Name(str(mail.value)) for mail in mails if str(mail.value).isascii()]
    return [*names, x509.DirectoryName(item.certificate.subject)]


def _name_faults(name: x509.GeneralName, constraints: x509.NameConstraints) -> list[str]:
    kind = type(name)
    permitted = [base for base in constraints.permitted_subtrees or () if isinstance(base, kind)]
    excluded = [base for base in constraints.excluded_subtrees or () if isinstance(base, kind)]
    within = _WITHIN.get(kind)
    if within is None:
        return ["a name of a constrained kind that is not supported"] if permitted or excluded else []
    faults = []
    if permitted and not any(within(name.value, base.value) for base in permitted):
        faults.append("permitted subtree violation")
    if any(within(name.value, base.value) for base in excluded):
        faults.append("excluded subtree violation")
    return faults


def _dns_within(name: str, base: str) -> bool:
    name, base = name.lower().rstrip("."), base.lower().strip(".")
    return not base or name == base or name.endswith("." + base)


def _host_within(host: str, base: str) -> bool:
    host, base = host.lower(), base.lower()
    return host.endswith(base) if base.startswith(".") else host == base


def _mail_within(name: str, base: str) -> bool:
    local, _, host = name.rpartition("@")
    if "@" in base:
        base_local, _, base_host = base.rpartition("@")
        return local == base_local and host.lower() == base_host.lower()
    return _host_within(host, base)


def _uri_within(name: str, base: str) -> bool:
    try:
        return _host_within(urlsplit(name).hostname or "", base)
    except ValueError:
        return False


def _directory_within(name: x509.Name, base: x509.Name) -> bool:
    return list(name.rdns)[: len(base.rdns)] == list(base.rdns)


_WITHIN: dict[type[x509.GeneralName], Callable[[Any, Any], bool]] = {
    x509.DNSName: _dns_within,
    x509.RFC822Name: _mail_within,
    x509.UniformResourceIdentifier: _uri_within,
    x509.DirectoryName: _directory_within,
}

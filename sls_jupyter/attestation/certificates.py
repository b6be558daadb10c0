"""X.509 certificates, read one at a time for everybody who signs evidence. Parsed, not verified.

Sources: RFC 5280 section 4.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from sls_jupyter.errors import MalformedDocument

MAX_CERTIFICATE_BYTES = 8 * 1024
_LOADING = threading.RLock()  # the filters of ``warnings`` belong to the whole process; one use is inside another
FOREIGN_ERRORS = (
    ValueError,
    TypeError,
    IndexError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


# --- one certificate ------------------------------------------------------------------------------


@contextmanager
def _serial_zero_allowed() -> Iterator[None]:
    """Silence the one warning that every VCEK deserves, for this process's shared filters one at a time."""
    with _LOADING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)
        yield


def load_certificate(der: bytes) -> x509.Certificate:
    """The one place where a certificate is loaded."""
    with _serial_zero_allowed():
        return x509.load_der_x509_certificate(der)


def _serial_of(certificate: x509.Certificate) -> int:
    with _serial_zero_allowed():
        return certificate.serial_number


def spki_of(key: CertificatePublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of a certificate that this project looks at. Parsed, not verified."""

    subject: x509.Name
    issuer: x509.Name
    serial: int  # 0 for every VCEK and VLEK
    not_before: datetime
    not_after: datetime
    key: CertificatePublicKeyTypes
    may_sign: bool  # CA bit and, where key usage is given, keyCertSign
    path_length: int | None
    unknown_critical: tuple[str, ...]  # OIDs that RFC 5280 tells us to refuse, unless we know what they mean
    private: Mapping[str, bytes]  # OID -> value, of extensions that the library does not know
    pss_sha384: bool  # RSASSA-PSS with SHA-384, the only algorithm that AMD uses
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Read one certificate; bytes after it are refused.

        Raises:
            MalformedDocument: not a certificate, or one with a part that cannot be read.
        """
        if len(der) > MAX_CERTIFICATE_BYTES:
            raise MalformedDocument("A certificate is too large.", found=f"{len(der)} bytes")
        try:
            certificate = load_certificate(der)
            _require_one_spelling(der, certificate)
            with _LOADING, warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a name of odd length; names are compared, not shown
                return cls._read(certificate)
        except FOREIGN_ERRORS as error:
            raise MalformedDocument("This is not a certificate we can read.", found=type(error).__name__) from None

    @classmethod
    def _read(cls, certificate: x509.Certificate) -> Self:
        may_sign, path_length, unknown, private = False, None, [], {}
        usage_allows = True
        for extension in certificate.extensions:
            oid, value = extension.oid, extension.value
            if isinstance(value, x509.BasicConstraints):
                may_sign, path_length = value.ca, value.path_length
                continue
            if isinstance(value, x509.KeyUsage):
                usage_allows = value.key_cert_sign
                continue
            if isinstance(value, x509.UnrecognizedExtension):
                private[oid.dotted_string] = value.value
            if extension.critical:
                unknown.append(oid.dotted_string)
        return cls(
            subject=certificate.subject,
            issuer=certificate.issuer,
            serial=_serial_of(certificate),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key=certificate.public_key(),
            may_sign=may_sign and usage_allows,
            path_length=path_length,
            unknown_critical=tuple(unknown),
            private=private,
            pss_sha384=_is_pss_sha384(certificate),
            signed=certificate.tbs_certificate_bytes,
            signature=certificate.signature,
        )

    @property
    def common_name(self) -> str:
        """The subject's one common name; ``""`` if it has none or several."""
        names = self.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if len(names) == 1 else ""


def _bounds(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at ``at`` starts, and where it ends."""
    first = der[at + 1]
    start = at + 2 + (first & 0x7F if first & 0x80 else 0)
    length = int.from_bytes(der[at + 2 : start], "big") if first & 0x80 else first
    return start, start + length


def _elements(der: bytes) -> list[bytes]:
    """The elements inside one constructed DER element. Only for bytes that the library has parsed."""
    found, at = [], _bounds(der, 0)[0]
    while at < len(der):
        found.append(der[at : _bounds(der, at)[1]])
        at += len(found[-1])
    return found


def _require_one_spelling(der: bytes, certificate: x509.Certificate) -> None:
    """Refuse what the signature does not cover and the library does not compare whole.

    That is the algorithm outside the signed part (RFC 5280, section 4.1.1.2: the same as inside) and the
    count of unused bits before the signature (zero). With this, no bit of a certificate can change unseen.
    """
    signed, algorithm, signature = _elements(der)
    same = signed == certificate.tbs_certificate_bytes and algorithm == _elements(signed)[2]
    if not same or signature[_bounds(signature, 0)[0] :] != b"\0" + certificate.signature:
        raise ValueError("a second spelling of the same certificate")


def _is_pss_sha384(certificate: x509.Certificate) -> bool:
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return False
    return isinstance(certificate.signature_hash_algorithm, hashes.SHA384)

"""AMD's certificates, one at a time: VCEK (the chip's key at one TCB), ASK (intermediate), ARK (root).

A VLEK is a key that a cloud loads into its chips in the VCEK's place; its intermediate is called ASVK.

``cryptography``'s path builder does not fit, since a VCEK has no key usage, key identifiers or alternative
name, and every genuine one has serial number 0. So the reading is here, by hand; how three of them hang
together is :mod:`sls_jupyter.attestation.amd_chain`.

Sources: AMD 57230 (VCEK certificate and KDS), RFC 5280 section 4.
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
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from sls_jupyter.attestation.snp import TCB_LAYOUT
from sls_jupyter.errors import MalformedDocument

MAX_CERTIFICATE_BYTES = 8 * 1024
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)

AMD_ARC = "1.3.6.1.4.1.3704.1."
STRUCT_VERSION, PRODUCT_NAME, HWID, CSP_ID = "1", "2", "4", "5"  # below AMD_ARC
SPL_OIDS = {
    "Milan": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Genoa": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Turin": ("3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8"),
}
"""The extension for each byte of a TCB value, byte 0 first; parallel to ``snp.TCB_LAYOUT``."""
HWID_BYTES = {"Milan": 64, "Genoa": 64, "Turin": 8}

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
    unknown_critical: tuple[str, ...]  # OIDs that RFC 5280 tells us to refuse
    amd: Mapping[str, bytes]  # OID below AMD_ARC -> value
    pss_sha384: bool  # the signature algorithm is the only one AMD uses
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
        may_sign, path_length, unknown, amd = False, None, [], {}
        usage_allows = True
        for extension in certificate.extensions:
            oid, value = extension.oid, extension.value
            if isinstance(value, x509.BasicConstraints):
                may_sign, path_length = value.ca, value.path_length
            elif isinstance(value, x509.KeyUsage):
                usage_allows = value.key_cert_sign
            elif isinstance(value, x509.UnrecognizedExtension) and oid.dotted_string.startswith(AMD_ARC):
                amd[oid.dotted_string.removeprefix(AMD_ARC)] = value.value
            elif extension.critical:
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
            amd=amd,
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


def signed_by(certificate: Certificate, issuer: CertificatePublicKeyTypes) -> bool:
    """Whether an RSA key signed this certificate, with exactly AMD's parameters."""
    if not certificate.pss_sha384 or not isinstance(issuer, rsa.RSAPublicKey):
        return False
    try:
        issuer.verify(certificate.signature, certificate.signed, PSS, hashes.SHA384())
    except (InvalidSignature, ValueError):
        return False
    return True


# --- the extensions of VCEK and VLEK ------------------------------------------------------------------------


def _der_content(value: bytes, tag: int, oid: str) -> bytes:
    """The content of one short DER element that is the whole of ``value``."""
    if len(value) < 2 or value[0] != tag or value[1] != len(value) - 2 or value[1] > 127:
        raise MalformedDocument("An extension of a VCEK is malformed.", found=value[:40].hex(), expected=AMD_ARC + oid)
    return value[2:]


def _extension(amd: Mapping[str, bytes], oid: str) -> bytes:
    if oid not in amd:
        raise MalformedDocument("A VCEK lacks an extension.", found="nothing", expected=AMD_ARC + oid)
    return amd[oid]


def small_integer(amd: Mapping[str, bytes], oid: str) -> int:
    """An INTEGER from 0 to 255; above 127 DER needs two bytes."""
    content = _der_content(_extension(amd, oid), 0x02, oid)
    value = int.from_bytes(content, "big")
    if value > 255 or content != value.to_bytes(1 + (value > 127), "big"):
        raise MalformedDocument("A number in a VCEK is out of range.", found=content[:40].hex(), expected="0 to 255")
    return value


def product_of(amd: Mapping[str, bytes]) -> str:
    """``Milan-B0`` is a Milan: the part before the hyphen, if it is a product we know."""
    text = _der_content(_extension(amd, PRODUCT_NAME), 0x16, PRODUCT_NAME)
    product = text.partition(b"-")[0].decode("ascii", "replace")
    if product not in TCB_LAYOUT:
        raise MalformedDocument("A VCEK is for an unknown product.", found=product[:40], expected=sorted(TCB_LAYOUT))
    return product


def hwid_of(amd: Mapping[str, bytes], product: str) -> bytes:
    """The hardware id padded to CHIP_ID's 64 bytes: raw, or in one DER OCTET STRING; nothing else."""
    value, size = _extension(amd, HWID), HWID_BYTES[product]
    if len(value) != size:
        value = _der_content(value, 0x04, HWID)
    if len(value) != size:
        raise MalformedDocument("A VCEK's hardware id has the wrong size.", found=len(value), expected=size)
    return value.ljust(64, b"\0")


def require_csp_id(amd: Mapping[str, bytes]) -> None:
    """A VLEK names the cloud it was given to, and no chip."""
    _der_content(_extension(amd, CSP_ID), 0x16, CSP_ID)
    if HWID in amd:
        raise MalformedDocument("A VLEK names a chip.", expected="no hardware id")

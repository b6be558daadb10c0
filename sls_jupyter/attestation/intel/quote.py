"""The layout of SGX and TDX quotes: bytes in, named fields out. Nothing here judges or verifies.

::

    header (48) | report body | length (4) | signature data | padding
                                             ECDSA signature, attestation key, QE report and its signature,
                                             QE authentication data, PCK certificate chain as PEM

All numbers are little-endian. Quotes of version 3 (SGX), 4 and 5 (TDX) are known, of the key type ECDSA P-256
and with the certificates inside. Padding after the signature data is zero bytes, or the quote is refused.

Source: Intel SGX ECDSA quote library reference (version 3), Intel TDX DCAP quote library reference (4 and 5).
"""

from __future__ import annotations

import binascii
import re
import struct
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Self

from sls_jupyter.errors import MalformedDocument

MAX_QUOTE_BYTES = 32 * 1024  # quotes seen have 4.6 to 8 KiB, padding included
HEADER_BYTES = 48
SGX, TDX = 0x00000000, 0x00000081  # TEE types
ECDSA_P256 = 2
INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
QE_CERTIFICATION, PCK_CHAIN = 6, 5  # types of certification data
MAX_CERTIFICATES = 3

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\r?\n?")

Layout = tuple[tuple[str, int], ...]
_ENCLAVE_REPORT: Layout = (
    ("cpu_svn", 16), ("misc_select", 4), ("reserved_1", 12), ("isv_ext_prod_id", 16), ("attributes", 16),
    ("mr_enclave", 32), ("reserved_2", 32), ("mr_signer", 32), ("reserved_3", 32), ("config_id", 64),
    ("isv_prod_id", 2), ("isv_svn", 2), ("config_svn", 2), ("reserved_4", 42), ("isv_family_id", 16),
    ("report_data", 64),
)  # fmt: skip
_TD_REPORT_10: Layout = (
    ("tee_tcb_svn", 16), ("mr_seam", 48), ("mr_signer_seam", 48), ("seam_attributes", 8), ("td_attributes", 8),
    ("xfam", 8), ("mr_td", 48), ("mr_config_id", 48), ("mr_owner", 48), ("mr_owner_config", 48), ("rtmr0", 48),
    ("rtmr1", 48), ("rtmr2", 48), ("rtmr3", 48), ("report_data", 64),
)  # fmt: skip
_TD_REPORT_15: Layout = (*_TD_REPORT_10, ("tee_tcb_svn_2", 16), ("mr_service_td", 48))

_BODIES: Mapping[tuple[int, int, int | None], Layout] = MappingProxyType(
    {
        (3, SGX, None): _ENCLAVE_REPORT,
        (4, TDX, None): _TD_REPORT_10,
        (5, TDX, 2): _TD_REPORT_10,
        (5, TDX, 3): _TD_REPORT_15,
    }
)
"""Version, TEE type and (version 5) body type to the layout of the body."""

ENCLAVE_REPORT_BYTES = sum(size for _, size in _ENCLAVE_REPORT)


class _Reader:
    """Takes bytes from the front; running out of them is our own error."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if len(found) != size:
            raise _malformed("It ends too early.", f"{len(self.data)} bytes")
        self.at += size
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def finish(self, what: str) -> None:
        if self.at != len(self.data):
            raise _malformed(f"Bytes follow the {what}.", f"{len(self.data) - self.at} bytes")


def _malformed(why: str, found: object = None, expected: object = None) -> MalformedDocument:
    return MalformedDocument(f"An SGX or TDX quote cannot be read. {why}", found=found, expected=expected)


def split(data: bytes, layout: Layout) -> Mapping[str, bytes]:
    """The fields of one report body by name; ``data`` has exactly the layout's length."""
    ends = list(accumulate(size for _, size in layout))
    return MappingProxyType({name: data[end - size : end] for (name, size), end in zip(layout, ends, strict=True)})


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote taken apart. Its certificates are DER, unparsed, in the order of the quote: leaf first."""

    version: int
    tee_type: int  # SGX or TDX
    body: Mapping[str, bytes]  # fields of the enclave report or the TD report
    signed: bytes  # header and body
    signature: bytes  # 64: r, s, big-endian
    attestation_key: bytes  # 64: x, y of a point on P-256
    qe_report: bytes  # 384
    qe_signature: bytes  # 64, by the PCK certificate's key
    qe_auth: bytes
    certificates: tuple[bytes, ...]
    length: int  # bytes without the padding

    @property
    def qe(self) -> Mapping[str, bytes]:
        """The fields of the quoting enclave's own report."""
        return split(self.qe_report, _ENCLAVE_REPORT)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a quote strictly.

        Not checked: any signature, and what the values mean.

        Raises:
            MalformedDocument: too long or short, an unknown version, type or layout, bytes between the parts,
                padding that is not zero, or anything but one to three PEM certificates.
        """
        if len(data) > MAX_QUOTE_BYTES:
            raise _malformed("It is too large.", f"{len(data)} bytes", f"{MAX_QUOTE_BYTES} at most")
        reader = _Reader(data)
        version, tee_type = _header(reader.take(HEADER_BYTES))
        layout = _body_layout(reader, version, tee_type)
        body = split(reader.take(sum(size for _, size in layout)), layout)
        signed = data[: reader.at]
        signature_data = reader.take(reader.number(4))
        length = reader.at
        if any(data[length:]):
            raise _malformed("What follows it is not padding.", data[length:].lstrip(b"\0")[:16].hex(), "zero bytes")
        return cls(version, tee_type, body, signed, *_signature_data(signature_data, version), length)


def _header(header: bytes) -> tuple[int, int]:
    version, key_type, tee_type = struct.unpack_from("<HHI", header)
    if version not in (3, 4, 5) or key_type != ECDSA_P256:
        raise _malformed(
            "Its version or key type is unknown.",
            f"version {version}, key type {key_type}",
            f"version 3, 4 or 5, key type {ECDSA_P256}",
        )
    if header[12:28] != INTEL_QE:
        raise _malformed("Its quoting enclave is not Intel's.", header[12:28].hex(), INTEL_QE.hex())
    return version, tee_type


def _body_layout(reader: _Reader, version: int, tee_type: int) -> Layout:
    body_type = reader.number(2) if version == 5 else None
    size = reader.number(4) if version == 5 else None
    layout = _BODIES.get((version, tee_type, body_type))
    if layout is None or size not in (None, sum(length for _, length in layout)):
        raise _malformed(
            "Its body is unknown.",
            f"version {version}, TEE type {tee_type:#x}, body type {body_type}, {size} bytes",
            "an SGX quote of version 3, or a TDX quote of version 4 or 5",
        )
    return layout


def _signature_data(data: bytes, version: int) -> tuple[bytes, bytes, bytes, bytes, bytes, tuple[bytes, ...]]:
    """Signature, attestation key, QE report, its signature, QE authentication data, certificates."""
    reader = _Reader(data)
    signature, key = reader.take(64), reader.take(64)
    if version > 3:  # one more envelope around the rest
        reader = _Reader(_certification(reader, QE_CERTIFICATION))
    qe_report, qe_signature = reader.take(ENCLAVE_REPORT_BYTES), reader.take(64)
    qe_auth = reader.take(reader.number(2))
    certificates = pem_certificates(_certification(reader, PCK_CHAIN))
    return signature, key, qe_report, qe_signature, qe_auth, certificates


def _certification(reader: _Reader, expected: int) -> bytes:
    kind = reader.number(2)
    if kind != expected:
        raise _malformed("Its certification data is of another type.", kind, expected)
    content = reader.take(reader.number(4))
    reader.finish("certification data")
    return content


def pem_certificates(data: bytes) -> tuple[bytes, ...]:
    """The DER of one to three PEM certificates with nothing between them; zero bytes may follow.

    Raises:
        MalformedDocument: for everything else.
    """
    data = data.rstrip(b"\0").lstrip(b"\r\n")
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) <= MAX_CERTIFICATES:
        match = _PEM.match(data, at)
        if match is None:
            raise _malformed("Its certificates are not PEM.")
        try:
            found.append(b64decode(match[1].replace(b"\r", b"").replace(b"\n", b""), validate=True))
        except binascii.Error:
            raise _malformed("Its certificates are not PEM.") from None
        at = match.end()
    if not 1 <= len(found) <= MAX_CERTIFICATES:
        raise _malformed("It has too few or too many certificates.", len(found), f"1 to {MAX_CERTIFICATES}")
    return tuple(found)

"""Issuing certificates of AMD's shape, for the development chain and for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sls_jupyter.attestation.amd.certs import AMD_ARC, HWID, HWID_BYTES, PRODUCT_NAME, PSS, SPL_OIDS, STRUCT_VERSION

VALID_FROM, VALID_TO = datetime(2025, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)


def amd_extensions(product: str, tcb: bytes, chip_id: bytes) -> dict[str, bytes]:
    """The extensions of a VCEK, by OID below AMD's arc, as DER.

    Args:
        tcb: 8 bytes in the product's layout.
        chip_id: 64 bytes; the product's leading ones are taken.
    """
    name = product.encode()
    found = {STRUCT_VERSION: b"\x02\x01\x00", PRODUCT_NAME: bytes([0x16, len(name)]) + name}
    for oid, value in zip(SPL_OIDS[product], tcb, strict=True):
        content = value.to_bytes(1 + (value > 127), "big")
        found[oid] = bytes([0x02, len(content)]) + content
    found[HWID] = chip_id[: HWID_BYTES[product]]
    return found


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certificate authority of a chain under construction."""

    common_name: str
    key: RSAPrivateKey = field(repr=False)

    def issue(
        self,
        subject: str,
        key: CertificatePublicKeyTypes,
        *,
        path_length: int | None = None,
        ca: bool = True,
        amd: dict[str, bytes] | None = None,
        valid: tuple[datetime, datetime] = (VALID_FROM, VALID_TO),
    ) -> bytes:
        """A certificate for ``subject``, DER, signed with RSASSA-PSS, SHA-384, salt 48."""
        builder = x509.CertificateBuilder(
            issuer_name=_name(self.common_name),
            subject_name=_name(subject),
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=valid[0],
            not_valid_after=valid[1],
        )
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        for oid, value in (amd or {}).items():
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(AMD_ARC + oid), value)
            builder = builder.add_extension(unknown, critical=False)
        return builder.sign(self.key, hashes.SHA384(), rsa_padding=PSS).public_bytes(Encoding.DER)

"""The SEV-SNP attestation report: 1184 bytes, little-endian; nothing here looks at a certificate.

:meth:`Report.parse` accepts one encoding of each report: known versions, every reserved bit zero.
:func:`verify_signature` is the only trust in this module, and it trusts the key it is given.

Source: AMD 56860 (SEV-SNP firmware ABI), table "ATTESTATION_REPORT structure"; TCB encodings AMD 57230.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sls_jupyter.errors import BadInput, MalformedDocument, SignatureInvalid

REPORT_BYTES = 0x4A0
SIGNED_BYTES = 0x2A0  # the signature covers 0x000 to 0x29F
VERSIONS = (2, 3, 4, 5, 6)
MET_VERSIONS = (2, 3, 4, 5)  # a genuine report of 6 (AMD 56860 revision 1.59) was not public when this was written
ECDSA_P384_SHA384 = 1  # SIGNATURE_ALGO
VCEK, VLEK, NO_KEY = 0, 1, 7  # SIGNING_KEY
HOST_VMPL = 0xFFFFFFFF  # the host asked for the report, not the guest
NO_MIGRATION_AGENT = b"\xff" * 32

# POLICY bits; 7:0 ABI minor, 15:8 ABI major
POLICY_SMT, POLICY_MUST_BE_ONE, POLICY_MIGRATE_MA, POLICY_DEBUG = (1 << bit for bit in (16, 17, 18, 19))
POLICY_RESERVED = ~(2**26 - 1)

KEY_AUTHOR, KEY_MASKED = 1 << 0, 1 << 1  # key info bits; 4:2 SIGNING_KEY
KEY_RESERVED = ~0x1F

P384_ORDER = 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D

TCB_LAYOUT = {
    "Milan": ("bootloader", "tee", "", "", "", "", "snp", "microcode"),
    "Genoa": ("bootloader", "tee", "", "", "", "", "snp", "microcode"),
    "Turin": ("fmc", "bootloader", "tee", "snp", "", "", "", "microcode"),
}
"""The component in each byte of a TCB value, byte 0 first; ``""`` is reserved and zero."""

_MODELS = {
    **{(0x19, model): "Milan" for model in range(0x10)},
    **{(0x19, model): "Genoa" for model in (*range(0x10, 0x20), *range(0xA0, 0xB0))},  # Bergamo and Siena, too
    **{(0x1A, model): "Turin" for model in range(0x12)},
    **{(0x1A, model): "Venice" for model in (*range(0x50, 0x58), *range(0x90, 0xB0), *range(0xC0, 0xC8))},
}
"""Combined family and model, as AMD's own library for SEV (virtee/sev) maps them."""


def product_of(family: int, model: int) -> str | None:
    """The product of a CPU by its combined family and model; ``None`` if unknown. Never guesses.

    Not every product has a root key here (:mod:`.roots`): Venice is known by name only.
    """
    return _MODELS.get((family, model))


def decode_tcb(raw: bytes, product: str) -> dict[str, int]:
    """The components of a TCB value by name.

    Args:
        raw: 8 bytes as they stand in the report.
        product: a key of :data:`TCB_LAYOUT`.

    Raises:
        MalformedDocument: a reserved byte is not zero, so this is another product's value.
    """
    layout = TCB_LAYOUT[product]
    if any(value for name, value in zip(layout, raw, strict=True) if not name):
        raise MalformedDocument(
            f"A TCB value is not one of {product}.", found=raw.hex(), expected="zero in every reserved byte"
        )
    return {name: value for name, value in zip(layout, raw, strict=True) if name}


def encode_tcb(components: dict[str, int], product: str) -> bytes:
    """The 8 bytes that :func:`decode_tcb` reads; components are 0 to 255, all of them given."""
    return bytes(components[name] if name else 0 for name in TCB_LAYOUT[product])


_LAYOUT = struct.Struct(
    "<IIQ16s16sII8sQI4x"  # VERSION at 0x000 to key info at 0x048
    "64s48s32s48s48s32s32s"  # REPORT_DATA at 0x050 to REPORT_ID_MA at 0x160
    "8s3B21x64s"  # REPORTED_TCB at 0x180, CPUID, CHIP_ID at 0x1A0
    "8s3Bx3Bx"  # COMMITTED_TCB at 0x1E0, firmware versions
    "8sQQ24x"  # LAUNCH_TCB at 0x1F0, mitigation vectors
    "32s32s32s32x"  # CURRENT_ETCB at 0x220, LAUNCH_ETCB, COMMITTED_ETCB
    "72s72s368x"  # R at 0x2A0, S at 0x2E8
)


@dataclass(frozen=True, slots=True)
class Report:
    """Every field of a report, in its order. Byte fields stand as in the report; numbers are decoded."""

    version: int  # 2 to 6
    guest_svn: int  # of the ID block; not the svn of Azure's UVM
    policy: int  # 64 bits, POLICY_*
    family_id: bytes  # 16
    image_id: bytes  # 16
    vmpl: int  # 0 to 3, or HOST_VMPL
    signature_algo: int  # ECDSA_P384_SHA384
    current_tcb: bytes  # 8, running firmware
    platform_info: int  # 64 bits; unknown ones are kept, the platform sets them and not the guest
    key_info: int  # KEY_* and SIGNING_KEY
    report_data: bytes  # 64
    measurement: bytes  # 48, SHA-384
    host_data: bytes  # 32
    id_key_digest: bytes  # 48
    author_key_digest: bytes  # 48
    report_id: bytes  # 32, same for the guest's life
    report_id_ma: bytes  # 32, NO_MIGRATION_AGENT without one
    reported_tcb: bytes  # 8, the TCB that the VCEK is made for
    cpu_family: int  # combined; 0 in version 2
    cpu_model: int  # combined; 0 in version 2
    cpu_stepping: int  # 0 in version 2
    chip_id: bytes  # 64; Turin 8, then zeros
    committed_tcb: bytes  # 8
    current_build: int
    current_minor: int
    current_major: int
    committed_build: int
    committed_minor: int
    committed_major: int
    launch_tcb: bytes  # 8
    launch_mit_vector: int  # 0 before version 5
    current_mit_vector: int  # 0 before version 5
    current_etcb: bytes  # 32, zero before version 6
    launch_etcb: bytes
    committed_etcb: bytes
    signature_r: int  # 72 bytes in the report, little-endian
    signature_s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a report strictly; ``parse(x).encode() == x`` holds for everything that is accepted.

        Not checked: the signature, and what a policy must judge (debug, VMPL, TCB).

        Raises:
            MalformedDocument: not 1184 bytes, an unknown version, a reserved bit set, or policy bit 17 clear.
        """
        if len(data) != REPORT_BYTES:
            raise MalformedDocument(
                "An SEV-SNP report has the wrong size.", found=f"{len(data)} bytes", expected=f"{REPORT_BYTES} bytes"
            )
        *fields, r, s = _LAYOUT.unpack(data)
        fields += [int.from_bytes(r, "little"), int.from_bytes(s, "little")]
        report = cls(*fields)
        if report.version not in VERSIONS:
            raise MalformedDocument(
                "An SEV-SNP report has an unknown version.", found=report.version, expected=f"one of {VERSIONS}"
            )
        fault = report._reserved_fault(data)
        if fault:
            raise MalformedDocument("An SEV-SNP report has a reserved bit set, or a required one clear.", found=fault)
        return report

    def _reserved_fault(self, data: bytes) -> str:
        old = self.version < 3
        faults = {
            "policy": self.policy & POLICY_RESERVED or not self.policy & POLICY_MUST_BE_ONE,
            "key info": self.key_info & KEY_RESERVED,
            "CPUID in a version 2 report": old and (self.cpu_family or self.cpu_model or self.cpu_stepping),
            "mitigation vectors before version 5": self.version < 5
            and (self.launch_mit_vector or self.current_mit_vector),
            "extended TCBs before version 6": self.version < 6
            and any(self.current_etcb + self.launch_etcb + self.committed_etcb),
            "reserved bytes": self.encode() != data,
        }
        return ", ".join(name for name, wrong in faults.items() if wrong)

    def encode(self) -> bytes:
        """The 1184 bytes, reserved ones zero.

        Raises:
            BadInput: a field does not fit its place; nothing is padded or cut.
        """
        *fields, r, s = (getattr(self, name) for name in self.__slots__)
        try:
            values = (*fields, r.to_bytes(72, "little"), s.to_bytes(72, "little"))
            data = _LAYOUT.pack(*values)
        except (struct.error, OverflowError, TypeError, AttributeError) as error:
            raise BadInput("A field of an SEV-SNP report does not fit its place.", found=error) from None
        if _LAYOUT.unpack(data) != values:
            raise BadInput("A byte field of an SEV-SNP report has the wrong length.")
        return data

    @property
    def debug(self) -> bool:
        return bool(self.policy & POLICY_DEBUG)

    @property
    def migration_agent(self) -> bool:
        """The guest's memory may move under a migration agent, or already has one."""
        return bool(self.policy & POLICY_MIGRATE_MA) or self.report_id_ma != NO_MIGRATION_AGENT

    @property
    def signing_key(self) -> int:
        """VCEK, VLEK or NO_KEY; other values are reserved."""
        return self.key_info >> 2 & 0b111

    @property
    def chip_key_masked(self) -> bool:
        return bool(self.key_info & KEY_MASKED)

    @property
    def cpuid(self) -> str:
        """Combined family, model and stepping in hex: ``19-01-01`` is a Milan."""
        return f"{self.cpu_family:02x}-{self.cpu_model:02x}-{self.cpu_stepping:02x}"


def verify_signature(data: bytes, report: Report, public_key: ec.EllipticCurvePublicKey) -> None:
    """Check the signature of ``data``, from which ``report`` was parsed, by a P-384 key.

    Raises:
        SignatureInvalid: it does not verify, or R or S is not in 1 to n-1.
    """
    r, s = report.signature_r, report.signature_s
    try:
        if not (0 < r < P384_ORDER and 0 < s < P384_ORDER):
            raise InvalidSignature
        public_key.verify(encode_dss_signature(r, s), data[:SIGNED_BYTES], ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise SignatureInvalid(
            "The signature of an SEV-SNP report does not verify.",
            expected="a signature by the VCEK or VLEK",
            hint="The report was changed, or another chip made it.",
        ) from None

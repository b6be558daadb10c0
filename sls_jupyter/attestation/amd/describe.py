"""Every field of an SEV-SNP report with its value and its meaning, for a person. Nothing is judged here.

Source of the meanings: AMD 56860 (SEV-SNP firmware ABI), attestation report structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from sls_jupyter.attestation.amd.report import TCB_LAYOUT, Report, decode_tcb, product_of
from sls_jupyter.errors import MalformedDocument

POLICY_BITS = {
    16: "SMT allowed",
    17: "reserved, must be 1",
    18: "MIGRATE_MA: a migration agent may take it away",
    19: "DEBUG: the host may read its memory",
    20: "SINGLE_SOCKET",
    21: "CXL allowed",
    22: "MEM_AES_256_XTS",
    23: "RAPL disabled",
    24: "CIPHERTEXT_HIDING_DRAM",
    25: "PAGE_SWAP disabled",
}
PLATFORM_BITS = {
    0: "SMT on",
    1: "TSME on",
    2: "ECC memory",
    3: "RAPL off",
    4: "ciphertext hiding on",
    5: "alias check complete (BadRAM)",
    6: "IOMMU write safe",
    7: "trusted I/O on",
}
SIGNING_KEYS = {0: "VCEK, the chip's own", 1: "VLEK, a cloud's", 7: "none"}

MEANINGS = {
    "version": "layout of the report",
    "guest_svn": "of the ID block; not the svn of Azure's utility VM",
    "policy": "what the guest's owner demanded at launch",
    "family_id": "of the ID block",
    "image_id": "of the ID block",
    "vmpl": "privilege level that asked for the report; 0 is the guest itself, 0xffffffff the host",
    "signature_algo": "1: ECDSA P-384 with SHA-384",
    "current_tcb": "firmware that runs now",
    "platform_info": "what the machine says of itself",
    "key_info": "which key signed, and whether the chip's id is masked",
    "report_data": "chosen by the guest: binds a nonce and a key, or the digest of a receipt",
    "measurement": "SHA-384 of what was launched",
    "host_data": "on Azure and here: SHA-256 of the container policy",
    "id_key_digest": "SHA-384 of the key that signed the ID block",
    "author_key_digest": "SHA-384 of the key above it; zero without one",
    "report_id": "the same for the guest's whole life",
    "report_id_ma": "of the migration agent; all ff without one",
    "reported_tcb": "the TCB that the chip's certificate is made for",
    "cpu_family": "combined family; 0 in version 2",
    "cpu_model": "combined model; 0 in version 2",
    "cpu_stepping": "0 in version 2",
    "chip_id": "the chip; zero if it is masked",
    "committed_tcb": "firmware cannot go below this",
    "current_build": "of the running firmware",
    "current_minor": "of the running firmware",
    "current_major": "of the running firmware",
    "committed_build": "of the committed firmware",
    "committed_minor": "of the committed firmware",
    "committed_major": "of the committed firmware",
    "launch_tcb": "firmware when the guest started",
    "launch_mit_vector": "mitigations at launch; from version 5 on",
    "current_mit_vector": "mitigations now; from version 5 on",
    "current_etcb": "extended TCB that runs now; from version 6 on",
    "launch_etcb": "extended TCB when the guest started; from version 6 on",
    "committed_etcb": "extended TCB that it cannot go below; from version 6 on",
    "signature_r": "of the signature over bytes 0x000 to 0x29f",
    "signature_s": "of the signature over bytes 0x000 to 0x29f",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One line."""

    name: str
    value: str
    meaning: str


def describe(report: Report) -> tuple[Field, ...]:
    """Every field in its order."""
    product = product_of(report.cpu_family, report.cpu_model)
    return tuple(Field(name, _value(name, getattr(report, name), product), text) for name, text in MEANINGS.items())


def _bits(value: int, names: dict[int, str]) -> str:
    found = [
        names.get(bit, f"bit {bit}") for bit in range(64) if value >> bit & 1 and (bit > 15 or names is PLATFORM_BITS)
    ]
    return f"{value:#x}" + (f" ({'; '.join(found)})" if found else "")


def _tcb(raw: bytes, product: str | None) -> str:
    if product not in TCB_LAYOUT:
        return f"{raw.hex()} (the product, hence the layout, is not in the report)"
    try:
        parts = decode_tcb(raw, product)
    except MalformedDocument:
        return f"{raw.hex()} (not a value of {product})"
    return ", ".join(f"{name} {number}" for name, number in parts.items()) + f" ({product})"


def _value(name: str, value: int | bytes, product: str | None) -> str:
    if isinstance(value, bytes):
        return _tcb(value, product) if name.endswith("_tcb") else value.hex()
    if name == "policy":
        return f"{_bits(value, POLICY_BITS)}, ABI {value >> 8 & 0xFF}.{value & 0xFF}"
    if name == "platform_info":
        return _bits(value, PLATFORM_BITS)
    if name == "key_info":
        masked = "; chip id masked" if value & 2 else ""
        return f"{value:#x} ({SIGNING_KEYS.get(value >> 2 & 7, 'unknown key')}{masked})"
    return f"{value:#x}" if name in ("vmpl", "signature_r", "signature_s", "cpu_family", "cpu_model") else str(value)

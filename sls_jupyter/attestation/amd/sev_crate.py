"""A report in the JSON that the Rust crate ``sev`` writes of it, put together again to the bytes that were signed.

trustee and its guests hand reports around like this. There are two spellings: up to version 4 of the crate with every
reserved byte, and from then on with the CPUID and the mitigation vectors by name (null where a report has none). Nothing is
believed here: a value that was changed makes a report whose signature does not hold.

Source: virtee/sev ``src/firmware/guest/types/snp.rs``, ``src/firmware/host/types/snp.rs`` (TcbVersion, CertTableEntry) and
``src/certs/snp/ecdsa``, in versions of both spellings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sls_jupyter.errors import MalformedDocument

_MEMBERS = {"version", "policy", "report_data", "measurement", "current_tcb", "reported_tcb", "chip_id", "signature"}
_CERTIFICATES = {"ARK", "ASK", "VCEK", "VLEK", "CRL"}


def looks_like_report(value: Mapping[str, Any]) -> bool:
    """Whether this may be such a report, by the names of its members."""
    return value.keys() >= _MEMBERS


def looks_like_certificate(value: Mapping[str, Any]) -> bool:
    """Whether this may be an entry of the crate's table of certificates."""
    return value.keys() == {"cert_type", "data"}


def certificate(value: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an entry by its name; nothing of an empty one or one of another purpose (``{"OTHER": id}``)."""
    kind = value["cert_type"]
    return {kind: value["data"]} if isinstance(kind, str) and kind in _CERTIFICATES else {}


def report_bytes(value: Mapping[str, Any]) -> bytes:
    """The 1184 bytes that it describes.

    Raises:
        MalformedDocument: a member is missing, or of another type or length than the crate writes.
    """
    return b"".join(_parts(_Members(value)))


def _parts(report: _Members) -> Iterator[bytes]:
    yield report.number("version", 4) + report.number("guest_svn", 4) + report.number("policy", 8)
    yield report.data("family_id", 16) + report.data("image_id", 16)
    yield report.number("vmpl", 4) + report.number("sig_algo", 4)
    yield report.tcb("current_tcb") + report.number("plat_info", 8)
    yield report.number(report.first("key_info", "_author_key_en", "author_key_en"), 4) + report.reserved(
        "_reserved_0", 4
    )
    for name, size in (("report_data", 64), ("measurement", 48), ("host_data", 32), ("id_key_digest", 48)):
        yield report.data(name, size)
    yield report.data("author_key_digest", 48) + report.data("report_id", 32) + report.data("report_id_ma", 32)
    yield report.tcb("reported_tcb")
    named = "cpuid_fam_id" in report.members
    if named:
        yield b"".join(report.number(f"cpuid_{name}", 1, absent=0) for name in ("fam_id", "mod_id", "step"))
    yield report.reserved("_reserved_1", 21 if named else 24)
    yield report.data("chip_id", 64) + report.tcb("committed_tcb")
    yield report.firmware("current") + report.reserved("_reserved_2", 1)
    yield report.firmware("committed") + report.reserved("_reserved_3", 1)
    yield report.tcb("launch_tcb")
    named = "launch_mit_vector" in report.members
    if named:
        yield report.number("launch_mit_vector", 8, absent=0) + report.number("current_mit_vector", 8, absent=0)
    yield report.reserved("_reserved_4", 152 if named else 168)
    signature = report.inner("signature")
    yield signature.data("r", 72) + signature.data("s", 72) + signature.reserved("_reserved", 368)


class _Members:
    """The members of one object, read to bytes."""

    def __init__(self, value: object, name: str = "report") -> None:
        if not isinstance(value, Mapping):
            raise _malformed(name, type(value).__name__, "an object")
        self.members = value

    def first(self, *names: str) -> str:
        return next((name for name in names if name in self.members), names[0])

    def inner(self, name: str) -> _Members:
        return _Members(self.members.get(name), name)

    def number(self, name: str, size: int, absent: int | None = None) -> bytes:
        value = self.members.get(name)
        value = absent if value is None else value
        if type(value) is not int or not 0 <= value < 1 << 8 * size:
            raise _malformed(name, value, f"a number of {size} bytes")
        return value.to_bytes(size, "little")

    def data(self, name: str, size: int) -> bytes:
        value = self.members.get(name)
        if (
            not isinstance(value, list)
            or len(value) != size
            or not all(type(one) is int and 0 <= one < 256 for one in value)
        ):
            raise _malformed(name, f"{type(value).__name__}", f"a list of {size} bytes")
        return bytes(value)

    def reserved(self, name: str, size: int) -> bytes:
        """What the crate names in one spelling and leaves out in the other."""
        if name not in self.members:
            return bytes(size)
        return self.data(name, size) if isinstance(self.members[name], list) else self.number(name, size)

    def tcb(self, name: str) -> bytes:
        """Turin's order where there is an FMC; else that of Milan and Genoa, whatever stood in the reserved bytes."""
        tcb = self.inner(name)
        one = {part: tcb.number(part, 1) for part in ("bootloader", "tee", "snp", "microcode")}
        if tcb.members.get("fmc") is not None:
            return tcb.number("fmc", 1) + one["bootloader"] + one["tee"] + one["snp"] + bytes(3) + one["microcode"]
        return one["bootloader"] + one["tee"] + tcb.reserved("_reserved", 4) + one["snp"] + one["microcode"]

    def firmware(self, name: str) -> bytes:
        inner, prefix = (self.inner(name), "") if name in self.members else (self, f"{name}_")
        return b"".join(inner.number(f"{prefix}{part}", 1) for part in ("build", "minor", "major"))


def _malformed(name: str, found: object, expected: str) -> MalformedDocument:
    return MalformedDocument(
        f"A report in the JSON of the crate sev cannot be read at {name}.", found=str(found)[:80], expected=expected
    )

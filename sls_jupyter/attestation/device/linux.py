"""Devices of real hardware in a Linux guest: ``/dev/sev-guest``, ``/dev/sev`` and configfs-tsm.

None of this has met the hardware. The layouts are those of the kernel's headers and of Microsoft's own
clients, and the tests run against a file tree, a fake ioctl and a fake report directory.

A report is of no use without the certificates that speak for it. In Azure Container Instances they lie in the
group's security context directory; with configfs-tsm the kernel hands out what the host gave. A TDX quote
carries its own certificates; its collateral comes from whoever verifies (:func:`with_collateral`).

Sources: Linux ``include/uapi/linux/sev-guest.h`` and ``Documentation/ABI/testing/configfs-tsm``; AMD 56860
tables for MSG_REPORT_REQ and MSG_REPORT_RSP; AMD 56421 section 4.1.8.1 (certificate table);
microsoft/confidential-sidecar-containers ``pkg/attest``; microsoft/hcsshim ``pkg/amdsevsnp``.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import struct
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sls_jupyter.attestation.amd.report import REPORT_BYTES, Report
from sls_jupyter.attestation.azure.context import find_endorsements
from sls_jupyter.attestation.azure.forms import recognise
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.interface import Device, require_report_data
from sls_jupyter.attestation.intel.quote import Quote
from sls_jupyter.errors import BadInput, MalformedDocument, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_BLOB_BYTES = 64 * 1024  # what the kernel hands out through configfs is at most 32 KiB

SEV_GUEST, SEV, TSM = Path("dev/sev-guest"), Path("dev/sev"), Path("sys/kernel/config/tsm/report")

Ioctl = Callable[[int, int, bytearray], object]


def _unavailable(path: Path, found: object, hint: str = "") -> Unavailable:
    return Unavailable(
        "The hardware gave no evidence.",
        found=f"{path}: {found}",
        hint=hint or "Start the group again; if this stays, its host or its kernel does not hand out reports.",
    )


def _checked_report(path: Path, data: bytes, report_data: bytes) -> bytes:
    """The report itself, if it is one and is about what was asked for."""
    try:
        report = Report.parse(data)
    except MalformedDocument as error:
        raise _unavailable(path, f"{error.message} {error.found or ''}".strip()) from None
    if report.report_data != report_data:
        raise _unavailable(path, "a report about other data than was asked for")
    return data


# --- /dev/sev-guest and /dev/sev ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SevCall:
    """How one generation of the kernel's driver is asked for a report."""

    device: Path  # below the root
    code: int  # of the ioctl
    response_bytes: int

    def argument(self, request: int, response: int) -> bytearray:
        """The ioctl's structure, with the addresses of request and response."""
        if self.device == SEV_GUEST:  # message version, request, response, error
            return bytearray(struct.pack("<B7xQQQ", 1, request, response, 0))
        # request and response types, message version, length and address of each, error
        return bytearray(struct.pack("<BBBxHxxQH6xQI4x", 5, 6, 1, 96, request, self.response_bytes, response, 0))


KERNEL_6 = SevCall(SEV_GUEST, 0xC0205300, 4000)
KERNEL_5 = SevCall(SEV, 0xC0285301, 1280)
_REPORT_AT = 32  # in the response, after status (4 bytes), report size (4) and reserved (24)


def _system_ioctl(descriptor: int, code: int, argument: bytearray) -> object:
    import fcntl  # absent on Windows, where none of these devices are either

    return fcntl.ioctl(descriptor, code, argument, True)


@dataclass(frozen=True, slots=True)
class SevDevice:
    """AMD's secure processor through the kernel's own device. It has not met the hardware."""

    path: Path
    call: SevCall
    endorsements: tuple[bytes, ...]
    ioctl: Ioctl = _system_ioctl

    def evidence(self, report_data: bytes) -> Evidence:
        require_report_data(report_data)
        report = _checked_report(self.path, self._report(report_data), report_data)
        return Evidence.of("sev-snp", report, self.endorsements)

    def _report(self, report_data: bytes) -> bytes:
        request = ctypes.create_string_buffer(report_data + bytes(32), 96)  # then VMPL 0, and reserved
        response = ctypes.create_string_buffer(self.call.response_bytes)
        argument = self.call.argument(ctypes.addressof(request), ctypes.addressof(response))
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self.ioctl(descriptor, self.call.code, argument)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unavailable(self.path, error.strerror or type(error).__name__) from None
        status, size = struct.unpack_from("<II", response.raw)
        if status != 0 or size != REPORT_BYTES:
            raise _unavailable(self.path, f"status {status:#x}, a report of {size} bytes")
        return response.raw[_REPORT_AT : _REPORT_AT + REPORT_BYTES]


# --- configfs-tsm ---------------------------------------------------------------------------------


def read_blob(path: Path) -> bytes:
    """One attribute of an entry, or another small file.

    Raises:
        OSError: it cannot be read.
        Unavailable: it is larger than any report.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BLOB_BYTES + 1)
    if len(data) > MAX_BLOB_BYTES:
        raise _unavailable(path, "too many bytes")
    return data


@dataclass(frozen=True, slots=True)
class TsmDevice:
    """SEV-SNP and TDX through configfs-tsm (Linux 6.7 and later). It has not met the hardware.

    Each request makes an entry of its own and removes it, so requests do not disturb each other; the entry's
    generation tells if somebody wrote to it in between.
    """

    folder: Path
    make_entry: Callable[[Path], object] = Path.mkdir
    remove_entry: Callable[[Path], object] = Path.rmdir
    read: Callable[[Path], bytes] = read_blob

    def evidence(self, report_data: bytes) -> Evidence:
        require_report_data(report_data)
        try:
            with self._entry() as entry:
                return self._read(entry, report_data)
        except OSError as error:
            raise _unavailable(self.folder, error.strerror or type(error).__name__) from None

    @contextmanager
    def _entry(self) -> Iterator[Path]:
        entry = self.folder / f"sls-{secrets.token_hex(8)}"
        self.make_entry(entry)
        try:
            yield entry
        finally:
            self.remove_entry(entry)

    def _read(self, entry: Path, report_data: bytes) -> Evidence:
        before = self._generation(entry)
        (entry / "inblob").write_bytes(report_data)
        report = self.read(entry / "outblob")
        provider = self.read(entry / "provider").decode("ascii", "replace").strip()
        auxiliary = self.read(entry / "auxblob") if provider == "sev_guest" else b""
        if self._generation(entry) != before + 1:
            raise _unavailable(entry, "somebody else wrote to it")
        if provider == "sev_guest":
            report = _checked_report(self.folder, report, report_data)
            return Evidence.of("sev-snp", report, certificate_table(auxiliary))
        if provider == "tdx_guest":
            return Evidence.of("tdx", self._checked_quote(report, report_data), ())
        raise _unavailable(self.folder, f"the provider {provider[:60]!r}", "Only sev_guest and tdx_guest are known.")

    def _generation(self, entry: Path) -> int:
        text = self.read(entry / "generation").strip()
        if not text.isdigit() or len(text) > 20:
            raise _unavailable(entry, f"the generation {text[:40]!r}")
        return int(text)

    def _checked_quote(self, data: bytes, report_data: bytes) -> bytes:
        try:
            quote = Quote.parse(data)
        except MalformedDocument as error:
            raise _unavailable(self.folder, f"{error.message} {error.found or ''}".strip()) from None
        if quote.body["report_data"] != report_data:
            raise _unavailable(self.folder, "a quote about other data than was asked for")
        return data


_TABLE_ENTRY = struct.Struct("<16sII")  # GUID (bytes in the order they are written in), offset, length
_TABLE_ORDER = {
    UUID("63da758d-e664-4564-adc5-f4b93be8accd"): 0,  # VCEK
    UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): 0,  # VLEK
    UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): 1,  # ASK or ASVK
    UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): 2,  # ARK
}


def certificate_table(data: bytes) -> tuple[bytes, ...]:
    """The certificates of a host's table, leaf first, as DER. Entries of other kinds are left out.

    Raises:
        Unavailable: there is none, or the table cannot be read.
    """
    found: dict[int, bytes] = {}
    for at in range(0, len(data) - _TABLE_ENTRY.size + 1, _TABLE_ENTRY.size):
        guid, offset, length = _TABLE_ENTRY.unpack_from(data, at)
        if not any(guid):
            break
        order = _TABLE_ORDER.get(UUID(bytes=guid))
        if order is not None:
            found.setdefault(order, data[offset : offset + length])
            if len(found[order]) != length:
                raise _table_fault("an entry that ends beyond the table")
    if 0 not in found:
        raise _table_fault("no certificate of the signing key")
    try:
        return tuple(der for order in sorted(found) for der in recognise(found[order]).certificates)
    except MalformedDocument as error:
        raise _table_fault(error.message) from None


def _table_fault(found: str) -> Unavailable:
    return Unavailable(
        "The host gave no certificates for the report.",
        found=found,
        expected="a certificate table with the VCEK",
        hint="Ask the host's operator to hand out certificates (SNP_SET_EXT_CONFIG), or take them from AMD.",
    )


# --- which one ------------------------------------------------------------------------------------


def find_hardware(environ: Mapping[str, str], root: Path = Path("/")) -> tuple[Device | None, list[str]]:
    """The first device of real hardware that is there, and what was looked for.

    In this order: the SEV devices where the security context of Azure Container Instances is there too (it has
    the certificates), then configfs-tsm, which brings its own. A SEV device alone is found and named, but gives
    nothing that anybody could verify.

    Raises:
        Unavailable: the security context is there and cannot be read.
    """
    looked: list[str] = []
    calls = [call for call in (KERNEL_6, KERNEL_5) if _note(looked, root, call.device, Path.exists)]
    if calls:
        endorsements = find_endorsements(environ, root)
        looked.append(f"security context: {'absent' if endorsements is None else 'there'}")
        if endorsements is not None:
            return SevDevice(root / calls[0].device, calls[0], endorsements), looked
    if _note(looked, root, TSM, Path.is_dir):
        return TsmDevice(root / TSM), looked
    return None, looked


def _note(looked: list[str], root: Path, path: Path, there: Callable[[Path], bool]) -> bool:
    try:
        found = there(root / path)
    except OSError:
        found = False
    looked.append(f"/{path}: {'there' if found else 'absent'}")
    return found


def with_collateral(evidence: Evidence, collateral: bytes) -> Evidence:
    """The same quote with collateral, for the verifier that fetched it.

    Raises:
        BadInput: evidence of another kind than TDX or SGX.
    """
    if evidence.kind not in ("tdx", "sgx"):
        raise BadInput("Only TDX and SGX quotes take collateral.", found=evidence.kind, expected="tdx or sgx")
    return Evidence.of(evidence.kind, evidence.report_bytes(), (collateral,))

"""Hardware devices, against a file tree, a fake ioctl and a fake report directory; no hardware is here."""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from forge import HOST_DATA, MEASUREMENT, REPORT_DATA, Forge
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.azure.context import find_endorsements
from sls_jupyter.attestation.certificates import load_certificate
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.find import find_device
from sls_jupyter.attestation.device.linux import (
    KERNEL_5,
    KERNEL_6,
    SEV_GUEST,
    TSM,
    SevCall,
    SevDevice,
    TsmDevice,
    certificate_table,
    read_blob,
    with_collateral,
)
from sls_jupyter.attestation.device.served import SimulatedDevice
from sls_jupyter.errors import BadInput, Unavailable

GENUINE = Forge().processor().evidence(REPORT_DATA, host_data=HOST_DATA, measurement=MEASUREMENT)
REPORT, DERS = GENUINE.report_bytes(), GENUINE.endorsement_bytes()
QUOTE = (Path(__file__).parent / "vectors/tdx/uptodate-v4/quote.bin").read_bytes()
QUOTE_DATA = QUOTE[48 + 520 : 48 + 584]
UVM = b"\xd2 stands for a COSE_Sign1"


def pem(der: bytes) -> str:
    return load_certificate(der).public_bytes(Encoding.PEM).decode()


def host_certificates() -> bytes:
    chain = "".join(pem(der) for der in DERS[1:])
    return json.dumps({"vcekCert": pem(DERS[0]), "certificateChain": chain, "tcbm": "00", "cacheControl": "1"}).encode()


def tree(root: Path, *, device: Path | None = SEV_GUEST, context: str = "security-context-1") -> Path:
    """A root directory with a device node and a security context."""
    if device is not None:
        (root / device).parent.mkdir(parents=True, exist_ok=True)
        (root / device).touch()
    if context:
        folder = root / context
        folder.mkdir()
        (folder / "host-amd-cert-base64").write_bytes(base64.b64encode(host_certificates()) + b"\n")
        (folder / "reference-info-base64").write_bytes(base64.b64encode(UVM))
    return root


# --- finding --------------------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    """A machine without any device is told everything that was looked for, and nothing is simulated."""
    with pytest.raises(Unavailable) as caught:
        find_device({}, tmp_path)
    for place in ("SLS_TEE_DEVICE", "/dev/sev-guest", "/dev/sev", "/sys/kernel/config/tsm/report"):
        assert f"{place}" in str(caught.value)


def test_device_without_certificates(tmp_path: Path) -> None:
    """A report that nobody could verify is not offered; the error says which half is missing."""
    with pytest.raises(Unavailable, match=r"sev-guest: there.*security context: absent"):
        find_device({}, tree(tmp_path, context=""))


def test_simulated_only_by_name(tmp_path: Path) -> None:
    """Hardware that is there is not passed over by accident, and a simulated one that was named and is missing
    does not fall back to hardware."""
    assert isinstance(find_device({}, tree(tmp_path)), SevDevice)
    with pytest.raises(Unavailable, match="simulated"):
        find_device({"SLS_TEE_DEVICE": "/nowhere"}, tmp_path)
    assert not isinstance(find_device({}, tmp_path), SimulatedDevice)


def test_order(tmp_path: Path) -> None:
    """The newer kernel's device comes first; configfs is taken where there is no security context."""
    tree(tmp_path)
    (tmp_path / "dev/sev").touch()
    (tmp_path / TSM).mkdir(parents=True)
    first = find_device({}, tmp_path)
    assert isinstance(first, SevDevice)
    assert first.call == KERNEL_6
    (tmp_path / SEV_GUEST).unlink()
    second = find_device({}, tmp_path)
    assert isinstance(second, SevDevice)
    assert second.call == KERNEL_5
    shutil.rmtree(tmp_path / "security-context-1")
    assert isinstance(find_device({}, tmp_path), TsmDevice)


# --- the security context -------------------------------------------------------------------------


def test_context_by_environment(tmp_path: Path) -> None:
    """The directory that Azure names is the one that is read, in the order that evidence has."""
    tree(tmp_path, context="other-place")
    assert find_endorsements({"UVM_SECURITY_CONTEXT_DIR": "/other-place"}, tmp_path) == (*DERS, UVM)
    assert find_endorsements({}, tmp_path) is None


def test_context_with_receipts(tmp_path: Path) -> None:
    """The transparent endorsement is preferred, since it has the receipts that a relying party may want."""
    folder = tree(tmp_path) / "security-context-1"
    (folder / "transparent-reference-info-base64").write_bytes(base64.b64encode(UVM + b" and receipts"))
    assert find_endorsements({}, tmp_path) == (*DERS, UVM + b" and receipts")


def test_context_in_older_groups(tmp_path: Path) -> None:
    """Older groups have environment variables in the place of files."""
    environ = {
        "UVM_HOST_AMD_CERTIFICATE": base64.b64encode(host_certificates()).decode(),
        "UVM_REFERENCE_INFO": base64.b64encode(UVM).decode(),
    }
    assert find_endorsements(environ, tmp_path) == (*DERS, UVM)


def test_genuine_context(tmp_path: Path) -> None:
    """The files of a real group: its chip's certificate first, Microsoft's endorsement last."""
    shutil.copytree(Path(__file__).parent / "vectors/snp/security-context", tmp_path / "security-context-7f")
    found = find_endorsements({}, tmp_path)
    assert found is not None
    names = [load_certificate(der).subject.rfc4514_string() for der in found[:3]]
    assert [name.partition("CN=")[2].partition(",")[0] for name in names] == ["SEV-VCEK", "SEV-Milan", "ARK-Milan"]
    assert found[3].startswith(b"\xd2\x84")


def encoded(value: Any) -> bytes:
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"not base64!",
        encoded(b"not JSON"),
        encoded([]),
        encoded({"vcekCert": "x"}),
        encoded({"vcekCert": 1, "certificateChain": 2}),
        encoded({"vcekCert": "no PEM", "certificateChain": "no PEM"}),
        b"A" * 400_000,
    ],
)
def test_broken_context(tmp_path: Path, content: bytes) -> None:
    """A context that is there and broken is an error, not an absence."""
    folder = tree(tmp_path) / "security-context-1"
    (folder / "host-amd-cert-base64").write_bytes(content)
    with pytest.raises(Unavailable, match="security context"):
        find_device({}, tmp_path)


def test_context_without_certificates(tmp_path: Path) -> None:
    """A directory that has only the endorsement does not help anybody to verify."""
    (tree(tmp_path) / "security-context-1/host-amd-cert-base64").unlink()
    with pytest.raises(Unavailable, match="no certificates"):
        find_device({}, tmp_path)


def test_two_contexts(tmp_path: Path) -> None:
    """Of two directories none is guessed."""
    tree(tmp_path)
    (tmp_path / "security-context-2").mkdir()
    with pytest.raises(Unavailable, match="2 directories"):
        find_device({}, tmp_path)


# --- the ioctl ------------------------------------------------------------------------------------


def answering(
    call: SevCall, report: bytes = REPORT, status: int = 0, size: int = 1184, seen: list[bytes] | None = None
) -> Callable[[int, int, bytearray], object]:
    """A kernel that reads the request at its address and writes the response to its own."""

    def ioctl(descriptor: int, code: int, argument: bytearray) -> object:
        os.fstat(descriptor)
        assert code == call.code
        if call is KERNEL_6:
            assert (len(argument), argument[0]) == (32, 1)
            request, response = struct.unpack_from("<QQ", argument, 8)
        else:
            assert (len(argument), bytes(argument[:6])) == (40, b"\5\6\1\0\x60\0")
            request, length, response = struct.unpack_from("<QH6xQ", argument, 8)
            assert length == 1280
        if seen is not None:
            seen.append(ctypes.string_at(request, 96))
        data = struct.pack("<II24x", status, size) + report
        ctypes.memmove(response, data, len(data))
        return 0

    return ioctl


def device(root: Path, call: SevCall, ioctl: Callable[[int, int, bytearray], object]) -> SevDevice:
    found = find_device({}, tree(root, device=call.device))
    assert isinstance(found, SevDevice)
    return replace(found, ioctl=ioctl)


@pytest.mark.parametrize("call", [KERNEL_6, KERNEL_5], ids=["sev-guest", "sev"])
def test_report_through_the_ioctl(tmp_path: Path, call: SevCall) -> None:
    """Both drivers are asked in their own structure, at VMPL 0, and the certificates travel with the report."""
    seen: list[bytes] = []
    evidence = device(tmp_path, call, answering(call, seen=seen)).evidence(REPORT_DATA)
    assert seen == [REPORT_DATA + bytes(32)]
    assert evidence == Evidence.of("sev-snp", REPORT, (*DERS, UVM))


@pytest.mark.parametrize("code", [errno.EPERM, errno.EIO, errno.ENOTTY, errno.ENOSPC])
def test_ioctl_that_fails(tmp_path: Path, code: int) -> None:
    """The kernel's refusal is our error, with the device's name."""

    def refuse(*_: object) -> object:
        raise OSError(code, os.strerror(code))

    with pytest.raises(Unavailable, match="sev-guest"):
        device(tmp_path, KERNEL_6, refuse).evidence(REPORT_DATA)


@pytest.mark.parametrize(
    "ioctl",
    [
        answering(KERNEL_6, status=0x16),
        answering(KERNEL_6, size=0),
        answering(KERNEL_6, report=bytes(1184)),
        answering(KERNEL_6, report=REPORT[:0x50] + bytes(64) + REPORT[0x90:]),
        lambda *_: 0,
    ],
    ids=["status", "size", "zeros", "other-data", "silent"],
)
def test_false_answers(tmp_path: Path, ioctl: Callable[[int, int, bytearray], object]) -> None:
    """A firmware error, an empty answer, or a report about other data is never taken for evidence."""
    with pytest.raises(Unavailable):
        device(tmp_path, KERNEL_6, ioctl).evidence(REPORT_DATA)


def test_a_file_is_no_device(tmp_path: Path) -> None:
    """The real ioctl on something that is not the device ends in our own error."""
    found = find_device({}, tree(tmp_path))
    with pytest.raises(Unavailable, match="sev-guest"):
        found.evidence(REPORT_DATA)
    (tmp_path / SEV_GUEST).unlink()
    with pytest.raises(Unavailable, match="sev-guest"):
        found.evidence(REPORT_DATA)


# --- configfs-tsm ---------------------------------------------------------------------------------

VCEK, ASK, ARK, OTHER = (
    UUID(text).bytes
    for text in (
        "63da758d-e664-4564-adc5-f4b93be8accd",
        "4ab7b379-bbac-4fe4-a02f-05aef327c782",
        "c0b406a4-a803-4952-9743-3fb6014cd0ae",
        "92f81bc3-5811-4d3d-97ff-d19f88dc67ea",
    )
)


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """AMD's certificate table: entries, an empty one, then the contents."""
    head, body, start = b"", b"", 24 * (len(entries) + 1)
    for guid, content in entries:
        head += guid + struct.pack("<II", start + len(body), len(content))
        body += content
    return head + bytes(24) + body


TABLE = table((OTHER, b"crl"), (ARK, DERS[2]), (VCEK, pem(DERS[0]).encode()), (ASK, DERS[1]))


class FakeKernel:
    """The report directory as the kernel serves it: writing the input raises the generation."""

    def __init__(self, root: Path, step: int = 1, **files: bytes) -> None:
        (root / TSM).mkdir(parents=True)
        self.folder, self.step, self.files = root / TSM, step, {"auxblob": b"", **files}
        found = find_device({}, root)
        assert isinstance(found, TsmDevice)
        self.device = replace(found, make_entry=self.make, remove_entry=shutil.rmtree, read=self.read)

    def make(self, entry: Path) -> None:
        entry.mkdir()
        for name, data in self.files.items():
            (entry / name).write_bytes(data)

    def read(self, path: Path) -> bytes:
        if path.name == "generation" and "generation" not in self.files:
            written = (path.parent / "inblob").exists()
            return b"%d\n" % (7 + self.step * written)
        return read_blob(path)


def test_snp_through_configfs(tmp_path: Path) -> None:
    """The host's certificates come in our order, whatever their order and encoding in the table."""
    kernel = FakeKernel(tmp_path, provider=b"sev_guest\n", outblob=REPORT, auxblob=TABLE)
    assert kernel.device.evidence(REPORT_DATA) == Evidence.of("sev-snp", REPORT, DERS)
    assert list(kernel.folder.iterdir()) == []


def test_tdx_through_configfs(tmp_path: Path) -> None:
    """A quote travels as the kernel gave it, padding included, and takes collateral later."""
    evidence = FakeKernel(tmp_path, provider=b"tdx_guest\n", outblob=QUOTE).device.evidence(QUOTE_DATA)
    assert evidence == Evidence.of("tdx", QUOTE, ())
    assert with_collateral(evidence, b"{}").endorsement_bytes() == (b"{}",)
    with pytest.raises(BadInput):
        with_collateral(GENUINE, b"{}")


@pytest.mark.parametrize(
    ("files", "step"),
    [
        ({"provider": b"sev_guest\n", "outblob": REPORT, "auxblob": TABLE}, 2),
        ({"provider": b"sev_guest\n", "outblob": REPORT, "auxblob": TABLE}, 0),
        ({"provider": b"sev_guest\n", "outblob": REPORT, "auxblob": TABLE, "generation": b"x"}, 1),
        ({"provider": b"sev_guest\n", "outblob": REPORT[:-1], "auxblob": TABLE}, 1),
        ({"provider": b"sev_guest\n", "outblob": REPORT}, 1),
        ({"provider": b"sev_guest\n", "outblob": b"\0" * 100_000, "auxblob": TABLE}, 1),
        ({"provider": b"sev_guest\n"}, 1),
        ({"provider": b"tdx_guest\n", "outblob": QUOTE}, 1),
        ({"provider": b"tdx_guest\n", "outblob": b""}, 1),
        ({"provider": b"arm_cca_guest\n", "outblob": REPORT}, 1),
        ({"outblob": REPORT}, 1),
    ],
)
def test_false_report_directories(tmp_path: Path, files: dict[str, bytes], step: int) -> None:
    """Another writer, a wrong report, no certificates, an unknown provider: our own error, and no entry left."""
    kernel = FakeKernel(tmp_path, step, **files)
    with pytest.raises(Unavailable):
        kernel.device.evidence(REPORT_DATA)
    assert list(kernel.folder.iterdir()) == []


def test_report_directory_that_is_full(tmp_path: Path) -> None:
    """An entry that cannot be made is an error with the kernel's words."""

    def refuse(_: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with pytest.raises(Unavailable, match="busy"):
        replace(FakeKernel(tmp_path).device, make_entry=refuse).evidence(REPORT_DATA)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_report_data_of_another_size(tmp_path: Path, size: int) -> None:
    """The guest is told at once, before any device is opened."""
    with pytest.raises(BadInput):
        FakeKernel(tmp_path).device.evidence(bytes(size))
    with pytest.raises(BadInput):
        SevDevice(tmp_path / "none", KERNEL_6, ()).evidence(bytes(size))


@given(st.binary(max_size=400), st.integers(0, 200), st.binary(max_size=6))
def test_certificate_tables_survive(data: bytes, place: int, patch: bytes) -> None:
    """The host writes the table; whatever it writes, only our own error comes out."""
    for value in (data, TABLE[:place] + patch + TABLE[place + len(patch) :], TABLE[:place]):
        try:
            certificate_table(value)
        except Unavailable:
            continue

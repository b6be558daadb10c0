"""The guest's device: a socket that answers, and clear errors when it is absent, slow or broken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from forge import HOST_DATA, MEASUREMENT, REPORT_DATA, Forge

from sls_jupyter.attestation.amd.report import Report
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.find import find_device
from sls_jupyter.attestation.device.served import SimulatedDevice, serve_simulated
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, Unavailable

PROCESSOR = Forge().processor()


def make(report_data: bytes) -> Evidence:
    return PROCESSOR.evidence(report_data, host_data=HOST_DATA, measurement=MEASUREMENT)


@pytest.fixture
def path() -> Iterator[Path]:
    """A short path: a Unix socket's has 107 bytes at most."""
    with TemporaryDirectory(prefix="sls") as folder:
        yield Path(folder) / "device.sock"


def test_evidence_over_the_socket(path: Path) -> None:
    """The guest gets evidence about its own 64 bytes."""
    with serve_simulated(path, make):
        evidence = find_device({"SLS_TEE_DEVICE": str(path)}).evidence(REPORT_DATA)
    assert Report.parse(evidence.report_bytes()).report_data == REPORT_DATA


def test_several_guests_at_once(path: Path) -> None:
    """The containers of a group ask at the same time; a silent one does not hold up the others."""
    found: list[bytes] = []

    def ask(number: int) -> None:
        evidence = SimulatedDevice(path).evidence(bytes([number]) * 64)
        found.append(Report.parse(evidence.report_bytes()).report_data[:1])

    with serve_simulated(path, make), socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path))
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(found) == [bytes([number]) for number in range(6)]


def test_stop_twice(path: Path) -> None:
    """Stopping removes the socket, and stopping again does no harm."""
    service = serve_simulated(path, make)
    assert path.stat().st_mode & 0o777 == 0o600
    service.stop()
    service.stop()
    assert not path.exists()


def test_nothing_is_set() -> None:
    """Without a device there is no evidence; nothing is simulated unless it was asked for by name."""
    with pytest.raises(Unavailable, match="SLS_TEE_DEVICE is not set"):
        find_device({})


@pytest.mark.parametrize("name", ["/nowhere/device.sock", "\0", "."])
def test_socket_that_is_not_there(name: str) -> None:
    """A device that was named and is missing is an error and not a reason to look elsewhere."""
    with pytest.raises(Unavailable, match="not there"):
        find_device({"SLS_TEE_DEVICE": name})


def test_stopped_processor(path: Path) -> None:
    """A processor that went away is reported with its path."""
    device = SimulatedDevice(path)
    with pytest.raises(Unavailable, match=r"device\.sock"):
        device.evidence(REPORT_DATA)


def test_processor_that_fails(path: Path) -> None:
    """A processor that cannot make evidence says so to the guest and keeps serving."""

    def broken(report_data: bytes) -> Evidence:
        raise BadInput("No.")

    with serve_simulated(path, broken):
        for _ in range(2):
            with pytest.raises(Unavailable, match="empty"):
                SimulatedDevice(path).evidence(REPORT_DATA)


def test_report_data_of_another_size(path: Path) -> None:
    """The guest is told at once that REPORT_DATA has 64 bytes."""
    with pytest.raises(BadInput):
        SimulatedDevice(path).evidence(b"short")


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[None]:
    """A false processor: sends ``answer`` and closes, or says nothing at all."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        kept: list[socket.socket] = []

        def serve() -> None:
            connection, _ = server.accept()
            kept.append(connection)
            connection.recv(64)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Unavailable),
        (b"\0\0", Unavailable),
        (b"\0\0\0\x05abc", Unavailable),
        (b"\xff\xff\xff\xff" + b"a" * 64, Unavailable),
        (b"\0\0\0\x02{}", MalformedDocument),
        (None, Unavailable),
    ],
)
def test_false_answers(path: Path, answer: bytes | None, error: type[SlsError]) -> None:
    """Short, endless, empty, meaningless or missing answers end in our own error, in bounded time."""
    with answering(path, answer), pytest.raises(error):
        SimulatedDevice(path, timeout_seconds=0.2).evidence(REPORT_DATA)


def test_path_that_is_too_long(tmp_path: Path) -> None:
    """The kernel's limit on a socket's path is named before anybody waits for it."""
    with pytest.raises(Unavailable, match="too long"):
        serve_simulated(tmp_path / ("x" * 120), make)


def test_path_that_is_taken(path: Path) -> None:
    """A second processor does not push out the first."""
    with serve_simulated(path, make):
        with pytest.raises(Unavailable, match="cannot listen"):
            serve_simulated(path, make)
        SimulatedDevice(path).evidence(REPORT_DATA)

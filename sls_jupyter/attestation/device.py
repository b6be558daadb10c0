"""How a guest asks its hardware for evidence.

The simulated processor listens on a Unix socket. One request a connection: the guest sends the 64 bytes
of REPORT_DATA, the processor answers with a length (4 bytes, big-endian) and that many bytes of
:meth:`Evidence.encode`; length 0 means that it could not make any. What goes into HOST_DATA and
MEASUREMENT is the firmware's to say, never the guest's.

Absent hardware is an error that says what was looked for. Nothing falls back from real to simulated.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sls_jupyter.attestation.evidence import MAX_EVIDENCE_BYTES, Evidence
from sls_jupyter.errors import BadInput, Unavailable

REPORT_DATA_BYTES = 64
REQUEST_SECONDS = 10.0  # a client that is slower is dropped, a processor that is slower is unavailable
MAX_SOCKET_PATH_BYTES = 107  # of a Unix socket on Linux, without its final zero
_POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


class Device(Protocol):
    """Whatever gives out evidence about the guest it runs in."""

    def evidence(self, report_data: bytes) -> Evidence:
        """Evidence with these 64 bytes as REPORT_DATA.

        Raises:
            BadInput: not 64 bytes.
            Unavailable: the device does not answer, or not with evidence.
        """
        ...


# --- the guest's side -----------------------------------------------------------------------------


def _receive(connection: socket.socket, length: int) -> bytes:
    """Exactly ``length`` bytes, fewer only where the other side closed."""
    data = b""
    while len(data) < length and (more := connection.recv(length - len(data))):
        data += more
    return data


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """The guest's end of a simulated processor. Its evidence says that it is simulated."""

    path: Path
    timeout_seconds: float = REQUEST_SECONDS

    def evidence(self, report_data: bytes) -> Evidence:
        if len(report_data) != REPORT_DATA_BYTES:
            raise BadInput("REPORT_DATA has 64 bytes.", found=f"{len(report_data)} bytes", expected="64 bytes")
        try:
            answer = self._ask(report_data)
        except OSError as error:
            raise self._unavailable(error.strerror or type(error).__name__) from None
        if not answer:
            raise self._unavailable("an empty or a broken answer")
        return Evidence.parse(answer)

    def _ask(self, report_data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_seconds)
            connection.connect(str(self.path))
            connection.sendall(report_data)
            length = int.from_bytes(_receive(connection, 4), "big")
            answer = _receive(connection, length) if length <= MAX_EVIDENCE_BYTES else b""
            return answer if len(answer) == length else b""

    def _unavailable(self, found: str) -> Unavailable:
        return Unavailable(
            "The simulated processor gave no evidence.",
            found=f"{self.path}: {found}",
            hint="The host that started this group must keep its simulated processor running.",
        )


def find_device(environ: Mapping[str, str], root: Path = Path("/")) -> Device:
    """The device of this guest.

    ``SLS_TEE_DEVICE`` names the socket of a simulated processor; it is the only thing that selects one, and
    where it is set nothing else is looked for. Otherwise the hardware's devices are looked for below ``root``
    (:func:`sls_jupyter.attestation.devices_linux.find_hardware` has the order).

    Raises:
        Unavailable: none was found; lists what was looked for.
    """
    name = environ.get("SLS_TEE_DEVICE", "")
    return _simulated(name) if name else _hardware(environ, root)


def _hardware(environ: Mapping[str, str], root: Path) -> Device:
    from sls_jupyter.attestation.devices_linux import find_hardware

    device, looked = find_hardware(environ, root)
    if device is None:
        raise Unavailable(
            "No device that gives out attestation evidence was found.",
            found="; ".join(["SLS_TEE_DEVICE is not set", *looked]),
            expected="a SEV-SNP device with its certificates, configfs-tsm, or the socket of a simulated processor",
            hint="Run this inside a container group that a host of sls-jupyter started.",
        )
    return device


def _simulated(name: str) -> Device:
    path = Path(name)
    try:
        is_socket = stat.S_ISSOCK(path.stat().st_mode)
    except (OSError, ValueError):
        is_socket = False
    if not is_socket:
        raise Unavailable(
            "The simulated processor's socket is not there.",
            found=f"SLS_TEE_DEVICE={name}",
            expected="a Unix socket",
            hint="The host that started this group must keep its simulated processor running.",
        )
    return SimulatedDevice(path)


# --- the firmware's side --------------------------------------------------------------------------


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    make: Callable[[bytes], Evidence]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or a processor that failed: one line in the log, no data."""
        _log.warning("A request to the simulated processor failed.", exc_info=_log.isEnabledFor(logging.DEBUG))


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(REQUEST_SECONDS)
        report_data = _receive(connection, REPORT_DATA_BYTES)
        if len(report_data) != REPORT_DATA_BYTES:
            return
        try:
            answer = self.server.make(report_data).encode()
        except Exception:
            connection.sendall(bytes(4))
            raise
        connection.sendall(len(answer).to_bytes(4, "big") + answer)


class SimulatedService:
    """A running simulated processor; :meth:`stop` ends it, and so does leaving its ``with`` block."""

    def __init__(self, path: Path, server: _Server) -> None:
        self.path = path
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(_POLL_SECONDS,), name="sls-simulated-processor", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and remove the socket. Safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve_simulated(path: Path, make: Callable[[bytes], Evidence]) -> SimulatedService:
    """Give out evidence on a Unix socket (mode 0600) until stopped.

    Args:
        path: must not exist; at most 107 bytes long.
        make: REPORT_DATA (64 bytes) to evidence; called from several threads.

    Raises:
        Unavailable: the socket cannot be made.
    """
    try:
        server = _Server(str(path), _Handler)
    except (OSError, ValueError) as error:
        long = len(str(path).encode()) > MAX_SOCKET_PATH_BYTES
        raise Unavailable(
            "The simulated processor cannot listen.",
            found=f"{path}: {'the path is too long' if long else error}",
            expected=f"a new path of {MAX_SOCKET_PATH_BYTES} bytes at most",
            hint="Use a shorter folder, for instance below /tmp." if long else "Remove what is there, or use another.",
        ) from None
    server.make = make
    path.chmod(0o600)
    return SimulatedService(path, server)

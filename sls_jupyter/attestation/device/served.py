"""A simulated processor's socket: its end in the guest, and the firmware's.

The simulated processor listens on a Unix socket. One request a connection: the guest sends the 64 bytes
of REPORT_DATA, the processor answers with a length (4 bytes, big-endian) and that many bytes of
:meth:`Evidence.encode`; length 0 means that it could not make any. What goes into HOST_DATA and
MEASUREMENT is the firmware's to say, never the guest's.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sls_jupyter.attestation.claims import MAX_EVIDENCE_BYTES, Evidence
from sls_jupyter.attestation.device.interface import REPORT_DATA_BYTES, require_report_data
from sls_jupyter.errors import Unavailable

REQUEST_SECONDS = 10.0  # a client that is slower is dropped, a processor that is slower is unavailable
MAX_SOCKET_PATH_BYTES = 107  # of a Unix socket on Linux, without its final zero
_POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


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
        require_report_data(report_data)
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

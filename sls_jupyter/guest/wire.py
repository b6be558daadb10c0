"""Unix sockets between neighbouring containers: length-prefixed JSON, and Arrow streams between.

Every message is four bytes of length, big-endian, then that many bytes of UTF-8 JSON. A peer that is
the program is hostile: lengths are bounded before anything is read.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sls_jupyter.errors import MalformedDocument, Unavailable

if TYPE_CHECKING:
    from sls_jupyter.attestation.device import Device

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
CONNECT_SECONDS = 60.0
FEED_SOCKET, RESULT_SOCKET, AUDIT_SOCKET = "feed.sock", "result.sock", "audit.sock"
SHELL_PREFIX, IOPUB_PREFIX = "kernel", "iopub"  # of the kernel's ipc sockets
PORTS = {"shell_port": 1, "stdin_port": 2, "control_port": 3, "hb_port": 4, "iopub_port": 5}  # ipc suffixes


def here(path: str) -> str:
    """Where a path of the group lies. A host without mount namespaces sets ``SLS_ROOT``; no CCE rule admits it."""
    return os.environ.get("SLS_ROOT", "") + path


def device() -> Device:
    """This container's TEE."""
    from sls_jupyter.attestation.device import find_device

    environ = dict(os.environ)
    if "SLS_TEE_DEVICE" in environ:
        environ["SLS_TEE_DEVICE"] = here(environ["SLS_TEE_DEVICE"])
    return find_device(environ)


class ByteFile(Protocol):
    """What is needed of a socket's file."""

    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def listen(path: str) -> socket.socket:
    """A listening socket at ``path``, for the neighbours only."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    Path(path).chmod(0o600)
    listening.listen(8)
    return listening


def connect(path: str, *, timeout: float = CONNECT_SECONDS) -> socket.socket:
    """Connect to a neighbour that may not have started yet.

    Raises:
        Unavailable: it did not come up in ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise Unavailable("A neighbouring container did not come up.", found=path) from None
            time.sleep(0.01)  # there is no event to wait for: the socket file is made by another container


def send(file: ByteFile, message: dict[str, Any]) -> None:
    """Write one message and flush it."""
    data = json.dumps(message).encode()
    file.write(len(data).to_bytes(4, "big") + data)
    file.flush()


def receive(file: ByteFile) -> dict[str, Any] | None:
    """The next message; ``None`` when the peer has closed.

    Raises:
        MalformedDocument: too long, cut, or not a JSON object.
    """
    from sls_jupyter.documents import parse_json

    head = file.read(4)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < 4 or length > MAX_MESSAGE_BYTES:
        raise MalformedDocument("A message between containers is malformed.", expected="a bounded length")
    data = file.read(length)
    if len(data) < length:
        return None
    value = parse_json(data, max_bytes=MAX_MESSAGE_BYTES)
    if not isinstance(value, dict):
        raise MalformedDocument("A message between containers is not an object.")
    return value

"""Unix sockets between neighbouring containers: length-prefixed JSON, and Arrow streams between.

Every message is four bytes of length, big-endian, then that many bytes of UTF-8 JSON. A peer that is
the program is hostile: lengths are bounded before anything is read.

The program makes no socket and no file that a neighbour opens: its neighbours listen, take one connection for
each role while nothing but our own code runs in the program, and then listen no more. Nobody connects again.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sls_jupyter.contract.places import Role
from sls_jupyter.errors import MalformedDocument, Refused, Unavailable
from sls_jupyter.guest.peers import is_neighbour

if TYPE_CHECKING:
    from sls_jupyter.attestation.device.interface import Device

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
CONNECT_SECONDS = 60.0
FEED_SOCKET, RESULT_SOCKET, AUDIT_SOCKET = "feed.sock", "result.sock", "audit.sock"
_SET_DUMPABLE = 4  # prctl(2)
MAX_FRAMES = 64  # of one message of a kernel
MESSAGE_COST = 256  # bytes that a message takes here, however little is in it


def here(path: str) -> str:
    """Where a path of the group lies. A host without mount namespaces sets ``SLS_ROOT``; no CCE rule admits it."""
    return os.environ.get("SLS_ROOT", "") + path


def device() -> Device:
    """This container's TEE."""
    from sls_jupyter.attestation.device.find import find_device

    environ = dict(os.environ)
    if "SLS_TEE_DEVICE" in environ:
        environ["SLS_TEE_DEVICE"] = here(environ["SLS_TEE_DEVICE"])
    return find_device(environ)


class ByteFile(Protocol):
    """What is needed of a socket's file."""

    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def moment() -> int:
    """Now, in microseconds, by the monotonic clock that all containers of a group share."""
    return time.monotonic_ns() // 1000


def listen(path: str, *, everybody: bool = False) -> socket.socket:
    """A listening socket at ``path``, for the neighbours only.

    Args:
        everybody: a neighbour of another user id may connect too; who it is, is asked of each connection.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    Path(path).chmod(0o666 if everybody else 0o600)
    listening.listen(8)
    return listening


def accept_from(listening: socket.socket, me: Role, neighbour: Role) -> socket.socket:
    """The next connection of this neighbour; anybody else's is closed, and takes nobody's place."""
    while True:
        connection, _ = listening.accept()
        if is_neighbour(connection, me, neighbour):
            return connection
        connection.close()


def accept_one(listening: socket.socket, me: Role, neighbour: Role) -> socket.socket:
    """The only connection there will be; nobody reaches this socket after it."""
    with listening:
        return accept_from(listening, me, neighbour)


def connect(path: str, me: Role, neighbour: Role, *, timeout: float = CONNECT_SECONDS) -> socket.socket:
    """Connect to a neighbour that may not have started yet.

    Raises:
        Unavailable: it did not come up in ``timeout`` seconds. Refused: somebody else listens there.
    """
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise Unavailable("A neighbouring container did not come up.", found=path) from None
            time.sleep(0.01)  # there is no event to wait for: the socket file is made by another container
            continue
        if is_neighbour(connection, me, neighbour):
            return connection
        connection.close()
        raise Refused(f"Another container than {neighbour} listens in its place.", found=path)


def send(file: ByteFile, message: dict[str, Any]) -> None:
    """Write one message and flush it."""
    data = json.dumps(message).encode()
    file.write(len(data).to_bytes(4, "big") + data)
    file.flush()


def receive(
    file: ByteFile, *, most: int = MAX_MESSAGE_BYTES, count: Callable[[int], None] = lambda _: None
) -> dict[str, Any] | None:
    """The next message, of ``most`` bytes; ``None`` when the peer has closed.

    Args:
        count: called with the message's length before it is read; raises when it is too much.

    Raises:
        MalformedDocument: too long, cut, or not a JSON object.
    """
    from sls_jupyter.documents import parse_json

    head = file.read(4)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < 4 or length > most:
        raise MalformedDocument("A message between containers is malformed.", expected="a bounded length")
    count(length + len(head))
    data = file.read(length)
    if len(data) < length:
        return None
    value = parse_json(data, max_bytes=most)
    if not isinstance(value, dict):
        raise MalformedDocument("A message between containers is not an object.")
    return value


def send_frames(file: ByteFile, frames: Sequence[bytes]) -> None:
    """Write a message of a kernel as it is: the number of its frames, then each with its length."""
    heads = (len(frame).to_bytes(4, "big") for frame in frames)
    parts = (part for pair in zip(heads, frames, strict=True) for part in pair)
    file.write(len(frames).to_bytes(4, "big") + b"".join(parts))
    file.flush()


def receive_frames(file: ByteFile, count: Callable[[int], None]) -> list[bytes] | None:
    """The next message of a kernel; ``None`` when the peer has closed.

    Args:
        count: called with the length of the message's head and of each frame before it is read; raises when it is too
            much. So a message of no frames at all is counted, too.

    Raises:
        MalformedDocument: too many frames.
    """
    head = file.read(4)
    number = int.from_bytes(head, "big")
    if number > MAX_FRAMES:
        raise MalformedDocument("A message between containers is malformed.", expected=f"{MAX_FRAMES} frames at most")
    count(MESSAGE_COST)
    frames: list[bytes] = []
    while len(head) == 4 and len(frames) < number:
        head = file.read(4)
        length = int.from_bytes(head, "big")
        count(length + len(head))
        frames.append(file.read(length))
        if len(frames[-1]) < length:
            return None
    return frames if len(head) == 4 else None


def end_with_host() -> None:
    """End this process when its host is gone: where standard input is a pipe, the host holds its other end.

    A sandbox is bound to the host's life when it is complete; a host that is killed before that would leave it.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(0, 1):
        continue
    os._exit(1)


def be_unreadable() -> None:
    """Close this process to others of the same user: no debugger, no ``/proc/PID/mem``. There is none but on Linux."""
    if sys.platform.startswith("linux"):
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def bound_memory(most: int) -> None:
    """Bound this process's memory (bytes), so that too much is an error here and not the end of the machine."""
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))

"""What reads a program's pictures and markup: a process of its own, with limits, that can be killed.

Parsers and decoders meet bytes here that were made to break them. So they run beside the gate and not in it:
in a process without the results, with bounds on memory and processor time, and with a deadline for each
text. What is not cleaned in time, or ends its cleaner, does not leave. The process starts with the first display that
needs it; a run of tables and plain text has none.

The process loads what it needs, and then can open, connect to and start nothing: it may have no further descriptor. The gate's
own memory is closed to it (:func:`.wire.be_unreadable`).

Messages, both ways: the lengths of a MIME type and of a text (2 and 8 bytes, big-endian), then both. An answer
without a MIME type says that the text may not leave.
"""

from __future__ import annotations

import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

TEXT_SECONDS = 4.0  # for one text
RUN_SECONDS = 60.0  # for all texts of a run, or of a session's cell
MEMORY_BYTES = 768 * 2**20
MAX_TEXT_BYTES = 64 * 2**20  # of pictures; markup has bounds of its own
_HEAD = struct.Struct(">HQ")


# --- in the process -------------------------------------------------------------------------------


def _svg(text: str) -> str:
    from sls_jupyter.guest.svg import redrawn_svg

    return redrawn_svg(text)


def _html(text: str) -> str:
    from sls_jupyter.guest.markup import plain_html

    return plain_html(text)


def _markdown(text: str) -> str:
    from sls_jupyter.guest.markup import plain_markdown

    return plain_markdown(text)


def _latex(text: str) -> str:
    from sls_jupyter.guest.latex import plain_formula

    return plain_formula(text)


_CLEANERS: Mapping[str, Callable[[str], str]] = {
    "image/svg+xml": _svg,
    "text/html": _html,
    "text/markdown": _markdown,
    "text/latex": _latex,
}


def cleaned(mime: str, text: str) -> tuple[str, str] | None:
    """A picture or a text of markup as it may leave, with its MIME type; ``None`` when it may not."""
    if mime not in _CLEANERS:
        from sls_jupyter.guest.pictures import redrawn

        return redrawn(mime, text)
    from sls_jupyter.guest.markup import MAX_MARKUP_BYTES

    if mime != "image/svg+xml" and len(text) > MAX_MARKUP_BYTES:
        return None
    try:
        return mime, _CLEANERS[mime](text)
    except (ValueError, MemoryError, RecursionError):  # the module's own refusals are ValueErrors
        return None


def _prepare() -> None:
    """Load every module that a text may need."""
    import nh3

    from sls_jupyter.guest import latex, markup, pictures, svg

    _ = latex, svg
    pictures.prepare()
    markup.plain_html(nh3.clean("<p>a</p>"))


def _limit() -> None:
    """Bounds that the process cannot undo; before the first byte of a program is read."""
    bounds = {
        resource.RLIMIT_DATA: MEMORY_BYTES,
        resource.RLIMIT_CPU: int(2 * RUN_SECONDS),
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 3,  # the three that are open
    }
    for what, most in bounds.items():
        resource.setrlimit(what, (most, most))


def _read(file: BinaryIO) -> tuple[str, str] | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    mime, text = _HEAD.unpack(head)
    return file.read(mime).decode(), file.read(text).decode()


def main() -> None:
    """Clean one text after the other, until the gate closes the line."""
    _prepare()
    _limit()
    lines, answers = sys.stdin.buffer, sys.stdout.buffer
    while (message := _read(lines)) is not None:
        signal.setitimer(signal.ITIMER_REAL, 2 * TEXT_SECONDS)  # ends this process if the gate is gone by then
        mime, text = cleaned(*message) or ("", "")
        signal.setitimer(signal.ITIMER_REAL, 0)
        data = text.encode()
        answers.write(_HEAD.pack(len(mime), len(data)) + mime.encode() + data)
        answers.flush()


# --- in the gate ----------------------------------------------------------------------------------


class Cleaner:
    """The gate's end of the line. Called by one thread; :meth:`close` may be called by another at any time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._left = RUN_SECONDS
        self._closed = self._busy = False
        self._lock = threading.Lock()

    def __call__(self, mime: str, text: str) -> tuple[str, str] | None:
        """As :func:`cleaned`; ``None`` also for what is too large, takes too long or ends the process."""
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_TEXT_BYTES or self._left <= 0:
            return None
        started, self._busy = time.monotonic(), True
        try:
            return self._ask(mime.encode(), data, started + min(TEXT_SECONDS, self._left))
        except (OSError, EOFError):  # a deadline is an OSError, too
            self._end()
            return None
        finally:
            self._busy = False
            self._left -= time.monotonic() - started

    def renew(self) -> None:
        """Another cell begins: what is still cleaned for the one before is given up, and the time starts anew."""
        if self._busy:
            self._end()
        self._left = RUN_SECONDS

    def close(self) -> None:
        """End the process, whatever it does; nothing is cleaned from here on."""
        with self._lock:
            self._closed = True
        self._end()

    def _ask(self, mime: bytes, data: bytes, deadline: float) -> tuple[str, str] | None:
        line = self._started()
        line.settimeout(max(0.01, deadline - time.monotonic()))
        line.sendall(_HEAD.pack(len(mime), len(data)) + mime + data)
        head = _HEAD.unpack(_exactly(line, _HEAD.size, deadline))
        if head[0] > len("image/svg+xml") or head[1] > 2 * MAX_TEXT_BYTES:
            raise EOFError("an answer of another form")
        answered = _exactly(line, head[0], deadline).decode("ascii", "replace")
        text = _exactly(line, head[1], deadline).decode("utf-8", "replace")
        return (answered, text) if answered else None

    def _started(self) -> socket.socket:
        with self._lock:
            if self._closed:
                raise EOFError("closed")
            if self._line is not None:
                return self._line
            near, far = socket.socketpair()
            command = [sys.executable, "-I", "-m", "sls_jupyter.guest.cleaner"]
            with far:
                ends = far.fileno()
                self._process = subprocess.Popen(command, stdin=ends, stdout=ends, stderr=subprocess.DEVNULL, env={})
            self._line = near
            return near

    def _end(self) -> None:
        with self._lock:
            process, line, self._process, self._line = self._process, self._line, None, None
        if process is not None:
            process.kill()
            process.wait()
        if line is not None:
            line.close()


def _exactly(line: socket.socket, count: int, deadline: float) -> bytes:
    """So many bytes before the deadline (``time.monotonic``)."""
    parts, missing = [], count
    while missing:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line.settimeout(left)
        part = line.recv(min(missing, 1 << 20))
        if not part:
            raise EOFError("the cleaner ended")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()

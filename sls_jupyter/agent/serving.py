"""The agent's process: its lock, its log, its socket, its server, and its end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from sls_jupyter.agent.life import Keeper
from sls_jupyter.agent.place import LOG, MAX_LOG_BYTES, code_here, folder_of, idle_seconds
from sls_jupyter.agent.server import create_agent_app
from sls_jupyter.authority.embedded import listen_private, socket_of, take_lock
from sls_jupyter.authority.serving import BoundedServer, configure
from sls_jupyter.errors import SlsError

_log = logging.getLogger("sls_jupyter.agent")


def serve(ready: int) -> None:
    """Be the agent of ``SLS_HOME`` until nothing needs it.

    Args:
        ready: where it is told that it serves, or that another one does; closed then.
    """
    root = Path(os.environ["SLS_HOME"])
    folder = folder_of(root)
    lock = take_lock(folder)
    if lock is None:
        _tell(ready, b"taken")
        return
    code_here()
    _keep_quiet(folder / LOG)
    try:
        keeper = Keeper(root, idle_seconds())
    except SlsError as error:
        _log.error("it cannot start: %s", " ".join(error.lines()))
        return
    try:
        with contextlib.closing(listen_private(folder, "agent")) as listening:
            _run(keeper, listening, ready)
    finally:
        keeper.close()
        socket_of(folder).unlink(missing_ok=True)  # before the lock: the next one makes its own
        os.close(lock)
        _log.info("the agent ends")
    logging.shutdown()
    os._exit(0)  # runs that wait for approval are left to the next agent; their threads are not waited for


class _Server(BoundedServer):
    """Tells when it serves."""

    def __init__(self, config: Any, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: _log.warning("asyncio: %s", _kind(context.get("exception")))
        )
        self._started()


def _run(keeper: Keeper, listening: socket.socket, ready: int) -> None:
    def stop() -> None:
        server.should_exit = True

    def started() -> None:
        _log.info("the agent serves, process %d", os.getpid())
        _tell(ready, b"serves")
        _let_go_of_standard_streams()
        threading.Thread(target=keeper.live, args=(stop,), name="sls-agent", daemon=True).start()

    server = _Server(configure(create_agent_app(keeper, stop), graceful_seconds=2), started)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn ends by them in good order, and raises them again then
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])


def _tell(ready: int, word: bytes) -> None:
    with contextlib.suppress(OSError):  # its starter was killed meanwhile
        os.write(ready, word)
        os.close(ready)


def _let_go_of_standard_streams() -> None:
    """From here on nothing but our own log lines is written: a library's last words might be data."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


# --- the log --------------------------------------------------------------------------------------


class _Plain(logging.Formatter):
    """One line a record; of an exception its class, because its text may be anybody's data."""

    def format(self, record: logging.LogRecord) -> str:
        kind = "" if record.exc_info is None else f" ({_kind(record.exc_info[1])})"
        ours = record.name.startswith("sls_jupyter")
        text = record.getMessage() if ours else f"a message of {record.name}"
        return f"{self.formatTime(record)} {record.levelname} {text}{kind}".replace("\n", " ")


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A bounded log that only this user reads."""

    def _open(self) -> Any:
        private = partial(os.open, mode=0o600)
        return open(self.baseFilename, self.mode, encoding="utf-8", opener=private)


def _kind(error: object) -> str:
    return type(error).__name__


def _keep_quiet(path: Path) -> None:
    """Log to a bounded file of this user's; uncaught exceptions are told by their class alone."""
    handler = _PrivateFile(path, maxBytes=MAX_LOG_BYTES, backupCount=1)
    handler.setFormatter(_Plain())
    handler.addFilter(lambda record: record.name.startswith("sls_jupyter") or record.levelno >= logging.WARNING)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)

    def uncaught(kind: type[BaseException], _: BaseException, __: TracebackType | None) -> None:
        _log.error("uncaught: %s", kind.__name__)

    sys.excepthook = uncaught
    threading.excepthook = lambda given: _log.error("uncaught in a thread: %s", given.exc_type.__name__)

"""Processes of a local group: who starts them, what they wrote to their log, how they end.

The kernel's parent-death signal is sent when the *thread* that started a process ends. So one thread
that lives as long as the host's process starts all of them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from sls_jupyter.safestream.host import ContainerState

MAX_LOG_BYTES = 64 * 1024  # of each container, the end of it
_KILL_SECONDS = 5.0  # for the kernel to end a sandbox, before its keeper is ended instead
_INFO_SECONDS = 10.0  # for bubblewrap to say which process it started

T = TypeVar("T")


# --- the thread that starts processes -------------------------------------------------------------


class Spawner:
    """A daemon thread that calls functions one after the other."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="sls-spawner", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._calls.get()()

    def call(self, function: Callable[[], T]) -> T:
        """The answer of ``function``, called in the thread; what it raises is raised here."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
                future.set_exception(error)

        self._calls.put(work)
        return future.result()


@functools.cache
def _spawner_of(process: int) -> Spawner:
    return Spawner()


def spawner() -> Spawner:
    """This process's spawner; a forked child gets its own."""
    return _spawner_of(os.getpid())


# --- logs -----------------------------------------------------------------------------------------


class BoundedLog:
    """The last :data:`MAX_LOG_BYTES` that came through a pipe, in memory only."""

    def __init__(self, descriptor: int, limit: int = MAX_LOG_BYTES) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._data = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="sls-log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._descriptor, 65536):
                with self._lock:
                    self._data += chunk
                    del self._data[: -self._limit]
        os.close(self._descriptor)

    def text(self) -> str:
        """What is kept, as UTF-8; a character that was cut becomes U+FFFD."""
        with self._lock:
            return bytes(self._data).decode(errors="replace")

    def finish(self, seconds: float = 1.0) -> None:
        """Wait until the other end is closed, but not for ever."""
        self._thread.join(seconds)


# --- one container --------------------------------------------------------------------------------


def _commands(init: int) -> list[int]:
    """The processes right below the innermost bubblewrap that ``init`` leads to."""
    children = [int(word) for word in Path(f"/proc/{init}/task/{init}/children").read_text().split()]
    if len(children) == 1 and Path(f"/proc/{children[0]}/comm").read_text() == "bwrap\n":
        return _commands(children[0])
    return children


def describe(code: int) -> str:
    if code == 0:
        return "ended"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name}"
    return f"ended with exit code {code}"


class ContainerProcess:
    """The processes of one container. ``init`` is process 1 of its sandbox; without one, its process group.

    Args:
        kept: its leader is a keeper (:mod:`sls_jupyter.hosts.watch`), which ends what left the process group.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: BoundedLog | None, *, kept: bool = False) -> None:
        self._process, self._log, self._kept = process, log, kept
        self._init: int | None = None
        self._sandboxed = False
        self._group_ended = False

    def learn_init(self, descriptor: int) -> None:
        """Read from bubblewrap which process is process 1 of the (outer) sandbox; closes the descriptor."""
        self._sandboxed = True
        data, deadline = b"", time.monotonic() + _INFO_SECONDS
        try:
            while b"}" not in data and select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                chunk = os.read(descriptor, 4096)
                if not chunk:
                    break
                data += chunk
            with contextlib.suppress(ValueError, KeyError):
                self._init = int(json.loads(data)["child-pid"])
        finally:
            os.close(descriptor)

    def _poll(self) -> int | None:
        """The exit code, if the leader has ended; the rest of its process group then ends at once.

        At once, because later the group's number may belong to somebody else.
        """
        code = self._process.poll()
        if code is not None and not self._sandboxed and not self._group_ended:
            self._group_ended = True
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return code

    def state(self) -> ContainerState:
        code = self._poll()
        if code is None:
            return ContainerState(running=True, detail="running")
        code = 128 - code if code < 0 else code
        return ContainerState(running=False, exit_code=code, detail=describe(code))

    def log(self) -> str:
        return self._log.text() if self._log else ""

    def terminate(self) -> bool:
        """Ask the command itself to end; whether there was somebody to ask."""
        if self._poll() is not None:
            return False
        try:
            if not self._sandboxed:
                os.killpg(self._process.pid, signal.SIGTERM)
                return True
            commands = _commands(self._init) if self._init is not None else []
            for command in commands:
                os.kill(command, signal.SIGTERM)
            return bool(commands)
        except (OSError, ValueError):  # it ended meanwhile
            return False

    def kill(self) -> None:
        """End everything in the container and return when it is gone.

        The end of process 1 ends its PID namespace, and the kernel reports it only when that is empty.
        """
        if self._poll() is None:
            with contextlib.suppress(OSError):
                if self._init is not None:
                    os.kill(self._init, signal.SIGKILL)
                elif self._sandboxed:
                    self._process.kill()
                elif self._kept:
                    self._process.terminate()
                else:
                    os.killpg(self._process.pid, signal.SIGKILL)
            self.wait_until(time.monotonic() + _KILL_SECONDS)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._poll()
        if self._process.stdin:
            self._process.stdin.close()
        if self._log:
            self._log.finish()

    def wait_until(self, deadline: float) -> None:
        """Wait for the end, until ``time.monotonic()`` is ``deadline``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))


def start(
    arguments: Sequence[str],
    *,
    environment: dict[str, str],
    descriptors: Sequence[int],
    keep_log: bool,
    kept: bool = False,
    register: Callable[[ContainerProcess], None],
) -> ContainerProcess:
    """Start one container from the spawner thread; what it prints goes nowhere, its log is kept or dropped.

    Its life is bound to this host's by what it is started with, once that runs; until then by standard input, which
    ends with this host (``guest.wire.end_with_host``), or by its keeper.

    Args:
        descriptors: stay open in the new process.
        register: called with it in the same thread, so that an interrupted caller loses no process.

    Raises:
        OSError: it cannot be started.
    """

    def work() -> ContainerProcess:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL if kept else subprocess.PIPE,  # never written to; closed by the end of this host
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if keep_log else subprocess.DEVNULL,
            env=environment,
            cwd="/",
            pass_fds=descriptors,
            start_new_session=True,
        )
        log = BoundedLog(os.dup(process.stderr.fileno())) if process.stderr else None
        if process.stderr:
            process.stderr.close()
        container = ContainerProcess(process, log, kept=kept)
        register(container)
        return container

    return spawner().call(work)

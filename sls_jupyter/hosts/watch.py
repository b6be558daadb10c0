"""The program's keeper: starts its container and looks at it from outside, where no cell reaches it.

Usage: ``python -I -m sls_jupyter.hosts.watch PARENT CPU WALL MEMORY PROCESSES COMMAND…``. PARENT is the process
that must be alive; the word ``@keeper`` in COMMAND becomes this process's number. It ends with COMMAND's exit code.

The supervisor inside measures too, and says which limit was crossed; but a cell that runs as the same user can stop
it. So a supervisor that is stopped is woken; when a limit stays crossed every other process of the container is
stopped, the supervisor has the word, and what has not ended after that is ended. The limits are a little wider
here, so that an honest supervisor speaks first.

A container without a PID namespace leaves its orphans to this process, which ends them all with itself. When the host is
killed, the kernel asks this process to end (SIGTERM and not SIGKILL), so that it ends them then, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from sls_jupyter.contract import usage
from sls_jupyter.contract.usage import ProgramLimits, Stat
from sls_jupyter.hosts.entry import be_a_reaper, die_with

POLL_SECONDS = 0.1
LOOK_SECONDS = 0.02
WORD_LOOKS = 500  # 10 s at least, on a busy machine, too, for the supervisor to say which limit was crossed
FAILED_LOOKS = 20  # one after the other; then nobody knows what the container does
LEFT_SECONDS = 1.0  # for a sandbox to end by itself, when its supervisor has
WIDER = ProgramLimits(cpu_seconds=1, wall_seconds=5, memory_bytes=32 << 20, processes=16)  # keepers count here too
_WRAPPERS = {"bwrap", "setpriv", "prlimit"}  # what a sandbox consists of until its command runs


def wider(limits: ProgramLimits) -> ProgramLimits:
    """The limits outside, for what the supervisor's are inside."""
    names = ("cpu_seconds", "wall_seconds", "memory_bytes", "processes")
    return replace(limits, **{name: getattr(limits, name) + getattr(WIDER, name) for name in names})


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _family() -> dict[int, Stat]:
    """Every process below this one."""
    return {pid: stat for pid, stat in usage.walk(os.getpid()).items() if pid != os.getpid()}


def end_all() -> None:
    """End every process below this one."""
    while family := {pid: stat for pid, stat in _family().items() if stat.state != "Z"}:
        _signal(family, signal.SIGKILL)
        time.sleep(0.005)


def _stop(*_: object) -> NoReturn:
    end_all()
    os._exit(128 + signal.SIGKILL)


@dataclass(slots=True)
class Keeper:
    """One container's processes, seen from outside."""

    process: subprocess.Popen[bytes]
    limits: ProgramLimits
    started: float  # time.monotonic()
    sandboxed: bool
    supervisor: tuple[int, int] | None = None  # its number and when it started

    def look(self) -> tuple[str, int] | None:
        """The limit that is crossed now, if any; wakes a stopped supervisor."""
        family = _family()
        if self.supervisor is None:
            self.supervisor = self._first(family)
        elif not self._speaker(family):
            return "processes", 0  # it is gone, and others are still there
        speaker = self._speaker(family)
        _signal((pid for pid in speaker if family[pid].state in "Tt"), signal.SIGCONT)
        elapsed = time.monotonic() - self.started
        beside = self._beside(speaker[0]) if self.sandboxed and speaker else 0
        return usage.crossed(usage.usage(family, self.limits, beside=beside), self.limits, elapsed)

    def _first(self, family: dict[int, Stat]) -> tuple[int, int] | None:
        """The supervisor: the first process that is not part of the sandbox. Asked before anything hostile runs."""
        for pid, stat in family.items():
            if not self.sandboxed or _name(pid) not in _WRAPPERS | {""}:  # one without a name has just ended
                return pid, stat.started
        return None

    def _speaker(self, family: dict[int, Stat]) -> tuple[int, ...]:
        """The supervisor, while it lives."""
        if self.supervisor is None:
            return ()
        pid, started = self.supervisor
        if pid in family:
            return (pid,) if family[pid].started == started else ()
        stat = Stat.read(pid)  # the kernel's list of children may leave one out while others end (proc(5))
        if stat is None or stat.started != started or stat.state == "Z":
            return ()
        family[pid] = stat
        return (pid,)

    def _beside(self, supervisor: int) -> int:
        """Memory that the sandbox has the kernel hold."""
        try:
            return usage.beside(str(supervisor))
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            return 0

    def close(self) -> None:
        """Stop all but the supervisor and what is above it, let it speak, and end what is left."""
        for _ in range(WORD_LOOKS):
            family = _family()
            speaker = self._speaker(family)
            if self.process.poll() is not None or not speaker:
                break
            spared = set(speaker)
            while more := {family[pid].parent for pid in spared if pid in family} - spared:
                spared |= more
            _signal((pid for pid in family if pid not in spared), signal.SIGSTOP)
            _signal(speaker, signal.SIGCONT)
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a stopped sandbox could not
            self.process.wait(0.0 if speaker else LEFT_SECONDS)
        end_all()


def keep(command: list[str], limits: ProgramLimits) -> int:
    """Run a container under these limits; its exit code."""
    mine = [str(os.getpid()) if word == "@keeper" else word for word in command]
    process = subprocess.Popen(mine, close_fds=False)
    os.closerange(3, 1024)  # what the container was given is the container's
    keeper = Keeper(process, limits, time.monotonic(), sandboxed=mine == command)
    failed = 0
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            break
        try:
            crossed = keeper.look()
        except (OSError, ValueError, IndexError):  # what was looked at went, or the kernel had no memory to say so
            failed += 1
            crossed = ("processes", 0) if failed > FAILED_LOOKS else None
        else:
            failed = 0
        if crossed is not None:
            keeper.close()
    end_all()
    return process.wait() if process.returncode >= 0 else 128 - process.returncode


def main(arguments: list[str]) -> int:
    be_a_reaper()
    signal.signal(signal.SIGTERM, _stop)
    die_with(int(arguments[0]), signal.SIGTERM)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited, and the container may not set it
    limits = wider(ProgramLimits(*map(int, arguments[1:5])))
    return keep(arguments[5:], limits)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the processes of a program use, and which limit of their spec that crosses.

Read by the supervisor inside the program's container and by the watcher outside it, so that both count the
same. Standard library only: both have to start quickly. What counts as memory:

- resident, swapped and huge pages, and page tables, of every process; where that is too much, shared pages once;
- files in the file systems that are this container's own, open or removed, and a block for each of their inodes;
- for every Unix socket what the kernel lets it hold unread.

Pipes, which the kernel bounds for each user (``fs.pipe-user-pages-soft``), and record locks are not counted.
System V objects, message queues, memory without a file and larger buffers are refused by the seccomp profile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108  # file systems in memory that are the program's alone
SOCKET_BYTES = 212_992  # ``net.core.wmem_default``; the profile lets no socket have more
INODE_BYTES = 1024  # what tmpfs takes for an inode or an attribute beside its blocks
_TICKS = os.sysconf("SC_CLK_TCK")
_STATUS = ("VmRSS", "VmSwap", "VmPTE", "HugetlbPages")


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    cpu_seconds: int
    wall_seconds: int
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes of a program use at one moment."""

    cpu_seconds: float
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``/proc/PID/stat`` says of one process."""

    state: str  # one letter
    parent: int
    cpu_seconds: float  # its own and that of the children it waited for
    started: int  # ticks since the machine's start; with the number, one process for ever

    @classmethod
    def read(cls, pid: int) -> Stat | None:
        """``None`` when it has ended."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        words = text.rpartition(")")[2].split()
        return cls(words[0], int(words[1]), sum(map(int, words[11:15])) / _TICKS, int(words[19]))


def visible() -> dict[int, Stat]:
    """Every process of this PID namespace, parents before children as a rule: so none is counted twice."""
    numbers = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {pid: stat for pid in numbers if (stat := Stat.read(pid)) is not None}


def below(root: int, stats: dict[int, Stat]) -> dict[int, Stat]:
    """``root`` and every process below it, of those in ``stats``."""
    family = {root}
    while more := {pid for pid, stat in stats.items() if stat.parent in family} - family:
        family |= more
    return {pid: stat for pid, stat in stats.items() if pid in family}


def walk(root: int) -> dict[int, Stat]:
    """The same without reading every process of the machine."""
    found: dict[int, Stat] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        stat = Stat.read(pid)
        if stat is None or pid in found:
            continue
        found[pid] = stat
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, path.read_text().split())
            except OSError:
                continue  # the thread ended while we looked
    return found


def usage(stats: dict[int, Stat], limits: ProgramLimits, *, beside: int = 0) -> Usage:
    """What these processes use.

    Args:
        limits: only when there is too much memory, and not too many processes, are shared pages told apart.
        beside: bytes that belong to no process (:func:`file_memory`, :func:`socket_memory`).
    """
    memory = beside + sum(_memory(pid) for pid in stats)
    if memory > limits.memory_bytes and len(stats) <= limits.processes:
        memory = beside + sum(_shared_memory(pid) for pid in stats)
    return Usage(sum(stat.cpu_seconds for stat in stats.values()), memory, len(stats))


def _status(pid: int) -> dict[str, int]:
    """Bytes by name, from ``/proc/PID/status``, which every process lets everybody read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs if name in _STATUS}


def _memory(pid: int) -> int:
    return sum(_status(pid).values())


def _shared_memory(pid: int) -> int:
    """Bytes of a process, its share of shared pages; all of it if it does not let us look."""
    found = _status(pid)
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return sum(found.values())
    share = (int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    found["VmRSS"] = next(share, found.get("VmRSS", 0))
    return sum(found.values())


def file_memory(folders: Iterable[str] = SCRATCH) -> int:
    """Bytes of the file systems in memory at these places, whatever became of the names in them."""
    total = 0
    for path in folders:
        state = os.statvfs(path)
        total += (state.f_blocks - state.f_bfree) * state.f_frsize + (state.f_files - state.f_ffree) * INODE_BYTES
    return total


def socket_memory(process: str = "self") -> int:
    """What the Unix sockets of a process's network namespace may hold, those that are on their way included."""
    with Path(f"/proc/{process}/net/unix").open("rb") as lines:
        return SOCKET_BYTES * max(0, sum(1 for _ in lines) - 1)


def crossed(usage: Usage, limits: ProgramLimits, elapsed: float) -> tuple[str, int] | None:
    """The first limit that is crossed, with its value."""
    for name, used, allowed in (
        ("processes", usage.processes, limits.processes),
        ("memory", usage.memory_bytes, limits.memory_bytes),
        ("cpu", usage.cpu_seconds, limits.cpu_seconds),
        ("time", elapsed, limits.wall_seconds),
    ):
        if used > allowed:
            return name, allowed
    return None

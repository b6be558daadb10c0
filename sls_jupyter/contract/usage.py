"""What the processes of a program use, and which limit of their spec that crosses.

Read by the supervisor inside the program's container and by the watcher outside it, so that both count the
same. Standard library only: both have to start quickly. What counts as memory:

- resident, swapped and huge pages, and page tables, of every process; where that is too much, shared pages once;
- files in the file systems that are this container's own, open or removed, and a block for each of their inodes;
- for every Unix socket what the kernel lets it hold unread, for every pseudo-terminal its buffers;
- every record lock, and for every process what epoll could watch with as many descriptors as it has room for.

Pipes, which the kernel bounds for each user (``fs.pipe-user-pages-soft``), and the kernel's own list of a process's
mappings (65,530 of them, 15 MB) are not counted. System V objects, message queues, memory without a file, queues of
file events and larger buffers are refused by the seccomp profile.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108  # file systems in memory that are the program's alone
SOCKET_BYTES = 212_992  # ``net.core.wmem_default``; the profile lets no socket have more
INODE_BYTES = 1024  # what tmpfs takes for an inode or an attribute beside its blocks
LOCK_BYTES = 256  # of a record lock
MAX_LOCKS = 20_000
TERMINAL_BYTES = 64 << 10  # both ends of a pseudo-terminal
WATCH_BYTES = 208  # one descriptor in one epoll set
_TICKS = os.sysconf("SC_CLK_TCK")
_STATUS = ("VmRSS", "VmSwap", "VmPTE", "HugetlbPages", "FDSize")


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
        waiting += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    """Of every thread of a process; of one that ends while we look, those that were seen."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - Path.iterdir opens it later
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def usage(stats: dict[int, Stat], limits: ProgramLimits, *, beside: int = 0) -> Usage:
    """What these processes use.

    Args:
        limits: only when there is too much memory, and not too many processes, are shared pages told apart.
        beside: bytes that belong to no process (:func:`beside`).
    """
    memory = beside + sum(_memory(pid) for pid in stats)
    if memory > limits.memory_bytes and len(stats) <= limits.processes:
        memory = beside + sum(_shared_memory(pid) for pid in stats)
    return Usage(sum(stat.cpu_seconds for stat in stats.values()), memory, len(stats))


def _memory_of(pid: int) -> dict[str, int]:
    """Bytes by name, from ``/proc/PID/status``, which every process lets everybody read."""
    try:
        lines = (
            Path(f"/proc/{pid}/status").read_text(errors="replace").split("\n")
        )  # a name may hold other ends of lines
    except OSError:
        return {}
    told = {name: int(value.split()[0]) for name, value in (line.split(":\t", 1) for line in lines if _is_asked(line))}
    slots = told.pop("FDSize", 0)
    watches = (slots // 2) ** 2 * WATCH_BYTES  # at most: half of the descriptors watch the other half
    return {**{name: size * 1024 for name, size in told.items()}, "watches": watches}


def _is_asked(line: str) -> bool:
    return line.partition(":")[0] in _STATUS


def _memory(pid: int) -> int:
    return sum(_memory_of(pid).values())


def _shared_memory(pid: int) -> int:
    """Bytes of a process, its share of shared pages; all of it if it does not let us look."""
    found = _memory_of(pid)
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return sum(found.values())
    share = (int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    found["VmRSS"] = next(share, found.get("VmRSS", 0))
    return sum(found.values())


@functools.cache
def _is_in_memory(path: str, device: int) -> bool:
    """Whether a file system with this device number is a tmpfs. A platform may give a container a disk there."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        words = line.split(" ")
        if words[2] == wanted:
            return words[words.index("-") + 1] == "tmpfs"
    return True  # of another mount namespace, looked at from outside: a sandbox's


def file_memory(folders: Iterable[str] = SCRATCH) -> int:
    """Bytes of the file systems in memory at these places, whatever became of the names in them."""
    total = 0
    for path in folders:
        if not _is_in_memory(path, Path(path).stat().st_dev):
            continue
        state = os.statvfs(path)
        total += (state.f_blocks - state.f_bfree) * state.f_frsize + (state.f_files - state.f_ffree) * INODE_BYTES
    return total


def socket_memory(process: str = "self") -> int:
    """What the Unix sockets of a process's network namespace may hold, those that are on their way included."""
    with Path(f"/proc/{process}/net/unix").open("rb") as lines:
        return SOCKET_BYTES * max(0, sum(1 for _ in lines) - 1)


def lock_memory(root: str = "") -> int:
    """Of the record locks of all processes that the file system at ``/proc`` shows; of too many, more than there is.

    Reading on would take the square of their number.
    """
    with Path(f"{root}/proc/locks").open("rb") as lines:
        count = sum(1 for _ in itertools.islice(lines, MAX_LOCKS + 1))
    return LOCK_BYTES * count if count <= MAX_LOCKS else 1 << 62


def terminal_memory(root: str = "") -> int:
    """Of the container's own pseudo-terminals."""
    return TERMINAL_BYTES * max(0, len(os.listdir(f"{root}/dev/pts")) - 1)  # noqa: PTH208 - one of them is ``ptmx``


KILLS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def out_of_memory_kills(files: Iterable[str] = KILLS) -> int:
    """How often the kernel ended a process of this container's control group for want of memory; 0 if it shows none.

    Source: Linux ``Documentation/admin-guide/cgroup-v2.rst`` (``memory.events``), ``cgroup-v1/memory.rst``.
    """
    for path in files:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


def beside(process: str = "self") -> int:
    """Bytes that a container has the kernel hold for it and that are in no process.

    Args:
        process: of the container; its root is the container's, and its network namespace.

    Raises:
        OSError: it has ended.
    """
    root = "" if process == "self" else f"/proc/{process}/root"
    files = file_memory(f"{root}{path}" for path in SCRATCH)
    return files + socket_memory(process) + lock_memory(root) + terminal_memory(root)


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

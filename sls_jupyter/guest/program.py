"""The program container: a supervisor and, below it, an ordinary ipykernel that runs the cell.

Everything in here is hostile once the cell runs. Containment is the sandbox (no network, no keys, no
other container's files); this supervisor only measures and, when a limit is crossed, says which one
and ends the container. A cell that kills its supervisor ends the container as well.

Limits are enforced by looking every 50 ms at all processes of the container and at the memory that its
files take, and in the kernel's own process by ``setrlimit``, so that one large allocation is a MemoryError
and not a dead container. A cell could stop its supervisor; the output ends a run whose supervisor is silent.

What is *not* counted: the kernel's own memory for pipes and sockets, which a control group would count.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.contract.places import FEED, RESULT
from sls_jupyter.guest import wire

POLL_SECONDS = 0.05
ALIVE_SECONDS = 1.0  # between two signs of life
THREADS = 256  # beside the processes, of numeric libraries; the kernel counts both together
SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108  # file systems in memory that are this container's alone
SHARED = (FEED, RESULT)
ALLOCATION_SLACK_BYTES = 512 * 2**20  # private writable memory that the interpreter and its libraries reserve
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    cpu_seconds: int
    wall_seconds: int
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes below the supervisor use at one moment."""

    cpu_seconds: float
    memory_bytes: int
    processes: int


def _descendants(root: int) -> dict[int, list[str]]:
    """``/proc/PID/stat`` of ``root`` and every process below it, by number, split after the command's name."""
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # it ended while we looked
        stats[int(path.parent.name)] = text.rpartition(")")[2].split()
    family = {root}
    while True:
        more = {pid for pid, stat in stats.items() if int(stat[1]) in family} - family
        if not more:
            return {pid: stats[pid] for pid in family if pid in stats}
        family |= more


def measure(root: int, limits: ProgramLimits, *, everything: bool) -> Usage:
    """Usage of the processes below ``root``; of all visible ones when the PID namespace is ours alone.

    Args:
        limits: only when there is too much memory, and not too many processes, are shared pages told apart.
    """
    stats = _descendants(1 if everything else root)
    cpu = sum(int(stat[11]) + int(stat[12]) + int(stat[13]) + int(stat[14]) for stat in stats.values()) / _TICKS
    files = file_memory() if everything else 0
    memory = sum(int(stat[21]) * _PAGE for stat in stats.values())
    if memory + files > limits.memory_bytes and len(stats) <= limits.processes:
        memory = sum(_own_memory(pid, int(stat[21]) * _PAGE) for pid, stat in stats.items())
    return Usage(cpu, memory + files, len(stats))


def _own_memory(pid: int, resident: int) -> int:
    """Bytes of a process, its share of shared pages; ``resident`` if it does not let us look."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return resident


def file_memory() -> int:
    """Bytes of files in memory and of System V segments, which belong to no process.

    A file that is removed but open counts in scratch space; in the folders shared with neighbours it does not.
    """
    total = 0
    for path in SCRATCH:
        state = os.statvfs(path)
        total += (state.f_blocks - state.f_bfree) * state.f_frsize
    for path in SHARED:
        total += _visible(path)
    segments = Path("/proc/sysvipc/shm")
    lines = segments.read_text().splitlines()[1:] if segments.exists() else []
    return total + sum(int(line.split()[14]) for line in lines)


def _visible(folder: str) -> int:
    """What the files below a folder take, and a page for each name."""
    total = 0
    for root, folders, names in os.walk(folder):
        total += _PAGE * (len(folders) + len(names))
        for name in names:
            try:
                total += os.lstat(f"{root}/{name}").st_blocks * 512
            except OSError:
                continue  # it was removed while we looked
    return total


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


def _limit_kernel(limits: ProgramLimits) -> None:
    """In the kernel's process, before its first line of Python."""
    data = limits.memory_bytes + ALLOCATION_SLACK_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds + 1, limits.cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.memory_bytes, limits.memory_bytes))
    tasks = limits.processes + THREADS
    resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))


def _say_alive(file: wire.ByteFile) -> None:
    try:
        wire.send(file, {"alive": True})
    except OSError:
        return  # the output is busy and gets it with the next one, or is gone, which the connection tells


def supervise(kernel: subprocess.Popen[bytes], limits: ProgramLimits) -> dict[str, object]:
    """Wait until the kernel ends or a limit is crossed; says which in one message for the output."""
    connection = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}")
    file = connection.makefile("rwb")
    wire.send(file, {"from": "supervisor"})
    connection.setblocking(False)
    start, everything = time.monotonic(), os.getppid() == 1
    told = start
    while kernel.poll() is None:
        if time.monotonic() - told > ALIVE_SECONDS:
            told = time.monotonic()
            _say_alive(file)
        limit = crossed(measure(os.getpid(), limits, everything=everything), limits, time.monotonic() - start)
        if limit is not None:
            kernel.send_signal(signal.SIGSTOP)
            message: dict[str, object] = {"limit": limit[0], "allowed": limit[1]}
            break
        try:
            if connection.recv(1) == b"":
                message = {"ended": "output"}
                break
        except BlockingIOError:
            time.sleep(POLL_SECONDS)
    else:
        message = {"ended": kernel.returncode}
    connection.setblocking(True)
    try:
        wire.send(file, message)
    except OSError:
        message["unreported"] = True
    return message


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    for name in ("cpu-seconds", "wall-seconds", "memory-bytes", "processes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = vars(parser.parse_args())
    options.pop("spec")
    limits = ProgramLimits(**options)
    kernel = subprocess.Popen(
        [sys.executable, "-I", "-m", "sls_jupyter.guest.kernel"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # where the scheduler shares between sessions, the supervisor keeps its half
        preexec_fn=lambda: _limit_kernel(limits),
    )
    supervise(kernel, limits)
    kernel.kill()
    return 0


if __name__ == "__main__":
    main()
    os._exit(0)  # the container's namespace ends with us, and every process in it

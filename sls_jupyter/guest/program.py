"""The program container: a supervisor and, below it, an ordinary ipykernel that runs the cell.

Everything in here is hostile once the cell runs. Containment is the sandbox (no network, no keys, no
other container's files, nothing to write but scratch space); this supervisor only measures and, when a limit
is crossed, says which one and ends the container. A cell that kills its supervisor ends the container as well.

Limits are enforced by looking every 50 ms at all processes of the container and at the memory that its
files and sockets take, and in the kernel's own process by ``setrlimit``, so that one large allocation is a
MemoryError and not a dead container. A cell can stop its supervisor, not write to it: the output ends a run
whose supervisor is silent, and a host watches from outside (:mod:`sls_jupyter.hosts.watch`, or a control group).

CPU time counts for every process that was: the profile leaves SIGCHLD alone, so a child's time goes to the
process that waits for it, and a child without a parent is waited for by process 1: a sandbox's own, or this one.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

from sls_jupyter.contract.places import RESULT
from sls_jupyter.contract.usage import (
    ProgramLimits,
    Usage,
    below,
    beside,
    crossed,
    out_of_memory_kills,
    usage,
    visible,
)
from sls_jupyter.guest import wire

POLL_SECONDS = 0.05
ALIVE_SECONDS = 1.0  # between two signs of life
THREADS = 256  # beside the processes, of numeric libraries; the kernel counts both together
ALLOCATION_SLACK_BYTES = 512 * 2**20  # private writable memory that the interpreter and its libraries reserve
ADDRESS_SPACE_BYTES = 256 * 2**30  # what is reserved and never used costs page tables
QUEUED_SIGNALS = 1024
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SUBREAPER = 1, 4, 36  # prctl(2)


def _control(option: int, value: int) -> None:
    """prctl(2); there is none but on Linux."""
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def measure(root: int, limits: ProgramLimits, *, everything: bool) -> Usage:
    """Usage of the processes below ``root``; of all visible ones when the namespaces are ours alone."""
    if everything:
        return usage(visible(), limits, beside=beside())
    return usage(below(root, visible()), limits)


def _reap(kernel: int) -> None:
    """Where nobody else does, wait for orphans of the program, so that their time counts."""
    for pid, stat in below(os.getpid(), visible()).items():
        if stat.parent == os.getpid() and stat.state == "Z" and pid != kernel:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


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
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (QUEUED_SIGNALS, QUEUED_SIGNALS))
    _control(_SET_DEATH_SIGNAL, int(signal.SIGKILL))


def _say_alive(file: wire.ByteFile) -> None:
    try:
        wire.send(file, {"alive": True})
    except OSError:
        return  # the output is busy and gets it with the next one, or is gone, which the connection tells


def supervise(kernel: subprocess.Popen[bytes], limits: ProgramLimits) -> dict[str, object]:
    """Wait until the kernel ends or a limit is crossed; says which in one message for the output."""
    connection = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}", "program", "output")
    file = connection.makefile("rwb")
    wire.send(file, {"from": "supervisor"})
    connection.setblocking(False)
    start, everything, killed = time.monotonic(), 1 in (os.getpid(), os.getppid()), out_of_memory_kills()
    told = start
    while kernel.poll() is None:
        if time.monotonic() - told > ALIVE_SECONDS:
            told = time.monotonic()
            _say_alive(file)
        if os.getppid() != 1:
            _reap(kernel.pid)
        limit = crossed(measure(os.getpid(), limits, everything=everything), limits, time.monotonic() - start)
        if limit is not None:  # looked at again: a process that ends while we look can be counted twice
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
        if kernel.returncode == -signal.SIGKILL and out_of_memory_kills() > killed:
            message = {"limit": "memory", "allowed": limits.memory_bytes}  # the control group was faster than this look
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
    _control(_SET_DUMPABLE, 0)  # nobody below may read or write this process
    if os.getppid() != 1:  # else process 1 of the sandbox waits for orphans; this one may be process 1 itself
        _control(_SET_SUBREAPER, 1)
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

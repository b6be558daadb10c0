"""The first moments of a container that has no sandbox: tie its life to the host's, then become the command.

Run by path, in isolated mode and without site packages; it imports nothing of this package. Usage:
``python -I -S entry.py PARENT BPF COMMAND…``, where PARENT is the process that must be alive and BPF a
descriptor with a seccomp program, or -1.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES, _MODE_FILTER = 1, 22, 36, 38, 2  # prctl(2)
INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _control(option: int, *values: object) -> None:
    """prctl(2); ends the process when the kernel refuses."""
    library = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in (*values, 0, 0, 0, 0)[:4]]
    if library.prctl(option, *padded) != 0:
        sys.exit(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Get a signal when the thread that started this process ends; exit at once if it is gone already."""
    if sys.platform.startswith("linux"):
        _control(_SET_DEATH_SIGNAL, int(number))
    if os.getppid() != parent:
        sys.exit("the host is gone")


def be_a_reaper() -> None:
    """Become the parent of every orphan below this process."""
    if sys.platform.startswith("linux"):
        _control(_SET_SUBREAPER, 1)


def refuse_calls(descriptor: int) -> None:
    """Apply a seccomp program to this process and all that follow from it."""
    with os.fdopen(descriptor, "rb") as file:
        code = file.read()
    program = _Program(len(code) // INSTRUCTION_BYTES, code)
    _control(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program))


def main(arguments: list[str]) -> None:
    parent, bpf, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the program's memory
    os.umask(0o077)
    if sys.platform.startswith("linux"):
        die_with(parent)
        _control(_SET_NO_NEW_PRIVILEGES, 1)
        if bpf >= 0:
            refuse_calls(bpf)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])

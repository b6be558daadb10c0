"""What counts as used, and in which order limits are named: the same inside the program's container and outside."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sls_jupyter.contract import usage
from sls_jupyter.contract.usage import ProgramLimits, Usage, below, crossed, visible, walk

LIMITS = ProgramLimits(cpu_seconds=10, wall_seconds=20, memory_bytes=1000, processes=3)
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this needs Linux")


@pytest.mark.parametrize(
    ("used", "elapsed", "found"),
    [
        (Usage(10, 1000, 3), 20, None),
        (Usage(0, 0, 4), 0, ("processes", 3)),
        (Usage(0, 1001, 0), 0, ("memory", 1000)),
        (Usage(10.1, 0, 0), 0, ("cpu", 10)),
        (Usage(0, 0, 0), 20.1, ("time", 20)),
        (Usage(11, 1001, 4), 21, ("processes", 3)),
    ],
)
def test_a_limit_is_crossed_above_it_and_named(used: Usage, elapsed: float, found: object) -> None:
    """What a user asked for is what a user may use, to the last byte."""
    assert crossed(used, LIMITS, elapsed) == found


@needs_linux
def test_children_and_the_pages_they_share_are_counted_once() -> None:
    """Workers that share a table must not each be charged for it."""
    code = (
        "import os, sys\ndata = bytearray(b'x') * (64 << 20)\n"
        "pids = [os.fork() for _ in range(2)]\nprint(len(pids), flush=True)\nsys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(4):
        child.stdout.readline()
    found = below(child.pid, visible())
    whole = usage.usage(found, replace(LIMITS, memory_bytes=1 << 40))
    shared = usage.usage(found, replace(LIMITS, processes=9))
    assert walk(child.pid).keys() == found.keys()
    child.communicate()
    assert whole.processes == shared.processes == 4
    assert whole.memory_bytes > 4 * 64 * 2**20
    assert 64 * 2**20 < shared.memory_bytes < 2 * 64 * 2**20


@needs_linux
def test_the_name_of_a_process_is_not_read_as_what_it_uses() -> None:
    """A cell that calls itself a line of the kernel's list would end its supervisor and its keeper."""
    code = "open('/proc/self/comm', 'w').write('a\\x0cVmRSS:\\tx')\nprint(1, flush=True)\nimport sys; sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    found = usage.usage(below(child.pid, visible()), LIMITS)
    child.communicate()
    assert found.memory_bytes > 1 << 20


@needs_linux
def test_files_that_were_removed_and_empty_ones_are_counted() -> None:
    """Memory that hides behind names that are gone, or in names alone, is memory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no file system in memory")
    before = usage.file_memory(["/dev/shm"])
    folder = Path(f"/dev/shm/usage-{os.getpid()}")
    folder.mkdir()
    with (folder / "big").open("wb") as file:
        (folder / "big").unlink()
        file.write(bytes(1 << 22))
        file.flush()
        for number in range(1000):
            (folder / str(number)).touch()
        after = usage.file_memory(["/dev/shm"])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert after - before >= (1 << 22) + 900 * usage.INODE_BYTES


@needs_linux
def test_sockets_are_counted_that_nobody_reads() -> None:
    """What lies unread in a socket is the kernel's memory, and in no process."""
    before = usage.socket_memory()
    pairs = [socket.socketpair() for _ in range(100)]
    after = usage.socket_memory()
    for pair in pairs:
        for one in pair:
            one.close()
    assert after - before >= 150 * usage.SOCKET_BYTES  # others may close theirs meanwhile


@needs_linux
def test_page_tables_are_counted() -> None:
    """A page that is only read costs a table of pages each two megabytes, and nothing that is resident."""
    code = (
        "import mmap, sys\nm = mmap.mmap(-1, 32 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)\n"
        "s = sum(m[i] for i in range(0, 32 << 30, 2 << 20))\nprint(s, flush=True)\nsys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    found = usage.usage(below(child.pid, visible()), replace(LIMITS, memory_bytes=1 << 40))
    child.communicate()
    assert found.memory_bytes > (16 << 10) * 4096


@needs_linux
def test_what_the_kernel_holds_for_locks_terminals_and_watches_is_counted(tmp_path: Path) -> None:
    """Each is a way to have memory that stands in no process."""
    before = usage.lock_memory()
    with (tmp_path / "locked").open("w") as file:
        for place in range(500):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * place)
        assert usage.lock_memory() - before >= 400 * usage.LOCK_BYTES  # others may give theirs back meanwhile
    folder = tmp_path / "dev" / "pts"
    folder.mkdir(parents=True)
    for name in ("ptmx", "0", "1"):
        (folder / name).touch()
    assert usage.terminal_memory(str(tmp_path)) == 2 * usage.TERMINAL_BYTES
    code = "import os, sys\nheld = [os.dup(0) for _ in range(600)]\nprint(1, flush=True)\nsys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    found = usage.usage(walk(child.pid), replace(LIMITS, memory_bytes=1 << 40))
    child.communicate()
    assert found.memory_bytes > 300**2 * usage.WATCH_BYTES


@needs_linux
def test_processes_that_come_and_go_are_no_error() -> None:
    """A keeper that fails while it looks ends an honest run, and lets a hostile one go on."""
    code = (
        "import os, threading, time\nend = time.monotonic() + 4\n"
        "while time.monotonic() < end:\n    child = os.fork()\n"
        "    if child == 0: threading.Thread(target=int).start(); os._exit(0)\n    os.waitpid(child, 0)"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    while child.poll() is None:
        assert os.getpid() in walk(os.getpid())


@needs_linux
def test_a_process_that_ends_while_it_is_looked_at_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is listed, and is gone before it is read."""
    for error in (FileNotFoundError, ProcessLookupError):

        def gone(_: str, error: type[OSError] = error) -> list[str]:
            raise error

        monkeypatch.setattr(usage.os, "listdir", gone)
        assert walk(os.getpid()).keys() == {os.getpid()}


def test_a_process_that_ended_uses_nothing() -> None:
    """Processes end while they are looked at."""
    assert usage.Stat.read(2**22 + 1) is None
    assert usage.usage({}, LIMITS) == Usage(0, 0, 0)

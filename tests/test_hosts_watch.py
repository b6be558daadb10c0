"""The keeper of a program's container: it holds where the supervisor inside was put out of action."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest
from host_contract import group_of, settle, told

from sls_jupyter.contract import cce
from sls_jupyter.contract.spec import Limits
from sls_jupyter.contract.usage import ProgramLimits, Stat
from sls_jupyter.hosts import probing, watch
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.hosts.running import LocalGroup

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this needs Linux")
needs_sandbox = pytest.mark.skipif(probing.find_bubblewrap()[0] is None, reason=probing.find_bubblewrap()[1])
BOTH = pytest.mark.parametrize("sandbox", [pytest.param(True, marks=needs_sandbox), False])
LIMITS = Limits(cpu_seconds=60, wall_seconds=60, memory_bytes=256 << 20, processes=32)
SECONDS = 60.0

# The first process stands for the supervisor; what it forks stands for the program.
PROGRAM = """
import signal
child = os.fork()
if child:
    tell(program=child)
    while True: signal.pause()
time.sleep(0.5)
"""


def kept(tmp_path: Path, sandbox: bool, code: str, limits: Limits = LIMITS) -> LocalGroup:
    group = group_of(program=PROGRAM + code)
    program = dataclasses.replace(group.container("program"), limits=limits)
    others = tuple(one for one in group.containers if one.name != "program")
    group = dataclasses.replace(group, containers=(*others, program))
    host = LocalHost(tmp_path / "machine", sandbox=sandbox, keep_program_log=True)
    return host.launch(group, cce.render(group))


def ended(group: LocalGroup) -> bool:
    try:
        settle(group, "program", SECONDS)
        return not group.states()["program"].running
    finally:
        group.stop()


MEMORY = "os.kill(os.getppid(), signal.SIGSTOP)\ndata = bytearray(b'x') * (600 << 20)\ntime.sleep(600)"
NAMED = (
    "open('/proc/self/comm', 'w').write('bwrap')\nos.kill(os.getppid(), signal.SIGSTOP)\n"
    "for _ in range(40):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)"
)
REMOVED = """
os.kill(os.getppid(), signal.SIGSTOP)
for folder in ("/tmp", "/dev/shm"):
    file = open(folder + "/x", "wb", 0); os.unlink(folder + "/x"); globals()[folder] = file
    try:
        while True: file.write(bytes(1 << 20))
    except OSError: pass
data = bytearray(b"x") * (64 << 20)
time.sleep(600)
"""
FEW = LIMITS.model_copy(update={"processes": 4})
SILENT = [
    (MEMORY, True, LIMITS),
    (MEMORY, False, LIMITS),
    (NAMED, True, FEW),
    (NAMED, False, FEW),
    (REMOVED, True, LIMITS),
]


Silent = dict[tuple[str, bool], LocalGroup]  # by code, and whether in a sandbox


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silent]:
    """Groups whose stand-in for a supervisor never says a word: the keeper waits for it, so they run side by side."""
    possible = probing.find_bubblewrap()[0] is not None
    groups = {
        (code, sandbox): kept(tmp_path_factory.mktemp("kept"), sandbox, code, limits)
        for code, sandbox, limits in SILENT
        if possible or not sandbox
    }
    yield groups
    for group in groups.values():
        group.stop()


@needs_linux
@BOTH
def test_memory_has_an_end_behind_a_stopped_supervisor(silent: Silent, sandbox: bool) -> None:
    """A cell that stops its supervisor would hold what it likes."""
    assert ended(silent[MEMORY, sandbox])


@needs_linux
@BOTH
def test_a_cell_under_another_name_is_not_spared(silent: Silent, sandbox: bool) -> None:
    """The keeper knows its own by where they are, not by what they call themselves."""
    assert ended(silent[NAMED, sandbox])


@needs_linux
@needs_sandbox
def test_files_that_were_removed_count_outside_too(silent: Silent) -> None:
    """What the sandbox's file systems hold is seen from outside, whatever became of its names."""
    assert ended(silent[REMOVED, True])


@needs_linux
@BOTH
def test_a_stopped_supervisor_is_woken(tmp_path: Path, sandbox: bool) -> None:
    """While no limit is crossed, a supervisor has its word."""
    code = """
parent = os.getppid()
os.kill(parent, signal.SIGSTOP)
while open(f"/proc/{parent}/stat").read().rpartition(")")[2].split()[0] != "S": time.sleep(0.01)
os.kill(parent, signal.SIGTERM)
time.sleep(600)
"""
    assert ended(kept(tmp_path, sandbox, code))


@needs_linux
def test_what_left_the_session_ends_with_the_group(tmp_path: Path) -> None:
    """Without a namespace a daemon of the cell would go on after the run."""
    code = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(600)
os._exit(0)
"""
    group = kept(tmp_path, False, "tell(pid=os.getpid())" + code)
    told(group, "program")
    assert ended_processes(group)


def ended_processes(group: LocalGroup) -> bool:
    """Stop a group; whether its keeper left no process that had a file of the group's folder open."""
    root = str(group._remains.folder.path)
    group.stop()
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if root.encode() in path.read_bytes():
                left.append(path)
        except OSError:
            continue
    return left == []


@needs_linux
def test_a_killed_host_leaves_no_daemon_of_its_cell(tmp_path: Path) -> None:
    """Without a namespace only the keeper knows what the cell started, so it outlives its host for that moment."""
    told = tmp_path / "told"
    cell = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        open({str(told)!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\ntime.sleep(600)"
    )
    host = (
        "import os, subprocess, sys, time\n"
        "head = [sys.executable, '-I', '-m', 'sls_jupyter.hosts.watch', str(os.getpid()), '60', '60', str(1 << 40), '99']\n"
        f"subprocess.Popen([*head, sys.executable, '-c', {cell!r}])\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", host])
    while not (told.exists() and told.read_text()):
        time.sleep(0.02)
    process.kill()
    process.wait()
    deadline = time.monotonic() + SECONDS
    while (stat := Stat.read(int(told.read_text()))) is not None and stat.state != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_limits_outside_are_wider() -> None:
    """An honest supervisor speaks first, so that its user learns which limit it was."""
    inside = ProgramLimits(1, 2, 3, 4)
    outside = watch.wider(inside)
    assert all(
        getattr(outside, name) > getattr(inside, name)
        for name in ("cpu_seconds", "wall_seconds", "memory_bytes", "processes")
    )


def test_an_exit_code_comes_through(tmp_path: Path) -> None:
    """The manager can tell a crash from an end, with a keeper between."""
    limits = ProgramLimits(60, 60, 1 << 40, 99)
    assert watch_code("import sys; sys.exit(3)", limits) == 3
    assert watch_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", limits) == 128 + 9


def watch_code(code: str, limits: ProgramLimits) -> int:
    values = (limits.cpu_seconds, limits.wall_seconds, limits.memory_bytes, limits.processes)
    head = [sys.executable, "-I", "-m", "sls_jupyter.hosts.watch", str(os.getpid()), *map(str, values)]
    return subprocess.run([*head, sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({2: "bwrap", 3: "setpriv", 4: "prlimit"}, None),
        ({2: "bwrap", 3: ""}, None),  # a helper of the sandbox that ended meanwhile: taking it would end an honest run
        ({2: "bwrap", 3: "", 4: "python3"}, (4, 40)),
    ],
)
def test_the_supervisor_is_the_first_process_that_is_there_and_no_part_of_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, names: dict[int, str], found: tuple[int, int] | None
) -> None:
    """What is taken for the supervisor once is missed when it ends, and the program is ended with it."""
    monkeypatch.setattr(watch, "_name", names.__getitem__)
    process = cast("subprocess.Popen[bytes]", None)  # not looked at here
    keeper = watch.Keeper(process, ProgramLimits(1, 1, 1, 1), started=0.0, sandboxed=True)
    assert keeper._first({pid: Stat("R", 1, 0.0, 10 * pid) for pid in names}) == found


def test_what_a_supervisor_left_is_ended_and_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that is stopped cannot end: a run that is over would go on for ten seconds."""
    left, sent = {8: Stat("S", 1, 0.0, 1)}, []

    def send(pids: Iterable[int], number: signal.Signals) -> None:
        sent.extend((pid, number) for pid in pids)
        left.clear()

    monkeypatch.setattr(watch, "_family", lambda: dict(left))
    monkeypatch.setattr(watch, "_signal", send)
    monkeypatch.setattr(watch, "LEFT_SECONDS", 0.01)
    with subprocess.Popen(["sleep", "60"]) as process:
        keeper = watch.Keeper(process, ProgramLimits(1, 1, 1, 1), 0.0, sandboxed=True, supervisor=(9, 1))
        keeper.close()
        process.kill()
    assert sent == [(8, signal.SIGKILL)]


def test_a_look_that_fails_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of /proc that cannot be read once, on a machine without memory, would end an honest run without a word."""
    looks: list[int] = []

    def look(_: watch.Keeper) -> None:
        looks.append(1)
        if len(looks) < 4:
            raise PermissionError

    monkeypatch.setattr(watch.Keeper, "look", look)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watch.os, "closerange", lambda *_: None)
    monkeypatch.setattr(watch, "end_all", lambda: None)
    limits = ProgramLimits(cpu_seconds=60, wall_seconds=60, memory_bytes=1 << 30, processes=9)
    command = [sys.executable, "-I", "-c", "import time; time.sleep(0.5); raise SystemExit(7)"]
    assert watch.keep(command, limits) == 7
    assert len(looks) >= 4


def test_a_supervisor_that_the_kernel_leaves_out_of_a_list_is_not_gone() -> None:
    """The list of children may miss one while others end; taking that for its end would kill the run."""
    with subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE) as child:
        stat = Stat.read(child.pid)
        assert stat is not None
        limits = ProgramLimits(cpu_seconds=60, wall_seconds=60, memory_bytes=1 << 30, processes=9)
        keeper = watch.Keeper(child, limits, time.monotonic(), sandboxed=False, supervisor=(child.pid, stat.started))
        assert keeper._speaker({}) == (child.pid,)
        child.communicate(b"\n")
        assert keeper._speaker({}) == ()

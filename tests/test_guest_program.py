"""The supervisor: what it keeps from the processes below it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sls_jupyter.contract.usage import ProgramLimits
from sls_jupyter.guest.program import measure

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this needs Linux")
SETUP = (
    "import os, signal, sys, time\nfrom sls_jupyter.guest import program\n"
    "from sls_jupyter.contract.usage import ProgramLimits\n"
    "limits = ProgramLimits(cpu_seconds=60, wall_seconds=60, memory_bytes=1 << 40, processes=99)\n"
)


def answer(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_linux
def test_the_time_of_orphans_counts_without_a_namespace() -> None:
    """A cell could otherwise hand its work to a grandchild that is nobody's."""
    code = """
program._control(program._SET_SUBREAPER, 1)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        end = time.process_time() + 0.3
        while time.process_time() < end: pass
    os._exit(0)
end = time.monotonic() + 30
while time.monotonic() < end:
    program._reap(-1)
    used = program.measure(os.getpid(), limits, everything=False)
    if used.cpu_seconds - time.process_time() > 0.2 and used.processes == 1:
        break
print(used.processes, used.cpu_seconds - time.process_time() > 0.2)
"""
    assert answer(code) == "1 True"


@needs_linux
def test_nobody_below_may_look_into_the_supervisor() -> None:
    """A cell that could write its supervisor's memory would be its own supervisor."""
    if os.geteuid() == 0:
        pytest.skip("root may look into everything; test_promises_hostile does this in the sandbox")
    code = """
program._control(program._SET_DUMPABLE, 0)
try:
    open(f"/proc/{os.getpid()}/mem", "r+b")
except PermissionError:
    print("refused")
"""
    assert answer(code) == "refused"


@needs_linux
def test_its_own_processes_are_measured() -> None:
    """The limits are on what the program uses, be it one process or many."""
    limits = ProgramLimits(cpu_seconds=1, wall_seconds=1, memory_bytes=1 << 40, processes=1)
    found = measure(os.getpid(), limits, everything=False)
    assert found.processes >= 1
    assert found.memory_bytes > 1 << 20

"""The supervisor: what it counts, and in which order it names limits."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sls_jupyter.guest import program
from sls_jupyter.guest.program import ProgramLimits, Usage, crossed, measure

LIMITS = ProgramLimits(cpu_seconds=10, wall_seconds=20, memory_bytes=1000, processes=3)


@pytest.mark.parametrize(
    ("usage", "elapsed", "found"),
    [
        (Usage(10, 1000, 3), 20, None),
        (Usage(0, 0, 4), 0, ("processes", 3)),
        (Usage(0, 1001, 0), 0, ("memory", 1000)),
        (Usage(10.1, 0, 0), 0, ("cpu", 10)),
        (Usage(0, 0, 0), 20.1, ("time", 20)),
        (Usage(11, 1001, 4), 21, ("processes", 3)),
    ],
)
def test_a_limit_is_crossed_above_it_and_named(usage: Usage, elapsed: float, found: object) -> None:
    """What a user asked for is what a user may use, to the last byte."""
    assert crossed(usage, LIMITS, elapsed) == found


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
    whole = measure(child.pid, replace(LIMITS, memory_bytes=1 << 40), everything=False)
    shared = measure(child.pid, replace(LIMITS, processes=9), everything=False)
    child.communicate()
    assert whole.processes == shared.processes == 4
    assert whole.memory_bytes > 4 * 64 * 2**20
    assert 64 * 2**20 < shared.memory_bytes < 2 * 64 * 2**20


def test_files_in_memory_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that hides in files is memory."""
    (tmp_path / "f").mkdir()
    monkeypatch.setattr(program, "SCRATCH", ())
    monkeypatch.setattr(program, "SHARED", (str(tmp_path),))
    before = program.file_memory()
    (tmp_path / "f" / "big").write_bytes(os.urandom(1 << 20))
    assert program.file_memory() - before >= 1 << 20

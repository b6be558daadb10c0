"""An authority that is killed again and again keeps every promise that it made; ``benchmarks/crash.py`` is the long run."""

from __future__ import annotations

import importlib.util
import sys
from itertools import cycle
from pathlib import Path

import pytest

from sls_jupyter.errors import LogInconsistent

FILE = Path(__file__).parent.parent / "benchmarks" / "crash.py"


def crash_module():
    spec = importlib.util.spec_from_file_location("sls_crash", FILE)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ten_kills_lose_nothing(tmp_path):
    """Whoever was told that something is in the log would miss it after a crash, or see a log that forked."""
    crash = crash_module().Crash(tmp_path)
    crash.run(10, cycle([0.05, 0.1, 0.02, 0.15]))
    assert len(crash.acknowledged) >= 5
    assert len(crash.entries) >= len(crash.acknowledged)

    asset, index = crash.acknowledged[-1]
    crash.acknowledged.append((asset, index - 1))  # the checks would find it
    with pytest.raises(AssertionError), crash.nursery(), crash.serving():
        crash.check()
    crash.acknowledged.pop()
    crash.entries = (*crash.entries[:-1], b"another")
    with pytest.raises(LogInconsistent, match="was changed"), crash.nursery(), crash.serving():
        crash.check()

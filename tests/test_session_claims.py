"""Who drives a run: one process, told by a lock, and one launch of one contract for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sls_jupyter.errors import BadInput
from sls_jupyter.session.claims import Claim, driver_of, fate, is_driven


def test_one_process_drives_a_run(tmp_path: Path) -> None:
    """Two agents, or an agent and a kernel, would both launch it."""
    claim = Claim.take(tmp_path, "agent")
    assert is_driven(tmp_path)
    with pytest.raises(BadInput, match="goes on already"):
        Claim.take(tmp_path, "kernel")
    assert fate(tmp_path, {}) == "running"
    claim.release()
    assert not is_driven(tmp_path)
    assert fate(tmp_path, {}) == "lost: its agent ended"
    assert fate(tmp_path, {"state": "done"}) == "done"


def test_a_contract_is_launched_once(tmp_path: Path) -> None:
    """Also by a process that comes later."""
    claim = Claim.take(tmp_path, "agent")
    claim.launched()
    with pytest.raises(BadInput, match="launched already"):
        claim.launched()
    claim.release()
    with pytest.raises(BadInput, match="one contract is one run"):
        Claim.take(tmp_path, "agent")
    assert not is_driven(tmp_path)


def test_a_process_that_is_killed_drives_nothing_any_more(tmp_path: Path) -> None:
    """The lock is the system's: no note is left that would say otherwise."""
    code = (
        "import sys, time; from pathlib import Path; from sls_jupyter.session.claims import Claim;"
        "claim = Claim.take(Path(sys.argv[1]), 'kernel'); print('taken', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        assert is_driven(tmp_path)
        os.kill(process.pid, 9)
    assert not is_driven(tmp_path)
    assert (driver_of(tmp_path), fate(tmp_path, {})) == ("kernel", "lost: its kernel ended")


def test_a_run_of_an_earlier_version_has_no_lock(tmp_path: Path) -> None:
    """It is not called lost: nobody knows."""
    assert not is_driven(tmp_path)
    assert fate(tmp_path, {}).startswith("unknown")
    assert list(tmp_path.iterdir()) == []

"""Whole runs and their receipts: also a run that was stopped has one, it needs nobody to be checked, and none hides a key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e import World, container, finish, needs_sandbox, running, until, world

import sls_jupyter
from sls_jupyter.errors import LimitExceeded, RunCancelled, Unavailable, UnknownName
from sls_jupyter.notebook.status import summary_line
from sls_jupyter.receipt.verdict import VerifiedReceipt
from sls_jupyter.safestream import manager
from sls_jupyter.safestream.run import Run

__all__ = ["world"]
pytestmark = needs_sandbox
SLEEP = "print('before')\nimport time\ntime.sleep(60)"

OFFLINE = """
import json, socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket.connect = refuse
import pytest

import sls_jupyter
verdict = sls_jupyter.verify(sys.argv[1], accept_simulated=sys.argv[2] == "yes")
print(json.dumps([verdict.accepted, verdict.word, [check.name for check in verdict.failed]]))
"""


def offline(path: Path, folder: Path, *, accept: bool) -> list[object]:
    """The verdict of a process that has a home of its own, which it must not touch, and no network."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "SLS_HOME": str(folder / "home")}
    command = [sys.executable, "-c", OFFLINE, str(path), "yes" if accept else "no"]
    done = subprocess.run(command, capture_output=True, env=environ, cwd=folder, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert not (folder / "home").exists()
    return list(json.loads(done.stdout))


def test_a_finished_run_has_a_receipt_that_verifies_anywhere(world: World, tmp_path: Path) -> None:
    """One file, no account, no network; without a word it is refused, because nothing but software signed it."""
    ended = world.do("x = free.groupby('sex').age.mean().reset_index()", outputs=["x"])
    run = ended.run
    assert run.receipt is not None
    path = run.receipt.save(tmp_path / "receipt.json")
    assert offline(path, tmp_path, accept=True) == [True, "ACCEPTED, SIMULATED", []]
    accepted, word, failed = offline(path, tmp_path, accept=False)
    assert (accepted, word, failed) == (False, "REFUSED, SIMULATED", ["tee", "evidence"])
    assert f"receipt {run.receipt.id[:15]}" in summary_line(run)
    audit = world.analyst.audit(run.id)
    assert audit.verdict is not None
    assert audit.verdict.accepted
    assert audit.unrecorded == ()
    assert {"output.released", "run.started"} <= {line.entry.kind for line in audit.lines}


def test_a_receipt_names_the_results_that_came_back(world: World) -> None:
    """What the requester holds is what the hardware signed: its sealed bytes, and its plaintext by a salted digest."""
    ended = world.do("x = free.age.max()", outputs=["x"])
    run, session = ended.run, world.analyst
    assert run.receipt is not None
    subjects = dict(run.receipt.verdict.subjects)
    assert session.check_results(run.id, run.receipt) == {name: True for name in subjects if name != "records"}


def stated(run: Run, world: World) -> VerifiedReceipt:
    """The receipt as the authorities have it."""
    return until(lambda: _receipt(run, world), "the receipt is there", 15)


def _receipt(run: Run, world: World) -> VerifiedReceipt | None:
    try:
        return world.analyst.receipt(run.id)
    except Unavailable:
        return None


def test_a_run_that_hit_its_limit_says_so_in_its_receipt(world: World) -> None:
    """An owner sees in a signed document that a run was stopped, and at what."""
    ended = world.do("x = bytearray(3 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1")
    assert isinstance(ended.error, LimitExceeded)
    receipt = stated(ended.run, world)
    run = receipt.receipt.stated().statement.predicate.run
    assert (run.status, run.limit) == ("limit", "memory")
    assert sls_jupyter.verify(receipt, accept_simulated=True).accepted


def test_a_cancelled_run_has_a_receipt_with_the_gates_last_word(world: World) -> None:
    """Cancelling is no way to see outputs that no receipt tells of."""
    run = world.start(SLEEP)
    assert any(
        event["type"] == "stream" for event in run.follow()
    )  # its output knows whose it is from the first one on
    run.cancel()
    assert isinstance(run.error, RunCancelled)
    receipt = stated(run, world)
    predicate = receipt.receipt.stated().statement.predicate
    assert predicate.run.status == "stopped"
    assert predicate.gate is not None
    assert sls_jupyter.verify(receipt, accept_simulated=True).accepted


def test_a_killed_output_is_not_hidden(world: World) -> None:
    """Its gate cannot say any more what left, so the receipt is there and does not verify as complete."""
    run = world.start(SLEEP)
    until(lambda: running(run), "the cell runs")
    os.kill(container("output"), signal.SIGKILL)
    finish(run, 30)
    assert run.receipt is None
    audit = world.analyst.audit(run.id)
    assert audit.unrecorded == ()
    assert audit.verdict is not None
    assert "gate" in {check.name for check in audit.verdict.failed}
    assert {"key.released", "run.records"} <= {line.entry.kind for line in audit.lines}


def test_a_killed_sidecar_leaves_a_release_without_an_end(world: World) -> None:
    """A host can silence the group, and not the owner's log: the key that left stands there without a receipt."""
    run = world.start(SLEEP)
    until(lambda: running(run), "the cell runs")
    os.kill(container("audit"), signal.SIGKILL)
    finish(run, 30)
    audit = world.analyst.audit(run.id)
    assert audit.verdict is None
    assert audit.unrecorded == ("hospital's authority",)


@pytest.mark.parametrize("code", ["x = free.age.max()", "x = free.age.max() / 0"])
def test_a_receipt_that_does_not_verify_takes_the_result_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Authorities that show the genuine receipt of another run must not get their result believed."""
    other = world.do("x = free.age.min()", outputs=["x"]).run.receipt
    assert other is not None
    monkeypatch.setattr(manager, "fetch_receipt", lambda *_: other.receipt)
    run = world.do(code, outputs=["x"]).run
    assert run.error is not None
    assert (run.receipt, run.outputs) == (None, {})
    assert "receipt REFUSED" in summary_line(run)
    with pytest.raises(UnknownName, match="no result"):
        world.analyst.result(run.id)

"""Runs that outlive their kernel, in real kernels that are killed without a word; and the same in a shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from agent_kit import AgentHome, agent_home, ended
from e2e import needs_sandbox, until
from notebook_kit import Kernel, Outcome, check_html

from sls_jupyter.errors import LimitExceeded

pytestmark = needs_sandbox
CELL = """%%safestream -i patients:age,sex -o risk --purpose "risk study"
import time
print("begins", flush=True)
time.sleep(4)
print("ends", flush=True)
risk = patients.groupby("sex").age.mean().reset_index()
risk
"""
LOOP = """%%safestream -i patients:age --purpose "loop"
print("looping", flush=True)
while True: pass
"""


@pytest.fixture(scope="module")
def home() -> Iterator[AgentHome]:
    with pytest.MonkeyPatch.context() as patch, agent_home(patch) as made:
        owner, analyst = made.session("hospital"), made.session("analyst")
        made.seal(owner, analyst, columns="age,sex")
        made.seal(owner, analyst, "guarded", columns="age,sex", allow_code="reviewed")
        yield made


def run_of(outcome: Outcome) -> str:
    return re.search(r"SafeStream ([0-9a-f]{12})", outcome.plain).group(1)  # type: ignore[union-attr]


class Killed(Exception):
    """The kernel was killed; carries the text of its block."""


def killed_at(home: AgentHome, kernel: Kernel, step: str) -> str:
    """Start the cell, and kill the kernel once its block shows the step; the run's id."""

    def seen(outcome: Outcome) -> bool:
        text = str(outcome.bundles[0].get("text/plain", "")) if outcome.bundles else ""
        if re.search(rf"[…✓] {step}", text):
            os.kill(kernel.pid, signal.SIGKILL)
            raise Killed(text)
        return False

    with pytest.raises(Killed) as killed:
        kernel.run(CELL, when=seen, timeout=90)
    home.kernels.remove(kernel)
    kernel.stop()
    return re.search(r"SafeStream ([0-9a-f]{12})", str(killed.value)).group(1)  # type: ignore[union-attr]


@pytest.mark.parametrize("step", ["planned", "launched", "attested", "keys released", "running"])
def test_a_run_goes_on_when_its_kernel_is_killed(home: AgentHome, step: str) -> None:
    """A later kernel shows all of it from the start, puts its outputs into the notebook, and has its receipt."""
    run = killed_at(home, home.kernel(), step)
    second = home.kernel()
    outcome = second.run(f"%sls attach {run}", timeout=90)
    assert outcome.error == ""
    assert re.findall("begins|ends", outcome.stdout) == ["begins", "ends"]
    assert "· done · SIMULATED" in outcome.bundles[0]["text/plain"]
    assert "As of" not in outcome.bundles[0]["text/plain"]
    assert second.run("print(len(risk))").stdout == "2\n"
    assert "every proof verified" in second.run(f"%sls audit {run}").plain
    home.kernels.remove(second)
    second.stop()


def test_an_approval_that_comes_when_the_kernel_is_gone_starts_the_run(home: AgentHome) -> None:
    """Overnight: the request is sent, the laptop's kernel dies, the owner approves, the result is there."""
    kernel = home.kernel()
    cell = CELL.replace("patients", "guarded").replace("-o risk", "-o risk --no-wait")
    outcome = kernel.run(cell)
    run = run_of(outcome)
    block = outcome.bundles[0]
    assert "waiting for hospital" in block["text/plain"]
    assert re.search(
        rf"As of \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC · %sls attach {run} brings the end", block["text/plain"]
    )
    check_html(block["text/html"])
    home.kill(kernel)
    owner, analyst = home.session("hospital"), home.session("analyst")
    (record,) = [one for one in analyst.runs() if one.id == run]
    assert record.state == "running"
    assert "waiting for hospital" in record.now
    for one in until(lambda: owner.requests(waiting=True), "the request waits"):
        owner.approve(one.id)
    assert ended(analyst.attach(run)).error is None
    second = home.kernel()
    assert "ends" in second.run(f"%sls attach {run}").stdout
    assert second.run("print(len(risk))").stdout == "2\n"


def test_a_run_that_everybody_left_ends_at_its_limit_and_leaves_a_receipt(home: AgentHome) -> None:
    """Nobody comes back; the owners' logs say how it ended all the same."""
    kernel = home.kernel()
    run = run_of(kernel.run(LOOP.replace("--purpose", "--no-wait --time 6s --purpose")))
    home.kill(kernel)
    left = ended(home.session("analyst").attach(run))
    assert isinstance(left.error, LimitExceeded)
    assert left.receipt is not None
    assert not home.containers()


def test_the_card_of_a_run_that_nobody_waits_for_is_not_left_behind(home: AgentHome) -> None:
    """A --no-wait card that says "running" for ever is false; it changes in its own place while its kernel lives."""
    kernel = home.kernel()
    first = kernel.run(CELL.replace("-o risk", "-o risk --no-wait"))
    run, outcome = run_of(first), Outcome()
    until(lambda: _taken(kernel, outcome, f"SafeStream {run} · done"), "the card changes", 60)
    assert outcome.updates > 0


def _taken(kernel: Kernel, outcome: Outcome, wanted: str) -> bool:
    kernel.drain(outcome)
    return wanted in outcome.plain


def test_an_interrupt_ends_only_what_this_cell_started(home: AgentHome) -> None:
    """Who looks on does not stop it; who started it and waits does."""
    kernel, second = home.kernel(), home.kernel()
    run = run_of(kernel.run(LOOP.replace("--purpose", "--no-wait --purpose")))
    looked = second.run(f"%sls attach {run}", when=lambda outcome: "looping" in outcome.stdout, timeout=90)
    assert f"run {run} goes on" in looked.error
    waited = kernel.run("_.wait()", when=lambda outcome: "looping" in outcome.stdout, timeout=90)
    assert f"run {run} goes on" in waited.error
    assert f"{run}" in second.run("%sls runs").plain
    assert "cancelled" in second.run(f"%sls cancel {run}").plain
    own = kernel.run(LOOP, when=lambda outcome: "looping" in outcome.stdout, timeout=90)
    assert "was cancelled" in own.error
    assert "· cancelled" in own.bundles[0]["text/plain"]


def test_closing_a_kernel_in_good_order_ends_no_run(home: AgentHome) -> None:
    """A restart is no cancel."""
    kernel = home.kernel()
    run = run_of(kernel.run(CELL.replace("-o risk", "-o risk --no-wait")))
    home.kernels.remove(kernel)
    kernel.stop()
    assert ended(home.session("analyst").attach(run)).error is None


def shell(home: AgentHome, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sls_jupyter.cli", *words, "--persona", "analyst"]
    return subprocess.run(command, env=home.environment(), capture_output=True, text=True, timeout=120, check=False)


def test_a_shell_follows_and_tells_of_the_agent(home: AgentHome, tmp_path: Path) -> None:
    """What a notebook can, a terminal can: the same run, from its start."""
    kernel = home.kernel()
    endless = run_of(kernel.run(LOOP.replace("--purpose", "--no-wait --purpose")))
    assert f"run {endless}" in shell(home, "agent", "status").stdout
    refused = shell(home, "agent", "stop")
    assert (refused.returncode, endless in refused.stderr) == (1, True)
    assert "cancelled" in kernel.run(f"%sls cancel {endless}").plain
    run = run_of(kernel.run(CELL.replace("-o risk", "-o risk --no-wait")))
    followed = shell(home, "attach", run)
    assert (followed.returncode, followed.stderr) == (0, "")
    assert "begins\nends\n" in followed.stdout
    assert "✓ returned" in followed.stdout
    assert "no such run" in shell(home, "attach", "ffffffffffff").stderr
    written = kernel.run(f"%sls result {run} --to {tmp_path / 'new'}")
    assert "risk.parquet" in written.plain
    assert len(pd.read_parquet(tmp_path / "new" / "risk.parquet")) == 2
    assert "nothing is written over" in kernel.run(f"%sls result {run} --to {tmp_path / 'new'}").error
    until(lambda: run in kernel.complete(f"%sls attach {run[:4]}"), "the run's id is offered")

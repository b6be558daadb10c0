"""The panel and runs that the agent drives: seen and ended from a session that never started them, with no kernel alive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agent_kit import AgentHome, agent_home, start
from e2e import needs_sandbox, until

from sls_jupyter.lab import inbox, messages, runs
from sls_jupyter.lab.asking import Asked
from sls_jupyter.session import Session

pytestmark = needs_sandbox
SECONDS = 60.0


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentHome]:
    with agent_home(monkeypatch) as made:
        yield made


def page(session: Session, id_: str) -> messages.RunPage:
    return runs.page(Asked(session, path={"id": id_}))


def test_a_run_that_waits_is_approved_and_ends_with_no_kernel(home: AgentHome) -> None:
    """The analyst's notebook is closed; the panel shows whom it waits for, the owner decides, the result is there."""
    owner, kernel = home.session("hospital"), home.session("analyst")
    home.seal(owner, kernel, allow_code="reviewed")
    run = start(kernel, "x = patients.age.mean()", wait=True, outputs=["x"]).id
    kernel.close()
    server = home.session("analyst")
    waiting = until(lambda: (found := page(server, run)).waits and found, "it waits", SECONDS)
    assert waiting.waits.startswith("waits for hospital since ")
    (row,) = (one for one in runs.listed(Asked(server)).rows if one.id == run)
    assert (row.state, row.going, row.actions) == ("running", True, ("cancel",))
    assert row.now.startswith("approved: waiting for hospital")

    shown = inbox.page(Asked(owner, path={"id": waiting.ask.rpartition(" ")[2]}))
    body = messages.Decide(approve=True, reason="", seen=shown.seen)
    assert inbox.decide(Asked(owner, path={"id": shown.row.id}, body=body)).approved

    done = until(lambda: (found := page(server, run)).row.state == "done" and found, "it ends", SECONDS)
    assert (done.outputs, done.waits, done.row.actions) == (("x",), "", ("result", "receipt", "audit"))
    assert done.receipt
    assert server._runs == {}


def test_a_run_of_a_closed_notebook_is_cancelled(home: AgentHome) -> None:
    """Whoever started it is gone; the panel ends it."""
    owner, kernel = home.session("hospital"), home.session("analyst")
    home.seal(owner, kernel)
    run = start(kernel, "import time\ntime.sleep(50)").id
    kernel.close()
    server = home.session("analyst")
    until(lambda: page(server, run).steps[5].state == "active", "the cell runs", SECONDS)
    ended = runs.cancel(Asked(server, path={"id": run}))
    assert (ended.row.state, ended.row.going) == ("cancelled", False)
    assert {step.state for step in ended.steps} <= {"done", "failed", "waiting"}

"""A run's handle: states, waiting, cancelling, and what a follower sees."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from sls_jupyter.errors import BadInput, RunCancelled, RunFailed, SlsError
from sls_jupyter.safestream.endings import judge_end
from sls_jupyter.safestream.run import STEPS, Run

SPEC = "sha256:" + "ab" * 32


def started(work: Any) -> Run:
    return Run(SPEC, work).start()


def test_a_run_that_works_ends_done_and_shows_what_it_emitted() -> None:
    """A follower gets the content in order, and an end."""

    def work(run: Run) -> None:
        run.steps.begin("planned")
        run.emit({"type": "stream", "text": "a"})
        run.steps.done("planned")

    run = started(work)
    shown = [event["type"] for event in run.follow() if event["type"] != "tick"]
    assert shown == ["status", "stream", "status", "ended"]
    assert run.wait(5).state == "done"
    assert [event["type"] for event in run.follow()] == shown  # a second follower sees the same
    assert [event["type"] for event in run.follow(3)] == ["ended"]
    assert run.id == "ab" * 6


@pytest.mark.parametrize("error", [BadInput("no such thing", hint="look"), ValueError("foreign"), RecursionError()])
def test_whatever_is_raised_is_an_error_of_ours(error: Exception) -> None:
    """A thread has nobody to tell; its error is the run's."""

    def work(run: Run) -> None:
        run.steps.begin("launched")
        raise error

    run = started(work)
    with pytest.raises(SlsError):
        run.wait(5)
    assert run.state == "failed"
    assert run.steps["launched"].state == "failed"
    assert "foreign" not in str(run.error)


@pytest.mark.parametrize(("blamed", "failed"), [("running", "running"), ("returned", "returned"), ("", "returned")])
def test_a_failure_is_shown_at_the_step_that_it_is_about(blamed: str, failed: str) -> None:
    """A cell that raises is not shown as a plan that failed, though everything after it went well."""

    def work(run: Run) -> None:
        for name in STEPS:
            run.steps.begin(name)
            run.steps.done(name)
        if blamed:
            run.steps.blame(blamed)
        raise BadInput("x")

    run = started(work)
    with pytest.raises(BadInput):
        run.wait(5)
    assert [step.name for step in run.steps if step.state == "failed"] == [failed]


@pytest.mark.parametrize(
    ("end", "step", "says"),
    [
        ({"status": "error", "error": {"name": "ValueError", "value": ""}}, "running", "ValueError"),
        ({"status": "limit", "limit": "memory", "allowed": 2**29}, "running", "512 MiB at most"),
        ({"status": "limit", "limit": "cpu", "allowed": 5}, "running", "5 seconds of CPU time at most"),
        ({"status": "ok", "missing": {"x": None}}, "returned", "no such variable"),
    ],
)
def test_the_end_of_a_program_blames_the_right_step(end: dict[str, Any], step: str, says: str) -> None:
    """Errors and limits happen while the cell runs; an output is missed when it should come back."""

    def work(run: Run) -> None:
        for name in STEPS:
            run.steps.begin(name)
            run.steps.done(name)
        judge_end(end, run.steps)

    run = started(work)
    with pytest.raises(RunFailed) as raised:
        run.wait(5)
    assert says in str(raised.value)
    assert run.steps[step].state == "failed"
    assert run.steps["planned"].state == "done"


def test_cancelling_tells_before_it_stops_and_ends_cancelled() -> None:
    """The group hears of it while it can still log it."""
    told: list[str] = []
    ready = threading.Event()

    def work(run: Run) -> None:
        run.on_cancel(lambda: told.append("stop"))
        run.on_cancel(lambda: told.append("tell"))
        ready.set()
        run.cancelled.wait(5)
        run.require_going()

    run = started(work)
    ready.wait(5)
    assert run.cancel().state == "cancelled"
    assert told == ["tell", "stop"]
    with pytest.raises(RunCancelled):
        run.wait()
    assert run.cancel().state == "cancelled"


def test_an_action_that_comes_after_the_cancel_runs_at_once() -> None:
    """A group that was just launched when the user gave up is stopped."""
    told: list[str] = []
    run = Run(SPEC, lambda _: None)
    run.cancelled.set()
    run.on_cancel(lambda: told.append("stop"))
    assert told == ["stop"]


def test_waiting_has_an_end_of_its_own() -> None:
    """A timeout ends the waiting and not the run."""
    go = threading.Event()
    run = started(lambda _: go.wait(5))
    with pytest.raises(TimeoutError, match=run.id):
        run.wait(0.05)
    assert run.state == "running"
    go.set()
    run.wait(5)


def test_a_run_can_be_awaited() -> None:
    """An async cell waits without blocking its loop."""

    async def both() -> Run:
        run = started(lambda _: time.sleep(0.05))
        return await run

    assert asyncio.run(both()).state == "done"


def test_the_steps_are_the_status_block() -> None:
    """Their names and order are what a user sees."""
    assert [step.name for step in Run(SPEC, lambda _: None).steps] == list(STEPS)


def test_a_run_tells_how_it_ended_once_and_before_its_follower_is_done():
    """Another kernel can tell how a run ended, because its end was written down."""
    told = []
    run = Run("sha256:" + "a" * 64, lambda _: None, told.append).start()
    assert [event["type"] for event in run.follow() if event["type"] != "tick"] == ["ended"]
    assert told == [run]
    assert run.state == "done"

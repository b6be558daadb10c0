"""A run's journal: bounded, the same for every follower, and enough to draw the run again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import AccessDenied, ApprovalPending, KeyRefused, RunCancelled, RunFailed, RunLost, SlsError
from sls_jupyter.safestream import journal as journals
from sls_jupyter.safestream.journal import Journal
from sls_jupyter.safestream.mirror import Mirror
from sls_jupyter.safestream.run import STEPS, Run

SPEC = "sha256:" + "cd" * 32
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["begin", "done", "note"]), st.sampled_from(STEPS), st.text(max_size=8)),
    st.tuples(st.just("emit"), st.just("stream"), st.text(max_size=8)),
    st.tuples(st.just("summary"), st.sampled_from(["tee", "checks"]), st.text(max_size=8)),
)


def played(actions: list[tuple[str, str, str]], end: SlsError | None = None) -> Run:
    """A run that does these things and ends."""

    def work(run: Run) -> None:
        for kind, name, words in actions:
            if kind == "emit":
                run.emit({"type": "stream", "name": "stdout", "text": words})
            elif kind == "summary":
                run.summary[name] = words
            else:
                getattr(run.steps, kind)(name, words)
        if end is not None:
            raise end

    run = Run(SPEC, work).start()
    run._thread.join(5)
    return run


def mirrored(events: list[dict[str, Any]], **options: Callable[..., None]) -> Run:
    mirror = Mirror(SPEC, iter(json.loads(json.dumps(events))), **options).start()
    mirror._thread.join(5)
    return mirror


@given(st.lists(ACTIONS, max_size=20), st.integers(0, 30))
def test_a_run_is_drawn_again_from_its_journal_alone(actions: list[tuple[str, str, str]], start: int) -> None:
    """Another kernel shows what the first one showed, wherever it begins to read."""
    run = played(actions)
    events = list(run.follow())
    mirror = mirrored(events)
    assert [step.snapshot() for step in mirror.steps] == [step.snapshot() for step in run.steps]
    assert (mirror.state, mirror.summary) == (run.state, run.summary)
    assert list(mirror.follow()) == events
    assert list(run.follow(start)) == events[start:]


@pytest.mark.parametrize(
    "end",
    [
        RunCancelled("The run was cancelled."),
        ApprovalPending("hospital must approve.", hint="wait", detail={"request": "sha256:1", "compared": ["a", "b"]}),
        AccessDenied("No.", detail={"reasons": [{"alias": "a", "text": "t", "fix": "f"}]}),
        KeyRefused(4, "Other group.", found="x", expected="y"),
    ],
)
def test_a_mirror_ends_with_the_same_error(end: SlsError) -> None:
    """Who attaches reads every reason and whose words they are, as the cell that started the run did."""
    end.said_by = "the owner's authority"
    run = played([("begin", "planned", "")], end)
    mirror = mirrored(list(run.follow()))
    assert mirror.error is not None
    assert type(mirror.error) is type(run.error)
    assert mirror.error.lines() == run.error.lines()
    assert mirror.state == run.state
    assert [step.snapshot() for step in mirror.steps] == [step.snapshot() for step in run.steps]


def test_two_followers_and_a_late_one_see_the_same() -> None:
    """Two kernels that follow one run, and one that comes after its end."""
    go = threading.Event()

    def work(run: Run) -> None:
        for number in range(200):
            run.emit({"type": "stream", "name": "stdout", "text": str(number)})
            if number == 100:
                go.wait(5)

    run, seen = Run(SPEC, work).start(), [list[Any](), list[Any]()]
    followers = [
        threading.Thread(target=lambda mine=mine: mine.extend(one for one in run.follow() if one["type"] != "tick"))
        for mine in seen
    ]
    for one in followers:
        one.start()
    go.set()
    for one in followers:
        one.join(10)
    assert seen[0] == seen[1] == list(run.follow())
    assert len(seen[0]) == 201


def test_words_that_change_all_the_time_do_not_grow_the_journal() -> None:
    """A host that tells twenty times a second how its launch goes would fill the memory overnight."""
    journal = Journal()
    for number in range(100_000):
        journal.note("launched", {"type": "status", "step": {"detail": str(number)}})
    assert len(journal) < 20
    journal.close({"type": "ended"})
    assert list(journal.follow())[-2]["step"]["detail"] == "99999"


def test_the_number_of_notes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over a week."""
    monkeypatch.setattr(journals, "NOTE_SECONDS", 0.0)
    journal = Journal()
    for number in range(3 * journals.MAX_NOTES):
        journal.note("launched", {"type": "status", "step": {"detail": str(number)}})
    assert len(journal) <= journals.MAX_NOTES


def test_a_note_that_came_too_soon_is_seen_by_who_follows() -> None:
    """The last words of a step stay on the screen though nothing else happens."""
    journal = Journal()
    journal.note("a", {"type": "status", "n": 1})
    journal.note("a", {"type": "status", "n": 2})
    for event in journal.follow():
        if event.get("n") == 2:
            break


def test_a_program_that_shows_too_much_ends_its_run() -> None:
    """The journal is memory of the agent, which drives other runs as well."""

    def work(run: Run) -> None:
        while True:
            run.emit({"type": "stream", "name": "stdout", "text": "x" * 1000})

    run = Run(SPEC, work, journal=Journal(max_bytes=10_000)).start()
    run._thread.join(10)
    assert isinstance(run.error, RunFailed)
    assert list(run.follow())[-1]["state"] == "failed"


def test_a_journal_without_an_end_is_a_lost_run() -> None:
    """It is told apart from a run that failed, and shown at the step that it was at."""
    mirror = mirrored([{"type": "status", "step": {"name": "running", "state": "active", "began": time.time()}}])
    assert isinstance(mirror.error, RunLost)
    assert mirror.steps["running"].state == "failed"


def test_cancelling_a_mirror_asks_who_drives_it() -> None:
    """The stop button works in every kernel."""
    asked, go = list[str](), threading.Event()

    def events() -> Any:
        go.wait(5)
        yield {"type": "ended", "state": "cancelled", "problem": None}

    def cancel() -> None:
        asked.append("cancel")
        go.set()

    mirror = Mirror(SPEC, events(), cancel=cancel).start()
    assert mirror.cancel().state == "cancelled"
    assert asked == ["cancel"]


def test_what_is_kept_is_kept_before_it_is_shown() -> None:
    """Nobody saw an event that a later kernel cannot see."""
    kept: list[Any] = []
    journal = Journal(({"type": "old"},), lambda number, event: kept.append((number, event["type"], len(journal))))
    journal.append({"type": "new"})
    assert kept == [(1, "new", 1)]
    assert journal.since(1) == ([{"type": "new"}], False)

"""The panel's runs: how far they are, from any kernel or none, and what can be done with them."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import (
    LIMITS,
    RUN_SECONDS,
    Ended,
    World,
    containers,
    finish,
    needs_sandbox,
    process,
    running,
    shared_world,
    told,
    until,
    world,
)

from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.errors import ApprovalPending, BadInput, SlsError, Unavailable, UnknownName
from sls_jupyter.lab import messages, runs
from sls_jupyter.lab.asking import Asked
from sls_jupyter.session import Session
from sls_jupyter.session.kept_events import NAME as EVENTS

__all__ = ["world"]
pytestmark = needs_sandbox


@pytest.fixture(scope="module")
def done() -> Ended:
    """A run that is over, which several tests look at."""
    return shared_world().do("x = free.age.mean()\nprint(x)\nfree.head(400)", outputs=["x"], purpose="heart study")


@pytest.fixture
def other(world: World) -> Iterator[Session]:
    """The analyst as another process sees them."""
    session = Session(world.analyst.home)
    yield session
    session.close()


def listed(session: Session, **query: str) -> messages.Runs:
    return runs.listed(Asked(session, query=query))


def page(session: Session, id_: str) -> messages.RunPage:
    return runs.page(Asked(session, path={"id": id_}))


def save(session: Session, id_: str, root: Path | None, folder: str) -> messages.Saved:
    body = messages.SaveTo(folder=folder)
    return runs.save_result(Asked(session, path={"id": id_}, body=body, root=root))


def folder_of(session: Session, id_: str) -> Path:
    return session.home.folder("runs") / id_


# --- a run that is over ---------------------------------------------------------------------------


def test_a_run_is_listed_with_what_can_be_done(done: Ended, other: Session) -> None:
    """State, purpose, TEE and marks; a finished run offers its result, receipt and audit, and no cancelling."""
    row = next(one for one in listed(other).rows if one.id == done.run.id)
    assert (row.state, row.tone, row.going, row.inputs, row.purpose) == (
        "done",
        "good",
        False,
        ("free",),
        "heart study",
    )
    assert (row.tee, row.marks[0], row.actions) == ("simulated-snp", "SIMULATED", ("result", "receipt", "audit"))
    found = listed(other, q=f"heart {done.run.id[:8]}")
    assert ([one.id for one in found.rows], found.total) == ([done.run.id], 1)
    assert listed(other, most="0").rows == ()


def test_the_page_of_a_run_that_is_over_follows_nothing(done: Ended, other: Session) -> None:
    """Looking at a hundred old runs starts no thread, keeps no table in memory, and opens no result."""
    threads = set(threading.enumerate())
    shown = page(other, done.run.id)
    assert page(other, done.run.id) == shown
    assert set(threading.enumerate()) == threads
    assert other._runs == {}
    assert [step.name for step in shown.steps] == [step.name for step in done.run.steps]
    assert {step.state for step in shown.steps} == {"done"}
    assert shown.steps[3].took.endswith(" s")
    assert any("measurement" in line for line in shown.steps[3].evidence)
    assert done.run.receipt is not None
    assert (shown.receipt, shown.outputs, shown.waits, shown.ask) == (done.run.receipt.id, ("x",), "", "")
    assert shown.summary.startswith("SIMULATED TEE · ")
    assert shown.title == f"SafeStream {done.run.id}"


def test_a_receipt_that_was_changed_is_none(done: Ended, other: Session) -> None:
    """The page says that it does not verify, and leaves out the line that rests on it."""
    path = folder_of(other, done.run.id) / "receipt.json"
    good = path.read_bytes()
    place = good.index(b'"payload":"') + 200
    path.write_bytes(good[:place] + (b"A" if good[place : place + 1] != b"A" else b"B") + good[place + 1 :])
    try:
        shown = page(other, done.run.id)
        assert (shown.receipt, shown.summary) == ("", "")
        assert "receipt that is kept" in shown.lines[-1]
        with pytest.raises(SlsError):
            runs.receipt(Asked(other, path={"id": done.run.id}))
    finally:
        path.write_bytes(good)
    assert page(other, done.run.id).receipt


def test_a_run_of_which_nothing_is_kept_has_a_page(done: Ended, other: Session) -> None:
    """What is known of it all the same, and where its results are."""
    events = folder_of(other, done.run.id) / EVENTS
    kept = events.read_bytes()
    try:
        events.write_bytes(kept[:-8] + bytes(8))
        assert "were changed" in page(other, done.run.id).lines[0]
        events.unlink()
        shown = page(other, done.run.id)
    finally:
        events.write_bytes(kept)
    assert (shown.steps, shown.row.state) == ((), "done")
    assert f"%sls result {done.run.id}" in shown.lines[0]
    assert page(other, done.run.id).steps


def test_a_run_that_is_not_there_has_none(other: Session) -> None:
    """A slip of the pen is no server error."""
    for id_ in ("0" * 12, "", "../../x"):
        with pytest.raises(UnknownName):
            page(other, id_)


def test_receipt_audit_and_report_are_verified_files(done: Ended, other: Session) -> None:
    """The receipt is the one that was verified; the audit is the card of %sls audit; the report is a page to print."""
    found = runs.receipt(Asked(other, path={"id": done.run.id}))
    assert found.name == f"receipt-{done.run.id}.json"
    assert other.verify(found.text.encode(), accept_simulated=True, anchors=other.anchors).id == done.run.receipt.id  # type: ignore[union-attr]
    card = runs.audit(Asked(other, path={"id": done.run.id})).card
    assert (card.title, card.tone, card.marks[0]) == (f"Audit of run {done.run.id}", "good", "SIMULATED")
    report = runs.report(Asked(other, path={"id": done.run.id}))
    assert report.text.startswith("<!doctype html>")
    assert "<script" not in report.text


# --- results as files -----------------------------------------------------------------------------


def test_results_are_saved_below_the_servers_folder(done: Ended, other: Session, tmp_path: Path) -> None:
    """Tables and text as files, with their names below the folder that the browser shows."""
    saved = save(other, done.run.id, tmp_path, "results/first")
    assert saved.folder == "results/first"
    assert set(saved.files) == {"results/first/x.txt", "results/first/shown-1.parquet", "results/first/text.txt"}
    assert all((tmp_path / name).is_file() for name in saved.files)
    with pytest.raises(BadInput, match="nothing is written over it"):
        save(other, done.run.id, tmp_path, "results/first")


@pytest.mark.parametrize("folder", [".", "..", "../x", "/tmp/x", "a/../../x", "link/x", "link", "x\0y"])
def test_results_are_saved_nowhere_else(done: Ended, other: Session, tmp_path: Path, folder: str) -> None:
    """A page cannot make the server write outside the folder that it shows, by a path or by a link."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    body = messages.SaveTo.model_construct(folder=folder)
    with pytest.raises(BadInput, match="folder of their own") as refused:
        runs.save_result(Asked(other, path={"id": done.run.id}, body=body, root=root))
    assert refused.value.expected == f"a new folder in {root.resolve()}"
    assert [path.name for path in root.iterdir()] == ["link"]
    assert list(outside.iterdir()) == []
    with pytest.raises(BadInput, match="shows no folder"):
        save(other, done.run.id, None, "x")
    with pytest.raises(Unavailable, match="cannot be written"):
        save(other, done.run.id, root, "x" * 900)


# --- a run that goes on ---------------------------------------------------------------------------


def test_a_run_in_another_kernel_is_shown_as_it_goes(world: World, other: Session) -> None:
    """Live steps from the kept events, without following it; who does not drive it cannot end it."""
    run = world.start("import time\ntime.sleep(20)")
    until(lambda: running(run), "the cell runs")
    shown = until(lambda: (found := page(other, run.id)).steps[5].state == "active" and found, "it is shown")
    assert (shown.row.going, shown.row.tone, shown.row.actions) == (True, "wait", ("cancel",))
    assert (shown.row.now.partition(":")[0], shown.row.marks[0]) == ("running", "SIMULATED")
    assert shown.steps[5].took.endswith(" s")
    assert (shown.summary, shown.receipt) == ("", "")
    with pytest.raises(UnknownName, match="belongs to another kernel"):
        runs.cancel(Asked(other, path={"id": run.id}))
    ended = runs.cancel(Asked(world.analyst, path={"id": run.id}))
    assert (ended.row.state, ended.row.going) == ("cancelled", False)
    assert page(other, run.id).row.state == "cancelled"
    assert other._runs == {}


def test_a_run_that_waits_says_for_whom_and_what_to_send_them(world: World, other: Session) -> None:
    """The analyst copies one line to the owner; the names are those that they gave."""
    if "asked" not in [one.name for one in world.hospital.assets()]:
        world.seal("asked", allow_code="reviewed")
    run = world.start("x = asked.age.mean()", ["asked"], wait_for_approval=True)
    shown = until(lambda: (found := page(other, run.id)).waits and found, "it waits")
    request = str(run.summary["request"])[7:19]
    assert shown.waits.startswith("waits for hospital since ")
    assert shown.ask == f"Please decide on request {request}: sls show {request}"
    assert (shown.row.going, shown.steps[1].state) == (True, "active")
    world.hospital.approve(str(run.summary["request"]))
    finish(run, RUN_SECONDS)
    after = page(other, run.id)
    assert (after.row.state, after.waits, after.ask) == ("done", "", "")


def test_a_run_that_was_not_allowed_to_wait_says_the_same(world: World, other: Session) -> None:
    """Whoever did not wait knows whom to ask all the same."""
    if "asked" not in [one.name for one in world.hospital.assets()]:
        world.seal("asked", allow_code="reviewed")
    ended = world.do(f"x = asked.age.mean()  # {time.time()}", ["asked"])
    assert isinstance(ended.error, ApprovalPending)
    shown = page(other, ended.run.id)
    assert (shown.row.state, shown.row.tone, shown.row.going) == ("waits for approval", "wait", False)
    assert shown.waits.startswith("waits for hospital since ")
    assert shown.ask.startswith("Please decide on request ")


def test_a_run_whose_kernel_was_killed_is_lost(world: World, other: Session) -> None:
    """No step is shown as going on when nobody drives it."""
    options = {"code": "import time\ntime.sleep(60)", "inputs": ["free"]}
    with process("launch", world.root, "analyst", **options) as child:
        run = told(child)
        until(lambda: page(other, run).steps[5].state == "active", "the cell runs")
    shown = until(lambda: (found := page(other, run)).row.state.startswith("lost") and found, "it is lost")
    assert (shown.row.tone, shown.row.going, shown.row.actions) == ("bad", False, ("audit",))
    assert "active" not in {step.state for step in shown.steps}
    until(
        lambda: not containers(1) or not any(run in line for line in containers(1).values()), "its containers end", 10
    )
    for left in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir():  # removed by the next launch, a minute later
        shutil.rmtree(left)
    assert "ended before it did" in next(step.detail for step in shown.steps if step.state == "failed")


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_is_listed_with_the_time_that_it_is_idle(world: World, other: Session) -> None:
    """Between two cells since when, while one runs not, and closed from the panel."""
    terms = SessionTerms(cells=20, idle_seconds=120, wall_seconds=600)
    world.analyst.open_session("panel", world.analyst.prepare_session(["free"], limits=LIMITS, terms=terms))

    def row(session: Session = other) -> messages.SessionRow:
        return next(one for one in listed(session).sessions if one.name == "panel")

    assert (row().state, row().cells, row().most, row().idle_since) == ("open", 0, 20, None)
    started = int(time.time())
    first = finish(world.analyst.run_cell("panel", "n = len(free)"), RUN_SECONDS)
    found = until(lambda: (one := row()).idle_since and one, "it is idle")
    assert (found.idle_seconds, found.cells) == (120, 1)
    assert started <= found.idle_since <= int(time.time())
    cell = page(other, first.run.id)
    assert (cell.row.session, cell.row.cell, cell.title) == ("panel", 1, f"SafeStream {first.run.id}, panel cell 1")
    run = world.analyst.run_cell("panel", "import time\ntime.sleep(20)")
    until(lambda: row().state == "running", "it runs")
    assert row().idle_since is None
    run.cancel(20)
    card = runs.close_session(Asked(world.analyst, path={"name": "panel"})).card
    assert card.title == "Session panel"
    assert (row().state, row().idle_seconds, row().idle_since) == ("closed: asked", 0, None)
    with pytest.raises(UnknownName):
        runs.close_session(Asked(world.analyst, path={"name": "never"}))


# --- what others write ----------------------------------------------------------------------------


def test_what_others_said_of_a_run_stays_one_line(done: Ended, other: Session) -> None:
    """A reason that an authority worded, or a file that was changed, adds no line and steers nothing."""
    end = folder_of(other, done.run.id) / "end.json"
    kept = end.read_bytes()
    said = {"state": "failed", "reason": "no\n<b>\u202eyes", "tee": "simulated\u202e\n"}
    try:
        end.write_text(json.dumps(said))
        row: Any = next(one for one in listed(other).rows if one.id == done.run.id)
    finally:
        end.write_bytes(kept)
    assert row.reason == "no⟦U+000A⟧<b>⟦U+202E⟧yes"
    assert "\u202e" not in row.tee

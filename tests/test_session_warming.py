"""Sessions by name: opened once, then cell after cell; what is wrong is told before anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from e2e import LIMITS, RUN_SECONDS, Ended, World, finish, needs_sandbox, until, world

from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.documents import b64encode, digest
from sls_jupyter.errors import ApprovalPending, BadInput, CellRunning, SessionOver, UnknownName
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.session import Session
from sls_jupyter.session.posted import PostedCell

__all__ = ["world"]
pytestmark = needs_sandbox
TERMS = SessionTerms(cells=20, idle_seconds=120, wall_seconds=600)


@pytest.fixture
def analyst(world: World) -> Iterator[Session]:
    yield world.analyst
    for name, _ in world.analyst.driven_sessions():
        world.analyst.close_here(name)


def opened(session: Session, name: str = "look", inputs: tuple[str, ...] = ("free",), **options: object) -> None:
    request = session.prepare_session(inputs, limits=LIMITS, terms=options.pop("terms", TERMS), **options)  # type: ignore[arg-type]
    session.open_session(name, request)


def do(session: Session, code: str, name: str = "look", **options: object) -> Ended:
    return finish(session.run_cell(name, code, **options), RUN_SECONDS)  # type: ignore[arg-type]


def test_a_notebook_goes_on_cell_by_cell(analyst: Session) -> None:
    """Variables persist, each cell's result is kept and can be fetched and audited by itself."""
    opened(analyst)
    assert [(one.name, one.state, one.cells) for one in analyst.sessions()][:1] == [("look", "open", 0)]
    assert do(analyst, "adults = free[free.age >= shift]", parameters={"shift": 18}).outputs == {}
    ended = do(analyst, "n = len(adults)\nprint(n)", outputs=["n"])
    assert ended.outputs == {"n": 300}
    record = next(one for one in analyst.runs() if one.id == ended.run.id)
    assert (record.state, record.session, record.cell) == ("done", "look", 2)
    assert analyst.result(record.id) == {"n": 300}
    audit = analyst.audit(record.id)
    assert audit.verdict is not None
    assert audit.verdict.accepted
    assert audit.verdict.cell == 2
    assert analyst.receipt(record.id).id == ended.run.receipt.id  # type: ignore[union-attr]
    assert analyst.close_session("look").state == "closed: asked"
    with pytest.raises(SessionOver, match="look has ended"):
        analyst.run_cell("look", "n")


def test_the_shown_is_kept_for_later(analyst: Session) -> None:
    """A cell's output can be shown again from what was kept, sealed."""
    opened(analyst)
    ended = do(analyst, "print('shown once')")
    analyst.forget_run(ended.run.id)
    again = finish(analyst.attach(ended.run.id), RUN_SECONDS)
    assert "".join(event["text"] for event in again.of("stream")) == "shown once\n"


def test_what_cannot_run_is_told_before_anybody_is_asked(analyst: Session) -> None:
    """A name of an earlier cell is known, one of no cell is not; the session goes on."""
    opened(analyst)
    do(analyst, "adults = free")
    with pytest.raises(UnknownName, match="adult,"):
        analyst.run_cell("look", "adult.head()")
    with pytest.raises(BadInput, match="no valid Python"):
        analyst.run_cell("look", "adults = (")
    with pytest.raises(BadInput, match="no code"):
        analyst.run_cell("look", "  \n")
    with pytest.raises(UnknownName, match="No session of that name"):
        analyst.run_cell("other", "1")
    assert do(analyst, "n = len(adults)", outputs=["n"]).outputs == {"n": 300}


def test_one_cell_at_a_time_and_an_interrupt_of_it_alone(analyst: Session) -> None:
    """A second cell is refused while one runs; interrupting it keeps the variables."""
    opened(analyst)
    do(analyst, "kept = 7")
    run = analyst.run_cell("look", "print('on', flush=True)\nimport time; time.sleep(100)")
    until(lambda: any(event["type"] == "stream" for event in run.journal.since(0)[0]), "its first word")
    with pytest.raises(CellRunning):
        analyst.run_cell("look", "1")
    with pytest.raises(CellRunning):
        opened(analyst)
    run.cancel(30)
    assert run.state == "cancelled"
    assert do(analyst, "kept += 1", outputs=["kept"]).outputs == {"kept": 8}


def test_opening_again_begins_anew_and_another_notebook_is_refused(analyst: Session, monkeypatch) -> None:
    """Running a notebook again from its first cell works; two notebooks with one name are told apart."""
    opened(analyst)
    do(analyst, "x = 1")
    with monkeypatch.context() as patch:
        patch.setattr("sls_jupyter.session.posted.this_process", lambda: "1:1")
        patch.setattr("sls_jupyter.session.warming.is_alive", lambda _: True)
        with pytest.raises(BadInput, match="Another notebook has a session called look"):
            opened(analyst)
    opened(analyst)
    assert next(one for one in analyst.sessions() if one.name == "look").cells == 0
    with pytest.raises(UnknownName, match="x, which nothing makes"):
        analyst.run_cell("look", "x + 1")
    for name in ("", "1st", "a b", "x" * 41):
        with pytest.raises(BadInput, match="cannot have this name"):
            opened(analyst, name)


def test_an_approved_notebook_runs_again_and_asks_nobody(world: World, analyst: Session) -> None:
    """Cells are approved as far as they are the same; a changed one asks, and the session waits for it."""
    world.seal("reviewed_cells", allow_code="reviewed")

    def run(codes: list[str]) -> None:
        opened(analyst, inputs=("reviewed_cells",))
        for code in codes:
            do(analyst, code).outputs  # noqa: B018  # raises what the cell ended with

    codes = ["a = len(reviewed_cells)", "b = a + 1"]
    for count in (1, 2):
        with pytest.raises(ApprovalPending):
            run(codes[:count])
        request = next(one for one in world.hospital.requests(waiting=True) if one.mine_to_decide)
        world.hospital.approve(request.id)
    run(codes)
    with pytest.raises(ApprovalPending):
        run([codes[0], "b = a + 2"])
    do(analyst, codes[1]).outputs  # noqa: B018  # the cell that is approved still runs in the same session


def test_a_call_whose_answer_was_lost_runs_its_cell_once(analyst: Session) -> None:
    """The notebook asks the agent again; a counter that counts twice would be a wrong result."""
    opened(analyst)
    do(analyst, "x = 0")
    posted = PostedCell(session="look", code="x += 1", parameters=b64encode(pack_parameters({})))
    run = analyst.drive_cell(posted)
    finish(run, RUN_SECONDS)
    assert analyst.drive_cell(posted) is run
    assert do(analyst, "print(x)").of("stream")[0]["text"] == "1\n"


def test_a_session_without_a_driver_is_lost(analyst: Session) -> None:
    """What another process left is told as that, not as open."""
    opened(analyst)
    one = analyst._driven["look"]
    one.claim.release()
    assert next(record for record in analyst.sessions() if record.name == "look").state.startswith("lost")
    with pytest.raises(SessionOver, match="variables are gone"):
        analyst.run_cell("look", "1")


def test_nothing_of_a_session_lies_in_plaintext(world: World, analyst: Session) -> None:
    """Code may be read by who reads the disk of its author; values may not."""
    opened(analyst)
    do(analyst, "secret = 'CANARY' + str(free.age.sum())\nprint(secret)", outputs=["secret"])
    total = f"CANARY{sum(20 + i % 60 for i in range(300))}".encode()
    for path in (analyst.home.path / "runs").rglob("*"):
        assert not path.is_file() or total not in path.read_bytes(), path
    for path in (analyst.home.path / "sessions").rglob("session.json"):
        assert set(json.loads(path.read_bytes())) == {"name", "state", "opened_at", "cells"}


def test_a_sessions_report_has_all_of_its_cells(world: World, analyst: Session, tmp_path) -> None:
    """An auditor reads one page: the chain first, then every cell that ran, none that was only asked for."""
    opened(analyst, "report")
    for code in ("a = 1", "b = a / 0", "b = 2"):
        do(analyst, code, "report")
    options = command_parsers()["audit report"].parse(["report", "--output", str(tmp_path / "page.html")])
    card = COMMANDS["audit report"](Context(analyst, options))
    page = (tmp_path / "page.html").read_text()
    assert "one chain of 3 receipts" in str(card)
    assert page.count('<article class="cell">') == 3
    assert "✓ ONE CHAIN" in page
    assert "None" not in page
    assert digest(b"b = 2") in page
    assert "SIMULATED" in page

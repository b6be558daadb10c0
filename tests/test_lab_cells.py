"""What the panel says of a cell before it runs: what would happen, with no trace of having asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from e2e import LIMITS, World, finish, needs_sandbox, until

from sls_jupyter.errors import BadInput
from sls_jupyter.lab import cells, messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.notebook import cell_lines, commands
from sls_jupyter.notebook.cell_lines import read_cell
from sls_jupyter.safestream.request import ask_all
from sls_jupyter.session import Session

CELL = "%%safestream -i reviewed:age,sex -o risk --purpose 'heart study'\nrisk = reviewed.groupby('sex').age.mean()\nrisk\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hospital that reviews code for one purpose, and lets any code run on another table."""
    made = World(tmp_path / "home")
    made.seal("open", columns="age,sex")
    made.seal("reviewed", allow_code="reviewed", columns="age,sex", purpose=["heart study"], kinds="table,figure")
    yield made
    made.close()


def preflight(session: Session, cell: str) -> messages.Preflight:
    return cells.preflight(Asked(session, body=messages.PreflightAsked(cell=cell)))


def ask(world: World, cell: str = CELL) -> str:
    """Ask for a cell as running it would; the request's id."""
    read = read_cell(cell)
    request = commands.prepare(world.analyst, read.options, read.body, dict.fromkeys(read.options.parameter, 1))
    ask_all(request, world.analyst._run_clients(request))
    return request.spec.terms


def traces(world: World) -> tuple[object, ...]:
    """All that asking, running or logging would change."""
    log = world.hospital.own_authority().follow_log(world.hospital.memory).tree_size
    runs = sorted(path.name for path in world.analyst.home.folder("runs").iterdir())
    return log, [one.id for one in world.hospital.requests()], runs


# --- before a cell runs ---------------------------------------------------------------------------


def test_a_cell_is_told_in_one_line(world: World) -> None:
    """Where it runs, on which columns, what leaves and to whom: as the gate and the recipients will have it."""
    found = preflight(world.analyst, CELL)
    assert found.line == "runs remotely on hospital/reviewed · age, sex → table, figure leave to you"
    assert (found.verdict, found.state) == ("ask", "would ask hospital")
    assert found.outputs == ("risk",)
    assert found.card is not None
    assert found.card.marks[:1] == ("SIMULATED",)
    (table,) = found.tables
    assert (table.alias, table.called) == ("reviewed", "hospital/reviewed")
    assert {one.name for one in table.columns if one.granted} == {"age", "sex"}
    assert [one.type for one in table.columns if one.name == "age"] == ["int64"]


def test_approval_and_change_are_told_without_asking(world: World) -> None:
    """A cell that was approved runs as it stands; one changed line is said to be one, and shown."""
    world.hospital.approve(ask(world))
    before = traces(world)
    assert preflight(world.analyst, CELL).state == "approved ✓"
    assert preflight(world.analyst, f"{CELL}\n\n   ").state == "approved ✓", "what an editor adds changes nothing"
    changed = preflight(world.analyst, CELL.replace("mean", "std"))
    assert (changed.verdict, changed.state) == ("ask", "one line changed: would ask hospital")
    assert changed.card is not None
    assert "std" in changed.card.model_dump_json()
    assert traces(world) == before


@pytest.mark.parametrize(
    ("cell", "verdict", "state"),
    [
        ("%%safestream -i open\nopen.age", "run", "allowed ✓"),
        ("%%safestream -i reviewed --purpose x\nreviewed", "no", "would be denied: purpose"),
        ("%%safestream -i open:age,name\nopen", "no", "would be denied: columns"),
        ("%%safestream -i open --kinds text\nopen", "no", "would be denied: kinds"),
        ("%%safestream -i open\nopen.age +", "error", "The cell is no valid Python"),
        ("%%safestream -i open\nopne.age", "error", "opne"),
        ("%%safestream -i open\nopen['agee']", "error", "no column agee"),
        ("%%safestream -i open -o x\ny = 1", "error", "never makes x"),
        ("%%safestream -i open\n", "error", "no code"),
        ("%%safestream -i nowhere\n1", "error", "no asset nowhere"),
        ("%%safestream -i open --purpos x\n1", "error", "no such option"),
        ("%%safestream -i open --to nobody\n1", "error", "Nobody is known"),
        ("%%safestream -i open --cells 3\n1", "error", "Only a session has this"),
        ("%%safestream -i open 'x\n1", "error", "cannot be read"),
        ("%%safestream --session look\n1", "error", "No session of that name is open"),
        ("%%safestream\n1", "error", "at least one asset"),
        ("print(1)", "error", "no cell that runs remotely"),
        ("%%safestream --help", "unknown", "shows its options"),
    ],
)
def test_what_would_happen_is_said_and_nothing_happens(world: World, cell: str, verdict: str, state: str) -> None:
    """The magic's own words for what is wrong, the policy's for what is denied; no request, no log entry, no run."""
    before = traces(world)
    found = preflight(world.analyst, cell)
    assert found.verdict == verdict
    assert state in found.state
    assert traces(world) == before


@pytest.mark.parametrize(
    ("cell", "verdict", "state"),
    [
        ("%%safestream -i open -p age\nopen.age + age", "run", "allowed ✓"),
        (CELL.replace("-o", "-p shift -o"), "unknown", "with these values of shift"),
        (CELL.replace("'heart study'", "$why"), "unknown", "only the notebook knows why (--purpose)"),
        (CELL.replace("age,sex", "age,name").replace("'heart study'", "$why"), "no", "denied: columns"),
        (CELL.replace("reviewed:age,sex", "{table}"), "unknown", "table (--input)"),
        ("%%safestream -i open --time $long\nopen.agee\nx", "error", "x"),
        ("%%safestream -i open --purpose 'for 5 $$'\nopen", "run", "allowed ✓"),
        ("%%safestream -iopen -o$name\nopen", "unknown", "name (--output)"),
    ],
)
def test_what_only_the_notebook_knows_is_not_guessed(world: World, cell: str, verdict: str, state: str) -> None:
    """Values of variables are not here: what does not depend on them is judged all the same, the rest is said."""
    before = traces(world)
    found = preflight(world.analyst, cell)
    assert found.verdict == verdict
    assert state in found.state
    assert traces(world) == before


@needs_sandbox
def test_cells_of_a_session_are_told_too(world: World) -> None:
    """The opening cell as a run is; a later one is judged as the next of its session, and names of earlier cells are not."""
    world.seal("some", allow_code="reviewed")
    opening = "%%safestream --session look -i some -o n\nn = len(some)"
    found = preflight(world.analyst, opening)
    assert (found.verdict, found.state) == ("ask", "would ask hospital")
    assert "in session look" in found.line
    request = world.analyst.prepare_session(["some"], limits=LIMITS)
    world.analyst.open_session("look", request)
    run = world.analyst.run_cell("look", "n = len(some)", outputs=["n"], wait_for_approval=True)
    waiting = until(lambda: world.hospital.requests(waiting=True), "the cell is asked for")
    world.hospital.approve(waiting[0].id)
    assert finish(run).outputs == {"n": 300}
    before = traces(world)
    later = preflight(world.analyst, "%%safestream --session look -o m\nm = n + 1")
    assert (
        later.line
        == "runs remotely on hospital/some · age, name, sex, outcome in session look → table, figure leave to you"
    )
    assert later.verdict == "ask"
    assert [one.alias for one in later.tables] == ["some"]
    wrong = preflight(world.analyst, "%%safestream --session look --purpose x\nm = n")
    assert (wrong.verdict, wrong.state) == ("error", "This option belongs to the cell that opens the session.")
    assert traces(world) == before
    world.analyst.close_session("look")


def test_several_owners_and_sealed_code_are_in_the_line(world: World) -> None:
    """One denies: the cell would be denied, whatever the others say."""
    world.seal("accounts", pd.DataFrame({f"c{n}": [n] for n in range(9)}), owner="bank")
    world.hospital.seal_code("def f(x): return x", "helpers", tee="simulated-snp", requester=world.analyst.did)
    both = "%%safestream -i open -i accounts=money -c helpers\nmoney"
    found = preflight(world.analyst, both)
    named = "hospital/open · age, sex, bank/accounts · c0, c1, c2, c3, 5 more, hospital/helpers (code)"
    assert found.line == f"runs remotely on {named} → table, figure leave to you"
    assert [one.alias for one in found.tables] == ["open", "money"]
    assert preflight(world.analyst, both.replace("-c", "-i reviewed -c")).state == "would be denied: purpose"


def test_an_authority_that_is_silent_is_said_to_be(world: World) -> None:
    """Nobody takes silence for a denial, or for a mistake of theirs."""
    assert preflight(world.analyst, CELL).verdict == "ask"
    world.hospital.stop_serving()
    found = preflight(world.analyst, CELL)
    assert found.verdict == "unknown"
    assert found.tables, "what was looked up a moment ago is still known"


def test_an_authority_that_is_silent_holds_up_no_other_cell(world: World) -> None:
    """One that takes a connection and says nothing costs the cells of its own owner only."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        world.analyst._keep("authorities.json", {url: world.session("bank").did})
        assert preflight(world.analyst, "%%safestream -i open\nopen").state == "allowed ✓"


def test_typing_asks_for_an_asset_once_in_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause in typing asks for decisions, and not for the catalogue again."""
    preflight(world.analyst, CELL)
    for name in ("asset", "_named", "names"):
        monkeypatch.setattr(world.analyst, name, lambda *_: pytest.fail("looked up again"))
    assert preflight(world.analyst, CELL).verdict == "ask"


def test_what_others_chose_stays_one_line(world: World) -> None:
    """A column's or an owner's name adds no line, and a long one does not fill the screen."""
    evil = "a\n‮b<i>"
    world.seal("evil", pd.DataFrame({evil: [1], "x" * 5_000: [2]}), purpose=[evil])
    found = preflight(world.analyst, "%%safestream -i evil\nevil")
    assert found.state == "would be denied: purpose"
    texts = [found.line, found.state, *(column.name for table in found.tables for column in table.columns)]
    assert not any("\n" in text or "‮" in text for text in texts)
    assert "a⟦U+000A⟧⟦U+202E⟧b<i>" in found.line
    assert len(found.line) < 1_000


# --- the cells that seal --------------------------------------------------------------------------


def form(session: Session, name: str) -> dict[str, messages.PolicyField]:
    return {one.name: one for one in cells.form(Asked(session, query={"name": name})).fields}


def policy(session: Session, frame: str, name: str = "", *, code: bool = False, **options: str) -> messages.PolicyShown:
    given = {key.replace("_", "-"): value for key, value in options.items()}
    body = messages.PolicyAsked(frame=frame, name=name, code=code, options=given)
    return cells.policy(Asked(session, body=body))


def test_a_form_begins_with_the_policy_in_force(world: World) -> None:
    """An owner sees what holds now; without an asset of that name, the careful default."""
    found = form(world.hospital, "reviewed")
    assert found["columns"].value == "age\nsex"
    assert found["columns"].choices == ("age", "name", "sex", "outcome")
    assert found["purpose"].value == "heart study"
    assert found["tee"].value == "simulated-snp"
    new = form(world.hospital, "")
    assert (new["allow-code"].value, new["kinds"].value) == ("reviewed", "table\nfigure")
    assert new["tee"].value == "sev-snp\nsgx\ntdx", "no simulated one by default"
    assert all(one.help for one in new.values())


def test_options_become_a_cell_and_nothing_is_published(world: World) -> None:
    """What the cell would change stands beside it; whoever closes the form has changed nothing."""
    before = traces(world), [one.id for one in world.hospital.assets()]
    filled = {one.name: one.value for one in form(world.hospital, "reviewed").values()}
    shown = policy(world.hospital, "reviewed", **{**filled, "min-group": "12"})
    assert shown.replaces
    assert shown.changes[0] == "+ A row of a result describes at least 12 records."
    assert "--min-group 12" in shown.cell
    same = policy(world.hospital, "reviewed", **filled)
    assert same.changes == ("The policy stays as it is.",)
    assert policy(world.hospital, "my data.csv", "visits").cell == "%seal 'my data.csv' --as visits"
    assert policy(world.hospital, "x", "helpers", code=True, confidential="yes").cell.startswith(
        "%%seal helpers --conf"
    )
    assert (traces(world), [one.id for one in world.hospital.assets()]) == before


def test_options_that_mean_nothing_are_refused_before_a_cell_is_made(world: World) -> None:
    """A form says what is wrong while it is filled in."""
    for options, words in (
        ({"min_group": "0"}, "whole number"),
        ({"requester": "nobody"}, "Nobody is known"),
        ({"tee": "sgx3"}, "no such value"),
    ):
        with pytest.raises(BadInput, match=words):
            policy(world.hospital, "reviewed", **options)
    with pytest.raises(BadInput, match="An asset's name"):
        policy(world.hospital, "visits", "a b")
    assert policy(world.hospital, "fresh").replaces is False


def test_a_line_of_a_megabyte_keeps_nobody_busy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's notebook may have one in each cell: the line says so, and nobody is asked."""
    for name in ("x" * 15_000, "sha256:" + "0" * 15_000):
        shown = preflight(world.analyst, f"%%safestream -i {name} -o n\nn = 1")
        assert (shown.verdict, shown.state[:20]) == ("error", "There is no asset " + name[:2])
        assert len(shown.state) <= 400
    monkeypatch.setattr(cell_lines.shlex, "split", lambda *_: pytest.fail("it was read"))
    shown = preflight(world.analyst, f"%%safestream -i {'x' * 900_000} -o n\nn = 1")
    assert (shown.verdict, "too long" in shown.state) == ("error", True)

"""The panel's assets: what may be done with each, in words that its owner's policy and authority bear out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from e2e import LIMITS, World, finish, needs_sandbox, patients
from notebook_kit import shell_with_magics

from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.lab import assets, card_messages, messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.notebook import commands
from sls_jupyter.notebook.cell_lines import read_cell
from sls_jupyter.session import Session

REGISTER = "ab" * 48


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    yield made
    made.close()


def listed(session: Session, **query: str) -> messages.Assets:
    return assets.listed(Asked(session, query=query))


def page(session: Session, name: str) -> messages.AssetPage:
    row = next(one for one in listed(session).rows if one.called == name)
    return assets.page(Asked(session, path={"id": row.id}))


def withdraw(session: Session, id_: str, *, shred: bool = False) -> card_messages.CardData:
    return assets.withdraw(Asked(session, path={"id": id_}, body=messages.Withdraw(shred=shred))).card


def test_a_list_has_the_words_that_were_looked_for(world: World) -> None:
    """Name, owner and purpose are searched; a page has as many rows as it asks for, and says how many there are."""
    for number in range(3):
        world.seal(f"visits{number}", purpose=["heart study"] if number else ["billing"])
    world.seal("own", owner="analyst")
    everything = listed(world.analyst)
    assert everything.rows[0].called == "analyst/own", "mine stand first"
    assert [one.called for one in listed(world.analyst, q="HEART hosp").rows] == [
        "hospital/visits1",
        "hospital/visits2",
    ]
    short = listed(world.analyst, q="visits", most="2")
    assert (len(short.rows), short.total) == (2, 3)
    with pytest.raises(BadInput, match="number of rows"):
        listed(world.analyst, most="x")


def test_what_may_be_done_is_what_the_authority_would_decide(world: World) -> None:
    """Run now, ask, or not and why: nobody finds out by asking a person in vain."""
    world.seal("open")
    world.seal("reviewed", allow_code="reviewed", columns="age,sex")
    world.seal("hardware", tee="sev-snp")
    world.seal("theirs", requester=world.session("bank").did)
    found = {name: page(world.analyst, f"hospital/{name}") for name in ("open", "reviewed", "hardware", "theirs")}
    assert {name: one.choice.verdict for name, one in found.items()} == {
        "open": "run", "reviewed": "ask", "hardware": "no", "theirs": "no",
    }  # fmt: skip
    assert "on local" in found["open"].choice.words
    assert all(one.choice.because for name, one in found.items() if name != "open")
    assert [(one.name, one.granted) for one in found["reviewed"].columns] == [
        ("age", True), ("name", False), ("sex", True), ("outcome", False),
    ]  # fmt: skip
    assert "Only these columns may be used: age and sex." in found["reviewed"].policy
    assert world.hospital.requests() == [], "nobody was asked"


def test_a_confidential_schema_tells_no_column(world: World) -> None:
    """What its owner keeps back is in no message, and a cell is offered without it."""
    world.hospital.seal_code("def f(): return 1", "helpers", confidential=True, tee="simulated-snp")
    found = page(world.hospital, "hospital/helpers")
    assert found.columns == ()
    assert found.row.content == "code, confidential"
    assert "--confidential" in found.edit
    assert "def f" not in found.model_dump_json()


def test_versions_are_those_that_its_owner_signed(world: World) -> None:
    """The newest is open, the others closed; each has its page, and what cannot be looked up is no version."""
    for rows in (10, 20, 30):
        world.seal("patients", patients(rows))
    found = page(world.analyst, "hospital/patients")
    assert [(one.number, one.state) for one in found.versions] == [(3, "open"), (2, "closed"), (1, "closed")]
    old = assets.page(Asked(world.analyst, path={"id": found.versions[1].id}))
    assert [one.id for one in old.versions] == [one.id for one in found.versions]
    assert old.row.content.startswith("20 rows")
    assert old.choice.verdict in ("no", "unknown")
    assert found.versions[1].id in old.insert, "its name would mean the newest"


@needs_sandbox
@pytest.mark.parametrize("min_group", [None, 10])
def test_the_cell_that_is_offered_runs(world: World, min_group: int | None) -> None:
    """One click makes a cell that gives something, with a purpose that its owner names and columns that are granted."""
    world.seal("patients", columns="age,outcome", purpose=["50 $ {x} 'study'"], min_group=min_group)
    cell = read_cell(page(world.analyst, "hospital/patients").insert)
    assert cell.options.purpose == "50 $ {x} 'study'"
    assert cell.options.input == ["patients:age,outcome"]
    cell.options.memory = LIMITS.memory_bytes
    request = commands.prepare(world.analyst, cell.options, cell.body, {})
    result = finish(world.analyst.run(request), world.seconds).outputs["result"]
    assert "age" in result


def test_a_name_that_several_owners_have_is_written_with_its_owner(world: World) -> None:
    """The offered cell means the asset that somebody looked at, and no other."""
    world.seal("patients")
    world.seal("patients", owner="bank")
    for owner in ("hospital", "bank"):
        found = page(world.analyst, f"{owner}/patients")
        cell = read_cell(found.insert)
        assert [item.asset for item in commands.prepare(world.analyst, cell.options, cell.body, {}).spec.inputs] == [
            found.row.id
        ]


def test_a_name_that_no_variable_can_have_gets_another_one(world: World) -> None:
    """A cell over an asset called ``class`` is Python all the same; odd column names are left to come by themselves."""
    world.seal("class", pd.DataFrame({"a\nb": [1, 2], "weight, kg": [1, 2]}))
    cell = read_cell(page(world.analyst, "hospital/class").insert)
    assert cell.options.input == ["class=class_"]
    assert cell.body == "result = class_.describe()\n"


@pytest.mark.parametrize(
    "options",
    [
        {"columns": "age,sex", "min_group": 10, "purpose": ["a, b", "50 $ {x}"], "expires": "2030-01-01T00:00:00Z"},
        {"minimum_tcb": {"sev-snp": {"snp": 20}}, "registers": {"rtmr1": [REGISTER]}, "tee": "sev-snp,tdx"},
        {"purpose": ["first line\nsecond line"], "max_bytes": "5MB", "no_sessions": True},
    ],
)
def test_the_cell_that_seals_again_changes_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Run as it is offered, in a notebook, the policy in force is the policy in force, also what only a file can say."""
    world.hospital.seal(patients(), "patients", column_groups={"identity": ["name", "sex"]}, **options)
    before = world.hospital.asset("patients")
    text = page(world.hospital, "hospital/patients").edit
    assert "--group identity=name,sex" in text
    monkeypatch.setenv("SLS_HOME", str(world.root))
    monkeypatch.setenv("SLS_PERSONA", "hospital")
    monkeypatch.chdir(tmp_path)
    with shell_with_magics(tmp_path) as shell:
        shell.user_ns["patients"] = patients()
        assert shell.run_cell(text).success
        world.hospital._reachable = (-3600.0, [])
        after = world.hospital.asset("patients")
        assert after.id != before.id
        assert after.policy == before.policy
        assert page(world.hospital, "hospital/patients").edit == text


def test_own_code_comes_back_with_the_cell_that_seals_it(world: World, tmp_path: Path) -> None:
    """An edit of a policy does not begin with looking for the code."""
    world.hospital.seal_code("def f():\n    return 1\n", "helpers", tee="simulated-snp", requester=world.analyst.did)
    assert page(world.hospital, "hospital/helpers").edit.partition("\n")[2] == "def f():\n    return 1\n"
    assert page(world.analyst, "hospital/helpers").edit == "", "others seal nothing"
    assert "-c helpers" in page(world.analyst, "hospital/helpers").insert


def test_a_module_of_ones_own_has_to_be_named(world: World, tmp_path: Path) -> None:
    """A policy that is a file of its owner's stays one: the cell does not replace it with a weaker one silently."""
    module = tmp_path / "mine.rego"
    module.write_text('package sls.owner\n\ndecision := {"verdict": "allow"}\n')
    world.hospital.seal(patients(), "patients", policy=module, min_group=5)
    text = page(world.hospital, "hospital/patients").edit
    assert "--policy FILE.rego" in text
    assert "--min-group 5" in text


def test_only_an_owner_withdraws(world: World) -> None:
    """A version is closed by its owner, with its keys if that is wanted; somebody else's is none of theirs."""
    world.seal("patients")
    id_ = page(world.analyst, "hospital/patients").row.id
    with pytest.raises(UnknownName):
        withdraw(world.analyst, id_)
    assert page(world.analyst, "hospital/patients").versions[0].state == "open"
    assert withdraw(world.hospital, id_).title.startswith("Withdrawn")
    assert withdraw(world.hospital, id_, shred=True).title.startswith("Shredded")
    assert [one.called for one in listed(world.analyst).rows] == []


def test_what_a_hostile_owner_calls_things_stays_one_line(world: World) -> None:
    """Markup is text, and nothing in a column's name or a purpose adds a line or turns one around."""
    evil = "<b>x</b>\n‮evil"
    world.seal("patients", pd.DataFrame({evil: [1], "age": [2]}), purpose=[evil])
    found = page(world.analyst, "hospital/patients")
    shown = [found.row.called, *found.policy, *found.choice.because, *(one.name for one in found.columns)]
    assert not any("\n" in text or "‮" in text for text in [*shown, *found.row.purposes])
    assert any("<b>x</b>⟦U+000A⟧⟦U+202E⟧evil" in text for text in found.policy)
    assert "\n‮" not in found.insert

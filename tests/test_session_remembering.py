"""What a persona's folder says of runs and sessions, whatever somebody or a broken disk left in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import World
from cells_kit import Notebook

from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.spec import Recipient, StreamSpec
from sls_jupyter.documents import sign
from sls_jupyter.identity import Home
from sls_jupyter.session import Session
from sls_jupyter.session.remembering import kept_end

SESSION = {"name": "look", "state": "closed: asked", "opened_at": 1, "cells": 1}


class Folders:
    """A session and its first cell, as they lie in a persona's folder."""

    def __init__(self, path: Path) -> None:
        world = World(path / "world")
        notebook = Notebook.open(world)
        notebook.add("x = 1")
        self.me = Session(Home(path / "home", "me"))
        own = {"requester": self.me.did, "recipients": (Recipient.of(self.me._contact()),)}
        spec = StreamSpec.from_json(notebook.spec.model_copy(update=own).model_dump(mode="json"))
        order = notebook.orders[0].model_copy(update={"requester": self.me.did, "session": spec.digest})
        world.close()
        order = CellOrder.from_json(order.model_dump(mode="json"))
        self.run, self.session = (self._made(*one) for one in (("runs", order.digest), ("sessions", spec.digest)))
        for folder in (self.run, self.session):
            (folder / "spec.json").write_bytes(sign(spec, self.me.identity))
        (self.run / "order.json").write_bytes(sign(order, self.me.identity))
        (self.session / "session.json").write_text(json.dumps(SESSION))

    def _made(self, kind: str, digest: str) -> Path:
        folder = self.me.home.folder(kind) / digest.removeprefix("sha256:")[:12]
        folder.mkdir()
        return folder


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    found = Folders(tmp_path)
    yield found
    found.me.close()


@pytest.mark.parametrize("text", ["[1]", "null", "", "\0", '{"state": {"a": 1}}', '{"state": "a\\nb"}', '{"tee": 5}'])
def test_an_end_that_cannot_be_read_is_told_and_hides_no_run(folders: Folders, text: str) -> None:
    """One damaged file does not take the list of all runs away."""
    (folders.run / "end.json").write_text(text)
    (record,) = folders.me.runs()
    assert record.state.startswith("unknown")
    (folders.run / "end.json").write_text('{"state": "done", "reason": "ours"}')
    assert kept_end(folders.run)["state"] == folders.me.runs()[0].state == "done"


@pytest.mark.parametrize(
    "change", [{"name": "\x1b[31m"}, {"state": 5}, {"opened_at": 1e308}, {"cells": -5}, {"name": None}, {"more": 1}]
)
def test_a_session_that_cannot_be_read_is_none(folders: Folders, change: dict[str, object]) -> None:
    """Nor does it hide the others."""
    assert [one.name for one in folders.me.sessions()] == ["look"]
    (folders.session / "session.json").write_text(json.dumps(SESSION | change))
    assert folders.me.sessions() == []


def test_a_session_s_inputs_are_those_of_its_contract(folders: Folders) -> None:
    """What a cell of it will find; a session that there is not has none."""
    (record,) = folders.me.sessions()
    inputs = folders.me.inputs_of_session("look")
    assert tuple(item.alias for item in inputs) == record.inputs
    assert len(inputs) > 0
    assert folders.me.inputs_of_session("another") == ()


def test_a_copied_folder_is_no_other_run(folders: Folders) -> None:
    """What belongs to one contract is not shown, cancelled or fetched as another's."""
    for folder in (folders.run, folders.session):
        folder.rename(folder.with_name("0" * 12))
    assert (folders.me.runs(), folders.me.sessions()) == ([], [])

"""Pictures of runs: what kept events tell up to now, without following anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sls_jupyter.errors import VerificationError
from sls_jupyter.identity import Home, Identity
from sls_jupyter.session import pictures
from sls_jupyter.session.kept_events import KeptEvents, KeptReader
from sls_jupyter.session.pictures import Pictures

RUN = "sha256:" + "a" * 64


@pytest.fixture
def me(tmp_path: Path) -> Identity:
    return Home(tmp_path / "home", "analyst").identity()


class Shelf:
    """Runs of one folder, and a look at them."""

    def __init__(self, folder: Path, me: Identity) -> None:
        self.folder, self.me, self.made, self.pictures = folder, me, 0, Pictures()

    def kept(self, run: str = RUN) -> KeptEvents:
        return KeptEvents(self.folder / run[-8:], run, self.me)

    def reader(self, run: str) -> KeptReader:
        self.made += 1
        return KeptReader(self.folder / run[-8:], run, self.me)

    def look(self, run: str = RUN) -> pictures.Picture:
        return self.pictures.of(run, self.reader)


@pytest.fixture
def shelf(tmp_path: Path, me: Identity) -> Shelf:
    return Shelf(tmp_path, me)


def step(name: str, state: str) -> dict[str, object]:
    return {"type": "status", "step": {"name": name, "state": state, "began": 1.0, "seconds": 2.0, "detail": "words"}}


def test_a_picture_grows_with_what_is_kept(shelf: Shelf) -> None:
    """Each look reads what came since; what the cell showed is not kept in memory."""
    kept = shelf.kept()
    kept.append(0, step("planned", "active"))
    first = shelf.look()
    assert (first.state, first.steps["planned"].state, first.status()) == ("running", "active", "planned: words")
    kept.append(1, {"type": "stream", "name": "stdout", "text": "x" * 1000})
    kept.append(2, step("planned", "done"))
    kept.append(3, {"type": "summary", "facts": {"tee": "simulated-snp"}})
    kept.append(4, {"type": "ended", "state": "done", "problem": None})
    again = shelf.look()
    assert again is first
    assert (again.state, again.steps["planned"].state, again.summary) == ("done", "done", {"tee": "simulated-snp"})
    assert (shelf.made, len(again.journal)) == (1, 0)


def test_an_end_that_is_none_is_a_failure(shelf: Shelf) -> None:
    """A picture is of no other state than a run can have."""
    shelf.kept().append(0, {"type": "ended", "state": "<b>", "problem": {"type": "x", "detail": "why"}})
    assert shelf.look().state == "failed"


def test_a_run_that_was_begun_anew_is_drawn_anew(shelf: Shelf) -> None:
    """The same cell run again under one contract has other events in the same file."""
    before = shelf.kept()
    for number in range(5):
        before.append(number, step("planned", "done"))
    assert shelf.look().steps["planned"].state == "done"
    after = shelf.kept()
    assert shelf.look().steps["planned"].state == "waiting"
    for number in range(9):
        after.append(number, step("approved", "active"))
    assert shelf.look().steps["approved"].state == "active"


def test_events_of_another_length_that_took_their_place_are_drawn_anew(shelf: Shelf) -> None:
    """Also where the file is longer by the time that somebody looks."""
    shelf.kept().append(0, step("planned", "done"))
    shelf.look()
    after = shelf.kept()
    for number in range(9):
        after.append(number, step("approved", "active"))
    found = shelf.look()
    assert (found.steps["planned"].state, found.steps["approved"].state) == ("waiting", "active")


def test_events_that_were_changed_are_refused(shelf: Shelf) -> None:
    """Nobody draws what nobody kept."""
    shelf.kept().append(0, step("planned", "done"))
    path = shelf.folder / RUN[-8:]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    for _ in range(2):
        with pytest.raises(VerificationError):
            shelf.look()


def test_a_few_pictures_are_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at every run there is does not fill the memory; those looked at last stay."""
    monkeypatch.setattr(pictures, "MAX_PICTURES", 2)
    runs = [f"sha256:{number:064d}" for number in range(3)]
    for run in runs:
        shelf.kept(run).append(0, step("planned", "done"))
        shelf.look(run)
    assert shelf.made == 3
    shelf.look(runs[2])
    shelf.look(runs[1])
    assert shelf.made == 3
    shelf.look(runs[0])
    assert shelf.made == 4

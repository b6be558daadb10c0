"""Following one cell: its end comes, whatever one of the doors does not say."""

from __future__ import annotations

from typing import Any

import pytest

from sls_jupyter.errors import Unavailable
from sls_jupyter.safestream import following
from sls_jupyter.safestream.following import CellEvents
from sls_jupyter.safestream.run import Run

END = {"type": "end", "cell": 2, "status": "ok"}
FINISHED = {"type": "finished", "cell": 2, "status": "ok"}


class Door:
    """A door that tells this, and then breaks if it is to."""

    def __init__(self, *events: dict[str, Any], breaks: bool = False) -> None:
        self.told, self.breaks = events, breaks

    def events(self) -> Any:
        yield from self.told
        if self.breaks:
            raise Unavailable("The connection to the container group broke.")


def followed(*doors: tuple[str, Door]) -> tuple[dict[str, Any], list[Any]]:
    found, run, reasons = CellEvents(), Run("sha256:" + "0" * 64, lambda _: None), list[str]()
    for name, door in doors:
        found.pump(name, door, reasons.append)  # type: ignore[arg-type]
    end = found.to_end(run, 2, {}, 1.0)
    events, _ = run.journal.since(0)
    return end, [event for event in events if event["type"] == "stream"]


def test_content_of_this_cell_is_passed_on_and_no_others() -> None:
    """What is told late of cell 1 is not shown in cell 2."""
    text = {"type": "stream", "name": "stdout", "text": "x"}
    told = ({**text, "cell": 1}, {**text, "cell": 2}, END)
    end, shown = followed(("output", Door(*told)), ("input", Door(FINISHED)))
    assert (end, shown) == (END, [{**text, "cell": 2}])


def test_an_input_that_says_nothing_keeps_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that answers the output and never its input would hold the notebook, and the end of the session, for ever."""
    monkeypatch.setattr(following, "FINISH_SECONDS", 0.1)
    found = CellEvents()
    found._events.put(("output", END))
    assert found.to_end(Run("sha256:" + "0" * 64, lambda _: None), 2, {}, 1.0) == END
    assert followed(("output", Door(END, {"type": "closed", "reason": "idle"})))[0] == END


def test_a_group_that_goes_without_a_word_is_an_error() -> None:
    """No end is made up."""
    for door in (Door(), Door(breaks=True), Door({**END, "cell": 1})):
        with pytest.raises(Unavailable):
            followed(("input", Door()), ("output", door))


def test_an_input_that_fails_ends_the_cell() -> None:
    """Its problem is the end; nothing more will come."""
    failed = {"type": "failed", "cell": 2, "problem": {"type": "x"}}
    assert followed(("input", Door(failed)))[0] == {"status": "failed", "problem": {"type": "x"}}


def test_a_group_that_is_held_up_keeps_no_notebook() -> None:
    """A host that stops its machine, and no connection, would have the notebook wait for ever."""
    with pytest.raises(Unavailable, match="does not tell"):
        CellEvents().to_end(Run("sha256:" + "0" * 64, lambda _: None), 2, {}, 0.05)

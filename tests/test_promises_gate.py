"""What leaves a whole run: the values of allowed rows, plain pictures and texts, to recipients only."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from e2e import Ended, World, needs_sandbox, world

from sls_jupyter.errors import ProgramFailed
from sls_jupyter.guest.bundle import unseal
from sls_jupyter.session import Session

__all__ = ["world"]
pytestmark = needs_sandbox
SECRET = "patient 7"
FIGURE = 'from IPython.display import display\ndisplay({"image/svg+xml": "<svg><rect/></svg>"}, raw=True)'


def bundle(session: Session, ended: Ended) -> bytes:
    """The unsealed bytes of a run's result, as a recipient has them."""
    record, sealed = session._sealed_result(ended.run.id)
    return unseal(sealed, record.contract, session.did, session.identity.hpke)


def test_suppressed_values_and_further_rows_are_not_in_the_bytes(world: World) -> None:
    """A recipient who reads the buffers of a table finds what the table shows."""
    rows = pd.DataFrame({"income": pd.array([1, 2, 3], "Int64"), "name": ["a", "b", SECRET]})
    rows["wage"] = pd.array([0.5, 0.25, 0.123456789], "Float64")
    world.seal("wages", rows, kinds="table", max_rows=2)
    cell = "x = wages.iloc[::-1].copy()\nx.loc[2, ['income', 'wage', 'name']] = None\ny = wages[['name']]"
    ended = world.do(cell, ["wages"], outputs=["x", "y"])
    assert ended.outputs["x"].income.isna().tolist() == [True, False]
    data = bundle(world.analyst, ended)
    assert np.float64(0.123456789).tobytes() not in data
    assert SECRET.encode() not in data


def test_the_words_of_a_schema_do_not_leave(world: World) -> None:
    """Under a limit of one row the metadata of that row's table could be all the others."""
    cell = f"""
import pyarrow as pa
words = {{"pandas": "{SECRET}", "sls.pandas": "{SECRET}", "other": "{SECRET}"}}
x = pa.table({{"n": [300]}}).replace_schema_metadata(words)
y = free.head(1).copy()
y.attrs["note"] = "{SECRET}"
y
"""
    ended = world.do(cell, outputs=["x", "y"])
    assert isinstance(ended.outputs["x"], pa.Table)
    assert not ended.outputs["x"].schema.metadata
    assert ended.outputs["y"].attrs == {}
    assert SECRET.encode() not in bundle(world.analyst, ended)


def test_a_requester_who_is_no_recipient_learns_how_it_ended(world: World) -> None:
    """Results for the board only: whatever the cell chooses must not reach who asked for the run."""
    board = world.session("board")
    board.own_authority()
    world.seal("closed", recipient=[board.did], full_errors=True, kinds="table,text")
    cell = f"""
print('{SECRET}')
x = closed.head(2)
x
class {SECRET.replace(" ", "")}(KeyError): pass
raise {SECRET.replace(" ", "")}('{SECRET}')
"""
    told = []
    for code in (cell, "x = closed.head(2)\n" + FIGURE, "import os\nx = 1\nos._exit(77)"):
        ended = world.do(code, ["closed"], outputs=["x"], recipients=[board.did])
        assert ended.events == []
        assert ended.run.outputs == {}
        steps = [(step.detail, step.evidence) for step in ended.run.steps]
        told.append(
            json.dumps([steps, ended.run.summary, str(ended.run.error), getattr(ended.run.error, "detail", {})])
        )
        assert "withheld" not in ended.run.summary
        assert "tables" not in ended.run.summary
    assert isinstance(world.do(cell, ["closed"], recipients=[board.did]).run.error, ProgramFailed)
    assert not any(word in text for text in told for word in ("patient", "KeyError", "died 77"))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("class patient7(KeyError): pass\nraise patient7('x')", "KeyError"),
        ("class patient7(Exception): pass\nraise patient7('x')", "Exception"),
        ("raise pd.errors.MergeError('x')", "MergeError"),
    ],
)
def test_an_invented_error_is_its_nearest_known_base(world: World, raised: str, told: str) -> None:
    """Without --full-errors the name of a class is the one word that leaves."""
    ended = world.do(raised, ["guarded"])
    assert isinstance(ended.error, ProgramFailed)
    assert "error" in ended.error.detail, (ended.error, ended.events)
    assert ended.error.detail["error"]["name"] == told
    assert b"patient7" not in bundle(world.analyst, ended)


def test_displays_leave_without_what_fetches_or_hides(world: World) -> None:
    """The live events and the sealed result say the same, and a renderer fetches nothing of it."""
    cell = """
from IPython.display import display
def show(**data): display({name.replace("_", "/").replace("-", "+"): text for name, text in data.items()}, raw=True)
show(text_markdown="a !<!-- -->[plot](http://bad.example/x)", text_plain="a\\x1b]0;bad\\x07\\u202e")
show(text_html="<p title=bad>b<img src=//bad.example></p>")
display({"image/svg+xml": "<svg><title>bad</title><text>c</text><image href='//bad.example'/></svg>"}, raw=True)
print("d\\x1b[31m\\x9b1m")
"""
    ended = world.do(cell)
    assert ended.run.error is None
    shown = [event["data"] for event in ended.of("display")]
    assert shown[0] == {"text/markdown": "a plot", "text/plain": "a"}
    assert shown[1] == {"text/html": "<p>b</p>"}
    assert "<text>c</text>" in shown[2]["image/svg+xml"]
    assert ended.of("stream")[0]["text"] == "d\n"
    assert b"bad" not in bundle(world.analyst, ended)


def test_what_cannot_be_cleaned_in_time_holds_nothing_back(world: World) -> None:
    """A figure under cleaning waits for itself only; what is printed after it leaves, and the run ends as it should."""
    cell = """
from IPython.display import display
display({"text/html": "<div>" * 60_000}, raw=True)
display({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><desc>" + "<div>" * 60_000}, raw=True)
print("after")
x = 1
"""
    ended = world.do(cell, outputs=["x"])
    assert ended.outputs == {"x": 1}
    assert [event["text"] for event in ended.of("stream")] == ["after\n"]
    assert ended.run.summary["withheld"] == {"unsafe": 2}

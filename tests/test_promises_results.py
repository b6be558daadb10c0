"""Promises on results, on whole runs: no person's row under a smallest group, and everything else as the cell had it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from e2e import World, needs_sandbox, world

from sls_jupyter.errors import OutputWithheld, ProgramFailed, RunFailed, SlsError

__all__ = ["world"]
pytestmark = needs_sandbox


def error_of(world: World, code: str, inputs: tuple[str, ...] = ("free",), **options: Any) -> SlsError:
    return world.do(code, inputs, outputs=["got"], **options).error


HONEST = """
got = pd.crosstab(guarded.sex, guarded.outcome, margins=True)
shares = guarded.groupby("sex").outcome.mean().mul(100).round(1).rename({"f": "women", "m": "men"})
wide = guarded.groupby(["sex", "outcome"]).age.mean().unstack()
"""


def test_honest_tables_of_large_groups_leave_as_they_are(world: World) -> None:
    """Cross tables, shares under readable labels and pivots need no magic under a smallest group."""
    found = world.do(HONEST, ["guarded"], outputs=["got", "shares", "wide"]).outputs
    assert found["got"].loc["All", "All"] == 300
    assert list(found["shares"].index) == ["women", "men"]
    assert found["wide"].shape == (2, 2)


def test_maps_and_pairs_come_back(world: World) -> None:
    """A table of another library keeps its map columns, and so does a frame, in which they are lists of pairs."""
    code = """
import pandas as pd, pyarrow as pa
table = pa.table({"m": pa.array([[("a", 1), ("b", None)], None, []], pa.map_(pa.string(), pa.int64()))})
pairs = pd.DataFrame({"m": [[("a", 1), ("b", None)], None, []]})
typed = table.to_pandas(types_mapper=pd.ArrowDtype)
"""
    found = world.do(code, ["free"], outputs=["table", "pairs", "typed"]).outputs
    assert found["table"].to_pydict() == {"m": [[("a", 1), ("b", None)], None, []]}
    assert found["pairs"].m.tolist() == [[("a", 1), ("b", None)], None, []]
    assert str(found["typed"].m.dtype) == "map<string, int64>[pyarrow]"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("got = guarded.rename(columns={'age': 'n'})", "size"),
        ("got = guarded.groupby('sex').agg('first')", "first, min, max"),
        (
            "got = guarded.groupby('sex').age.mean().loc[guarded.sex].to_frame().assign(a=guarded.age.values)",
            "a column with values",
        ),
        ("got = pd.crosstab(guarded.sex, guarded.age)", "large enough"),
        ("got = guarded.groupby('sex').age.describe()", "'min'"),
    ],
    ids=["a column called n", "first", "persons beside", "small groups", "describe"],
)
def test_rows_about_persons_do_not_leave_and_the_reason_is_told(world: World, code: str, word: str) -> None:
    """The message names the column and what would work."""
    error = error_of(world, code, ("guarded",))
    assert isinstance(error, OutputWithheld)
    assert word in f"{error.found} {error.hint}"


def test_the_reason_tells_no_name_that_the_cell_chose(world: World) -> None:
    """Under a smallest group a column's name of the cell's own could be a patient's."""
    error = error_of(world, "got = guarded[['age']].rename(columns={'age': 'patient 7 is ill'})", ("guarded",))
    assert isinstance(error, OutputWithheld)
    assert "patient 7" not in f"{error.message} {error.found} {error.hint} {error.detail}"


def test_a_result_that_fails_while_it_is_computed_ends_the_run_with_its_error(world: World) -> None:
    """A lazy query is computed when it is collected; its error is the cell's."""
    code = "import polars as pl\ngot = pl.DataFrame({'a': ['x']}).lazy().select(pl.col('a').cast(pl.Int64))"
    error = error_of(world, code)
    assert isinstance(error, ProgramFailed)
    assert "conversion" in str(error.found)


def test_cells_within_cells_are_not_the_end(world: World) -> None:
    """``run_cell`` and ``%run`` are steps of the cell; its outputs are collected after it."""
    code = """
shell = get_ipython()
shell.run_cell("first = 1")
shell.run_cell("")
import os, tempfile
path = os.path.join(tempfile.mkdtemp(), "part.ipy")
with open(path, "w") as file: file.write("second = 2\\n")
shell.run_line_magic("run", path)
got = [first, second, 3]
"""
    assert world.do(code, outputs=["got"]).outputs["got"] == [1, 2, 3]


def test_what_has_no_form_is_told_by_column_and_reason(world: World) -> None:
    """Not "found a DataFrame, expected a DataFrame"."""
    error = error_of(world, "got = pd.DataFrame({'fine': [1], 'odd': [object()]})")
    assert isinstance(error, RunFailed)
    assert "'odd'" in str(error.found)
    assert error.hint


def test_parameters_and_values_go_in_and_come_out_equal(world: World) -> None:
    """Floats, order, keys, digits, times and arrays, there and back."""
    given = {"b": 1.0, "a": [2**60 + 1, None], 3: pd.Timestamp("2020-01-01", tz="UTC"), "x": (np.nan, b"\0")}
    ended = world.do("got = p\narray = q * 2", outputs=["got", "array"], parameters={"p": given, "q": np.arange(3.0)})
    assert repr(ended.outputs["got"]) == repr(given)
    assert repr(ended.outputs["array"]) == repr(np.arange(3.0) * 2)


def test_the_last_state_of_a_display_is_what_stays(world: World) -> None:
    """An update replaces what it updates, a progress bar its line, a cleared screen is empty."""
    code = """
from IPython.display import clear_output
print("before"); clear_output()
handle = display("first state", display_id=True)
for i in range(3): print(f"\\r{i} of 2", end="", flush=True)
handle.update("last state")
print()
"""
    ended = world.do(code)
    told = [(event["type"], event.get("update", False)) for event in ended.events]
    assert ("clear", False) in told
    assert ("display", True) in told
    assert ended.of("display")[0]["display"] == ended.of("display")[1]["display"]
    assert "last state" in ended.of("display")[1]["data"]["text/plain"]
    assert any(event["text"].startswith("\r2 of 2") for event in ended.of("stream"))


STYLED = """
from IPython.display import HTML
display(pd.DataFrame({"a": [1]}).style.map(lambda v: "color: red; background: url(//evil)"))
display(HTML("<script>alert(1)</script>"))
"""


def test_a_styled_table_keeps_its_colours_and_a_lost_one_is_counted(world: World) -> None:
    """Colours are a look; an address is none; and markup of which nothing is left is said to be withheld."""
    ended = world.do(STYLED)
    page = ended.of("display")[0]["data"]["text/html"]
    assert 'style="color: red"' in page
    assert "evil" not in page
    assert ended.run.summary["withheld"]["unsafe"] >= 1


def test_a_jpeg_leaves_as_one(world: World) -> None:
    """The gate lists it, so it lets it out."""
    code = (
        "%config InlineBackend.figure_formats = ['jpeg']\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    )
    assert "image/jpeg" in world.do(code).of("display")[0]["data"]

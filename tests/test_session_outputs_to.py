"""Outputs as files: every value comes back, nothing is written over, nothing is half there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sls_jupyter.documents import b64encode
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.guest.bundle import Result
from sls_jupyter.guest.values import to_stream
from sls_jupyter.session.outputs_to import read_output, write_outputs

FRAME = pd.DataFrame(
    {"n": pd.array([1, None], "Int64"), 2: pd.Categorical(["a", "b"]), "t": pd.to_timedelta([1, 2], "s")},
    index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None]),
)


def table_of(value: Any) -> tuple[dict[str, Any], pa.Table]:
    out = to_stream(value)
    return {"name": "out", "shape": out.shape, "rows": 1}, pa.Table.from_batches(out.batches, out.schema)


def written(folder: Path, tables: tuple[Any, ...] = (), events: tuple[Any, ...] = ()) -> dict[str, Path]:
    return {path.name: path for path in write_outputs(folder / "new", Result(events, tables, {}))}


@pytest.mark.parametrize("value", [FRAME, FRAME["n"], pd.DataFrame(), pd.DataFrame({"x": [np.float32(1)]})])
def test_a_frame_comes_back_exactly(tmp_path: Path, value: Any) -> None:
    """Index, labels and types are those that the cell had."""
    found = read_output(written(tmp_path, (table_of(value),))["out.parquet"])
    same = pd.testing.assert_series_equal if isinstance(value, pd.Series) else pd.testing.assert_frame_equal
    same(found, value)


def test_pandas_reads_the_file_as_it_is(tmp_path: Path) -> None:
    """Colleagues without this package use it."""
    plain = pd.DataFrame({"sex": ["f", "m"], "age": [1.5, 2.0]})
    pd.testing.assert_frame_equal(
        pd.read_parquet(written(tmp_path, (table_of(plain),))["out.parquet"]), plain, check_dtype=False
    )


def test_what_the_cell_showed_is_there_too(tmp_path: Path) -> None:
    """Figures, in their last state; text; tables that were shown and not named."""
    out = to_stream(pd.DataFrame({"a": [1]}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, out.schema) as writer:
        for batch in out.batches:
            writer.write_batch(batch)
    events = (
        {"type": "stream", "name": "stdout", "text": "hello\n"},
        {"type": "display", "data": {"image/png": b64encode(b"first")}, "display": 1},
        {"type": "table", "table": b64encode(sink.getvalue().to_pybytes()), "shape": "frame"},
        {"type": "display", "data": {"image/png": b64encode(b"last")}, "display": 1, "update": True},
        {"type": "display", "data": {"image/svg+xml": "<svg/>", "text/plain": "x"}, "display": None},
        {"type": "display", "data": {"text/plain": "42"}},
        {"type": "error", "error": {"name": "E"}},
    )
    found = written(
        tmp_path, (table_of({"a": [1, 2]}), ({**table_of("words")[0], "name": "w"}, table_of("words")[1])), events
    )
    assert list(found) == ["out.txt", "w.txt", "figure-1.png", "shown-2.parquet", "figure-3.svg", "text.txt"]
    assert found["out.txt"].read_text() == "{'a': [1, 2]}"
    assert found["w.txt"].read_text() == "words"
    assert found["figure-1.png"].read_bytes() == b"last"
    assert found["text.txt"].read_text() == "hello\n42\n"
    assert list(read_output(found["shown-2.parquet"]).columns) == ["a"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in found.values())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder with something in it stays as it is."""
    (tmp_path / "new").mkdir()
    assert "out.txt" in written(tmp_path, (table_of(1),))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match="nothing is written over"):
        written(tmp_path, (table_of(2),))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_s_name_is_not_a_path(tmp_path: Path) -> None:
    """The index of a result is another party's: nothing is written beside the folder, and nothing is half there."""
    about, table = table_of(FRAME)
    with pytest.raises(MalformedDocument):
        written(tmp_path, (({**about, "name": "../evil"}, table),))
    assert list(tmp_path.iterdir()) == []


def test_what_parquet_does_not_have_is_arrow(tmp_path: Path) -> None:
    """A value leaves the group, so it comes to the folder."""
    table = pa.table({"i": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    found = written(tmp_path, (({"name": "out", "shape": "arrow"}, table),))
    assert read_output(found["out.arrow"]).equals(table)

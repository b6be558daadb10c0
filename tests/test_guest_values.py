"""Values out of the program: what goes in comes out equal, through the gate, and the rest is refused by name."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.guest.gate import Gate
from sls_jupyter.guest.tables import written
from sls_jupyter.guest.values import Unreturnable, restore, to_stream

DATA = pd.DataFrame(
    {"k": ["a", "b"] * 50, "v": np.arange(100.0), "c": pd.Categorical(["x", "y"] * 50, categories=["x", "y", "z"])}
)
FRAME = pd.DataFrame(
    {"a": [1, None], "b": pd.Categorical(["x", "y"]), "c": pd.to_datetime(["2020-01-01", None], utc=True)}
)
FRAMES: dict[str, pd.DataFrame] = {
    "plain": FRAME,
    "category as index": FRAME.set_index("b"),
    "no rows": FRAME.iloc[:0],
    "no rows, unused categories": DATA[DATA.v > 1e9],
    "no columns": FRAME[[]],
    "nothing": pd.DataFrame(),
    "cross table of a condition": pd.crosstab(DATA.k, DATA.v > 50),
    "with margins": pd.crosstab(DATA.v > 50, DATA.k, margins=True),
    "a condition reset": pd.crosstab(DATA.k, DATA.v > 50).reset_index(),
    "described": DATA.describe(include="all"),
    "cut as index": DATA.groupby([pd.cut(DATA.v, 4), "k"], observed=False).size().unstack(),
    "cut as labels": DATA.groupby(["k", pd.cut(DATA.v, 4)], observed=False).size().unstack(),
    "categories as labels": DATA.groupby(["k", "c"], observed=True).v.mean().unstack(),
    "quantiles as labels": DATA.groupby("k").v.quantile([0.25, 0.5]).unstack(),
    "periods as labels": pd.DataFrame([[1, 2]], columns=pd.period_range("2020-01", periods=2, freq="M")),
    "dates as labels": pd.DataFrame([[1, 2]], columns=[dt.date(2020, 1, 1), dt.date(2021, 1, 1)]),
    "times as labels": pd.DataFrame([[1, 2, 3]], columns=pd.date_range("2020", periods=3, freq="D")),
    "intervals as labels": pd.DataFrame([[1, 2]], columns=pd.interval_range(0, 2)),
    "two levels of labels": DATA.groupby("k").agg({"v": ["mean", "std"]}),
    "levels without a name": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
    "doubled labels": pd.DataFrame([[1, "a"]], columns=["a", "a"]),
    "a missing label": pd.DataFrame([[1, 2]], columns=["a", np.nan]),
    "an index named 0": pd.DataFrame({"a": [1]}, index=pd.Index([5], name=0)),
    "labels named 0": pd.DataFrame({"a": [1]}).rename_axis(columns=0),
    "time spans with a frequency": pd.DataFrame({"v": range(5)}, pd.timedelta_range("1h", periods=5, freq="30min")),
    "months": pd.DataFrame({"n": range(60)}, pd.date_range("2020", periods=60)).resample("ME").sum(),
    "sparse dummies": pd.get_dummies(DATA.k, sparse=True),
    "mixed index": pd.DataFrame({"v": [1, 2, 3]}, index=[False, True, "All"]),
    "mixed column": pd.DataFrame({"m": [1, "a", None, 2.5, dt.date(2020, 1, 1), {1: 2}, [1], {3}]}),
    "long integers": pd.DataFrame({"m": [2**70, 1]}),
    "index named as a column": DATA.set_index("k", drop=False),
}
SERIES: dict[str, pd.Series[Any]] = {
    "no name": DATA.groupby("k").size(),
    "a number": pd.Series([1.5], name=0),
    "a tuple": pd.Series([1], name=("a", 1)),
    "a time": pd.Series([1], name=pd.Timestamp("2020")),
    "a row": DATA.iloc[0],
    "counts": DATA.k.value_counts(),
    "named as its index": pd.Series([1, 2], index=pd.Index([1, 2], name="v"), name="v"),
    "hours": pd.Series(range(3), index=pd.date_range("2020", periods=3, freq="h")),
    "categories": DATA.c,
    "cut and counted": pd.cut(DATA.v, 3).value_counts(),
}
POLARS: list[Any] = [
    pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [[1], None], "d": [{"q": 1}, {"q": 2}]}),
    pl.DataFrame(
        {
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "e": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a", "z"])),
            "t": [dt.time(1), None],
            "p": [Decimal("1.5"), None],
            "n": [None, None],
        }
    ),
    pl.Series("s", [1, None]),
    pl.Series([1]),
    pl.DataFrame(),
]
labels = st.one_of(
    st.booleans(),
    st.integers(-5, 5),
    st.text("ab", max_size=2),
    st.floats(-2, 2),
    st.dates(),
    st.none(),
    st.just(("a", 1)),
)


def through(value: Any, **rules: Any) -> Any:
    """To the wire, through the gate, and back."""
    sink = io.BytesIO()
    outgoing = to_stream(value)
    outgoing.write(sink)
    gate = Gate(Obligations(**rules))
    found = gate.table("x", outgoing.shape, pa.ipc.open_stream(sink.getvalue()).read_all())
    assert found is not None, gate.withheld
    return restore(pa.ipc.open_stream(written(found.table)).read_all(), found.shape)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_equal(name: str) -> None:
    """A result has the dtypes, labels, index and frequency that the cell gave it."""
    pd.testing.assert_frame_equal(
        through(FRAMES[name]), FRAMES[name], check_freq=True, check_column_type=True, check_exact=True
    )


@pytest.mark.parametrize("name", SERIES)
def test_a_series_comes_back_with_its_name(name: str) -> None:
    """A name is nothing, a number or a tuple as often as a text."""
    pd.testing.assert_series_equal(through(SERIES[name]), SERIES[name], check_freq=True, check_exact=True)


@settings(deadline=None, max_examples=100)
@given(columns=st.lists(labels, min_size=1, max_size=4), index=st.lists(labels, min_size=1, max_size=4), name=labels)
def test_labels_of_any_kind_come_back_or_are_refused(columns: list[Any], index: list[Any], name: Any) -> None:
    """What ``unstack`` and margins make of data is never changed silently."""
    frame = pd.DataFrame(
        np.arange(len(columns) * len(index)).reshape(len(index), -1),
        columns=pd.Index(columns, tupleize_cols=False, name=name),
        index=pd.Index(index, tupleize_cols=False, name=name),
    )
    try:
        back = through(frame)
    except Unreturnable as error:
        assert "label" in error.why or "index" in error.why, error.why  # noqa: PT017
        return
    pd.testing.assert_frame_equal(back, frame, check_column_type=True, check_index_type=True)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(labels, st.lists(st.integers(), max_size=2), st.sets(st.text("ab"), max_size=2)), max_size=6))
def test_a_column_of_anything_comes_back_or_is_refused(cells: list[Any]) -> None:
    """``describe(include="all")`` mixes counts, texts and times in one column."""
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    try:
        back = through(pd.DataFrame({"mixed": pd.Series(column, dtype=object)}))
    except Unreturnable as error:
        assert "mixed" in error.why  # noqa: PT017
        return
    for found, given_value in zip(back.mixed, cells, strict=True):
        assert (
            isinstance(given_value, list)
            or repr(found) == repr(given_value)
            or (found != found) is (given_value is None)
        )


@pytest.mark.parametrize("value", POLARS, ids=["frame", "kinds", "series", "nameless", "empty"])
def test_polars_stays_polars(value: Any) -> None:
    """Its frames and Series come back as they are, enums and categories too."""
    back = through(value)
    assert type(back) is type(value)
    assert back.equals(value)
    assert str(getattr(back, "schema", back)) == str(getattr(value, "schema", value))


def test_a_lazy_frame_is_computed_and_arrow_stays_arrow() -> None:
    """What is not a table yet becomes one in the group."""
    assert through(pl.DataFrame({"a": [1]}).lazy()).equals(pl.DataFrame({"a": [1]}))
    assert through(pa.table({"a": ["x"]})).to_pydict() == {"a": ["x"]}


@pytest.mark.parametrize(
    "value",
    [
        *(7, 2.5, True, "text", "", None, 1.0, 2**70, (1, 2), [1, "a"], {"b": 1.0, 1: [2]}, {"a": np.nan}),
        *(np.float64(2.5), np.float32(1.5), np.int64(3), np.arange(4).reshape(2, 2), pd.Timestamp("2020"), pd.NaT),
        *(Decimal("1.10"), dt.date(2020, 1, 1)),
    ],
    ids=repr,
)
def test_a_plain_value_comes_back_as_itself(value: Any) -> None:
    """A mean is a number, a model's coefficients are an array; none becomes a table."""
    back = through(value)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_a_long_list_is_rows_too() -> None:
    """A limit of rows is not passed by a list of them."""
    sink = io.BytesIO()
    to_stream([1] * 11).write(sink)
    gate = Gate(Obligations(max_rows=10))
    assert gate.table("x", "value", pa.ipc.open_stream(sink.getvalue()).read_all()) is None
    assert gate.withheld["rows"] == 1
    assert through([1] * 10, max_rows=10) == [1] * 10


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (object(), "object"),
        (lambda: 1, "function"),
        ({"a": [1, {2: object()}]}, "['a'][1][2]"),
        (pd.DataFrame({"a": [object(), 1]}), "'a'"),
        (pl.DataFrame({"o": pl.Series(["a", 5], dtype=pl.Object)}), "'o'"),
    ],
)
def test_what_has_no_exact_form_is_refused_by_name(value: Any, word: str) -> None:
    """Nothing is pickled and nothing guessed; the reason names the place."""
    with pytest.raises(Unreturnable) as raised:
        to_stream(value)
    assert raised.value.type_name == type(value).__name__
    assert word in raised.value.why


def test_an_error_of_a_lazy_value_is_its_own() -> None:
    """A query that fails says why, and is not taken for a value without a form."""
    lazy = pl.DataFrame({"a": ["x"]}).lazy().select(pl.col("a").cast(pl.Int64))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        to_stream(lazy)

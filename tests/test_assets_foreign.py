"""polars and duckdb: what their way to Arrow would change is refused by column; their errors become ours."""

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from assets_kit import frame, reader, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from sls_jupyter.errors import BadInput, SlsError, UnsealableData

BIG = 2**60 + 1


@settings(max_examples=60, deadline=None)
@given(before=dataframes(max_cols=3, max_size=8, allow_null=True, allow_masked=False, min_cols=1))
def test_any_polars_frame_is_sealed_or_refused_by_column(before, tmp_path_factory):
    """All that polars itself would make of its Arrow data comes back, and a cell can open it."""
    try:
        asset = seal_at(tmp_path_factory.mktemp("p") / "a", before)
    except SlsError as error:
        assert any(repr(name) in str(error) for name in before.columns)  # noqa: PT017
        return
    back = reader(asset).read_all()
    want = before.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    assert back.to_pylist() == want.to_pylist() or pl.from_arrow(back).equals(pl.from_arrow(want))
    assert frame(asset).shape == before.shape


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("odd one", ["a", 5], dtype=pl.Object),
        pl.Series("odd one", [1], dtype=pl.Int128),
        pl.Series("odd one", [["a"]], dtype=pl.List(pl.Categorical)),
        pl.Series("odd one", [1001], dtype=pl.Int64).cast(pl.Time),
    ],
    ids=lambda series: str(series.dtype),
)
def test_polars_types_that_cannot_be_opened(series, tmp_path):
    """Python objects would be sealed as addresses; the others have no value in a cell."""
    with pytest.raises(UnsealableData, match="'odd one'") as caught:
        seal_at(tmp_path / "a", pl.DataFrame([pl.Series("fine", [1] * len(series)), series]))
    assert caught.value.hint
    assert not (tmp_path / "a").exists()


def test_polars_integers_with_a_gap(tmp_path):
    """One null costs no digit; nor does it in a list, a struct or an array."""
    before = pl.DataFrame(
        {
            "id": [BIG, None],
            "ids": [[BIG, None], None],
            "one": [{"id": BIG}, {"id": None}],
            "pair": pl.Series([[BIG, None], [1, 2]], dtype=pl.Array(pl.Int64, 2)),
        }
    )
    got = frame(seal_at(tmp_path / "a", before))
    assert int(got.id[0]) == BIG
    assert (list(got.ids[0]), got.one.tolist()) == ([BIG, None], [{"id": BIG}, {"id": None}])
    assert list(got.pair[0]) == [BIG, None]


def test_polars_categories_over_several_chunks(tmp_path):
    """Frames that were joined keep their categories."""
    parts = [pl.DataFrame({"c": [f"v{i}", "z", None]}, schema={"c": pl.Categorical}) for i in range(4)]
    before = pl.concat(parts, rechunk=False)
    got = frame(seal_at(tmp_path / "a", before))
    assert [None if pd.isna(one) else one for one in got.c] == before["c"].to_list()


@pytest.mark.parametrize(
    "query",
    [
        "'12:00:00+02'::timetz", "1::uhugeint", "'101'::bit", "interval 1 month", "union_value(num := 2)",
        "'infinity'::date", "'-infinity'::timestamp", "'infinity'::timestamptz", "'00:00:00.000000001'::time_ns",
        "[ '12:00:00+02'::timetz ]", "170141183460469231731687303715884105727::hugeint", "[interval 1 day]",
    ],
)  # fmt: skip
def test_duckdb_types_that_would_change(query, tmp_path):
    """A zone that is lost, bits that become bytes, an end that no calendar has: refused by column."""
    with duckdb.connect() as connection, pytest.raises(UnsealableData, match="'odd one'") as caught:
        seal_at(tmp_path / "a", connection.sql(f'select 1 fine, {query} "odd one"'))
    assert caught.value.hint
    assert not (tmp_path / "a").exists()


def test_duckdb_types_that_stay(tmp_path):
    """The usual ones, with nulls."""
    query = f"""
        select {BIG}::bigint i, 12345678901234567890123456789012345678::hugeint h, {BIG}::ubigint u, uuid() id, true b,
        1.5::decimal(38,10) d, '2020-01-01'::date dated, '1:00:00.5'::time t, now() z, 'a'::blob raw, 'x'::enum('x','y') e,
        [1, null]::bigint[] l, {{'a': {BIG}}} s, map{{'k': {BIG}}} m
        union all select null, null, null, null, null, null, null, null, null, null, null, null, null, null
    """
    with duckdb.connect() as connection:
        got = frame(seal_at(tmp_path / "a", connection.sql(query).order("i")))
    assert (int(got.i[0]), int(got.u[0]), int(got.h[0])) == (BIG, BIG, 12345678901234567890123456789012345678)
    assert (got.s[0], list(got.m[0]), list(got.l[0])) == ({"a": BIG}, [("k", BIG)], [1, None])
    assert (got.t[0], got.dated[0], got.b[0]) == (dt.time(1, 0, 0, 500_000), dt.date(2020, 1, 1), True)
    assert got.drop(columns=["e"]).iloc[1].isna().all()


def test_a_lazy_query_that_fails(tmp_path):
    """It fails while it is read, or before; the words are ours and hold no value of the data."""
    late = "select (case when range = 900000 then 'canary' else '1' end)::int a from range(1000000)"
    with duckdb.connect() as connection:
        for query in (late, "select error('canary') a"):
            with pytest.raises(UnsealableData) as caught:
                seal_at(tmp_path / "a", connection.sql(query))
            assert "canary" not in str(caught.value)
            assert "Error" in str(caught.value)
        closed = connection.sql("select 1 a")
    with pytest.raises(SlsError):
        seal_at(tmp_path / "a", closed)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "data",
    [
        pd.Series([1, 2], name="a"), pd.Index([1]), pl.Series("a", [1]), pa.array([1]), pa.chunked_array([[1]]),
        np.ones((2, 2)), np.array([1]), pd.array([1], dtype="Int64"), pl.LazyFrame({"a": [1]}), {1, 2},
    ],
    ids=lambda data: f"{type(data).__module__}.{type(data).__name__}",
)  # fmt: skip
def test_one_column_is_no_table(data, tmp_path):
    """Whoever seals a Series or an array is told about .to_frame()."""
    with pytest.raises(BadInput, match="to_frame") as caught:
        seal_at(tmp_path / "a", data)
    assert type(data).__name__ in str(caught.value)


def test_errors_of_a_callers_reader_stay_theirs(tmp_path):
    """A reader made of the caller's own generator raises what the generator raises."""

    def failing():
        yield pa.record_batch({"x": [1]})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        seal_at(tmp_path / "a", pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int64())]), failing()))
    assert not (tmp_path / "a").exists()


@given(st.text(max_size=3))
@settings(max_examples=20, deadline=None)
def test_columns_of_any_name(name):
    """A name that looks like a type of duckdb does not make one."""
    from sls_jupyter.assets.foreign import require_exact_types

    with duckdb.connect() as connection:
        require_exact_types(connection.sql("select {'BIT': 1, 'a BIT': 2} s, 1 \"BIT\""))

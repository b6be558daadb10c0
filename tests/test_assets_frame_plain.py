"""Arrow tables of other writers: every digit stays, and whatever can be sealed can be opened."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import frame, seal_at

from sls_jupyter.errors import UnsealableData

BIG = 2**60 + 1


def dictionary(codes, values, **options):
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values), **options)


COLUMNS = {
    "integers with a null": (pa.array([BIG, None]), [BIG, pd.NA]),
    "small ones": (pa.array([1, None], pa.uint8()), [1, pd.NA]),
    "flags with a null": (pa.array([True, None]), [True, pd.NA]),
    "NaN beside null": (pa.array([float("nan"), None, 1.0]), None),
    "lists with a null": (pa.array([[BIG, None], None]), None),
    "large lists": (pa.array([[BIG, None]], pa.large_list(pa.int64())), None),
    "fixed lists": (pa.array([[BIG, None]], pa.list_(pa.int64(), 2)), None),
    "structs with a null": (pa.array([{"a": BIG}, {"a": None}, None]), [{"a": BIG}, {"a": None}, None]),
    "lists of structs": (pa.array([[{"a": BIG}, {"a": None}]]), None),
    "nanoseconds of a day": (pa.array([1, 2_000, None], pa.time64("ns")), None),
    "microseconds of a day": (pa.array([1_000, None], pa.time64("ns")), [dt.time(0, 0, 0, 1), None]),
    "infinite dates": (pa.array([2**31 - 1, -(2**31), None], pa.date32()), None),
    "dates": (pa.array([0, None], pa.date32()), [dt.date(1970, 1, 1), None]),
    "dates in milliseconds": (pa.array([86_400_000, None], pa.date64()), [dt.date(1970, 1, 2), None]),
    "infinite dates in lists": (pa.array([[2**31 - 1]], pa.list_(pa.date32())), None),
    "a null among the categories": (dictionary([0, 1, None], ["a", None]), ["a", np.nan, np.nan]),
    "a category twice": (dictionary([0, 1, 2], ["a", "a", "b"]), ["a", "a", "b"]),
    "categories of numbers, one twice": (dictionary([0, 1], [BIG, BIG]), [BIG, BIG]),
    "categories of dates, one null": (dictionary([0, 1], [dt.date(2020, 1, 1), None]), [dt.date(2020, 1, 1), np.nan]),
    "nothing": (pa.nulls(2), [None, None]),
    "large text": (pa.array(["a", None], pa.large_string()), ["a", np.nan]),
    "durations": (pa.array([1, None], pa.duration("s")), [pd.Timedelta(1, "s"), pd.NaT]),
    "decimals": (pa.array([1, None], pa.decimal128(5, 2)), None),
    "maps": (pa.array([[("a", BIG)]], pa.map_(pa.string(), pa.int64())), None),
    "intervals": (pa.array([pa.MonthDayNano([1, 2, 3])]), None),
}


def plain(value):
    if isinstance(value, list | np.ndarray):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    return None if missing else value


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_another_writer_opens_with_every_digit(name, tmp_path):
    """pyarrow alone would make floats of these, or fail."""
    column, wanted = COLUMNS[name]
    try:
        asset = seal_at(tmp_path / "a", pa.table({"x": column, "n": range(len(column))}))
    except UnsealableData as error:  # by name, before anything was published
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "'x'" in refusal
        return
    got = frame(asset).x
    assert len(got) == len(column)
    if wanted is None and not isinstance(got.dtype, pd.ArrowDtype):
        assert plain(list(got)) == plain(column.to_pylist())
    elif wanted is not None:
        assert plain(list(got)) == plain(wanted)


def test_a_null_and_nan_stay_two_things():
    """Where both are, the column is one of pandas' nullable ones."""
    from sls_jupyter.assets.opening import to_pandas

    got = to_pandas(pa.table({"x": pa.array([float("nan"), None, 1.0])})).x
    assert str(got.dtype) == "Float64"
    assert got.isna().tolist() in ([False, True, False], [True, True, False])  # pandas 2 says NaN is no missing one
    assert got.array._mask.tolist() == [False, True, False]


def test_an_index_of_pandas_own_metadata_stays(tmp_path):
    """A Parquet file that pandas wrote has its index in pandas' words; integers with a null beside it stay integers."""
    before = pd.DataFrame(
        {"n": pd.array([BIG, None], "Int64"), "x": [1.5, 2.5]}, index=pd.Index(["a", "b"], name="who")
    )
    table = pa.Table.from_pandas(before)
    table = table.append_column("more", pa.array([BIG, None]))
    got = frame(seal_at(tmp_path / "a", table))
    assert got.index.name == "who"
    assert got.n.tolist() == [BIG, pd.NA] or str(got.n.dtype) == "Int64"
    assert int(got.more.iloc[0]) == BIG

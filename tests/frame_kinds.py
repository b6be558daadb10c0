# ruff: noqa: DTZ001  moments without a zone are what many tables have
"""Columns, indexes and labels of every kind that people have, and what cannot be kept: for tests under each pandas."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
import zoneinfo
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
LATE = 40  # rows before the odd one


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


def objects(*values: Any) -> pd.Series:
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return pd.Series(array, dtype=object)


def _float64(*values: Any) -> Any:
    numbers = np.array([0.0 if value is None else value for value in values])
    return pd.arrays.FloatingArray(numbers, np.array([value is None for value in values]))


KEPT: dict[str, Any] = {
    # objects of one type
    "text": objects("a", "", "ü", "a,b"),
    "text, None": objects("a", None),
    "text, NaN": objects("a", np.nan),
    "text, NA": objects("a", pd.NA),
    "bytes": objects(b"\0\xff", b"", None),
    "integers": objects(1, -(2**63), 2**63 - 1),
    "integers, NaN": objects(1, np.nan, 2**60 + 1),
    "integers above 63 bits": objects(2**63, 2**64 - 1, None),
    "flags": objects(True, False, None),
    "numbers": objects(1.5, float("inf"), -0.0, None),
    "numbers, NaN and None": objects(1.5, float("nan"), None),
    "numbers, NaN and NA": objects(1.5, float("nan"), pd.NA),
    "decimals of one scale": objects(Decimal("1.10"), Decimal("-2.25"), None),
    "decimals of several scales": objects(Decimal("1.0"), Decimal("1.25"), Decimal("1E+3")),
    "decimals without number": objects(Decimal("NaN"), Decimal("Infinity"), Decimal("-0.0"), None),
    "long decimals": objects(Decimal(10) ** 90, Decimal("0.1")),
    "dates": objects(dt.date(1, 1, 1), dt.date(9999, 12, 31), None),
    "dates, NaT": objects(dt.date(2020, 1, 1), pd.NaT),
    "times of day": objects(dt.time(1, 2, 3, 4), dt.time(0), None),
    "moments": objects(dt.datetime(1, 1, 1), dt.datetime(2020, 1, 1, 17, 30, 0, 1), None),
    "zoned moments": objects(dt.datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN), dt.datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
    "moments in UTC": objects(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None),
    "moments at an offset": objects(dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30)))),
    "spans": objects(dt.timedelta(-1, 3, 5), None),
    "uuids": objects(uuid.UUID(int=2**127 + 5), None),
    "pandas moments": objects(pd.Timestamp("2020-01-01 00:00:00.000000001"), pd.NaT),
    "pandas zoned moments": objects(pd.Timestamp("2020-10-25 00:30", tz="UTC").tz_convert("Europe/Berlin"), None),
    "pandas spans": objects(pd.Timedelta(5, "ns"), pd.NaT),
    "pandas periods": objects(pd.Period("2020-01", "M"), pd.Period("2021-01", "M"), None),
    **{f"numpy {name}": objects(*np.array([1, 0, 1], name), None) for name in ("bool", "int8", "uint64", "float32", "float64", "float16")},
    "nothing but None": objects(None, None),
    "nothing but NaN": objects(np.nan, np.nan),
    "nothing but NA": objects(pd.NA, pd.NA),
    "nothing but NaT": objects(pd.NaT, pd.NaT),
    # nested
    "lists": objects([1, 2], [], None),
    "lists with a gap": objects(*[[2**60 + 1]] * LATE, [None, 2**60 + 1]),
    "lists of numbers": objects([1.5, np.nan, None], [float("-inf")]),
    "lists, NaN": objects([1], np.nan),
    "lists of text": objects(["a", None], ["b"]),
    "lists of flags": objects([True, None]),
    "lists of lists": objects([[1], None, []], []),
    "lists of dicts": objects([{"a": 1}, None], []),
    "lists of dates": objects([dt.date(2020, 1, 1), None]),
    "lists of decimals": objects([Decimal("1.0"), Decimal("1.25")]),
    "empty lists": objects([], []),
    "tuples": objects((1, 2), (3,), None),
    "lists of tuples": objects([(1, "a")[:1]], [(2,)]),
    "tuples of several kinds": objects((1, "a", None), None, (2, "b", 0.5)),
    "lists of pairs": objects([("a", 1), ("b", None)], [], None, [("a", 2)]),
    "arrays": objects(np.array([1.0, 2]), np.array([]), None),
    **{f"arrays of {name}": objects(np.array([1, 0], name)) for name in ("int8", "uint64", "bool", "float32", "float16")},
    "arrays of moments": objects(np.array(["2020-01-01", "NaT"], "M8[ns]")),
    "arrays of objects": objects(np.array(["a", None], object)),
    "arrays of arrays": objects(np.array([np.array([1]), np.array([2, 3])], object)),
    "dicts": objects({"b": 1, "a": "x"}, {"b": None, "a": None}, None),
    "dicts with NaN": objects(*[{"a": 1.0}] * LATE, {"a": np.nan}, {"a": None}),
    "dicts of lists": objects({"a": [1, None]}, {"a": None}),
    # dtypes
    **{name: pd.Series([1, 0, 1], dtype=name) for name in ("int8", "uint64", "float16", "float32", "bool")},
    "negative zero": pd.Series([-0.0, np.inf, np.nan]),
    **{name: pd.Series([1, None, 0], dtype=name) for name in ("Int8", "UInt64", "Float32", "boolean")},
    "Int64": pd.Series([2**62 + 1, None], dtype="Int64"),
    "Float64, NaN and NA": pd.Series(_float64(1.0, float("nan"), None)),
    **{f"datetime64[{unit}]": pd.Series(np.array(["2020-01-01", "NaT", "1700-01-01"], f"M8[{unit}]")) for unit in ("s", "ms", "us", "ns")},
    **{f"timedelta64[{unit}]": pd.Series(np.array([1, "NaT", -1], f"m8[{unit}]")) for unit in ("s", "ms", "us", "ns")},
    "zoned": pd.Series(pd.date_range("2020-10-25", periods=5, freq="h", tz="Europe/Berlin")),
    "zoned, of the standard library": pd.Series(pd.date_range("2020-10-25", periods=3, freq="h", tz=BERLIN)),
    "zoned, seconds": pd.Series(pd.date_range("2020", periods=2, tz="UTC", unit="s")),
    "fixed offset": pd.Series(pd.to_datetime(["2020-01-01T00:00:00-03:30", None])),
    "string": pd.Series(["a", None], dtype="string"),
    "string[python]": pd.Series(["a", None], dtype="string[python]"),
    "string[pyarrow]": pd.Series(["a", None], dtype="string[pyarrow]"),
    "str": pd.Series(["a", None, "ä"], dtype=pd.StringDtype("pyarrow", na_value=np.nan)),
    "str, python": pd.Series(["a", None, "ä"], dtype=pd.StringDtype("python", na_value=np.nan)),
    "categories": pd.Series(pd.Categorical(["b", None, "a"], categories=["z", "b", "a"], ordered=True)),
    "categories of numbers": pd.Series(pd.Categorical([3, 1, None], categories=[3, 2, 1])),
    "categories of floats": pd.Series(pd.Categorical([2.5, 1.0])),
    "categories of flags": pd.Series(pd.Categorical([True, False])),
    "categories of dates": pd.Series(pd.Categorical(objects(dt.date(2020, 1, 1), dt.date(2021, 1, 1)))),
    "categories of moments": pd.Series(pd.Categorical(pd.date_range("2020", periods=2, tz="UTC"))),
    "categories of spans": pd.Series(pd.Categorical(pd.to_timedelta([1, 2], unit="s"))),
    "categories of periods": pd.Series(pd.Categorical(pd.period_range("2020", periods=2, freq="Q"))),
    "categories of intervals": pd.cut(pd.Series([1.0, 2.0, 9.0, np.nan]), 3),
    "categories of Int64": pd.Series(pd.Categorical(pd.array([1, 2], dtype="Int64"))),
    "categories of objects": pd.Series(pd.Categorical(["a"], categories=pd.Index(["a", "b"], dtype=object))),
    "no categories": pd.Series(pd.Categorical([None, None])),
    "periods": pd.Series(pd.period_range("2020", periods=3, freq="2M")),
    "periods, NaT": pd.Series(pd.PeriodIndex(["2020Q1", None], freq="Q-NOV")),
    "intervals": pd.Series(pd.interval_range(0, 3, closed="both")),
    "intervals of floats": pd.Series(pd.arrays.IntervalArray.from_tuples([(0.5, 1.5), np.nan])),
    "intervals of moments": pd.Series(pd.interval_range(pd.Timestamp("2020"), periods=2, freq="D")),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1, 2])),
    "sparse flags": pd.Series(pd.arrays.SparseArray([False, True])),
    "sparse numbers": pd.Series(pd.arrays.SparseArray([np.nan, 1.5])),
    "sparse, filled with one": pd.Series(pd.arrays.SparseArray([1, 1, 2], fill_value=1)),
    "arrow integers": pd.Series([1, None], dtype="int64[pyarrow]"),
    "arrow text": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
    "arrow lists": pd.Series([[1, None], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow decimals": pd.Series([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "arrow times": pd.Series(pd.array([dt.time(1), None], dtype=pd.ArrowDtype(pa.time64("ns")))),
    "arrow moments": pd.Series(pd.array([dt.datetime(2020, 1, 1), None], dtype=pd.ArrowDtype(pa.timestamp("s", "UTC")))),
    "no rows": pd.Series([], dtype=object),
    "no rows of categories": pd.Series(pd.Categorical([], categories=["b", "a"])),
}  # fmt: skip

_ADAY = dt.date(2020, 1, 1)
REFUSED: dict[str, Any] = {
    "tuples with a kind for each of many places": objects((1, "a") * 501),
    "a time of day after many dates": objects(*[_ADAY] * LATE, dt.datetime(2020, 1, 1, 17, 30)),
    "a date after many moments": objects(*[dt.datetime(2020, 1, 1)] * LATE, _ADAY),
    "two zones": objects(*[pd.Timestamp("2020", tz="UTC")] * LATE, pd.Timestamp("2020", tz="Asia/Tokyo")),
    "a zone and none": objects(*[dt.datetime(2020, 1, 1)] * LATE, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "an hour that is not there": objects(dt.datetime(2020, 3, 29, 2, 30, tzinfo=BERLIN)),
    "a fold without a zone": objects(dt.datetime(2020, 1, 1, fold=1)),
    "a time of day with a zone": objects(dt.time(1, tzinfo=dt.UTC)),
    "None beside NaN": objects(*["a"] * LATE, None, np.nan),
    "NaN beside NA": objects(1, np.nan, pd.NA),
    "an enum": objects(*[1] * LATE, Colour.RED),
    "nothing but enums": objects(Colour.RED, Colour.RED),
    "a kind of text": objects(*["a"] * LATE, Name("a")),
    "a flag among numbers": objects(*[1] * LATE, True),
    "a whole number among others": objects(*[1.5] * LATE, 1),
    "a number of numpy's": objects(*[1] * LATE, np.int64(1)),
    "text in numbers": objects(*[1] * LATE, "1"),
    "bytes in text": objects(*["a"] * LATE, b"a"),
    "integers beyond 64 bits": objects(*[1] * LATE, 2**70),
    "spans beyond 64 bits": objects(dt.timedelta.max),
    "moments of several units": objects(pd.Timestamp("2020").as_unit("s"), pd.Timestamp("2020").as_unit("ns")),
    "text in lists of numbers": objects(*[[1]] * LATE, ["a"]),
    "whole numbers in lists of others": objects(*[[1.5]] * LATE, [1]),
    "NaN in lists of text": objects(*[["a"]] * LATE, [float("nan")]),
    "a tuple among lists": objects(*[[1]] * LATE, (1,)),
    "an array among lists": objects(*[[1]] * LATE, np.array([1])),
    "arrays of two dtypes": objects(*[np.array([1])] * LATE, np.array([1.5])),
    "arrays of two dimensions": objects(np.ones((2, 2))),
    "arrays of text": objects(np.array(["a"])),
    "dicts in another order": objects(*[{"a": 1, "b": 2}] * LATE, {"b": 2, "a": 1}),
    "dicts with a key more": objects(*[{"a": 1}] * LATE, {"a": 1, "b": None}),
    "dicts with numbers as keys": objects({1: 2}),
    "dicts without keys": objects({}),
    "sets": objects({1, 2}, {3}),
    "frames": objects(pd.DataFrame()),
    "functions": objects(print),
    "half a character": objects(*["a"] * LATE, "\ud800"),
    "half a character in python text": pd.Series(["\ud800"], dtype=pd.StringDtype("python")),
    "intervals as objects": objects(pd.Interval(0, 1)),
    "mixed categories": pd.Series(pd.Categorical([1, "a"])),
    "complex numbers": pd.Series([1j]),
    "the other byte order": pd.Series(np.array([1.5], ">f8")),
}


def grid(index: Any = None, columns: Any = None) -> pd.DataFrame:
    return pd.DataFrame([[1, 2], [3, 4]], index=index, columns=columns)


_AXES: dict[str, Any] = {
    "a range": pd.RangeIndex(5, 9, 2, name="r"),
    "numbers": pd.Index([7, 5]),
    "small numbers": pd.Index([7, 5], dtype="int8"),
    "floats": pd.Index([2.5, 0.5], name="dose"),
    "flags": pd.Index([True, False]),
    "text": pd.Index(["x", "y"], dtype=pd.StringDtype("pyarrow", na_value=np.nan), name="n"),
    "string": pd.Index(["x", "y"], dtype="string[python]"),
    "objects": pd.Index(["x", "y"], dtype=object),
    "objects, None": pd.Index(["x", None], dtype=object),
    "number objects": pd.Index([1, 2], dtype=object),
    "dates": pd.Index([dt.date(2020, 1, 1), dt.date(2021, 1, 1)], dtype=object),
    "moments": pd.DatetimeIndex(["2020-01-01 01:02:03.000000004", "1999"]),
    "seconds": pd.DatetimeIndex(["2020-01-01", "1600-01-01"], dtype="M8[s]"),
    "days": pd.date_range("2020", periods=2, freq="D", tz="Europe/Berlin"),
    "half hours": pd.timedelta_range("1h", periods=2, freq="30min"),
    "spans": pd.to_timedelta(["1D", "-1ns"]),
    "months": pd.period_range("2020", periods=2, freq="M"),
    "intervals": pd.interval_range(0, 2),
    "intervals of floats": pd.IntervalIndex.from_tuples([(0.5, 1.5), (2.25, 3.0)], closed="left"),
    "categories": pd.CategoricalIndex(["x", "y"], categories=["y", "x", "q"], ordered=True, name="c"),
    "cut": pd.CategoricalIndex(pd.cut([1.0, 9.0], 3)),
    "Int64": pd.Index([1, 2], dtype="Int64"),
    "an integer name": pd.Index([1, 2], name=0),
    "levels": pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["p", None]),
    "levels with gaps": pd.MultiIndex.from_tuples([(1, "x"), (2, None)]),
    "levels of dates and flags": pd.MultiIndex.from_arrays([pd.to_datetime(["2020", "2021"]), [True, False]]),
    "levels of categories": pd.MultiIndex.from_arrays(
        [pd.Categorical(["b", "a"], categories=["b", "a", "z"]), [1.5, 2]]
    ),
    "levels of cuts": pd.MultiIndex.from_arrays([pd.cut([1.0, 9.0], 2), ["a", "b"]], names=[0, "b"]),
    "levels of periods": pd.MultiIndex.from_arrays([pd.period_range("2020", periods=2, freq="M"), [1, 2]]),
}
INDEXES = _AXES | {
    "repeated": pd.Index([0, 0]),
    "Int64 with NA": pd.Index([1, None], dtype="Int64"),
    "moments with NaT": pd.DatetimeIndex(["2020", None]),
    "weeks": pd.date_range("2020", periods=2, freq="W-WED"),
    "business days": pd.bdate_range("2020", periods=2),
    "month ends, backwards": pd.date_range("2020", periods=2, freq="-1ME"),
    "numbers with a gap in a level": pd.MultiIndex.from_arrays([[1, None], ["a", "b"]]),
    "moments with a gap in a level": pd.MultiIndex.from_arrays([pd.to_datetime(["2020", None]), ["a", "b"]]),
    "tuples of one": pd.MultiIndex.from_tuples([("a",), ("b",)]),
}
LABELS = _AXES | {
    "text with commas": pd.Index(["a, b", "c"]),
    "text and numbers": pd.Index(["a", 1], dtype=object),
    "numbers, flags and text": pd.Index([True, "All"], dtype=object),
    "floats with NaN": pd.Index([1.5, np.nan]),
    "names of two": pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", 7]),
}
REFUSED_INDEXES = {
    "mixed": pd.Index([1, "a"], dtype=object),
    "holidays": pd.date_range("2020-01-01", periods=2, freq=pd.offsets.CustomBusinessDay(holidays=["2020-01-02"])),
    "an offset without a word": pd.date_range("2020-01-01", periods=2, freq=pd.DateOffset(months=1)),
    "a name that is no text": pd.Index([1, 2], name=1.5),
    "sets": pd.Index([frozenset({1}), frozenset({2})], dtype=object),
}
REFUSED_LABELS = {
    "repeated": pd.Index(["a", "a"]),
    "1 and '1'": pd.Index([1, "1"], dtype=object),
    "functions": pd.Index([print, len], dtype=object),
}

"""Arrow data of other writers: opened in the group, or refused by column before anything is published."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import frame, reader, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import UnsealableData


def of_bits(values, kind):
    return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


def text(data: bytes):
    offsets = np.array([0, len(data)], "int32").tobytes()
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


BERLIN = pa.timestamp("us", "Europe/Berlin")
REFUSED = {
    "an infinite date": (of_bits([0, 2**31 - 1], pa.date32()), "years 1 to 9999"),
    "a date before the first": (of_bits([-719_163], pa.date32()), "years 1 to 9999"),
    "an infinite time": (of_bits([2**63 - 1], pa.timestamp("us")), "without an end"),
    "the opposite of it": (of_bits([-(2**63) + 1], pa.timestamp("s")), "without an end"),
    "a time that pandas takes for missing": (of_bits([-(2**63)], pa.timestamp("ns")), "without an end"),
    "a duration that pandas takes for missing": (of_bits([-(2**63)], pa.duration("s")), "out of range"),
    "a time with a zone in the year 12000": (of_bits([10**15 * 317], BERLIN), "years 1 to 9999"),
    "a zone that nobody knows": (of_bits([1], pa.timestamp("us", "Nowhere/Land")), "Nowhere/Land"),
    "a date with a time of day": (of_bits([1], pa.date64()), "time of day"),
    "a time beyond 24 hours": (of_bits([86_400_000_001], pa.time64("us")), "24 hours"),
    "a time with nanoseconds": (of_bits([1001], pa.time64("ns")), "nanoseconds"),
    "text that is not UTF-8": (text(b"\xff"), "UTF-8"),
    "categories that are not UTF-8": (pa.DictionaryArray.from_arrays(pa.array([0]), text(b"\xff")), "UTF-8"),
    "lists of such": (pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), text(b"\xff")), "UTF-8"),
    "an infinite date in a list": (
        pa.array([[2**31 - 1]]).cast(pa.list_(pa.int32())).view(pa.list_(pa.date32())),
        "9999",
    ),
    "nanoseconds in a struct": (pa.StructArray.from_arrays([of_bits([1], pa.time64("ns"))], ["t"]), "nanoseconds"),
    "a decimal with too many digits": (
        pa.array([10**37], pa.decimal128(38, 0)).view(pa.decimal128(5, 0)),
        "more digits",
    ),
    "months, days and nanoseconds": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "interval"),
    "a union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "union"),
    "categories in a list": (pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), "categories within"),
    "a type of another library": (
        pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "bignum", "DuckDB"), pa.array([b"x"])),
        "bignum of DuckDB",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("before", [0, 500])
def test_refused_by_column_wherever_it_stands(what, before, tmp_path):
    """The column is named, with what was found and a way out; the value is not shown, and nothing is left behind."""
    array, words = REFUSED[what]
    fine = pa.nulls(before, array.type) if before and not pa.types.is_union(array.type) else array.slice(0, 0)
    with pytest.raises(UnsealableData, match="'odd one'") as caught:
        seal_at(
            tmp_path / "a",
            pa.table({"fine": range(len(fine) + len(array)), "odd one": pa.chunked_array([fine, array])}),
        )
    assert words in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "a").exists()


def test_missing_values_where_the_schema_has_none(tmp_path):
    """A field that says it is never null, and is: refused, at the top and within a struct."""
    top = pa.schema([pa.field("x", pa.int64(), nullable=False)])
    below = pa.schema([("x", pa.struct([pa.field("y", pa.int64(), nullable=False)]))])
    inner = pa.StructArray.from_arrays([pa.array([1, None])], fields=[pa.field("y", pa.int64(), nullable=False)])
    for schema, array in ((top, pa.array([1, None])), (below, inner)):
        with pytest.raises(UnsealableData, match="'x'"):
            seal_at(tmp_path / "a", pa.Table.from_arrays([array], schema=schema))
    fine = pa.Table.from_arrays([pa.array([1, 2])], schema=top)
    assert reader(seal_at(tmp_path / "a", fine)).read_all().schema.field("x").nullable is False


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.none() | st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5),
    codes=st.lists(st.none() | st.integers(0, 4), max_size=8),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
    index=st.sampled_from([pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64()]),
    ordered=st.booleans(),
)
def test_dictionaries_with_nulls_and_repeats_are_opened(values, codes, kind, index, ordered, tmp_path_factory):
    """Each row has the value that it had; a category is there once."""
    codes = [code if code is None else code % len(values) for code in codes]
    array = pa.DictionaryArray.from_arrays(pa.array(codes, index), pa.array(values, kind), ordered=ordered)
    table = pa.table({"grade": array})
    asset = seal_at(tmp_path_factory.mktemp("d") / "a", table)
    assert reader(asset).read_all().schema == table.schema
    got = frame(asset)["grade"]
    assert [None if pd.isna(one) else one for one in got] == [None if code is None else values[code] for code in codes]
    assert isinstance(got.dtype, pd.CategoricalDtype)
    assert got.cat.ordered == ordered


def test_dates_at_the_ends_are_opened(tmp_path):
    """The first and the last day that Python has are days like others."""
    days = [dt.date(1, 1, 1), dt.date(9999, 12, 31), None]
    table = pa.table({"a": pa.array(days, pa.date32()), "b": pa.array(days, pa.date64())})
    assert frame(seal_at(tmp_path / "a", table))["b"].tolist() == days

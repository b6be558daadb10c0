"""Tables of Arrow, polars, duckdb and Parquet in a cell: every value, whatever pyarrow would make of it."""

import datetime as dt
import decimal
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assets_kit import frame, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets.plain_frame import plain_frame
from sls_jupyter.errors import MalformedDocument, UnsealableData

BIG = 2**60 + 1


def whole(kind):
    width = kind.bit_width
    signed = pa.types.is_signed_integer(kind)
    return st.integers(-(2 ** (width - 1)) if signed else 0, 2 ** (width - signed) - 1)


INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
TIMES = st.datetimes().filter(lambda one: 1 < one.year < 9999)
LEAVES = st.one_of(
    st.sampled_from(INTEGERS).map(lambda kind: (kind, whole(kind))),
    st.just((pa.bool_(), st.booleans())),
    st.just((pa.float64(), st.floats())),
    st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]).map(lambda kind: (kind, st.text(max_size=5))),
    st.sampled_from([pa.binary(), pa.binary_view()]).map(lambda kind: (kind, st.binary(max_size=5))),
    st.just((pa.date32(), st.dates())),
    st.just((pa.time64("us"), st.times())),
    st.just((pa.timestamp("us"), TIMES)),
    st.just((pa.timestamp("us", "UTC"), TIMES.map(lambda one: one.replace(tzinfo=dt.UTC)))),
    st.just((pa.duration("us"), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)))),
    st.just((pa.decimal128(20, 3), st.decimals(-(10**9), 10**9, places=3))),
    st.just((pa.null(), st.none())),
)


def nested(inner):
    def a_list(made):
        return pa.list_(made[0]), st.lists(st.none() | made[1], max_size=3)

    def a_struct(made):
        return pa.struct([("m", made[0]), ("n", pa.int64())]), st.fixed_dictionaries(
            {"m": st.none() | made[1], "n": st.none() | whole(pa.int64())}
        )

    def a_map(made):
        keys = st.lists(st.tuples(st.text(max_size=3), st.none() | made[1]), max_size=3, unique_by=lambda pair: pair[0])
        return pa.map_(pa.string(), made[0]), keys

    return st.one_of(inner.map(a_list), inner.map(a_struct), inner.map(a_map))


KINDS = st.recursive(LEAVES, nested, max_leaves=3)


@st.composite
def arrays(draw):
    kind, values = draw(KINDS)
    return pa.array(draw(st.lists(st.none() | values, max_size=6)), kind)


def plain(value):
    """A value of a cell as Python's own, missing values as None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    return value.item() if isinstance(value, np.generic) else value


def same(got, want, kind):
    if isinstance(want, dict):
        return got is not None and all(same(got[key], item, kind) for key, item in want.items())
    if isinstance(want, list | tuple):
        return (
            got is not None and len(got) == len(want) and all(same(a, b, kind) for a, b in zip(got, want, strict=True))
        )
    if want is None:
        return got is None or got != got  # NaN is what pandas has for a missing float or text
    if isinstance(want, float):
        return repr(got) == repr(want) or (want != want and got != got)
    return type(got) is type(want) and got == want


@settings(max_examples=400, deadline=None)
@given(array=arrays())
def test_every_value_is_in_the_frame(array):
    """Types, nulls and nesting as they come: what a cell takes out is what Arrow says is there."""
    values = plain_frame(pa.table({"x": array}))["x"]
    got = [plain(value) for value in values]
    assert len(got) == len(array)
    for one, want in zip(got, array.to_pylist(), strict=True):
        assert same(one, plain(want), array.type), (values.dtype, one, want)


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_integers_with_nulls_are_nullable_integers(kind):
    """No digit of an identifier is lost because another one is missing."""
    most = 2 ** (kind.bit_width - pa.types.is_signed_integer(kind)) - 1
    got = plain_frame(pa.table({"x": pa.array([most, None], kind), "y": pa.array([most, 0], kind)}))
    assert str(got.x.dtype).lower() == str(kind)
    assert (str(got.x.dtype)[0], str(got.y.dtype)) == (str(got.x.dtype)[0].upper(), str(kind))
    assert int(got.x[0]) == most
    assert got.x[1] is pd.NA


def test_flags_floats_and_lists_with_nulls():
    """One rule for each kind of column, by its type and its nulls."""
    got = plain_frame(
        pa.table(
            {
                "flag": [True, None],
                "float": [1.5, None],
                "both": [float("nan"), None],
                "list": [[BIG, None], None],
                "even": [[BIG], [1, 2]],
                "struct": [{"a": BIG}, {"a": None}],
            }
        )
    )
    assert got.dtypes.astype(str).to_dict() | {"list": 0, "even": 0, "struct": 0} == {
        "flag": "boolean", "float": "float64", "both": "Float64", "list": 0, "even": 0, "struct": 0,
    }  # fmt: skip
    assert got.both.array._mask.tolist() == [False, True]
    assert got.list.tolist() == [[BIG, None], None]
    assert got.struct.tolist() == [{"a": BIG}, {"a": None}]
    assert got.even[0].dtype == np.int64


def test_dictionaries_that_pandas_cannot_have_are_spelled_out():
    """Categories are unique, present and hashable in pandas; other dictionaries become plain columns."""
    codes = pa.array([0, 1, None])
    values = {"nan": pa.array([1.0, float("nan")]), "zero": pa.array([0.0, -0.0]), "list": pa.array([[1], [BIG, None]])}
    got = plain_frame(pa.table({name: pa.DictionaryArray.from_arrays(codes, one) for name, one in values.items()}))
    assert not any(isinstance(dtype, pd.CategoricalDtype) for dtype in got.dtypes)
    assert np.signbit(got.zero[1])
    assert got.list.tolist() == [[1], [BIG, None], None]
    big = pa.DictionaryArray.from_arrays(codes, pa.array([BIG, 1]))
    assert plain_frame(pa.table({"x": big})).x.cat.categories.tolist() == [BIG, 1]


def test_extension_types():
    """What pandas has no dtype for is what it stores."""
    made = {
        "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
        "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
        "json": pa.array(["{}", None], pa.json_()),
        "period": pa.array(pd.period_range("2020", periods=2, freq="M")),
    }
    got = plain_frame(pa.table(made))
    assert str(got.bool8.dtype) == "boolean"
    assert got.uuid[0].bytes == b"0123456789abcdef"
    assert str(got.period.dtype) == "period[M]"


FRAMES = {
    "nullable": pd.DataFrame({"i": pd.array([1, None], "Int64"), "f": pd.array([1.5, None], "Float64")}),
    "arrow": pd.DataFrame({"i": pd.array([BIG, None], "int64[pyarrow]"), "b": pd.array([True, None], "bool[pyarrow]")}),
    "levels": pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "n"])),
    "labels": pd.DataFrame([[1, 2.5]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
    "numbers": pd.DataFrame({0: [1], 1: ["x"]}),
    "zone": pd.DataFrame({"t": pd.date_range("2020", periods=2, tz="Europe/Berlin")}),
    "category": pd.DataFrame({"c": pd.Categorical(["a", None], categories=["q", "a"], ordered=True)}),
    "empty": pd.DataFrame({"c": pd.Categorical([], categories=["q"]), "x": pd.array([], "Int64")}),
    "decimal": pd.DataFrame({"d": [decimal.Decimal("1.50"), None]}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_parquet_of_pandas_comes_as_pandas_reads_it(name, tmp_path):
    """Index, labels and dtypes of a file that pandas wrote."""
    FRAMES[name].to_parquet(tmp_path / "t.parquet")
    got = frame(seal_at(tmp_path / "a", tmp_path / "t.parquet"))
    pd.testing.assert_frame_equal(got, pd.read_parquet(tmp_path / "t.parquet"), check_exact=True)


def test_parquet_of_pandas_that_pandas_cannot_read(tmp_path):
    """A nested ArrowDtype has a name that pandas does not parse; here it is opened."""
    before = pd.DataFrame({"l": pd.array([[BIG, None], None], pd.ArrowDtype(pa.list_(pa.int64())))})
    before.to_parquet(tmp_path / "t.parquet")
    assert list(frame(seal_at(tmp_path / "a", tmp_path / "t.parquet")).l) == [[BIG, None], pd.NA]


def test_a_table_that_was_changed_after_pandas_made_it():
    """The metadata say int64, the columns have nulls now, one of them an index: digits count."""
    table = pa.Table.from_pandas(pd.DataFrame({"x": [1, 2]}, index=pd.Index([5, 6], name="k")))
    table = table.set_column(0, "x", pa.array([BIG, None])).set_column(1, "k", pa.array([BIG, None]))
    got = plain_frame(table)
    assert (int(got.x.iloc[0]), int(got.index[0]), got.index.name) == (BIG, BIG, "k")


@pytest.mark.parametrize("damage", [b"x", b"{}", b'{"columns": [], "index_columns": ["none"], "column_indexes": 5}'])
def test_damaged_metadata_are_refused_when_sealed(damage, tmp_path):
    """What no group could open is not published; what was published by somebody else ends in our error."""
    table = pa.table({"x": [1]}).replace_schema_metadata({"pandas": damage})
    with pytest.raises(UnsealableData, match="pandas metadata"):
        seal_at(tmp_path / "a", table)
    with pytest.raises(MalformedDocument):
        plain_frame(table)


def test_geoparquet_keeps_its_crs_and_not_its_extent(tmp_path):
    """The CRS is in the frame's attrs; the box around all places is made of values, and does not go into the manifest."""
    crs = {"id": {"authority": "EPSG", "code": 25832}}
    geo = {
        "version": "1.1.0",
        "primary_column": "g",
        "columns": {"g": {"encoding": "WKB", "crs": crs, "geometry_types": ["Point"], "bbox": [1, 2, 3, 4]}},
        "note": "canary",
    }
    pq.write_table(pa.table({"g": [b"x"]}).replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "g.parquet")
    asset = seal_at(tmp_path / "a", tmp_path / "g.parquet")
    kept = frame(asset).attrs["geo"]
    assert kept["columns"]["g"] == {"encoding": "WKB", "geometry_types": ["Point"], "crs": crs}
    assert "canary" not in json.dumps(kept)

"""pandas frames come back equal, or are refused by column name before anything is written."""

import datetime as dt
import subprocess
import sys
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import frame, reader, seal_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sls_jupyter.assets.frames import from_arrow
from sls_jupyter.assets.opening import to_pandas
from sls_jupyter.errors import MalformedDocument, UnsealableData


def series(values, dtype=None):
    return pd.Series(values, dtype=dtype)


COLUMNS = {
    "object text": series(["a", None, "b"], object),
    "object text, NaN": series(["a", np.nan, "b"], object),
    "object text, NA": series(["a", pd.NA, "b"], object),
    "text": series(["a", None, "ä"], "str"),
    "string": series(["a", None], "string"),
    "string, python": series(["a", None], "string[python]"),
    "object integers": series([1, None, 2**63 - 1], object),
    "object flags": series([True, None], object),
    "object numbers": series([1.5, None], object),
    "object times": series([pd.Timestamp("2020-01-01"), None], object),
    "object spans": series([dt.timedelta(1), None], object),
    "bytes": series([b"a\0", None]),
    "decimals": series([Decimal("1.0"), Decimal("1.25"), None]),
    "dates": series([dt.date(2020, 1, 1), None]),
    "times": series([dt.time(1, 2, 3), None]),
    "lists": series([[1, 2], None, []]),
    "lists of lists": series([[[1], [2, 3]], []]),
    "arrays": series([np.array([1.0, 2]), None]),
    "dicts": series([{"a": 1}, {"a": None}]),
    "uuids": series([uuid.UUID(int=1), None]),
    "uint64": series([2**64 - 1, 0], "uint64"),
    "float16": series([1.5, np.nan], "float16"),
    "Int64": series([2**62 + 1, None], "Int64"),
    "UInt8": series([1, None], "UInt8"),
    "boolean": series([True, None], "boolean"),
    "Float32": series([1.5, None], "Float32"),
    "ordered categories": series(pd.Categorical(["b", None], categories=["z", "b", "a"], ordered=True)),
    "number categories": series(pd.Categorical([3, 1], categories=[3, 2, 1])),
    "time categories": series(pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"]))),
    "flag categories": series(pd.Categorical([True, False])),
    "object categories": series(pd.Categorical(["a"], categories=pd.Index(["a", "b"], dtype=object))),
    "cut": pd.cut(series([1.0, 2.0, 9.0]), 2),
    "months as categories": series(pd.Categorical(pd.period_range("2020", periods=2, freq="M"))),
    "intervals": series(pd.interval_range(0, 3)),
    "periods": series(pd.period_range("2020", periods=3, freq="M")),
    "zoned": series(pd.date_range("2020-03-29", periods=4, freq="h", tz="Europe/Berlin")),
    "zoned, seconds": series(pd.date_range("2020", periods=2, tz="UTC", unit="s")),
    "fixed offset": series(pd.to_datetime(["2020-01-01T00:00:00+02:00"])),
    "seconds": series(pd.date_range("1000-01-01", periods=2, unit="s")),
    "nanoseconds": series([pd.NaT, pd.Timestamp(1)], "datetime64[ns]"),
    "spans": series(pd.to_timedelta([1, 2], unit="s")),
    "arrow integers": series([1, None], "int64[pyarrow]"),
    "arrow lists": series([[1], None], pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow decimals": series([Decimal("1.1"), None], pd.ArrowDtype(pa.decimal128(5, 2))),
    "all missing": series([None, None], object),
    "nothing": series([], object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_column_comes_back_equal(name, tmp_path):
    """A column of every dtype that people use comes back equal, dtype and all."""
    before = pd.DataFrame({"x": COLUMNS[name], "n": range(len(COLUMNS[name]))})
    pd.testing.assert_frame_equal(frame(seal_at(tmp_path / "a", before)), before)


def one(index=None, columns=None):
    return pd.DataFrame([[1, 2], [3, 4]], index=index, columns=columns)


FRAMES = {
    "plain": one(),
    "range": one(pd.RangeIndex(5, 9, 2, name="r"), ["a", "b"]),
    "duplicated index": one([0, 0], ["a", "b"]),
    "text index": one(["x", "x"], ["a", "b"]),
    "several levels": one(pd.MultiIndex.from_tuples([(1, "x"), (2, None)], names=["p", None]), ["a", "b"]),
    "levels with categories": one(
        pd.MultiIndex.from_arrays([pd.Categorical(["b", "a"], categories=["b", "a", "z"]), [1, 2]]), ["a", "b"]
    ),
    "a level of decimals": one(pd.MultiIndex.from_arrays([[Decimal("10"), Decimal("NaN")], [0, 0]]), ["a", "b"]),
    "categories as index": one(pd.CategoricalIndex(["x", "y"], categories=["y", "x", "q"]), ["a", "b"]),
    "days": one(pd.date_range("2020", periods=2, tz="UTC", freq="D"), ["a", "b"]),
    "Int64 index": one(pd.Index([1, None], dtype="Int64"), ["a", "b"]),
    "object index": one(pd.Index([1, 2], dtype=object), ["a", "b"]),
    "intervals as index": one(pd.interval_range(0, 2), ["a", "b"]),
    "index named like a column": one(pd.Index([3, 4], name="a"), ["a", "b"]),
    "labels of two levels": one(columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
    "numbers as labels": one(columns=[7, 5]),
    "dates as labels": one(columns=pd.to_datetime(["2020-01-01", "2021-01-01"])),
    "named labels": one(columns=pd.Index(["a", "b"], name="N")),
    "object labels": one(columns=pd.Index(["a", "b"], dtype=object)),
    "no rows": one().iloc[:0],
    "no rows but categories": pd.DataFrame({"x": pd.Categorical([], categories=["b", "a"])}),
    "no columns": pd.DataFrame(index=range(5)),
    "no columns, text index": pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame(),
}


@pytest.mark.parametrize("name", FRAMES)
def test_index_and_labels_come_back_equal(name, tmp_path):
    """Index and labels of every kind come back, duplicates, levels, names and frequency included."""
    pd.testing.assert_frame_equal(frame(seal_at(tmp_path / "a", FRAMES[name])), FRAMES[name], check_column_type=True)


def test_texts_of_a_level_that_differ_after_a_nul_stay_different(tmp_path):
    """To the hash table of pandas 2 a text ends at its first NUL."""
    before = one(pd.MultiIndex(levels=[["a", "a\0"], [0]], codes=[[1, 0], [0, 0]]), ["a", "b"])
    after = frame(seal_at(tmp_path / "a", before))
    assert list(after.index) == [("a\0", 0), ("a", 0)]


REFUSED = {
    "huge integers": (series([2**70, 1]), "beyond 64 bits"),
    "numbers and text": (series([1, "a"], object), "mixes kinds"),
    "integers and floats": (series([1, 2.5], object), "mixes kinds"),
    "flags and numbers": (series([True, 1], object), "mixes kinds"),
    "dicts with other keys": (series([{"a": 1}, {"b": 2}]), "mixes kinds"),
    "sets": (series([{1}, {2}]), "mixes kinds"),
    "two zones": (series([pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020", tz="Asia/Tokyo")], object), "Convert"),
    "two kinds of missing": (series(["a", None, np.nan], object), "Make them one"),
    "complex numbers": (series([1j]), "Convert"),
    "half a character": (series(["\ud800"], object), "UTF-8"),
    "mixed categories": (series(pd.Categorical([1, "a"])), "mixes kinds"),
    "functions": (series([print]), "Convert"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_column_is_refused_by_name(name, tmp_path):
    """What would come back changed is refused: the column is named, the fix is given, no folder is made."""
    values, hint = REFUSED[name]
    with pytest.raises(UnsealableData, match="odd one") as caught:
        seal_at(tmp_path / "a", pd.DataFrame({"fine": range(len(values)), "odd one": values}))
    assert hint in caught.value.hint
    assert not (tmp_path / "a").exists()


def test_late_values_are_looked_at(tmp_path):
    """A mixed value in the last row is found before anything is written, not only one in the first rows."""
    with pytest.raises(UnsealableData, match="'x'"):
        seal_at(tmp_path / "a", pd.DataFrame({"x": series([[1]] * 5000 + [{1}], object)}))
    with pytest.raises(UnsealableData, match="'x'"):
        seal_at(tmp_path / "a", pd.DataFrame({"x": series([1] * 5000 + [2**64], object)}))


@pytest.mark.parametrize(
    "odd",
    [
        one(columns=["a", "a"]),
        one(columns=[0, "0"]),
        one(columns=[("a", 1), print]),
        one(pd.Index([1, 2], name=7.5)),
        one(pd.Index([1, "a"], dtype=object)),
    ],
)
def test_labels_are_refused(odd, tmp_path):
    """Labels that would come back as others are refused with the fix."""
    with pytest.raises(UnsealableData) as caught:
        seal_at(tmp_path / "a", odd)
    assert caught.value.hint


def test_errors_hold_no_values(tmp_path):
    """A refusal is shown, logged and sent; the value it is about stays where it was."""
    with pytest.raises(UnsealableData) as caught:
        seal_at(tmp_path / "a", pd.DataFrame({"x": series([1, "canary-91"], object)}))
    assert "canary-91" not in str(caught.value)


def test_attrs_do_not_leave(tmp_path):
    """``DataFrame.attrs`` may hold anything, and the manifest is not encrypted."""
    before = one(columns=["a", "b"])
    before.attrs = {"note": "canary-17"}
    asset = seal_at(tmp_path / "a", before)
    assert b"canary-17" not in asset.manifest.table_schema().serialize().to_pybytes()


def test_granted_columns_make_a_frame(tmp_path):
    """A grant without the index column gives a RangeIndex; some levels of several stay; order is the schema's."""
    index = pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["p", "q"])
    asset = seal_at(tmp_path / "a", one(index, ["b", "a"]))
    assert list(frame(asset, ["a", "b"]).columns) == ["b", "a"]
    assert frame(asset, ["a"]).index.equals(pd.RangeIndex(2))
    assert frame(asset, ["a", "q"]).index.tolist() == ["x", "y"]
    assert frame(asset, []).shape == (2, 0)


def test_slices_of_a_large_frame(tmp_path, monkeypatch):
    """A frame that is converted slice by slice comes back whole, also where one slice is all missing."""
    monkeypatch.setattr("sls_jupyter.assets.sources.FRAME_ROWS", 7)
    before = pd.DataFrame(
        {
            "t": series([None] * 20 + ["a", "b"], object),
            "c": pd.Categorical(["x"] * 21 + ["y"], categories=["q", "y", "x"]),
        },
        index=[f"row {i}" for i in range(22)],
    )
    pd.testing.assert_frame_equal(frame(seal_at(tmp_path / "a", before, rows_per_part=5)), before)


def test_damaged_metadata(tmp_path):
    """A schema whose pandas metadata is damaged ends in our error."""
    table = pa.table({"x": [1]}).replace_schema_metadata({"pandas": "{}", "sls.pandas": "{"})
    with pytest.raises(MalformedDocument):
        from_arrow(table)


def test_arrow_that_never_was_a_frame(tmp_path):
    """Arrow tables without our metadata are converted as pyarrow does."""
    asset = seal_at(tmp_path / "a", pa.table({"x": [1, 2]}))
    pd.testing.assert_frame_equal(to_pandas(reader(asset).read_all()), pd.DataFrame({"x": [1, 2]}))


def test_another_process_reads_the_frame(tmp_path):
    """Through Arrow IPC and in a process that has not imported pandas before, the frame is the same."""
    before = pd.DataFrame({"p": COLUMNS["periods"], "i": COLUMNS["intervals"], "c": COLUMNS["cut"]})
    table = reader(seal_at(tmp_path / "a", before)).read_all()
    with pa.ipc.new_stream(tmp_path / "ipc", table.schema) as writer:
        writer.write_table(table)
    code = """if True:
        import sys, pyarrow as pa
        with pa.OSFile(sys.argv[1]) as file:
            table = pa.ipc.open_stream(file).read_all()
        assert "pandas" not in sys.modules
        from sls_jupyter.assets.opening import to_pandas
        to_pandas(table).to_pickle(sys.argv[2])
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "ipc", tmp_path / "pickle"], check=True)
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "pickle"), before)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
MOMENTS = st.integers(-(2**33), 2**33).map(lambda s: dt.datetime.fromtimestamp(s / 3, dt.UTC).replace(tzinfo=None))
NAN_FREE = st.floats(allow_nan=False)


def maybe(strategy):
    return st.none() | strategy


MAKERS = {
    "int": (st.integers(-(2**63), 2**63 - 1), "int64"),
    "Int": (maybe(st.integers(-(2**63), 2**63 - 1)), "Int64"),
    "uint": (st.integers(0, 2**64 - 1), "uint64"),
    "float": (st.floats(width=64), "float64"),
    "bool": (st.booleans(), "bool"),
    "boolean": (maybe(st.booleans()), "boolean"),
    "text": (maybe(TEXT), "str"),
    "object text": (maybe(TEXT), "object"),
    "bytes": (maybe(st.binary(max_size=5)), "object"),
    "moment": (maybe(MOMENTS), "datetime64[us]"),
    "second": (maybe(MOMENTS.map(lambda m: m.replace(microsecond=0))), "datetime64[s]"),
    "zoned": (maybe(MOMENTS.map(lambda m: m.replace(tzinfo=dt.UTC))), "datetime64[us, UTC]"),
    "span": (maybe(st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999))), "timedelta64[us]"),
    "category": (maybe(st.sampled_from(["b", "a", "ü"])), pd.CategoricalDtype(["z", "b", "a", "ü"], ordered=True)),
    "decimal": (maybe(st.decimals(-999, 999, places=2)), "object"),
    "list": (maybe(st.lists(st.integers(0, 9), max_size=3)), "object"),
    "lists": (maybe(st.lists(maybe(st.lists(NAN_FREE, max_size=2)), max_size=2)), "object"),
}


@st.composite
def frames(draw):
    """Frames of several dtypes, with an index of no, one or two levels that may repeat."""
    rows = draw(st.integers(0, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(MAKERS)), max_size=5))
    names = draw(st.lists(TEXT, min_size=len(kinds), max_size=len(kinds), unique=True))

    def column(kind):
        values, dtype = MAKERS[kind]
        return pd.Series(draw(st.lists(values, min_size=rows, max_size=rows)), dtype=dtype)

    data = [column(kind) for kind in kinds]
    result = pd.DataFrame(dict(enumerate(data)), index=range(rows))
    result.columns = pd.Index(names, dtype="str")
    levels = draw(st.lists(st.sampled_from(["int", "text", "category", "zoned"]), max_size=2))
    if len(levels) == 1:
        result.index = pd.Index(column(levels[0]).array, name=draw(maybe(st.just("row"))))
    elif levels:
        result.index = pd.MultiIndex.from_arrays([column(kind).array for kind in levels], names=["p", None])
    return result


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=frames(), rows_per_part=st.integers(1, 9))
def test_every_frame_comes_back_equal(before, rows_per_part, tmp_path_factory):
    """Whatever is accepted comes back equal, however it is cut into parts."""
    folder = tmp_path_factory.mktemp("frame") / "a"
    after = frame(seal_at(folder, before, rows_per_part=rows_per_part))
    pd.testing.assert_frame_equal(after, before, check_column_type=True)

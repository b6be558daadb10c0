"""Words about frames: every honest frame comes back through the gate as it was, and no claim carries anything else."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from frame_kinds import INDEXES, KEPT, LABELS, grid
from frames_kit import same_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from test_assets_frames import COLUMNS, FRAMES

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.guest.dtypes import is_dtype, is_time_zone
from sls_jupyter.guest.gate import GROUP_SIZE_COLUMN, Gate, Table
from sls_jupyter.guest.tables import written
from sls_jupyter.guest.values import restore, to_stream

SECRET = "patient 7 is ill"
PIVOT = pd.DataFrame({"sex": list("ffmm"), "old": ["yes", "no"] * 2, "n": range(4)}).pivot_table(
    index="sex", columns="old", values="n", aggfunc=["sum", "mean"]
)
MORE = {
    "pivot": PIVOT,
    "crosstab": pd.crosstab(pd.Series(list("abab"), name="x"), pd.Series([1, 2, 2, 2], name="y")),
    "describe": pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}).describe(),
    "monthly": pd.DataFrame({"n": range(60)}, index=pd.date_range("2020", periods=60)).resample("ME").sum(),
    "quarters as index": pd.DataFrame({"n": [1, 2]}, index=pd.period_range("2020Q1", periods=2, freq="Q-DEC")),
    "zoned labels": pd.DataFrame(
        [[1, 2]], columns=pd.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("Asia/Tokyo")
    ),
    "cut, grouped": pd.DataFrame({"n": [1, 2, 9]}).groupby(pd.cut(pd.Series([1, 2, 9]), 2), observed=True).sum(),
    "labels from three": pd.DataFrame([[1, 2]], columns=pd.RangeIndex(3, 7, 2)),
}


def gated(value: Any, sizes: list[int] | None = None, **rules: Any) -> Table:
    """What the gate lets go of a value, as the recipient reads it; ``sizes`` are those of its rows' groups."""
    sink = io.BytesIO()
    outgoing = to_stream(value)
    outgoing.write(sink)
    sent = pa.ipc.open_stream(sink.getvalue()).read_all()
    if sizes is not None:
        sent = sent.append_column(GROUP_SIZE_COLUMN, pa.array(sizes, pa.int64()))
    found = Gate(Obligations(**rules)).table("x", outgoing.shape, sent)
    assert found is not None
    table = pa.ipc.open_stream(written(found.table)).read_all()
    return Table(found.name, found.shape, table, found.rows_before, found.note)


def back(value: Any, **rules: Any) -> Any:
    found = gated(value, **rules)
    return restore(found.table, found.shape)


def without_unused(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories that no row has do not leave."""
    frame = frame.copy()
    for place, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.CategoricalDtype):
            frame.isetitem(place, frame.iloc[:, place].cat.remove_unused_categories())
    levels = [frame.index.get_level_values(i) for i in range(frame.index.nlevels)]
    plain = [one.remove_unused_categories() if isinstance(one, pd.CategoricalIndex) else one for one in levels]
    if any(isinstance(one, pd.CategoricalIndex) for one in levels):
        frame.index = pd.MultiIndex.from_arrays(plain) if len(plain) > 1 else plain[0]
    return frame


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_through_the_gate(name: str) -> None:
    """An analyst's dtype survives words that the gate writes itself."""
    before = pd.DataFrame({"x": COLUMNS[name], "n": range(len(COLUMNS[name]))})
    pd.testing.assert_frame_equal(back(before), before)
    pd.testing.assert_frame_equal(back(before, max_rows=1000), without_unused(before))


@pytest.mark.parametrize("name", [*FRAMES, *MORE])
def test_index_and_labels_come_back_through_the_gate(name: str) -> None:
    """Index names, levels, frequencies, ranges and labels are words too."""
    before = (FRAMES | MORE)[name]
    pd.testing.assert_frame_equal(back(before), before, check_column_type=True)
    pd.testing.assert_frame_equal(back(before, max_rows=1000), without_unused(before), check_column_type=True)


TAKEN = {"categories of moments", "sparse, filled with one"}  # a frequency of categories; see below


@pytest.mark.parametrize("name", [name for name in KEPT if "sparse" not in name and name not in TAKEN])
def test_every_kind_of_column_leaves_as_it_is(name: str) -> None:
    """What can be sealed can be returned."""
    before = pd.DataFrame({"x": KEPT[name], "n": range(len(KEPT[name]))})
    same_frame(back(before), before)


@pytest.mark.parametrize("name", INDEXES)
def test_every_kind_of_index_leaves_as_it_is(name: str) -> None:
    """What groups and times are called stays with their numbers."""
    before = grid(INDEXES[name], ["a", "b"])
    if isinstance(before.index, pd.CategoricalIndex) or "categories" in name or "cuts" in name:
        assert list(back(before).index) == list(before.index)
    else:
        same_frame(back(before), before)


@pytest.mark.parametrize("name", LABELS)
def test_every_kind_of_label_leaves_as_it_is(name: str) -> None:
    """Pivots and cross tables have dates, flags, cuts and margins as labels."""
    before = grid(columns=LABELS[name])
    if isinstance(before.columns, pd.CategoricalIndex) or "categories" in name or "cuts" in name:
        assert list(back(before).columns) == list(before.columns)
    else:
        same_frame(back(before), before)


def test_sparse_dummies_leave_and_a_fill_says_nothing() -> None:
    """A fill value is a number beside the rows, so only that of flags and counts leaves."""
    dummies = pd.get_dummies(pd.Series(list("abca")), sparse=True)
    same_frame(back(dummies), dummies)
    told = pd.DataFrame({"x": pd.arrays.SparseArray([1, 1], fill_value=123_456)})
    outgoing = to_stream(told)
    table = pa.Table.from_batches(outgoing.batches, outgoing.schema)
    found = Gate(Obligations()).table("x", "frame", table)
    assert found is None or "123456" not in str(found.table.schema.metadata)


def test_series_and_scalars_come_back_through_the_gate() -> None:
    """Each shape is itself on the other side."""
    series = pd.Series([1, None], index=pd.Index(["a", "b"], name="k"), name="n", dtype="Int64")
    pd.testing.assert_series_equal(back(series), series)
    assert back(np.float64(2.5)) == 2.5
    assert back(pa.table({"a": ["x"]})).to_pydict() == {"a": ["x"]}


@pytest.mark.parametrize("value", [pd.DataFrame({"g": list("abc"), "n": [12, 3, 25]}, index=[7, 8, 9])])
def test_a_cut_frame_comes_back(value: pd.DataFrame) -> None:
    """Rows that were taken away leave no trace in the index."""
    assert back(value, min_group=10, sizes=[12, 3, 25]).to_dict("list") == {"g": ["a", "c"], "n": [12, 25]}
    counted = back(value.reset_index(drop=True), max_rows=2)
    assert list(counted.index) == [0, 1]
    assert counted.index.stop == 2
    days = value.set_index(pd.date_range("2020", periods=3, freq="D"))
    assert back(days, min_group=10, sizes=[12, 3, 25]).index.freq is None


# --- claims ---------------------------------------------------------------------------------------


def claims(frame: pd.DataFrame) -> tuple[pa.Table, dict[str, Any], dict[str, Any]]:
    outgoing = to_stream(frame)
    table = pa.Table.from_batches(outgoing.batches, outgoing.schema)
    standard, ours = (json.loads(table.schema.metadata[name]) for name in (b"pandas", b"sls.pandas"))
    return table, standard, ours


def left(table: pa.Table, standard: Any, ours: Any) -> bytes | None:
    """The bytes that leave of a frame with these claims; ``None`` when it is withheld."""
    claimed = table.replace_schema_metadata(
        {"pandas": json.dumps(standard), "sls.pandas": json.dumps(ours), "note": SECRET}
    )
    found = Gate(Obligations()).table("x", "frame", claimed)
    return None if found is None else written(found.table)


FRAME = pd.DataFrame({"a": [1, 2], "t": pd.date_range("2020", periods=2)}, index=pd.Index([5, 6], name="i"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


_, STANDARD, OURS = claims(FRAME)
NAMES = [
    ("columns", 2, "name"),
    ("labels", "names"),
    ("labels", "names", 0),
]  # of labels and levels: they are seen, and may leave
PLACES = [(0, place) for place in places(STANDARD) if place not in NAMES] + [
    (1, place) for place in places(OURS) if place not in NAMES
]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(PLACES),
    st.sampled_from(
        [SECRET, [SECRET], {SECRET: 1}, f"datetime64[ns, {SECRET}]", f"period[{SECRET}]", f"interval[{SECRET}, left]"]
    ),
)
def test_no_claim_carries_a_text_out(where: tuple[int, tuple[Any, ...]], text: Any) -> None:
    """Every place of the words about a frame was a way past the limits of rows and groups."""
    table, standard, ours = claims(FRAME)
    which, path = where
    told = [standard, ours]
    told[which] = changed(told[which], path, text)
    data = left(table, *told)
    assert data is None or SECRET.encode() not in data


def test_tuples_are_not_claimed_of_dicts() -> None:
    """A field's name would be lost in the one, and would be one more thing to read in the other."""
    table, standard, ours = claims(pd.DataFrame({"d": [{"a": 1, "b": "x"}], "r": [(1, "x")]}))
    assert left(table, standard, ours) is not None
    ours["columns"]["d"]["kind"] = {"row": ["int", "str"]}
    assert left(table, standard, ours) is None


@pytest.mark.parametrize("number", [10**9 + 7, 2**70, -(2**63) - 1, 1.5, True])
def test_a_range_says_no_more_than_its_rows(number: Any) -> None:
    """Start, stop and step are three numbers of which a frame of one row shows the first."""
    table, standard, ours = claims(pd.DataFrame({"a": [1]}))
    entry = {"kind": "range", "name": None, "start": 0, "stop": number, "step": number}
    data = left(table, standard | {"index_columns": [entry]}, ours)
    assert data is None or str(number).encode() not in data


def test_an_arrow_table_has_no_words_at_all() -> None:
    """Its metadata is nobody's index; it left as it was."""
    table = pa.table({"n": [300], GROUP_SIZE_COLUMN: [300]}).replace_schema_metadata(
        {"pandas": SECRET, "sls.pandas": SECRET}
    )
    found = Gate(Obligations(max_rows=1, min_group=100)).table("x", "arrow", table)
    assert found is not None
    assert SECRET.encode() not in written(found.table)


def test_extension_types_carry_no_words_of_their_own() -> None:
    """An unknown extension leaves as what it stores; a known one says a frequency or a side, and nothing else."""
    words = {"ARROW:extension:name": SECRET, "ARROW:extension:metadata": SECRET}
    table = pa.table([pa.array([1])], schema=pa.schema([pa.field("a", pa.int64(), metadata=words)]))
    found = Gate(Obligations()).table("x", "arrow", table)
    assert found is not None
    assert SECRET.encode() not in written(found.table)
    for name in ("pandas.period", "pandas.interval"):
        words = {"ARROW:extension:name": name, "ARROW:extension:metadata": json.dumps({"freq": SECRET})}
        table = pa.table([pa.array([1])], schema=pa.schema([pa.field("a", pa.int64(), metadata=words)]))
        assert Gate(Obligations()).table("x", "arrow", table) is None


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "+02:00", "-11:30"])
def test_time_zones_are_those_of_the_database(zone: str) -> None:
    """A time zone is a text in a type."""
    assert is_time_zone(zone)
    for other in (SECRET, zone + " ", "../etc/passwd", "", "+2:00"):
        assert not is_time_zone(other)
    assert Gate(Obligations()).table("x", "arrow", pa.table({"a": pa.array([1], pa.timestamp("s", SECRET))})) is None


@given(st.text(max_size=30))
def test_dtypes_are_from_a_closed_list(text: str) -> None:
    """A dtype is a name that pandas has, or the table stays."""
    assert not is_dtype(text) or isinstance(pd.api.types.pandas_dtype(text), object)


def test_names_are_bounded() -> None:
    """Names of columns are seen and may leave, in a length that a name has."""
    for table in (pa.table({"x" * 2_000: [1]}), pa.table({f"c{i}": pa.nulls(0) for i in range(6_000)})):
        assert Gate(Obligations()).table("x", "arrow", table) is None


# --- labels ---------------------------------------------------------------------------------------

TOLD = [
    ({"dtype": "bool"}, "patient 7", "True"),
    ({"dtype": "object", "kinds": "bool"}, "patient 7", "False"),
    ({"dtype": "int64"}, "0000007", "7"),
    ({"dtype": "int64"}, " 7", "-7"),
    ({"dtype": "object", "kinds": "int"}, "1_0", "10"),
    ({"dtype": "float64"}, "1.00000000000000000000005511", "1.0"),
    ({"dtype": "object", "kinds": "float"}, "7e0", "1e-05"),
    ({"dtype": "datetime64[ns]"}, "January 7, 2020", "2020-01-07 00:00:00"),
    ({"dtype": "datetime64[ns]"}, "2020-01-07T00:00:00.0000000005511", "2020-01-07 00:00:00.500000"),
    ({"dtype": "object", "kinds": "str", "missing": ["patient 7"], "null": "none"}, "patient 7", "None"),
]


@pytest.mark.parametrize(("level", "text", "plain"), TOLD)
def test_a_label_shows_all_of_its_text(level: dict[str, Any], text: str, plain: str) -> None:
    """A name that comes back as a number, a day or ``True`` carried a thousand bytes that nobody saw."""
    for name, leaves in ((text, False), (plain, True)):
        table, standard, ours = claims(pd.DataFrame({name: [1]}))
        data = left(table, standard, ours | {"labels": ours["labels"] | {"levels": [level]}})
        assert (data is not None) == leaves


@pytest.mark.parametrize("text", ["('a', 'b')  # patient 7", "('a',   'b')", "('a', 'b' '')", "('a', b'' or 'b')"])
def test_labels_of_several_levels_have_one_spelling(text: str) -> None:
    """Python reads over comments, spaces and joined texts."""
    for name, leaves in ((text, False), ("('a', 'b')", True)):
        table, standard, ours = claims(pd.DataFrame({name: [1]}))
        words = ours["labels"] | {"levels": ours["labels"]["levels"] * 2, "names": [None, None], "several": True}
        data = left(table, standard, ours | {"labels": words})
        assert (data is not None) == leaves

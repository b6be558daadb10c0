"""Every Arrow type comes back exactly, or its column is refused by name."""

import datetime as dt

import pyarrow as pa
import pytest
from assets_kit import all_bytes, reader, seal_at

from sls_jupyter.assets.columns import Dictionaries, clean_schema, physical_name, physical_schema
from sls_jupyter.errors import UnsealableData

UTC = dt.UTC
EXACT = {
    pa.null(): [None, None],
    pa.bool_(): [True, None],
    pa.uint64(): [2**64 - 1, None],
    pa.float16(): [1.5, None],
    pa.string_view(): ["a", None],
    pa.large_binary(): [b"\0", None],
    pa.binary(2): [b"ab", None],
    pa.date32(): [dt.date(1, 1, 1), None],
    pa.date64(): [dt.date(2020, 1, 1), None],
    pa.time32("s"): [dt.time(1, 2, 3), None],
    pa.time64("ns"): [dt.time(1, 2, 3, 4), None],
    pa.timestamp("s"): [-(2**62), None],
    pa.timestamp("s", "Europe/Berlin"): [dt.datetime(2020, 1, 1, tzinfo=UTC), None],
    pa.timestamp("ns", "UTC"): [2**62, None],
    pa.duration("s"): [dt.timedelta(days=1), None],
    pa.decimal128(30, 2): [1, None],
    pa.list_(pa.int8()): [[1, None], None],
    pa.large_list(pa.string()): [["a"], []],
    pa.list_(pa.int8(), 2): [[1, 2], None],
    pa.list_view(pa.int8()): [[1], None],
    pa.struct([("a;b", pa.int8()), ("c.d", pa.list_(pa.string()))]): [{"a;b": 1, "c.d": ["x"]}, None],
    pa.map_(pa.string(), pa.int8()): [[("k", 1)], None],
    pa.dictionary(pa.int8(), pa.string(), ordered=True): ["x", None],
    pa.dictionary(pa.uint32(), pa.int64()): [5, None],
    pa.uuid(): [b"0123456789abcdef", None],
    pa.json_(): ["{}", None],
}


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_type_comes_back(kind, tmp_path):
    """A column comes back with its type and its values, whatever Parquet itself would make of it."""
    table = pa.table({"x": pa.array(EXACT[kind], kind)})
    back = reader(seal_at(tmp_path / "a", table)).read_all()
    assert back.schema == table.schema
    assert back.equals(table)


def test_dictionary_of_a_type_that_parquet_changes(tmp_path):
    """Categories that are times with seconds keep their unit, and unused ones stay."""
    values = pa.array([5, 86_400], pa.int64()).view(pa.timestamp("s"))
    table = pa.table({"x": pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), values)})
    back = reader(seal_at(tmp_path / "a", table)).read_all()
    assert back.equals(table)
    assert back.column(0).chunk(back.column(0).num_chunks - 1).dictionary.equals(values)


@pytest.mark.parametrize(
    "kind",
    [
        pa.month_day_nano_interval(),
        pa.decimal128(5, -2),
        pa.struct([]),
        pa.run_end_encoded(pa.int32(), pa.string()),
        pa.list_(pa.timestamp("s")),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
    ],
    ids=str,
)
def test_type_is_refused_by_name(kind, tmp_path):
    """What Parquet cannot hold is refused before a folder is made, and the column is named."""
    table = pa.schema([("fine", pa.int8()), ("odd one", kind)]).empty_table()
    with pytest.raises(UnsealableData, match="'odd one'"):
        seal_at(tmp_path / "a", table)
    assert not (tmp_path / "a").exists()


def test_two_columns_of_one_name_are_refused(tmp_path):
    """Grants name columns; a name that two columns have would grant both or the wrong one."""
    with pytest.raises(UnsealableData, match="'x'"):
        seal_at(tmp_path / "a", pa.table([[1], [2]], names=["x", "x"]))


@pytest.mark.parametrize("name", ["a,b", "a;k: c", "a b", " a", "a.b", "ä", "", "#1", "k:v", "a" * 300, "列"])
def test_no_column_name_leaves_its_column_in_plaintext(name, tmp_path):
    """pyarrow writes a column that its configuration does not name unencrypted; no name can make it do so."""
    table = pa.table({name: ["canary-7f3a"] * 3, "plain": [1, 2, 3]})
    asset = seal_at(tmp_path / "a", table)
    assert b"canary-7f3a" not in all_bytes(tmp_path)
    assert reader(asset, [name]).read_all().column(name).to_pylist() == ["canary-7f3a"] * 3


def test_physical_names_are_unique():
    """A column named like another one's physical name does not collide with it."""
    schema = pa.schema([("a b", pa.int8()), ("#0", pa.int8()), ("plain", pa.int8())])
    assert physical_schema(schema).names == ["#0", "#1", "plain"]
    assert physical_name(3, "x\n") == "#3"


def test_metadata_does_not_leave():
    """Schema metadata may hold anything (polars puts the categories of an Enum there); only types' names stay."""
    field = pa.field("x", pa.int8(), metadata={"_PL_ENUM_VALUES2": "canary", "ARROW:extension:name": "mine"})
    schema = clean_schema(pa.schema([field], metadata={"note": "canary", "pandas": "{}"}))
    assert b"canary" not in schema.serialize().to_pybytes()
    assert schema.metadata == {b"pandas": b"{}"}
    assert schema.field(0).metadata == {b"ARROW:extension:name": b"mine"}


def test_dictionaries_only_grow():
    """Codes that were written already keep their meaning when a later batch brings other values."""
    seen = Dictionaries({})
    first = seen.codes(0, "x", pa.array(["a", "b"]).dictionary_encode())
    second = seen.codes(0, "x", pa.array(["c", "a", None]).dictionary_encode())
    assert (first.to_pylist(), second.to_pylist()) == ([0, 1], [2, 0, None])
    assert seen.values[0].to_pylist() == ["a", "b", "c"]


def test_dictionaries_that_do_not_fit_are_refused():
    """More values than the codes can count end in an error that names the column, not in wrong values."""
    seen, kind = Dictionaries({}), pa.dictionary(pa.int8(), pa.int64())
    seen.codes(0, "x", pa.array(list(range(100)), kind))
    with pytest.raises(UnsealableData, match="'x'"):
        seen.codes(0, "x", pa.array(list(range(100, 200)), kind))

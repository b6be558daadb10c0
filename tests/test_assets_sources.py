"""Everything that holds a table can be sealed; what cannot says why."""

import itertools

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assets_kit import frame, reader, seal_at
from pyarrow import csv, dataset, feather

from sls_jupyter.errors import BadInput, SlsError, UnsealableData

TABLE = pa.table({"n": [1, 2, None], "t": ["a", "ä", None]})


def batches(table=TABLE):
    return iter(table.to_batches(max_chunksize=2))


def test_arrow_in_every_form(tmp_path):
    """A table, a batch, a reader and an iterable of batches are all the same asset."""
    forms = [TABLE, TABLE.to_batches()[0], TABLE.to_reader(), batches(), TABLE.to_batches()]
    for number, form in enumerate(forms):
        assert reader(seal_at(tmp_path / str(number), form)).read_all().equals(TABLE)


def test_files_in_every_form(tmp_path):
    """Files are sealed without being loaded, by path or by text."""
    pq.write_table(TABLE, tmp_path / "t.parquet")
    csv.write_csv(TABLE, tmp_path / "t.csv")
    feather.write_feather(TABLE, tmp_path / "t.feather")
    with pa.ipc.new_stream(tmp_path / "t.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    for suffix in ("parquet", "feather", "arrow"):
        assert reader(seal_at(tmp_path / suffix, tmp_path / f"t.{suffix}")).read_all().equals(TABLE)
    assert reader(seal_at(tmp_path / "csv", str(tmp_path / "t.csv"))).read_all()["n"].equals(TABLE["n"])


def test_a_parquet_file_that_pandas_wrote(tmp_path):
    """The frame in a file comes back as pandas would read it."""
    before = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["p", "q"], name="id"))
    before.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(frame(seal_at(tmp_path / "a", tmp_path / "t.parquet")), before)


def test_polars(tmp_path):
    """polars frames go in with all their types and come back with their values."""
    before = pl.DataFrame(
        {
            "s": ["a", None],
            "c": pl.Series(["x", None], dtype=pl.Categorical),
            "e": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x", "q"])),
            "l": [[1], None],
            "d": pl.Series([1, 2], dtype=pl.Decimal(10, 2)),
            "n": [None, None],
        }
    )
    asset = seal_at(tmp_path / "a", before)
    after = pl.from_arrow(reader(asset).read_all())
    assert after.rows() == before.rows()
    assert b"q" not in asset.manifest.table_schema().serialize().to_pybytes().replace(b"q\0", b"")


@pytest.mark.parametrize("series", [pd.Series([1, 2], name="n"), pl.Series("n", [1, 2])])
def test_a_single_column_says_how_it_becomes_a_table(tmp_path, series):
    """A Series streams like a table and is none; the call that makes one is in the error."""
    with pytest.raises(BadInput, match=r"found (?:pandas|polars)\.Series(?s:.*)\.to_frame\(\)"):
        seal_at(tmp_path, series)


def test_polars_type_that_arrow_lacks(tmp_path):
    """The column is named although Arrow itself does not name it."""
    with pytest.raises(UnsealableData, match="'wide one'"):
        seal_at(tmp_path / "a", pl.DataFrame({"x": [1], "wide one": pl.Series([1], dtype=pl.Int128)}))


def test_duckdb(tmp_path):
    """A duckdb relation streams into the asset."""
    with duckdb.connect() as connection:
        relation = connection.sql("select range x, 'v' || range % 3 y from range(5000)")
        table = reader(seal_at(tmp_path / "a", relation)).read_all()
    assert table.column("x").to_pylist() == list(range(5000))


def test_dictionaries_that_differ_by_batch(tmp_path):
    """A stream may bring other categories with each batch; values stay what they were."""
    stream = (pa.record_batch({"k": pa.array([f"v{i}", "z", None]).dictionary_encode()}) for i in range(4))
    table = reader(seal_at(tmp_path / "a", stream, rows_per_part=2)).read_all()
    assert table.column("k").to_pylist() == list(itertools.chain.from_iterable((f"v{i}", "z", None) for i in range(4)))


@pytest.mark.parametrize("odd", [None, 7, b"bytes", {"a": [1]}, [], [1], pd.Series([1]), pl.LazyFrame({"a": [1]})])
def test_what_is_no_table_is_refused(odd, tmp_path):
    """Something else than a table ends in a sentence, not in a traceback."""
    with pytest.raises(BadInput):
        seal_at(tmp_path / "a", odd)
    assert not (tmp_path / "a").exists()


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder, another kind of file and a damaged one are told apart."""
    (tmp_path / "t.parquet").write_bytes(b"no")
    (tmp_path / "t.csv").write_bytes(b"")
    (tmp_path / "t.feather").write_bytes(b"no")
    (tmp_path / "t.xlsx").write_bytes(b"no")
    for name in ("none.csv", "", "t.parquet", "t.csv", "t.feather", "t.xlsx"):
        with pytest.raises(BadInput):
            seal_at(tmp_path / "a", tmp_path / name)
    assert not (tmp_path / "a").exists()


def test_a_stream_that_changes_its_columns(tmp_path):
    """Batches of another schema do not slip in."""
    stream = iter([pa.record_batch({"x": [1]}), pa.record_batch({"y": [1]})])
    with pytest.raises(UnsealableData, match="batches"):
        seal_at(tmp_path / "a", stream)
    assert not (tmp_path / "a").exists()


def test_a_late_value_in_a_csv_file(tmp_path):
    """A value far down that is no number makes the whole column text; types are decided on the whole file."""
    (tmp_path / "t.csv").write_text("x\n" + "1\n" * 2_000_000 + "late\n")
    column = reader(seal_at(tmp_path / "a", tmp_path / "t.csv")).read_all()["x"]
    assert (len(column), column[0].as_py(), column[-1].as_py()) == (2_000_001, "1", "late")


def test_errors_of_the_caller_stay_theirs(tmp_path):
    """An exception in the caller's own generator arrives as it is, and nothing is left."""

    def failing():
        yield from batches()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        seal_at(tmp_path / "a", failing())
    assert not (tmp_path / "a").exists()


def test_every_refusal_is_ours():
    """The errors above are all of one family, so that a notebook can show them in words."""
    assert issubclass(UnsealableData, SlsError)


def test_datasets_of_pyarrow(tmp_path):
    """A dataset and a scanner of it stream into the asset."""
    pq.write_table(TABLE, tmp_path / "t.parquet")
    made = dataset.dataset(tmp_path / "t.parquet")
    assert reader(seal_at(tmp_path / "a", made)).read_all().equals(TABLE)
    assert reader(seal_at(tmp_path / "b", made.scanner(columns=["n"]))).read_all().equals(TABLE.select(["n"]))


def test_a_file_with_words_of_ours_that_do_not_fit(tmp_path):
    """Metadata that only look like ours are refused when sealed, not met by every run."""
    damaged = TABLE.replace_schema_metadata({"pandas": "{}", "sls.pandas": '{"columns": {}}'})
    feather.write_feather(damaged, tmp_path / "t.feather")
    for data in (damaged, tmp_path / "t.feather"):
        with pytest.raises(UnsealableData, match="metadata"):
            seal_at(tmp_path / "a", data)
    assert not (tmp_path / "a").exists()

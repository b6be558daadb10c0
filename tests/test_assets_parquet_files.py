"""Parquet files and folders of other writers."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from assets_kit import frame, reader, seal_at

from sls_jupyter.assets.sources import open_source
from sls_jupyter.errors import BadInput, UnsealableData


def test_a_folder_with_keys(tmp_path):
    """Keys of the folders' names are columns: whole numbers where all are, else text with its zeros."""
    table = pa.table({"year": ["2020", "2020", "2021"], "region": ["01", "02", None], "v": [1, 2, 3]})
    schema = pa.schema([("year", pa.string()), ("region", pa.string())])
    ds.write_dataset(table, tmp_path / "d", format="parquet", partitioning=ds.partitioning(schema, flavor="hive"))
    (tmp_path / "d" / "_SUCCESS").write_text("")
    got = reader(seal_at(tmp_path / "a", tmp_path / "d")).read_all()
    assert got.to_pydict() == {"v": [1, 2, 3], "year": [2020, 2020, 2021], "region": ["01", "02", None]}


def test_a_folder_that_pandas_wrote(tmp_path):
    """The rows of all files, in their order; what one file says about its index does not hold for all."""
    pd.DataFrame({"y": [1, 1, 2], "v": [1.5, 2.5, 3.5]}).to_parquet(tmp_path / "d", partition_cols=["y"])
    got = frame(seal_at(tmp_path / "a", str(tmp_path / "d")))
    assert got.to_dict("list") == {"v": [1.5, 2.5, 3.5], "y": [1, 1, 2]}
    assert open_source(tmp_path / "d").rows == 3


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def test_a_folder_that_is_no_table(tmp_path):
    """Files of two schemas, other files, keys of two kinds, a doubled name and nothing at all are told apart."""
    write(tmp_path / "two/a.parquet", pa.table({"x": [1]}))
    write(tmp_path / "two/b.parquet", pa.table({"x": ["late"]}))
    write(tmp_path / "less/a.parquet", pa.table({"x": [1], "y": [2]}))
    write(tmp_path / "less/b.parquet", pa.table({"x": [1]}))
    write(tmp_path / "keys/k=1/a.parquet", pa.table({"x": [1]}))
    write(tmp_path / "keys/a.parquet", pa.table({"x": [1]}))
    write(tmp_path / "same/x=1/a.parquet", pa.table({"x": [1]}))
    write(tmp_path / "other/a.parquet", pa.table({"x": [1]}))
    (tmp_path / "other/notes.csv").write_text("a")
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/broken.parquet").write_bytes(b"no")
    words = {
        "two": "string in b.parquet", "less": "'y'", "keys": "different keys", "same": "Two columns are named 'x'",
        "other": "notes.csv", "none": "0 Parquet files", "bad": "broken.parquet",
    }  # fmt: skip
    for folder, word in words.items():
        with pytest.raises((BadInput, UnsealableData)) as caught:
            seal_at(tmp_path / "a", tmp_path / folder)
        assert word in str(caught.value)
        assert "late" not in str(caught.value)


def test_old_times_beyond_nanoseconds(tmp_path):
    """INT96 times of Spark that nanoseconds do not reach are refused; Arrow would give other dates, silently."""
    for name, year in (("near", 2020), ("far", 9999)):
        times = pa.array([dt.datetime(year, 1, 1, 12, tzinfo=dt.UTC), None]).cast(pa.timestamp("us"))
        pq.write_table(pa.table({"t": times}), tmp_path / f"{name}.parquet", use_deprecated_int96_timestamps=True)
    got = frame(seal_at(tmp_path / "a", tmp_path / "near.parquet"))
    assert got.t[0] == pd.Timestamp(2020, 1, 1, 12)
    with pytest.raises(UnsealableData, match="'t'"):
        seal_at(tmp_path / "b", tmp_path / "far.parquet")

"""Nothing is published that nobody can open."""

import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import frame, reader, seal_at

from sls_jupyter.assets import reopening
from sls_jupyter.errors import MalformedDocument, UnsealableData


def test_a_table_that_does_not_open_is_not_published(tmp_path, monkeypatch):
    """Who seals it learns it, and not the first analyst who runs on it."""

    def fails(_):
        raise MalformedDocument("The column 'when' of a table cannot be brought back.")

    monkeypatch.setattr(reopening, "to_pandas", fails)
    with pytest.raises(UnsealableData) as caught:
        seal_at(tmp_path / "a", pd.DataFrame({"when": [1, 2]}))
    assert "'when'" in caught.value.found
    assert not (tmp_path / "a").exists()


def test_the_first_row_group_is_small_and_the_rows_stay_in_order(tmp_path):
    """It is opened at the end of every seal, whatever the size of the table."""
    asset = seal_at(tmp_path / "a", pd.DataFrame({"n": range(10_000)}), rows_per_part=9_000)
    assert frame(asset).n.tolist() == list(range(10_000))
    assert [part.rows for part in asset.manifest.data_parts] == [9_000, 1_000]


@pytest.mark.parametrize("confidential", [False, True])
def test_tables_without_rows_or_columns_open(confidential, tmp_path):
    """There is nothing to read in them, and they open all the same."""
    empty = pa.table({"x": pa.array([], pa.int64())})
    assert reader(seal_at(tmp_path / "a", empty, confidential=confidential)).read_all().num_rows == 0
    assert frame(seal_at(tmp_path / "b", pd.DataFrame(index=range(3)))).shape == (3, 0)

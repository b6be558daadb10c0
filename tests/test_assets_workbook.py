"""Workbooks of Excel through pandas."""

import sys

import pandas as pd
import pytest
from assets_kit import frame, seal_at

from sls_jupyter.errors import BadInput, Unavailable, UnsealableData

BEFORE = pd.DataFrame({"a": [1, 2], "b": ["x", None], "d": pd.to_datetime(["2020-01-01", "2020-01-02"])})


def test_a_workbook_comes_as_pandas_reads_it(tmp_path):
    """Types and missing values are those of pandas.read_excel."""
    BEFORE.to_excel(tmp_path / "t.xlsx", index=False)
    pd.testing.assert_frame_equal(
        frame(seal_at(tmp_path / "a", tmp_path / "t.xlsx")), pd.read_excel(tmp_path / "t.xlsx")
    )


def test_sheets_are_not_left_out_silently(tmp_path):
    """Of several sheets one has to be chosen; their names are told."""
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        BEFORE.to_excel(book, sheet_name="first")
        BEFORE.to_excel(book, sheet_name="second")
    with pytest.raises(UnsealableData, match="first, second"):
        seal_at(tmp_path / "a", tmp_path / "t.xlsx")


def test_what_is_no_workbook(tmp_path, monkeypatch):
    """A damaged file, a missing one and a missing library end in a sentence."""
    (tmp_path / "t.xlsx").write_bytes(b"no")
    for name in ("t.xlsx", "none.xlsx"):
        with pytest.raises(BadInput):
            seal_at(tmp_path / "a", tmp_path / name)
    BEFORE.to_excel(tmp_path / "u.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(Unavailable, match="files"):
        seal_at(tmp_path / "a", tmp_path / "u.xlsx")

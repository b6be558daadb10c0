"""Workbooks of Excel, through pandas and openpyxl (extra ``files``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput, Unavailable, UnsealableData

if TYPE_CHECKING:
    import pandas as pd

WORKBOOKS = (".xlsx", ".xlsm")


def is_workbook(path: Path) -> bool:
    """Whether a path's name says so."""
    return path.suffix.lower() in WORKBOOKS


def read_workbook(path: Path) -> pd.DataFrame:
    """The one sheet of a workbook, as ``pandas.read_excel`` reads it. It is loaded whole; a sheet has 2**20 rows at most.

    Raises:
        BadInput: it is not there, or no workbook.
        UnsealableData: it has several sheets. Unavailable: openpyxl is missing.
    """
    import pandas as pd

    path = path.expanduser()
    if not path.is_file():
        raise BadInput("There is no such file.", found=path, hint="Check the path.")
    try:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            names = [str(name) for name in book.sheet_names]
            frame = pd.read_excel(book) if len(names) == 1 else pd.DataFrame()
    except ImportError:
        raise Unavailable(
            "Reading a workbook needs openpyxl.", hint="Install it: pip install 'sls-jupyter[files]', and restart."
        ) from None
    except Exception as error:  # noqa: BLE001  (zip, XML and openpyxl: many kinds of error)
        raise BadInput(f"The workbook {path.name} cannot be read.", found=type(error).__name__) from None
    if len(names) != 1:
        raise UnsealableData(
            f"The workbook {path.name} has {len(names)} sheets.",
            found=", ".join(names)[:200],
            expected="one sheet",
            hint=f"Choose one: pandas.read_excel(path, sheet_name={names[0]!r}); then seal the frame.",
        )
    return frame

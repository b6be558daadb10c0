"""The values of a result as text: of a table its first rows, of everything else a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sls_jupyter.cli.words import say

ROWS, COLUMNS, CELL = 10, 12, 40  # of a table that is shown; characters of a cell
LINE = 500  # characters of another value


def show_values(values: Mapping[str, Any]) -> None:
    """Print each value below its name. They came out of a group that ran others' code on others' data: no line of one
    steers the terminal."""
    for name, value in values.items():
        say("", name, *(f"  {line}".rstrip() for line in value_lines(value)))


def value_lines(value: Any) -> list[str]:
    """Its lines; more of it is said to be there, and never left away in silence."""
    import pandas as pd

    if isinstance(value, pd.Series):
        value = value.to_frame()
    if isinstance(value, pd.DataFrame):
        return _table_lines(value)
    text = str(value.head(ROWS) if hasattr(value, "head") else value)
    return text[:LINE].split("\n") + ([f"… {len(text) - LINE:,} more characters"] if len(text) > LINE else [])


def _table_lines(table: Any) -> list[str]:
    rows, columns = table.shape
    text = table.head(ROWS).to_string(max_cols=COLUMNS, max_colwidth=CELL, line_width=10_000)
    more = [f"… {rows - ROWS:,} more rows"] if rows > ROWS else []
    more += [f"… {columns - COLUMNS:,} more columns"] if columns > COLUMNS else []
    return [*text.split("\n"), *more]

"""What a request hands to its code: values as JSON or in Python's words, tables by shape, types and rows. Shown, never executed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sls_jupyter.notebook.cards import Block, Heading, Line, Mono, Table, Warn
from sls_jupyter.notebook.listing import Listing
from sls_jupyter.notebook.words import count_words, short_id
from sls_jupyter.printing import one_line

if TYPE_CHECKING:
    import pandas as pd

    from sls_jupyter.session import RequestInfo

MAX_VALUE = 20_000  # characters of one parameter, unless everything is asked for
MAX_TABLES = 20  # among the parameters
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 10, 12, 80  # of each


def parameter_blocks(
    request: RequestInfo, values: Mapping[str, Any] | None, everything: bool, *, level: int = 4
) -> list[Block]:
    """What one cell is given.

    Args:
        values: ``None`` where they are not those that were signed, or cannot be read.
        level: of the heading.
    """
    if values is None:
        return [Heading("Parameters", level), Line("Not shown: see the doubts above.")]
    if not values:
        return [Heading("Parameters", level), Line("None.")]
    words = f"Parameters: {count_words(len(values), 'value')} that the code is given"
    blocks: list[Block] = [Heading(words, level)]
    values = {name: _tabular(value) for name, value in values.items()}
    plain = {name: value for name, value in values.items() if not hasattr(value, "columns")}
    lines, cuts = [], []
    for name, value in plain.items():
        text = _said(value)
        if len(text) > MAX_VALUE and not everything:
            cuts.append((name, len(text)))
            text = text[:MAX_VALUE] + " …"
        lines.append(f"{_name(name)} = {text}")
    if lines:
        blocks.append(Listing("\n".join(lines), "" if everything else rest_words(request)))
    blocks += [
        Warn(f"{_name(name)}: {MAX_VALUE:,} of {size:,} characters are shown. {rest_words(request)}", "note")
        for name, size in cuts
    ]
    tables = [name for name in values if name not in plain]
    for name in tables if everything else tables[:MAX_TABLES]:
        blocks += _frame(request, name, values[name], everything)
    if len(tables) > MAX_TABLES and not everything:
        blocks.append(Warn(f"{MAX_TABLES} of {len(tables)} tables are shown. {rest_words(request)}", "note"))
    return blocks


def _tabular(value: Any) -> Any:
    """A table of any library as a pandas frame; other values as they are."""
    if hasattr(value, "to_pandas"):
        value = value.to_pandas()
    return value.to_frame() if hasattr(value, "to_frame") else value


def _said(value: Any) -> str:
    """A value as JSON, or as Python writes it where JSON would change it; its type is from a closed list."""
    if _is_json(value):
        return json.dumps(value, ensure_ascii=False)
    import numpy as np

    with np.printoptions(threshold=sys.maxsize):  # nothing is left out of an array
        return repr(value)


def _is_json(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def _name(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name, ensure_ascii=False)


def rest_words(request: RequestInfo) -> str:
    """Where what a page leaves out can be seen."""
    return f"%sls show {short_id(request.id)} --all shows everything."


def _frame(request: RequestInfo, name: str, frame: pd.DataFrame, everything: bool) -> list[Block]:
    """A table among the parameters: its shape, its types, its first rows."""
    rows, columns = (len(frame), len(frame.columns)) if everything else (MAX_ROWS, MAX_COLUMNS)
    part = frame.iloc[:rows, :columns]
    heads = [f"{column} ({kind})" for column, kind in zip(part.columns, part.dtypes, strict=True)]
    labels = None if type(part.index).__name__ == "RangeIndex" else part.index.tolist()
    if labels is not None:
        heads = [f"index {', '.join(str(name) for name in part.index.names)}", *heads]
    cells = [
        [_shortened(value, everything) for value in ([labels[at], *line] if labels is not None else line)]
        for at, line in enumerate(part.itertuples(index=False, name=None))
    ]
    words = f"{_name(name)} = a table, {count_words(len(frame), 'row')} × {count_words(len(frame.columns), 'column')}"
    cut = len(frame) > len(part) or len(frame.columns) > len(part.columns)
    notes = [
        Warn(
            f"{_name(name)}: {len(part)} rows and {len(part.columns)} columns are shown. {rest_words(request)}", "note"
        )
    ]
    return [Line(words), Table(heads, cells, "It has no row."), *(notes if cut else [])]


def _shortened(value: object, everything: bool) -> Mono:
    return Mono(one_line(str(value), None if everything else MAX_CELL))

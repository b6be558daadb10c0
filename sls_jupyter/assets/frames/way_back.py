"""Arrow tables back to the frames they were made from, by the words that :mod:`.way_in` recorded."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.assets.frames.families import back
from sls_jupyter.assets.frames.index import index_from
from sls_jupyter.assets.frames.labels import labels_from
from sls_jupyter.assets.frames.objects import is_object
from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS
from sls_jupyter.assets.plain_frame import plain_frame
from sls_jupyter.errors import MalformedDocument, SlsError

_STANDARD, _OURS = PANDAS_METADATA
_FEW_ROWS = 10_000


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """The frame that a table was made from, or the part of it that the table still has.

    Raises:
        MalformedDocument: the schema's words are not what sealing writes, or a column does not fit them.
    """
    metadata = table.schema.metadata or {}
    if _OURS not in metadata or _STANDARD not in metadata:
        return plain_frame(table)
    try:
        ours, standard = json.loads(metadata[_OURS]), json.loads(metadata[_STANDARD])
        marks, index_columns, words = ours["columns"], standard["index_columns"], ours["labels"]
        level_names = {entry["field_name"]: entry["name"] for entry in standard["columns"]}
        levels = [entry for entry in index_columns if isinstance(entry, str)]
        counted = next((entry for entry in index_columns if isinstance(entry, dict)), None)
        names = [name for name in table.column_names if name not in set(levels)]
        present = [
            (table.column(name), marks[name], level_names[name]) for name in levels if name in table.column_names
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedDocument("The pandas metadata of a table is damaged.", found=type(error).__name__) from None
    arrays = _columns(table, names, marks)
    index = _guarded(
        "The index",
        lambda: index_from(present, counted, table.num_rows, ours.get("frequency"), bool(ours.get("one_level"))),
    )
    series = {i: _as_series(values, index) for i, values in enumerate(arrays)}
    frame = pd.DataFrame(series, index=index, copy=False)
    frame.columns = _guarded("The labels of the columns", lambda: _labels(table.schema, names, words))
    return frame


def _guarded(what: str, make: Any) -> Any:
    """What ``make`` gives; errors of pandas and pyarrow become ours, without their text, which may hold a value."""
    try:
        return make()
    except (SlsError, MemoryError):
        raise
    except (*CONVERSION_ERRORS, LookupError, ArithmeticError, OSError) as error:
        raise MalformedDocument(
            f"{what} of a table cannot be brought back.",
            found=type(error).__name__,
            hint="Seal the data again with this version; it says what it cannot keep.",
        ) from None


def _columns(table: pa.Table, names: list[str], marks: dict[str, Any]) -> list[Any]:
    """All columns; several at a time where there are rows enough to pay for it."""
    if table.num_rows < _FEW_ROWS or len(names) < 2:
        return [_column(table, name, marks.get(name)) for name in names]
    with ThreadPoolExecutor(os.cpu_count(), "sls-open") as pool:
        return list(pool.map(lambda name: _column(table, name, marks.get(name)), names))


def _column(table: pa.Table, name: str, mark: Any) -> Any:
    return _guarded(f"The column {name!r}", lambda: back(table.column(name), mark))


def _as_series(values: Any, index: pd.Index[Any]) -> Any:
    """An object array as a Series, so that pandas does not guess another dtype; others as they are."""
    return pd.Series(values, index=index, dtype=object, copy=False) if is_object(values) else values


def _labels(schema: pa.Schema, names: list[str], words: Any) -> pd.Index[Any]:
    if isinstance(words, dict):
        return labels_from(names, words)
    found: pd.Index[Any] = schema.empty_table().select(names).to_pandas().columns  # as first versions said it
    if isinstance(words, list):
        start, stop, step = words
        counted = pd.RangeIndex(start, stop, step, name=found.name)
        return counted if len(counted) == len(found) else found
    return found.astype(object) if words == "object" else found

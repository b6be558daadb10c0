"""A frame as an Arrow table, converted once and whole, with the words that bring it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.assets.frames import families, labels
from sls_jupyter.assets.frames.frequencies import frequency_of
from sls_jupyter.assets.frames.index import check_name, level_fields, level_name, level_to_arrow
from sls_jupyter.assets.frames.objects import is_object
from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS, Inexact, first_refused_row, refused
from sls_jupyter.errors import UnsealableData

BATCH_BYTES = 64 * 1024 * 1024  # of a batch, unless one row has more
_STANDARD, _OURS = PANDAS_METADATA


@dataclass(frozen=True)
class Prepared:
    """A frame that will come back equal, as Arrow data."""

    schema: pa.Schema
    columns: tuple[Any, ...]  # of pa.Array and pa.ChunkedArray
    rows: int

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """At least one batch, for the categories; none has more than ``rows`` rows."""
        if not self.columns:
            yield from _only_rows(self.rows, rows)
            return
        table = pa.Table.from_arrays(list(self.columns), schema=self.schema)
        size = max(1, min(rows, BATCH_BYTES * self.rows // table.nbytes if table.nbytes else rows))
        batches = table.to_batches(max_chunksize=size)
        yield from batches or [
            pa.RecordBatch.from_arrays([_empty(column) for column in self.columns], schema=self.schema)
        ]


def _empty(column: Any) -> pa.Array:
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return chunked.chunk(0).slice(0, 0) if chunked.num_chunks else pa.array([], column.type)


def _only_rows(count: int, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, max(1, count), rows):
        yield pa.record_batch([pa.nulls(min(rows, count - start))], names=["rows"]).select([])


def prepared(frame: pd.DataFrame) -> Prepared:
    """Convert a frame, every column whole.

    Raises:
        UnsealableData: naming the first column, index level or the labels that would not come back equal.
    """
    names = _checked_names(frame.columns)
    levels = level_fields(frame.index, set(names))
    columns, marks = [], {}
    for name, (_, values) in zip(names, frame.items(), strict=True):
        array, marks[name] = _converted(f"column {name!r}", values)
        columns.append(array)
    for number, name in enumerate(levels):
        where = level_name(frame.index, number)
        try:
            check_name(frame.index.names[number])
            array, marks[name] = level_to_arrow(frame.index, number)
        except Inexact as error:
            raise refused(where, error) from None
        except CONVERSION_ERRORS as error:
            raise refused(where, Inexact(f"{frame.index.dtype} ({type(error).__name__})")) from None
        columns.append(array)
    fields = [pa.field(name, array.type) for name, array in zip([*names, *levels], columns, strict=True)]
    return Prepared(pa.schema(fields, _metadata(frame, names, levels, marks)), tuple(columns), len(frame))


def _converted(where: str, values: Any) -> tuple[Any, dict[str, Any]]:
    try:
        return families.to_arrow(values)
    except Inexact as error:
        row = first_refused_row(values, families.to_arrow) if is_object(values) and len(values) else None
        raise refused(where, error, row) from None
    except CONVERSION_ERRORS as error:  # the error's text may hold a value
        raise refused(where, Inexact(f"dtype {str(values.dtype)[:60]} ({type(error).__name__})")) from None


def _checked_names(columns: pd.Index[Any]) -> list[str]:
    names = labels.texts_of(columns)
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise UnsealableData(
            f"Two columns are named {doubled!r}.",
            found="column labels whose text is the same",
            hint="Rename one of them; grants name columns, so a name must be unique.",
        )
    return names


# --- the words ------------------------------------------------------------------------------------


def _metadata(frame: pd.DataFrame, names: list[str], levels: list[str], marks: dict[str, Any]) -> dict[bytes, bytes]:
    """pandas' standard entry, which other readers use, and ours. Neither has ``attrs``."""
    index = frame.index
    try:
        words = labels.words_of(frame.columns)
    except Inexact as error:
        raise refused("column labels", error) from None
    try:
        check_name(index.names[0])
        frequency = frequency_of(index)
    except Inexact as error:
        raise refused(level_name(index, 0), error) from None
    counted = []
    if isinstance(index, pd.RangeIndex):
        counted = [{"kind": "range", "name": index.name, "start": index.start, "stop": index.stop, "step": index.step}]
    plain = {"pandas_type": "object", "numpy_type": "object", "metadata": None}
    named = [*zip(names, names, strict=True), *zip(levels, index.names, strict=False)]
    standard = {
        "index_columns": [*levels, *counted],
        "column_indexes": [{"name": name, "field_name": name, **_LABELS} for name in words["names"]],
        "columns": [{"name": name, "field_name": field, **plain} for field, name in named],
        "attributes": {},
    }
    ours: dict[str, Any] = {"columns": marks, "frequency": frequency, "labels": words}
    if isinstance(index, pd.MultiIndex) and index.nlevels == 1:
        ours["one_level"] = True
    return {_STANDARD: json.dumps(standard).encode(), _OURS: json.dumps(ours).encode()}


_LABELS = {"pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}


def frame_schema(frame: pd.DataFrame) -> pa.Schema:
    """The Arrow schema of a frame, with the metadata that brings it back.

    Raises:
        UnsealableData: naming the first column, index level or label that would not come back.
    """
    return prepared(frame).schema


def frame_batches(frame: pd.DataFrame, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The frame in batches of at most ``rows`` rows. Whoever needs schema and batches uses :func:`prepared` once."""
    for batch in prepared(frame).batches(rows):
        yield batch if not len(schema) else pa.RecordBatch.from_arrays(batch.columns, schema=schema)

"""What can be sealed: a schema that is known before the first batch, and batches that stream."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from sls_jupyter.assets.arrow_input import Values, lossy, require_openable
from sls_jupyter.assets.foreign import library, not_a_table, open_stream, read_stream
from sls_jupyter.assets.source import Progress, Source, silent
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, Unavailable, UnsealableData

__all__ = ["Source", "open_source"]

FRAME_ROWS = 1 << 20  # rows of a frame converted at a time; most columns need no copy


def open_source(data: Any, progress: Progress | None = None) -> Source:
    """Find out what ``data`` is: a frame, an Arrow table or stream, a path, or an iterable of record batches.

    Args:
        progress: called while a file is looked at for the first time, with 0 and the rows found so far.

    Raises:
        BadInput: none of these, or a file that is not there.
        UnsealableData: naming a column that cannot be sealed without loss.
    """
    if isinstance(data, str | Path):
        return _path(Path(data), progress or silent)
    if _is_pandas(data):
        return _frame(data)
    rows = getattr(data, "num_rows", getattr(data, "height", None))
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if library(data) == "pyarrow" and hasattr(data, "scanner"):  # a dataset
        data = data.scanner()
    if library(data) == "pyarrow" and hasattr(data, "to_reader"):
        data = data.to_reader()
    if hasattr(data, "__arrow_c_stream__") and not _is_series(data):
        return _guarded(_stream(data, rows if isinstance(rows, int) else None))
    if _may_give_batches(data):
        return _guarded(_iterable(iter(data)))
    raise not_a_table(data)


def _is_pandas(data: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _is_series(data: Any) -> bool:
    """A single column of pandas or polars: it streams too, but has no table's schema."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    return any(module is not None and isinstance(data, module.Series) for module in (pandas, polars))


def _may_give_batches(data: Any) -> bool:
    return isinstance(data, Iterable) and not isinstance(data, bytes | dict | set) and library(data) not in _ARRAYS


_ARRAYS = ("numpy", "pandas", "polars", "pyarrow")  # their iterables are columns


def _frame(frame: Any) -> Source:
    from sls_jupyter.assets.frames import prepared

    ready = prepared(frame)
    return Source(ready.schema, ready.batches(FRAME_ROWS), len(frame))


def _path(path: Path, progress: Progress) -> Source:
    from sls_jupyter.assets.files import open_file
    from sls_jupyter.assets.workbook import is_workbook, read_workbook

    if is_workbook(path):
        return _frame(read_workbook(path))
    return _guarded(open_file(path, progress))


def _stream(data: Any, rows: int | None) -> Source:
    reader = open_stream(data)
    return Source(reader.schema, read_stream(reader), rows)


def _iterable(batches: Iterator[Any]) -> Source:
    first = next(batches, None)
    if not isinstance(first, pa.RecordBatch):
        raise BadInput(
            "An iterable to be sealed has to give record batches.",
            found="nothing" if first is None else type(first).__name__,
            expected="pyarrow.RecordBatch",
            hint="A list of values: make a DataFrame of it. An empty table: pyarrow.Table.from_batches([], schema=…).",
        )
    return Source(first.schema, itertools.chain([first], batches), None)


def _guarded(source: Source) -> Source:
    require_openable(source.schema)
    _require_frame(source.schema)
    return Source(source.schema, _checked(source), source.rows)


def _require_frame(schema: pa.Schema) -> None:
    """Open the schema as a group will, without rows.

    Raises:
        UnsealableData: naming the column, or the metadata that do not fit.
    """
    from sls_jupyter.assets.opening import to_pandas

    found = _why_not(to_pandas, schema)
    if found is None:
        return
    for column in schema:
        if _why_not(to_pandas, pa.schema([column])) is not None:
            raise lossy(column.name, f"type {column.type}"[:200], "Cast it to another type.")
    raise UnsealableData(
        "The pandas metadata of this table do not fit it.",
        found=found,
        hint="Remove them: table.replace_schema_metadata(None) of pyarrow.",
    )


def _why_not(opening: Callable[[pa.Table], Any], schema: pa.Schema) -> str | None:
    """The kind of error with which a table of this schema does not open; ``None``: it does."""
    try:
        opening(schema.empty_table())
    except MalformedDocument as error:
        return str(error.found)
    except Exception as error:  # noqa: BLE001  (metadata of strangers: many kinds of error)
        return type(error).__name__
    return None


def _checked(source: Source) -> Iterator[pa.RecordBatch]:
    """The batches, each of the announced schema. Errors of Arrow become ours; others are the caller's own."""
    values = Values()
    try:
        for batch in source.batches:
            if not isinstance(batch, pa.RecordBatch) or not batch.schema.equals(source.schema):
                raise UnsealableData(
                    "The batches of a stream do not all have the same columns and types.",
                    hint="Give every batch the schema of the first one.",
                )
            yield values.checked(batch)
    except SlsError:
        raise
    except pa.ArrowException as error:  # its text may hold a value
        raise UnsealableData(
            "The data could not be read to its end.",
            found=type(error).__name__,
            hint="Read it with the library that wrote it, and seal the frame.",
        ) from None
    except OSError as error:
        raise Unavailable(
            "The data to be sealed could not be read to its end.", found=error.strerror or type(error).__name__
        ) from None

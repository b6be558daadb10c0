"""What can be sealed: a schema that is known before the first batch, and batches that stream."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sls_jupyter.errors import BadInput, SlsError, Unavailable, UnsealableData

BATCH_ROWS = 1 << 17  # rows read at a time from a file
FRAME_ROWS = 1 << 20  # rows of a frame converted at a time; most columns need no copy
SUFFIXES = ".parquet, .csv, .feather or .arrow"


@dataclass(frozen=True)
class Source:
    """A table to be sealed. ``batches`` can be read once; all have ``schema`` but for metadata."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rows: int | None  # when known before reading


def open_source(data: Any) -> Source:
    """Find out what ``data`` is: a frame, an Arrow table or stream, a path, or an iterable of record batches.

    Raises:
        BadInput: none of these, or a file that is not there.
        UnsealableData: naming a column that cannot be sealed without loss.
    """
    if isinstance(data, str | Path):
        return _guarded(_file(Path(data)))
    if _is_pandas(data):
        return _frame(data)
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if hasattr(data, "__arrow_c_stream__") and not _is_series(data):
        return _guarded(_stream(data))
    if isinstance(data, Iterable) and not isinstance(data, bytes | dict) and not _is_series(data):
        return _guarded(_iterable(iter(data)))
    raise BadInput(
        "This cannot be sealed.",
        found=type(data).__name__,
        expected="a dataframe, an Arrow table or stream, a path, or an iterable of record batches",
        hint="A Series: use .to_frame(). A lazy frame: use .collect().",
    )


def _is_pandas(data: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _is_series(data: Any) -> bool:
    """A single column of pandas or polars: it streams too, but has no table's schema."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    return any(module is not None and isinstance(data, module.Series) for module in (pandas, polars))


def _frame(frame: Any) -> Source:
    from sls_jupyter.assets.frames import prepared

    ready = prepared(frame)
    return Source(ready.schema, ready.batches(FRAME_ROWS), len(frame))


def _stream(data: Any) -> Source:
    try:
        reader = pa.RecordBatchReader.from_stream(data)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _blame_column(data, error) from None
    rows = getattr(data, "num_rows", None) or getattr(data, "height", None)
    return Source(reader.schema, iter(reader), rows if isinstance(rows, int) else None)


def _blame_column(data: Any, error: Exception) -> UnsealableData:
    """Name the column whose type Arrow does not have, where the library lets us ask for one at a time."""
    for name in getattr(data, "columns", ()):
        try:
            pa.RecordBatchReader.from_stream(data.select(name))
        except Exception:  # noqa: BLE001  (whatever a foreign library raises, this is the column)
            return UnsealableData(
                f"The column {str(name)!r} cannot be sealed without loss.",
                found=f"a type that Arrow does not have ({type(error).__name__})",
                hint="Cast it to a smaller number, a decimal or text.",
            )
    return UnsealableData("This table cannot be read as Arrow data.", found=type(error).__name__)


def _iterable(batches: Iterator[Any]) -> Source:
    first = next(batches, None)
    if not isinstance(first, pa.RecordBatch):
        raise BadInput(
            "An iterable to be sealed has to give record batches.",
            found="nothing" if first is None else type(first).__name__,
            expected="pyarrow.RecordBatch",
            hint="For an empty table, seal pyarrow.Table.from_batches([], schema=…).",
        )
    return Source(first.schema, itertools.chain([first], batches), None)


def _file(path: Path) -> Source:
    path = path.expanduser()
    if not path.is_file():
        raise BadInput("There is no such file.", found=path, hint="Check the path; folders are not read.")
    opener = {".parquet": _parquet, ".csv": _csv, ".feather": _ipc, ".arrow": _ipc}.get(path.suffix.lower())
    if opener is None:
        raise BadInput("This kind of file cannot be sealed.", found=path.suffix or "no suffix", expected=SUFFIXES)
    try:
        return opener(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(
            f"The file {path.name} cannot be read as {path.suffix[1:]}.", found=type(error).__name__
        ) from None


def _parquet(path: Path) -> Source:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    return Source(file.schema_arrow, file.iter_batches(batch_size=BATCH_ROWS), file.metadata.num_rows)


def _csv(path: Path) -> Source:
    from pyarrow import csv

    reader = csv.open_csv(path)
    return Source(reader.schema, iter(reader), None)


def _ipc(path: Path) -> Source:
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return Source(stream.schema, iter(stream), None)
    return Source(file.schema, (file.get_batch(i) for i in range(file.num_record_batches)), None)


def _guarded(source: Source) -> Source:
    return Source(source.schema, _checked(source), source.rows)


def _checked(source: Source) -> Iterator[pa.RecordBatch]:
    """The batches, each of the announced schema. Errors of Arrow become ours; others are the caller's own."""
    try:
        for batch in source.batches:
            if not isinstance(batch, pa.RecordBatch) or not batch.schema.equals(source.schema):
                raise UnsealableData(
                    "The batches of a stream do not all have the same columns and types.",
                    hint="Give every batch the schema of the first one.",
                )
            batch.validate()
            yield batch
    except SlsError:
        raise
    except pa.ArrowException as error:  # its text may hold a value
        raise UnsealableData(
            "The data could not be read to its end: a value does not fit the type of its column.",
            found=type(error).__name__,
            hint="For a CSV file: read it with pandas and say the types, then seal the frame.",
        ) from None
    except OSError as error:
        raise Unavailable(
            "The data to be sealed could not be read to its end.", found=error.strerror or type(error).__name__
        ) from None

"""Parquet files of any writer, a row group's batches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.assets.arrow_input import lossy
from sls_jupyter.assets.source import Source

BATCH_ROWS = 1 << 17  # rows read at a time


def open_parquet(path: Path) -> Source:
    """The table in a file.

    Raises:
        pa.ArrowException, OSError: it is no Parquet file.
    """
    file = pq.ParquetFile(path)
    return Source(file.schema_arrow, _batches(path, file), file.metadata.num_rows)


def _batches(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    old = {i for i in range(len(file.schema)) if file.schema.column(i).physical_type == "INT96"}
    if not old:
        yield from file.iter_batches(batch_size=BATCH_ROWS)
        return
    coarse = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").iter_batches(batch_size=BATCH_ROWS)
    for batch, other in zip(file.iter_batches(batch_size=BATCH_ROWS), coarse, strict=True):
        for column, fine, wide in zip(batch.schema, batch.columns, other.columns, strict=True):
            if fine.type != wide.type:
                _require_same_times(column.name, fine, wide)
        yield batch


def _require_same_times(name: str, fine: pa.Array, wide: pa.Array) -> None:
    """Refuse times (INT96, of older writers) that have no place among nanoseconds: Arrow gives other ones, silently."""
    try:
        same = wide.cast(fine.type).cast(wide.type).equals(wide) and fine.cast(wide.type, safe=False).equals(wide)
    except pa.ArrowException:
        same = False
    if not same:
        raise lossy(name, "INT96 times outside of the years 1678 to 2261", "Write the file anew with microseconds.")

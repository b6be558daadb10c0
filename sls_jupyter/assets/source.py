"""What every kind of input becomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Source:
    """A table to be sealed. ``batches`` can be read once; all have ``schema`` but for metadata."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rows: int | None  # when known before reading

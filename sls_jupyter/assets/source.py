"""What every kind of input becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

Progress = Callable[[int, int | None], None]  # rows sealed so far, rows known so far


def silent(sealed: int, known: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Source:
    """A table to be sealed. ``batches`` can be read once; all have ``schema`` but for metadata."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rows: int | None  # when known before reading

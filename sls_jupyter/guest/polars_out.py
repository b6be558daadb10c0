"""polars frames and Series as Arrow and back; a LazyFrame is computed first. polars is imported only where it is used."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa

from sls_jupyter.errors import UnsealableData
from sls_jupyter.guest.result_words import METADATA, ResultWords, parse


def is_polars(value: Any) -> bool:
    """Whether a value is a frame, Series or LazyFrame of polars."""
    module = sys.modules.get("polars")
    return module is not None and isinstance(value, (module.DataFrame, module.Series, module.LazyFrame))


def to_arrow(value: Any) -> tuple[str, pa.Schema, list[pa.RecordBatch]]:
    """Shape, schema and batches.

    Raises:
        UnsealableData: naming a column that would not come back equal. What a lazy query raises.
    """
    import polars as pl

    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    series = isinstance(value, pl.Series)
    frame = value.to_frame() if series else value
    for name, kind in frame.schema.items():
        if kind == pl.Object:
            raise _unlike(name, kind)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    words = ResultWords(
        source="polars", enums=[name for name, kind in frame.schema.items() if isinstance(kind, pl.Enum)]
    )
    table = table.replace_schema_metadata({METADATA: words.encode()})
    back = from_arrow(table, "polars")
    for name, kind in frame.schema.items():
        if back.schema[name] != kind or not back[name].equals(frame[name], check_names=True, null_equal=True):
            raise _unlike(name, kind)
    if not table.num_columns:
        return "polars", table.schema, table.to_batches() or [pa.record_batch([], schema=table.schema)]
    return "polars series" if series else "polars", table.schema, table.to_batches()


def _unlike(name: str, kind: Any) -> UnsealableData:
    return UnsealableData(
        f"The column {name!r} would not come back equal.",
        found=f"polars {kind}",
        hint="Cast it to a type that Arrow has.",
    )


def from_arrow(table: pa.Table, shape: str) -> Any:
    """What :func:`to_arrow` was given; an Arrow table where polars is not installed."""
    try:
        import polars as pl
    except ImportError:
        return table
    claim = (table.schema.metadata or {}).get(METADATA)
    words = ResultWords() if claim is None else parse(claim)
    frame = pl.from_arrow(table.replace_schema_metadata(None))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # of a table, for the type checker
    frame.columns = table.column_names  # an empty name is one
    for name in words.enums:
        column = table.column(name)
        values = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        frame = frame.with_columns(pl.col(name).cast(pl.Enum(values)))
    return frame.to_series(0) if shape == "polars series" else frame

"""Values on their way out of the program, as Arrow. No pickle.

A named output is a frame, a Series, an Arrow or polars table, or a plain value (typed JSON in a table of one
cell); its *shape* says which, so the notebook gives back what the cell had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import MalformedDocument, SlsError, UnsealableData
from sls_jupyter.guest import frames_out, polars_out, typed, typed_back
from sls_jupyter.guest.counted import LEDGER, Uncounted, token
from sls_jupyter.guest.groups import SIZE_COLUMN, names_groups, sizes_of, without_sizes
from sls_jupyter.guest.result_words import NAMELESS, value_in
from sls_jupyter.guest.wire import ByteFile

SHAPES = ("frame", "series", "arrow", "polars", "polars series", "value")
MAX_WHY = 600  # characters of a reason
_NOT_A_FRAME = (pa.ArrowException, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Unreturnable(Exception):  # internal; becomes a message of the output container
    """A value that cannot leave as a table.

    Args:
        why: which column, and what is wrong with it.
    """

    def __init__(self, value: object, why: str = "", hint: str = "") -> None:
        super().__init__(why)
        self.type_name = type(value).__name__
        self.why = why[:MAX_WHY]
        self.hint = hint[:MAX_WHY]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A table ready to be written."""

    shape: str  # of SHAPES
    schema: pa.Schema
    batches: list[pa.RecordBatch]
    uncounted: Uncounted | None = None  # why no sizes of groups are known, where they were asked for

    def write(self, file: ByteFile) -> None:
        with pa.ipc.new_stream(file, self.schema) as writer:
            for batch in self.batches:
                writer.write_batch(batch)
        file.flush()


def _with_sizes(schema: pa.Schema, batches: list[pa.RecordBatch], sizes: list[int]) -> tuple[pa.Schema, Any]:
    extended, start = schema.append(pa.field(SIZE_COLUMN, pa.int64())), 0
    result = []
    for batch in batches:
        part = pa.array(sizes[start : start + batch.num_rows], pa.int64())
        result.append(pa.RecordBatch.from_arrays([*batch.columns, part], schema=extended))
        start += batch.num_rows
    return extended, result


def to_stream(value: Any, *, least: int | None = None) -> Outgoing:
    """A value as a table.

    Args:
        least: the smallest group that an owner lets out; then each row tells how many records it describes.

    Raises:
        Unreturnable: it is none of the kinds that can leave. What else a lazy value raises when it is computed.
    """
    try:
        shape, schema, batches = _as_table(value)
    except UnsealableData as error:
        raise Unreturnable(value, f"{error.message} {error.found or ''}".strip(), error.hint) from None
    except typed.Untyped as error:
        raise Unreturnable(value, f"{error.message} Found {error.found}.", error.hint) from None
    if least is None:
        return Outgoing(shape, schema, batches)
    try:
        sizes = _sizes(value, shape)
        if shape == "frame" and max(sizes) < least and names_groups(value):
            raise Uncounted("small")  # no row would leave, and the names of columns are those of small groups
    except Uncounted as why:
        return Outgoing(shape, schema, batches, why)
    return Outgoing(shape, *_with_sizes(schema, batches, sizes))


def _as_table(value: Any) -> tuple[str, pa.Schema, list[pa.RecordBatch]]:
    if isinstance(value, pd.DataFrame):
        if SIZE_COLUMN in map(str, value.columns):
            raise UnsealableData(f"The column {SIZE_COLUMN!r} cannot be returned.", hint="Rename it.")
        return "frame", *_pandas(without_sizes(value))
    if isinstance(value, pd.Series):
        frame, name = frames_out.series_column(value)
        return "series", *_pandas(without_sizes(frame), name)
    if polars_out.is_polars(value):
        return polars_out.to_arrow(value)
    if hasattr(value, "__arrow_c_stream__"):
        table = pa.table(value)
        return "arrow", table.schema, table.to_batches()
    text = canonical_json(typed.encode(value)).decode()
    batch = pa.record_batch([pa.array([text], pa.large_string())], names=[NAMELESS])
    return "value", batch.schema, [batch]


def _pandas(frame: pd.DataFrame, name: list[Any] | None = None) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    try:
        return frames_out.to_arrow(frame, name)
    except _NOT_A_FRAME as error:  # the error's text may hold a value
        raise UnsealableData("This frame has no form in which it can leave.", found=type(error).__name__) from None


def _sizes(value: Any, shape: str) -> list[int]:
    if shape in ("frame", "series"):
        return sizes_of(value)
    if shape == "value" and isinstance(value, float | np.floating) and not float(value).is_integer():
        cells = LEDGER.cells.get(token(value))
        if cells:
            return [min(cell.size for cell in cells)]
    raise Uncounted("value" if shape == "value" else "no pandas")


def restore(table: pa.Table, shape: str) -> Any:
    """What the cell had, from the table that left; on the notebook's side.

    Raises:
        MalformedDocument: the table does not come back as that; a program may have lied about what it is.
    """
    if shape == "arrow":
        return table
    try:
        if shape == "value":
            return value_in(table)
        if shape.startswith("polars"):
            return polars_out.from_arrow(table, shape)
        frame, words = frames_out.from_arrow(table)
        if shape == "series":
            series = frame.iloc[:, 0]
            return series if words.series is None else series.rename(typed_back.decode(words.series[0]))
    except (*_NOT_A_FRAME, SlsError) as error:
        raise MalformedDocument(
            "A result does not come back as the value that the cell had.",
            found=type(error).__name__,
            expected=f"a {shape}",
            hint="Return it as an Arrow table, for instance with pa.table(frame).",
        ) from None
    return frame

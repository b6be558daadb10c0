"""Values on their way out of the program, and parameters on their way in, as Arrow and JSON. No pickle.

A named output is a frame, a series, an Arrow or polars table, or a scalar (a table of one cell); its
*shape* says which, so the notebook gives back what the cell had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.frames import frame_batches, frame_schema
from sls_jupyter.assets.opening import to_pandas
from sls_jupyter.documents import b64decode, b64encode, canonical_json
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, UnsealableData
from sls_jupyter.guest.groups import SIZE_COLUMN, sizes_of, without_sizes
from sls_jupyter.guest.wire import ByteFile

MAX_PARAMETERS_BYTES = 16 * 2**20
_ROWS_PER_BATCH = 1 << 16
_SCALARS = (bool, int, float, str)
_NOT_A_FRAME = (pa.ArrowException, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Unreturnable(Exception):  # internal; becomes a message of the output container
    """A value that cannot leave as a table."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.type_name = type(value).__name__


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A table ready to be written."""

    shape: str  # frame, series, arrow or scalar
    schema: pa.Schema
    batches: list[pa.RecordBatch]

    def write(self, file: ByteFile) -> None:
        with pa.ipc.new_stream(file, self.schema) as writer:
            for batch in self.batches:
                writer.write_batch(batch)
        file.flush()


def _arrow_frame(frame: pd.DataFrame) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    sizes = sizes_of(frame)
    frame = without_sizes(frame)
    schema = frame_schema(frame)
    batches = list(frame_batches(frame, schema, _ROWS_PER_BATCH))
    if sizes is None:
        return schema, batches
    extended, start = schema.append(pa.field(SIZE_COLUMN, pa.int64())), 0
    result = []
    for batch in batches:
        part = pa.array(sizes[start : start + batch.num_rows], pa.int64())
        result.append(pa.RecordBatch.from_arrays([*batch.columns, part], schema=extended))
        start += batch.num_rows
    return extended, result


def _without_views(value: Any) -> pa.Table:
    """An Arrow table; polars hands out views by default, which the gate does not know."""
    table = value.to_arrow() if type(value).__module__.partition(".")[0] == "polars" else pa.table(value)
    return pa.table(table)


def to_stream(value: Any) -> Outgoing:
    """A value as a table.

    Raises:
        Unreturnable: it is none of the kinds that can leave.
    """
    try:
        if isinstance(value, pd.DataFrame):
            return Outgoing("frame", *_arrow_frame(value))
        if isinstance(value, pd.Series):
            frame = value.to_frame(value.name if isinstance(value.name, str) else "value")
            frame.attrs = dict(value.attrs)
            return Outgoing("series", *_arrow_frame(frame))
        if hasattr(value, "__arrow_c_stream__"):
            table = _without_views(value)
            return Outgoing("arrow", table.schema, table.to_batches())
        item = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
        if isinstance(item, _SCALARS):
            return Outgoing("scalar", *_arrow_frame(pd.DataFrame({"value": [item]})))
    except (SlsError, pa.ArrowException, ValueError, TypeError):
        raise Unreturnable(value) from None
    raise Unreturnable(value)


def restore(table: pa.Table, shape: str) -> Any:
    """What the cell had, from the table that left; on the notebook's side.

    Raises:
        MalformedDocument: the table does not come back as that; a program may have lied about what it is.
    """
    if shape == "arrow":
        return table
    try:
        frame = to_pandas(table)
        if shape == "series":
            return frame.iloc[:, 0]
        if shape == "scalar":
            value = frame["value"].iloc[0]
            return value.item() if hasattr(value, "item") else value
    except _NOT_A_FRAME as error:
        raise MalformedDocument(
            "A result does not come back as the value that the cell had.",
            found=type(error).__name__,
            expected=f"a {shape}",
            hint="Return it as an Arrow table, for instance with pa.table(frame).",
        ) from None
    return frame


# --- parameters -----------------------------------------------------------------------------------


def pack_parameters(values: Mapping[str, Any]) -> bytes:
    """Parameters from the notebook as canonical JSON: JSON values as they are, frames as Arrow.

    Raises:
        BadInput: a value is neither, or all together are too large.
    """
    plain, frames = {}, {}
    for name, value in sorted(values.items()):
        if isinstance(value, pd.DataFrame):
            try:
                schema = frame_schema(value)
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, schema) as writer:
                    for batch in frame_batches(value, schema, _ROWS_PER_BATCH):
                        writer.write_batch(batch)
            except UnsealableData as error:
                raise BadInput(f"The parameter {name} cannot be sent.", found=error.message, hint=error.hint) from None
            frames[name] = b64encode(sink.getvalue().to_pybytes())
            continue
        try:
            plain[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            raise BadInput(
                f"The parameter {name} cannot be sent.",
                found=type(value).__name__,
                expected="a JSON value (numbers, text, lists, dictionaries) or a DataFrame",
                hint=f"Convert {name} first.",
            ) from None
    data = canonical_json({"values": plain, "frames": frames})
    if len(data) > MAX_PARAMETERS_BYTES:
        raise BadInput(
            "The parameters are too large.",
            found=f"{len(data)} bytes",
            expected=f"{MAX_PARAMETERS_BYTES} bytes at most",
            hint="Seal large tables and use -i.",
        )
    return data


def unpack_parameters(data: bytes) -> dict[str, Any]:
    """The values that :func:`pack_parameters` packed."""
    bundle = json.loads(data)
    frames = {name: to_pandas(pa.ipc.open_stream(b64decode(text))) for name, text in bundle["frames"].items()}
    return {**bundle["values"], **frames}

"""Parameters from the notebook to the cell: plain values as typed JSON, tables as Arrow. One canonical form.

``{"frames": {name: [shape, Arrow stream]}, "values": {name: typed value}}``, canonical JSON; the digest in the spec
is of these bytes. What does not come back equal is refused by the parameter's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from sls_jupyter.documents import b64decode, b64encode, canonical_json, parse_json
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.guest import typed, typed_back
from sls_jupyter.guest.values import SHAPES, Unreturnable, restore, to_stream

MAX_PARAMETERS_BYTES = 16 * 2**20
MAX_PARAMETER_VALUES = 4_000_000  # in all
TABLE_SHAPES = tuple(shape for shape in SHAPES if shape != "value")


def _stream(value: Any) -> list[str]:
    """Shape and Arrow stream of a table."""
    outgoing = to_stream(value)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, outgoing.schema) as writer:
        for batch in outgoing.batches:
            writer.write_batch(batch)
    return [outgoing.shape, b64encode(sink.getvalue().to_pybytes())]


def _is_table(value: Any) -> bool:
    polars = type(value).__module__.partition(".")[0] == "polars"
    return isinstance(value, pd.DataFrame | pd.Series) or polars or hasattr(value, "__arrow_c_stream__")


def pack_parameters(values: Mapping[str, Any]) -> bytes:
    """Parameters as the bytes whose digest is signed.

    Raises:
        BadInput: a value has no exact form, or all together are too large.
    """
    plain, frames = {}, {}
    for name, value in sorted(values.items()):
        try:
            if _is_table(value):
                frames[name] = _stream(value)
            else:
                plain[name] = typed.encode(value)
        except Unreturnable as error:
            raise _unsendable(name, error.why or f"a {error.type_name}", error.hint) from None
        except SlsError as error:
            raise _unsendable(name, f"{error.message} {error.found or ''}".strip(), error.hint) from None
    data = canonical_json({"values": plain, "frames": frames})
    if len(data) > MAX_PARAMETERS_BYTES:
        largest = max({**plain, **frames}.items(), key=lambda item: len(canonical_json(item[1])))[0]
        raise BadInput(
            "The parameters are too large.",
            found=f"{len(data)} bytes, most of them in {largest}",
            expected=f"{MAX_PARAMETERS_BYTES} bytes at most",
            hint="Seal large tables and use -i.",
        )
    parse_json(data, max_bytes=MAX_PARAMETERS_BYTES, max_values=MAX_PARAMETER_VALUES)  # as a reviewer will
    return data


def _unsendable(name: str, found: str, hint: str) -> BadInput:
    return BadInput(
        f"The parameter {name} cannot be sent.",
        found=found,
        expected=f"{typed.SUPPORTED}, or a table",
        hint=hint or f"Convert {name} first.",
    )


def unpack_parameters(data: bytes) -> dict[str, Any]:
    """The values that :func:`pack_parameters` packed."""
    bundle = json.loads(data)
    frames = {
        name: restore(pa.ipc.open_stream(b64decode(text)).read_all(), shape)
        for name, (shape, text) in bundle["frames"].items()
    }
    return {**{name: typed_back.decode(value) for name, value in bundle["values"].items()}, **frames}

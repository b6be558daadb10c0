"""Embeddings: lists of floats that all have one length, in one pass over their values.

Such a column has more values than others have rows. To ask each value for its type and then for its number takes four
times as long as Parquet takes to write them; ``marshal`` does both at once. It writes exact types only: a float as ``g`` and its eight
bytes, a list as ``[`` and its length. Every one of these letters and lengths is compared, all of them, so another
value, or another Python's format, is noticed and the general way is taken.
"""

from __future__ import annotations

import marshal
from typing import Any

import numpy as np
import pyarrow as pa

_VERSION = 2  # of marshal: the first with floats in eight bytes, the last without references
_HEAD, _FLOAT = 5, 9  # bytes of a list's beginning, of a float
_MIN_VALUES = 1_000  # below, the general way is as fast


def rectangle(values: list[Any]) -> tuple[pa.Array, dict[str, str]] | None:
    """Lists of as many floats each as an array with their kind; ``None`` if they are something else."""
    width = len(values[0]) if type(values[0]) is list else 0
    if not width or len(values) * width < _MIN_VALUES or type(values[0][0]) is not float:
        return None
    found = np.empty((len(values), width))
    step = max(1, (1 << 20) // width)
    for start in range(0, len(values), step):
        part = values[start : start + step]
        if (
            set(map(type, part)) != {list}
            or set(map(len, part)) != {width}
            or not _fill(part, found[start : start + step])
        ):
            return None
    offsets = pa.array(np.arange(len(values) + 1) * width)
    if len(values) * width < 2**31:
        return pa.ListArray.from_arrays(offsets.cast(pa.int32()), pa.array(found.ravel())), {"list": "float"}
    return pa.LargeListArray.from_arrays(offsets, pa.array(found.ravel())), {"list": "float"}


def _fill(part: list[list[Any]], into: np.ndarray[Any, Any]) -> bool:
    """Write the floats of some lists; whether there was nothing else."""
    try:
        data = np.frombuffer(marshal.dumps(part, _VERSION), np.uint8)
    except ValueError:  # a value of another type
        return False
    rows, width = into.shape
    if len(data) != _HEAD + rows * (_HEAD + width * _FLOAT):
        return False
    cells = data[_HEAD:].reshape(rows, _HEAD + width * _FLOAT)
    head = np.frombuffer(b"[" + width.to_bytes(4, "little"), np.uint8)
    floats = cells[:, _HEAD:].reshape(rows, width, _FLOAT)
    if not (cells[:, :_HEAD] == head).all() or not (floats[:, :, 0] == ord("g")).all():
        return False
    into[:] = np.ascontiguousarray(floats[:, :, 1:]).view("<f8").reshape(rows, width)
    return True

"""Arrow tables that never were frames: converted as pyarrow does, but for columns that it would change.

pyarrow makes floats of integers with a null, objects of flags with one, fails at times in nanoseconds, at dates beyond the
years of Python, and at dictionaries with a null or a repeat. Those columns become what pandas has for them: nullable
integers and flags, Arrow's own times and dates, categories that are each there once.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.assets.frames.families import back
from sls_jupyter.assets.frames.objects import kind_of

_DAYS = (-719162, 2932896)  # of the first and the last date that Python has, counted from 1970
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ARROW = {"dtype": "arrow"}


def plain_frame(table: pa.Table) -> pd.DataFrame:
    """A frame of a table without our words; pandas' own words about its index and dtypes hold."""
    extensions = _extension_dtypes(table.schema)
    odd: dict[str, tuple[pa.ChunkedArray, dict[str, Any]]] = {}
    for name in table.column_names if len(set(table.column_names)) == table.num_columns else ():
        column = _without_views(table.column(name))
        mark = None if name in extensions else _mark(column)
        if mark is not None:
            odd[name] = (_distinct(column), mark)
    for name in odd:
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.nulls(table.num_rows))
    frame: pd.DataFrame = table.to_pandas()
    places = {str(label): place for place, label in enumerate(frame.columns)}
    for name, (column, mark) in odd.items():
        if name in places:
            frame.isetitem(places[name], _as_series(back(column, mark), frame.index))
    return frame


def _as_series(values: Any, index: pd.Index[Any]) -> Any:
    return pd.Series(values, index=index, dtype=object, copy=False) if values.dtype == object else values


def _extension_dtypes(schema: pa.Schema) -> set[str]:
    """The columns that pandas' own metadata brings back, because it names a dtype of pandas' for them, or an index."""
    try:
        standard = json.loads((schema.metadata or {})[PANDAS_METADATA[0]])
        index = {entry for entry in standard["index_columns"] if isinstance(entry, str)}
        named = {entry["field_name"] for entry in standard["columns"] if not _is_numpy(entry["numpy_type"])}
    except (KeyError, ValueError, TypeError):
        return set()
    return index | named


def _is_numpy(name: str) -> bool:
    try:
        return isinstance(np.dtype(name), np.dtype)
    except TypeError:
        return False


def _without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column


def _mark(column: pa.ChunkedArray) -> dict[str, Any] | None:
    """How a column is brought back that pyarrow would change; ``None`` for one that it brings back as it is."""
    kind, types = column.type, pa.types
    if types.is_integer(kind):
        return {"dtype": str(kind).replace("int", "Int").replace("u", "U")} if column.null_count else None
    if types.is_boolean(kind):
        return {"dtype": "boolean"} if column.null_count else None
    if types.is_floating(kind):
        both = column.null_count and kind != pa.float16() and pc.any(pc.is_nan(column)).as_py()
        return {"dtype": {"float": "Float32", "double": "Float64"}[str(kind)]} if both else None
    if any(map(_is_beyond, column.chunks)):
        return _ARROW
    if types.is_dictionary(kind):
        return None if _is_distinct(column) else {"dtype": "category", "categories": _value_mark(kind.value_type)}
    if types.is_nested(kind) and not types.is_map(kind) and any(map(_has_gap, column.chunks)):
        return {"dtype": "object", "null": "none", "kind": kind_of(kind)}
    return None


def _inner(array: pa.Array) -> list[pa.Array]:
    """The arrays within lists and structs."""
    kind, types = array.type, pa.types
    if types.is_struct(kind):
        return [array.field(i) for i in range(kind.num_fields)]
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return [array.flatten()] if listed else []


def _has_gap(array: pa.Array) -> bool:
    """Whether numbers or flags within lists or structs are missing, where floats or objects would come."""
    inner, types = _inner(array), pa.types
    numbers = [
        one for one in inner if types.is_integer(one.type) or types.is_boolean(one.type) or types.is_floating(one.type)
    ]
    return any(one.null_count for one in numbers) or any(map(_has_gap, inner))


def _is_beyond(array: pa.Array, within: bool = False) -> bool:
    """Whether an array has times, dates or (within others) moments that Python has not."""
    kind = array.type
    if kind == pa.time64("ns"):
        numbers = array.cast(pa.int64()).drop_null()
        return bool(len(numbers)) and not numbers.equals(pc.multiply(pc.divide(numbers, 1000), 1000))
    if pa.types.is_date(kind):
        whole = kind == pa.date32() or array.cast(pa.date32()).cast(kind).equals(array)
        return not whole or not _is_within(array.cast(pa.date32()).cast(pa.int32()), *_DAYS)
    if within and pa.types.is_timestamp(kind):
        return not _is_within(array.cast(pa.int64()), *(day * 86_400 * _PER_SECOND[kind.unit] for day in _DAYS))
    return any(_is_beyond(one, True) for one in _inner(array))


def _is_within(numbers: pa.Array, first: int, last: int) -> bool:
    found = pc.min_max(numbers).as_py()
    return found["min"] is None or (first <= found["min"] and found["max"] <= last)


def _is_distinct(column: pa.ChunkedArray) -> bool:
    dictionaries = [chunk.dictionary for chunk in column.chunks]
    if len(dictionaries) > 1 and all(one.equals(dictionaries[0]) for one in dictionaries[1:]):
        dictionaries = dictionaries[:1]
    return all(not one.null_count and len(pc.unique(one)) == len(one) for one in dictionaries)


def _distinct(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary column without a null or a repeat among its values, others as they are."""
    if not pa.types.is_dictionary(column.type) or _is_distinct(column):
        return column
    values = column.cast(column.type.value_type)
    encoded = values.dictionary_encode()
    ordered = pa.dictionary(encoded.type.index_type, encoded.type.value_type, ordered=column.type.ordered)
    chunks = [
        pa.DictionaryArray.from_arrays(one.indices, one.dictionary, ordered=ordered.ordered) for one in encoded.chunks
    ]
    return pa.chunked_array(chunks, type=ordered)


def _value_mark(kind: pa.DataType) -> dict[str, Any]:
    types = pa.types
    if types.is_integer(kind):
        return {"dtype": str(kind)}
    if types.is_floating(kind):
        return {"dtype": {"halffloat": "float16", "float": "float32", "double": "float64"}[str(kind)]}
    if types.is_string(kind) or types.is_large_string(kind):
        return {"dtype": "str"} if int(pd.__version__.split(".")[0]) >= 3 else {"dtype": "object", "kind": "str"}
    return {"dtype": "object", "null": "none", "kind": kind_of(kind)}

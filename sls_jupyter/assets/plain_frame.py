"""Arrow tables that never were a pandas frame, as a frame that keeps every value.

pyarrow's conversion is taken wherever it is exact; that is decided by a column's type and its nulls, never by a sample.
Elsewhere another dtype is taken:

========================================  ==============================================================
column                                    in the frame
========================================  ==============================================================
integers with nulls                       ``Int8`` to ``UInt64``
bool with nulls                           ``boolean``
floats with both nulls and NaN            ``Float32``, ``Float64``, which tell them apart
floats with nulls or NaN                  ``float16`` to ``float64``, NaN
lists, structs, maps                      objects: as pyarrow makes them (arrays, dicts, pairs), if no number
                                          or bool below is null and no timestamp or duration is there;
                                          otherwise lists, dicts and pairs of Python values, ``None`` for null
dictionary                                ``category``; what cannot be categories of pandas (a NaN, lists)
                                          is spelled out as a plain column
``uuid``                                  objects ``uuid.UUID``
periods and intervals of pandas           their own dtypes
other extension types, views              their storage, their plain type
all others                                as pyarrow does it: numpy dtypes, text, ``datetime64``, objects
========================================  ==============================================================

Parquet files that pandas wrote come with pandas' own metadata: index, labels and extension dtypes are taken from there.
GeoParquet's metadata are in ``frame.attrs["geo"]``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.metadata import GEO, PANDAS
from sls_jupyter.errors import MalformedDocument

_NO_FRAME = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
_NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
_NULLABLE_NAMES = frozenset({*map(str, _NULLABLE.values()), "Float32", "Float64"})


def plain_frame(table: pa.Table) -> pd.DataFrame:
    """The frame of a table without metadata of ours.

    Raises:
        MalformedDocument: the pandas metadata of another writer do not fit the table.
    """
    try:
        told = _Told.of(table.schema)
        names, columns = table.column_names, [_plain(column) for column in table.columns]
        exact = {
            i: pd.arrays.ArrowExtensionArray(column) if names[i] in told.arrow else _exact(column)
            for i, column in enumerate(columns)
            if names[i] in told.arrow or (names[i] not in told.nullable and not _pyarrow_is_exact(column))
        }
        zeros = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int8()), table.num_rows)])  # stand in for these
        arrays = [zeros if i in exact else column for i, column in enumerate(columns)]
        if arrays:
            fields = [pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)]
            table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=told.metadata))
        frame = _converted(table)
        _put(frame, names, exact, told.levels)
        if GEO in (told.metadata or {}):
            frame.attrs["geo"] = json.loads(told.metadata[GEO])
    except _NO_FRAME as error:
        raise _no_frame(table, error) from None
    return frame


def _converted(table: pa.Table) -> pd.DataFrame:
    """As pyarrow does it; by one thread if the machine has no other one left, with the same result."""
    try:
        frame: pd.DataFrame = table.to_pandas()
    except pa.ArrowException as error:
        if "worker thread" not in str(error):
            raise
        frame = table.to_pandas(use_threads=False)
    return frame


def _no_frame(table: pa.Table, error: Exception) -> MalformedDocument:
    """The refusal of a table; of its first column that makes no frame by itself, or of the metadata."""
    what = "The pandas metadata of a table do not fit it."
    for name in table.column_names if table.num_columns > 1 or table.schema.metadata else ():
        try:
            plain_frame(table.select([name]).replace_schema_metadata(None))
        except MalformedDocument:
            what = f"The column {name!r} of a table does not make a frame."
            break
    else:
        if table.num_columns == 1 and not table.schema.metadata:
            what = f"The column {table.column_names[0]!r} of a table does not make a frame."
    hint = "Seal it again from the library that made it, or as a pandas frame."
    return MalformedDocument(what, found=type(error).__name__, hint=hint)


@dataclass(frozen=True)
class _Told:
    """What pandas' own metadata say."""

    metadata: dict[bytes, bytes]
    nullable: frozenset[str]  # columns of its nullable dtypes
    arrow: frozenset[str]  # columns of an ArrowDtype
    levels: tuple[str, ...]  # columns that are levels of the index

    @classmethod
    def of(cls, schema: pa.Schema) -> _Told:
        metadata = dict(schema.metadata or {})
        if PANDAS not in metadata:
            return cls(metadata, frozenset(), frozenset(), ())
        told = json.loads(metadata[PANDAS])
        dtypes = {entry.get("field_name", entry.get("name")): str(entry["numpy_type"]) for entry in told["columns"]}
        arrow = {name for name, dtype in dtypes.items() if dtype.endswith("[pyarrow]") and dtype != "string[pyarrow]"}
        for entry in told["columns"]:
            if entry.get("field_name", entry.get("name")) in arrow:
                entry["numpy_type"] = "object"  # pandas cannot parse the names of nested Arrow dtypes
        levels = tuple(entry for entry in told["index_columns"] if isinstance(entry, str))
        nullable = {name for name, dtype in dtypes.items() if dtype in _NULLABLE_NAMES}
        return cls(metadata | {PANDAS: json.dumps(told).encode()}, frozenset(nullable), frozenset(arrow), levels)


def _put(frame: pd.DataFrame, names: list[str], exact: dict[int, Any], levels: tuple[str, ...]) -> None:
    """Give a frame the columns that pyarrow would not have kept; index levels among them."""
    present = [name for name in levels if name in names]
    data = [name for name in names if name not in present]
    for i, values in exact.items():
        if names[i] not in present:
            frame.isetitem(data.index(names[i]), values)
    by_name = {names[i]: values for i, values in exact.items() if names[i] in present}
    if by_name:
        parts = [
            pd.Index(by_name[name], name=frame.index.names[i]) if name in by_name else frame.index.get_level_values(i)
            for i, name in enumerate(present)
        ]
        frame.index = parts[0] if len(parts) == 1 else pd.MultiIndex.from_arrays(parts, names=frame.index.names)


# --- what is exact --------------------------------------------------------------------------------


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Extension types (but uuid and pandas' own) as what they store; dictionaries that pandas cannot have, spelled out."""
    kind = column.type
    if isinstance(kind, pa.Bool8Type):
        return _storage(column).cast(pa.bool_())
    if isinstance(kind, pa.BaseExtensionType):
        return column if isinstance(kind, pa.UuidType) or _is_of_pandas(kind) else _plain(_storage(column))
    if pa.types.is_dictionary(kind) and not _has_categories(column):
        return _plain(pa.chunked_array([one.dictionary_decode() for one in column.chunks], kind.value_type))
    if (below := _without_views(kind)) != kind and kind.num_fields:
        return column.cast(below)
    return column


def _is_of_pandas(kind: pa.BaseExtensionType) -> bool:
    """Whether pandas has a dtype for an extension type, as for its own periods and intervals."""
    try:
        return hasattr(kind.to_pandas_dtype(), "__from_arrow__")
    except (NotImplementedError, TypeError, ValueError):
        return False


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _has_categories(column: pa.ChunkedArray) -> bool:
    kind = column.type.value_type
    if kind.num_fields or isinstance(kind, pa.BaseExtensionType) or not column.num_chunks:
        return not kind.num_fields and not isinstance(kind, pa.BaseExtensionType)
    values = column.unify_dictionaries().chunk(0).dictionary
    if values.null_count or not _pyarrow_is_exact(pa.chunked_array([values])):
        return False
    index = pd.Index(values.to_pandas())
    return bool(index.is_unique and not index.hasnans)


def _without_views(kind: pa.DataType) -> pa.DataType:
    """A nested type with plain text, bytes and lists in the place of views, which ArrowDtype does not have."""
    if kind == pa.string_view():
        return pa.large_string()
    if kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_without_views(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_without_views(kind.key_type), _without_views(kind.item_type), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_without_views(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_views(kind.value_type)))
    if kind.num_fields == 1 and hasattr(kind, "value_field"):  # large lists and views of lists
        return pa.large_list(kind.value_field.with_type(_without_views(kind.value_type)))
    return kind


def _pyarrow_is_exact(column: pa.ChunkedArray, below: bool = False) -> bool:
    """Whether pyarrow's own conversion keeps every value; ``below``: within lists or structs."""
    kind = column.type
    if kind in _NULLABLE:
        return not column.null_count
    if pa.types.is_floating(kind):
        return not column.null_count or (not below and not pc.any(pc.is_nan(column)).as_py())
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return not below
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
        return not below
    return all(_pyarrow_is_exact(child, below=True) for child in _children(column))


def _children(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    kind = column.type
    if pa.types.is_map(kind):
        pairs = [(kind.key_type, "keys"), (kind.item_type, "items")]
        return [pa.chunked_array([getattr(one, side) for one in column.chunks], below) for below, side in pairs]
    if pa.types.is_struct(kind):
        return [pa.chunked_array([one.flatten()[i] for one in column.chunks], kind.field(i).type)
                for i in range(kind.num_fields)]  # fmt: skip
    if kind.num_fields:
        return [pa.chunked_array([one.flatten() for one in column.chunks], kind.value_type)]
    return []


def _exact(column: pa.ChunkedArray) -> Any:
    """A column as an array of a dtype that keeps it."""
    if column.type.num_fields:  # not as ArrowDtype: pandas gives its values in bulk as pyarrow converts them
        return np.fromiter(column.to_pylist(), dtype=object, count=len(column))
    if pa.types.is_floating(column.type):  # by hand: pandas 3 would take NaN for missing
        mask = column.is_null().to_numpy()
        wide = column.cast(pa.float64() if column.type == pa.float64() else pa.float32())
        return pd.arrays.FloatingArray(wide.fill_null(0.0).to_numpy().copy(), mask.copy())
    dtype: Any = _NULLABLE[column.type]
    return dtype.__from_arrow__(column)

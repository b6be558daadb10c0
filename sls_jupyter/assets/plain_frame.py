"""Arrow tables that never were a pandas frame, as a frame that keeps every value.

pyarrow's conversion is taken wherever it is exact; that is decided by a column's type and its nulls, never by a sample.
Elsewhere another dtype is taken:

========================================  ==============================================================
column                                    in the frame
========================================  ==============================================================
integers with nulls                       ``Int8`` to ``UInt64``
bool with nulls                           ``boolean``
floats with both nulls and NaN            ``ArrowDtype``, which tells them apart
floats with nulls or NaN                  ``float16`` to ``float64``, NaN
lists, structs, maps                      objects, if no number or bool below is null and no timestamp or
                                          duration is there; otherwise ``ArrowDtype``
dictionary                                ``category``; what cannot be categories of pandas (a NaN, lists)
                                          is spelled out as a plain column
``uuid``                                  objects ``uuid.UUID``
other extension types, views              their storage, their plain type
all others                                as pyarrow does it: numpy dtypes, text, ``datetime64``, objects
========================================  ==============================================================

Parquet files that pandas wrote come with pandas' own metadata: index, labels and extension dtypes are taken from there.
GeoParquet's metadata are in ``frame.attrs["geo"]``.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.metadata import GEO, PANDAS
from sls_jupyter.errors import MalformedDocument

_NO_FRAME = (
    pa.ArrowException,
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


def plain_frame(table: pa.Table) -> pd.DataFrame:
    """The frame of a table without metadata of ours.

    Raises:
        MalformedDocument: the pandas metadata of another writer do not fit the table.
    """
    metadata = table.schema.metadata or {}
    try:
        kept, levels = _told_by_pandas(metadata.get(PANDAS))
        columns = [
            column if name in kept else _plain(column)
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        exact = {
            i: _exact(column)
            for i, (name, column) in enumerate(zip(table.column_names, columns, strict=True))
            if name not in kept and not _pyarrow_is_exact(column)
        }
        zeros = pa.chunked_array([pa.repeat(pa.scalar(0, pa.int8()), table.num_rows)])  # stand in for these
        arrays = [zeros if i in exact else column for i, column in enumerate(columns)]
        fields = [
            pa.field(name, array.type, metadata=field.metadata)
            for name, array, field in zip(table.column_names, arrays, table.schema, strict=True)
        ]
        frame = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata or None))
        if not fields:
            frame = table
        return _with(frame.to_pandas(), table.column_names, exact, levels, metadata.get(GEO))
    except _NO_FRAME as error:
        raise MalformedDocument(
            "A table's pandas metadata, or its values, do not make a frame.",
            found=type(error).__name__,
            hint="Seal it again from the library that made it, or as a pandas frame.",
        ) from None


def _told_by_pandas(metadata: bytes | None) -> tuple[set[str], list[str]]:
    """The columns whose extension dtype pandas wrote down itself, and the columns that are index levels."""
    if metadata is None:
        return set(), []
    told = json.loads(metadata)
    kept = set()
    for entry in told["columns"]:
        dtype = entry.get("numpy_type")
        if dtype in {str(kind) for kind in _NULLABLE.values()} or dtype in ("Float32", "Float64"):
            kept.add(entry.get("field_name", entry.get("name")))
    return kept, [entry for entry in told["index_columns"] if isinstance(entry, str)]


def _with(
    frame: pd.DataFrame, names: list[str], exact: dict[int, Any], levels: list[str], geo: bytes | None
) -> pd.DataFrame:
    """The frame with the columns that pyarrow would not have kept."""
    present = [name for name in levels if name in names]
    data = [name for name in names if name not in present]
    for i, values in exact.items():
        if names[i] not in present:
            frame.isetitem(data.index(names[i]), values)
    if any(names[i] in present for i in exact):
        by_name = {names[i]: values for i, values in exact.items()}
        parts = [
            pd.Index(by_name[name], name=frame.index.names[i]) if name in by_name else frame.index.get_level_values(i)
            for i, name in enumerate(present)
        ]
        frame.index = parts[0] if len(parts) == 1 else pd.MultiIndex.from_arrays(parts, names=frame.index.names)
    if geo is not None:
        frame.attrs["geo"] = json.loads(geo)
    return frame


# --- what is exact --------------------------------------------------------------------------------


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Extension types (but uuid) as what they store; dictionaries that pandas cannot have, spelled out."""
    kind = column.type
    if isinstance(kind, pa.Bool8Type):
        return _storage(column).cast(pa.bool_())
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _plain(_storage(column))
    if pa.types.is_dictionary(kind) and not _has_categories(column):
        return _plain(pa.chunked_array([one.dictionary_decode() for one in column.chunks], kind.value_type))
    if (below := _without_views(kind)) != kind and kind.num_fields:
        return column.cast(below)
    return column


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
    dtype: Any = _NULLABLE.get(column.type)
    return pd.arrays.ArrowExtensionArray(column) if dtype is None else dtype.__from_arrow__(column)

"""Tables at the gate: which types are known, what a table really holds, and taking away what it hides.

A table is more than its rows. Its schema carries text, a dictionary carries values that no row uses, and
some types say in a few bytes what fills a recipient's memory. So the gate lets known types pass, counts
the bytes as they will be written, and writes a table anew.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.columns import PANDAS_METADATA

_EXTENSION = (b"ARROW:extension:name", b"ARROW:extension:metadata")  # pandas' intervals and periods
MAX_DEPTH = 8  # of nested types


def _known(kind: pa.DataType, depth: int = 0) -> bool:
    """Types whose size in memory is about their size when written."""
    types = pa.types
    if depth > MAX_DEPTH or isinstance(kind, pa.BaseExtensionType):
        return depth <= MAX_DEPTH and _known(kind.storage_type, depth + 1)
    if types.is_dictionary(kind):
        return not _is_sequence(kind.value_type) and _known(kind.value_type, depth + 1)
    if types.is_struct(kind) or types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner: Iterable[pa.Field] = (kind.field(i) for i in range(kind.num_fields))
        return all(not types.is_dictionary(one.type) and _known(one.type, depth + 1) for one in inner)
    plain = types.is_primitive(kind) or types.is_decimal(kind) or types.is_null(kind)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)
    return bool(plain or text or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def has_only_known_types(schema: pa.Schema) -> bool:
    """Whether every column is of a type that may leave: no views, unions, maps or run lengths."""
    names_once = len(set(schema.names)) == len(schema.names)
    return names_once and all(_known(field.type) for field in schema)


def _is_sequence(kind: pa.DataType) -> bool:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _is_sequence(kind.storage_type)
    if types.is_struct(kind):
        return any(_is_sequence(kind.field(i).type) for i in range(kind.num_fields))
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def has_sequences(schema: pa.Schema) -> bool:
    """Whether one row can hold any number of values."""
    return any(_is_sequence(field.type) for field in schema)


def with_enough(table: pa.Table, sizes: str, minimum: int) -> pa.Table:
    """The rows whose number in the column ``sizes`` is ``minimum`` at least; an unknown one is not."""
    return table.filter(pc.fill_null(pc.greater_equal(table[sizes], minimum), False))


def _used(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary column with the values that its rows use, in their order."""
    array = (column if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()).chunk(0)
    used = pc.unique(array.indices.drop_null()).sort()
    codes = pc.index_in(array.indices, value_set=used)
    again = pa.DictionaryArray.from_arrays(
        codes.cast(array.type.index_type), array.dictionary.take(used), ordered=array.type.ordered
    )
    return pa.chunked_array([again])


def stripped(table: pa.Table, *, values: bool) -> pa.Table:
    """The table with nothing in its schema but names, types and what brings a frame back.

    Args:
        values: also leave out dictionary values that no row uses, which may be of rows that were held back.
    """
    table = table.combine_chunks()
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if values and pa.types.is_dictionary(field.type) and column.num_chunks:
            column = _used(column)
        columns.append(column)
        kept = {name: text for name, text in (field.metadata or {}).items() if name in _EXTENSION}
        fields.append(pa.field(field.name, field.type, field.nullable, kept or None))
    metadata = {name: text for name, text in (table.schema.metadata or {}).items() if name in PANDAS_METADATA}
    if not fields:
        return table.replace_schema_metadata(metadata)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata))


def written_bytes(table: pa.Table) -> int:
    """The table's size as it leaves, schema included, and one byte a cell at least."""
    sink = pa.MockOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return int(max(sink.size(), table.num_rows * max(1, table.num_columns)))

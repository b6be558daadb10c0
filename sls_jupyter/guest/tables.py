"""Tables at the gate: which types are known, which rows are about enough records, and writing a table anew.

A table is more than its rows. Its schema carries text, a dictionary carries values that no row uses, buffers
carry what stood there before, and some types say in a few bytes what fills a recipient's memory. So the gate
lets known types pass, and what leaves is a new table: values copied (:mod:`.copies`), names and types, and
words about the frame that it writes itself (:mod:`.frame_words`). Nothing of the program's own schema or
messages leaves with it: no metadata, no custom metadata of messages, no boundaries of batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import SlsError
from sls_jupyter.guest import frame_words, result_words, typed, typed_back
from sls_jupyter.guest.copies import by_value, elements, storage_type
from sls_jupyter.guest.dtypes import is_time_zone

MAX_DEPTH = 8  # of nested types
MAX_FIELDS = 5_000  # of a table, nested ones included
MAX_NAME_BYTES = 1_000  # of one field
MAX_CELL_BYTES = 2**20  # of one typed cell
FRAME_SHAPES = ("frame", "series")  # come back as pandas values
PLAIN_SHAPES = ("arrow", "value")  # have no words beside their table
_EXTENSION_NAME, _EXTENSION_WORDS = b"ARROW:extension:name", b"ARROW:extension:metadata"


class Unsafe(SlsError):
    """A table is not of a kind that may leave."""


# --- types ----------------------------------------------------------------------------------------


def _inner(kind: pa.DataType) -> tuple[pa.Field, ...]:
    return tuple(kind.field(i) for i in range(kind.num_fields))


def _known(kind: pa.DataType, depth: int = 0) -> bool:
    """Types that are understood to the last byte; a time zone is one that this machine knows."""
    types = pa.types
    if depth > MAX_DEPTH or isinstance(kind, pa.BaseExtensionType):
        return depth <= MAX_DEPTH and _known(kind.storage_type, depth + 1)
    if types.is_dictionary(kind):
        return not _is_sequence(kind.value_type) and _known(kind.value_type, depth + 1)
    if types.is_struct(kind) or types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        names = [one.name for one in _inner(kind)]
        known = all(not types.is_dictionary(one.type) and _known(one.type, depth + 1) for one in _inner(kind))
        return known and len(set(names)) == len(names)
    if types.is_map(kind):
        pair = (kind.key_type, kind.item_type)
        return all(not types.is_dictionary(one) and _known(one, depth + 1) for one in pair)
    if types.is_timestamp(kind):
        return kind.tz is None or is_time_zone(kind.tz)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    decimal = types.is_decimal128(kind) or types.is_decimal256(kind)
    time = types.is_date(kind) or types.is_time(kind) or types.is_duration(kind) or kind == pa.month_day_nano_interval()
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    return bool(number or decimal or time or text or (types.is_fixed_size_binary(kind) and kind.byte_width > 0))


def _names(field: pa.Field) -> Iterator[str]:
    """The name of a field and of the fields of structs within; a list's item has none that anybody sees."""
    yield field.name
    for one in _inner(storage_type(field.type)):
        yield from _names(one)


def has_only_known_types(schema: pa.Schema) -> bool:
    """Whether every column is of a type that may leave (no views, unions or run lengths), under a name of its own."""
    if len(set(schema.names)) != len(schema.names) or not all(_known(field.type) for field in schema):
        return False
    names = [name for field in schema for name in _names(field)]
    return len(names) <= MAX_FIELDS and all(len(name.encode()) <= MAX_NAME_BYTES for name in names)


def _is_sequence(kind: pa.DataType) -> bool:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _is_sequence(kind.storage_type)
    if types.is_struct(kind):
        return any(_is_sequence(one.type) for one in _inner(kind))
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists or types.is_map(kind))


def has_sequences(table: pa.Table) -> bool:
    """Whether one row can hold any number of values."""
    if any(_is_sequence(field.type) for field in table.schema):
        return True
    claim = (table.schema.metadata or {}).get(result_words.METADATA)
    names = [] if claim is None else [name for name in result_words.parse(claim).typed if name in table.column_names]
    return any(typed.items_in(value) > 1 for _, values in typed_cells(table, names) for value in values)


# --- rows -----------------------------------------------------------------------------------------


def with_enough(table: pa.Table, sizes: str, minimum: int) -> pa.Table:
    """The rows whose number in the column ``sizes`` is ``minimum`` at least; an unknown one is not."""
    return table.filter(pc.fill_null(pc.greater_equal(table[sizes], minimum), False))


# --- writing anew ---------------------------------------------------------------------------------


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if not column.num_chunks:
        return pa.array([], column.type) if not pa.types.is_dictionary(column.type) else _no_codes(column.type)
    if column.num_chunks > 1 and pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _no_codes(kind: pa.DictionaryType) -> pa.DictionaryArray:
    codes, values = pa.array([], kind.index_type), pa.array([], kind.value_type)
    return pa.DictionaryArray.from_arrays(codes, values, ordered=kind.ordered)


def _extension(field: pa.Field) -> tuple[str, bytes]:
    """Name and words of a field's extension type, whether this process has registered it or not."""
    if isinstance(field.type, pa.BaseExtensionType):
        words = field.type.__arrow_ext_serialize__() if isinstance(field.type, pa.ExtensionType) else b""
        return field.type.extension_name, words
    metadata = field.metadata or {}
    return metadata.get(_EXTENSION_NAME, b"").decode(errors="replace"), metadata.get(_EXTENSION_WORDS, b"")


def _field(field: pa.Field, array: pa.Array) -> pa.Field:
    """Name and type; of extension types pandas' own, in words made here."""
    name, claimed = _extension(field)
    words = frame_words.extension_words(name, claimed, array.type)
    metadata = None if words is None else {_EXTENSION_NAME: name.encode(), _EXTENSION_WORDS: words}
    return pa.field(field.name, array.type, field.nullable or array.null_count > 0, metadata)


def _words(table: pa.Table, whole: bool, categories: bool) -> result_words.ResultWords:
    """What the program claims beside its frame, as far as it is understood."""
    claim = (table.schema.metadata or {}).get(result_words.METADATA)
    words = result_words.ResultWords() if claim is None else result_words.parse(claim)
    named = {*words.typed, *words.sparse, *(words.levels or []), *words.enums}
    labelled = len(words.labels[0].codes or words.labels[0].values) if words.labels else None
    if not named <= set(table.column_names):
        raise Unsafe("A result has words about a column that is not there.")
    if labelled is not None and words.labels and words.labels[0].dtype != "range":
        columns = table.num_columns - len(words.levels or [])
        if labelled > columns:
            raise Unsafe("A result has more labels than columns.")
    words = words if categories else words.without_unused()
    return words if whole else words.without_frequency()


def typed_cells(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """The values of columns whose cells are typed JSON.

    Raises:
        MalformedDocument: a cell is none.
    """
    for name in names:
        column = table.column(name)
        if column.null_count or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise Unsafe("A column is not of typed values.")
        yield (
            name,
            [typed_back.decode(parse_json(text.encode(), max_bytes=MAX_CELL_BYTES)) for text in column.to_pylist()],
        )


def _typed_anew(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with its typed cells written again from their values."""
    for name, values in typed_cells(table, names):
        texts = [canonical_json(typed.encode(value)).decode() for value in values]
        place = table.schema.get_field_index(name)
        table = table.set_column(
            place, table.schema.field(place), pa.chunked_array([pa.array(texts, table.schema.field(place).type)])
        )
    return table


def anew(table: pa.Table, shape: str, *, whole: bool, categories: bool = False) -> pa.Table:
    """A new table of the values that can be read in ``table``.

    Args:
        shape: ``frame`` and ``series`` come back as pandas values; ``arrow`` as a plain table.
        whole: no row was taken away, so that a claimed range or frequency of the index may still hold.
        categories: those that no row has may leave too, because every value that a program can write may.

    Raises:
        Unsafe: a value or the claimed words do not fit the types.
    """
    try:
        words = result_words.ResultWords() if shape in PLAIN_SHAPES else _words(table, whole, categories)
        table = _typed_anew(table, words.typed)
        arrays = [by_value(_one_array(column), categories=categories) for column in table.columns]
        fields = [_field(field, array) for field, array in zip(table.schema, arrays, strict=True)]
        metadata = (
            {}
            if shape not in FRAME_SHAPES
            else frame_words.made_anew(table.schema.metadata, fields, table.num_rows, whole)
        )
        if not words.empty:
            metadata[result_words.METADATA] = words.encode()
    except SlsError as error:
        raise Unsafe("A table does not read as its schema says.", found=error.message) from None
    if not fields:
        return pa.Table.from_batches([_only_rows(table.num_rows, metadata)])
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata))])


def _only_rows(count: int, metadata: Any) -> pa.RecordBatch:
    rows = pa.record_batch([pa.nulls(count)], names=["rows"]).select([])
    return rows.replace_schema_metadata(metadata)


def cells(table: pa.Table) -> int:
    """How many values a table has, nested ones included, and one for each row at least."""
    inside = sum(elements(chunk) for column in table.columns for chunk in column.chunks)
    return int(max(table.num_rows, inside))


def _write(sink: Any, table: pa.Table) -> None:
    """Schema, dictionaries, one batch; a table without columns has rows all the same."""
    with pa.ipc.new_stream(sink, table.schema) as writer:
        if table.num_columns and not table.num_rows:  # a batch all the same, for its dictionaries
            writer.write_batch(pa.RecordBatch.from_arrays([*map(_one_array, table.columns)], schema=table.schema))
        elif table.num_columns:
            writer.write_table(table)
        else:
            writer.write_batch(_only_rows(table.num_rows, table.schema.metadata))


def written(table: pa.Table) -> bytes:
    """The one Arrow IPC stream of a table."""
    sink = pa.BufferOutputStream()
    _write(sink, table)
    return bytes(sink.getvalue().to_pybytes())


def written_bytes(table: pa.Table) -> int:
    """The table's size as it leaves, schema included, and one byte a value at least."""
    sink = pa.MockOutputStream()
    _write(sink, table)
    return int(max(sink.size(), cells(table)))

"""How a column is stored: a physical type that Parquet keeps exactly, and the way back.

==============================  ========================================================================
logical type                    physical type
==============================  ========================================================================
dictionary (categories)         the codes; the values are sealed once, in a dictionary part of their own
extension (uuid, period, ...)   the storage type
timestamp[s], date64            int64
time32[s]                       int32
everything else                 itself
==============================  ========================================================================

Parquet would return the last three changed, and a dictionary without its unused values and its order.
Types that Parquet cannot hold are refused by column name before anything is written.
"""

from __future__ import annotations

import functools
import io
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.assets.metadata import OURS, PANDAS, kept_metadata
from sls_jupyter.errors import UnsealableData

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KEPT_FIELD_METADATA = (b"ARROW:extension:name", b"ARROW:extension:metadata")
PANDAS_METADATA = (PANDAS, OURS)


def physical_name(number: int, name: str) -> str:
    """A column's name in the file: itself when plain, else ``#`` and its number.

    The encryption configuration is text in which comma, colon, semicolon, space and dot have a meaning; a
    name that contains one could leave its column in plaintext.
    """
    return name if _PLAIN_NAME.match(name) else f"#{number}"


def _as_integer(kind: pa.DataType) -> pa.DataType | None:
    if kind in (pa.date64(), pa.timestamp("s")) or (pa.types.is_timestamp(kind) and kind.unit == "s"):
        return pa.int64()
    return pa.int32() if kind == pa.time32("s") else None


def physical_type(kind: pa.DataType) -> pa.DataType:
    """The type that the file has for a logical type."""
    if isinstance(kind, pa.BaseExtensionType):
        return physical_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return kind.index_type
    return _as_integer(kind) or kind


def physical_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of each data part. Every column may be null there; the logical schema knows better."""
    fields = (pa.field(physical_name(i, field.name), physical_type(field.type)) for i, field in enumerate(schema))
    return pa.schema(fields)


def to_physical(array: pa.Array) -> pa.Array:
    """An array as it is stored. Not for dictionaries: see :class:`Dictionaries`."""
    if isinstance(array.type, pa.BaseExtensionType):
        return to_physical(array.storage)
    integer = _as_integer(array.type)
    return array if integer is None else array.view(integer)


def from_physical(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array of logical type ``kind`` that :func:`to_physical` stored."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind.wrap_array(from_physical(array, kind.storage_type))
    if _as_integer(kind) is not None:
        return array.view(kind)
    return array if array.type == kind else array.cast(kind)


def value_field(field: pa.Field) -> pa.Field:
    """The one column of a dictionary part: the values of a dictionary column."""
    return pa.field(field.name, field.type.value_type)


def clean_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without metadata, but for what :mod:`.metadata` keeps and the names of extension types."""
    fields = []
    for field in schema:
        kept = {key: value for key, value in (field.metadata or {}).items() if key in _KEPT_FIELD_METADATA}
        fields.append(field.with_metadata(kept or None))
    return pa.schema(fields, metadata=kept_metadata(schema.metadata))


def _nested(kind: pa.DataType) -> list[pa.DataType]:
    if isinstance(kind, pa.BaseExtensionType):
        return _nested(kind.storage_type)
    children = [kind.field(i).type for i in range(kind.num_fields)]
    return [kind, *(below for child in children for below in _nested(child))]


def check_sealable(schema: pa.Schema) -> None:
    """Refuse a schema with a column that would not come back as it is, by trying the library itself.

    Raises:
        UnsealableData: naming the column and its type.
    """
    names = schema.names
    if doubled := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise UnsealableData(
            f"Two columns are named {doubled[0]!r}.",
            found=", ".join(doubled),
            hint="Rename one of them; grants name columns, so a name must be unique.",
        )
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if any(pa.types.is_dictionary(below) for below in _nested(kind)) or not _survives(kind):
            raise UnsealableData(
                f"The column {field.name!r} cannot be sealed without loss.",
                found=f"type {field.type}"[:200],
                hint="Convert the column to a plain, list or struct type that Parquet has, or leave it out.",
            )


@functools.cache
def _survives(kind: pa.DataType) -> bool:
    """Whether an (empty) column of this type comes back from Parquet with the same type."""
    physical = pa.schema([pa.field("x", physical_type(kind))])
    buffer = io.BytesIO()
    try:
        pq.write_table(physical.empty_table(), buffer)
        return bool(pq.read_schema(pa.BufferReader(buffer.getvalue())).field(0).type == physical.field(0).type)
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return False


@dataclass
class Dictionaries:
    """The values of each dictionary column, collected while its codes stream past.

    A stream may bring another dictionary with each batch; values are only ever appended, so codes that
    are written already keep their meaning.
    """

    values: dict[int, pa.Array]

    def codes(self, number: int, name: str, array: pa.DictionaryArray) -> pa.Array:
        """The codes of ``array`` with respect to all values seen so far.

        Raises:
            UnsealableData: the values no longer fit the column's type of code.
        """
        known = self.values.setdefault(number, array.dictionary)
        if known is array.dictionary or known.equals(array.dictionary):
            return array.indices
        try:
            before = pa.DictionaryArray.from_arrays(pa.array([], array.type.index_type), known)
            joined = pa.chunked_array([before, array]).unify_dictionaries().chunk(1)
        except (pa.ArrowException, ValueError) as error:
            raise _mixed_dictionaries(name, type(error).__name__) from None
        if not joined.dictionary.slice(0, len(known)).equals(known):
            raise _mixed_dictionaries(name, "repeated values")
        self.values[number] = joined.dictionary
        return joined.indices


def _mixed_dictionaries(name: str, found: str) -> UnsealableData:
    return UnsealableData(
        f"The categories of column {name!r} differ from batch to batch and cannot be joined.",
        found=found,
        hint="Unify the dictionaries first (pyarrow.Table.unify_dictionaries), or convert the column to text.",
    )

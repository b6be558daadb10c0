"""Files with a JSON object in each line (``.jsonl``, ``.ndjson``), in blocks of whole lines.

Read twice, like CSV files: the first pass finds all fields and the type that all of their values have, the second one gives
the batches. Text stays text, also where it looks like a time. An integer that the column's type would round is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from sls_jupyter.assets.arrow_input import lossy
from sls_jupyter.assets.csv_file import READ_ERRORS, open_bytes
from sls_jupyter.assets.source import Progress, silent
from sls_jupyter.documents import no_member_twice
from sls_jupyter.errors import BadInput, MalformedDocument, Unavailable, UnsealableData

BLOCK_BYTES = 8 * 2**20  # of lines, read at a time
MAX_LINE_BYTES = 64 * 2**20
_EXACT = 2**53


@dataclass(frozen=True)
class JsonFile:
    """A file whose fields and their types are known."""

    path: Path
    schema: pa.Schema
    rows: int

    @classmethod
    def examine(cls, path: Path, progress: Progress = silent) -> JsonFile:
        """The first pass.

        Raises:
            UnsealableData, BadInput: with the line or the field, and why. Unavailable: the disk failed.
        """
        schema, rows, long = pa.schema([]), 0, set[str]()
        for block, line in _blocks(path):
            table = _parse(path.name, block, line, None)
            schema, rows = _joined(path.name, line, schema, _without_times(table.schema)), rows + table.num_rows
            progress(0, rows)
            if any(_is_large(column) for column in table.columns):
                long |= _long_integers(block)
        if not len(schema):
            raise BadInput(f"The file {path.name} is empty.", expected="a JSON object in each line")
        for field in schema:
            if field.name in long and "double" in str(field.type):
                raise lossy(
                    field.name,
                    "integers that a 64-bit number does not hold exactly",
                    f"Write them as text within quotes into {path.name}, or round them.",
                )
        return cls(path, pa.schema([field.with_type(_without_nulls(field.type)) for field in schema]), rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The second pass."""
        for block, line in _blocks(self.path):
            table = _parse(self.path.name, block, line, self.schema)
            yield from table.select(self.schema.names).cast(self.schema).to_batches()


def _blocks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Whole lines of about ``BLOCK_BYTES``, with the number of the first one; blank ones are left out."""
    line, rest = 1, b""
    try:
        with open_bytes(path) as file:
            while data := file.read(BLOCK_BYTES):
                block, _, rest = (rest + data).rpartition(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise UnsealableData(f"A line of {path.name} is too long.", expected=f"{MAX_LINE_BYTES} bytes")
                if block.strip():
                    yield block + b"\n", line
                line += block.count(b"\n") + bool(block)
            if rest.strip():
                yield rest, line
    except READ_ERRORS as error:
        raise Unavailable(f"The file {path.name} could not be read to its end.", found=type(error).__name__) from None


def _parse(name: str, block: bytes, line: int, schema: pa.Schema | None) -> pa.Table:
    try:
        block.decode()
        options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer")
        reading = arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        return arrow_json.read_json(pa.BufferReader(block), reading, options)
    except UnicodeDecodeError as error:
        found = f"other bytes in line {line + block[: error.start].count(bytes([10]))}"
        raise UnsealableData(
            f"The file {name} is not UTF-8 text.", found=found, expected="the encoding UTF-8"
        ) from None
    except pa.ArrowException:
        raise _refusal(name, block, line) from None


def _refusal(name: str, block: bytes, start: int) -> UnsealableData:
    """Which line is no object, or which field has values of two kinds: found anew with Python's own parser."""
    kinds: dict[str, str] = {}
    for number, text in enumerate(block.splitlines(), start):
        if not text.strip():
            continue
        try:
            record = json.loads(text, object_pairs_hook=no_member_twice)
        except MalformedDocument as error:
            return UnsealableData(
                f"Line {number} of {name} names one member twice.", found=error.found, expected=error.expected
            )
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            return UnsealableData(f"Line {number} of {name} is no JSON object.", expected="one object in each line")
        for field, value in record.items():
            kind = _kind(value)
            if kind is not None and kinds.setdefault(field, kind) != kind:
                return _two_kinds(field, f"{kinds[field]} and, in line {number}, {kind}")
    return UnsealableData(
        f"The lines of {name} from {start} on cannot be read as a table.",
        found="nested values of different kinds, or numbers out of range",
        hint="Read them with pandas.read_json(path, lines=True) and seal the frame.",
    )


def _kind(value: Any) -> str | None:
    if value is None:
        return None
    names = {bool: "true or false", str: "text", dict: "an object", list: "a list"}
    return names.get(type(value), "a number")


def _two_kinds(field: str, found: str) -> UnsealableData:
    return UnsealableData(
        f"The field {field!r} has values of two kinds.", found=found, hint="Make them one kind, for instance all text."
    )


def _without_times(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(_text_for_times(field.type)) for field in schema])


def _text_for_times(kind: pa.DataType) -> pa.DataType:
    """The type that was inferred, but text where Arrow saw a time in it."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_text_for_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_text_for_times(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind


def _without_nulls(kind: pa.DataType, within: bool = False) -> pa.DataType:
    """The type with text in the place of ``null`` in lists and objects; pyarrow reads lists of nulls wrongly."""
    if pa.types.is_null(kind):
        return pa.string() if within else kind
    if pa.types.is_list(kind):
        return pa.list_(_without_nulls(kind.value_type, True))
    if pa.types.is_struct(kind):
        return pa.struct(
            [kind.field(i).with_type(_without_nulls(kind.field(i).type, True)) for i in range(kind.num_fields)]
        )
    return kind


def _joined(name: str, line: int, one: pa.Schema, two: pa.Schema) -> pa.Schema:
    kinds = {field.name: field.type for field in one}
    for field in two:
        before = kinds.get(field.name, pa.null())
        joined = _joined_type(before, field.type)
        if joined is None:
            raise _two_kinds(field.name, f"{before} and, in or after line {line} of {name}, {field.type}"[:300])
        kinds[field.name] = joined
    return pa.schema(list(kinds.items()))


def _joined_type(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both; ``None``: there is none."""
    if one == two or pa.types.is_null(two):
        return one
    if pa.types.is_null(one):
        return two
    if {one, two} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(two):
        below = _joined_type(one.value_type, two.value_type)
        return None if below is None else pa.list_(below)
    if pa.types.is_struct(one) and pa.types.is_struct(two):
        members = {field.name: field.type for field in one.fields}
        for field in two.fields:
            joined = _joined_type(members.get(field.name, pa.null()), field.type)
            if joined is None:
                return None
            members[field.name] = joined
        return pa.struct(list(members.items()))
    return None


# --- integers that a float would round --------------------------------------------------------------


def _is_large(column: pa.ChunkedArray) -> bool:
    return any(_is_large_array(chunk) for chunk in column.chunks)


def _is_large_array(array: pa.Array) -> bool:
    if pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        limits = pc.min_max(array).as_py()
        return limits["min"] is not None and (limits["min"] <= -_EXACT or limits["max"] >= _EXACT)
    if pa.types.is_struct(array.type):
        return any(_is_large_array(child) for child in array.flatten())
    below = array.type.value_type if pa.types.is_list(array.type) else pa.null()
    return not pa.types.is_null(below) and _is_large_array(array.flatten())


def _long_integers(block: bytes) -> set[str]:
    """The fields that hold, at any depth, an integer beyond 53 bits."""
    found: set[str] = set()
    for text in block.splitlines():
        if text.strip():
            record = json.loads(text, parse_int=_integer)
            found |= {field for field, value in record.items() if _holds_long(value)}
    return found


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 4000 else 2**64  # Python refuses to read longer ones


def _holds_long(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_long, value.values()))
    if isinstance(value, list):
        return any(map(_holds_long, value))
    return isinstance(value, int) and abs(value) > _EXACT

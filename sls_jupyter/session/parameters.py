"""A request's parameters for a reviewer's eyes: decoded from a stranger's bytes, never executed.

The guest decodes the same bytes inside the group. Here they are looked at first: JSON within bounds, frames
uncompressed and of plain types, so that what is shown costs no more than it weighs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from sls_jupyter.documents import b64decode, parse_json
from sls_jupyter.errors import MalformedDocument, SlsError
from sls_jupyter.guest.parameters import (
    MAX_PARAMETER_VALUES,
    MAX_PARAMETERS_BYTES,
    TABLE_SHAPES,
    unpack_parameters,
)

_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2  # MessageHeader of Arrow's Message.fbs
_HEADER_TYPE, _HEADER = 1, 2  # fields of its table Message
_COMPRESSION, _DATA = 3, 1  # fields of RecordBatch and of DictionaryBatch


def read_parameters(data: bytes) -> Mapping[str, Any]:
    """The values behind the names that a cell will see; the caller compared the digest.

    Raises:
        MalformedDocument: they are not of the form that this package packs, and are not decoded.
    """
    bundle = parse_json(data, max_bytes=MAX_PARAMETERS_BYTES, max_values=MAX_PARAMETER_VALUES)
    if not isinstance(bundle, dict) or set(bundle) != {"values", "frames"}:
        raise MalformedDocument("These are no parameters.", expected="values and frames")
    values, frames = bundle["values"], bundle["frames"]
    if not (isinstance(values, dict) and isinstance(frames, dict)) or set(values) & set(frames):
        raise MalformedDocument("These are no parameters.", expected="each name once")
    for name, entry in frames.items():
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(one, str) for one in entry):
            raise MalformedDocument("A table among the parameters is not a shape and a stream.")
        if entry[0] not in TABLE_SHAPES:
            raise MalformedDocument("A table among the parameters has no known shape.")
        _require_plain(name, b64decode(entry[1]))
    try:
        return unpack_parameters(data)
    except (SlsError, pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedDocument("The parameters cannot be decoded.", found=type(error).__name__) from None


def _require_plain(name: str, stream: bytes) -> None:
    """Raise unless an Arrow stream costs no more to decode than its bytes: each value is there, uncompressed."""
    refused = MalformedDocument(f"The frame {name[:60]!r} among the parameters is not of a plain form.")
    try:
        messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(stream))
        if any(_is_compressed(message.metadata.to_pybytes()) for message in messages):
            raise refused
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            if not all(_is_plain(field.type) for field in reader.schema):
                raise refused
            for batch in reader:
                batch.validate(full=True)
    except (pa.ArrowException, ValueError, IndexError, OSError) as error:
        refused.found = type(error).__name__
        raise refused from None


def _is_plain(kind: pa.DataType) -> bool:
    """A type whose every value takes bytes of its own."""
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_fixed_size_binary(kind):
        return bool(kind.byte_width)
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_temporal)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in (*tests, *texts))


# --- a little of FlatBuffers: whether a record batch is compressed ----------------------------------


def _is_compressed(message: bytes) -> bool:
    root = _word(message, 0, 4)
    kind = _field(message, root, _HEADER_TYPE)
    header = _field(message, root, _HEADER)
    if kind is None or header is None or message[kind] not in (_RECORD_BATCH, _DICTIONARY_BATCH):
        return False
    batch = header + _word(message, header, 4)
    if message[kind] == _DICTIONARY_BATCH:
        data = _field(message, batch, _DATA)
        if data is None:
            return False
        batch = data + _word(message, data, 4)
    return _field(message, batch, _COMPRESSION) is not None


def _field(message: bytes, table: int, number: int) -> int | None:
    """Where a table's field stands; ``None`` if it is not there."""
    vtable = table - int.from_bytes(_slice(message, table, 4), "little", signed=True)
    if _word(message, vtable, 2) < 4 + 2 * number + 2:
        return None
    offset = _word(message, vtable + 4 + 2 * number, 2)
    return table + offset if offset else None


def _word(message: bytes, place: int, size: int) -> int:
    return int.from_bytes(_slice(message, place, size), "little")


def _slice(message: bytes, place: int, size: int) -> bytes:
    if not 0 <= place <= len(message) - size:
        raise ValueError("outside of the message")
    return message[place : place + size]

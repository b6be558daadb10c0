"""Strict CBOR (RFC 8949): one item, definite lengths, no key twice, bounded in size and depth.

The library accepts duplicate map keys, indefinite lengths and bytes after the item, and gives many tags a
meaning. So the bytes are walked first, and only what passes is decoded; both major versions of the
library then agree.
"""

from __future__ import annotations

from typing import Any

import cbor2

from sls_jupyter.errors import MalformedDocument

MAX_CBOR_BYTES = 64 * 1024
MAX_DEPTH = 16  # nested arrays, maps and tags
EPOCH_TAG = 1  # seconds since 1970; the only tag inside our messages
_SIMPLE = (20, 21, 22)  # false, true, null
_FLOATS = (25, 26, 27)


def decode(data: bytes) -> Any:
    """The value of one CBOR item that is the whole of ``data``.

    Maps become dicts, arrays lists or tuples, tag 1 a datetime in UTC.

    Raises:
        MalformedDocument: not CBOR, or CBOR outside this subset.
    """
    if len(data) > MAX_CBOR_BYTES:
        raise _malformed("too large")
    if _walk(data, 0, 0) != len(data):
        raise _malformed("bytes after the item")
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise _malformed("a value that cannot be decoded") from None


def encode(value: Any) -> bytes:
    """CBOR of arrays, maps, integers, texts and byte strings, each head in its shortest form."""
    return bytes(cbor2.dumps(value))


def _malformed(found: str) -> MalformedDocument:
    return MalformedDocument("This is not strict CBOR.", found=found, expected="RFC 8949, one item, definite lengths")


def _head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Major type, additional information, argument, and where the content starts."""
    if at >= len(data):
        raise _malformed("an item that ends too early")
    major, info = data[at] >> 5, data[at] & 0x1F
    if info < 24:
        return major, info, info, at + 1
    if info > 27:
        raise _malformed("an indefinite length or a reserved head")
    size = 1 << (info - 24)
    end = at + 1 + size
    if end > len(data):
        raise _malformed("an item that ends too early")
    return major, info, int.from_bytes(data[at + 1 : end], "big"), end


def _walk(data: bytes, at: int, depth: int) -> int:
    """Where the item at ``at`` ends."""
    if depth > MAX_DEPTH:
        raise _malformed(f"more than {MAX_DEPTH} levels")
    major, info, argument, start = _head(data, at)
    if major in (2, 3):
        if argument > len(data) - start:
            raise _malformed("a string that ends too early")
        return start + argument
    if major == 4:
        for _ in range(argument):
            start = _walk(data, start, depth + 1)
        return start
    if major == 5:
        return _walk_map(data, start, argument, depth + 1)
    if major == 6 and argument == EPOCH_TAG:
        return _walk(data, start, depth + 1)
    if major == 6 or (major == 7 and info not in _SIMPLE and info not in _FLOATS):
        raise _malformed(f"tag {argument}" if major == 6 else "a simple value without a meaning")
    return start


def _walk_map(data: bytes, at: int, pairs: int, depth: int) -> int:
    """Keys are integers or texts with the shortest head, so equal keys have equal bytes."""
    seen: set[bytes] = set()
    for _ in range(pairs):
        major, _info, argument, start = _head(data, at)
        if major not in (0, 1, 3) or start - at != _shortest(argument):
            raise _malformed("a map key that is no plain integer or text")
        end = _walk(data, at, depth)
        if data[at:end] in seen:
            raise _malformed("a map key that is there twice")
        seen.add(data[at:end])
        at = _walk(data, end, depth)
    return at


def _shortest(argument: int) -> int:
    """The length of the shortest head for an argument."""
    return 1 + sum(argument >= limit for limit in (24, 2**8)) + 2 * (argument >= 2**16) + 4 * (argument >= 2**32)

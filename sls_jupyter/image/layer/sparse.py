"""GNU sparse files in tars: the map of what is data, and the file with its holes filled with zeros.

Formats 0.0, 0.1 and 1.0 in PAX records and the old one in GNU headers (GNU tar manual, "Storing Sparse Files"). A layer's
hash is over the expanded file, and its size is the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sls_jupyter.image.layer.entry import CHUNK, Entry, Stream
from sls_jupyter.image.layer.fields import MalformedTar, decimal, malformed, number

MAX_MAP = 1 << 20  # bytes
MAX_HOLES = 8 << 30  # bytes of one file: ours, a small tar must not keep us busy for hours
_HOLE = bytes(CHUNK)
_BLOCK = 512

Extents = list[tuple[int, int]]  # offset and length of each piece of data, in order


class Body(Protocol):
    left: int

    def read(self, size: int) -> bytes: ...


def extents(entry: Entry, header: bytes | None, body: Body, stream: Stream) -> Extents | None:
    """The map of a sparse file, or ``None`` for any other entry. Sets the entry's real size and name.

    Args:
        entry: as its headers say.
        header: the block of its header if that is of the GNU format.
        body: the entry's data; a map of format 1.0 is read from its start.
        stream: the tar; further maps of the old format are read from it.

    Raises:
        MalformedTar: the map's numbers are none, too many, or out of order.
    """
    found = _old(entry, header, stream) if entry.kind == ord("S") else _from_records(entry, body)
    if found is not None:
        _check(found, entry.size)
    return found


def expanded(found: Extents, size: int, body: Body) -> Iterator[bytes]:
    """The file with its holes, in pieces of `CHUNK` bytes (the last may be shorter)."""
    data = sum(length for _, length in found)
    if data != body.left:
        raise _bad("it names more or less data than there is")
    if size - data > MAX_HOLES:
        raise _bad(f"it has {size - data} bytes of holes, and at most {MAX_HOLES} are read")
    buffer = b""
    for piece in _spread(found, size, body):
        if not buffer and len(piece) == CHUNK:
            yield piece
            continue
        buffer += piece
        if len(buffer) >= CHUNK:
            yield buffer[:CHUNK]
            buffer = buffer[CHUNK:]
    if buffer:
        yield buffer


def _spread(found: Extents, size: int, body: Body) -> Iterator[bytes]:
    at = 0
    for offset, length in [*found, (size, 0)]:
        while at < offset:
            step = min(CHUNK, offset - at)
            yield _HOLE if step == CHUNK else bytes(step)
            at += step
        end = offset + length
        while at < end:
            piece = body.read(min(CHUNK, end - at))
            yield piece
            at += len(piece)


def _old(entry: Entry, header: bytes | None, stream: Stream) -> Extents:
    if header is None:
        raise _bad("its header is not of the GNU format")
    found: Extents = []
    entry.size = number(header[483:495])
    table, more = header[386:482], header[482]
    while True:
        for start in range(0, len(table) - 23, 24):
            if not table[start]:
                break
            found.append((number(table[start : start + 12]), number(table[start + 12 : start + 24])))
        if len(found) * 24 > MAX_MAP:
            raise _bad("it is too long")
        if not more:
            return found
        block = stream.exactly(_BLOCK)
        table, more = block[:504], block[504]


def _from_records(entry: Entry, body: Body) -> Extents | None:
    pax = entry.pax
    if not pax:
        return None
    version = pax.get(b"GNU.sparse.major", b""), pax.get(b"GNU.sparse.minor", b"")
    in_data = version == (b"1", b"0")
    if not in_data and version not in ((b"0", b"0"), (b"0", b"1")) and (any(version) or not pax.get(b"GNU.sparse.map")):
        return None
    entry.name = pax.get(b"GNU.sparse.name") or entry.name
    size = pax.get(b"GNU.sparse.size") or pax.get(b"GNU.sparse.realsize")
    if size:
        entry.size = _int(size)
    if in_data:
        return _read_map(body)
    count = _int(pax.get(b"GNU.sparse.numblocks", b""))
    text = pax.get(b"GNU.sparse.map", b"")
    numbers = [_int(one) for one in text.split(b",")] if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise _bad("its length is not the stated one")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _read_map(body: Body) -> Extents:
    """Format 1.0: the number of pieces, then offsets and lengths, a line each, in whole blocks before the data."""
    text, lines, needed, count = bytearray(), 0, 1, -1
    while lines < needed:
        if len(text) + _BLOCK > MAX_MAP or body.left < _BLOCK:
            raise _bad("it is cut off or too long")
        block = body.read(_BLOCK)
        text += block
        lines += block.count(b"\n")
        if count < 0 and lines:
            count = _int(bytes(text.split(b"\n", 1)[0]))
            if not 0 <= count <= MAX_MAP:
                raise _bad("it states an impossible number of pieces")
            needed = 1 + 2 * count
    numbers = [_int(bytes(line)) for line in text.split(b"\n")[1 : 1 + 2 * count]]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _check(found: Extents, size: int) -> None:
    if size < 0:
        raise _bad("the file's size is negative")
    end = 0
    for offset, length in found:
        if offset < end or length < 0 or offset + length > size:
            raise _bad("its pieces overlap, are out of order or beyond the file's size")
        end = offset + length


def _int(text: bytes) -> int:
    return decimal(text, "a number in a sparse file's map")


def _bad(why: str) -> MalformedTar:
    return malformed(f"the map of a sparse file cannot be used: {why}")

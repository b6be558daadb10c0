"""One entry of a tar, and the stream that entries are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from sls_jupyter.image.layer.fields import malformed

CHUNK = 1 << 20  # bytes handed over at once; a multiple of the blocks of disk and tar
XATTR = b"SCHILY.xattr."


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True)
class Entry:
    """One entry: what its headers say together."""

    name: bytes
    kind: int  # type flag: 0x30 file, 0x31 hard link, 0x32 symbolic link, 0x33 and 0x34 devices, 0x35 folder, 0x36 FIFO
    mode: int
    uid: int
    gid: int
    size: int  # bytes of data
    link: bytes
    major: int
    minor: int
    mtime: tuple[int, int]  # seconds since 1970, nanoseconds
    atime: tuple[int, int] | None
    ctime: tuple[int, int] | None
    pax: dict[bytes, bytes] = field(default_factory=dict)
    data: Iterator[bytes] = field(
        default_factory=lambda: iter(())
    )  # in pieces of CHUNK bytes, the last may be shorter; only until the next entry

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        if not self.pax:
            return {}
        return {key[len(XATTR) :]: value for key, value in self.pax.items() if key.startswith(XATTR)}


class Stream:
    """A source of bytes that says how it ends."""

    __slots__ = ("_read", "_skip", "position")

    def __init__(self, source: Readable) -> None:
        self._read = source.read
        self._skip: Callable[[int], int] | None = getattr(source, "skip", None)
        self.position = 0

    def some(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        data = self._read(size)
        if data and len(data) < size:  # a pipe, a connection
            parts = [data]
            left = size - len(data)
            while left and (more := self._read(left)):
                parts.append(more)
                left -= len(more)
            data = b"".join(parts)
        self.position += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        data = self.some(size)
        if len(data) != size:
            raise malformed("the tar ends in the middle of an entry", found=f"an end after {self.position} bytes")
        return data

    def skip(self, size: int) -> None:
        """Pass over bytes: by a step, where the source can (``skip(n)`` returns how many there were), else by reading."""
        if self._skip is None:
            while size:
                size -= len(self.exactly(min(size, CHUNK)))
        elif self._skip(size) != size:
            raise malformed("the tar ends in the middle of an entry")

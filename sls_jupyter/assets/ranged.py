"""A file over ranges: whoever can give bytes from here to there can be read like a file on the disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

ReadRange = Callable[[int, int], bytes]
"""``(first, last)``, both included."""

_BUFFER_BYTES = 1 << 20


class _RangedFile(io.RawIOBase):
    """A file read by ranges. Ciphertext; the reader verifies what it gets."""

    def __init__(self, read_range: ReadRange, size: int, done: Callable[[], None]) -> None:
        super().__init__()
        self._read_range, self._size, self._done = read_range, size, done
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own alias
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._read_range(self._position, self._position + wanted - 1)[:wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._done()
        super().close()


def ranged(read_range: ReadRange, size: int, done: Callable[[], None] = lambda: None) -> BinaryIO:
    """A seekable file of ``size`` bytes over ranges; ``done`` is called when it is closed."""
    return cast("BinaryIO", io.BufferedReader(_RangedFile(read_range, size, done), _BUFFER_BYTES))

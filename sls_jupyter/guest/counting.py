"""Sealed parts whose bytes are counted as they are read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from sls_jupyter.errors import LimitExceeded


class _CountedPart(io.RawIOBase):
    """A part whose bytes are counted before they are read."""

    def __init__(self, part: BinaryIO, count: Callable[[int], None]) -> None:
        super().__init__()
        self._part, self._count = part, count

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._part.seek(offset, whence)

    def tell(self) -> int:
        return self._part.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own alias
        self._count(len(buffer))
        data = self._part.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._part.close()
        super().close()


def counted(open_part: Callable[[str], BinaryIO], count: Callable[[int], None]) -> Callable[[str], BinaryIO]:
    """The same parts.

    Args:
        count: called with a number of bytes before they are read; raises when it is too much.
    """
    return lambda name: cast(BinaryIO, _CountedPart(open_part(name), count))


def too_large(alias: str, found: str, allowed: int) -> LimitExceeded:
    """An input does not fit into this run's memory."""
    return LimitExceeded(
        f"The input {alias} is larger than this run's memory.",
        found=found,
        expected=f"{allowed} bytes at most, for all inputs",
        hint="Ask for fewer columns, or raise --memory.",
        detail={"limit": "memory", "allowed": allowed, "alias": alias},
    )

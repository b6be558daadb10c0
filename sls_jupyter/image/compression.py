"""Layers as they are stored: plain, gzip (RFC 1952) or Zstandard (RFC 8878), told by their first bytes.

Nothing is held but the pieces that are being read. A frame of Zstandard may ask for a window; Arrow, which decompresses
it, refuses windows above 128 MiB.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

from sls_jupyter.errors import MalformedDocument

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BUFFER = 1 << 20  # bytes


class Peeked(io.RawIOBase):
    """A source whose first bytes were looked at already."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._start[: len(view)] or self._rest.read(len(view))
        self._start = self._start[len(data) :]
        view[: len(data)] = data
        return len(data)


class _Zstd(io.RawIOBase):
    def __init__(self, source: BinaryIO) -> None:
        import pyarrow as pa  # larger than all else here together, and most layers are gzip

        self._stream = pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class Plain:
    """The uncompressed bytes of a layer; ``read(n)`` gives at most n, and none only at the end.

    Raises:
        MalformedDocument: while reading, when the compression is damaged or cut off.
    """

    def __init__(self, source: BinaryIO) -> None:
        """Read from `source`, a binary file open at the layer's start."""
        start = source.read(4)
        whole = cast(BinaryIO, io.BufferedReader(Peeked(start, source), BUFFER))
        self.compression = "gzip" if start[:2] == GZIP else "zstd" if start == ZSTD else ""
        if self.compression == "gzip":
            whole = cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=whole)), BUFFER))
        elif self.compression == "zstd":
            whole = cast(BinaryIO, io.BufferedReader(_Zstd(whole), BUFFER))
        self._source = whole

    def read(self, size: int, /) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            found = type(error).__name__
        except (OSError, ValueError) as error:  # Arrow reports damaged frames as errors of input
            if self.compression != "zstd":
                raise
            found = type(error).__name__
        raise MalformedDocument(
            f"a layer's {self.compression} data is damaged or cut off",
            found=found,
            hint="take the layer from where it was made again",
        )

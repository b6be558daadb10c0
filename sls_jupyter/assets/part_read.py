"""One part, verified and read: an encrypted Parquet file (Parquet Modular Encryption, AES-256-GCM).

Every byte of a part is covered: the four leading magic bytes are compared, the tail is the hashed footer,
and everything between is AES-GCM ciphertext with the file's own AAD and the module's place in it.

Source: Apache Parquet format, ``Encryption.md``.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.assets.manifest import Part
from sls_jupyter.assets.part_keys import MasterKeys, decryption
from sls_jupyter.documents import digest
from sls_jupyter.errors import DigestMismatch, SlsError, Unavailable, VerificationError

MAGIC = b"PARE"  # of a Parquet file with an encrypted footer
MAX_FOOTER_BYTES = 256 * 1024 * 1024  # refuse to read more than this before anything is verified
_READ_BYTES = 16 * 1024 * 1024  # at a time from storage
LEAST_SPLIT = 8  # columns
PRIVATE_BYTES = 128 * 1024 * 1024
BATCH_ROWS = 1 << 14  # decoded at a time: a small part can hold large values
MAX_BATCH_ROWS = 1 << 20  # of numbers only
BATCH_BITS = 8 << 26  # of these, 64 MiB
_TAIL = 8  # bytes: the footer's length and the magic
_HINT = "Fetch the asset again from its owner; if it stays so, its storage is damaged or was tampered with."
FOREIGN_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError)


def _changed(name: str, found: str, expected: str | None = None) -> DigestMismatch:
    return DigestMismatch(
        f"The part {name} is not the one that was sealed.", found=found, expected=expected, hint=_HINT
    )


def _read_exactly(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    chunks, missing = [], length
    while missing and (chunk := file.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def read_footer(file: BinaryIO, name: str) -> tuple[bytes, int]:
    """The bytes that :class:`Part` calls the footer, and the size of the file. Decrypts nothing.

    Raises:
        DigestMismatch: not an encrypted Parquet file.
    """
    size = file.seek(0, io.SEEK_END)
    if size < len(MAGIC) + _TAIL or _read_exactly(file, 0, len(MAGIC)) != MAGIC:
        raise _changed(name, "no encrypted Parquet file")
    tail = _read_exactly(file, size - _TAIL, _TAIL)
    length = int.from_bytes(tail[:4], "little") + _TAIL
    if tail[4:] != MAGIC or not _TAIL < length <= min(size - len(MAGIC), MAX_FOOTER_BYTES):
        raise _changed(name, "no encrypted Parquet footer")
    footer = _read_exactly(file, size - length, length)
    if len(footer) != length:
        raise _changed(name, "a file that is shorter than it says")
    return footer, size


def _memory(size: int) -> mmap.mmap:
    """Zeros that cost nothing until they are filled in.

    A large part's are shared, so that they do not count as this process's data. A small one's are private, in large
    pages where the kernel has them, which are filled in ten times as fast.
    """
    if size > PRIVATE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class Image:
    """A part in memory, of which only the verified footer and the bytes that are needed are filled in.

    pyarrow reads from here, never from storage: so storage cannot show one footer to the digest and another
    one to the reader, and no thread of pyarrow ever calls back into a Python file (which, at the end of a
    process, can end it with an abort). What is not filled in does not decrypt.
    """

    def __init__(self, file: BinaryIO, footer: bytes, size: int, name: str) -> None:
        self._file, self._name, self._body_end = file, name, size - len(footer)
        self._memory = memoryview(_memory(size))
        self._buffer = pa.py_buffer(self._memory)
        self._memory[: len(MAGIC)] = MAGIC
        self._memory[self._body_end :] = footer

    def reader(self) -> pa.BufferReader:
        return pa.BufferReader(self._buffer)

    def fill(self, start: int, length: int) -> None:
        """Read a range of the body from storage.

        Raises:
            DigestMismatch: there is no such range, or the file ends before it does.
            Unavailable: storage failed.
        """
        end = start + length
        start = max(start, len(MAGIC))  # pyarrow lets a column without rows begin at 0; the magic is in place
        if end > self._body_end:
            raise _changed(self._name, "a column outside the file")
        with _storage_errors(self._name):
            self._file.seek(start)
            while start < end:
                count = self._read(start, min(end - start, _READ_BYTES))
                if not count:
                    raise _changed(self._name, "a file that became shorter while it was read")
                start += count

    def _read(self, start: int, length: int) -> int:
        """Read at most ``length`` bytes to their place; returns how many, 0 at the end of the file."""
        into = getattr(self._file, "readinto", None)
        if into is not None:
            return int(into(self._memory[start : start + length]))
        chunk = self._file.read(length)
        self._memory[start : start + len(chunk)] = chunk
        return len(chunk)


class _Probe(io.RawIOBase):
    """A part of which only the footer can be read; it tells where a column lies.

    pyarrow's metadata objects tell it too, but end the process when a key is missing or wrong. A reader,
    which asks for a column chunk in one piece, raises instead.
    """

    def __init__(self, footer: bytes, size: int, keys: MasterKeys) -> None:
        super().__init__()
        self._footer, self._body_end, self._size = footer, size - len(footer), size
        self._position, self._opened = 0, False
        self._asked: tuple[int, int] | None = None
        self._source = pq.ParquetFile(self, decryption_properties=decryption(keys), pre_buffer=False)
        self._opened = True

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        start, end = self._position, self._size if size < 0 else min(self._size, self._position + size)
        self._position = end
        if start >= self._body_end:
            return self._footer[start - self._body_end : end - self._body_end]
        if self._opened:
            self._asked = (start, end - start)
            return b""  # an error of pyarrow's own then, which costs a tenth of one that a Python file raises
        return b"\0" * (self._body_end - start) + self._footer[: end - self._body_end]  # read with the footer, unused

    def extent(self, group: int, leaf: int) -> tuple[int, int]:
        """Where a column chunk lies: first byte and length; no bytes for a column without pages."""
        self._asked = None
        try:
            self._source.reader.read_row_group(group, column_indices=[leaf], use_threads=False)
        except FOREIGN_ERRORS:
            if self._asked is None:
                raise
        return self._asked or (len(MAGIC), 0)


@contextlib.contextmanager
def _storage_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The part {name} cannot be read.",
            found=error.strerror or type(error).__name__,
            hint="Check the storage and the connection to it, then try again.",
        ) from None


@contextlib.contextmanager
def foreign_errors(name: str) -> Iterator[None]:
    """Turn whatever pyarrow raises about a part into our own error; its text may hold data and is dropped."""
    try:
        yield
    except (SlsError, MemoryError):  # what a part decodes to may be more than this process may hold
        raise
    except FOREIGN_ERRORS as error:
        raise VerificationError(f"The part {name} does not decrypt.", found=type(error).__name__, hint=_HINT) from None


@contextlib.contextmanager
def opened_part(file: BinaryIO, part: Part, keys: MasterKeys, readers: int = 1) -> Iterator[OpenPart]:
    """Verify a part's size, magic bytes and footer, then open it. Closes ``file`` at the end.

    Args:
        readers: threads that read columns side by side, where :func:`splits` says that they can.

    Only the footer is decrypted here. The metadata of a column whose key is missing is never touched:
    pyarrow would end the process.

    Raises:
        DigestMismatch: another file than the manifest names.
        VerificationError: the footer does not open with its key.
        Unavailable: the storage failed.
    """
    with file:
        with _storage_errors(part.name):
            footer, size = read_footer(file, part.name)
        if size != part.size:
            raise _changed(part.name, f"{size} bytes", f"{part.size} bytes")
        if digest(footer) != part.footer:
            raise _changed(part.name, f"footer {digest(footer)}", f"footer {part.footer}")
        image = Image(file, footer, size, part.name)
        with foreign_errors(part.name):
            probe = _Probe(footer, size, keys)
            sources = [pq.ParquetFile(image.reader(), decryption_properties=decryption(keys)) for _ in range(readers)]
        if sources[0].metadata.num_rows != part.rows:
            raise _changed(part.name, f"{sources[0].metadata.num_rows} rows", f"{part.rows} rows")
        yield OpenPart(part.name, sources, image, probe)


class OpenPart:
    """A verified part."""

    def __init__(self, name: str, sources: list[Any], image: Image, probe: _Probe) -> None:
        self._name, self._sources, self._image, self._probe = name, sources, image, probe
        self._source, self._filling = sources[0], threading.Lock()

    def schema_metadata(self, key: bytes) -> bytes | None:
        """An entry of the file's key-value metadata, which the footer's key protects."""
        return dict(self._source.metadata.metadata or {}).get(key)

    def read(self, names: list[str], types: list[pa.DataType]) -> Iterator[pa.Table]:
        """The rows, some at a time, with only these top-level columns, which must have these physical types.

        Only these columns' bytes are fetched from storage.

        Raises:
            VerificationError: a page was changed, a key is missing or wrong, or the types differ.
            Unavailable: storage failed.
        """
        rows = _rows_at_once(types)
        side_by_side = len(self._sources) > 1 and splits(types)
        for number in range(self._source.num_row_groups):
            batches = self._split(number, names, rows) if side_by_side else self._group(0, number, names, rows)
            for batch in batches:
                if batch.schema.names != names or batch.schema.types != types:
                    raise _changed(self._name, "other columns", "the columns of the schema")
                yield pa.Table.from_batches([batch])

    def _group(self, reader: int, group: int, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Some columns of a row group."""
        with foreign_errors(self._name):
            wanted, source = set(names), self._sources[reader]
            leaves = [i for i in range(source.metadata.num_columns) if _top_level(source, i) in wanted]
            with self._filling:  # one file, one place in it
                for run in _runs(leaves):
                    self._image.fill(*self._range(group, run))
            batches = self._batches(source, group, names, rows)
        while (batch := self._next(batches)) is not None:
            yield batch

    def _split(self, group: int, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """A row group, by several readers that have some columns each: while one decodes, the next one fetches."""
        share = -(-len(names) // len(self._sources))
        parts = [names[at : at + share] for at in range(0, len(names), share)]
        streams = [self._group(reader, group, part, rows) for reader, part in enumerate(parts)]
        with ThreadPoolExecutor(len(parts), "sls-columns") as pool:
            while True:
                found = list(pool.map(next, streams, [None] * len(streams)))
                rows_of = {None if one is None else one.num_rows for one in found}
                if rows_of == {None}:
                    return
                if len(rows_of) > 1:
                    raise _changed(self._name, "columns of several lengths")
                columns = [column for batch in found for column in batch.columns]
                yield pa.RecordBatch.from_arrays(columns, names=names)

    def _range(self, group: int, run: range) -> tuple[int, int]:
        """Where the column chunks of neighbouring leaves lie, which are written one after the other."""
        start, length = self._probe.extent(group, run[0])
        if len(run) == 1:
            return start, length
        last, rest = self._probe.extent(group, run[-1])
        if not length or not rest or last < start + length:  # chunks without pages, or in another order
            extents = [self._probe.extent(group, leaf) for leaf in run]
            start = min(one for one, _ in extents)
            return start, max(one + many for one, many in extents) - start
        return start, last + rest - start

    def _batches(self, source: Any, group: int, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """A row group in batches of so many rows; in one piece, which is quicker, if it has no more."""
        if source.metadata.row_group(group).num_rows <= rows:
            return iter(source.read_row_group(group, columns=names, use_threads=False).to_batches())
        threads = len(self._sources) == 1
        return iter(source.iter_batches(rows, row_groups=[group], columns=names, use_threads=threads))

    def _next(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with foreign_errors(self._name):
            return next(batches, None)


def _rows_at_once(types: list[pa.DataType]) -> int:
    """Rows that are decoded at a time: more where a value is a number, and its size is known."""
    try:
        return max(BATCH_ROWS, min(MAX_BATCH_ROWS, BATCH_BITS // sum(int(kind.bit_width) for kind in types)))
    except ValueError:  # a type of any width
        return BATCH_ROWS


def splits(types: list[pa.DataType]) -> bool:
    """Whether columns can be read side by side: many of them, and batches end at the same row in all."""
    return len(types) >= LEAST_SPLIT and all(pa.types.is_primitive(kind) for kind in types)


def _runs(leaves: list[int]) -> Iterator[range]:
    """Neighbours among leaves, which are in their order."""
    start = 0
    for place in range(1, len(leaves) + 1):
        if place == len(leaves) or leaves[place] != leaves[place - 1] + 1:
            yield range(leaves[start], leaves[place - 1] + 1)
            start = place


def _top_level(source: Any, leaf: int) -> str:
    """The column that a leaf belongs to."""
    return str(source.schema.column(leaf).path).partition(".")[0]

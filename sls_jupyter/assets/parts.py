"""One part: an encrypted Parquet file, written and checked, read and refused.

Parquet Modular Encryption with AES-256-GCM and an encrypted footer. Each column of each part has its own
random data key, which AES key wrap (RFC 3394) puts under the master key of the column's group; the wrapped
keys are in the footer, and the manifest has the footer's digest.

Every byte of a part is covered: the four leading magic bytes are compared, the tail is the hashed footer,
and everything between is AES-GCM ciphertext with the file's own AAD and the module's place in it.

Source: Apache Parquet format, ``Encryption.md``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from sls_jupyter.assets.manifest import Part
from sls_jupyter.documents import digest
from sls_jupyter.errors import DigestMismatch, SlsError, Unavailable, VerificationError

MAGIC = b"PARE"  # of a Parquet file with an encrypted footer
MASTER_KEY_BYTES = 32
MAX_FOOTER_BYTES = 256 * 1024 * 1024  # refuse to read more than this before anything is verified
_READ_BYTES = 16 * 1024 * 1024  # at a time from storage
_TAIL = 8  # bytes: the footer's length and the magic
_HINT = "Fetch the asset again from its owner; if it stays so, its storage is damaged or was tampered with."
FOREIGN_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError)


# --- keys -----------------------------------------------------------------------------------------


class MasterKeys(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
    """Wraps and unwraps data keys with master keys in memory; remembers which keys were asked for."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        super().__init__()
        self._keys = dict(keys)
        self._unwrapped: dict[tuple[str, str], bytes] = {}
        self.asked: list[str] = []  # key ids, in order

    def _master(self, key_id: str) -> bytes:
        self.asked.append(key_id)
        if len(self._keys.get(key_id, b"")) != MASTER_KEY_BYTES:
            raise VerificationError(
                "A part asks for a key that was not released.",
                found=key_id[:40],
                hint="Ask the owner to grant these columns too, or leave them out.",
            )
        return self._keys[key_id]

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        """Base64 of RFC 3394 key wrap."""
        return base64.b64encode(aes_key_wrap(self._master(master_key_identifier), key_bytes)).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        """The data key.

        Raises:
            VerificationError: no such master key, or another one than the data key was wrapped with.
        """
        master, place = self._master(master_key_identifier), (master_key_identifier, wrapped_key)
        if place not in self._unwrapped:
            try:
                self._unwrapped[place] = aes_key_unwrap(master, base64.b64decode(wrapped_key, validate=True))
            except (InvalidUnwrap, ValueError, binascii.Error):
                raise VerificationError("A key does not open this part.", found=master_key_identifier[:40]) from None
        return self._unwrapped[place]


def _factory(keys: MasterKeys) -> Any:
    return pe.CryptoFactory(lambda _: keys)  # a fresh one each time: factories cache keys by access token


def _encryption(keys: MasterKeys, footer_key_id: str, column_keys: Mapping[str, str]) -> Any:
    """Encryption properties; ``column_keys`` maps each physical top-level name to a key id."""
    by_key: dict[str, list[str]] = {}
    for column, key_id in column_keys.items():
        by_key.setdefault(key_id, []).append(column)
    config = pe.EncryptionConfiguration(
        footer_key=footer_key_id,
        column_keys=by_key,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=256,
    )
    return _factory(keys).file_encryption_properties(pe.KmsConnectionConfig(), config)


def _decryption(keys: MasterKeys) -> Any:
    return _factory(keys).file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())


# --- writing --------------------------------------------------------------------------------------


def write_part(
    file: BinaryIO,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    *,
    keys: Mapping[str, bytes],
    footer_key_id: str,
    column_keys: Mapping[str, str],
) -> None:
    """Write a part; each table becomes a row group. Closes ``file``, also on failure.

    Args:
        schema: physical; at least one column.
        column_keys: a key id for *every* top-level column; pyarrow applies it to the leaves below.
    """
    with file:
        properties = _encryption(MasterKeys(keys), footer_key_id, column_keys)
        writer = pq.ParquetWriter(file, schema, compression="snappy", encryption_properties=properties)
        try:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        except BaseException:
            with contextlib.suppress(Exception):  # closing writes a footer, which may fail like the rest did
                writer.close()
            writer.is_open = False
            raise
        writer.close()


def check_written(
    file: BinaryIO,
    name: str,
    rows: int,
    *,
    keys: Mapping[str, bytes],
    footer_key_id: str,
    column_keys: Mapping[str, str],
) -> Part:
    """Read a part's footer back and make sure that each column is under the key it should be under.

    pyarrow writes a column that the encryption configuration does not name in plaintext, silently. Here
    the crypto metadata of each column chunk has to ask for its own group's key, or the part is refused.

    Returns:
        the part's entry in the manifest.

    Raises:
        VerificationError: the file is not what was meant to be written.
    """
    with file:
        footer, size = read_footer(file, name)
        asked = MasterKeys(keys)
        with _foreign_errors(name):
            image = _Image(file, footer, size, name)
            found = pq.ParquetFile(image.reader(), decryption_properties=_decryption(asked)).metadata
            right = asked.asked == [footer_key_id] and found.num_rows == rows
            for group in range(found.num_row_groups):
                for leaf in range(found.num_columns):
                    asked.asked.clear()
                    path = found.row_group(group).column(leaf).path_in_schema
                    right = right and set(asked.asked) == {column_keys.get(path.partition(".")[0])}
    if not right:
        raise VerificationError("A part was not written as it should have been; nothing was published.", found=name)
    return Part(name=name, size=size, rows=rows, footer=digest(footer))


# --- reading --------------------------------------------------------------------------------------


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


class _Image:
    """A part in memory, of which only the verified footer and the bytes that are needed are filled in.

    pyarrow reads from here, never from storage: so storage cannot show one footer to the digest and another
    one to the reader, and no thread of pyarrow ever calls back into a Python file (which, at the end of a
    process, can end it with an abort). What is not filled in does not decrypt.
    """

    def __init__(self, file: BinaryIO, footer: bytes, size: int, name: str) -> None:
        self._file, self._name, self._body_end = file, name, size - len(footer)
        self._buffer = pa.allocate_buffer(size)
        self._memory = memoryview(self._buffer).cast("B")
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
        if length and not len(MAGIC) <= start < end <= self._body_end:
            raise _changed(self._name, "a column outside the file")
        with _storage_errors(self._name):
            self._file.seek(start)  # a column without pages has no place: nothing is read
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
def _foreign_errors(name: str) -> Iterator[None]:
    """Turn whatever pyarrow raises about a part into our own error; its text may hold data and is dropped."""
    try:
        yield
    except SlsError:
        raise
    except FOREIGN_ERRORS as error:
        raise VerificationError(f"The part {name} does not decrypt.", found=type(error).__name__, hint=_HINT) from None


@contextlib.contextmanager
def opened_part(file: BinaryIO, part: Part, keys: MasterKeys) -> Iterator[OpenPart]:
    """Verify a part's size, magic bytes and footer, then open it. Closes ``file`` at the end.

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
        image = _Image(file, footer, size, part.name)
        with _foreign_errors(part.name):
            source = pq.ParquetFile(image.reader(), decryption_properties=_decryption(keys))
        if source.metadata.num_rows != part.rows:
            raise _changed(part.name, f"{source.metadata.num_rows} rows", f"{part.rows} rows")
        yield OpenPart(part.name, source, image)


class OpenPart:
    """A verified part."""

    def __init__(self, name: str, source: Any, image: _Image) -> None:
        self._name, self._source, self._image = name, source, image

    def schema_metadata(self, key: bytes) -> bytes | None:
        """An entry of the file's key-value metadata, which the footer's key protects."""
        return dict(self._source.metadata.metadata or {}).get(key)

    def read(self, names: list[str], types: list[pa.DataType]) -> Iterator[pa.Table]:
        """The row groups with only these top-level columns, which must have these physical types.

        Only these columns' bytes are fetched from storage.

        Raises:
            VerificationError: a page was changed, a key is missing or wrong, or the types differ.
            Unavailable: storage failed.
        """
        leaves = [i for i in range(self._source.metadata.num_columns) if _top_level(self._source, i) in names]
        for number in range(self._source.num_row_groups):
            with _foreign_errors(self._name):
                for leaf in leaves:
                    self._image.fill(*_extent(self._source.metadata.row_group(number).column(leaf)))
                table = self._source.read_row_group(number, columns=names)
                if table.schema.names != names or table.schema.types != types:
                    raise _changed(self._name, "other columns", "the columns of the schema")
            yield table


def _top_level(source: Any, leaf: int) -> str:
    """The column that a leaf belongs to, from the schema: metadata of a column may be closed to us."""
    return str(source.schema.column(leaf).path).partition(".")[0]


def _extent(chunk: Any) -> tuple[int, int]:
    """Where a column chunk lies: first byte and length. An offset that is absent or 0 is no page's."""
    offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
    return min((offset for offset in offsets if offset), default=0), chunk.total_compressed_size

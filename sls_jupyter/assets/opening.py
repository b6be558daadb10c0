"""Opening a sealed asset: verified part by part, granted columns only, as a stream of Arrow batches.

Imports neither pandas nor fsspec; :func:`to_pandas` and :func:`local_parts` do when they are called.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from sls_jupyter.assets.columns import from_physical, physical_name, physical_type, value_field
from sls_jupyter.assets.manifest import DICTIONARY, AssetManifest, Part, part_name, read_schema
from sls_jupyter.assets.part_keys import MasterKeys
from sls_jupyter.assets.part_read import FOREIGN_ERRORS, opened_part, splits
from sls_jupyter.documents import b64decode, verify
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, UnknownName, VerificationError
from sls_jupyter.identity import verify_signature

if TYPE_CHECKING:
    import pandas as pd

PartOpener = Callable[[str], BinaryIO]
Tables = Generator[Any, None, None]  # of pa.Table
SCHEMA_KEY = b"sls.schema"  # of a confidential table: base64 of its IPC schema, in each part's encrypted footer
_FEW_BYTES = 4 << 20  # sealed bytes that are read without further threads
_PARTS_A_RELEASE = 4  # releasing costs what it takes to get the memory back
CODE_SCHEMA = pa.schema([("path", pa.string()), ("chunk", pa.int64()), ("bytes", pa.binary())])


def verify_manifest(envelope: bytes, expected: str | None) -> AssetManifest:
    """Check the owner's signature and, unless ``expected`` is ``None``, the asset's identifier.

    Not checked here: whether the owner is somebody the caller wants an asset from, and the parts.

    Raises:
        MalformedDocument: no manifest in an envelope.
        SignatureInvalid: not signed by the owner it names.
        DigestMismatch: another asset.
    """
    manifest = verify(envelope, AssetManifest, verify_signature, did=None)
    if expected is not None and manifest.digest != expected:
        raise DigestMismatch("This is the manifest of another asset.", found=manifest.digest, expected=expected)
    return manifest


def local_parts(manifest: AssetManifest) -> PartOpener:
    """Opens parts where the manifest says they are stored, for the owner whose place it is.

    Of manifests of others the place is their word: :func:`sls_jupyter.assets.public_storage.public_opener`.

    Raises:
        BadInput: a place where assets cannot be.
        Unavailable: from the opener, when a part is not there.
    """
    from sls_jupyter.assets.storage import local_opener

    return local_opener(manifest.storage)


def open_table(
    manifest: AssetManifest, keys: Mapping[str, bytes], *, columns: Sequence[str] | None, open_part: PartOpener
) -> pa.RecordBatchReader:
    """Read a sealed table lazily.

    Args:
        manifest: already verified (:func:`verify_manifest`).
        keys: key id to master key (32 bytes), for the footer and the groups of ``columns`` at least.
        columns: top-level names; ``None`` for all. The result has them in the schema's order.
        open_part: gives a part by name, as a seekable binary file; called once a part.

    Returns:
        a reader whose batches hold only verified values. Reading it raises the errors below as well.

    Raises:
        UnknownName: no such column.
        VerificationError: a key is missing or wrong, or a part is not the one that was sealed.
        Unavailable: storage failed.
    """
    kms = MasterKeys(_needed_keys(manifest, keys, columns))
    schema = manifest.table_schema()
    if schema is None:
        schema = _confidential_schema(manifest, kms, open_part)
    chosen = _choose(schema, columns)
    result = pa.schema([schema.field(i) for i in chosen], metadata=schema.metadata)
    return pa.RecordBatchReader.from_batches(result, _batches(manifest, kms, schema, chosen, result, open_part))


def first_rows(manifest: AssetManifest, keys: Mapping[str, bytes], open_part: PartOpener) -> pa.Table:
    """The first rows of a table, by the code that opens all of it, but without reading ahead; no rows of an empty one.

    Raises:
        VerificationError, Unavailable: as :func:`open_table`.
    """
    kms = MasterKeys(_needed_keys(manifest, keys, None))
    schema = manifest.table_schema() or _confidential_schema(manifest, kms, open_part)
    chosen = _choose(schema, None)
    batches = _batches(manifest, kms, schema, chosen, schema, open_part, ahead=False)
    try:
        found: list[pa.RecordBatch] = []
        while not sum(batch.num_rows for batch in found) and (batch := next(batches, None)) is not None:
            found.append(batch)
        return pa.Table.from_batches(found, schema=schema)
    finally:
        batches.close()


def _needed_keys(manifest: AssetManifest, keys: Mapping[str, bytes], columns: Sequence[str] | None) -> dict[str, bytes]:
    """Only the keys these columns need, so that nothing else can be decrypted by mistake."""
    needed = manifest.key_ids_for(columns)
    groups = {group.key_id: group.name for group in manifest.groups}
    missing = [groups.get(key_id, "footer") for key_id in needed if key_id not in keys]
    if missing:
        raise VerificationError(
            f"The keys at hand do not open these columns of {manifest.name}.",
            found="no key for " + ", ".join(missing),
            hint="Ask for granted columns only, or ask the owner to grant the others.",
        )
    return {key_id: keys[key_id] for key_id in needed}


def _choose(schema: pa.Schema, columns: Sequence[str] | None) -> list[int]:
    if columns is None:
        return list(range(len(schema)))
    if unknown := sorted(set(columns) - set(schema.names)):
        raise UnknownName(
            f"The asset has no column {unknown[0]!r}.", found=", ".join(unknown), expected=", ".join(schema.names)
        )
    return [i for i, name in enumerate(schema.names) if name in set(columns)]


def _confidential_schema(manifest: AssetManifest, kms: MasterKeys, open_part: PartOpener) -> pa.Schema:
    if manifest.kind == "code":
        return CODE_SCHEMA
    if not manifest.data_parts:
        return pa.schema([])
    part = manifest.data_parts[0]
    with opened_part(open_part(part.name), part, kms) as opened:
        data = opened.schema_metadata(SCHEMA_KEY)
    if data is None:
        raise MalformedDocument("A confidential asset does not have its schema.", found=part.name)
    return read_schema(b64decode(data.decode("ascii", "replace")))


def _batches(
    manifest: AssetManifest,
    kms: MasterKeys,
    schema: pa.Schema,
    chosen: list[int],
    result: pa.Schema,
    opener: PartOpener,
    *,
    ahead: bool = True,
) -> Generator[pa.RecordBatch, None, None]:
    """Batches of ``result``, the ``chosen`` columns of ``schema``."""
    if not chosen:
        yield _no_columns(manifest.rows)
        return
    names = [physical_name(i, schema.field(i).name) for i in chosen]
    types = [physical_type(schema.field(i).type) for i in chosen]
    values = {i: _dictionary(manifest, kms, schema, i, opener) for i in chosen if _is_dictionary(schema, i)}
    empty = [
        _restore(pa.array([], kind), schema.field(i).type, values.get(i)) for i, kind in zip(chosen, types, strict=True)
    ]
    yield pa.RecordBatch.from_arrays(empty, schema=result)  # carries the categories of a table without rows
    few = sum(part.size for part in manifest.data_parts) * len(chosen) < _FEW_BYTES * len(schema)
    read = _first_tables if not ahead else _few_tables if few else _tables
    for table in read(manifest, kms, names, types, opener):
        for batch in table.to_batches():
            arrays = [
                _restore(array, result.field(place).type, values.get(i))
                for place, (i, array) in enumerate(zip(chosen, batch.columns, strict=True))
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=result)


def _first_tables(
    manifest: AssetManifest, kms: MasterKeys, names: list[str], types: list[pa.DataType], opener: PartOpener
) -> Tables:
    """The rows of the first part, in this thread."""
    for part in manifest.data_parts[:1]:
        with opened_part(opener(part.name), part, kms) as opened:
            yield from opened.read(names, types)


def _few_tables(
    manifest: AssetManifest, kms: MasterKeys, names: list[str], types: list[pa.DataType], opener: PartOpener
) -> Tables:
    """The rows of all data parts, in this thread: to start others takes longer."""
    for part in manifest.data_parts:
        with opened_part(opener(part.name), part, kms) as opened:
            yield from opened.read(names, types)


def _tables(
    manifest: AssetManifest, kms: MasterKeys, names: list[str], types: list[pa.DataType], opener: PartOpener
) -> Iterator[pa.Table]:
    """The rows of all data parts in their order, as they are stored, some at a time.

    Two threads read ahead: of each of two parts one row group as it is sealed, and one batch of it decoded.
    """

    readers = 2 if len(manifest.data_parts) == 1 and splits(types) else 1  # several parts are read side by side anyway

    def tables(part: Part) -> Tables:
        with opened_part(opener(part.name), part, kms, readers) as opened:
            yield from opened.read(names, types)

    with ThreadPoolExecutor(2, "sls-open") as pool:
        waiting, done = iter(manifest.data_parts), 0
        running = deque(_Ahead(pool, tables(part)) for part in itertools.islice(waiting, 2))
        try:
            while running:
                table = running[0].take()
                if table is None:
                    running.popleft()
                    done += 1
                    if done % _PARTS_A_RELEASE == 0:  # else memory of the reading threads piles up
                        pa.default_memory_pool().release_unused()
                    running.extend(_Ahead(pool, tables(part)) for part in itertools.islice(waiting, 1))
                else:
                    yield table
        finally:
            for ahead in running:
                ahead.close()


class _Ahead:
    """The tables of one part; the next one is fetched and decrypted while the last one is used."""

    def __init__(self, pool: ThreadPoolExecutor, tables: Tables) -> None:
        self._pool, self._tables = pool, tables
        self._following = pool.submit(next, tables, None)

    def take(self) -> pa.Table | None:
        """The next table; ``None`` after the last one."""
        table = self._following.result()
        if table is not None:
            self._following = self._pool.submit(next, self._tables, None)
        return table

    def close(self) -> None:
        wait([self._following])
        self._tables.close()


def _no_columns(rows: int) -> pa.RecordBatch:
    """A table may have rows and no columns; Arrow keeps their number, Parquet does not."""
    return pa.record_batch([pa.nulls(rows)], names=["rows"]).select([])


def _is_dictionary(schema: pa.Schema, number: int) -> bool:
    return bool(pa.types.is_dictionary(schema.field(number).type))


def _dictionary(
    manifest: AssetManifest, kms: MasterKeys, schema: pa.Schema, number: int, opener: PartOpener
) -> pa.Array:
    """All values of a dictionary column, in their order."""
    field = value_field(schema.field(number))
    name = part_name(DICTIONARY, number)
    try:
        part = manifest.part(name)
    except UnknownName:
        raise MalformedDocument(f"The asset lacks the dictionary of column {field.name!r}.", expected=name) from None
    with opened_part(opener(name), part, kms) as opened:
        physical = physical_type(field.type)
        tables = list(opened.read([physical_name(number, field.name)], [physical]))
    chunks = [chunk for table in tables for chunk in table.column(0).chunks]
    values = pa.concat_arrays(chunks) if chunks else pa.array([], physical)
    return _restore(values, field.type, None)


def _restore(array: pa.Array, kind: pa.DataType, values: pa.Array | None) -> pa.Array:
    """A column as it went in; codes outside their dictionary are refused."""
    try:
        if values is not None:
            return pa.DictionaryArray.from_arrays(array, values, ordered=kind.ordered)
        return from_physical(array, kind)
    except FOREIGN_ERRORS as error:
        raise VerificationError(
            "A column does not have the type that was sealed.", found=type(error).__name__
        ) from None


def to_pandas(table: Any) -> pd.DataFrame:
    """The frame that was sealed, or the granted columns of it.

    Args:
        table: a reader from :func:`open_table`, or any Arrow table or stream with the same schema metadata.

    Index, labels and dtypes come back. An index column that is not among the columns gives way to the
    remaining levels, or to a RangeIndex. Arrow data that never was a frame is converted as pyarrow does, but for columns
    that it would change (:mod:`sls_jupyter.assets.plain_frame`).
    """
    from sls_jupyter.assets.frames import from_arrow

    if isinstance(table, pa.Table):
        return from_arrow(table)
    if not isinstance(table, pa.RecordBatchReader):  # a reader of ours keeps its errors only when it is read as it is
        table = pa.RecordBatchReader.from_stream(table)
    return from_arrow(table.read_all())


def open_code(manifest: AssetManifest, keys: Mapping[str, bytes], *, open_part: PartOpener) -> dict[str, bytes]:
    """The files of a code asset, by path.

    Raises:
        BadInput: the asset is a table.
        VerificationError, Unavailable: as :func:`open_table`.
    """
    if manifest.kind != "code":
        raise BadInput(f"The asset {manifest.name} is a table, not code.", hint="Open it with open_table.")
    files: dict[str, list[bytes]] = {}
    for batch in open_table(manifest, keys, columns=None, open_part=open_part):
        if batch.schema.names != CODE_SCHEMA.names:
            raise VerificationError("A code asset does not have the columns of code.", expected="path, chunk, bytes")
        for row in batch.to_pylist():
            chunks = files.setdefault(row["path"], [])
            if row["chunk"] != len(chunks):
                raise VerificationError("The chunks of a file in a code asset are not in their order.")
            chunks.append(row["bytes"])
    return {path: b"".join(chunks) for path, chunks in files.items()}

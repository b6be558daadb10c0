"""Sealing a table or code: parts first, the signed manifest last; a seal that fails leaves nothing behind."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from sls_jupyter.assets.columns import (
    Dictionaries,
    check_sealable,
    clean_schema,
    physical_name,
    physical_schema,
    physical_type,
    to_physical,
    value_field,
)
from sls_jupyter.assets.manifest import (
    DATA,
    DICTIONARY,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    AssetManifest,
    ColumnGroup,
    FileDigest,
    Part,
    part_name,
)
from sls_jupyter.assets.opening import CODE_SCHEMA, SCHEMA_KEY
from sls_jupyter.assets.part_keys import MASTER_KEY_BYTES
from sls_jupyter.assets.part_write import check_written, write_part
from sls_jupyter.assets.reopening import check_opens
from sls_jupyter.assets.sources import Source, open_source
from sls_jupyter.assets.storage import Folder, storage_error
from sls_jupyter.documents import Signer, b64encode, digest, sign
from sls_jupyter.errors import BadInput, SlsError, UnknownName, UnsealableData

ROWS_PER_PART = 1 << 20
ROW_GROUP_BYTES = 128 * 1024 * 1024  # Arrow bytes that are held before they are written
FIRST_ROWS = 1 << 12  # of the first row group
CODE_CHUNK_BYTES = 1024 * 1024
Progress = Callable[[int, int | None], None]  # rows sealed so far, rows in all when known
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")


@dataclass(frozen=True)
class SealedAsset:
    """What sealing gives: the manifest, its envelope, and the master keys, which the repr does not show."""

    manifest: AssetManifest
    envelope: bytes  # DSSE, signed by the owner
    keys: Mapping[str, bytes] = field(repr=False)  # key id to 32 bytes

    @property
    def digest(self) -> str:
        """The asset's identifier."""
        return self.manifest.digest


def seal(
    data: Any,
    *,
    name: str,
    owner: Signer,
    authority: str,
    authority_url: str,
    policy: str,
    storage: str,
    created_at: int,
    column_groups: Mapping[str, Sequence[str]] | None = None,
    confidential: bool = False,
    previous: str | None = None,
    rows_per_part: int = ROWS_PER_PART,
    progress: Progress | None = None,
) -> SealedAsset:
    """Seal a table into a new folder.

    Args:
        data: a pandas frame; anything with ``__arrow_c_stream__`` (polars, pyarrow, duckdb); the path of a file or
            folder that :mod:`.files` reads; or an iterable of ``pyarrow.RecordBatch``. Streams, files and
            iterables may be larger than memory; workbooks may not.
        authority: DID of the authority that will hold the keys; ``authority_url`` is where it answers.
        policy: digest of the owner's policy.
        storage: fsspec URL of a folder that does not exist yet.
        created_at: seconds since 1970-01-01 UTC.
        column_groups: group name to columns that share a key; each other column is a group of its own, so
            that a policy can grant every single column.
        confidential: keep the schema out of the manifest. Then the table has one key and is granted whole.
        rows_per_part: the most rows in one part, at least 1.
        progress: called after each row group, and while a file is looked at first, with 0 and the rows so far.

    Raises:
        UnsealableData: a column cannot be sealed without loss; nothing was written.
        BadInput: another argument is wrong; nothing was written.
        Unavailable: storage failed; what was written is removed again.
        Exception: whatever ``data`` or ``progress`` raises, after everything written was removed.
    """
    source = open_source(data, progress)
    schema = clean_schema(source.schema)
    check_sealable(schema)
    if confidential and column_groups:
        raise BadInput("A table with a confidential schema has one key; it cannot have column groups.")
    groups = _single_group("all") if confidential else _column_groups(schema.names, column_groups or {})
    fields = {
        "kind": "table", "name": name, "owner": owner.did, "authority": authority, "authority_url": authority_url,
        "policy": policy, "created_at": created_at, "previous": previous, "confidential": confidential,
        "files": None,
    }  # fmt: skip
    job = _Job(Folder(storage), Source(schema, source.batches, source.rows), groups, fields, rows_per_part, progress)
    return job.run(owner)


def seal_code(
    files: Mapping[str, bytes],
    *,
    name: str,
    owner: Signer,
    authority: str,
    authority_url: str,
    policy: str,
    storage: str,
    created_at: int,
    confidential: bool = False,
    previous: str | None = None,
    progress: Progress | None = None,
) -> SealedAsset:
    """Seal files, by relative POSIX path, as a table of path, chunk and bytes under one key.

    Args:
        confidential: the policy and the manifest say that reviewers may not read it; sealed it is either way.

    Raises:
        BadInput: no files, or a path that leads out of its folder.
        Unavailable: storage failed; what was written is removed again.
    """
    for path in files:
        pure = PurePosixPath(path)
        if not path or pure.is_absolute() or ".." in pure.parts or str(pure) != path or "\0" in path:
            raise BadInput("A file of a code asset needs a plain relative path.", found=repr(path)[:200])
    if not 1 <= len(files) <= MAX_FILES:
        raise BadInput(
            "A code asset needs at least one file.", found=f"{len(files)} files", expected=f"1 to {MAX_FILES}"
        )
    shown = [FileDigest(path=path, sha256=digest(files[path]), size=len(files[path])) for path in sorted(files)]
    groups = _single_group("code", () if confidential else tuple(sorted(CODE_SCHEMA.names)))
    fields = {
        "kind": "code", "name": name, "owner": owner.did, "authority": authority, "authority_url": authority_url,
        "policy": policy, "created_at": created_at, "previous": previous, "confidential": confidential,
        "files": None if confidential else tuple(shown),
    }  # fmt: skip
    source = Source(CODE_SCHEMA, _code_batches(files), None)
    return _Job(Folder(storage), source, groups, fields, ROWS_PER_PART, progress).run(owner)


def remove(asset: AssetManifest | str) -> None:
    """Delete the sealed parts and the manifest of an asset, named by its manifest or its storage URL.

    Only files of a sealed asset are deleted; a folder with others in it stays. Can be repeated.

    Raises:
        Unavailable: a file could not be deleted.
    """
    Folder(asset if isinstance(asset, str) else asset.storage).remove()


# --- groups and keys ------------------------------------------------------------------------------


def _single_group(name: str, columns: tuple[str, ...] = ()) -> tuple[ColumnGroup, ...]:
    return (ColumnGroup(name=name, key_id=secrets.token_hex(16), columns=columns),)


def _column_groups(names: list[str], chosen: Mapping[str, Sequence[str]]) -> tuple[ColumnGroup, ...]:
    """The owner's groups, and one for each column that is in none; sorted by name."""
    members = {group: sorted(columns) for group, columns in chosen.items()}
    grouped = [column for columns in members.values() for column in columns]
    if unknown := sorted(set(grouped) - set(names)):
        raise UnknownName(
            f"A column group names {unknown[0]!r}, which is not a column.", expected="one of: " + ", ".join(names)
        )
    if doubled := sorted({column for column in grouped if grouped.count(column) > 1}):
        raise BadInput(f"The column {doubled[0]!r} is in two groups.", hint="A column has one key, hence one group.")
    for group, columns in members.items():
        if not _NAME.match(group) or not columns:
            raise BadInput(
                "A column group needs a plain name and at least one column.",
                found=f"{group[:60]!r} with {len(columns)} columns",
                hint="For instance: --group identity=name,birthday",
            )
    for number, column in enumerate(names):
        if column not in grouped:
            group = column if _NAME.match(column) and column not in members else f"column_{number}"
            while group in members or (group != column and group in names):
                group += "_"
            members[group] = [column]
    return tuple(
        ColumnGroup(name=group, key_id=secrets.token_hex(16), columns=tuple(columns))
        for group, columns in sorted(members.items())
    )


# --- the job --------------------------------------------------------------------------------------


@dataclass
class _Job:
    """One seal, from the first byte to the manifest."""

    folder: Folder
    source: Source
    groups: tuple[ColumnGroup, ...]
    fields: dict[str, Any]  # of the manifest, known before anything is written
    rows_per_part: int
    progress: Progress | None

    def __post_init__(self) -> None:
        self.footer_key_id = secrets.token_hex(16)
        self.key_ids = (self.footer_key_id, *(group.key_id for group in self.groups))
        self.keys = {key_id: secrets.token_bytes(MASTER_KEY_BYTES) for key_id in self.key_ids}
        self.dictionaries = Dictionaries({})
        self.rows = 0
        self.parts: list[Part] = []
        by_column = {column: group.key_id for group in self.groups for column in group.columns}
        names = self.source.schema.names
        if self.fields["confidential"]:  # the manifest does not name the columns; the only group holds them all
            by_column = dict.fromkeys(names, self.groups[0].key_id)
        self.column_keys = {physical_name(i, name): by_column[name] for i, name in enumerate(names)}

    def run(self, owner: Signer) -> SealedAsset:
        if self.rows_per_part < 1:
            raise BadInput("A part holds at least one row.", found=f"rows_per_part={self.rows_per_part}")
        self._manifest()  # refuses bad arguments before anything is written
        self.folder.create()
        try:
            self._write_parts()
            manifest = self._manifest()
            envelope = sign(manifest, owner)
            if len(envelope) > MAX_MANIFEST_BYTES:
                raise BadInput(
                    "The manifest of this asset is too large.",
                    found=f"{len(envelope)} bytes for {len(self.parts)} parts and {len(self.groups)} column groups",
                    expected=f"{MAX_MANIFEST_BYTES} bytes at most",
                    hint="Use more rows_per_part, or put columns into groups.",
                )
            check_opens(manifest, self.keys, self.folder.open)
            self.folder.publish(envelope)
        except BaseException:
            with contextlib.suppress(SlsError):  # the first error is the one to report
                self.folder.remove()
            raise
        return SealedAsset(manifest, envelope, self.keys)

    def _manifest(self) -> AssetManifest:
        schema = None if self.fields["confidential"] else b64encode(self.source.schema.serialize().to_pybytes())
        try:
            return AssetManifest(
                **self.fields,
                storage=self.folder.url,
                arrow_schema=schema,
                rows=self.rows,
                parts=tuple(self.parts),
                footer_key_id=self.footer_key_id,
                groups=self.groups,
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "manifest"
            raise BadInput(f"An asset cannot have this {where}.", found=first["msg"]) from None

    def _write_parts(self) -> None:
        if not len(self.source.schema):
            self.rows = sum(batch.num_rows for batch in self.source.batches)
            return
        schema = physical_schema(self.source.schema)
        if self.fields["kind"] == "table" and self.fields["confidential"]:
            data = base64.b64encode(self.source.schema.serialize().to_pybytes())
            schema = schema.with_metadata({SCHEMA_KEY: data})
        groups = self._row_groups(schema)
        following: pa.Table | None = next(groups, schema.empty_table())
        while following is not None:
            before, first = self.rows, following
            tables = self._one_part(first, groups)
            self._write(part_name(DATA, len(self.parts)), schema, tables, self.column_keys)
            self.parts.append(self._check(part_name(DATA, len(self.parts)), self.rows - before, self.column_keys))
            following = next(groups, None)
        for number, column in enumerate(self.source.schema):
            if pa.types.is_dictionary(column.type):
                self._write_dictionary(number)

    def _one_part(self, first: pa.Table, groups: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """``first``, then row groups until the part is full. Row groups never cross the border of a part."""
        table: pa.Table | None = first
        while table is not None:
            yield table
            self.rows += table.num_rows
            if self.progress is not None:
                self.progress(self.rows, self.source.rows)
            table = next(groups, None) if self.rows % self.rows_per_part else None

    def _row_groups(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """The source's batches as physical tables of bounded size."""
        pending: list[pa.RecordBatch] = []
        rows = size = part_rows = 0
        for batch in self.source.batches:
            rest = self._physical(batch, schema)
            while rest.num_rows:
                room = self.rows_per_part - part_rows - rows
                if (
                    not self.rows and not part_rows
                ):  # a small one to begin with, which is opened before all is published
                    room = min(room, FIRST_ROWS - rows)
                taken = rest.slice(0, room)
                rest = rest.slice(taken.num_rows)
                pending.append(taken)
                rows, size = rows + taken.num_rows, size + taken.nbytes
                full = part_rows + rows == self.rows_per_part
                first = not self.rows and not part_rows and rows == FIRST_ROWS
                if full or first or size >= ROW_GROUP_BYTES:
                    yield pa.Table.from_batches(pending, schema=schema)
                    part_rows = 0 if full else part_rows + rows
                    pending, rows, size = [], 0, 0
        if pending:
            yield pa.Table.from_batches(pending, schema=schema)

    def _physical(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        arrays = []
        try:
            for number, (column, array) in enumerate(zip(batch.schema, batch.columns, strict=True)):
                if pa.types.is_dictionary(column.type):
                    arrays.append(self.dictionaries.codes(number, column.name, array))
                else:
                    arrays.append(to_physical(array))
            return pa.RecordBatch.from_arrays(arrays, schema=schema)
        except pa.ArrowException as error:  # its text may hold a value
            raise UnsealableData("The data does not fit its schema.", found=type(error).__name__) from None

    def _write_dictionary(self, number: int) -> None:
        """All values of a dictionary column, also unused ones, under the key of its group."""
        column = value_field(self.source.schema.field(number))
        physical = physical_name(number, column.name)
        schema = pa.schema([pa.field(physical, physical_type(column.type))])
        values = self.dictionaries.values.get(number)  # None: there was no batch
        table = schema.empty_table() if values is None else pa.Table.from_arrays([to_physical(values)], schema=schema)
        column_keys = {physical: self.column_keys[physical]}
        name = part_name(DICTIONARY, number)
        self._write(name, schema, iter([table]), column_keys)
        self.parts.append(self._check(name, table.num_rows, column_keys))

    def _write(self, name: str, schema: pa.Schema, tables: Iterator[pa.Table], column_keys: Mapping[str, str]) -> None:
        try:
            file = self.folder.open_new(name)
            write_part(file, schema, tables, keys=self.keys, footer_key_id=self.footer_key_id, column_keys=column_keys)
        except SlsError:
            raise
        except OSError as error:
            raise storage_error(error, self.folder.url) from None
        except pa.ArrowException as error:  # its text may hold a value
            raise UnsealableData("The data could not be written as Parquet.", found=type(error).__name__) from None

    def _check(self, name: str, rows: int, column_keys: Mapping[str, str]) -> Part:
        file = self.folder.open(name)
        return check_written(
            file, name, rows, keys=self.keys, footer_key_id=self.footer_key_id, column_keys=column_keys
        )


def _code_batches(files: Mapping[str, bytes]) -> Iterator[pa.RecordBatch]:
    for path in sorted(files):
        data = files[path]
        for chunk, start in enumerate(range(0, max(1, len(data)), CODE_CHUNK_BYTES)):
            row = {"path": [path], "chunk": [chunk], "bytes": [data[start : start + CODE_CHUNK_BYTES]]}
            yield pa.RecordBatch.from_pydict(row, schema=CODE_SCHEMA)

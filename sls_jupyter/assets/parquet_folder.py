"""A folder of Parquet files with one schema, as Spark, dask and pyarrow write it; ``key=value`` folders become columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from sls_jupyter.assets.parquet_file import open_parquet
from sls_jupyter.assets.source import Source
from sls_jupyter.errors import BadInput, UnsealableData

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
MAX_FILES = 100_000


@dataclass(frozen=True)
class _Piece:
    path: Path
    keys: dict[str, str | None]  # partition columns


def open_folder(folder: Path) -> Source:
    """The rows of all files, in the order of their paths; then a column for each key of the folders' names.

    Raises:
        BadInput: there is nothing to read, or a file that is not Parquet.
        UnsealableData: the files have not one schema.
    """
    pieces = _pieces(folder)
    schema, rows = _opened(pieces[0].path).schema, 0
    for piece in pieces:
        found = _opened(piece.path)
        plain = _plain(found.schema)
        if not plain.equals(_plain(schema)):
            raise _other_schema(piece.path, plain, pieces[0].path, _plain(schema))
        rows += found.rows or 0
    keys = _key_fields(pieces, schema)
    if keys:
        schema = pa.schema([*schema, *keys], metadata=schema.metadata)
    schema = schema.with_metadata(
        {k: v for k, v in (schema.metadata or {}).items() if k != b"pandas" or len(pieces) == 1}
    )
    return Source(schema, _batches(pieces, schema, keys), rows)


def _pieces(folder: Path) -> list[_Piece]:
    """The files below a folder, but for hidden ones (``_SUCCESS``, ``.crc``)."""
    pieces = []
    for path in sorted(folder.rglob("*")):
        steps = path.relative_to(folder).parts
        if path.is_dir() or any(step.startswith(("_", ".")) for step in steps):
            continue
        if path.suffix.lower() not in (".parquet", ".parq"):
            raise BadInput(
                f"The folder {folder.name} holds other files than Parquet.",
                found="/".join(steps)[-200:],
                expected="files whose names end in .parquet",
                hint="Move the file elsewhere, or seal files one by one.",
            )
        keys = [step.partition("=") for step in steps[:-1] if "=" in step]
        pieces.append(_Piece(path, {name: None if text == _NO_VALUE else unquote(text) for name, _, text in keys}))
    if not pieces or len(pieces) > MAX_FILES:
        raise BadInput(
            f"The folder {folder.name} holds no table.",
            found=f"{len(pieces)} Parquet files",
            expected=f"1 to {MAX_FILES} files whose names end in .parquet",
        )
    for piece in pieces:
        if list(piece.keys) != list(pieces[0].keys):
            raise BadInput(
                f"The folders below {folder.name} have different keys.",
                found=f"{', '.join(piece.keys) or 'none'} at {piece.path.name}",
                expected=", ".join(pieces[0].keys) or "none",
            )
    return pieces


def _opened(path: Path) -> Source:
    try:
        return open_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(f"The file {path.name} cannot be read as parquet.", found=type(error).__name__) from None


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.remove_metadata() for field in schema])


def _other_schema(path: Path, found: pa.Schema, first: Path, expected: pa.Schema) -> UnsealableData:
    names = sorted(set(found.names) ^ set(expected.names))
    column = names[0] if names else next(
        (one.name for one, two in zip(found, expected, strict=True) if not one.equals(two)), ""
    )  # fmt: skip
    there, here = (
        str(one.field(column).type)[:100] if one.names.count(column) == 1 else "no such column"
        for one in (expected, found)
    )
    return UnsealableData(
        f"The column {column!r} is not the same in all files of the folder.",
        found=f"{here} in {path.name}",
        expected=f"{there}, as in {first.name}",
        hint="Write all files with one schema, or seal them one by one.",
    )


def _key_fields(pieces: list[_Piece], schema: pa.Schema) -> list[pa.Field]:
    """The columns of the folders' names: int64 where every value is the plain spelling of one, else text."""
    fields = []
    for name in pieces[0].keys:
        if name in schema.names:
            raise UnsealableData(
                f"Two columns are named {name!r}.",
                found="one in the files, one in the folders' names",
                hint="Rename one of them; grants name columns, so a name must be unique.",
            )
        texts = {piece.keys[name] for piece in pieces} - {None}
        whole = bool(texts) and all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", str(text)) for text in texts)
        fields.append(pa.field(name, pa.int64() if whole else pa.string()))
    return fields


def _batches(pieces: list[_Piece], schema: pa.Schema, keys: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    for piece in pieces:
        for batch in _opened(piece.path).batches:
            columns = list(batch.columns)
            for field in keys:
                text = piece.keys[field.name]
                value = int(text) if text is not None and field.type == pa.int64() else text
                columns.append(pa.repeat(pa.scalar(value, field.type), batch.num_rows))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

"""What a run gave, as files of a folder: tables as Parquet, figures as what they are, text as text.

A table's file is the very table that left the group. ``pandas.read_parquet`` reads it; :func:`read_output` gives back
exactly what the cell had, also where Parquet's own words about frames cannot say it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.documents import b64decode
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, Unavailable
from sls_jupyter.guest.bundle import Result
from sls_jupyter.guest.values import SHAPES, restore

SHAPE_KEY = b"sls_shape"  # in a file's schema: what the cell had
_FIGURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_MARKUP = {"text/html": ".html", "text/latex": ".tex", "text/markdown": ".md"}


def write_outputs(folder: Path, result: Result) -> list[Path]:
    """Write everything into a new folder, whole or not at all.

    Args:
        folder: that does not exist, or is empty.

    Returns:
        The files: named outputs first, then what the cell showed, in its order.

    Raises:
        BadInput: something is there. Unavailable: it cannot be written there.
    """
    folder = folder.absolute()
    if _is_taken(folder):
        raise BadInput(
            "Something is there already; nothing is written over it.",
            found=str(folder),
            expected="a folder that does not exist yet, or is empty",
        )
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        scratch.mkdir(mode=0o700, parents=True)
        names = [*_write_named(scratch, result.tables), *_write_shown(scratch, result.events)]
        scratch.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return [folder / name for name in names]


def _is_taken(folder: Path) -> bool:
    try:
        return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "The outputs cannot be written.", found=f"{folder}: {error.strerror}"[:500], hint="Choose another folder."
    )


def read_output(path: str | Path) -> Any:
    """What the cell had, from a file that :func:`write_outputs` made of a table.

    Raises:
        BadInput: it cannot be read. MalformedDocument: it is not such a file.
    """
    path = Path(path)
    try:
        table = pa.ipc.open_file(path).read_all() if path.suffix == ".arrow" else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise BadInput("The file cannot be read.", found=f"{path}: {type(error).__name__}") from None
    metadata = dict(table.schema.metadata or {})
    shape = metadata.pop(SHAPE_KEY, b"").decode("ascii", "replace")
    if shape not in SHAPES:
        raise MalformedDocument("This is no output of a run.", found=str(path), hint="pandas.read_parquet reads it.")
    return restore(table.replace_schema_metadata(metadata), shape)


def _write_named(folder: Path, tables: Iterable[tuple[Mapping[str, Any], pa.Table]]) -> list[str]:
    names = []
    for about, table in tables:
        name, shape = str(about["name"]), str(about["shape"])
        if not name.isidentifier():  # a name of a file is never somebody else's choice
            raise MalformedDocument("A result has an output whose name is none.", found=ascii(name[:80]))
        if shape == "value":
            value = restore(table, shape)
            names.append(_put(folder, f"{name}.txt", (value if isinstance(value, str) else repr(value)).encode()))
        else:
            names.append(_put_table(folder, name, table, shape))
    return names


def _put(folder: Path, name: str, data: bytes) -> str:
    with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return name


def _put_table(folder: Path, name: str, table: pa.Table, shape: str) -> str:
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), SHAPE_KEY: shape.encode()})
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
        suffix = ".parquet"
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # a type that Parquet does not have
        sink, suffix = pa.BufferOutputStream(), ".arrow"
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return _put(folder, name + suffix, sink.getvalue())


def _write_shown(folder: Path, events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the cell showed; of a display that was updated its last state, in the place of the first."""
    text, names, places = list[str](), list[str](), dict[object, Mapping[str, Any]]()
    for number, event in enumerate(events):
        if event["type"] == "stream":
            text.append(str(event["text"]))
        elif event["type"] in ("display", "table"):
            place = event.get("display")
            places[number if place is None else f"display {place}"] = event
    for number, event in enumerate(places.values(), start=1):
        if event["type"] == "table":
            table = pa.ipc.open_stream(b64decode(event["table"])).read_all()
            names.append(_put_table(folder, f"shown-{number}", table, event["shape"]))
        else:
            names += _put_display(folder, number, event["data"], text)
    if text:
        names.append(_put(folder, "text.txt", "".join(text).encode()))
    return names


def _put_display(folder: Path, number: int, data: Mapping[str, Any], text: list[str]) -> list[str]:
    for kind, suffix in _FIGURES.items():
        if kind in data:
            said = str(data[kind])
            try:
                drawn = said.encode() if suffix == ".svg" else b64decode(said.replace("\n", ""))
            except SlsError:
                raise MalformedDocument("A figure is not of the expected form.", found=kind) from None
            return [_put(folder, f"figure-{number}{suffix}", drawn)]
    for kind, suffix in _MARKUP.items():
        if kind in data:
            return [_put(folder, f"shown-{number}{suffix}", str(data[kind]).encode())]
    text.append(f"{data.get('text/plain', '')}\n")
    return []

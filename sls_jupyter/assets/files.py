"""Files that can be sealed without being loaded, by their suffix; and folders of Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from sls_jupyter.assets.csv_file import CsvFile
from sls_jupyter.assets.json_file import JsonFile
from sls_jupyter.assets.parquet_file import open_parquet
from sls_jupyter.assets.parquet_folder import open_folder
from sls_jupyter.assets.source import Progress, Source, silent
from sls_jupyter.assets.workbook import WORKBOOKS
from sls_jupyter.errors import BadInput

_Opener = Callable[[Path, Progress], Source]
_UNREADABLE = (pa.ArrowException, OSError, ValueError, EOFError)


def open_file(path: Path, progress: Progress = silent) -> Source:
    """The table in a file or a folder; its first look at the data may take a while.

    Raises:
        BadInput: there is no such file, or none of a kind that is read.
        UnsealableData: naming what in it cannot be sealed.
        Unavailable: the disk failed, or a library is missing.
    """
    path = path.expanduser()
    if path.is_dir():
        return open_folder(path)
    if not path.is_file():
        raise BadInput("There is no such file.", found=path, hint="Check the path.")
    suffix, opener = _opener(path)
    try:
        return opener(path, progress)
    except _UNREADABLE as error:
        raise BadInput(
            f"The file {path.name} cannot be read as {suffix[1:]}.",
            found=getattr(error, "strerror", None) or type(error).__name__,
            hint="Check that it is complete and of the kind that its name says.",
        ) from None


def _opener(path: Path) -> tuple[str, _Opener]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    for length in (2, 1):
        suffix = "".join(suffixes[-length:])
        if suffix in _OPENERS:
            return suffix, _OPENERS[suffix]
    raise BadInput(
        "This kind of file cannot be sealed.",
        found=path.suffix or "no suffix",
        expected=SUFFIXES,
        hint="Read it with the library that knows it, and seal the frame.",
    )


def _csv(path: Path, progress: Progress, delimiter: str = ",") -> Source:
    file = CsvFile.examine(path, delimiter, progress)
    return Source(file.schema, file.batches(), file.rows)


def _tsv(path: Path, progress: Progress) -> Source:
    return _csv(path, progress, "\t")


def _json(path: Path, progress: Progress) -> Source:
    file = JsonFile.examine(path, progress)
    return Source(file.schema, file.batches(), file.rows)


def _parquet(path: Path, _: Progress) -> Source:
    return open_parquet(path)


def _ipc(path: Path, _: Progress) -> Source:
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return Source(stream.schema, iter(stream), None)
    return Source(file.schema, (file.get_batch(i) for i in range(file.num_record_batches)), None)


_OPENERS: dict[str, _Opener] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": _tsv,
    ".tsv.gz": _tsv,
    ".jsonl": _json,
    ".jsonl.gz": _json,
    ".ndjson": _json,
    ".ndjson.gz": _json,
    ".feather": _ipc,
    ".arrow": _ipc,
    ".ipc": _ipc,
}
SUFFIXES = ", ".join((*_OPENERS, *WORKBOOKS)) + ", or a folder of .parquet files"

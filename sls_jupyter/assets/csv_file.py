"""CSV files: what ``pandas.read_csv`` makes of them, decided on the whole file, read in blocks.

A file is read twice. The first pass looks at every value and decides each column's type; the second one gives the
batches. So a type never depends on how a file begins, and what cannot be read is refused before anything is written.

==================================================  ============================================
values of a column (missing ones apart)             type
==================================================  ============================================
integers within 64 bits                             int64, or uint64 where it takes one
numbers                                             float64, each the nearest one to its digits
``True``/``TRUE``/``true`` and their opposites      bool
none at all                                         float64 (null in a file without records)
anything else                                       text, as it stands
==================================================  ============================================

Three things differ from pandas. Integers of a column with missing values stay integers. Integers beyond 64 bits, and
those beyond 53 bits among other numbers, make the column text, so that no digit is lost. A record that has not as many
fields as the header, and a name that two columns have, is refused. Hexadecimal numbers, thousands' separators and dates
are text, as in pandas; leading zeros of integers go, as in pandas.
"""

from __future__ import annotations

import codecs
import csv as text_csv
import gzip
import io
import re
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from sls_jupyter.assets.source import Progress, silent
from sls_jupyter.errors import BadInput, Unavailable, UnsealableData

BLOCK_BYTES = 16 * 2**20  # read at a time; no record can be larger
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What is missing, in text as in numbers, quoted or not: the list of ``pandas.read_csv``."""
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
READ_ERRORS = (OSError, EOFError, zlib.error)
_EXACT = 2**53  # up to here every integer is a float64
_NUMBER = r"^\s*(?:\+([0-9.iI]\S*)|(-?[0-9.iI]\S*))\s*$"  # as pandas: blanks around, and a plus, do not matter
_WITH_PANDAS = "Read it with pandas.read_csv and seal the frame."


def open_bytes(path: Path) -> BinaryIO:
    """A file's bytes, decompressed if its name ends in ``.gz``."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose columns' names and types are known."""

    path: Path
    delimiter: str
    columns: tuple[_Column, ...]
    rows: int

    @classmethod
    def examine(cls, path: Path, delimiter: str, progress: Progress = silent) -> CsvFile:
        """The first pass.

        Raises:
            UnsealableData, BadInput: with the line or the column, and why. Unavailable: the disk failed.
        """
        names = _header(path, delimiter)
        columns, rows = tuple(_Column(name) for name in names), 0
        for batch in _texts(path, delimiter, names):
            rows += batch.num_rows
            progress(0, rows)
            for column, values in zip(columns, batch.columns, strict=True):
                column.look(values.drop_null())
        return cls(path, delimiter, columns, rows)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(column.name, column.type(self.rows)) for column in self.columns])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The second pass.

        Raises:
            UnsealableData: the file is another one than in the first pass.
        """
        if not self.rows:
            return
        schema, seen = self.schema, 0
        kinds = [
            pa.string() if column.blanks else field.type for field, column in zip(schema, self.columns, strict=True)
        ]
        with open_bytes(self.path) as file:
            for batch in _records(_Blocks(file), self.delimiter, self.path.name, schema.names, kinds):
                arrays = [
                    array if array.type == field.type else _trimmed(array).cast(field.type)
                    for array, field in zip(batch.columns, schema, strict=True)
                ]
                seen += batch.num_rows
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        if seen != self.rows:
            raise UnsealableData(
                f"The file {self.path.name} changed while it was read.",
                found=f"{seen} records",
                expected=f"{self.rows} records",
            )


@dataclass
class _Column:
    """What the values of a column, seen so far, can all be."""

    name: str
    seen: bool = False
    signed: bool = True  # an int64
    unsigned: bool = True  # a uint64
    floating: bool = True
    logical: bool = True
    long: bool = False  # there is an integer that a float64 may not hold
    blanks: bool = False  # some number has blanks around it, or a plus

    def type(self, rows: int) -> pa.DataType:
        if not self.seen:
            return pa.float64() if rows else pa.null()
        if self.signed or self.unsigned:
            return pa.int64() if self.signed else pa.uint64()
        if self.floating and not self.long:
            return pa.float64()
        return pa.bool_() if self.logical else pa.string()

    def look(self, values: pa.Array) -> None:
        """Take note of some more values, none of them null."""
        if not len(values):
            return
        self.seen = True
        self.logical = self.logical and pc.all(pc.is_in(values, pa.array(TRUE + FALSE))).as_py()
        if self.floating:
            self._look_at_numbers(values)

    def _look_at_numbers(self, values: pa.Array) -> None:
        if _read(values, pa.int64()) is None and _read(values, pa.float64()) is None:
            trimmed = _trimmed(values)
            self.blanks, values = self.blanks or not trimmed.equals(values), trimmed
        whole = _read(values, pa.int64())
        if whole is not None:
            least, most = pc.min_max(whole).as_py().values()
            self.unsigned = self.unsigned and least >= 0
            self.long = self.long or max(-least, most) > _EXACT
            if pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py():
                self.signed = self.unsigned = self.floating = False  # hexadecimal: Arrow takes it for a number
            return
        self.signed = False
        self.unsigned = self.unsigned and _read(values, pa.uint64()) is not None
        if self.unsigned:
            self.long = True
        else:
            self._look_at_floats(values)

    def _look_at_floats(self, values: pa.Array) -> None:
        numbers = _read(values, pa.float64())
        if numbers is None or pc.any(pc.is_nan(numbers)).as_py():
            self.floating = False
            return
        beyond = values.filter(pc.is_inf(numbers))
        self.floating = not len(beyond) or bool(pc.all(pc.match_substring_regex(beyond, "(?i)inf")).as_py())
        large = values.filter(pc.greater_equal(pc.abs(numbers), _EXACT))
        self.long = self.long or bool(pc.any(pc.match_substring_regex(large, r"^[+-]?[0-9]+$")).as_py())


def _read(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def _trimmed(values: pa.Array) -> pa.Array:
    """Numbers without blanks and without a plus; other texts as they are."""
    return pc.replace_substring_regex(values, _NUMBER, r"\1\2")


# --- the header -----------------------------------------------------------------------------------


def _header(path: Path, delimiter: str) -> list[str]:
    """The columns' names; one that is empty is named by its number, as pandas does it."""
    with open_bytes(path) as file:
        start = file.read(BLOCK_BYTES)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:4096]:
        raise _encoding(path.name, "UTF-16")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        raise _encoding(path.name, f"other bytes in line {_lines(start[: error.start])}") from None
    try:
        reader = text_csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        names = next((record for record in reader if any(record) or len(record) > 1), None)
    except text_csv.Error as error:
        raise UnsealableData(f"The header of {path.name} cannot be read.", found=str(error)) from None
    if names is None:
        raise BadInput(f"The file {path.name} is empty.", expected="a line with the columns' names")
    names = [name or f"Unnamed: {number}" for number, name in enumerate(names)]
    if doubled := [name for number, name in enumerate(names) if name in names[:number]]:
        raise UnsealableData(
            f"Two columns of {path.name} are named {doubled[0]!r}.",
            hint=f"Rename one of them; grants name columns, so a name must be unique. Or: {_WITH_PANDAS}",
        )
    return names


def _lines(data: bytes) -> int:
    return 1 + max(data.count(b"\n"), data.count(b"\r"))


def _encoding(name: str, found: str, column: str = "") -> UnsealableData:
    what = f"The column {column!r} of {name}" if column else f"The file {name}"
    return UnsealableData(
        f"{what} is not UTF-8 text.",
        found=found,
        expected="the encoding UTF-8",
        hint="Name its encoding: pandas.read_csv(path, encoding='latin-1'), 'cp1252' or 'utf-16'; then seal the frame.",
    )


# --- the records ----------------------------------------------------------------------------------


class _Blocks(io.RawIOBase):
    """A file as pyarrow can read it in blocks.

    No block ends with a carriage return, or pyarrow drops the line feed that begins the next one, within quotes too. Behind
    the end comes ``last``: a record by which is seen that no quotation swallowed the end.
    """

    def __init__(self, file: BinaryIO, last: bytes = b"\n") -> None:
        self._file, self._last, self._held = file, last, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._held + self._file.read(max(size - len(self._held), 1))
        self._held = b""
        if len(data) < size:  # or pyarrow takes the end of a short file for a block of its own
            data, self._last = data + self._last, b""
        elif data.endswith(b"\r"):
            kept = data.rstrip(b"\r")
            data, self._held = (kept, data[len(kept) :]) if kept else (data, b"")
        return data


def _texts(path: Path, delimiter: str, names: list[str]) -> Iterator[pa.RecordBatch]:
    """All records as text, missing values apart."""
    mark = "end-" + secrets.token_hex(16)
    last = "\n" + delimiter.join([mark, *[""] * (len(names) - 1)]) + "\n"
    held: pa.RecordBatch | None = None
    with open_bytes(path) as file:
        kinds = [pa.string()] * len(names)
        for batch in _records(_Blocks(file, last.encode()), delimiter, path.name, names, kinds):
            if held is not None:
                yield held
            held = batch if batch.num_rows else held
    if held is None or held.column(0)[-1].as_py() != mark:
        raise UnsealableData(
            f"The file {path.name} ends within quotes.",
            found="a quotation that is not closed",
            hint=f"Close it, or double the quotation mark within the text. {_WITH_PANDAS}",
        )
    yield held.slice(0, held.num_rows - 1)


def _records(
    file: _Blocks, delimiter: str, name: str, names: list[str], kinds: list[pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """The records below the header, as columns of ``kinds``. Arrow's errors become ours, without a value."""
    odd: list[tuple[int, int | None]] = []  # fields, record

    def refuse(row: Any) -> str:
        odd.append((row.actual_columns, row.number))
        return "error"

    numbers = [str(number) for number in range(len(names))]
    try:
        reader = csv.open_csv(
            pa.PythonFile(file, "r"),
            csv.ReadOptions(block_size=BLOCK_BYTES, column_names=numbers, skip_rows_after_names=1, use_threads=False),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse),
            csv.ConvertOptions(
                column_types=dict(zip(numbers, kinds, strict=True)),
                null_values=MISSING,
                true_values=TRUE,
                false_values=FALSE,
                strings_can_be_null=True,
            ),
        )
        yield from reader
    except pa.ArrowException as error:
        raise _refusal(str(error), name, names, odd) from None
    except READ_ERRORS as error:
        raise Unavailable(f"The file {name} could not be read to its end.", found=type(error).__name__) from None


def _refusal(text: str, name: str, names: list[str], odd: list[tuple[int, int | None]]) -> UnsealableData:
    """What is wrong with a file; ``text`` is Arrow's and may hold values."""
    if odd:
        fields, record = odd[0]
        return UnsealableData(
            f"A record of {name} has not as many fields as the header.",
            found=f"{fields} fields" + (f" in record {record}" if record else ""),
            expected=f"{len(names)} fields",
            hint=f"Mend the line; a field with a separator or a line break needs quotes. Or: {_WITH_PANDAS}",
        )
    if "straddling" in text or "block" in text:
        return UnsealableData(
            f"A record of {name} is too long, or a quotation in it is not closed.",
            found=f"more than {BLOCK_BYTES} bytes without the end of a line",
            hint=f"Close the quotation, or double the quotation mark within the text. {_WITH_PANDAS}",
        )
    number = re.search(r"column #(\d+)", text)
    column = names[int(number[1])] if number and int(number[1]) < len(names) else ""
    if "UTF8" in text:
        return _encoding(name, "other bytes", column)
    what = f"The column {column!r} of {name}" if column else f"The file {name}"
    return UnsealableData(f"{what} cannot be read.", found="another content than when it was looked at first")

"""Tables of other libraries: what their way to Arrow would change is refused by column; their errors become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sls_jupyter.assets.arrow_input import lossy
from sls_jupyter.errors import BadInput, SlsError, UnsealableData

_DUCKDB_CHANGES = {
    "TIME WITH TIME ZONE": "Cast it to TIME, or to VARCHAR, which keeps the zone.",
    "UHUGEINT": "Cast it to HUGEINT, or to VARCHAR.",
    "BIGNUM": "Cast it to DECIMAL or VARCHAR.",
    "VARINT": "Cast it to DECIMAL or VARCHAR.",
    "BIT": "Cast it to VARCHAR.",
}
"""Types of duckdb whose values are others, or lose a part, in Arrow."""


def library(data: Any) -> str:
    """The library that a value's type comes from."""
    return type(data).__module__.partition(".")[0].lstrip("_")


def require_exact_types(data: Any) -> None:
    """Refuse columns that a library hands to Arrow as something else.

    Raises:
        UnsealableData: naming the column, its type and a cast.
    """
    if library(data) == "polars":
        for name, kind in getattr(data, "schema", {}).items():
            if _holds_objects(kind):
                raise lossy(
                    name, f"type {kind}, Python objects that only polars can hold", "Cast it to text or numbers."
                )
    if library(data) == "duckdb":
        for name, kind in zip(getattr(data, "columns", ()), getattr(data, "types", ()), strict=False):
            for odd, way_out in _DUCKDB_CHANGES.items():
                if re.search(rf"(?<![A-Z]){odd}(?![A-Z])", re.sub(r'"[^"]*"|\'[^\']*\'', "", str(kind))):
                    raise lossy(name, f"type {kind}"[:200] + ", which is another one in Arrow", way_out)


def _holds_objects(kind: Any) -> bool:
    if type(kind).__name__ in ("Object", "Unknown") or getattr(kind, "__name__", "") in ("Object", "Unknown"):
        return True
    inner = [getattr(kind, "inner", None), *(field.dtype for field in getattr(kind, "fields", ()))]
    return any(_holds_objects(one) for one in inner if one is not None)


def open_stream(data: Any) -> pa.RecordBatchReader:
    """The reader of anything with ``__arrow_c_stream__``; a lazy query may run now.

    Raises:
        BadInput: it is one column, not a table.
        UnsealableData: a column has no type in Arrow, or the library failed.
    """
    if isinstance(data, pa.RecordBatchReader):
        return data  # as it is: through the C interface errors of the caller's generator lose their type
    try:
        require_exact_types(data)
        return pa.RecordBatchReader.from_stream(data)
    except SlsError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a foreign library raises)
        if "non-struct type" in str(error):
            raise not_a_table(data) from None
        raise _blame_column(data, error) from None


def not_a_table(data: Any) -> BadInput:
    """The refusal of what has no columns with names."""
    return BadInput(
        "This cannot be sealed.",
        found=f"{library(data)}.{type(data).__name__}".removeprefix("builtins."),
        expected="a DataFrame, an Arrow table or stream, a path, or an iterable of record batches",
        hint="A Series: use .to_frame(). An array: make a DataFrame of it. A lazy frame: use .collect().",
    )


def read_stream(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Its batches. Errors of the library below become ours; those of the caller's own generator stay theirs."""
    try:
        yield from reader
    except (pa.ArrowException, OSError) as error:
        raise _failed(error) from None
    except Exception as error:
        if library(error) in ("polars", "duckdb", "pyarrow", "pandas"):
            raise _failed(error) from None
        raise


def _failed(error: Exception) -> UnsealableData:
    """A library's error, by its kind: the rest of its text may hold values."""
    return UnsealableData(
        "The library that makes this table could not read it to its end.",
        found=kind_of(error),
        hint="Run the query by itself, for instance into a table, and seal that.",
    )


def kind_of(error: Exception) -> str:
    """``Conversion Error`` of duckdb's text, else the name of the class."""
    kind = re.match(r"[A-Z][A-Za-z -]{2,40} Error(?=:)", str(error))
    return kind[0] if kind else type(error).__name__


def _blame_column(data: Any, error: Exception) -> UnsealableData:
    """Name the column whose type Arrow does not have, where the library lets us ask for one at a time."""
    for name in getattr(data, "columns", ()) if library(data) in ("polars", "pyarrow") else ():
        try:
            pa.RecordBatchReader.from_stream(data.select([name]))
        except Exception:  # noqa: BLE001  (whatever a foreign library raises, this is the column)
            return lossy(
                str(name),
                f"a type that Arrow does not have ({type(error).__name__})",
                "Cast it to a smaller number, a decimal or text.",
            )
    return UnsealableData(
        "This table cannot be read as Arrow data.",
        found=kind_of(error),
        hint="Run it by itself first; or make a table of pyarrow or a DataFrame, and seal that.",
    )

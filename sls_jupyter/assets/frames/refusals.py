"""How a frame is refused: by column, index level or labels, with row, what was found, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from sls_jupyter.errors import UnsealableData

CONVERT = "Convert the column to a type that Arrow has, or leave it out."
MIXED = "It mixes kinds of values: convert it to one kind, for instance with .astype(str)."
ONE_MISSING = "Make them one: column.where(column.notna(), None)"
CONVERSION_ERRORS = (
    pa.ArrowException,
    TypeError,
    ValueError,
    OverflowError,
    AttributeError,
    KeyError,
    NotImplementedError,
)


class Inexact(Exception):  # internal; becomes an UnsealableData that names the column
    """Values that would not come back as they are. Its words hold no value."""

    def __init__(self, found: str, hint: str = CONVERT) -> None:
        super().__init__(found)
        self.found, self.hint = found, hint


def refused(where: str, error: Inexact, row: int | None = None) -> UnsealableData:
    """``where`` names what is refused: "column 'x'", "index level 'x'" or "column labels"."""
    found = error.found if row is None else f"{error.found}, first in row {row} (counted from 0)"
    verb = "cannot" if where != "column labels" else "of this frame cannot"
    return UnsealableData(f"The {where} {verb} be sealed without loss.", found=found, hint=error.hint)


def first_refused_row(values: Sequence[Any], convert: Callable[[Sequence[Any]], object]) -> int | None:
    """The row with which a column begins to be refused: the end of the shortest beginning that ``convert`` refuses."""
    good, bad = 0, len(values)
    while good + 1 < bad:
        middle = (good + bad) // 2
        try:
            convert(values[:middle])
            good = middle
        except (Inexact, *CONVERSION_ERRORS):
            bad = middle
    return bad - 1 if bad else None

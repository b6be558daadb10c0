"""What the program says of itself, cut to what it may say.

The output container reads the program's sockets. Every field that it passes on is a way out past the
gate, and every length a way to fill its memory; so fields are taken from closed lists, and bytes are
counted before they are read.
"""

from __future__ import annotations

import builtins
from collections import Counter
from typing import Any, BinaryIO

from sls_jupyter.errors import SlsError
from sls_jupyter.guest.wire import ByteFile

LIMITS = ("processes", "memory", "cpu", "time")  # that the supervisor watches
_TYPES = {  # of values that people try to return; another name could be chosen to tell something
    *(
        "Axes",
        "Categorical",
        "DataFrame",
        "DataFrameGroupBy",
        "DatetimeIndex",
        "Figure",
        "GroupBy",
        "Index",
        "LazyFrame",
    ),
    *("MultiIndex", "NAType", "NaTType", "NoneType", "RangeIndex", "Series", "SeriesGroupBy", "Table", "Timedelta"),
    *("Timestamp", "function", "module", "ndarray"),
}


class TooMuch(SlsError):
    """The program sends more than the run may give out, whatever the gate would have let through."""


def type_name(value: object) -> str:
    """The name of a type if it is a known one, ``object`` otherwise."""
    name = value if isinstance(value, str) else ""
    known = name in _TYPES or isinstance(getattr(builtins, name, None), type)
    return name if known else "object"


def limit_name(value: object) -> str:
    """The limit that the supervisor names; an unknown one is ``time``."""
    return value if isinstance(value, str) and value in LIMITS else "time"


def exit_code(value: object) -> int | None:
    """An exit code or a negative signal number; ``None`` for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -64 <= value <= 255 else None


class Once:
    """Tells each word of a growing count once, so that counting is not a way to speak."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def news(self, counts: Counter[str]) -> dict[str, int]:
        """The counts of words that were not told before."""
        fresh = {word: count for word, count in counts.items() if word not in self._told}
        self._told |= fresh.keys()
        return fresh


class Budget:
    """Bytes that the program may still send, over all its sockets.

    Raises:
        TooMuch: by :meth:`take`, when they are used up.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed, self._left = allowed, allowed

    def renew(self) -> None:
        """Another cell begins, or one has ended."""
        self._left = self._allowed

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooMuch("The program sends too much.", expected=f"{self._allowed} bytes at most")


class CountedFile:
    """A socket's file for reading, whose bytes are taken from a budget before memory is made for them.

    It has what pyarrow needs of a file, and hands on what it is asked for and not a byte more, because
    messages follow the table on the same socket.
    """

    def __init__(self, file: ByteFile | BinaryIO, budget: Budget) -> None:
        self._file, self._budget = file, budget
        self.closed = False

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> Any:
        if size < 0:
            raise TooMuch("A table of the program has no end.")
        self._budget.take(size)
        return self._file.read(size)

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        self.closed = True

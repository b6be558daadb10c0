"""What was counted: every value that a reduction over a number of records gave, and over how many.

An owner's ``--min-group`` needs to know how many records stand behind each value of a result. Objects change on
their way (sorted, unstacked, merged, written into another frame), so a note on an object is lost or lies. A
value does not change by being moved. So reductions write *cells* here: the value, the number of records, and
the keys of its group. A table is judged by its content: each of its values has to be such a cell, or a key of
the group whose cells stand beside it (``docs/decisions/0016-…``).

This is the program's own word. It protects against an honest cell's small groups, not against a
hostile cell: that is what review of the code is for (``docs/threat-model.md``).
"""

from __future__ import annotations

import ast
import datetime as dt
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Number
from typing import Any

import pandas as pd

MAX_CELLS = 300_000  # of one run; what is counted after that is not noted
MAX_LIKELY = 200  # cells of one value that are looked at where no label tells which it is
MARK = "sls.counted"  # in attrs of what reductions returned; pandas hands it on
MISSING = ("missing",)
COLUMN = ("column",)  # the name of the key that a reduction of whole columns has: their labels

Token = Hashable
Key = tuple[Any, Token]  # name of a grouping key, value


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One value that was counted. Two groups may give equal values: each is a cell of its own."""

    size: int  # records behind it
    keys: frozenset[Key] = frozenset()  # of its group; none for a reduction over a whole column
    column: frozenset[Token] = frozenset()  # labels of the column it came from
    times: int = 1  # rows of one table that have this value and that nothing tells apart; of cells without keys


class Uncounted(Exception):  # internal; its words are made in groups.py
    """A table shows something that no group of a known size stands behind."""

    def __init__(self, why: str, where: Sequence[object] = ()) -> None:
        super().__init__(why)
        self.why = why
        self.where = tuple(str(one) for one in where)


def token(value: Any) -> Token:
    """A value in the form in which equal ones are found: 30 and 30.0 are one, True and 1 are not."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool):
        return ("bool", value)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    try:
        hash(value)
    except TypeError:
        return ("unhashable", id(value))
    return value  # type: ignore[no-any-return]


def tokens(values: Any) -> list[Token]:
    """The tokens of a Series or an Index."""
    return [token(value) for value in values.astype(object).tolist()]


def is_number(value: Any) -> bool:
    """Whether a reduction's result is a number or a time; a sum of texts is all of them."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    missing = plain is None or plain is pd.NA
    return missing or isinstance(plain, Number | Decimal | dt.datetime | dt.timedelta | pd.Period)


def parts(label: Any) -> tuple[Any, ...]:
    """The parts of a label, which is a tuple where labels have levels."""
    return label if isinstance(label, tuple) else (label,)


def spellings(key: Token) -> set[Token]:
    """What a key may be called in a result."""
    found = {key, str(key)}
    if isinstance(key, tuple) and len(key) == 2 and key[0] == "bool":
        found |= {str(key[1]), int(bool(key[1]))}
    if isinstance(key, str):
        found |= {key.lower(), key.upper(), key.title(), key.capitalize(), key.strip()}
    if isinstance(key, float) and key.is_integer():
        found.add(str(int(key)))
    if isinstance(key, pd.Interval):
        found |= {token(key.left), token(key.right), token(key.mid)}
    if isinstance(key, pd.Period):
        found |= {key.start_time, key.end_time}
    if isinstance(key, pd.Timestamp):
        found |= {key.date(), str(key.date()), key.year, key.strftime("%Y-%m"), key.isoformat()}
    return found


@dataclass(slots=True)
class Ledger:
    """All that was counted in this process."""

    cells: dict[Token, list[Cell]] = field(default_factory=dict)
    by_key: dict[tuple[Token, Token], list[Cell]] = field(default_factory=dict)  # value and one of its keys
    labels: dict[Token, set[Token]] = field(default_factory=dict)  # what a key may be called, to the keys
    key_sizes: dict[Token, int] = field(default_factory=dict)  # the largest group of each key
    keys: set[Token] = field(default_factory=set)  # of groups; the other keys are labels of columns
    columns: set[Token] = field(default_factory=set)  # labels of columns that were counted
    key_names: set[Any] = field(default_factory=set)
    constants: set[str] = field(default_factory=lambda: {"All"})  # texts of the code, known before the data; a margin
    numbers: set[Token] = field(default_factory=set)  # and its numbers
    singles: set[Token] = field(default_factory=set)  # what one record has, taken out of a column
    count: int = 0  # of cells
    longest: int = 0  # rows of a table

    # --- writing ------------------------------------------------------------------------------------

    def read_code(self, cell: str) -> None:
        """Texts and numbers that stand in a cell's code name nothing that is in the data."""
        try:
            tree = ast.parse(cell)
        except (SyntaxError, ValueError, RecursionError):  # magics; then it has no labels of its own
            tree = ast.parse("")
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.constants.add(node.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
                self.numbers.add(token(node.value))

    def note(self, value: Any, cell: Cell) -> None:
        """One value."""
        if self.count < MAX_CELLS:
            self.count += 1
            value = token(value)
            if not cell.keys:  # of the same column, most likely
                known = self.cells.get(value, [])
                for place, one in enumerate(known):
                    if not one.keys and (cell.size, cell.column) == (one.size, one.column):
                        known[place] = cell if cell.times > one.times else one
                        return
            self.cells.setdefault(value, []).append(cell)
            for _, key in cell.keys:
                self.by_key.setdefault((value, key), []).append(cell)

    def note_key(self, name: Any, value: Any, size: int) -> None:
        """A key of a grouping, and the size of one of its groups."""
        key = token(value)
        self.key_names.add(name)
        if name != COLUMN:
            self.keys.add(key)
        for spelling in spellings(key) if key not in self.key_sizes else ():
            self.labels.setdefault(spelling, set()).add(key)
        self.key_sizes[key] = max(size, self.key_sizes.get(key, 0))

    def note_spelling(self, value: Any, origins: Iterable[Token]) -> None:
        """``value`` is made of nothing but one of the keys ``origins``."""
        self.labels.setdefault(token(value), set()).update(origins)

    def note_table(self, result: Any, cells: Sequence[Sequence[Cell | None]]) -> None:
        """A frame or Series, with the cells of each column; ``None`` where nothing is known."""
        columns = [result.iloc[:, i] for i in range(result.shape[1])] if result.ndim == 2 else [result]
        for column, known in zip(columns, cells, strict=True):
            values = tokens(column)
            alike = Counter(
                (value, cell.size, cell.column)
                for value, cell in zip(values, known, strict=True)
                if cell is not None and not cell.keys
            )
            for value, cell in zip(values, known, strict=True):
                if cell is not None:
                    times = 1 if cell.keys else alike[value, cell.size, cell.column]
                    self.note(value, cell if times == cell.times else replace(cell, times=times))
                    self.columns |= cell.column
        self.longest = max(self.longest, len(result))
        result.attrs[MARK] = True

    def note_single(self, value: Any) -> None:
        """A number that is one record's, or may be."""
        one = token(value)
        if isinstance(one, Number) and one not in self.cells and len(self.singles) < MAX_CELLS:
            self.singles.add(one)

    # --- reading ------------------------------------------------------------------------------------

    def is_free(self, value: Token) -> bool:
        """A text of the code that is no key as well; it may stand beside any group."""
        keys = self.labels.get(value, set())
        return value is MISSING or (isinstance(value, str) and value in self.constants and not keys & self.keys)

    def origins(self, value: Token) -> set[Token] | None:
        """The keys that a label may stand for; empty for a text of the code, ``None`` for an unknown one."""
        known = self.labels.get(value)
        if known is not None:
            return known
        if value in self.columns:
            return {value}
        if value is MISSING:
            return set()
        return set() if isinstance(value, str) and value in self.constants else None

    def likely(self, value: Token, labels: frozenset[Token]) -> Sequence[Cell]:
        """The cells that a value may be, looked for by the labels beside it first."""
        near = [found for label in labels if (found := self.by_key.get((value, label)))]
        if near:
            few = [one for one in near if len(one) <= MAX_LIKELY] or [min(near, key=len)]
            return [*dict.fromkeys(cell for cells in few for cell in cells)]
        known = [*dict.fromkeys(self.cells.get(value, ()))]
        return sorted(known, key=lambda cell: cell.size)[:MAX_LIKELY]

    def can_hold(self, rows: int) -> bool:
        """Whether a table of so many rows may be one of groups: no cell comes twice."""
        return 0 < rows <= self.count


LEDGER = Ledger()

"""The code of a request beside that of an earlier one, line by line, as :mod:`sls_jupyter.notebook.listing` shows code.

Every line that came or went is there in full, or is counted as left out; lines that both have stand around it. What is not
seen is shown by its number on both sides, so two lines that look alike and differ do not look alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, Literal

from sls_jupyter.contract.proposal import CellText
from sls_jupyter.notebook.listing import Colours, Row, code_lines, rows_of_line, units_data
from sls_jupyter.notebook.words import count_words
from sls_jupyter.session.lines import Step, changes, whole_lines
from sls_jupyter.session.reviewing import CellStep

CONTEXT = 3  # lines around a change that both sides have
MAX_ROWS = 4_000  # of all that changed
MAX_CHARACTERS = 250_000  # in them
MAX_COLOURED = 500_000  # characters of all texts that these are of; what comes after has no colours

Sign = Literal[" ", "+", "-"]
_PLAIN = Colours("")


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One row on the screen. A line's number is 0 where the line is not there, or goes on from the row above."""

    sign: Sign
    before: int
    after: int
    units: tuple[dict[str, str], ...]  # (text, look) of its pieces
    heading: bool = False  # our own words about what follows, no line of the code


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed, with some lines around."""

    rows: tuple[DiffRow, ...]
    left_out: int  # lines that came, went or stand around, and are not shown, or not to their end


@dataclass(slots=True)
class _Side:
    """One text, cut into lines as Python cuts it."""

    code: str
    lines: list[tuple[int, str, str]] = field(init=False)
    colours: Colours | None = None  # once a row of it is shown

    def __post_init__(self) -> None:
        self.lines = list(code_lines(self.code))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of one side that is not drawn yet: most of a long text never is."""

    sign: Sign
    before: int  # its number there; 0: it is not there
    after: int
    side: _Side

    def rows(self) -> Iterator[tuple[Row, DiffRow]]:
        """Each row as it was laid out, and drawn."""
        number = self.before if self.sign == "-" else self.after
        for row in rows_of_line(number, self.side.lines[number - 1]):
            numbers = (self.before, self.after) if row.number else (0, 0)
            yield row, DiffRow(self.sign, *numbers, tuple(units_data(row.units, self.side.colours or _PLAIN)))


def diff_of(after: Sequence[CellText], before: Sequence[CellText], cells: Sequence[CellStep] = ()) -> Diff:
    """The code that differs between two requests.

    Args:
        after, before: every cell of each; of a run its one.
        cells: where the cells of two sessions differ; of runs nothing.
    """
    found = _of_session(after, before, cells) if cells else _of_text(after[-1].code, before[-1].code)
    rows, left, to_draw, to_colour = list[DiffRow](), 0, MAX_CHARACTERS, MAX_COLOURED
    for one in found:
        if len(rows) >= MAX_ROWS or to_draw <= 0:
            left += isinstance(one, _Line)
            continue
        if isinstance(one, DiffRow):
            rows.append(one)
            continue
        if one.side.colours is None:
            to_colour -= len(one.side.code)
            one.side.colours = Colours(one.side.code) if to_colour >= 0 else _PLAIN
        for row, drawn in one.rows():
            if len(rows) >= MAX_ROWS or to_draw <= 0:
                left += 1
                break
            rows.append(drawn)
            to_draw -= sum(len(unit.text) for unit in row.units)
    return Diff(tuple(rows), left)


def _of_session(
    after: Sequence[CellText], before: Sequence[CellText], cells: Sequence[CellStep]
) -> Iterator[_Line | DiffRow]:
    """Cell by cell, each below a heading."""
    for step in cells:
        for here, there in step.pairs:
            if after[here].code != before[there].code:
                yield _heading(f"cell {here + 1}" + (f", cell {there + 1} before" if here != there else ""))
                yield from _of_text(after[here].code, before[there].code)
        for there in step.gone:
            yield _heading(f"cell {there + 1} before, not there any more")
            yield from _of_text("", before[there].code)
        for here in step.came:
            yield _heading(f"cell {here + 1}, new")
            yield from _of_text(after[here].code, "")


def _heading(words: str) -> DiffRow:
    return DiffRow(" ", 0, 0, ({"text": words, "look": ""},), heading=True)


def _of_text(after: str, before: str) -> Iterator[_Line | DiffRow]:
    """The rows of one text beside another; nothing where they are the same."""
    if after == before:
        return
    new, old = _Side(after), _Side(before)
    steps = changes(whole_lines(after), whole_lines(before))
    shown = 0  # lines of before that were told
    for group in _grouped(steps):
        first = max(0, group[0][0] - CONTEXT)
        if first > shown:
            yield _heading(f"{count_words(first - shown, 'line')} the same")
        yield from _group(new, old, group)
        shown = min(len(old.lines), group[-1][1] + CONTEXT)
    if steps and shown < len(old.lines):
        yield _heading(f"{count_words(len(old.lines) - shown, 'line')} the same")


def _grouped(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Changes whose lines around meet are told together."""
    group = list(islice(steps, 1))
    for step, following in pairwise(steps):
        if following[0] - step[1] > 2 * CONTEXT:
            yield group
            group = []
        group.append(following)
    if group:
        yield group


def _group(new: _Side, old: _Side, group: Sequence[Step]) -> Iterator[_Line]:
    start, _, first, _ = group[0]
    lead = min(CONTEXT, start)
    there, here = start - lead, first - lead
    for start, end, first, last in group:
        yield from _same(new, range(there, start), here)
        yield from (_Line("-", place + 1, 0, old) for place in range(start, end))
        yield from (_Line("+", 0, place + 1, new) for place in range(first, last))
        there, here = end, last
    yield from _same(new, range(there, min(len(old.lines), there + CONTEXT)), here)


def _same(new: _Side, there: range, here: int) -> Iterator[_Line]:
    """Lines that both have; ``here`` is the place of the first in the new text."""
    for shift, place in enumerate(there):
        yield _Line(" ", place + 1, here + shift + 1, new)


def rows_data(rows: Sequence[DiffRow]) -> list[dict[str, Any]]:
    """The rows for a screen that draws them by itself."""
    return [
        {
            "sign": row.sign,
            "before": row.before,
            "after": row.after,
            "units": list(row.units),
            "heading": row.heading,
        }
        for row in rows
    ]

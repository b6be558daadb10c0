"""Code, line by line, as a reviewer has to see it: all of it, in order, with nothing that hides.

A line ends where Python ends it. Each has its number; one that is too long goes on below, with ``↪`` in place of the
number. What is not seen, moves other characters or looks like ASCII is shown by its number, tabs, line ends of other
systems and long runs of spaces in words; the brackets around such a mark are themselves shown by number where they stand
in the code, so no code can pretend to one. A lot of code is folded into parts, all of which are there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape as escape_html
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

from sls_jupyter.notebook.cards import Block, Warn, text_width
from sls_jupyter.notebook.letters import odd_names, odd_texts
from sls_jupyter.printing import Carrier, by_number, is_unseen

ROW_WIDTH = 88  # columns of code in a row
PART_ROWS = 400  # rows that are shown unfolded
MAX_SPACES = 24  # in a row, within a line; more are counted
MAX_ROWS = 30_000  # where the rest can be had elsewhere
MAX_CHARACTERS = 250_000  # that are shown in these
MAX_COLOURED = 100_000  # characters; more code than this is not coloured
MAX_WORD = 40  # characters of a word that a notice quotes
MAX_NOTICES = 20  # of one kind; the rest is counted
_REORDERING = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"})
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n)|([^\r\n]+)\Z")
_SEEN = rf"[!-~]+(?: {{1,{MAX_SPACES}}}[!-~]+)*"  # characters that are as they seem, in one piece
_PIECE = re.compile(rf" {{{MAX_SPACES + 1},}}| +\Z|({_SEEN})|.", re.DOTALL)
_PLAIN = re.compile(rf"(?!.* {{{MAX_SPACES + 1}}})(?!.* \Z)[ -~]{{0,{ROW_WIDTH}}}")


@dataclass(frozen=True, slots=True)
class Unit:
    """What stands for one character of the code, a run of spaces, or a row of characters that are as they seem."""

    text: str
    at: int  # its place in the code
    mark: bool = False  # these are our words, not the code's


@dataclass(frozen=True, slots=True)
class Row:
    """One row on the screen; ``number`` is that of the line it begins, or 0 where it goes on with it."""

    number: int
    units: tuple[Unit, ...]


def code_lines(code: str) -> Iterator[tuple[int, str, str]]:
    """(place, text, end) of each line, as Python counts lines: ``\\n``, ``\\r\\n`` and ``\\r`` end one, nothing else does."""
    for found in _LINE.finditer(code):
        yield found.start(), found[1] if found[3] is None else found[3], found[2] or ""


def rows_of(code: str, width: int = ROW_WIDTH) -> Iterator[Row]:
    """Every row of some code, each of at most ``width`` columns (a single mark may be longer)."""
    for number, line in enumerate(code_lines(code), start=1):
        yield from rows_of_line(number, line, width)


def rows_of_line(number: int, line: tuple[int, str, str], width: int = ROW_WIDTH) -> Iterator[Row]:
    """The rows of one line of :func:`code_lines`."""
    place, text, end = line
    if len(text) <= width and end in ("", "\n") and _PLAIN.fullmatch(text):  # most lines
        yield Row(number, (Unit(text, place),))
        return
    begun = False
    for units in _wrapped(_units(text, place, end), width):
        yield Row(0 if begun else number, units)
        begun = True


def _units(text: str, place: int, end: str = "") -> Iterator[Unit]:
    """What stands for a line and for its end, if that is another than ``\\n``."""
    carrier = Carrier()
    for found in _PIECE.finditer(text):
        piece, at = found[0], place + found.start()
        hidden = carrier.hides(piece[-1])
        if found[1] is not None:
            yield Unit(piece, at)
        elif piece[0] == " " and (len(piece) > MAX_SPACES or found.end() == len(text)):
            yield Unit(f"⟦{len(piece)} space{'s' if len(piece) > 1 else ''}⟧", at, mark=True)
        else:
            shown, mark = _shown(piece, hidden)
            yield Unit(shown, at, mark)
    if end.startswith("\r"):
        yield Unit(by_number("\r"), place + len(text), mark=True)


@lru_cache(maxsize=4096)
def _shown(one: str, hidden: bool) -> tuple[str, bool]:
    """A character as it is shown, and whether that is a mark of ours."""
    if one == "\t":
        return "⟦tab⟧", True
    if hidden or one in "⟦⟧" or unicodedata.bidirectional(one) in _REORDERING:
        return by_number(one), True
    if one.isascii() or unicodedata.category(one) in ("Lu", "Ll", "Lo", "Mn", "Mc", "Me"):
        return one, False
    # a sign outside ASCII is seen, but may look like a quotation mark, a bracket or an operator
    return one + by_number(one), True


def _wrapped(units: Iterable[Unit], width: int) -> Iterator[tuple[Unit, ...]]:
    row: list[Unit] = []
    filled = 0
    for unit in units:
        while not unit.mark and filled + len(unit.text) > width and len(unit.text) > 1:  # ASCII: a column each
            head, unit = unit.text[: width - filled], Unit(unit.text[width - filled :], unit.at + width - filled)
            yield (*row, *([Unit(head, unit.at - len(head))] if head else []))
            row, filled = [], 0
        size = _columns(unit.text)
        if filled + size > width and row:
            yield tuple(row)
            row, filled = [], 0
        row.append(unit)
        filled += size
    yield tuple(row)


@lru_cache(maxsize=4096)
def _columns(text: str) -> int:
    return len(text) + sum(unicodedata.east_asian_width(one) in "WF" for one in text)


# --- what a reader could overlook -----------------------------------------------------------------


def notices(code: str, rows: Sequence[Row]) -> list[str]:
    """Sentences about what a reader could take for something else, or overlook."""
    found = []
    if names := odd_names(code):
        found.append(f"Letters outside ASCII in names: {_listed(names, numbers=True)}.")
    if texts := odd_texts(code):
        found.append(f"Letters outside ASCII, accents aside, in strings or comments: {_listed(texts, numbers=False)}.")
    if lines := sorted({number for number, row in _numbered(rows) if any(map(_is_hidden, row.units))}):
        more = f" and {len(lines) - MAX_NOTICES} more" if len(lines) > MAX_NOTICES else ""
        shown = ", ".join(map(str, lines[:MAX_NOTICES]))
        found.append(f"Characters that are not seen, or move others, stand here by number: line {shown}{more}.")
    return found


def _is_hidden(unit: Unit) -> bool:
    return unit.mark and unit.text.startswith("⟦U+")


def _numbered(rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
    """Each row with the number of its line."""
    number = 0
    for row in rows:
        number = row.number or number
        yield number, row


def _listed(words: Sequence[tuple[int, str]], *, numbers: bool) -> str:
    parts, lines = [], dict[str, list[int]]()
    for line, word in dict.fromkeys(words):
        lines.setdefault(word, []).append(line)
    for word, where in list(lines.items())[:MAX_NOTICES]:
        shown = "".join(unit.text for unit in _units(word[:MAX_WORD], 0)) + "…" * (len(word) > MAX_WORD)
        outside = [_shown(one, is_unseen(one)) for one in dict.fromkeys(word[:MAX_WORD]) if not one.isascii()]
        letters = ", ".join(text if mark else f"{text} U+{ord(text):04X}" for text, mark in outside)
        folded = unicodedata.normalize("NFKC", word)
        same = f", to Python the same as {folded}" if numbers and folded != word and folded.isascii() else ""
        more = f" and {len(where) - MAX_NOTICES} more" if len(where) > MAX_NOTICES else ""
        place = f"line {', '.join(map(str, where[:MAX_NOTICES]))}{more}"
        parts.append(f"“{shown}” on {place}" + (f" ({letters}{same})" if numbers else ""))
    left = len(lines) - len(parts)
    return ", ".join(parts) + (f" and {left} more" if left > 0 else "")


# --- the block ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listing(Block):
    """Some code, all of it; or, with ``rest``, its first :data:`MAX_ROWS` rows of :data:`MAX_CHARACTERS`, if it has more.

    Args:
        rest: where the rest can be seen. A stranger's megabyte of line ends does not freeze a reader's screen.
    """

    code: str
    rest: str = ""
    exact: ClassVar[frozenset[str]] = frozenset({"code"})

    def _rows(self, width: int) -> tuple[list[Row], list[Warn]]:
        """The rows to show, with what has to be said above them."""
        rows, left = list[Row](), MAX_CHARACTERS
        for row in rows_of(self.code, width):
            if self.rest and (len(rows) == MAX_ROWS or left <= 0):
                break
            rows.append(row)
            left -= sum(len(unit.text) for unit in row.units)
        else:
            return rows, [Warn(words, "note") for words in notices(self.code, rows)]
        said = [Warn(words, "note") for words in notices(self.code, rows)]
        lines = sum(1 for _ in code_lines(self.code))
        words = f"NOT ALL OF IT: {lines:,} lines, {len(self.code):,} characters, of which the first {len(rows):,} rows are shown."
        return rows, [Warn(f"{words} {self.rest} Approve nothing that you have not read."), *said]

    def text(self) -> list[str]:
        rows, said = self._rows(max(20, min(ROW_WIDTH, text_width() - 12)))
        size, odd = _digits(rows), self._odd()
        lines = [f"{_gutter(row, odd, size)}{''.join(unit.text for unit in row.units)}".rstrip() for row in rows]
        return ["", *(line for one in said for line in one.text()), *(lines or ["(empty)"]), ""]

    def html(self) -> str:
        rows, said = self._rows(ROW_WIDTH)
        size, odd, colours = _digits(rows), self._odd(), Colours(self.code)
        above = "".join(f"{one.html()}\n" for one in said)
        parts = [rows[start : start + PART_ROWS] for start in range(0, len(rows), PART_ROWS)]
        if len(parts) < 2:
            return f"{above}{_pre(rows, odd, size, colours)}"
        last = max(row.number for row in rows)
        words = f"<p>{last:,} lines, folded into {len(parts)} parts: open each.</p>\n"
        return (
            above + words + "\n".join(_folded(part, odd, size, colours, first=not at) for at, part in enumerate(parts))
        )

    def data(self) -> dict[str, Any]:
        rows, said = self._rows(ROW_WIDTH)
        odd, colours = self._odd(), Colours(self.code)
        shown = [row_data(row, odd, colours) for row in rows]
        return {"kind": "listing", "notices": [one.data() for one in said], "rows": shown}

    def _odd(self) -> frozenset[int]:
        return frozenset(line for line, _ in (*odd_names(self.code), *odd_texts(self.code)))


def _digits(rows: Sequence[Row]) -> int:
    return len(str(max((row.number for row in rows), default=0)))


def _gutter(row: Row, odd: frozenset[int], size: int) -> str:
    if not row.number:
        return f"{'↪':>{size}}  │ "
    return f"{row.number:>{size}}{'!' if row.number in odd else ' '} │ "


def _pre(rows: Sequence[Row], odd: frozenset[int], size: int, colours: Colours) -> str:
    if not rows:
        return "<p>(empty)</p>"
    lines = []
    for row in rows:
        extra = " sls-odd" if row.number in odd else ""
        body = "".join(_spans(row.units, colours))
        lines.append(
            f'<span class="sls-row{extra}"><span class="sls-no">{_gutter(row, odd, size)}</span>{body}\n</span>'
        )
    return f'<pre class="sls-code">{"".join(lines)}</pre>'


def _folded(rows: Sequence[Row], odd: frozenset[int], size: int, colours: Colours, *, first: bool) -> str:
    numbers = [row.number for row in rows if row.number]
    words = f"lines {numbers[0]:,} to {numbers[-1]:,}" if numbers else "more of the same line"
    return f"<details{' open' if first else ''}><summary>{words}</summary>\n{_pre(rows, odd, size, colours)}</details>"


def _spans(units: Sequence[Unit], colours: Colours) -> Iterator[str]:
    """Markup of a row; neighbours of one look share a tag."""
    for look, run in groupby(_looks(units, colours), key=itemgetter(0)):
        text = escape_html("".join(text for _, text in run))
        yield f"<span {look}>{text}</span>" if look else text


def _looks(units: Sequence[Unit], colours: Colours) -> Iterator[tuple[str, str]]:
    """(attributes, text) of each character or mark."""
    for look, text in _named_looks(units, colours):
        yield (f'class="sls-{look}"' if look else ""), text


def _named_looks(units: Sequence[Unit], colours: Colours) -> Iterator[tuple[str, str]]:
    """(look, text) of each character or mark."""
    for unit in units:
        if unit.mark:
            yield "mark", unit.text
        else:
            yield from ((colours.at(place), one) for place, one in enumerate(unit.text, start=unit.at))


def row_data(row: Row, odd: frozenset[int], colours: Colours) -> dict[str, Any]:
    """A row for a screen that draws it by itself; neighbours of one look are one piece."""
    return {"number": row.number, "units": units_data(row.units, colours), "odd": row.number in odd}


def units_data(units: Sequence[Unit], colours: Colours) -> list[dict[str, str]]:
    """The pieces of a row, each of one look."""
    runs = groupby(_named_looks(units, colours), key=itemgetter(0))
    return [{"text": "".join(text for _, text in run), "look": look} for look, run in runs]


# --- colours --------------------------------------------------------------------------------------

_COLOURS = (  # of Pygments' kinds of token: the look that the style sheets give a colour
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "number"),
    ("Token.Comment", "comment"),
    ("Token.Name.Builtin", "builtin"),
    ("Token.Name.Function", "def"),
    ("Token.Name.Class", "def"),
)


class Colours:
    """The look of each place of some code, by a highlighter that only reads it; none for a lot of code."""

    def __init__(self, code: str) -> None:
        self._of = [""] * len(code) if len(code) <= MAX_COLOURED else []
        if not self._of:
            return
        from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

        for start, kind, value in PythonLexer().get_tokens_unprocessed(code):
            found = (name for token, name in _COLOURS if str(kind).startswith(token))
            if name := next(found, None):
                self._of[start : start + len(value)] = [name] * len(value)

    def at(self, place: int) -> str:
        return self._of[place] if place < len(self._of) else ""

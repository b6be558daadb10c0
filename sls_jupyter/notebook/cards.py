"""What a card is made of. Each block knows itself as text, as HTML and as data, so the three never say different things.

HTML has no script and loads nothing; its looks are in :mod:`sls_jupyter.notebook.sheet`; no state is told by colour alone.
Between two elements stands white space, so that words stay apart where a reader takes the text alone. Every text is
escaped here and nowhere else.

Most of what a card shows comes from other people. So every text that goes into a :class:`Block`, whichever block, is
made one line of seen characters when the block is made (:func:`clean`): a new kind of block cannot forget it. Only a
block that says so (``exact``) keeps a text as it is, and shows it line by line itself.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from html import escape as escape_html
from itertools import zip_longest
from typing import Any, ClassVar, Literal

from sls_jupyter.notebook.sheet import INLINE, SHEET, due_sheet
from sls_jupyter.printing import one_line, row, visible

Tone = Literal["", "good", "bad", "wait", "note"]
WIDTH = 100  # of the text form, at most
LEAST_WIDTH = 40  # a terminal that is narrower wraps by itself
CELL_WIDTH = 48  # of a cell in it, at most
LEAST_CELL_WIDTH = 12
CHIP_WIDTH = 24  # a state is not broken
LONG_WORD = 17  # characters; a longer one is broken in a page where a line ends
LONG_AMONG_MANY = 12  # the same in a table of many columns

_SIGNS: dict[Tone, str] = {"": "", "good": "✓ ", "bad": "✗ ", "wait": "… ", "note": "! "}


def escape(text: str) -> str:
    """Text as HTML: visible, and without a tag."""
    return escape_html(visible(text))


def text_width() -> int:
    """Columns of the text form: those of the terminal, so that it does not begin a line where none begins."""
    return max(LEAST_WIDTH, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


class Mono(str):
    """A digest, a DID or a number: shown in the code font, shortened nowhere."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Chip:
    """A state in a word, with its sign."""

    word: str
    tone: Tone = ""


Cell = str | Chip
"""One value of a table or a list of facts."""


def clean(value: Any) -> Any:
    """A text, or whatever texts stand in a block's field, each made one line; what is no text stays."""
    if isinstance(value, str):
        return type(value)(one_line(value)) if type(value) in (str, Mono) else one_line(value)
    if isinstance(value, Chip):
        return Chip(one_line(value.word), value.tone)
    if isinstance(value, (list, tuple)):
        return tuple(clean(one) for one in value)
    return value


def cell_text(cell: Cell) -> str:
    return one_line(_SIGNS[cell.tone] + cell.word if isinstance(cell, Chip) else str(cell))


def cell_html(cell: Cell, long_word: int = LONG_WORD) -> str:
    text = cell_text(cell)
    long = "sls-long" if max(map(len, text.split()), default=0) > long_word else ""
    if isinstance(cell, Chip):
        return f'<span class="sls-chip sls-{cell.tone or "plain"}{long and " " + long}">{escape(text)}</span>'
    about = f' class="{long}"' if long else ""
    if isinstance(cell, Mono):
        return f"<code{about}>{escape(cell)}</code>"
    return f"<span{about}>{escape(cell)}</span>" if long else escape(cell)


def cell_data(cell: Cell) -> dict[str, str]:
    """A cell for a screen that draws it by itself: its text, with ``look`` and ``tone``."""
    look = "chip" if isinstance(cell, Chip) else "mono" if isinstance(cell, Mono) else ""
    return {"text": cell_text(cell), "look": look, "tone": cell.tone if isinstance(cell, Chip) else ""}


def joined(parts: Iterable[str]) -> str:
    """Elements one after the other, each in a line of its own: the text of two never runs together."""
    return "\n".join(parts)


def wrap(text: str, width: int, first: str = "", then: str = "") -> list[str]:
    """Lines of at most ``width`` columns. A digest or a DID stays in one piece; a word that fits no terminal does not."""
    too_long = max(map(len, text.split()), default=0) > WIDTH - 10
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=then, break_long_words=too_long, break_on_hyphens=False
    ) or [first]


def _wrapped(cell: Cell, width: int) -> list[str]:
    """A cell's lines in the text form; what is to be copied stays in one."""
    if isinstance(cell, Mono):
        return [one_line(cell)]
    least = CHIP_WIDTH if isinstance(cell, Chip) else 8
    return wrap(cell_text(cell), max(width, least), then="  ")


class Block:
    """A part of a card: ``text()`` gives its lines, ``html()`` its markup, ``data()`` itself for a screen that draws it, all of fields that were made clean."""

    __slots__ = ()
    exact: ClassVar[frozenset[str]] = frozenset()  # fields whose text the block itself shows character by character

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]  # every block is a dataclass
            if one.name not in self.exact:
                object.__setattr__(self, one.name, clean(getattr(self, one.name)))

    def text(self) -> list[str]:
        raise NotImplementedError

    def html(self) -> str:
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        """What :mod:`sls_jupyter.lab.card_messages` has a type for, told apart by ``kind``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Line(Block):
    """A sentence."""

    words: str

    def text(self) -> list[str]:
        return wrap(self.words, text_width(), then="  ")  # what goes on never stands where a line begins

    def html(self) -> str:
        return f"<p>{escape(self.words)}</p>"

    def data(self) -> dict[str, Any]:
        return {"kind": "line", "words": self.words}


@dataclass(frozen=True, slots=True)
class Warn(Block):
    """A sentence that nobody may overlook; ``note`` for what is no fault."""

    words: str
    tone: Tone = "bad"

    def text(self) -> list[str]:
        return wrap(self.words, text_width(), "! ", "  ")

    def html(self) -> str:
        return f'<p class="warn sls-warn sls-{self.tone}">{_SIGNS[self.tone]}{escape(self.words)}</p>'

    def data(self) -> dict[str, Any]:
        return {"kind": "warn", "words": self.words, "tone": self.tone}


@dataclass(frozen=True, slots=True)
class Heading(Block):
    """The name of what follows. A card's title is of level 3; what stands under another heading is of level 5."""

    words: str
    level: int = 4

    def text(self) -> list[str]:
        return ["", self.words]

    def html(self) -> str:
        return f"<h{self.level}>{escape(self.words)}</h{self.level}>"

    def data(self) -> dict[str, Any]:
        return {"kind": "heading", "words": self.words, "level": self.level}


@dataclass(frozen=True, slots=True)
class Bullets(Block):
    """Sentences, one below the other."""

    items: Sequence[str]

    def text(self) -> list[str]:
        return [line for item in self.items for line in wrap(item, text_width(), "· ", "  ")]

    def html(self) -> str:
        return joined(["<ul>", *(f"<li>{escape(item)}</li>" for item in self.items), "</ul>"]) if self.items else ""

    def data(self) -> dict[str, Any]:
        return {"kind": "bullets", "items": list(self.items)}


@dataclass(frozen=True, slots=True)
class Facts(Block):
    """Names and values; a value without a name is one more of the name above it."""

    pairs: Sequence[tuple[str, Cell]]

    def text(self) -> list[str]:
        width = max((len(name) for name, _ in self.pairs), default=0)
        lines = []
        for name, value in self.pairs:
            first, *rest = _wrapped(value, text_width() - width - 4)
            lines += [f"{name:<{width}}  {first}".rstrip(), *(f"{'':<{width}}  {one}" for one in rest)]
        return lines

    def html(self) -> str:
        names = ((f"<dt>{escape(name)}</dt> " if name else "") for name, _ in self.pairs)
        rows = [f"{name}<dd>{cell_html(value)}</dd>" for name, (_, value) in zip(names, self.pairs, strict=True)]
        return joined(["<dl>", *rows, "</dl>"]) if rows else ""

    def data(self) -> dict[str, Any]:
        return {"kind": "facts", "pairs": [{"name": name, "value": cell_data(value)} for name, value in self.pairs]}


def _width(column: Sequence[Sequence[str]]) -> int:
    return max(len(line) for cell in column for line in cell)


def _laid_out(columns: Sequence[Sequence[Cell]], room: int) -> list[list[list[str]]]:
    """Each column's cells as lines; the widest columns give way until all of them fit, or none can."""

    def lay(column: Sequence[Cell], width: int) -> list[list[str]]:
        head, *cells = column
        return [[str(head)], *(_wrapped(cell, width) for cell in cells)]

    laid = [lay(column, CELL_WIDTH) for column in columns]
    stiff: set[int] = set()
    while sum(map(_width, laid)) > room and len(stiff) < len(columns):
        widest = max((at for at in range(len(columns)) if at not in stiff), key=lambda at: _width(laid[at]))
        narrower = lay(columns[widest], max(_width(laid[widest]) - 4, LEAST_CELL_WIDTH))
        if _width(narrower) >= _width(laid[widest]):
            stiff.add(widest)
        laid[widest] = narrower
    return laid


@dataclass(frozen=True, slots=True)
class Table(Block):
    """Rows of cells under their heads; ``empty`` stands where there is none."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "None."

    def text(self) -> list[str]:
        if not self.rows:
            return [self.empty]
        columns = [[name, *cells] for name, *cells in zip(self.heads, *self.rows, strict=True)]
        laid = _laid_out(columns, text_width() - 2 * len(columns))
        widths = [_width(column) for column in laid]
        rows = zip(*laid, strict=True)
        lines = [line for row in rows for line in zip_longest(*row, fillvalue="")]
        return [
            "  ".join(f"{word:<{size}}" for word, size in zip(line, widths, strict=True)).rstrip() for line in lines
        ]

    def html(self) -> str:
        if not self.rows:
            return f"<p>{escape(self.empty)}</p>"
        head = " ".join(f'<th scope="col">{cell_html(name, self._long)}</th>' for name in self.heads)
        body = joined(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        return f'<table class="sls-columns{self._size}"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'

    def data(self) -> dict[str, Any]:
        rows = [[cell_data(cell) for cell in row] for row in self.rows]
        return {"kind": "table", "heads": list(self.heads), "rows": rows, "empty": self.empty}

    def _cells(self, row: Sequence[Cell]) -> str:
        """A row's cells; where a page is narrow, each stands in a line of its own behind its head."""
        pairs = zip(self.heads, row, strict=True)
        return " ".join(f'<td data-head="{escape(name)}">{cell_html(cell, self._long)}</td>' for name, cell in pairs)

    @property
    def _long(self) -> int:
        """Characters of the longest word that is not broken."""
        return LONG_AMONG_MANY if self._size == "-many" else LONG_WORD

    @property
    def _size(self) -> str:
        """For the style sheet: how soon a page is too narrow for the columns."""
        return "-few" if len(self.heads) <= 3 else "" if len(self.heads) <= 5 else "-many"


@dataclass(frozen=True, slots=True)
class Details(Block):
    """What an argument rests on; closed until somebody wants to know."""

    summary: str
    blocks: Sequence[Block]

    def text(self) -> list[str]:
        inner = [line for block in self.blocks for line in block.text()]
        return [self.summary, *(f"    {line}".rstrip() for line in inner)]

    def html(self) -> str:
        inner = joined(block.html() for block in self.blocks)
        return f"<details><summary>{escape(self.summary)}</summary>\n{inner}</details>"

    def data(self) -> dict[str, Any]:
        return {"kind": "details", "summary": self.summary, "blocks": [block.data() for block in self.blocks]}


def marks(simulated: bool, not_isolated: bool) -> tuple[str, ...]:
    """The words that stand beside a title, wherever what they say is so."""
    return (*(["SIMULATED"] if simulated else []), *(["NOT ISOLATED"] if not_isolated else []))


def mark_chips(simulated: bool, not_isolated: bool) -> str:
    """The chips of :func:`marks`."""
    chip = '<span class="sls-chip sls-sim sls-note">{}</span>'
    return " ".join(chip.format(word) for word in marks(simulated, not_isolated))


def frame_html(tone: Tone, title: str, beside: Iterable[str], body: Iterable[str]) -> str:
    """A card's markup: its title, what stands beside it, and what follows."""
    head = " ".join([f"<h3>{escape(title)}</h3>", *filter(None, beside)])
    parts = [f'<div class="sls-card sls-{tone or "plain"}" style="{INLINE}">', f'<div class="sls-head">{head}</div>']
    return joined([*parts, *body, "</div>\n"])


@dataclass(frozen=True, slots=True)
class Card:
    """One thing on the screen, as ``text/plain`` and ``text/html``, or as data for the panel.

    ``simulated`` puts the word SIMULATED beside the title: something here rests on simulated evidence;
    ``not_isolated`` puts NOT ISOLATED there: a program here could or can reach its user's files. ``None`` is a card that
    is about no run: where it says SIMULATED, :meth:`where` says the rest.
    """

    title: str
    blocks: Sequence[Block] = ()
    subtitle: str = ""
    simulated: bool = False
    tone: Tone = ""
    not_isolated: bool | None = None
    incomplete: bool = False  # something could not be had: the command line's exit status is 1

    def __post_init__(self) -> None:
        if strange := [type(block).__name__ for block in self.blocks if not isinstance(block, Block)]:
            raise TypeError(f"a card is made of blocks, not of {strange[0]}")
        object.__setattr__(self, "title", clean(self.title))
        object.__setattr__(self, "subtitle", clean(self.subtitle))

    def where(self, isolated: Callable[[], bool]) -> Card:
        """The card as it is shown where programs are, or are not, kept from their user's files; asked if it matters."""
        silent = self.simulated and self.not_isolated is None
        return replace(self, not_isolated=not isolated()) if silent else self

    def __str__(self) -> str:
        parts = (self.title, self.subtitle, *marks(self.simulated, bool(self.not_isolated)))
        head = " · ".join(part for part in parts if part)
        body = [line for block in self.blocks for line in block.text()]
        return "\n".join([row(head), *(f"  {row(line)}".rstrip() for line in body)])

    def html(self) -> str:
        """The card's markup without the style sheet."""
        subtitle = f'<span class="sls-sub">{escape(self.subtitle)}</span>' if self.subtitle else ""
        badge = mark_chips(self.simulated, bool(self.not_isolated))
        return frame_html(self.tone, self.title, (subtitle, badge), (block.html() for block in self.blocks))

    def data(self) -> dict[str, Any]:
        """The card for a screen that draws it by itself: :class:`sls_jupyter.lab.card_messages.CardData`."""
        return {
            "title": self.title,
            "subtitle": self.subtitle,
            "tone": self.tone,
            "marks": list(marks(self.simulated, bool(self.not_isolated))),
            "blocks": [block.data() for block in self.blocks],
        }

    def _repr_html_(self) -> str:
        """The card as a page by itself, with the sheet."""
        return SHEET + self.html()

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, str]:
        """The card as an output; the first of a notebook carries the sheet."""
        del include, exclude  # IPython filters by itself
        return {"text/plain": str(self), "text/html": due_sheet() + self.html()}

    def __repr__(self) -> str:
        return str(self)

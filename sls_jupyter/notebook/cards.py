"""What a card is made of. Each block knows itself as text and as HTML, so the two never say different things.

HTML has no script and loads nothing; colours are JupyterLab's variables with fall-backs that suit light and
dark pages; no state is told by colour alone. Every text is escaped here and nowhere else.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as escape_html
from itertools import zip_longest
from typing import Literal, Protocol

Tone = Literal["", "good", "bad", "wait", "note"]
WIDTH = 100  # of the text form
CELL_WIDTH = 48  # of a cell in it

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_SIGNS: dict[Tone, str] = {"": "", "good": "✓ ", "bad": "✗ ", "wait": "… ", "note": "! "}

STYLE = """<style>
.sls-card{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5;max-width:860px;
color:var(--jp-ui-font-color1,inherit);border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));
border-left:4px solid var(--sls-tone,#8893a2);border-radius:4px;padding:10px 16px 12px;margin:4px 0}
.sls-card *{box-sizing:border-box}
.sls-good{--sls-tone:var(--jp-success-color1,#388e3c)}.sls-bad{--sls-tone:var(--jp-error-color1,#d32f2f)}
.sls-wait{--sls-tone:var(--jp-info-color1,#1976d2)}.sls-note{--sls-tone:var(--jp-warn-color1,#d98200)}
.sls-head{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:baseline;margin:0 0 6px}
.sls-title{font-size:15px;font-weight:600}.sls-sub{opacity:.75}
.sls-chip{display:inline-block;border:1px solid var(--sls-tone,#8893a2);border-radius:9px;padding:0 8px;font-size:11px;
line-height:17px;white-space:nowrap}
.sls-sim{font-weight:600;letter-spacing:.05em;border-style:dashed}
.sls-card p{margin:4px 0}.sls-card ul{margin:4px 0 4px;padding-left:20px}.sls-card li{margin:1px 0}
.sls-card h4{font-size:12px;font-weight:600;margin:10px 0 2px;opacity:.75}
.sls-card dl{display:grid;grid-template-columns:max-content 1fr;gap:1px 14px;margin:6px 0}
.sls-card.sls-card dt{opacity:.75;float:none;width:auto;white-space:nowrap;font-weight:400}
.sls-card.sls-card dd{margin:0;overflow-wrap:anywhere}
.sls-card.sls-card table{border-collapse:collapse;margin:6px 0;font-size:13px;width:100%;table-layout:auto}
.sls-card.sls-card th,.sls-card.sls-card td{text-align:left;vertical-align:top;padding:3px 12px 3px 0;overflow-wrap:break-word;
border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.25));background:none;color:inherit;white-space:normal}
.sls-card.sls-card th{font-weight:600;opacity:.75;font-size:12px;white-space:nowrap}
.sls-card.sls-card td:last-child{overflow-wrap:anywhere}
.sls-card code,.sls-card pre{font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px;
background:none;color:inherit;padding:0}
.sls-card pre{border:1px solid var(--jp-border-color2,rgba(128,128,128,.25));border-radius:3px;padding:8px 10px;margin:6px 0;
overflow-x:auto;line-height:1.45;background:var(--jp-cell-editor-background,rgba(128,128,128,.07))}
.sls-card.sls-card table.sls-steps td{border:0;padding-top:1px;padding-bottom:1px}
.sls-card .sls-checks table{table-layout:fixed}.sls-card.sls-card .sls-checks td{overflow-wrap:anywhere}
.sls-checks th:nth-child(1){width:2.6em}.sls-checks th:nth-child(2){width:6.5em}.sls-checks th:nth-child(3){width:11em}
.sls-card details{margin:4px 0}.sls-card td details{margin:0}.sls-card summary{cursor:pointer;opacity:.85}
</style>"""


def visible(text: str) -> str:
    """The text with every control, format and line-separating character shown as its number.

    Otherwise code could be shown in another order than it runs, and a purpose could steer a terminal.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        f"⟦U+{ord(one):04X}⟧" if unicodedata.category(one) in _UNSEEN and one not in "\n\t" else one for one in text
    )


def one_line(text: str) -> str:
    """The same, with line ends and tabs shown too: it stays where it stands, and can add no line of its own."""
    return visible(text).replace("\n", "⟦U+000A⟧").replace("\t", "⟦U+0009⟧")


def escape(text: str) -> str:
    """Text as HTML: visible, and without a tag."""
    return escape_html(visible(text))


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


def cell_text(cell: Cell) -> str:
    return one_line(_SIGNS[cell.tone] + cell.word if isinstance(cell, Chip) else str(cell))


def cell_html(cell: Cell) -> str:
    if isinstance(cell, Chip):
        return f'<span class="sls-chip sls-{cell.tone or "plain"}">{escape(cell_text(cell))}</span>'
    return f"<code>{escape(cell)}</code>" if isinstance(cell, Mono) else escape(cell)


def _wrapped(cell: Cell) -> list[str]:
    """A cell's lines in the text form; what is to be copied stays in one."""
    if isinstance(cell, Mono):
        return [one_line(cell)]
    return textwrap.wrap(cell_text(cell), CELL_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]


class Block(Protocol):
    """A part of a card."""

    def text(self) -> list[str]: ...
    def html(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence."""

    words: str

    def text(self) -> list[str]:
        return textwrap.wrap(self.words, WIDTH, break_long_words=False) or [""]

    def html(self) -> str:
        return f"<p>{escape(self.words)}</p>"


@dataclass(frozen=True, slots=True)
class Heading:
    """The name of what follows."""

    words: str

    def text(self) -> list[str]:
        return ["", self.words]

    def html(self) -> str:
        return f"<h4>{escape(self.words)}</h4>"


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences, one below the other."""

    items: Sequence[str]

    def text(self) -> list[str]:
        return [
            line
            for item in self.items
            for line in textwrap.wrap(item, WIDTH, initial_indent="· ", subsequent_indent="  ", break_long_words=False)
        ]

    def html(self) -> str:
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in self.items) + "</ul>" if self.items else ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    pairs: Sequence[tuple[str, Cell]]

    def text(self) -> list[str]:
        width = max((len(name) for name, _ in self.pairs), default=0)
        return [f"{name:<{width}}  {cell_text(value)}".rstrip() for name, value in self.pairs]

    def html(self) -> str:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{cell_html(value)}</dd>" for name, value in self.pairs)
        return f"<dl>{rows}</dl>" if rows else ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under their heads; ``empty`` stands where there is none."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "None."

    def text(self) -> list[str]:
        if not self.rows:
            return [self.empty]
        rows = [[[name] for name in self.heads], *([_wrapped(cell) for cell in row] for row in self.rows)]
        widths = [max(len(word) for row in rows for word in row[column]) for column in range(len(self.heads))]
        lines = [line for row in rows for line in zip_longest(*row, fillvalue="")]
        return [
            "  ".join(f"{word:<{size}}" for word, size in zip(line, widths, strict=True)).rstrip() for line in lines
        ]

    def html(self) -> str:
        if not self.rows:
            return f"<p>{escape(self.empty)}</p>"
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.heads)
        body = "".join("<tr>" + "".join(f"<td>{cell_html(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, slots=True)
class Python:
    """Code of the language Python, coloured by a highlighter that only reads it."""

    code: str

    def text(self) -> list[str]:
        return ["", *(f"    {line}".rstrip() for line in self.code.split("\n")), ""]

    def html(self) -> str:
        return f"<pre>{highlight(self.code)}</pre>"


@dataclass(frozen=True, slots=True)
class Details:
    """What an argument rests on; closed until somebody wants to know."""

    summary: str
    blocks: Sequence[Block]

    def text(self) -> list[str]:
        inner = [line for block in self.blocks for line in block.text()]
        return [self.summary, *(f"    {line}".rstrip() for line in inner)]

    def html(self) -> str:
        inner = "".join(block.html() for block in self.blocks)
        return f"<details><summary>{escape(self.summary)}</summary>{inner}</details>"


def marks(simulated: bool, not_isolated: bool) -> tuple[str, ...]:
    """The words that stand beside a title, wherever what they say is so."""
    return (*(["SIMULATED"] if simulated else []), *(["NOT ISOLATED"] if not_isolated else []))


def mark_chips(simulated: bool, not_isolated: bool) -> str:
    """The chips of :func:`marks`."""
    chip = '<span class="sls-chip sls-sim sls-note">{}</span>'
    return "".join(chip.format(word) for word in marks(simulated, not_isolated))


@dataclass(frozen=True, slots=True)
class Card:
    """One thing on the screen, as ``text/plain`` and ``text/html``.

    ``simulated`` puts the word SIMULATED beside the title: something here rests on simulated evidence;
    ``not_isolated`` puts NOT ISOLATED there: a program here could or can reach its user's files.
    """

    title: str
    blocks: Sequence[Block] = ()
    subtitle: str = ""
    simulated: bool = False
    tone: Tone = ""
    not_isolated: bool = False
    incomplete: bool = False  # something could not be had: the command line's exit status is 1

    def __str__(self) -> str:
        parts = (self.title, self.subtitle, *marks(self.simulated, self.not_isolated))
        head = " · ".join(part for part in parts if part)
        body = [line for block in self.blocks for line in block.text()]
        return visible("\n".join([head, *(f"  {line}".rstrip() for line in body)]))

    def _repr_html_(self) -> str:
        title = f'<span class="sls-title">{escape(self.title)}</span>'
        subtitle = f'<span class="sls-sub">{escape(self.subtitle)}</span>' if self.subtitle else ""
        badge = mark_chips(self.simulated, self.not_isolated)
        body = "".join(block.html() for block in self.blocks)
        head = f'<div class="sls-head">{title}{subtitle}{badge}</div>'
        return f'{STYLE}<div class="sls-card sls-{self.tone or "plain"}">{head}{body}</div>'

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, str]:
        del include, exclude  # IPython filters by itself
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        return str(self)


# --- code -----------------------------------------------------------------------------------------

_COLOURS = (  # of Pygments' kinds of token: JupyterLab's variable, and one that light and dark pages can show
    ("Token.Keyword", "--jp-mirror-editor-keyword-color", "#2e8b57"),
    ("Token.Operator.Word", "--jp-mirror-editor-keyword-color", "#2e8b57"),
    ("Token.Literal.String", "--jp-mirror-editor-string-color", "#c2543c"),
    ("Token.Literal.Number", "--jp-mirror-editor-number-color", "#5a8a3a"),
    ("Token.Comment", "--jp-mirror-editor-comment-color", "#7f8c8d"),
    ("Token.Name.Builtin", "--jp-mirror-editor-builtin-color", "#3b8f8f"),
    ("Token.Name.Function", "--jp-mirror-editor-def-color", "#4a7fd0"),
    ("Token.Name.Class", "--jp-mirror-editor-def-color", "#4a7fd0"),
)


def highlight(code: str) -> str:
    """Python as HTML with colours. Between the tags is the code as :func:`visible` shows it, and nothing else."""
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    parts = []
    for _, kind, value in PythonLexer().get_tokens_unprocessed(code):  # the other way rewrites line ends
        colour = next((f"var({name},{plain})" for token, name, plain in _COLOURS if str(kind).startswith(token)), None)
        parts.append(escape(value) if colour is None else f'<span style="color:{colour}">{escape(value)}</span>')
    return "".join(parts)

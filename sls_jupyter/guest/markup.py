"""Texts that a renderer reads: HTML, Markdown and LaTeX, without what runs, what fetches and what hides.

An address can carry data to whoever serves it, so nothing that leaves may make a renderer fetch one: no
picture, no link, no style sheet, no raw HTML. Cleaning can join what stood apart (``!<!-- -->[plot](…)`` without
its comment is a picture), so it goes on until nothing changes, and what leaves is looked at once more; a text
that never comes to rest does not leave. In Markdown nothing relies on one parser's reading: the few
characters that begin a picture, a link, a tag, a diagram or an entity are taken apart wherever they stand; so is
what some dialects read as a role, as attributes or as raw TeX, for a notebook can become a paper.

Runs in a process of its own (:mod:`.cleaner`), with a limit of time.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from sls_jupyter.guest.latex import formulas_plain, plain_latex
from sls_jupyter.guest.plain_text import has_unseen, released_text
from sls_jupyter.guest.styles import inlined, safe_style

MAX_MARKUP_BYTES = 4 * 2**20
ROUNDS = 8  # until nothing changes

# --- HTML -----------------------------------------------------------------------------------------

_TAGS = frozenset(
    {
        *(
            "abbr",
            "article",
            "aside",
            "b",
            "blockquote",
            "br",
            "caption",
            "cite",
            "code",
            "col",
            "colgroup",
            "dd",
            "del",
        ),
        *(
            "details",
            "dfn",
            "div",
            "dl",
            "dt",
            "em",
            "figcaption",
            "figure",
            "footer",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
        ),
        *(
            "header",
            "hr",
            "i",
            "ins",
            "kbd",
            "li",
            "mark",
            "ol",
            "p",
            "pre",
            "q",
            "s",
            "samp",
            "section",
            "small",
            "span",
        ),
        *(
            "strong",
            "sub",
            "summary",
            "sup",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "tt",
            "u",
            "ul",
            "var",
        ),
    }
)
_CELL = {"colspan", "rowspan", "align"}
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style"},
    "td": _CELL,
    "th": _CELL | {"scope"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start"},
}
_ATTRIBUTE_VALUE = re.compile(r"-?[0-9]{1,4}\Z|(?:left|right|center|justify|(?:row|col)(?:group)?)\Z")


class NeverAtRest(ValueError):
    """A text changes with every cleaning, or still has what was to be taken away."""


def _until_still(text: str, clean: Callable[[str], str]) -> str:
    for _ in range(ROUNDS):
        again = clean(text)
        if again == text:
            return again
        text = again
    raise NeverAtRest("cleaning does not end")


def _plain_value(_tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return safe_style(value) or None
    return value if _ATTRIBUTE_VALUE.match(value) else None


def plain_html(text: str) -> str:
    """HTML of text, lists and tables, with the look that :mod:`.styles` lets them have.

    Raises:
        NeverAtRest: it is not the same when it is cleaned again.
    """
    import nh3

    def clean(text: str) -> str:
        cleaned: str = nh3.clean(
            released_text(text),
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            attribute_filter=_plain_value,
            url_schemes=set(),
            link_rel=None,
        )
        return formulas_plain(released_text(cleaned))  # JupyterLab typesets the formulas in HTML, too

    return _until_still(inlined(text), clean)


# --- Markdown -------------------------------------------------------------------------------------

_BARE = r"/?(?:b|i|em|strong|sub|sup|br|hr|code|kbd|s|u|small|p|ul|ol|li|table|thead|tbody|tr|td|th|h[1-6])\s?/?>"
_TAG = re.compile(rf"<(?!{_BARE})[A-Za-z/!?][^<>]*>")  # the bare ones, without attributes, are the only tags that stay
_LINK = re.compile(r"!?\[([^\[\]\n]{0,2000})\]\([^()\n]{0,2000}(?:\([^()\n]{0,2000}\)[^()\n]{0,2000})?\)")
_ENTITY = re.compile(r"&(#[0-9]{1,10}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,40});?")
_APART = (  # what begins a tag, a picture, a link or its definition, with a space between
    (re.compile(rf"<(?!{_BARE})(?=[A-Za-z/!?<])"), "< "),
    (
        re.compile(rf"!(?=(?:\\|<{_BARE})*\[)"),
        "! ",
    ),  # also where only tags stand between, which another filter takes away
    (re.compile(rf"\](?=(?:<{_BARE})*[(\[:{{])"), "] "),
    (re.compile(r"`(?=\{)"), "` "),  # attributes of code, and its language: `…`{=latex}
    (re.compile(r"\}(?=`)"), "} "),  # a role: {eval}`…`
)
_FENCE = re.compile(r"((?<!`)`{3,}+|(?<!~)~{3,}+|(?<!:):{3,}+)[ \t]*([^\n`~:][^\n]*)")
_LANGUAGES = frozenset(
    {"bash", "console", "json", "julia", "markdown", "python", "r", "sh", "sql", "text", "xml", "yaml"}
)


def plain_markdown(text: str) -> str:
    """Markdown in which no renderer finds a picture, a link, a tag with attributes or a diagram.

    Raises:
        NeverAtRest: it is not the same when it is cleaned again.
    """

    def clean(text: str) -> str:
        text = _ENTITY.sub(_entity, released_text(text))
        text = _TAG.sub("", _without_comments(text))
        return _FENCE.sub(_fence, plain_latex(_LINK.sub(r"\1", text)))  # TeX outside of formulas is read, too

    def apart(text: str) -> str:
        for pattern, words in _APART:
            text = pattern.sub(words, text)
        return clean(text)

    return _until_still(_until_still(text, clean), apart)


def _without_comments(text: str) -> str:
    """Without ``<!-- … -->``, in one pass however many begin and never end."""
    kept, position = [], 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[position:start])
        position = end + len("-->")
    return "".join(kept) + text[position:]


def _entity(found: re.Match[str]) -> str:
    """An entity stays unless it is a character that may not leave, or one that begins a formula."""
    character = html.unescape(f"&{found[1]};")
    return "" if has_unseen(character) or character in ("$", "\\") else found[0]


def _fence(found: re.Match[str]) -> str:
    """Code is not drawn as a diagram: of the word after a fence, only languages stay there."""
    info = found[2].strip()
    if info in _LANGUAGES or (found[1][0] == "`" and "`" in info):
        return found[0]
    return f"{found[1]}\n{found[2]}"

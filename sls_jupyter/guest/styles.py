"""The look of HTML: colours, alignment, borders and widths, as inline styles of closed lists.

pandas' Styler and great_tables say their look in a style sheet. A sheet can fetch, move and cover, so none leaves;
what its rules say about an element is written into that element, and of that stays what is listed here. No
address, no position, no function but colours and gradients. Cosmetic: a selector that is not understood styles nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

MAX_RULES = 50_000
MAX_NESTING = 200
MAX_STYLE = 2_000  # characters of one element
_SIDES = ("", "-top", "-right", "-bottom", "-left")
PROPERTIES = frozenset(
    {
        *("color", "background", "background-color", "text-align", "vertical-align", "width", "min-width", "max-width"),
        *("height", "font-weight", "font-style", "font-size", "font-family", "text-decoration", "text-transform"),
        *("white-space", "border-collapse", "border-spacing", "border-radius", "caption-side", "line-height"),
        *(f"border{side}{what}" for side in _SIDES for what in ("", "-color", "-style", "-width")),
        *(f"padding{side}" for side in _SIDES),
    }
)
_COLOUR = r"#[0-9a-f]{3,8}|(?:rgb|hsl)a?\([0-9.,%/ deg]{1,60}\)|[a-z][a-z-]{1,24}"
_SIZE = r"[0-9]{1,4}(?:\.[0-9]{1,6})?(?:px|pt|em|rem|ex|ch|%|deg)?"
_STOP = rf"(?:{_COLOUR}|{_SIZE})"
_GRADIENT = rf"linear-gradient\({_STOP}(?:[ ,]+{_STOP}){{0,20}}\)"
_VALUE = re.compile(rf"(?:{_GRADIENT}|{_COLOUR}|{_SIZE})(?:[ ,]+(?:{_GRADIENT}|{_COLOUR}|{_SIZE})){{0,8}}\Z")
_FONT_SIZE = re.compile(
    r"(?:[6-9]|[1-6][0-9])(?:\.[0-9]{1,4})?(?:px|pt)\Z|(?:[5-9][0-9]|1[0-9]{2}|200)%\Z|[a-z-]{3,10}\Z"
)


def safe_style(text: str) -> str:
    """The declarations of a style that may leave; ``safe_style`` of the result is the result."""
    kept: dict[str, str] = {}
    for declaration in text[: 10 * MAX_STYLE].split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), " ".join(value.lower().replace("!important", "").split())
        allowed = _FONT_SIZE if name == "font-size" else _VALUE
        if name in PROPERTIES and allowed.match(value):
            kept.pop(name, None)
            kept[name] = value
    parts: list[str] = []
    for name, value in kept.items():
        if sum(map(len, parts)) + len(name) + len(value) < MAX_STYLE:
            parts.append(f"{name}: {value}")
    return "; ".join(parts)


# --- from a sheet to its elements -------------------------------------------------------------------

_SHEET = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMPOUND = re.compile(r"(?:[a-z][a-z0-9]*|\*)?(?:[.#][\w-]+)*\Z", re.IGNORECASE)
_PART = re.compile(r"[.#]?[\w-]+")
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})


@dataclass(frozen=True, slots=True)
class _Element:
    tag: str
    names: frozenset[str]  # its tag, ``#id`` and ``.class``


@dataclass(slots=True)
class _Sheet:
    """Rules by the one name of their last part that is rarest: an id, a class or a tag."""

    rules: dict[str, list[tuple[tuple[int, int, int, int], tuple[frozenset[str], ...], str]]] = field(
        default_factory=dict
    )
    count: int = 0

    def read(self, text: str) -> None:
        for selectors, body in _RULE.findall(_COMMENT.sub("", text)):
            style = safe_style(body)
            for selector in selectors.split(",") if style and "@" not in selectors else ():
                self._add(selector, style)

    def _add(self, selector: str, style: str) -> None:
        compounds = selector.replace(">", " ").split()
        if not compounds or self.count >= MAX_RULES or not all(_COMPOUND.match(one) for one in compounds):
            return
        self.count += 1
        parts = [
            frozenset(part.lower() if part[0] not in ".#" else part for part in _PART.findall(c)) for c in compounds
        ]
        flat = [part for one in parts for part in one]
        ids, classes = (sum(part[0] == mark for part in flat) for mark in "#.")
        weight = (ids, classes, len(flat) - ids - classes, self.count)
        key = min(parts[-1], key=lambda part: "#.".find(part[0]) % 3, default="*")
        self.rules.setdefault(key, []).append((weight, tuple(parts), style))

    def style_of(self, element: _Element, around: list[_Element]) -> str:
        found = [
            (weight, style)
            for name in (*element.names, "*")
            for weight, parts, style in self.rules.get(name, ())
            if parts[-1] <= element.names and _within(parts[:-1], around)
        ]
        return "; ".join(style for _, style in sorted(found))


def _within(parts: tuple[frozenset[str], ...], around: list[_Element]) -> bool:
    """Whether elements around match these parts in their order."""
    place = len(around)
    for part in reversed(parts):
        place = next((i for i in range(place - 1, -1, -1) if part <= around[i].names), -1)
        if place < 0:
            return False
    return True


class _Inliner(HTMLParser):
    def __init__(self, sheet: _Sheet) -> None:
        super().__init__(convert_charrefs=False)
        self._sheet, self._around = sheet, list[_Element]()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = {tag, *(f".{one}" for one in given.get("class", "").split())}
        names |= {f"#{given['id']}"} if given.get("id") else set()
        element = _Element(tag, frozenset(names))
        own = given.pop("style", "")
        style = safe_style(f"{self._sheet.style_of(element, self._around)}; {own}")
        words = [f' {name}="{html.escape(value)}"' for name, value in given.items()]
        self.parts.append(f"<{tag}{''.join(words)}" + (f' style="{html.escape(style)}">' if style else ">"))
        if tag not in _VOID and len(self._around) < MAX_NESTING:
            self._around.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"</{tag}>")
        for place in range(len(self._around) - 1, -1, -1):
            if self._around[place].tag == tag:
                del self._around[place:]
                return

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.parts.append(f"&#{name};")


def _sheets(text: str) -> Iterator[str]:
    return (found[1] for found in _SHEET.finditer(text))


def inlined(text: str) -> str:
    """HTML with what its style sheets say written into its elements; as it is if it has no sheet.

    What comes out is no safer than what went in: it is cleaned after this.
    """
    sheet = _Sheet()
    for one in _sheets(text):
        sheet.read(one)
    if not sheet.rules:
        return text
    inliner = _Inliner(sheet)
    inliner.feed(_SHEET.sub("", text))
    inliner.close()
    return "".join(inliner.parts)

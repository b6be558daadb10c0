"""SVG at the gate: read as XML, and written anew from shapes, text and numbers.

The picture that leaves is written by this module: elements and attributes of closed lists, text only within
text, no comment, no entity, no processing instruction, no title, description, metadata, style sheet, link,
script, picture or foreign element. So whatever parser a renderer has, HTML's or XML's, it reads what is
written here. Nothing is fetched: an address can stand in no attribute, and a reference names an element of the
same picture. Names of elements (``id``) are counted anew, so that they carry no words.

The cost is one pass over the bytes, with bounds on bytes, depth, elements, and on what ``use`` draws again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import Any
from xml.parsers import expat

from sls_jupyter.guest.latex import formulas_plain
from sls_jupyter.guest.plain_text import released_text

MAX_SVG_BYTES = 16 * 2**20
MAX_ELEMENTS = 200_000  # with those that are drawn again by reference
MAX_SVG_DEPTH = 64

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_TAGS = frozenset(
    {
        *("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "defs"),
        *("clipPath", "linearGradient", "radialGradient", "stop", "use", "symbol"),
    }
)
_PAINT = frozenset(  # attributes, and properties of a style attribute
    {
        *(
            "fill",
            "fill-opacity",
            "fill-rule",
            "stroke",
            "stroke-width",
            "stroke-opacity",
            "stroke-dasharray",
            "opacity",
        ),
        *("stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stop-color", "stop-opacity"),
        *("font-size", "font-family", "font-weight", "font-style", "text-anchor", "dominant-baseline", "clip-path"),
        *("clip-rule", "display", "visibility", "alignment-baseline", "letter-spacing", "shape-rendering"),
    }
)
_ATTRIBUTES = _PAINT | {
    *("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "fx", "fy", "dx", "dy", "width", "height"),
    *("viewBox", "points", "transform", "offset", "gradientUnits", "gradientTransform", "preserveAspectRatio"),
    *("clipPathUnits", "spreadMethod", "rotate", "textLength", "lengthAdjust"),
}
# Numbers, words, colours, lists and functions of numbers; no colon, slash, quote, backslash, at or brace.
_VALUE = re.compile(r"[A-Za-z0-9#%.,()+\s-]*\Z")
_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla", "matrix", "translate", "scale", "rotate", "skewx", "skewy"})
_CALL = re.compile(r"([A-Za-z0-9_-]*)\s*\(")
_LOCAL = re.compile(r"url\(\s*[\"']?#([^\s\"'()]{1,200})[\"']?\s*\)\Z")


class NotDrawable(ValueError):
    """A text is no SVG picture, or one beyond the bounds."""


@dataclass(slots=True)
class _Element:
    tag: str  # "" is dropped with all that it holds
    attributes: dict[str, str]
    name: str = ""  # its id, as the program gave it
    target: str = ""  # of a use: the id that it draws again
    parts: list[_Element | str] = field(default_factory=list)
    size: int = 1  # elements in it, itself included


def redrawn_svg(text: str) -> str:
    """The picture, written anew.

    Raises:
        NotDrawable: not XML, no SVG, or beyond a bound.
    """
    data = text.encode("utf-8", "replace")
    if len(data) > MAX_SVG_BYTES:
        raise NotDrawable("too many bytes")
    root = _Reader().read(data)
    return _Writer(root).write()


class _Reader:
    """The tree of what is drawn, from expat's events; what is not drawn is counted and forgotten."""

    def __init__(self) -> None:
        self._root: _Element | None = None
        self._open: list[_Element] = []
        self._seen = 0

    def read(self, data: bytes) -> _Element:
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._no_entity
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, RecursionError) as error:
            raise NotDrawable(type(error).__name__) from None
        if self._root is None:
            raise NotDrawable("no picture")
        return self._root

    def _doctype(self, _name: str, _system: str | None, _public: str | None, internal: int) -> None:
        if internal:  # declarations of entities stand there; an outer one is never fetched
            raise NotDrawable("declarations")

    def _no_entity(self, *_: Any) -> None:
        raise NotDrawable("an entity")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._seen += 1
        if self._seen > MAX_ELEMENTS or len(self._open) >= MAX_SVG_DEPTH:
            raise NotDrawable("too many elements")
        space, _, tag = name.rpartition(" ")
        drawn = space in ("", _SVG) and tag in _TAGS and (not self._open or self._open[-1].tag)
        if not self._open and tag != "svg":
            raise NotDrawable("no picture")
        element = _element(tag, attributes) if drawn else _Element("", {})
        if not self._open:
            self._root = element
        elif drawn:
            self._open[-1].parts.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        element.size = 1 + sum(part.size for part in element.parts if isinstance(part, _Element))

    def _text(self, text: str) -> None:
        if self._open[-1].tag in ("text", "tspan"):
            self._open[-1].parts.append(text)


def _element(tag: str, attributes: dict[str, str]) -> _Element:
    kept = {name: value for name, value in attributes.items() if name in _ATTRIBUTES}
    for declaration in attributes.get("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if name.strip() in _PAINT:
            kept[name.strip()] = value.strip()
    kept |= {name: re.sub("[\"']", "", kept[name]) for name in ("font-family",) if name in kept}
    plain = {name: " ".join(value.split()) for name, value in kept.items() if _is_plain(value)}
    target = attributes.get(f"{_XLINK} href", attributes.get("href", "")) if tag == "use" else ""
    name = attributes.get("id", "")
    return _Element(tag, plain, name[:200], target[1:201] if target.startswith("#") else "")


def _is_plain(value: str) -> bool:
    """Numbers, colours and words, or a reference into the picture."""
    if _LOCAL.match(value):
        return True
    calls = {call.lower() for call in _CALL.findall(value)} - {""}
    return _VALUE.match(value) is not None and calls <= _FUNCTIONS


class _Writer:
    """Writes a tree, with references that hold."""

    def __init__(self, root: _Element) -> None:
        self._root, self._lines = root, [""]
        self._by_name: dict[str, _Element] = {}
        self._numbers: dict[str, str] = {}  # id as it was -> as it will be, of those that are referred to
        self._drawn = root.size

    def write(self) -> str:
        self._collect(self._root)
        self._write(self._root, within=False)
        return "".join(self._lines)

    def _collect(self, element: _Element) -> None:
        if element.name:
            self._by_name.setdefault(element.name, element)
        for value in (*element.attributes.values(), f"url(#{element.target})"):
            if (found := _LOCAL.match(value)) is not None:
                self._numbers.setdefault(found[1], f"i{len(self._numbers)}")
        for part in element.parts:
            if isinstance(part, _Element):
                self._collect(part)

    def _write(self, element: _Element, *, within: bool) -> None:
        """``within``: in an element that is referred to, where a further reference could go round or multiply."""
        referred = element.name in self._numbers and self._by_name[element.name] is element
        if element.tag == "use" and (within or referred or not self._draws(element.target)):
            return
        attributes = self._attributes(element, within or referred)
        if element is self._root:
            attributes = [("xmlns", _SVG), *attributes]
        if referred:
            attributes.append(("id", self._numbers[element.name]))
        written = "".join(f' {name}="{escape(value)}"' for name, value in attributes)
        self._lines.append(f"<{element.tag}{written}>")
        for part in element.parts:
            if isinstance(part, _Element):
                self._write(part, within=within or referred)
            else:
                self._lines.append(escape(formulas_plain(released_text(part)), quote=False))
        self._lines.append(f"</{element.tag}>")

    def _attributes(self, element: _Element, within: bool) -> list[tuple[str, str]]:
        kept = []
        for name, value in sorted(element.attributes.items()):
            found = _LOCAL.match(value)
            if found is None:
                kept.append((name, value))
            elif found[1] in self._by_name and not within:
                kept.append((name, f"url(#{self._numbers[found[1]]})"))
        if element.target:
            kept.append(("href", f"#{self._numbers[element.target]}"))
        return kept

    def _draws(self, target: str) -> bool:
        """Whether a reference leads somewhere; counts what it draws again."""
        if target not in self._by_name:
            return False
        self._drawn += self._by_name[target].size
        if self._drawn > MAX_ELEMENTS:
            raise NotDrawable("too many elements")
        return True

"""Completion in the body of a ``%%safestream`` cell: the columns that its inputs will have in the group.

Their names are those of the manifests and were chosen by their owners. As an attribute, only what is one harmless word and
means the column is offered; within quotation marks whatever can be seen, as Python writes it there.
"""

from __future__ import annotations

import contextlib
import keyword
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.errors import SlsError
from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.complete_line import Words
from sls_jupyter.notebook.known import Columns, Names, is_seen, is_word
from sls_jupyter.notebook.parsers import safestream_parser
from sls_jupyter.notebook.unfinished import given
from sls_jupyter.session.inputs import as_variable, parse_input, picked_columns

MAX_BODY = 200_000  # characters before the cursor that are looked through
_TEXTS = re.compile(  # texts and comments of Python, also one that has no end yet
    r"""(?P<long>\"{3}|'{3})(?:\\.|(?!(?P=long)).)*(?P<long_end>(?P=long))?"""
    r"""|(?P<mark>["'])(?:\\.|(?!(?P=mark))[^\\\n])*(?P<end>(?P=mark))?"""
    r"""|\#[^\n]*""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"(?<![\w.])(?P<name>[^\W\d]\w*)\s*\.\s*(?P<typed>\w*)\Z")
_KEY = re.compile(  # before a text: name[  name[["a",  name.groupby(  name.groupby(["a",
    r"(?<![\w.])(?P<name>[^\W\d]\w*)\s*(?:\[|\.\s*(?:groupby|sort_values|set_index)\s*\()\s*(?:\[(?:\s*''\s*,)*\s*)?\Z"
)
_MADE = re.compile(r"^([A-Za-z_]\w*)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column can stand before the cursor."""

    name: str  # the variable whose column it would be
    typed: str  # of the column
    mark: str = ""  # the quotation mark that it stands behind; "": it is an attribute


def place_at(before: str) -> Place | None:
    """What the cursor stands at, by the text of the cell's body before it; ``None``: no column of a variable can stand there."""
    if len(before) > MAX_BODY:
        return None
    code, last = "", 0
    for found in _TEXTS.finditer(before):
        code, last = code + before[last : found.start()], found.end()
        if last == len(before) and not (found["end"] or found["long_end"]):
            key = _KEY.search(code) if found["mark"] else None
            return Place(key["name"], before[found.start() + 1 :], found["mark"]) if key else None
        code += "''" if found["mark"] or found["long"] else ""
    attribute = _ATTRIBUTE.search(code + before[last:])
    return Place(attribute["name"], attribute["typed"]) if attribute else None


def made_in(body: str) -> list[str]:
    """Variables that a cell sets in lines of their own, in their order: what ``-o`` can return."""
    if len(body) > MAX_BODY:
        return []
    code = _TEXTS.sub(lambda found: "" if found[0].startswith("#") else "''", body)
    return list(dict.fromkeys(_MADE.findall(code)))


def columns_of(line: str, variables: Mapping[str, Any], names: Names) -> dict[str, Columns]:
    """The columns that a cell will find, by the variable that has them.

    Args:
        line: the cell's first line, behind its magic.
    """
    try:
        options = given(safestream_parser(), split(line, variables))
    except SlsError:  # an unclosed quotation, a variable that there is not: the magic will say so
        return {}
    found: dict[str, Columns] = {}
    for name in options.of("session"):
        found |= names.sessions.get(name, {})
    for text in options.of("input"):
        with contextlib.suppress(SlsError):
            asset, alias, _ = parse_input(text)
            asset = names.asset(asset)
            known = names.columns.get(asset, {})
            picked = picked_columns(text, known)
            columns = {name: kind for name, kind in known.items() if picked is None or name in picked}
            found[alias or as_variable(asset.rpartition("/")[2])] = columns
    return found


def fitting_columns(place: Place, columns: Columns) -> Words:
    """What the column can become, each with its type; what is no name of a column in the cell's frame is left out."""
    if place.mark:
        spelled = [(_in_quotes(name, place.mark), kind) for name, kind in columns.items() if is_seen(name)]
    else:
        spelled = [(name, kind) for name, kind in columns.items() if _is_attribute(name)]
    return [(text, kind.word) for text, kind in spelled if kind.by_name and text.startswith(place.typed)]


def _in_quotes(name: str, mark: str) -> str:
    """A name as Python writes it behind that quotation mark."""
    return name.replace("\\", "\\\\").replace(mark, "\\" + mark)


def _is_attribute(name: str) -> bool:
    """Whether ``frame.name`` is the column: an identifier in the one spelling that Python reads, and nothing of pandas' own."""
    import pandas as pd  # whoever has names of assets has loaded it

    plain = name.isidentifier() and not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return plain and is_word(name) and not hasattr(pd.DataFrame, name)


def attributes_of(kind: type, typed: str) -> Words:
    """What every value of a type has: of a frame its methods, and not the columns of the one that happens to be here."""
    names = [one for one in dir(kind) if one.startswith(typed) and (typed.startswith("_") or not one.startswith("_"))]
    return [(one, "function" if callable(getattr(kind, one, None)) else "property") for one in names]

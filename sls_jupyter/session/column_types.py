"""What a table's manifest says of its columns: a word for the type of each, and which of them a cell takes by its name."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.assets.manifest import AssetManifest, read_schema
from sls_jupyter.assets.metadata import OURS, PANDAS
from sls_jupyter.documents import b64decode

# of a type: what stands behind it, a zone or the names of fields, may be anybody's
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}")
_PLAIN = {"dictionary": "category", "large_string": "string", "large_binary": "binary", "large_list": "list"}
_TEXT_LABELS = ("str", "object")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """One column."""

    word: str  # int64, category, datetime64: pandas' own where a frame was sealed, or else Arrow's
    by_name: bool = True  # frame["name"] is it; not so for a level of the index, and where labels are no plain text


def column_types(manifest: AssetManifest) -> Mapping[str, ColumnType]:
    """Every column by its name in the asset, in the schema's order; nothing when the schema is confidential.

    The owner signed the words; whether the parts hold what they say shows only when they are opened.

    Raises:
        MalformedDocument: the bytes are no schema.
    """
    return {} if manifest.arrow_schema is None else _types(manifest.arrow_schema)


@functools.lru_cache(maxsize=1024)
def _types(arrow_schema: str) -> Mapping[str, ColumnType]:
    schema = read_schema(b64decode(arrow_schema))
    metadata = dict(schema.metadata or {})
    standard, ours = _parsed(metadata.get(PANDAS)), _parsed(metadata.get(OURS))
    levels = {one for one in _list(standard.get("index_columns")) if isinstance(one, str)}
    text_labels, marks = _are_text(_dict(ours.get("labels"))), _dict(ours.get("columns"))
    return {
        field.name: ColumnType(_word(marks.get(field.name), str(field.type)), text_labels and field.name not in levels)
        for field in schema
    }


def _are_text(labels: Mapping[str, Any]) -> bool:
    """Whether the labels are texts of one level. Tables that were no pandas frame have no other ones."""
    levels = _list(labels.get("levels"))
    return not levels or (len(levels) == 1 and str(_dict(levels[0]).get("dtype")).startswith(_TEXT_LABELS))


def _word(mark: Any, arrow: str) -> str:
    told = _dict(mark).get("dtype")
    found = _WORD.match(told if isinstance(told, str) else arrow)
    word = found[0] if found else ""
    return _PLAIN.get(word, word)


def _parsed(data: bytes | None) -> dict[str, Any]:
    """The metadata; nothing where another writer put there what is no JSON object."""
    try:
        return _dict(json.loads(data or b"{}"))
    except (ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

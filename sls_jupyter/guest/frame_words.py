"""What brings a frame back, in words of the gate's own.

Arrow has fewer kinds of columns than pandas, so a frame travels with words about it: which columns are its
index, of which dtype each column was, what its labels are. The program writes them, and text of any length
fits in. So they are read as claims: what a claim may say comes from closed lists, every name is that of a
column, and the words that leave are written here from what was understood.

A claim that is not understood is refused (:class:`NotUnderstood`), never passed on and never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationError

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.guest.column_words import (
    INT64,
    Claim,
    Labels,
    Mark,
    NotUnderstood,
    labels_anew,
    level_name,
    mark_anew,
    require,
)
from sls_jupyter.guest.dtypes import is_frequency

MAX_CLAIM_BYTES = 4 * 2**20
_STANDARD, _OURS = PANDAS_METADATA

_LABELS = {"pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}
_GENERATED_LEVEL = re.compile(r"__index_level_[0-9]{1,3}__\Z")


def extension_words(name: str, claimed: bytes, storage: pa.DataType) -> bytes | None:
    """The words of pandas' extension types and of UUIDs, made anew; ``None`` for others, which leave as their storage.

    Raises:
        NotUnderstood: the words are not those of a period or an interval.
    """
    if name == "arrow.uuid" and storage == pa.binary(16):
        return b""
    if name not in ("pandas.period", "pandas.interval"):
        return None
    about = _parsed(claimed)
    if name == "pandas.period" and storage == pa.int64():
        every = about.get("freq")
        if isinstance(every, str) and is_frequency(every):
            return json.dumps({"freq": every}).encode()
    if name == "pandas.interval" and pa.types.is_struct(storage) and storage.num_fields == 2:
        closed, of = about.get("closed"), storage.field(0).type
        if closed in ("left", "right", "both", "neither") and of == storage.field(1).type:
            return json.dumps({"subtype": str(of), "closed": closed}).encode()
    raise NotUnderstood("An extension type says what it cannot say.")


# --- claims ---------------------------------------------------------------------------------------


class _Range(Claim):
    kind: Literal["range"]
    name: str | int | None = None
    start: int
    stop: int
    step: int


class _Column(Claim):
    field_name: str
    name: Any = None


class _Standard(Claim):
    index_columns: list[str | _Range]
    columns: list[_Column]


class _Ours(Claim):
    columns: dict[str, Mark]
    labels: Labels
    frequency: str | None = None
    one_level: bool = False


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_CLAIM_BYTES:
        raise NotUnderstood("The words about a frame are too long.", expected=f"{MAX_CLAIM_BYTES} bytes at most")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NotUnderstood("The words about a frame are no JSON object.")
    return value


# --- made anew ------------------------------------------------------------------------------------


def made_anew(
    claimed: Mapping[bytes, bytes] | None, fields: Sequence[pa.Field], rows: int, whole: bool
) -> dict[bytes, bytes]:
    """The schema metadata of a frame that leaves; empty where the program claims none.

    Args:
        fields: of the table that leaves.
        whole: no row was taken away.

    Raises:
        NotUnderstood: a claim is not from the closed lists, or not about these fields.
    """
    claims = claimed or {}
    if _STANDARD not in claims or _OURS not in claims:
        return {}
    try:
        standard, ours = _Standard(**_parsed(claims[_STANDARD])), _Ours(**_parsed(claims[_OURS]))
    except (ValidationError, TypeError):
        raise NotUnderstood("The words about a frame are not of the expected form.") from None
    levels = [entry for entry in standard.index_columns if isinstance(entry, str)]
    kinds = {field.name: field.type for field in fields}
    require(len(set(levels)) == len(levels) and set(levels) <= set(kinds), "an index that is not there")
    columns = [name for name in kinds if name not in levels]
    made = {
        "index_columns": [*levels, *([] if levels else [_range(standard.index_columns, rows, whole)])],
        "column_indexes": [{"name": name, "field_name": name, **_LABELS} for name in ours.labels.names],
        "columns": _columns(standard.columns, columns, levels),
        "attributes": {},
    }
    marks = {name: mark_anew(ours.columns.get(name), kind) for name, kind in kinds.items()}
    frequency = ours.frequency if whole else None
    require(frequency is None or is_frequency(frequency), "a frequency that pandas has not")
    counted = None if ours.labels.range is None else _counted(ours.labels.range)
    about: dict[str, Any] = {"columns": marks, "frequency": frequency}
    about["labels"] = labels_anew(ours.labels, columns, counted)
    if ours.one_level:
        about["one_level"] = True
    return {_STANDARD: json.dumps(made).encode(), _OURS: json.dumps(about).encode()}


def _count(start: int, stop: int, step: int) -> int | None:
    """How many numbers a range has; ``None`` for one that pandas cannot have."""
    if start not in INT64 or stop not in INT64 or step not in INT64 or not step:
        return None
    return max(0, -((start - stop) // step))


def _range(entries: Sequence[str | _Range], rows: int, whole: bool) -> dict[str, Any]:
    """A counted index: where it starts and its step, as far as its rows show them; counted from 0 if rows are gone."""
    claimed = next((entry for entry in entries if isinstance(entry, _Range)), None)
    start, step, name = 0, 1, None if claimed is None else level_name(claimed.name)
    if claimed is not None and whole:
        fits = _count(claimed.start, claimed.stop, claimed.step) == rows
        start = claimed.start if fits and rows else 0
        step = claimed.step if fits and rows > 1 else 1
    return {"kind": "range", "name": name, "start": start, "stop": start + rows * step, "step": step}


def _columns(claimed: Sequence[_Column], columns: Sequence[str], levels: Sequence[str]) -> list[dict[str, Any]]:
    """For each column its label, for each index level its name."""
    names = {entry.field_name: entry.name for entry in claimed}
    made = []
    for field in (*columns, *levels):
        name = names.get(field)
        if field in levels:
            require(level_name(name) in (None, field) or _GENERATED_LEVEL.match(field), "another name of a level")
        else:
            require(field in names and name == field, "another label of a column")
        plain = {"pandas_type": "object", "numpy_type": "object", "metadata": None}
        made.append({"name": name, "field_name": field, **plain})
    return made


def _counted(numbers: list[int]) -> int | None:
    require(len(numbers) == 3, "labels that are no range")
    return _count(*numbers)

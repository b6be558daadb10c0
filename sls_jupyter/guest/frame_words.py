"""What brings a frame back, in words of the gate's own.

Arrow has fewer kinds of columns than pandas, so a frame travels with words about it: which columns are its
index, of which dtype each column was, what its labels are. The program writes them, and text of any length
fits in. So they are read as claims: what a claim may say comes from closed lists, every name is that of a
column, and the words that leave are written here from what was understood.

A claim that is not understood is refused (:class:`NotUnderstood`), never passed on and never guessed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.dtypes import fits, is_dtype, is_frequency, is_label_kind, is_time_zone, reads_as_written

MAX_CLAIM_BYTES = 4 * 2**20
MAX_LABEL_LEVELS = 8
MAX_LEVEL_NAME = 1_000  # characters
_INT64 = range(-(2**63), 2**63)
_STANDARD, _OURS = PANDAS_METADATA

_GENERATED_LEVEL = re.compile(r"__index_level_[0-9]{1,3}__\Z")


class NotUnderstood(SlsError):
    """A claim about a frame says something that no frame says."""


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


class _Claim(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Range(_Claim):
    kind: Literal["range"]
    name: str | None = None
    start: int
    stop: int
    step: int


class _LabelLevel(_Claim):
    name: str | int | None = None
    pandas_type: str
    numpy_type: str
    metadata: dict[str, Any] | None = None


class _Column(_Claim):
    field_name: str
    name: Any = None


class _Standard(_Claim):
    index_columns: list[str | _Range]
    column_indexes: list[_LabelLevel]
    columns: list[_Column]


class _Mark(_Claim):
    dtype: str
    null: Literal["none", "nan", "na", "nat"] | None = None
    categories: _Mark | None = None


class _Ours(_Claim):
    columns: dict[str, _Mark]
    frequency: str | None = None
    labels: Any = None


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


def _require(condition: object, what: str) -> None:
    if not condition:
        raise NotUnderstood(f"The words about a frame claim {what}.")


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
    _require(len(set(levels)) == len(levels) and set(levels) <= set(kinds), "an index that is not there")
    columns = [name for name in kinds if name not in levels]
    made = {
        "index_columns": [*levels, *([] if levels else [_range(standard.index_columns, rows, whole)])],
        "column_indexes": _label_levels(standard.column_indexes, columns),
        "columns": _columns(standard.columns, columns, levels),
        "attributes": {},
    }
    marks = {name: _mark(ours.columns.get(name), kind) for name, kind in kinds.items()}
    frequency = ours.frequency if whole else None
    _require(frequency is None or is_frequency(frequency), "a frequency that pandas has not")
    about = {"columns": marks, "frequency": frequency, "labels": _labels(ours.labels, columns)}
    return {_STANDARD: json.dumps(made).encode(), _OURS: json.dumps(about).encode()}


def _count(start: int, stop: int, step: int) -> int | None:
    """How many numbers a range has; ``None`` for one that pandas cannot have."""
    if start not in _INT64 or stop not in _INT64 or step not in _INT64 or not step:
        return None
    return max(0, -((start - stop) // step))


def _level_name(name: Any) -> Any:
    _require(name is None or (isinstance(name, str) and len(name) <= MAX_LEVEL_NAME), "a name that is none")
    return name


def _range(entries: Sequence[str | _Range], rows: int, whole: bool) -> dict[str, Any]:
    """A counted index: where it starts and its step, as far as its rows show them; counted from 0 if rows are gone."""
    claimed = next((entry for entry in entries if isinstance(entry, _Range)), None)
    start, step, name = 0, 1, None if claimed is None else _level_name(claimed.name)
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
            _require(_level_name(name) in (None, field) or _GENERATED_LEVEL.match(field), "another name of a level")
        else:
            missing = (name is None and field == "None") or (name != name and field == "nan")
            _require(field in names and (name == field or missing), "another label of a column")
        plain = {"pandas_type": "object", "numpy_type": "object", "metadata": None}
        made.append({"name": name, "field_name": field, **plain})
    return made


def _label_levels(claimed: Sequence[_LabelLevel], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Name and kind of the labels, for each of their levels."""
    _require(len(claimed) <= MAX_LABEL_LEVELS, "more levels of labels than there can be")
    parts = [(name,) if len(claimed) < 2 else _parts(name, len(claimed)) for name in columns]
    made = []
    for number, level in enumerate(claimed):
        kind = level.pandas_type, level.numpy_type
        _require(is_label_kind(*kind), "an unknown kind of label")
        texts = (label[number] for label in parts)
        _require(all(reads_as_written(text, *kind) for text in texts if isinstance(text, str)), "a label that hides")
        _require(not isinstance(level.name, int) or level.name in _INT64, "a name that is none")
        name = level.name if isinstance(level.name, int) else _level_name(level.name)
        zone = (level.metadata or {}).get("timezone") if level.pandas_type == "datetimetz" else None
        if level.pandas_type == "datetimetz":
            _require(isinstance(zone, str) and is_time_zone(zone), "an unknown time zone")
        kinds = {"pandas_type": level.pandas_type, "numpy_type": level.numpy_type}
        made.append({"name": name, "field_name": name, **kinds, "metadata": {"timezone": zone} if zone else None})
    return made


def _parts(name: str, levels: int) -> tuple[Any, ...]:
    """The labels of which a column's name is the text of a tuple, which the notebook will read as one.

    Raises:
        NotUnderstood: it is none, or has more than its labels: Python reads over spaces, comments and other spellings.
    """
    try:
        value = ast.literal_eval(name)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    plain = (str, int, float, bool, bytes, type(None))
    whole = isinstance(value, tuple) and len(value) == levels and all(isinstance(part, plain) for part in value)
    _require(whole and str(value) == name, "labels of several levels")
    return tuple(value or ())


def _labels(claimed: Any, columns: Sequence[str]) -> Any:
    """``object``, or three numbers that count the labels."""
    if claimed is None or claimed == "object":
        return claimed
    whole = isinstance(claimed, list) and len(claimed) == 3 and all(type(part) is int for part in claimed)
    _require(whole, "labels that are no range")
    start, stop, step = claimed
    if _count(start, stop, step) != len(columns):  # of a part of the columns; the notebook takes the names then
        return None
    _require(
        [str(number) for number in range(start, stop, step)] == list(columns), "labels that are not the columns' names"
    )
    last = start + len(columns) * step
    return [start, last, step]


def _mark(claimed: _Mark | None, kind: pa.DataType) -> dict[str, Any]:
    """How a column becomes what it was."""
    _require(claimed is not None, "nothing about a column")
    assert claimed is not None  # noqa: S101  # said for the type checker
    if pa.types.is_dictionary(kind) and claimed.dtype not in ("arrow", "object"):
        _require(claimed.dtype == "category" and claimed.categories is not None, "other than categories")
        return {"dtype": "category", "categories": _mark(claimed.categories, kind.value_type)}
    if claimed.dtype == "arrow":
        return {"dtype": "arrow"}
    if claimed.dtype == "object":
        return {"dtype": "object", "null": claimed.null or "none"}
    _require(is_dtype(claimed.dtype) and fits(claimed.dtype, kind), "a dtype that the column is not of")
    return {"dtype": claimed.dtype}

"""Words about one column and about the labels of columns, made anew from closed lists.

What :mod:`sls_jupyter.assets.frames` writes into a schema, read as a claim: a dtype is one that pandas has and that the column
can be, a kind of objects is one of the table of kinds and fits the Arrow type, and of labels nothing is said but what
the columns' names show.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from sls_jupyter.errors import SlsError
from sls_jupyter.guest.dtypes import fits, is_dtype, is_frequency

MAX_LABEL_LEVELS = 8
MAX_LEVEL_NAME = 1_000  # characters
INT64 = range(-(2**63), 2**63)
_MAKERS = ("zoneinfo", "timezone", "pytz")
_NUMBERS = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64"),
)
_SEQUENCES = ("list", "tuple", "array", "objects")
_LABEL_KINDS = ("str", "int", "float", "bool", "date")


class NotUnderstood(SlsError):
    """A claim about a frame says something that no frame says."""


class Claim(BaseModel):
    """Something a program says about a frame; what is not asked for is not read."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Mark(Claim):
    """About a column."""

    dtype: str
    null: Literal["none", "nan", "na", "nat"] | None = None
    categories: Mark | None = None
    frequency: str | None = None
    zone: str | None = None
    kind: Any = None
    of: str | None = None
    fill: Any = None
    numpy: bool = False


class LabelMark(Claim):
    """About one level of the labels."""

    dtype: str
    missing: list[str] = []
    null: Literal["none", "nan", "na", "nat"] | None = None
    kinds: str | dict[str, str] | None = None
    zone: str | None = None
    categories: LabelMark | None = None
    values: list[str] = []
    ordered: bool = False


class Labels(Claim):
    """About the labels."""

    names: list[str | int | None]
    levels: list[LabelMark]
    range: list[int] | None = None
    frequency: str | None = None
    several: bool = False


def require(condition: object, what: str) -> None:
    """Raise :class:`NotUnderstood` unless a claim is one that a frame can make."""
    if not condition:
        raise NotUnderstood(f"The words about a frame claim {what}.")


def level_name(name: Any) -> Any:
    """The name of a level of the index or of the labels: a text, a number, or none."""
    if type(name) is int:
        require(name in INT64, "a name that is none")
    else:
        require(name is None or (isinstance(name, str) and len(name) <= MAX_LEVEL_NAME), "a name that is none")
    return name


# --- columns --------------------------------------------------------------------------------------


def mark_anew(claimed: Mark | None, kind: pa.DataType) -> dict[str, Any]:
    """How a column becomes what it was."""
    require(claimed is not None, "nothing about a column")
    assert claimed is not None  # noqa: S101  # said for the type checker
    if pa.types.is_dictionary(kind) and claimed.dtype not in ("arrow", "object"):
        require(claimed.dtype == "category" and claimed.categories is not None, "other than categories")
        return {"dtype": "category", "categories": mark_anew(claimed.categories, kind.value_type)}
    if claimed.dtype == "arrow":
        return {"dtype": "arrow"}
    if claimed.dtype == "object":
        made = {"dtype": "object", "null": claimed.null or "none"}
        return made if claimed.kind is None else made | {"kind": _kind_anew(claimed.kind, kind)}
    if claimed.dtype == "sparse":
        fill = claimed.fill
        plain = fill == "nan" or (type(fill) in (bool, int, float) and fill in (0, 1))  # a number could say anything
        require(claimed.of in _NUMBERS and fits(claimed.of or "", kind) and plain, "a sparse column that is none")
        return {"dtype": "sparse", "of": claimed.of, "fill": fill} | ({"numpy": True} if claimed.numpy else {})
    require(is_dtype(claimed.dtype) and fits(claimed.dtype, kind), "a dtype that the column is not of")
    return {"dtype": claimed.dtype} | _zone(claimed) | _frequency(claimed)


def _frequency(claimed: Mark) -> dict[str, str]:
    require(claimed.frequency is None or is_frequency(claimed.frequency), "a frequency that pandas has not")
    return {} if claimed.frequency is None else {"frequency": claimed.frequency}


def _zone(claimed: Mark | LabelMark) -> dict[str, str]:
    require(claimed.zone is None or claimed.zone in _MAKERS, "a maker of time zones that is none")
    return {} if claimed.zone is None else {"zone": claimed.zone}


def _kind_anew(claimed: Any, kind: pa.DataType) -> Any:
    """What the objects of a column are, checked against its Arrow type, level by level."""
    types = pa.types
    if isinstance(claimed, str):
        require(_fits_kind(claimed, kind), "a kind of objects that the column does not hold")
        return claimed
    require(isinstance(claimed, dict) and len(claimed) == 1, "a kind of objects that is none")
    ((name, inner),) = claimed.items()
    if name in ("dict", "row"):
        whole = types.is_struct(kind) and isinstance(inner, list) and len(inner) == kind.num_fields
        require(whole, "dicts that are none")
        names = [kind.field(i).name for i in range(kind.num_fields)]
        require(name == "dict" or names == [*map(str, range(len(names)))], "tuples that are none")
        return {name: [_kind_anew(one, kind.field(i).type) for i, one in enumerate(inner)]}
    sequence = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    require(name in _SEQUENCES and sequence, "sequences that are none")
    if name != "array":
        return {name: _kind_anew(inner, kind.value_type)}
    moments = isinstance(inner, str) and inner.startswith(("datetime64[", "timedelta64[")) and is_dtype(inner)
    require(inner in _NUMBERS or moments, "arrays of no dtype")
    require(fits(inner, kind.value_type), "arrays of another dtype")
    return {"array": inner}


def _fits_kind(claimed: str, kind: pa.DataType) -> bool:
    """Whether values of an Arrow type can be objects of this kind."""
    types = pa.types
    name, _, more = claimed.partition("[")
    text = types.is_string(kind) or types.is_large_string(kind)
    data = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    plain: dict[str, bool] = {
        "none": types.is_null(kind), "str": text, "bytes": data, "int": types.is_integer(kind),
        "float": types.is_floating(kind), "bool": types.is_boolean(kind), "date": types.is_date(kind),
        "Decimal": text or types.is_decimal(kind), "time": types.is_time(kind), "uuid": kind == pa.binary(16) or kind == pa.uuid(),
        "timedelta": types.is_duration(kind), "Timedelta": types.is_duration(kind),
        **{f"numpy.{one}": fits(one, kind) for one in _NUMBERS},
    }  # fmt: skip
    if claimed in plain:
        return plain[claimed]
    if name in ("datetime", "Timestamp") and types.is_timestamp(kind):
        zoned = more.endswith("]") and more[:-1] in _MAKERS and kind.tz is not None
        return zoned or (not more and claimed == name and kind.tz is None)
    return name == "Period" and kind == pa.int64() and more.endswith("]") and is_frequency(more[:-1])


# --- labels ---------------------------------------------------------------------------------------


def labels_anew(claimed: Labels, columns: Sequence[str], counted: int | None) -> dict[str, Any]:
    """The words about the labels of ``columns``.

    Args:
        counted: how many numbers the claimed range has.
    """
    count = len(claimed.levels)
    require(1 <= count <= MAX_LABEL_LEVELS and len(claimed.names) == count, "more levels of labels than there can be")
    require(claimed.several or count == 1, "levels of labels that are no levels")
    require(claimed.frequency is None or is_frequency(claimed.frequency), "a frequency that pandas has not")
    texts: list[Any] = [[name] for name in columns]
    if claimed.several:
        texts = [_label_parts(name, count) for name in columns]
    levels = [_label_mark(mark, {part[i] for part in texts}) for i, mark in enumerate(claimed.levels)]
    words: dict[str, Any] = {
        "names": [level_name(name) for name in claimed.names],
        "levels": levels,
        "frequency": claimed.frequency,
    }
    words |= {"range": _range(claimed.range, columns, counted)} | ({"several": True} if claimed.several else {})
    require(_shows(columns, words), "a label that hides some of its text")
    return words


def _shows(columns: Sequence[str], words: dict[str, Any]) -> bool:
    """Whether the labels that the notebook will make show all of the text that names each column.

    ``bool("patient 7")`` is ``True``, a float has no place for a hundred digits, and Python reads over comments.
    """
    from sls_jupyter.assets.frames.labels import labels_from, texts_of  # and pandas, which few outputs need
    from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS

    try:
        return not columns or texts_of(labels_from(columns, words)) == list(columns)
    except (*CONVERSION_ERRORS, IndexError, ArithmeticError, RecursionError):
        return False


def _range(claimed: list[int] | None, columns: Sequence[str], counted: int | None) -> list[int] | None:
    if claimed is None:
        return None
    if counted != len(columns):  # of a part of the columns; then each name has to be a number
        require(all(name.removeprefix("-").isdecimal() for name in columns), "labels that are no numbers")
        return [0, 0, 1]
    start, stop, step = claimed
    require(
        [str(number) for number in range(start, stop, step)] == list(columns), "labels that are not the columns' names"
    )
    return [start, start + len(columns) * step, step]


def _label_parts(name: str, levels: int) -> tuple[str, ...]:
    """The parts of a label, whose text is that of a tuple of texts."""
    try:
        value = ast.literal_eval(name)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    whole = isinstance(value, tuple) and len(value) == levels and all(isinstance(part, str) for part in value)
    require(whole, "labels of several levels")
    assert isinstance(value, tuple)  # noqa: S101  # said for the type checker
    return value


def _label_mark(claimed: LabelMark, texts: set[str]) -> dict[str, Any]:
    """One level; a text that no column's name has is not said."""
    missing = [text for text in claimed.missing if text in texts]
    made: dict[str, Any] = {"dtype": claimed.dtype} | ({"missing": missing} if missing else {}) | _zone(claimed)
    if claimed.dtype == "category":
        require(claimed.categories is not None, "other than categories")
        assert claimed.categories is not None  # noqa: S101  # said for the type checker
        values = list(dict.fromkeys(value for value in claimed.values if value in texts))
        inner = _label_mark(claimed.categories, set(values))
        return made | {"categories": inner, "values": values, "ordered": claimed.ordered}
    if claimed.dtype != "object":
        require(is_dtype(claimed.dtype), "an unknown kind of label")
        return made
    kinds = claimed.kinds
    if isinstance(kinds, dict):
        kinds = {text: kind for text, kind in kinds.items() if text in texts}
    require(
        kinds is not None and set([kinds] if isinstance(kinds, str) else kinds.values()) <= set(_LABEL_KINDS),
        "odd labels",
    )
    return made | {"kinds": kinds} | ({"null": claimed.null} if claimed.null else {})

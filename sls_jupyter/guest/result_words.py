"""What Arrow and the words of a sealed frame cannot say about a result: labels of any kind, a Series' name, mixed columns.

A program makes results that nobody would seal: ``True`` and ``False`` as labels, a margin called ``All`` among
numbers, doubled names, sparse columns. They travel as a plain table with one more entry in its schema
(``sls.result``), canonical JSON. The gate reads it as a claim and writes it anew: labels are typed values
(:mod:`.typed`), kinds come from closed lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import MalformedDocument, SlsError
from sls_jupyter.guest import typed, typed_back
from sls_jupyter.guest.dtypes import is_dtype, is_frequency

METADATA = b"sls.result"
MAX_BYTES = 4 * 2**20
MAX_LABEL_BYTES = 1_000  # of one label or name
MAX_LEVELS = 8
MAX_VALUE_BYTES = 2**28
MAX_VALUES = 10_000_000  # in one typed value
NAMELESS = "value"  # the one column of a Series whose name is no text


class NotUnderstood(SlsError):
    """A claim about a result says something that no result says."""


class _Words(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Level(_Words):
    """One level of labels: its values and what they are."""

    name: Any = None  # typed
    dtype: str  # pandas' name; category and range are kinds of their own
    values: list[Any]  # typed; of a range start, stop and step
    codes: list[int] | None = None  # of categories
    of: str | None = None  # dtype of the categories
    ordered: bool = False
    frequency: str | None = None


class Sparse(_Words):
    """A column that was sparse."""

    of: str  # dtype of its values
    fill: Any  # typed


class ResultWords(_Words):
    """All that a result has beside its table."""

    labels: list[Level] | None = None  # of the columns
    multi: bool = False  # the labels have levels, if only one
    series: list[Any] | None = None  # the typed name of a Series, alone in a list
    levels: list[str] | None = None  # columns that are the index, in their order
    names: list[Any] | None = None  # their typed names
    kinds: list[Level] | None = None  # and what index they make, without values
    typed: list[str] = []  # columns whose cells are typed values as JSON
    sparse: dict[str, Sparse] = {}
    source: Literal["pandas", "polars"] = "pandas"
    enums: list[str] = []  # polars columns of fixed categories

    def encode(self) -> bytes:
        return canonical_json(self.model_dump(mode="json", exclude_defaults=True))

    def without_frequency(self) -> ResultWords:
        """The same about a part of the rows."""
        kinds = None if self.kinds is None else [one.model_copy(update={"frequency": None}) for one in self.kinds]
        return self.model_copy(update={"kinds": kinds})

    def without_unused(self) -> ResultWords:
        """The same without categories that no label has."""
        labels = None if self.labels is None else [_used(one) for one in self.labels]
        return self.model_copy(update={"labels": labels})

    @property
    def empty(self) -> bool:
        return self == ResultWords()


def _used(level: Level) -> Level:
    if level.codes is None:
        return level
    kept = sorted({code for code in level.codes if code >= 0})
    places = {code: place for place, code in enumerate(kept)}
    codes = [places.get(code, -1) for code in level.codes]
    return level.model_copy(update={"values": [level.values[code] for code in kept], "codes": codes})


def parse(claim: bytes) -> ResultWords:
    """A claim as it is understood.

    Raises:
        NotUnderstood: it says anything that is not from the closed lists, or too much.
    """
    try:
        words = ResultWords(**parse_json(claim, max_bytes=MAX_BYTES))
        for level in [*(words.labels or []), *(words.kinds or [])]:
            _check_level(level)
        for name in [*(words.series or []), *(words.names or [])]:
            _check_label(name)
        for sparse in words.sparse.values():
            _require(is_dtype(sparse.of))
            _check_label(sparse.fill)
            fill = typed_back.decode(sparse.fill)  # a number beside the rows could say anything
            _require(isinstance(fill, bool | int | float) and (fill in (0, 1) or fill != fill))
        _require(len(words.labels or []) <= MAX_LEVELS and len(words.levels or []) <= MAX_LEVELS)
        _require(len(words.levels or []) == len(words.names or []) == len(words.kinds or []))
        _require(words.series is None or len(words.series) == 1)
    except (ValidationError, MalformedDocument, TypeError) as error:
        raise NotUnderstood(
            "The words about a result are not of the expected form.", found=type(error).__name__
        ) from None
    return words


def _require(condition: object) -> None:
    if not condition:
        raise NotUnderstood("The words about a result claim what no result has.")


def _check_label(value: Any) -> None:
    again = typed.encode(typed_back.decode(value))
    _require(again == value and len(canonical_json(value)) <= MAX_LABEL_BYTES)


def _check_level(level: Level) -> None:
    _require(level.dtype in ("object", "category", "range") or is_dtype(level.dtype))
    _require(level.of is None or level.of == "object" or is_dtype(level.of))
    _require(level.frequency is None or is_frequency(level.frequency))
    for value in (level.name, *level.values):
        _check_label(value)
    _require(level.codes is None or all(-1 <= code < len(level.values) for code in level.codes))


# --- labels -----------------------------------------------------------------------------------------


def levels_of(labels: pd.Index[Any]) -> list[Level]:
    """An index as levels.

    Raises:
        typed.Untyped: a label has no exact form.
    """
    return [_level(labels.get_level_values(i)) for i in range(labels.nlevels)]


def _level(labels: pd.Index[Any]) -> Level:
    name = typed.encode(labels.name)
    if isinstance(labels, pd.RangeIndex):
        return Level(name=name, dtype="range", values=[labels.start, labels.stop, labels.step])
    if isinstance(labels, pd.CategoricalIndex):
        inner = _level(labels.categories)
        given = inner.values if inner.dtype != "range" else [typed.encode(one) for one in labels.categories.tolist()]
        codes, of = [int(code) for code in labels.codes], "int64" if inner.dtype == "range" else inner.dtype
        return Level(name=name, dtype="category", values=given, codes=codes, of=of, ordered=bool(labels.ordered))
    values = [typed.encode(value) for value in labels.astype(object).tolist()]
    frequency = getattr(labels, "freqstr", None) if isinstance(labels, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    return Level(name=name, dtype=dtype_name(labels.dtype), values=values, frequency=frequency)


def dtype_name(dtype: Any) -> str:
    """pandas' name of a dtype, which names it fully."""
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return str(dtype)


def index_of(levels: Sequence[Level], multi: bool) -> pd.Index[Any]:
    """The labels that :func:`levels_of` described."""
    made = [_index(level) for level in levels]
    return pd.MultiIndex.from_arrays(made, names=[one.name for one in made]) if multi or len(made) > 1 else made[0]


def _index(level: Level) -> pd.Index[Any]:
    name = typed_back.decode(level.name)
    values: Any = [typed_back.decode(value) for value in level.values]
    if level.dtype == "range":
        start, stop, step = values
        return pd.RangeIndex(start, stop, step, name=name)
    if level.dtype == "category":
        categories = pd.Index(values, dtype=level.of, tupleize_cols=False)
        coded = pd.Categorical.from_codes(level.codes or [], categories, ordered=level.ordered)
        return pd.CategoricalIndex(coded, name=name)
    made: Any = pd.Index(values, dtype=level.dtype, name=name, tupleize_cols=False)
    if level.frequency is not None:
        made = type(made)(made, freq=level.frequency, name=name)
    return made  # type: ignore[no-any-return]


def value_in(table: pa.Table) -> Any:
    """The plain value in a table of shape ``value``.

    Raises:
        MalformedDocument: it is none.
    """
    column = table.column(0) if table.num_columns else None
    if column is None or table.num_rows != 1 or not pa.types.is_large_string(column.type) or column.null_count:
        raise MalformedDocument("A value is not of a form in which values travel.", found="its table")
    text = column[0].as_py()
    return typed_back.decode(parse_json(text.encode(), max_bytes=MAX_VALUE_BYTES, max_values=MAX_VALUES))

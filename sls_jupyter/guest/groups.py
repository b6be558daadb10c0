"""Lets pandas write down what it counts: reductions of groups, of whole columns, and what is computed from those.

Only reductions that cannot give back one record's value count: not ``first``, ``min``, ``median`` or a quantile.
A cell's size is the number of values that went into it, missing ones left out, so that a mean of one value in a
group of thirty is a group of one. What the ledger makes of a table is in :mod:`.group_rows`.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy, SeriesGroupBy

from sls_jupyter.guest import noted_math
from sls_jupyter.guest.counted import LEDGER, MARK, MAX_CELLS, Cell, Key, Uncounted, is_number, parts, token
from sls_jupyter.guest.group_rows import read

SIZE_COLUMN = "__sls_group_size__"
BY_VALUES = ("all", "any", "mean", "nunique", "prod", "sem", "skew", "kurt", "std", "sum", "var")
BY_ROWS = ("count", "size")  # they tell how many there are, and not what
_CALLABLES = (len, builtins.sum)  # pandas calls them with a group's values; numpy's come back to pandas

Sizes = pd.Series  # of int, by the keys of the groups


# --- groups -----------------------------------------------------------------------------------------


def _group_sizes(grouped: Any, size: Callable[[Any], Any]) -> Any:
    sizes = size(grouped)
    if isinstance(sizes, pd.DataFrame):  # as_index=False
        sizes = sizes.set_index(list(sizes.columns[:-1]))[sizes.columns[-1]]
    return sizes


def _group_keys(sizes: Any) -> list[frozenset[Key]]:
    names = [("level", i) if name is None else name for i, name in enumerate(sizes.index.names)]
    found = []
    for label, size in sizes.items():
        values = label if isinstance(sizes.index, pd.MultiIndex) else (label,)
        for name, value in zip(names, values, strict=True):
            LEDGER.note_key(name, value, int(size))
        found.append(frozenset((name, token(value)) for name, value in zip(names, values, strict=True)))
    return found


def _first_stage(grouped: Any, sizes: Any) -> Any:
    """The sizes of groups of rows that are groups themselves: as many records as the smallest of them has, at least."""
    if MARK not in grouped.obj.attrs:
        return sizes
    frame = grouped.obj.to_frame("value") if grouped.obj.ndim == 1 else grouped.obj
    try:
        behind = np.asarray(read(frame, LEDGER).sizes)
    except Uncounted:
        return sizes
    numbers = grouped.ngroup().to_numpy()
    least = [min(behind[numbers == number], default=0) for number in range(len(sizes))]
    return pd.Series(np.maximum(sizes.to_numpy(), least), index=sizes.index)


def _values_behind(result: Any, column: int, counts: Any, sizes: Any) -> list[int]:
    """How many values went into each cell of a column."""
    if counts is None:
        return [int(size) for size in sizes]
    if counts.ndim == 1:
        return [int(count) for count in counts]
    label = result.columns[column] if result.ndim == 2 else result.name
    found = counts[label] if label in counts.columns else None
    return [0] * len(sizes) if found is None or found.ndim == 2 else [int(count) for count in found]


def _noting(method: Callable[..., Any], size: Any, count: Any) -> Callable[..., Any]:
    """A reduction of groups whose results are written down; ``count`` is ``None`` for one that only counts."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if not isinstance(result, pd.DataFrame | pd.Series):
            return result
        sizes = _group_sizes(self, size)
        if len(result) != len(sizes):
            return result
        counts, keys = None if count is None else count(self), _group_keys(sizes)
        staged = _first_stage(self, sizes)
        more = staged.to_numpy() - sizes.to_numpy()
        columns = result.columns if result.ndim == 2 else [result.name]
        cells: list[list[Cell | None]] = []
        for i, label in enumerate(columns):
            if result.ndim == 2 and not self.as_index and label in sizes.index.names:
                cells.append([None] * len(sizes))  # the keys
                continue
            behind = _values_behind(result, i, counts, sizes)
            column = frozenset(map(token, parts(label)))
            series: Any = result.iloc[:, i] if isinstance(result, pd.DataFrame) else result
            values = series.astype(object).tolist()
            known = zip(values, behind, more, keys, strict=True)
            cells.append(
                [
                    Cell(int(number + extra) if number else 0, key, column) if is_number(value) else None
                    for value, number, extra, key in known
                ]
            )
        LEDGER.note_table(result, cells)
        return result

    return call


def _noting_counts(method: Callable[..., Any]) -> Callable[..., Any]:
    """``value_counts``, whose values are its sizes."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        counts = method(self, *args, **{**kwargs, "normalize": False}) if not args else result
        if isinstance(result, pd.Series) and len(counts) == len(result):
            sizes = counts if counts.index.equals(result.index) else counts.reindex(result.index)
            if pd.api.types.is_integer_dtype(sizes.dtype):
                keys = _group_keys(sizes)
                LEDGER.note_table(result, [[Cell(int(n), key) for n, key in zip(sizes, keys, strict=True)]])
        return result

    return call


def _noting_keys(method: Callable[..., Any], size: Any) -> Callable[..., Any]:
    """``agg`` and ``apply``: what they give is noted by the reductions that they call; here are the keys."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = tuple(map(_counted, args)), {name: _counted(value) for name, value in kwargs.items()}
        _group_keys(_group_sizes(self, size))
        result = method(self, *args, **kwargs)
        if isinstance(result, pd.DataFrame | pd.Series):
            result.attrs[MARK] = True
        return result

    return call


def _counted(function: Any) -> Any:
    """A description of aggregations, in which Python's own reductions write down what they give."""
    if isinstance(function, dict):
        return {name: _counted(one) for name, one in function.items()}
    if isinstance(function, pd.NamedAgg):
        return pd.NamedAgg(function.column, _counted(function.aggfunc))
    if type(function) in (list, tuple):
        return type(function)(map(_counted, function))
    if not any(function is one for one in _CALLABLES):
        return function

    @functools.wraps(function)
    def call(values: Any) -> Any:
        result = function(values)
        LEDGER.note(result, Cell(len(values)))
        return result

    return call


# --- cross tables -----------------------------------------------------------------------------------


def _crosstab(method: Callable[..., Any]) -> Callable[..., Any]:
    """A cross table of counts: each is its own size, also of the shares that are made of them."""

    @functools.wraps(method)
    def call(index: Any, columns: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(index, columns, *args, **kwargs)
        if args or kwargs.get("values") is not None:
            return result
        counts = method(index, columns, **{**kwargs, "normalize": False})
        sizes = counts.reindex(index=result.index, columns=result.columns)
        rows = [_side(result.index, label) for label in result.index]
        tops = [_side(result.columns, label) for label in result.columns]
        for axis, keys in ((sizes.sum(axis=1), rows), (sizes.sum(axis=0), tops)):
            for number, names in zip(axis, keys, strict=True):
                for name, value in names:
                    LEDGER.note_key(name, value, int(number))
        cells: list[list[Cell | None]] = [
            [Cell(0 if pd.isna(n) else int(n), row | top) for n, row in zip(sizes.iloc[:, i], rows, strict=True)]
            for i, top in enumerate(tops)
        ]
        LEDGER.note_table(result, cells)
        return result

    return call


def _side(labels: Any, label: Any) -> frozenset[Key]:
    names = [("level", labels.name, i) if name is None else name for i, name in enumerate(labels.names)]
    return frozenset((name, token(value)) for name, value in zip(names, parts(label), strict=False))


def install() -> None:
    """Let pandas write down what it counts, in this process."""
    for cls in (DataFrameGroupBy, SeriesGroupBy):
        size, count = cls.size, cls.count
        for name in (*BY_VALUES, *BY_ROWS):
            if hasattr(cls, name):
                by = count if name in BY_VALUES else None
                setattr(cls, name, _noting(getattr(cls, name), size, by))
        for name in ("agg", "aggregate", "apply", "describe"):
            setattr(cls, name, _noting_keys(getattr(cls, name), size))
        setattr(cls, "value_counts", _noting_counts(cls.value_counts))  # noqa: B010  # mypy refuses the assignment
    for one in (pd.DataFrame, pd.Series):
        setattr(one, "value_counts", _noting_counts(one.value_counts))  # noqa: B010
    pd.crosstab = _crosstab(pd.crosstab)
    noted_math.install()


# --- what leaves ------------------------------------------------------------------------------------


def sizes_of(value: Any) -> list[int]:
    """For each row of a frame or Series, how many records it describes at least.

    Raises:
        Uncounted: it shows anything that no group of a known size stands behind.
    """
    frame = value
    if isinstance(value, pd.Series):
        frame = value.to_frame("value" if value.name is None else value.name)
    try:
        return read(frame, LEDGER).sizes
    except Uncounted:
        if LEDGER.count < MAX_CELLS:
            raise
        raise Uncounted("full") from None


def names_groups(frame: pd.DataFrame) -> bool:
    """Whether labels of columns are keys of groups, as a pivot's are."""
    return any(token(part) in LEDGER.keys for label in frame.columns for part in parts(label))


def without_sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it leaves: without our mark, with whatever else its attrs hold."""
    if MARK not in frame.attrs:
        return frame
    plain = frame.copy(deep=False)
    plain.attrs = {name: value for name, value in frame.attrs.items() if name != MARK}
    return plain

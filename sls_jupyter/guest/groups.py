"""Sizes of groups: remembers, for every pandas aggregation, how many rows each group had.

An owner's ``--min-group`` needs to know how many rows a row of a result describes. Aggregations of a
``groupby`` note that in ``DataFrame.attrs``, where pandas carries it through sorting, renaming and
``reset_index``; :func:`sizes_of` reads it back for the rows that are left.

This is the program's own word. It protects against an honest cell's small groups, not against a
hostile cell: that is what review of the code is for (``docs/threat-model.md``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pandas as pd
from pandas.api.typing import DataFrameGroupBy, SeriesGroupBy

ATTRIBUTE = "sls.group_sizes"
SIZE_COLUMN = "__sls_group_size__"
REDUCTIONS = (  # not first, last, idxmin, idxmax: one person's value; not value_counts: it has sizes of its own
    *("agg", "aggregate", "all", "any", "count", "describe", "max", "mean", "median", "min", "nunique", "prod"),
    *("quantile", "sem", "size", "skew", "std", "sum", "var"),
)


class GroupSizes:
    """Group key to number of rows. One object for all copies of a frame, however deep they are."""

    def __init__(self, sizes: pd.Series[int]) -> None:
        self.sizes = sizes  # indexed by the group keys

    def __deepcopy__(self, _: object) -> GroupSizes:
        return self

    __copy__ = __deepcopy__


def _sizes(grouped: Any, original_size: Callable[[Any], Any]) -> GroupSizes:
    sizes = original_size(grouped)
    if isinstance(sizes, pd.DataFrame):  # as_index=False
        sizes = sizes.set_index(list(sizes.columns[:-1]))[sizes.columns[-1]]
    return GroupSizes(sizes)


def _noting(method: Callable[..., Any], original_size: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if isinstance(result, pd.DataFrame | pd.Series) and ATTRIBUTE not in result.attrs:
            result.attrs[ATTRIBUTE] = _sizes(self, original_size)
        return result

    return call


def install() -> None:
    """Let pandas' groupby note sizes, in this process."""
    for cls in (DataFrameGroupBy, SeriesGroupBy):
        size = cls.size
        for name in REDUCTIONS:
            if hasattr(cls, name):
                setattr(cls, name, _noting(getattr(cls, name), size))


def sizes_of(frame: pd.DataFrame) -> list[int] | None:
    """For each row, how many rows of the input it describes; ``None`` when nothing is known.

    A row whose key is not among the noted groups counts as 0.
    """
    noted = frame.attrs.get(ATTRIBUTE)
    if not isinstance(noted, GroupSizes):
        return None
    names = list(noted.sizes.index.names)
    keys = _keys(frame, names)
    if keys is None:
        return None
    known = {_as_tuple(key): int(size) for key, size in noted.sizes.items()}
    return [known.get(key, 0) for key in keys]


def without_sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it leaves: without our note, with whatever else its attrs hold."""
    if ATTRIBUTE not in frame.attrs:
        return frame
    plain = frame.copy(deep=False)
    plain.attrs = {name: value for name, value in frame.attrs.items() if name != ATTRIBUTE}
    return plain


def _keys(frame: pd.DataFrame, names: list[Any]) -> list[tuple[Any, ...]] | None:
    """Each row's group key, from index levels or columns of the keys' names."""
    parts = []
    for name in names:
        if name is not None and name in frame.index.names:
            parts.append(frame.index.get_level_values(name))
        elif name is not None and name in frame.columns:
            parts.append(pd.Index(frame[name]))
        elif names == [None] and frame.index.nlevels == 1:
            parts.append(frame.index)
        else:
            return None
    return list(zip(*parts, strict=True))


def _as_tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)

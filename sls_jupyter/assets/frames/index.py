"""The index of a frame: its levels are columns with names, a counted one is three numbers, a frequency is a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.frames.families import as_index, back, to_arrow
from sls_jupyter.assets.frames.frequencies import with_frequency
from sls_jupyter.assets.frames.refusals import Inexact


def level_fields(index: pd.Index[Any], columns: set[str]) -> list[str]:
    """The name in Arrow of each level; none for a counted index."""
    if isinstance(index, pd.RangeIndex):
        return []
    names = list(index.names)
    plain = [type(name) is str and name not in columns and names.count(name) == 1 for name in names]
    return [
        str(name) if fits else f"__index_level_{i}__" for i, (name, fits) in enumerate(zip(names, plain, strict=True))
    ]


def level_name(index: pd.Index[Any], number: int) -> str:
    """How a refusal calls a level."""
    name = index.names[number]
    return "index" if name is None and index.nlevels == 1 else f"index level {str(number if name is None else name)!r}"


def check_name(name: Any) -> None:
    """Refuse a level's name that cannot be said in words."""
    if name is not None and type(name) not in (str, int):
        raise Inexact(
            f"a name of the type {type(name).__name__[:60]}", "Rename it: frame.index = frame.index.rename(…)"
        )


def level_to_arrow(index: pd.Index[Any], number: int) -> tuple[Any, dict[str, Any]]:
    """One level as a column, with its mark; a missing value of several levels is a null, whatever the level's dtype."""
    if not isinstance(index, pd.MultiIndex):
        return to_arrow(index)
    level, codes = index.levels[number], index.codes[number]
    array, mark = to_arrow(level)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    places = pa.array(codes, mask=codes < 0)
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(array.type, array.storage.take(places)), mark
    return array.take(places), mark


def index_from(
    present: list[tuple[pa.ChunkedArray, dict[str, Any], Any]],
    counted: dict[str, Any] | None,
    rows: int,
    frequency: str | None,
    one_level: bool = False,
) -> pd.Index[Any]:
    """The index again.

    Args:
        present: column, mark and name of each level that is there.
        counted: of a counted index its name and three numbers.
        one_level: it is a MultiIndex although it had one level.
    """
    if len(present) > 1 or (present and one_level):
        return _levels(present)
    if present:
        column, mark, name = present[0]
        index = as_index(back(column, mark), name)
        return with_frequency(index, frequency)
    if counted is not None:
        found = pd.RangeIndex(counted["start"], counted["stop"], counted["step"], name=counted["name"])
        if len(found) == rows:
            return found
    return pd.RangeIndex(rows)


def _levels(present: list[tuple[pa.ChunkedArray, dict[str, Any], Any]]) -> pd.MultiIndex:
    levels: list[Any] = []
    codes: list[Any] = []
    for column, mark, _ in present:
        there = column.is_valid().to_numpy()
        if pa.types.is_dictionary(column.type) and mark["dtype"] == "category":
            level, found = _factorized(as_index(back(column, mark)))
            found = found[there]
        elif _is_text(column.type, mark):
            level, found = _factorized_text(column.drop_null(), mark)
        else:
            level, found = _factorized(as_index(back(column.drop_null(), mark)))
        places = np.full(len(column), -1)
        places[there] = found
        levels.append(level)
        codes.append(places)
    return pd.MultiIndex(levels=levels, codes=codes, names=[name for _, _, name in present], verify_integrity=False)


def _is_text(kind: pa.DataType, mark: dict[str, Any]) -> bool:
    """Whether it is text in both, not decimals as their text."""
    return kind in (pa.string(), pa.large_string()) and mark.get("kind", "str") == "str"


def _factorized_text(column: pa.ChunkedArray, mark: dict[str, Any]) -> tuple[pd.Index[Any], Any]:
    """The texts that there are, sorted, and their places, by Arrow: to pandas 2 a text ends at its first NUL."""
    values = pc.unique(column)
    values = values.take(pc.sort_indices(values))
    return as_index(back(pa.chunked_array([values]), mark)), pc.index_in(column, values).to_numpy()


def _factorized(index: pd.Index[Any]) -> tuple[pd.Index[Any], Any]:
    """The values that there are, sorted where they can be, and their places."""
    if isinstance(index, pd.CategoricalIndex):  # all categories, used or not
        made: Any = pd.Categorical
        every = made.from_codes(np.arange(len(index.categories)), dtype=index.dtype)
        return pd.CategoricalIndex(every), index.codes
    if not len(index):
        return index, np.array([], int)
    one = pd.MultiIndex.from_arrays([index])
    return one.levels[0], one.codes[0]

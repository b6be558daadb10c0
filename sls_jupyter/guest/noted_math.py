"""What is computed from counted values is counted too: shares, differences, rounded numbers, sums over groups.

A value's size is then the smallest of those it was made of, because from a share and its whole the part can be
told. What is computed with anything else than counted values, numbers and texts is not noted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.guest.counted import COLUMN, LEDGER, MARK, MISSING, Cell, Uncounted, is_number, parts, token, tokens
from sls_jupyter.guest.group_rows import read

_OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
_SPECIAL = tuple(f"__{side}{name}__" for name in _OPERATORS for side in ("", "r"))
_FLEXIBLE = (*_OPERATORS, "div", "rdiv", *(f"r{name}" for name in _OPERATORS))
_ALONE = ("round", "abs", "astype", "clip", "fillna", "__neg__", "convert_dtypes", "infer_objects", "to_timestamp")
_OVER_ROWS = ("cumsum", "cumprod", "cummax", "cummin", "diff", "pct_change", "rank")
WHOLE = ("count", "kurt", "kurtosis", "mean", "nunique", "prod", "sem", "skew", "std", "sum", "var")
SINGLE = ("max", "min", "median", "quantile", "item")
MAX_SINGLES = 1_000  # of one result
_CONSTANTS = (bool, int, float, complex, str, np.number, np.bool_, type(None), type)
_inside = False  # a noted operation calls others of pandas; one note is enough


Known = dict[tuple[Any, Any], Cell]  # row and column of an operand; by label


def _as_frame(value: Any) -> pd.DataFrame:
    frame: pd.DataFrame = value if value.ndim == 2 else value.to_frame("value" if value.name is None else value.name)
    return frame


def _one(cells: tuple[Cell, ...]) -> Cell | None:
    """One cell for what may be several."""
    if not cells:
        return None
    keys = functools.reduce(frozenset.__and__, (cell.keys for cell in cells))
    return Cell(min(cell.size for cell in cells), keys, cells[0].column)


def _cells(value: Any) -> list[list[Cell | None]] | None:
    """The cells of each column; ``None`` when not all of them are counted."""
    try:
        found = read(_as_frame(value), LEDGER, marked=True)  # a column has lost its keys; the result is looked at again
    except Uncounted:
        return None
    return [[None] * len(value) if column is None else [_one(one) for one in column] for column in found.columns]


def _known(value: Any) -> Known | None:
    cells = _cells(value)
    if cells is None or not value.index.is_unique or (value.ndim == 2 and not value.columns.is_unique):
        return None
    labels = list(value.columns) if value.ndim == 2 else [None]
    rows = list(value.index)
    return {
        (row, label): cell
        for label, column in zip(labels, cells, strict=True)
        for row, cell in zip(rows, column, strict=True)
        if cell is not None
    }


def _find(known: Known, operand: Any, row: Any, label: Any, other_axis: bool) -> Cell | None:
    """What of an operand went into a cell of the result."""
    if operand.ndim == 2:
        return known.get((row, label))
    return known.get((label if other_axis else row, None))


def _joined(cells: Iterable[Cell | None], label: Any) -> Cell:
    """A value made of these; of nothing, when one is missing."""
    given = list(cells)
    if any(cell is None for cell in given):
        return Cell(0)
    whole = [cell for cell in given if cell is not None]
    return Cell(
        min((cell.size for cell in whole), default=0),
        frozenset().union(*(cell.keys for cell in whole)),
        frozenset(map(token, parts(label))),
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, pd.DataFrame | pd.Series)


def _note(result: Any, operands: list[Any], *, over_columns: bool = False) -> None:
    """Write down what was computed element by element, as far as all operands are counted."""
    known = [_known(one) for one in operands]
    if any(one is None for one in known):
        result.attrs.pop(MARK, None)
        return
    wide = any(one.ndim == 2 for one in operands)
    labels = list(result.columns) if result.ndim == 2 else [None]
    across = [wide and one.ndim == 1 and over_columns for one in operands]
    table = [
        [
            _joined((_find(k or {}, one, row, label, a) for k, one, a in zip(known, operands, across, strict=True)),
                    result.name if label is None else label)
            for row in result.index
        ]
        for label in labels
    ]  # fmt: skip
    LEDGER.note_table(result, table)


def _spell(result: Any, operand: Any) -> None:
    """Labels computed from labels: ``ages // 10 * 10``."""
    if not (isinstance(result, pd.Series | pd.Index) and isinstance(operand, pd.Series | pd.Index)):
        return
    if not LEDGER.can_hold(len(operand)) or len(result) != len(operand):
        return
    origins = [LEDGER.labels.get(one) for one in tokens(operand)]
    if all(origins):
        for made, keys in zip(tokens(result), origins, strict=True):
            if made is not MISSING:
                LEDGER.note_spelling(made, keys or ())


def _once(method: Callable[..., Any], after: Callable[..., None]) -> Callable[..., Any]:
    """A method after which something is noted, unless pandas calls it from within another one."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        global _inside
        if _inside or not LEDGER.count:
            return method(self, *args, **kwargs)
        _inside = True
        try:
            result = method(self, *args, **kwargs)
            after(result, self, *args, **kwargs)
        finally:
            _inside = False
        return result

    return call


def _is_single(value: Any) -> bool:
    """Whether a number is one record's; a share of the largest income, and the income, tell each other."""
    one = token(value)
    return one in LEDGER.singles and one not in LEDGER.cells and one not in LEDGER.numbers


def _after_operator(result: Any, left: Any, other: Any = None, *args: Any, axis: Any = "columns", **_: Any) -> None:
    if args:
        axis = args[0]
    if not _is_table(result):
        return
    if isinstance(other, _CONSTANTS):
        if _is_single(other):
            result.attrs.pop(MARK, None)
            return
        _spell(result, left)
        _note(result, [left])
    elif _is_table(other):
        _note(result, [left, other], over_columns=axis in ("columns", 1))
    else:
        result.attrs.pop(MARK, None)


def _after_alone(result: Any, value: Any, *_: Any, **__: Any) -> None:
    if _is_table(result) and result.shape == value.shape:
        _spell(result, value)
        _by_place(result, _cells(value))


def _by_place(result: Any, cells: list[list[Cell | None]] | None, least: int | None = None) -> None:
    if cells is None:
        result.attrs.pop(MARK, None)
        return
    if least is not None:
        cells = [[cell and Cell(least, cell.keys, cell.column) for cell in column] for column in cells]
    LEDGER.note_table(result, cells)


def _after_rows(result: Any, value: Any, *_: Any, **__: Any) -> None:
    if _is_table(result) and result.shape == value.shape:
        cells = _cells(value)
        sizes = [cell.size for column in cells or [] for cell in column if cell is not None]
        _by_place(result, cells, min(sizes, default=0))


def _after_ufunc(result: Any, value: Any, ufunc: Any, how: str, *inputs: Any, **_: Any) -> None:
    tables = [one for one in inputs if _is_table(one)]
    if how != "__call__" or not _is_table(result):
        return
    if all(_is_table(one) or (isinstance(one, _CONSTANTS) and not _is_single(one)) for one in inputs):
        _note(result, tables)
    else:
        result.attrs.pop(MARK, None)


# --- over whole columns -------------------------------------------------------------------------------


def _after_whole(result: Any, value: Any, *args: Any, axis: Any = 0, **_: Any) -> None:
    axis = args[0] if args else axis
    if value.ndim == 1:
        if not _is_table(result) and is_number(result):
            _note_scalar(result, value)
    elif isinstance(result, pd.Series):
        over_rows = axis in (0, "index")
        if over_rows or axis in (1, "columns"):
            _note_side(result, value, over_rows)


def _note_scalar(result: Any, values: pd.Series[Any]) -> None:
    cells = _cells(values) if MARK in values.attrs else None
    sizes = [cell.size for cell in cells[0] if cell is not None] if cells else []
    LEDGER.note(result, Cell(max(int(values.notna().sum()), min(sizes, default=0)), frozenset(),
                             frozenset(map(token, parts(values.name)))))  # fmt: skip


def _note_side(result: pd.Series[Any], table: pd.DataFrame, over_rows: bool) -> None:
    """A reduction of each column, or of each row of counted values; a row of one record is not counted."""
    cells = _cells(table)
    if not over_rows and cells is None:
        result.attrs.pop(MARK, None)
        return
    made: list[Cell | None] = []
    lines: list[Any] = (cells if over_rows else list(zip(*cells or [], strict=True))) or [[] for _ in table.columns]
    places = list(table.columns) if over_rows else list(table.index)
    for place, line in zip(places, lines, strict=True):
        if place not in result.index:  # left out as no numbers
            continue
        if not is_number(result.iloc[len(made)]):
            made.append(None)
            continue
        given = [cell for cell in line if cell is not None]
        behind = int(table[place].notna().sum()) if over_rows and table.columns.is_unique else 0
        size = max(behind, min((cell.size for cell in given), default=0))
        keys = functools.reduce(frozenset.__and__, (cell.keys for cell in given)) if given else frozenset()
        own = {(COLUMN, token(one)) for one in parts(place)} if over_rows else frozenset()
        made.append(Cell(size, keys | own))
    if len(made) == len(result):
        for place in places if over_rows else ():
            for one in parts(place):
                LEDGER.note_key(COLUMN, one, len(table))
        LEDGER.note_table(result, [made])


def _after_map(result: Any, value: Any, *_: Any, **__: Any) -> None:
    """Numbers of the code in the place of keys."""
    if isinstance(result, pd.Series | pd.Index) and LEDGER.can_hold(len(value)) and len(result) == len(value):
        origins = [LEDGER.labels.get(one) for one in tokens(value)]
        made = tokens(result)
        if all(origins) and all(one in LEDGER.numbers for one in made):
            for one, keys in zip(made, origins, strict=True):
                LEDGER.note_spelling(one, keys or ())


def _always(method: Callable[..., Any]) -> Callable[..., Any]:
    """A whole reduction; within aggregations of groups too, where pandas calls it for each group."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        global _inside
        was, _inside = _inside, True
        try:
            result = method(self, *args, **kwargs)
            if not was:
                _after_whole(result, self, *args, **kwargs)
        finally:
            _inside = was
        return result

    return call


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    """What gives one record's value: a number that it returns is remembered."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if isinstance(result, int | float | np.number):
            LEDGER.note_single(result)
        elif isinstance(result, pd.Series) and len(result) <= MAX_SINGLES and isinstance(self, pd.DataFrame):
            for value in result.astype(object).tolist():
                LEDGER.note_single(value)
        return result

    return call


def install() -> None:
    """Let pandas' arithmetic write down what it makes of counted values."""
    for cls in (pd.DataFrame, pd.Series):
        for names, after in (
            (_SPECIAL + _FLEXIBLE, _after_operator),
            (_ALONE, _after_alone),
            (_OVER_ROWS, _after_rows),
        ):
            for name in names:
                if hasattr(cls, name):
                    setattr(cls, name, _once(getattr(cls, name), after))
        for name in WHOLE:
            setattr(cls, name, _always(getattr(cls, name)))
        for name in ("map", "replace"):
            setattr(cls, name, _once(getattr(cls, name), _after_map))
        setattr(cls, "__array_ufunc__", _once(getattr(cls, "__array_ufunc__"), _after_ufunc))  # noqa: B009, B010
    some: Any = pd.Series([0])
    for one_class, name in (
        *((pd.Series, one) for one in SINGLE),
        *((pd.DataFrame, one) for one in SINGLE if one != "item"),
        *((type(access), "__getitem__") for access in (some.iloc, some.loc, some.at, some.iat)),
        (pd.Series, "__getitem__"),
    ):
        setattr(one_class, name, _telling(getattr(one_class, name)))
    setattr(pd.Index, "map", _once(pd.Index.map, _after_map))  # noqa: B010

"""Reads a table against the ledger: which cells stand behind each of its values, and how many records behind each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pandas as pd

from sls_jupyter.guest.counted import MARK, MISSING, Cell, Key, Ledger, Token, Uncounted, parts, token, tokens

MAX_EXPLAINED = 10_000  # rows of a table whose columns are looked at only to say what is wrong
_NOBODY = Cell(0)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A column or an index level."""

    name: Any
    tokens: list[Token]
    labels: frozenset[Token]  # the parts of its name
    is_index: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What stands behind a table."""

    columns: list[list[tuple[Cell, ...]] | None]  # for each column its rows' possible cells; None: it holds labels
    sizes: list[int]  # for each row the least number of records behind a value of it


def _pieces(frame: pd.DataFrame, ledger: Ledger) -> tuple[list[_Piece], list[_Piece]]:
    columns = [
        _Piece(label, tokens(frame.iloc[:, i]), frozenset(map(token, parts(label))))
        for i, label in enumerate(frame.columns)
    ]
    levels = [
        _Piece(name, tokens(frame.index.get_level_values(i)), frozenset([token(name)]), is_index=True)
        for i, name in enumerate(frame.index.names)
    ]
    return columns, [level for level in levels if not _only_counts_rows(frame, level, ledger)]


def _only_counts_rows(frame: pd.DataFrame, level: _Piece, ledger: Ledger) -> bool:
    """An index that says in which order rows once stood."""
    if isinstance(frame.index, pd.RangeIndex):
        return True
    plain = frame.index.nlevels == 1 and level.name is None and pd.api.types.is_integer_dtype(frame.index.dtype)
    if not plain or all(one in ledger.labels for one in level.tokens):
        return False
    places = range(
        ledger.longest if frame.index.is_unique else len(frame)
    )  # doubled ones: frames that were put together
    return all(one in places for one in level.tokens)


def _are_cells(piece: _Piece, ledger: Ledger) -> bool:
    return all(one in ledger.cells or one is MISSING or one == 0 for one in piece.tokens)


def _are_labels(piece: _Piece, ledger: Ledger) -> bool:
    return all(ledger.origins(one) is not None for one in piece.tokens)


def _kinds(pieces: list[_Piece], ledger: Ledger) -> tuple[list[_Piece], list[_Piece]]:
    """Which pieces hold counted values, and which hold labels.

    Raises:
        Uncounted: one holds neither.
    """
    values, labels, either, neither = [], [], [], []
    for piece in pieces:
        counted, named = _are_cells(piece, ledger), _are_labels(piece, ledger)
        if counted and named and not piece.is_index and piece.name not in ledger.key_names:
            either.append(piece)
        elif named and (piece.is_index or piece.name in ledger.key_names or not counted):
            labels.append(piece)
        elif counted:
            values.append(piece)
        else:
            neither.append(piece)
    if neither:
        columns = [piece for piece in neither if not piece.is_index]
        raise Uncounted("column" if columns else "index", [piece.name for piece in columns or neither])
    return values + either, labels


def _best(known: Sequence[Cell], labels: frozenset[Token], exact: frozenset[Key]) -> tuple[Cell, ...]:
    """Of the cells with one value those whose group fits the labels best."""
    if len(known) == 1:
        return (known[0],)
    fits = [_fit(cell, labels, exact) for cell in known]
    return tuple(cell for cell, fit in zip(known, fits, strict=True) if fit == max(fits))


def _fit(cell: Cell, labels: frozenset[Token], exact: frozenset[Key]) -> tuple[int, int, bool, int]:
    """How well a cell fits the labels around it.

    What it shares, what of that under its own name, whether it is of a group, and what else the group has. Names tell
    keys apart that may be called the same: a condition's False and a code's 0.
    """
    keys = {value for _, value in cell.keys}
    shared = len(labels & (keys | cell.column))
    return shared, len(exact & cell.keys), bool(keys), -len(keys - labels) if labels & keys else 0


def _candidates(value: Token, labels: frozenset[Token], exact: frozenset[Key], ledger: Ledger) -> tuple[Cell, ...]:
    """The cells that a value may be. A zero that nobody counted is that of an empty group; a gap may be of none."""
    known = ledger.likely(value, labels)
    if value is MISSING:
        return tuple(cell for cell in known if cell.keys and {one for _, one in cell.keys} | cell.column <= labels)
    return _best(known, labels, exact) if known else (_NOBODY,)


def _tokens_of(cells: tuple[Cell, ...]) -> frozenset[Token]:
    return frozenset(value for cell in cells for _, value in cell.keys) | frozenset().union(*(c.column for c in cells))


def read(frame: pd.DataFrame, ledger: Ledger, *, marked: bool | None = None) -> Found:
    """What stands behind a table.

    Args:
        marked: it comes from a reduction; otherwise whole numbers without a key beside them are not taken for counts.

    Raises:
        Uncounted: with the reason, when it shows anything that no group of a known size stands behind.
    """
    if not ledger.can_hold(len(frame)):
        if MARK in frame.attrs and len(frame) <= MAX_EXPLAINED:  # a column of persons beside is a better reason
            _kinds([piece for pieces in _pieces(frame, ledger) for piece in pieces], ledger)
        raise Uncounted("none" if not ledger.count else "repeated" if MARK in frame.attrs else "rows")
    columns, levels = _pieces(frame, ledger)
    values, labels = _kinds(columns + levels, ledger)
    if not values:
        raise Uncounted("labels")
    named = [_row_labels(labels, row, ledger) for row in range(len(frame))]
    exact = [frozenset((piece.name, piece.tokens[row]) for piece in labels) for row in range(len(frame))]
    cells = {
        id(piece): [
            _candidates(one, piece.labels | named[row], exact[row], ledger) for row, one in enumerate(piece.tokens)
        ]
        for piece in values
    }
    marked = MARK in frame.attrs if marked is None else marked
    rows = [[cells[id(piece)][row] for piece in values] for row in range(len(frame))]
    _require_groups(rows, labels, ledger)
    if not marked:
        _require_keys(values, rows, named)
    _require_once(rows, [tuple(piece.tokens[row] for piece in values) for row in range(len(frame))], named)
    _require_one_group(values, rows)
    sizes = [_size(row, labels, number, ledger) for number, row in enumerate(rows)]
    return Found([cells.get(id(piece)) for piece in columns], sizes)


def _row_labels(labels: list[_Piece], row: int, ledger: Ledger) -> frozenset[Token]:
    return frozenset().union(*(ledger.origins(piece.tokens[row]) or set() for piece in labels))


def _size(row: list[tuple[Cell, ...]], labels: list[_Piece], number: int, ledger: Ledger) -> int:
    """The least number of records behind a row; keys beside values of whole columns have groups of their own."""
    behind = [cell.size for cells in row for cell in cells]
    if not any(cell.keys for cells in row for cell in cells):
        origins = [ledger.origins(piece.tokens[number]) or set() for piece in labels]
        behind += [max(ledger.key_sizes.get(key, 0) for key in keys) for keys in origins if keys - _columns(row)]
    return min(behind, default=0)


def _columns(row: list[tuple[Cell, ...]]) -> frozenset[Token]:
    return frozenset().union(*(cell.column for cells in row for cell in cells))


def _require_groups(rows: list[list[tuple[Cell, ...]]], labels: list[_Piece], ledger: Ledger) -> None:
    """Each row's labels are the keys of one cell in it."""
    for number, row in enumerate(rows):
        known = [_tokens_of(cells) for cells in row if cells and cells != (_NOBODY,)]
        keyed = any(cell.keys for cells in row for cell in cells)
        wrong: list[list[_Piece]] = []
        for tokens_of in known:
            missed = []
            for piece in labels:
                origins = ledger.origins(piece.tokens[number]) or set()
                if (
                    origins
                    and not ledger.is_free(piece.tokens[number])
                    and not origins & tokens_of
                    and (keyed or not origins & ledger.key_sizes.keys())
                ):
                    missed.append(piece)
            wrong.append(missed)
        if known and all(wrong):
            raise Uncounted("joined", [piece.name for piece in min(wrong, key=len)])


def _require_keys(values: list[_Piece], rows: list[list[tuple[Cell, ...]]], named: list[frozenset[Token]]) -> None:
    """Numbers of a frame that lost its origin: each row has a key, or a fraction, which does not come by chance."""
    for number, row in enumerate(rows):
        by_key = any(named[number] & _tokens_of(cells) for cells in row)
        fraction = any(isinstance(one := piece.tokens[number], float) and not one.is_integer() for piece in values)
        if not by_key and not fraction and any(cells and cells != (_NOBODY,) for cells in row):
            raise Uncounted("keys")


def _require_once(
    rows: list[list[tuple[Cell, ...]]], values: list[tuple[Token, ...]], named: list[frozenset[Token]]
) -> None:
    """No group has two rows. Values of whole columns have no keys; what is written beside them tells them apart."""
    seen: Counter[Any] = Counter()
    for row, shown, labels in zip(rows, values, named, strict=True):
        if any(cells and cells != (_NOBODY,) for cells in row):
            keyed = any(cell.keys for cells in row for cell in cells)
            seen[(tuple(row), shown, None if keyed else labels)] += 1
    for (row, *_), count in seen.items():
        if count > max(sum(cell.times for cell in cells) for cells in row):
            raise Uncounted("repeated")


def _require_one_group(values: list[_Piece], rows: list[list[tuple[Cell, ...]]]) -> None:
    """The groups of a row's cells are one group, or those around it; a column of a pivot has a key of its own."""
    every = [
        _shared([keys for row in rows if (keys := _shared([cell.keys for cell in row[i]]))]) for i in range(len(values))
    ]
    for row in rows:
        known = [(i, [cell.keys for cell in cells]) for i, cells in enumerate(row) if cells and cells != (_NOBODY,)]
        groups = [(_shared(keys) - every[i], frozenset[Key]().union(*keys)) for i, keys in known]
        if groups and not any(all(own <= around for own, _ in groups) for _, around in groups):
            raise Uncounted("joined")


def _shared(sets: list[frozenset[Key]]) -> frozenset[Key]:
    return reduce(frozenset.__and__, sets) if sets else frozenset()

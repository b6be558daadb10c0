"""Chains of operations on results of groups and on rows of persons, generated. Run as a script; see ``group_shapes.py``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from group_shapes import MINIMUM, forget, persons
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.guest import groups
from sls_jupyter.guest.counted import LEDGER, Uncounted

Frame = Any
KEYS = st.lists(st.sampled_from(["sex", "city", "ill", "code"]), min_size=1, max_size=2, unique=True)
HOW = st.lists(
    st.sampled_from(["mean", "sum", "std", "count", "size", "nunique", "var"]), min_size=1, max_size=3, unique=True
)
MOVES: dict[str, Callable[[Frame], Frame]] = {
    "sorted": lambda t: t.sort_values(next(iter(t.columns))),
    "by index": lambda t: t.sort_index(ascending=False),
    "columns": lambda t: t.reset_index() if not isinstance(t.index, pd.RangeIndex) else t,
    "turned": lambda t: t.iloc[::-1],
    "head": lambda t: t.head(3),
    "rounded": lambda t: t.round(3),
    "copied": lambda t: t.copy(deep=True),
    "shares": lambda t: t.assign(share=t.iloc[:, -1] / t.iloc[:, -1].sum()),
    "renamed": lambda t: t.rename(columns={"mean": "average", "size": "n"}),
    "unstacked": lambda t: t.unstack() if t.index.nlevels > 1 else t,
    "twice as much": lambda t: t.assign(more=t.iloc[:, -1] * 2),
    "rebuilt": lambda t: pd.DataFrame({name: t[name] for name in t.columns}),
    "beside itself": lambda t: pd.concat([t, t.add_suffix("_2")], axis=1),
}
SPOILS: dict[str, Callable[[Frame, Frame], Frame]] = {
    "names beside": lambda t, x: t.assign(who=x.name.head(len(t)).tolist()),
    "incomes beside": lambda t, x: t.assign(pay=x.income.head(len(t)).to_numpy()),
    "names as index": lambda t, x: t.set_axis(x.name.head(len(t)).tolist(), axis=0),
    "repeated": lambda t, x: t.iloc[np.repeat(range(len(t)), 20)],
    "sampled": lambda t, x: t.sample(20 * len(t), replace=True, random_state=1),
    "plus an income": lambda t, x: t.assign(v=t.iloc[:, -1] + x.income.head(len(t)).to_numpy()),
    "rows below": lambda t, x: pd.concat([t, x[["income"]].head(3)]),
    "first": lambda t, x: t.assign(v=x.groupby("sex").name.first().iloc[0]),
}


def leaving(value: Any) -> tuple[int, int, str]:
    try:
        sizes = groups.sizes_of(value)
    except Uncounted as error:
        return 0, len(value), error.why
    return sum(size >= MINIMUM for size in sizes), len(sizes), ""


def result(x: pd.DataFrame, keys: list[str], how: list[str]) -> pd.DataFrame:
    forget()
    LEDGER.constants |= {"average", "n", "more", "share"}
    LEDGER.numbers |= {2, 3, 20}  # as the code of a cell has them
    made: pd.DataFrame = x.groupby(keys).income.agg(how)
    return made


@settings(deadline=None, max_examples=120, database=None, derandomize=True)
@given(keys=KEYS, how=HOW, moves=st.lists(st.sampled_from(sorted(MOVES)), max_size=4))
def honest_chains_leave(keys: list[str], how: list[str], moves: list[str]) -> None:
    """Whatever is done with a result of large groups, all of it leaves."""
    table = result(persons(), keys, how)
    for move in moves:
        if table.columns.is_unique:
            table = MOVES[move](table)
    if not table.columns.is_unique:
        return
    left, rows, why = leaving(table)
    assert left == rows, (left, rows, why, table)


@settings(deadline=None, max_examples=120, database=None, derandomize=True)
@given(
    keys=KEYS,
    how=HOW,
    moves=st.lists(st.sampled_from(sorted(MOVES)), max_size=2),
    spoil=st.sampled_from(sorted(SPOILS)),
)
def spoiled_chains_stay(keys: list[str], how: list[str], moves: list[str], spoil: str) -> None:
    """One column, label or row of persons in it, and no row leaves."""
    x = persons()
    table = result(x, keys, how)
    for move in moves:
        if table.columns.is_unique:
            table = MOVES[move](table)
    if not table.columns.is_unique or table.columns.nlevels > 1:
        return
    left, rows, _ = leaving(SPOILS[spoil](table, x))
    assert not left, (left, rows, table)


@settings(deadline=None, max_examples=80, database=None)
@given(
    columns=st.lists(
        st.sampled_from(["sex", "city", "age", "income", "name", "size", "code", "ill"]), min_size=1, unique=True
    ),
    rows=st.lists(st.integers(0, 239), min_size=1, max_size=60, unique=True),
    keys=KEYS,
    called=st.sampled_from(["n", "count", "size", "group_size"]),
)
def persons_stay(columns: list[str], rows: list[int], keys: list[str], called: str) -> None:
    """Rows of the data do not leave, with their columns called what they like, after anything was counted."""
    x = persons()
    x.groupby(keys)[["income", "age", "size"]].agg(["mean", "sum", "count"])
    x.groupby("age").size()
    part = x[columns].iloc[rows]
    left, _, _ = leaving(part.rename(columns={columns[-1]: called}))
    assert not left, part


def main() -> int:
    warnings.simplefilter("ignore")
    np.random.seed(0)
    groups.install()
    honest_chains_leave()
    spoiled_chains_stay()
    persons_stay()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Why a named output did not leave, in words for its recipient: which column, the true reason, what works instead.

The program says what it found, and the sentences are ours: a name that the cell chose could be a patient's. What may stand in
them are names of columns that were granted and, where every owner lets errors out in full, what the program says of a
value that has no form: bounded, one line, and only where a table may leave.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any

from sls_jupyter.guest.plain_text import released_text

_OF_PANDAS = ("first", "last", "min", "max", "median", "25%", "50%", "75%", "top", "freq", "unique")  # its own names
MAX_NAMES, MAX_NAME, MAX_WORDS = 5, 100, 600  # names; characters
_GROUP = (
    "Return what groupby(…) gives with size, count, sum, mean, std, var or nunique; "
    "first, min, max, median, quantiles and functions of your own can be one record's value"
)

_UNCOUNTED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "column": (
            "{} with values that no size, count, sum, mean or the like of a group gave",
            f'{_GROUP}. Of describe() take .agg(["count", "mean", "std"]).',
        ),
        "index": (
            "an index ({}) with labels that are no keys of groups",
            'Make labels before you group: x.assign(k=…).groupby("k").',
        ),
        "joined": (
            "rows whose values and labels ({}) belong to several groups",
            'Group by all keys at once: x.groupby(["a", "b"]).',
        ),
        "repeated": ("rows that repeat a group", "Return one row for each group."),
        "rows": ("more rows than groups were counted", f"{_GROUP}."),
        "none": ("no group was counted in this run", f"{_GROUP}. pandas counts; polars and SQL do not."),
        "labels": ("only labels, and no value that was counted", f"{_GROUP}."),
        "keys": ("counts without the keys of their groups", "Keep the keys: reset_index() without drop=True."),
        "value": ("a value that does not tell how many records it is made of", 'Return a table: x[["a"]].mean().'),
        "no pandas": (
            "a table that pandas did not count, so the sizes of its groups are not known",
            "Do the last aggregation with pandas: frame.to_pandas().groupby(…).",
        ),
        "full": ("more values were counted in this run than are remembered", "Count fewer groups in one run."),
        "small": ("no group that is large enough", "Group by fewer keys, or make their ranges wider: pd.cut(…)."),
        "lists": ("lists, each of which can hold a value of every record", f"{_GROUP}."),
    }
)


def one_line(value: Any, limit: int) -> str:
    """Text of the program's, cut and on one line."""
    return " ".join(released_text(str(value)).split())[:limit]


def uncounted_words(told: Any, granted: Container[str]) -> dict[str, str]:
    """Found and hint for a table of which no sizes are known.

    Args:
        granted: names of columns that may be told; what else the cell calls its columns stays inside.
    """
    about = told if isinstance(told, dict) else {}
    found, hint = _UNCOUNTED.get(str(about.get("why")), _UNCOUNTED["column"])
    where = about.get("where")
    told_names = [one for one in where if isinstance(one, str)] if isinstance(where, list) else []
    names = [repr(one_line(one, MAX_NAME)) for one in told_names if one in granted or one in _OF_PANDAS][:MAX_NAMES]
    subject = ", ".join(names)
    if about.get("why") == "column":
        subject = f"the column {subject}" if len(names) == 1 else f"the columns {subject}" if names else "a column"
    return {"found": found.format(subject or "of the cell's own"), "hint": hint}


def problem_words(why: Any, hint: Any) -> dict[str, str]:
    """Found and hint for a value that has no form in which it leaves; empty if the program did not say."""
    found = {"found": one_line(why, MAX_WORDS), "hint": one_line(hint, MAX_WORDS)} if isinstance(why, str) else {}
    return {name: text for name, text in found.items() if text}

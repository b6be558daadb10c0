"""Labels of columns: a column's name in Arrow is its label's text, and a few words make the label of it again.

So a part of the columns has its labels too, and nothing is said about a column that its name does not show. For each
level of the labels the words are a mark like a column's; ``missing`` are the texts that stand for a missing label,
``kinds`` says which texts are of which type where they differ, ``values`` are a category's, used or not.
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.assets.frames.objects import NULLS, is_object
from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS, Inexact
from sls_jupyter.assets.frames.zones import made_zone, zone_words

TEXT_HINT = "Make the labels text: frame.columns = frame.columns.map(str)"
LABEL_KINDS: dict[type, str] = {str: "str", int: "int", float: "float", bool: "bool", dt.date: "date"}
_OBJECTS: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": {"True": True, "False": False}.__getitem__, "date": dt.date.fromisoformat,
}  # fmt: skip


def texts_of(labels: pd.Index[Any]) -> list[str]:
    """The name of each column in Arrow."""
    if isinstance(labels, pd.MultiIndex):
        return [str(tuple(str(part) for part in label)) for label in labels]
    return [str(label) for label in labels]


def words_of(labels: pd.Index[Any]) -> dict[str, Any]:
    """What :func:`labels_from` needs beside the texts.

    Raises:
        Inexact: labels that would come back as others.
    """
    for name in labels.names:
        if name is not None and type(name) not in (str, int):
            raise Inexact(
                f"labels whose name is of the type {type(name).__name__[:60]}", "frame.columns.names = [None]"
            )
    words: dict[str, Any] = {"names": list(labels.names), "range": None, "frequency": getattr(labels, "freqstr", None)}
    if isinstance(labels, pd.MultiIndex):
        words["several"] = True
    if isinstance(labels, pd.RangeIndex):
        words |= {"range": [labels.start, labels.stop, labels.step]}
    words["levels"] = [_mark(labels.get_level_values(i)) for i in range(labels.nlevels)]
    try:
        back = labels_from(texts_of(labels), words)
        pd.testing.assert_index_equal(back, labels, exact=True)
        same = isinstance(labels, pd.MultiIndex) or list(map(type, back)) == list(map(type, labels))
        same = same and getattr(back, "freq", None) == getattr(labels, "freq", None)
    except (AssertionError, *CONVERSION_ERRORS):
        same = False
    if not same:
        raise Inexact(f"labels of type {type(labels).__name__} and dtype {str(labels.dtype)[:60]}", TEXT_HINT)
    return words


def _mark(level: pd.Index[Any]) -> dict[str, Any]:
    dtype, present = level.dtype, level[level.notna()]
    mark: dict[str, Any] = {"dtype": str(dtype)}
    if missing := sorted({str(label) for label in level[level.isna()]}):
        mark["missing"] = missing
    if isinstance(dtype, pd.CategoricalDtype):
        values = [str(value) for value in dtype.categories]
        return mark | {"categories": _mark(dtype.categories), "values": values, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        name = "string" if dtype.na_value is pd.NA else "str"
        return mark | {"dtype": f"{name}[{'pyarrow' if dtype.storage.startswith('pyarrow') else 'python'}]"}
    if isinstance(dtype, pd.DatetimeTZDtype):
        name, maker = zone_words(dtype.tz)
        return mark | {"dtype": f"datetime64[{dtype.unit}, {name}]", "zone": maker}
    if is_object(level):
        kinds = {str(label): LABEL_KINDS.get(type(label), "") for label in present}
        if not all(kinds.values()):
            raise Inexact(
                "labels of the types " + ", ".join(sorted({type(one).__name__[:60] for one in present})), TEXT_HINT
            )
        mark["kinds"] = next(iter(kinds.values()), "str") if len(set(kinds.values())) < 2 else kinds
        if missing:
            known = {"None": "none", "<NA>": "na", "NaT": "nat", "nan": "nan"}
            mark["null"] = known.get(missing[0], "nan")
    return mark


def labels_from(texts: Sequence[str], words: dict[str, Any]) -> pd.Index[Any]:
    """The labels of the columns with these names, all of them or a part.

    Raises:
        ValueError, KeyError and others: the words do not fit the names.
    """
    names, levels = words["names"], words["levels"]
    if words["range"] is not None:
        start, stop, step = words["range"]
        counted = pd.RangeIndex(start, stop, step, name=names[0])
        if list(map(str, counted)) == list(texts):
            return counted
        return pd.Index([int(text) for text in texts], dtype="int64", name=names[0])
    if words.get("several"):
        parts = [ast.literal_eval(text) for text in texts]
        return pd.MultiIndex.from_arrays(
            [_level([part[i] for part in parts], mark) for i, mark in enumerate(levels)], names=names
        )
    index = _level(texts, levels[0]).rename(names[0])
    if words["frequency"] is not None and isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        with contextlib.suppress(ValueError):  # a part of the columns
            index = type(index)(index, freq=words["frequency"])
    return index


def _level(texts: Sequence[str], mark: dict[str, Any]) -> pd.Index[Any]:
    dtype, missing = mark["dtype"], set(mark.get("missing", ()))
    if dtype == "category":
        categories = _level(mark["values"], mark["categories"])
        places = {text: place for place, text in enumerate(mark["values"])}
        codes = [-1 if text in missing else places[text] for text in texts]
        return pd.CategoricalIndex(pd.Categorical.from_codes(codes, categories=categories, ordered=mark["ordered"]))
    given = [None if text in missing else text for text in texts]
    if dtype == "object":
        kinds, null = mark["kinds"], NULLS[mark.get("null", "none")]
        made = [
            null if text is None else _OBJECTS[kinds if isinstance(kinds, str) else kinds[text]](text) for text in given
        ]
        return pd.Index(made, dtype=object)
    return _typed(given, dtype, mark)


def _typed(given: list[Any], dtype: str, mark: dict[str, Any]) -> pd.Index[Any]:
    """Texts as an index of a dtype that pandas has a name for."""
    if dtype.startswith("str"):
        name, _, storage = dtype.partition("[")
        made: Any = pd.StringDtype
        na = {"na_value": np.nan} if name == "str" else {}
        try:
            index: pd.Index[Any] = pd.Index(given, dtype=made(storage[:-1] or "pyarrow", **na))
        except TypeError:  # pandas 2.2
            index = pd.Index([np.nan if text is None else text for text in given], dtype=object)
        return index
    if dtype.startswith("datetime64"):
        unit = dtype[11:].rstrip("]").split(",")[0]
        stamps: list[Any] = [pd.NaT if text is None else pd.Timestamp(text) for text in given]
        if "," not in dtype:
            return pd.DatetimeIndex(np.array([stamp.to_datetime64() for stamp in stamps], dtype=f"M8[{unit}]"))
        plain = [
            stamp.to_datetime64() if stamp is pd.NaT else stamp.tz_convert(None).to_datetime64() for stamp in stamps
        ]
        zone = made_zone(dtype.partition(", ")[2][:-1], mark.get("zone", "zoneinfo"))
        return pd.DatetimeIndex(np.array(plain, dtype=f"M8[{unit}]")).tz_localize("UTC").tz_convert(zone)
    if dtype.startswith("timedelta64"):
        spans = [np.timedelta64("NaT") if text is None else pd.Timedelta(text).to_timedelta64() for text in given]
        return pd.TimedeltaIndex(np.array(spans, dtype=dtype.replace("timedelta64", "m8")))
    if dtype.startswith("period"):
        return pd.PeriodIndex(given, freq=dtype[7:-1])
    if dtype.startswith("interval"):
        return _intervals(given, dtype)
    if dtype in ("bool", "boolean"):
        return pd.Index([None if text is None else _OBJECTS["bool"](text) for text in given], dtype=dtype)
    number = float if "float" in dtype.lower() else int
    return pd.Index([None if text is None else number(text) for text in given], dtype=dtype)


def _intervals(given: list[Any], dtype: str) -> pd.Index[Any]:
    of, _, closed = dtype[9:-1].rpartition(", ")
    parts = [("nan", "nan") if text is None else text[1:-1].split(", ") for text in given]
    ends: list[Any] = []
    for side in (0, 1):
        texts = [None if text is None else part[side] for text, part in zip(given, parts, strict=True)]
        ends.append(_typed(texts, of, {}))
    made: Any = pd.IntervalIndex
    index: pd.Index[Any] = made.from_arrays(ends[0], ends[1], closed=closed)
    return index

"""Columns of Python objects: their exact types, all of them, decide how they are stored; the same words bring them back.

A *kind* says what the values are:

=======================  =============================================================================
``"int"``                values of one type of :mod:`.scalars`
``{"list": kind}``       lists of values of one kind; ``{"tuple": kind}`` the same for tuples
``{"array": "int64"}``   numpy arrays of one dimension and this dtype
``{"objects": kind}``    numpy arrays of objects
``{"dict": [kinds]}``    dicts with the same text keys in the same order
``{"row": [kinds]}``     tuples of one length, with a kind for each place
``"none"``               nothing but missing values
=======================  =============================================================================

Anything else is refused: sets, enums, subclasses, values of several kinds.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import itertools
import operator
import threading
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.frames.rectangles import rectangle
from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS, CONVERT, MIXED, ONE_MISSING, Inexact
from sls_jupyter.assets.frames.scalars import BY_KIND, SCALARS, as_numpy, owned

Kind = Any  # JSON
Values = Any  # a list, or a numpy array of objects
MISSING = {NoneType: "none", type(pd.NA): "na", type(pd.NaT): "nat", float: "nan"}
NULLS = {"none": None, "na": pd.NA, "nat": pd.NaT, "nan": np.nan}
_ARRAY_DTYPES = "iufbmM"
_AS_THEY_LIE = {str, bytes, dt.date}  # a list of them, which others are quicker with, would be as large as the column
MAX_PLACES = 1_000  # of a tuple whose places have kinds of their own: each is a column
_LONG = 16  # values in a list on average, from which each list is made on its own
_FEW_ROWS = 1 << 10  # in a chunk on average, below which nested values are merged before they are brought back


def is_object(values: Any) -> bool:
    """Whether a column, an index or an array has the dtype ``object``."""
    return bool(values.dtype == object)


# --- in -------------------------------------------------------------------------------------------


def types_of(values: Values) -> set[type]:
    """The exact types of all values."""
    first = type(values[0]) if len(values) else NoneType
    if operator.countOf(map(type, values), first) == len(values):  # the usual case, in half the time
        return {first} if len(values) else set()
    return set(map(type, values))


def to_arrow(values: Any) -> tuple[pa.Array, dict[str, Any]]:
    """A column of objects and its mark, with which :func:`back` makes it again.

    Raises:
        Inexact: some values would come back as others.
    """
    objects = np.asarray(values, dtype=object)
    types = types_of(objects)
    missing, found = _missing(objects, types)
    array, kind = encode(found, types if found is objects else None)
    return array, {"dtype": "object", "null": missing, "kind": kind}


def _missing(values: Values, types: set[type]) -> tuple[str, Values]:
    """How missing values are written, and the values with ``None`` for each of them."""
    possible = types & set(MISSING)
    if not possible or types == {NoneType}:
        return "none", values
    rest = types - set(MISSING)
    if float in types and not rest:  # then NaN is a number like others
        rest = {float}
        possible = possible - rest
    elif float in types and not all(value != value for value in values if type(value) is float):
        raise Inexact(_names(types), MIXED)
    if len(possible) > 1:
        raise Inexact(
            "several kinds of missing values: " + ", ".join(sorted(MISSING[one] for one in possible)), ONE_MISSING
        )
    if not possible or possible == {NoneType}:
        return "none", values
    (kind,) = possible
    return MISSING[kind], [None if type(value) is kind else value for value in values]


def _names(types: set[type]) -> str:
    return "values of the kinds " + ", ".join(sorted(one.__name__[:60] for one in types - {NoneType}))


def encode(values: Values, types: set[type] | None = None) -> tuple[pa.Array, Kind]:
    """Values of one kind, ``None`` where one is missing, as an array.

    Args:
        types: of all values, where they are known.
    """
    types = (types_of(values) if types is None else types) - {NoneType}
    if not types:
        return pa.nulls(len(values)), "none"
    if len(types) > 1:
        raise Inexact(_names(types), MIXED)
    (one,) = types
    if one not in _AS_THEY_LIE and isinstance(values, np.ndarray):
        values = values.tolist()
    try:
        if one in SCALARS:
            return SCALARS[one].to_arrow(values)
        if one in (list, tuple):
            return (one is list and rectangle(values)) or _sequences_or_rows(values, one.__name__)
        if one is dict:
            return _dicts(values)
        if one is np.ndarray:
            return _arrays(values)
    except CONVERSION_ERRORS as error:  # the error's text may hold a value
        raise Inexact(f"{one.__name__} values that Arrow has not ({type(error).__name__})") from None
    raise Inexact(
        f"mixed or unknown values of the type {one.__name__[:60]}", MIXED if one in (set, frozenset) else CONVERT
    )


def _lists(values: list[Any], child: pa.Array) -> pa.Array:
    """Lists of the lengths that ``values`` have."""
    gaps = any(value is None for value in values)
    known = (0 if value is None else len(value) for value in values) if gaps else map(len, values)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(known, np.int64, len(values)), out=offsets[1:])
    mask = pa.array([value is None for value in values]) if gaps else None
    if offsets[-1] < 2**31:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), child, mask=mask)
    return pa.LargeListArray.from_arrays(pa.array(offsets), child, mask=mask)


def _sequences(values: list[Any], name: str) -> tuple[pa.Array, Kind]:
    child, kind = encode(list(itertools.chain.from_iterable(filter(_is_there, values))))
    return _lists(values, child), {name: kind}


def _sequences_or_rows(values: list[Any], name: str) -> tuple[pa.Array, Kind]:
    """Sequences of one kind; or tuples in which each place has its own, such as the pairs of a map."""
    try:
        return _sequences(values, name)
    except Inexact:
        lengths = {len(value) for value in values if value is not None}
        if name != "tuple" or len(lengths) != 1 or not 0 < max(lengths) <= MAX_PLACES:
            raise
    array, kinds = _struct(values, range(lengths.pop()))
    return array, {"row": kinds}


def _struct(values: list[Any], keys: Sequence[Any]) -> tuple[pa.StructArray, list[Kind]]:
    """What each value has under each key, one child for each."""
    children = [encode([None if value is None else value[key] for value in values]) for key in keys]
    fields = [pa.field(str(key), child.type) for key, (child, _) in zip(keys, children, strict=True)]
    gaps = any(value is None for value in values)
    mask = pa.array([value is None for value in values]) if gaps else None
    array = pa.StructArray.from_arrays([child for child, _ in children], fields=fields, mask=mask)
    return array, [kind for _, kind in children]


def _is_there(value: Any) -> bool:
    return value is not None


def _arrays(values: list[Any]) -> tuple[pa.Array, Kind]:
    present = [value for value in values if value is not None]
    dtypes = set(map(operator.attrgetter("dtype"), present))
    if set(map(operator.attrgetter("ndim"), present)) != {1} or len(dtypes) > 1:
        raise Inexact(
            "arrays of several dtypes or of more than one dimension", "Use arrays of one dtype and dimension."
        )
    (dtype,) = dtypes
    joined = np.concatenate(present)
    if dtype.kind == "O":
        child, kind = encode(joined.tolist())
        return _lists(values, child), {"objects": kind}
    if dtype.kind not in _ARRAY_DTYPES or not dtype.isnative:
        raise Inexact(f"arrays of dtype {dtype}")
    return _lists(values, pa.array(joined, from_pandas=False)), {"array": str(dtype)}


def _dicts(values: list[Any]) -> tuple[pa.Array, Kind]:
    present = [value for value in values if value is not None]
    keys = tuple(present[0])
    if not keys or set(map(type, keys)) != {str} or operator.countOf(map(tuple, present), keys) != len(present):
        raise Inexact(
            "dicts with other keys, in another order, or without any",
            "It mixes kinds of dicts: give all the same text keys in one order, or convert them to text with json.dumps.",
        )
    array, kinds = _struct(values, keys)
    return array, {"dict": kinds}


# --- and back -------------------------------------------------------------------------------------


def back(column: pa.ChunkedArray, mark: dict[str, Any]) -> Any:
    """The column of objects that :func:`to_arrow` was given."""
    kind = mark.get("kind") or kind_of(column.type)
    with _without_collecting():
        values: Any = decode(_merged(column) if not isinstance(kind, str) else column, kind)
    if not isinstance(values, np.ndarray) or values.dtype != object:
        values = np.fromiter(values, dtype=object, count=len(column))  # looks at no value, as an assignment would
    else:
        values = owned(values)
    if mark.get("null", "none") != "none" and column.null_count:
        values[column.is_null().to_numpy()] = NULLS[mark["null"]]
    return values


_collecting = threading.Lock()
_paused: list[bool] = []  # for each thread that is at it, whether collecting was on before


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Many lists at once look like garbage to be searched, again and again, which takes most of the time."""
    with _collecting:
        _paused.append(gc.isenabled() if not _paused else _paused[0])
        gc.disable()
    try:
        yield
    finally:
        with _collecting:
            if _paused.pop() and not _paused:
                gc.enable()


def _merged(column: pa.ChunkedArray) -> Any:
    """Small chunks as one; large ones as they are, which saves a copy."""
    return column.combine_chunks() if len(column) < _FEW_ROWS * column.num_chunks else column


def decode(column: Any, kind: Kind) -> Any:
    """Values of a kind: a list or an array of objects, ``None`` where one is missing."""
    if isinstance(kind, str):
        if kind == "none":
            return [None] * len(column)
        return BY_KIND[kind.partition("[")[0]].back(column, kind)
    if isinstance(column, pa.ChunkedArray):
        return list(itertools.chain.from_iterable(decode(chunk, kind) for chunk in column.chunks))
    ((name, inner),) = kind.items()
    if name == "dict":
        return _dicts_back(column, inner)
    if name == "row":
        return _with_nulls([*zip(*_children_back(column, inner), strict=True)], column)
    return _sequences_back(column, name, inner)


def _dicts_back(array: pa.StructArray, kinds: list[Kind]) -> Any:
    if all(_as_pyarrow(array.field(i), kind) for i, kind in enumerate(kinds)):
        return array.to_numpy(zero_copy_only=False)
    keys = [array.type.field(i).name for i in range(array.type.num_fields)]
    rows = zip(*_children_back(array, kinds), strict=True)
    dicts: list[Any] = [dict(zip(keys, row, strict=True)) for row in rows]
    return _with_nulls(dicts, array)


def _children_back(array: pa.StructArray, kinds: list[Kind]) -> list[Any]:
    return [decode(array.field(i), kind) for i, kind in enumerate(kinds)]


def _as_pyarrow(values: pa.Array, kind: Kind) -> bool:
    """Whether pyarrow, in half the time, makes the same objects of the values of a dict's key as :func:`decode`."""
    if values.null_count or kind not in ("str", "int", "bool", "float"):
        return False
    return kind != "float" or not np.isnan(as_numpy(values)).any()  # NaN has to be the one object that it is


def _sequences_back(array: Any, name: str, inner: Kind) -> list[Any]:
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    ends = array.offsets.to_numpy()
    child = array.values.slice(ends[0], ends[-1] - ends[0]) if len(ends) else array.values
    if name == "list" and inner in ("int", "float") and len(child) > _LONG * len(array) and not child.null_count:
        numbers = as_numpy(child)
        if inner == "int" or not np.isnan(numbers).any():  # NaN has to be the one object that it is
            return _with_nulls(
                [numbers[start:end].tolist() for start, end in itertools.pairwise((ends - ends[0]).tolist())], array
            )
    values: Any = as_numpy(child).astype(inner, copy=False) if name == "array" else decode(child, inner)
    if name == "array":
        values = owned(values)
    elif name == "objects":
        values = np.fromiter(values, dtype=object, count=len(child))
    elif isinstance(values, np.ndarray):
        values = values.tolist()
    places = (ends - ends[0]).tolist() if len(ends) else []
    parts: list[Any] = [values[start:end] for start, end in itertools.pairwise(places)]
    return _with_nulls([tuple(part) for part in parts] if name == "tuple" else parts, array)


def _with_nulls(values: list[Any], array: pa.Array) -> list[Any]:
    if array.null_count:
        for place in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)):
            values[place] = None
    return values


def kind_of(kind: pa.DataType) -> Kind:
    """What values of an Arrow type become that nobody has marked, as pyarrow would make them."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return {"objects": kind_of(kind.value_type)}
    if types.is_struct(kind):
        return {"dict": [kind_of(kind.field(i).type) for i in range(kind.num_fields)]}
    names = (
        (types.is_null, "none"), (types.is_string, "str"), (types.is_large_string, "str"), (types.is_binary, "bytes"),
        (types.is_large_binary, "bytes"), (types.is_fixed_size_binary, "bytes"), (types.is_boolean, "bool"),
        (types.is_integer, "int"), (types.is_floating, "float"), (types.is_decimal, "Decimal"), (types.is_date, "date"),
        (types.is_time, "time"), (types.is_duration, "Timedelta"),
    )  # fmt: skip
    for test, name in names:
        if test(kind):
            return name
    if types.is_timestamp(kind):
        return "Timestamp" if kind.tz is None else f"Timestamp[{_maker(kind.tz)}]"
    return "uuid" if kind == pa.uuid() else "other"


def _maker(zone: str) -> str:
    return "timezone" if zone == "UTC" or zone[:1] in "+-" else "zoneinfo"

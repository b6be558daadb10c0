"""Values of one Python type in an object column: for each type the way in, the guard, and the way back.

A column of Python objects says nothing about its values, so their exact types are looked at, all of them: an ``int`` is
stored where every value is an ``int``, never a ``bool`` or an enum that behaves as one. What a type has that Arrow has
not (a fold, a zone within a time, a second scale) is asked of all values before they are converted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.frames.refusals import CONVERT, Inexact
from sls_jupyter.assets.frames.zones import made_zone, zone_words

Values = list[Any]  # None is a missing one
_TEXT_HINT = "Its text is not UTF-8: say .str.encode('utf-8', 'surrogatepass') and seal bytes, or repair the text."
_INTEGER_HINT = "Its integers are beyond 64 bits: convert the column to text or to decimal.Decimal."
_FOLD_HINT = "Convert it: pd.to_datetime(column, utc=True)"


@dataclass(frozen=True)
class Scalar:
    """One Python type.

    Args:
        kind: its name in a schema's words, or the beginning of it up to ``[``.
        to_arrow: gives the array and the full name; raises :class:`Inexact` where a value would change.
        back: the values again, as a list or an array of objects, ``None`` where one is missing.
    """

    kind: str
    to_arrow: Callable[[Values], tuple[pa.Array, str]]
    back: Callable[[Any, str], Any]


# --- one at a time --------------------------------------------------------------------------------


def _with_none(values: Values, column: Any) -> Any:
    if not column.null_count:
        return values
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    objects[
        column.is_null().to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.is_null().to_numpy()
    ] = None
    return objects


def as_numpy(column: Any) -> Any:
    """The values of an array or a chunked array without nulls, without a copy where that can be."""
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()


def owned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array, or a copy of one that lies in memory of Arrow's."""
    return values if values.flags.writeable else values.copy()


def _plain(kind: str, arrow: pa.DataType) -> Scalar:
    def to_arrow(values: Values) -> tuple[pa.Array, str]:
        fast = None if kind == "bool" else _fast(values, np.float64)
        return pa.array(values, arrow, from_pandas=False) if fast is None else fast, kind

    def back(column: Any, _: str) -> Any:
        filled = column.fill_null(False if kind == "bool" else 0) if column.null_count else column
        numbers = as_numpy(filled)
        return _with_none(_one_nan(numbers.tolist(), numbers) if kind == "float" else numbers.tolist(), column)

    return Scalar(kind, to_arrow, back)


def _one_nan(values: Values, numbers: Any) -> Values:
    """NaN as the one that numpy and pandas use: lists and dicts compare it by identity."""
    for place in np.flatnonzero(np.isnan(numbers)):
        values[place] = np.nan
    return values


def _fast(values: Values, dtype: type) -> pa.Array | None:
    """Numbers none of which is missing, in half the time that pyarrow takes for a list; ``None`` if one is."""
    try:
        numbers: Any = np.fromiter(values, dtype, len(values))
    except TypeError:  # of None
        return None
    return None if dtype is np.float64 and np.isnan(numbers).any() else pa.array(numbers)  # None is NaN there


def _integers(values: Values) -> tuple[pa.Array, str]:
    try:
        fast = _fast(values, np.int64)
        return pa.array(values, pa.int64(), from_pandas=False) if fast is None else fast, "int"
    except (OverflowError, pa.ArrowInvalid):
        pass
    try:
        return pa.array(values, pa.uint64(), from_pandas=False), "int"
    except (OverflowError, pa.ArrowInvalid):
        raise Inexact("integers beyond 64 bits", _INTEGER_HINT) from None


def _text(values: Values) -> tuple[pa.Array, str]:
    """As text of 32-bit offsets, or of 64-bit ones when it is more than that."""
    try:
        array = pa.array(values, pa.string(), from_pandas=False)
    except UnicodeEncodeError:
        raise Inexact("half a character (a surrogate)", _TEXT_HINT) from None
    except pa.ArrowCapacityError:
        array = None
    if not isinstance(array, pa.StringArray):
        array = pa.array(values, pa.large_string(), from_pandas=False)
    return array, "str"


def _bytes(values: Values) -> tuple[pa.Array, str]:
    try:
        array = pa.array(values, pa.binary(), from_pandas=False)
    except pa.ArrowCapacityError:
        array = None
    if not isinstance(array, pa.BinaryArray):
        array = pa.array(values, pa.large_binary(), from_pandas=False)
    return array, "bytes"


def _objects(column: Any, _: str) -> Any:
    """Through pyarrow's own, which makes one object of equal values."""
    found = np.asarray(column.to_pandas(date_as_object=True), dtype=object)
    if found.base is not None and not found.flags.writeable:  # of a Series that nobody else has
        with contextlib.suppress(ValueError):
            found.setflags(write=True)
    return owned(found)


def _dates(values: Values) -> tuple[pa.Array, str]:
    return pa.array(values, pa.date32(), from_pandas=False), "date"


def _all(name: str, values: Values, nothing: Any) -> bool:
    return all(value is None or getattr(value, name) == nothing for value in values)


def _times(values: Values) -> tuple[pa.Array, str]:
    if not _all("tzinfo", values, None) or not _all("fold", values, 0):
        raise Inexact("times of day with a zone or a fold", CONVERT)
    return pa.array(values, pa.time64("us"), from_pandas=False), "time"


def _spans(values: Values) -> tuple[pa.Array, str]:
    return pa.array(values, pa.duration("us"), from_pandas=False), "timedelta"


def _moments(column: Any, _: str) -> Any:
    return as_numpy(column).tolist()


def _decimals(values: Values) -> tuple[pa.Array, str]:
    """As decimals where one scale fits all, else as their text: 1.0 is not 1.00, and NaN is no missing value."""
    texts = pa.array([None if value is None else str(value) for value in values], pa.string())
    try:
        array = pa.array(values, from_pandas=False)
        if pa.types.is_decimal(array.type) and array.cast(pa.string()).equals(texts):
            return array, "Decimal"
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    return texts, "Decimal"


def _decimals_back(column: Any, kind: str) -> Any:
    if pa.types.is_decimal(column.type):
        return _objects(column, kind)
    return [None if text is None else Decimal(text) for text in as_numpy(column)]


def _zone(values: Values) -> tuple[str, str] | None:
    """Name and maker of the one zone of all values."""
    zones = {
        value.tzinfo if not hasattr(value.tzinfo, "zone") else str(value.tzinfo)
        for value in values
        if value is not None
    }
    if len(zones) > 1:
        raise Inexact("values of several time zones", _FOLD_HINT)
    zone = next(value.tzinfo for value in values if value is not None)
    return None if zone is None else zone_words(zone)


def _datetimes(values: Values) -> tuple[pa.Array, str]:
    words = _zone(values)
    if words is None:
        if not _all("fold", values, 0):
            raise Inexact("moments with a fold", _FOLD_HINT)
        return pa.array(values, pa.timestamp("us"), from_pandas=False), "datetime"
    moments = [None if value is None else value.astimezone(dt.UTC) for value in values]
    array, kind = pa.array(moments, pa.timestamp("us", words[0]), from_pandas=False), f"datetime[{words[1]}]"
    for before, after in zip(values, _datetimes_back(array, kind), strict=True):
        if before is not None and (before.replace(tzinfo=None), before.fold) != (
            after.replace(tzinfo=None),
            after.fold,
        ):
            raise Inexact("moments that their time zone does not have", _FOLD_HINT)
    return array, kind


def _datetimes_back(column: Any, kind: str) -> Any:
    moments = _moments(column, kind)
    if kind == "datetime":
        return moments
    zone = made_zone(column.type.tz, kind.partition("[")[2][:-1])
    return [None if one is None else one.replace(tzinfo=dt.UTC).astimezone(zone) for one in moments]


def _stamps(values: Values) -> tuple[pa.Array, str]:
    """pandas' own moments: with a unit each, and nanoseconds."""
    words, present = _zone(values), [value for value in values if value is not None]
    if len(units := set(map(attrgetter("unit"), present))) > 1:
        raise Inexact("moments of several units", "Convert it: pd.to_datetime(column)")
    index = pd.DatetimeIndex(values, dtype=f"datetime64[{units.pop()}]" if words is None else None)
    if words is not None:
        index = pd.DatetimeIndex([None if one is None else one.tz_convert("UTC") for one in values])
        index = index.as_unit(present[0].unit)
    numbers = index.to_numpy() if words is None else index.tz_convert(None).to_numpy()
    array = pa.array(numbers)
    kind = "Timestamp" if words is None else f"Timestamp[{words[1]}]"
    return (array if words is None else array.cast(pa.timestamp(array.type.unit, words[0]))), kind


def _stamps_back(column: Any, kind: str) -> Any:
    index = pd.DatetimeIndex(as_numpy(column))
    if kind != "Timestamp":
        index = index.tz_localize("UTC").tz_convert(made_zone(column.type.tz, kind.partition("[")[2][:-1]))
    return _with_none(list(index), column)


def _deltas(values: Values) -> tuple[pa.Array, str]:
    units = {value.unit for value in values if value is not None}
    if len(units) > 1:
        raise Inexact("spans of several units", "Convert it: pd.to_timedelta(column)")
    return pa.array(pd.TimedeltaIndex(values).as_unit(units.pop()).to_numpy()), "Timedelta"


def _deltas_back(column: Any, _: str) -> Any:
    return _with_none(list(pd.TimedeltaIndex(as_numpy(column))), column)


def _periods(values: Values) -> tuple[pa.Array, str]:
    if len(every := {value.freqstr for value in values if value is not None}) > 1:
        raise Inexact("periods of several lengths", "Convert it: column.astype('period[D]')")
    numbers = [None if value is None else value.ordinal for value in values]
    return pa.array(numbers, pa.int64(), from_pandas=False), f"Period[{every.pop()}]"


def _periods_back(column: Any, kind: str) -> Any:
    every = kind.partition("[")[2][:-1]
    numbers = as_numpy(column.fill_null(0) if column.null_count else column)
    made: Any = pd.PeriodIndex
    return _with_none(list(made.from_ordinals(numbers, freq=every)), column)


def _numpy_scalar(dtype: np.dtype[Any]) -> Scalar:
    def to_arrow(values: Values) -> tuple[pa.Array, str]:
        mask = np.fromiter((value is None for value in values), bool, len(values))
        numbers = np.array([dtype.type(0) if value is None else value for value in values], dtype=dtype)
        return pa.array(numbers, mask=mask, from_pandas=False), f"numpy.{dtype}"

    def back(column: Any, _: str) -> Any:
        filled = column.fill_null(False if dtype.kind == "b" else 0) if column.null_count else column
        return _with_none(list(as_numpy(filled).astype(dtype, copy=False)), column)

    return Scalar(f"numpy.{dtype}", to_arrow, back)


_NUMPY_TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)

SCALARS: dict[type, Scalar] = {
    str: Scalar("str", _text, lambda column, _: as_numpy(column)),
    bytes: Scalar("bytes", _bytes, lambda column, _: as_numpy(column)),
    int: Scalar("int", _integers, _plain("int", pa.int64()).back),
    float: _plain("float", pa.float64()),
    bool: _plain("bool", pa.bool_()),
    Decimal: Scalar("Decimal", _decimals, _decimals_back),
    dt.date: Scalar("date", _dates, _objects),
    dt.time: Scalar("time", _times, _objects),
    dt.datetime: Scalar("datetime", _datetimes, _datetimes_back),
    dt.timedelta: Scalar("timedelta", _spans, _moments),
    uuid.UUID: Scalar(
        "uuid",
        lambda values: (pa.array(values, pa.uuid(), from_pandas=False), "uuid"),
        lambda column, _: column.to_pylist(),
    ),
    pd.Timestamp: Scalar("Timestamp", _stamps, _stamps_back),
    pd.Timedelta: Scalar("Timedelta", _deltas, _deltas_back),
    pd.Period: Scalar("Period", _periods, _periods_back),
    **{np.dtype(name).type: _numpy_scalar(np.dtype(name)) for name in _NUMPY_TYPES},
}
BY_KIND = {scalar.kind: scalar for scalar in SCALARS.values()}

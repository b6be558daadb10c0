"""Python values as JSON, exactly, and back by :mod:`.typed_back`: each of a closed list of types has one form. No pickle, no import by name.

What JSON has is itself: ``null``, booleans, texts, lists, integers up to 2**53, floats with a fraction. Everything
else is an object with one member, whose name says what it is: ``{"float": "1.0"}``, ``{"int": "…"}``,
``{"dict": [[key, value], …]}`` in its order. Equal values have equal bytes as canonical JSON, so a digest of
parameters means the values (``docs/specs/signed-documents.md``).

A value of another type is refused by name and place; also a subclass, which could be equal and behave otherwise.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.documents import b64encode, canonical_json
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.dtypes import is_frequency, is_time_zone

MAX_DEPTH = 9  # a level of a dict is three of JSON, which has 32
MAX_DIGITS = 4_000  # of one integer
MAX_PLAIN_INT = 2**53 - 1
ARRAY_TYPES = re.compile(r"(?:\|b1|\|[iu]1|<[iu][248]|<f[248]|<c(?:8|16)|<[mM]8\[(?:Y|M|W|D|h|m|s|ms|us|ns)\])\Z")
_INTEGER = re.compile(rf"0|-?[1-9][0-9]{{0,{MAX_DIGITS}}}")
SUPPORTED = "numbers, text, bytes, dates, times, None, lists, tuples, sets, dicts, numpy values and arrays"


class Untyped(SlsError):
    """A value holds something that has no exact form."""


# --- to JSON ----------------------------------------------------------------------------------------


def encode(value: Any, where: str = "", depth: int = 0) -> Any:
    """A value as JSON.

    Args:
        where: the place within the whole, for the message: ``['a'][0]``.

    Raises:
        Untyped: naming the place and the type.
    """
    if depth > MAX_DEPTH:
        raise Untyped("A value is nested too deeply.", found=where[:200], expected=f"{MAX_DEPTH} levels at most")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind in _ENCODERS:
        return _ENCODERS[kind](value, where, depth)
    if isinstance(value, np.generic):
        return _encode_numpy(value, where)
    if value is pd.NaT or value is pd.NA:
        return {"missing": "NaT" if value is pd.NaT else "NA"}
    raise _untyped(value, where)


def _untyped(value: Any, where: str) -> Untyped:
    name = (
        type(value).__qualname__
        if type(value).__module__ == "builtins"
        else f"{type(value).__module__}.{type(value).__qualname__}"
    )
    return Untyped(
        "A value has a type that does not travel.",
        found=f"{name[:100]}" + (f" at {where[:200]}" if where else ""),
        expected=SUPPORTED,
        hint="Convert it to one of these, or to a DataFrame of its own.",
    )


def _encode_int(value: int, where: str, _: int) -> Any:
    if abs(value) <= MAX_PLAIN_INT:
        return value
    if value.bit_length() > MAX_DIGITS * 3:
        raise Untyped("An integer is too large.", found=f"{value.bit_length()} bits at {where or 'the top'}")
    return {"int": str(value)}


def _encode_float(value: float, *_: Any) -> Any:
    return value if math.isfinite(value) and not value.is_integer() else {"float": repr(value)}


def _encode_text(value: str, where: str, _: int) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Untyped("A text is not Unicode: it holds half of a character.", found=where or "the text") from None
    return value


def _items(value: Any, where: str, depth: int) -> list[Any]:
    return [encode(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]


def _encode_dict(value: dict[Any, Any], where: str, depth: int) -> Any:
    pairs = [
        [encode(key, f"{where} key", depth + 1), encode(item, f"{where}[{_short(key)}]", depth + 1)]
        for key, item in value.items()
    ]
    return {"dict": pairs}


def _short(key: Any) -> str:
    return repr(key)[:40] if isinstance(key, str | int) else type(key).__name__


def _encode_set(value: Any, where: str, depth: int) -> Any:
    return {
        type(value).__name__: sorted((encode(item, f"{where} member", depth + 1) for item in value), key=canonical_json)
    }


def _zone(zone: Any, where: str) -> Any:
    """A time zone by name, or as an offset in seconds."""
    if zone is None:
        return None
    if (
        isinstance(zone, dt.timezone)
        and zone == dt.timezone(offset := zone.utcoffset(None))
        and str(zone) == str(dt.timezone(offset))
    ):
        return offset.total_seconds() if offset % dt.timedelta(seconds=1) else int(offset.total_seconds())
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and is_time_zone(name):
        return name
    raise _untyped(zone, where)


def _encode_datetime(value: dt.datetime, where: str, _: int) -> Any:
    zone = value.tzinfo
    if zone is not None and not isinstance(zone, dt.timezone | zoneinfo.ZoneInfo):
        raise _untyped(zone, where)
    return {"datetime": [value.replace(tzinfo=None, fold=0).isoformat(), _zone(zone, where), value.fold]}


def _encode_time(value: dt.time, where: str, _: int) -> Any:
    zone = value.tzinfo
    if zone is not None and not isinstance(zone, dt.timezone | zoneinfo.ZoneInfo):
        raise _untyped(zone, where)
    return {"time": [value.replace(tzinfo=None, fold=0).isoformat(), _zone(zone, where), value.fold]}


def _encode_timestamp(value: pd.Timestamp, where: str, _: int) -> Any:
    unit = value.unit
    return {"timestamp": [str(value.to_datetime64().astype("int64")), unit, _zone(value.tzinfo, where)]}


def _encode_timedelta(value: pd.Timedelta, *_: Any) -> Any:
    return {"pandas timedelta": [str(value.to_timedelta64().astype("int64")), value.unit]}


def _encode_period(value: pd.Period, where: str, _: int) -> Any:
    if not is_frequency(value.freqstr):
        raise _untyped(value, where)
    return {"period": [str(value.ordinal), value.freqstr]}


def _encode_interval(value: Any, where: str, depth: int) -> Any:
    ends = [encode(end, f"{where} end", depth + 1) for end in (value.left, value.right)]
    return {"interval": [*ends, value.closed]}


def _encode_numpy(value: np.generic, where: str) -> Any:
    if type(value) is np.str_:
        return {"numpy": ["str", _encode_text(str(value), where, 0)]}
    array = np.asarray(value)
    return {"numpy": [_array_type(array, where), b64encode(_array_bytes(array))]}


def _array_type(array: np.ndarray[Any, Any], where: str) -> str:
    name: str = array.dtype.str
    if not ARRAY_TYPES.match(name):
        raise Untyped("An array has a dtype that does not travel.", found=f"{array.dtype} at {where or 'the top'}"[:200],
                      expected="numbers, booleans, times, text or objects of the types that travel")  # fmt: skip
    return name


def _array_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """Its values in order of rows, little-endian, each in the one form that equal values have."""
    plain = np.ascontiguousarray(array, dtype=array.dtype)
    if plain.dtype.kind in "fc" and np.isnan(plain).any():  # bits of NaN are not values
        plain = plain.copy()
        plain[np.isnan(plain)] = np.nan
    return plain.tobytes()


def _encode_array(value: np.ndarray[Any, Any], where: str, depth: int) -> Any:
    if value.dtype.kind == "U":
        width = value.dtype.itemsize // 4
        return {"texts": [list(value.shape), width, _items(map(str, value.ravel()), where, depth)]}
    if value.dtype.kind == "O":
        return {"objects": [list(value.shape), _items(value.ravel(), where, depth)]}
    return {"array": [_array_type(value, where), list(value.shape), b64encode(_array_bytes(value))]}


Encoder = Callable[[Any, str, int], Any]
_ENCODERS: Mapping[type, Encoder] = MappingProxyType(
    {
        int: _encode_int,
        float: _encode_float,
        str: _encode_text,
        list: _items,
        tuple: lambda value, where, depth: {"tuple": _items(value, where, depth)},
        dict: _encode_dict,
        set: _encode_set,
        frozenset: _encode_set,
        bytes: lambda value, *_: {"bytes": b64encode(value)},
        complex: lambda value, *_: {"complex": [repr(value.real), repr(value.imag)]},
        Decimal: lambda value, *_: {"decimal": str(value)},
        Fraction: lambda value, *_: {"fraction": [str(value.numerator), str(value.denominator)]},
        range: lambda value, *_: {"range": [str(value.start), str(value.stop), str(value.step)]},
        uuid.UUID: lambda value, *_: {"uuid": str(value)},
        dt.date: lambda value, *_: {"date": value.isoformat()},
        dt.datetime: _encode_datetime,
        dt.time: _encode_time,
        dt.timedelta: lambda value, *_: {"timedelta": [value.days, value.seconds, value.microseconds]},
        pd.Timestamp: _encode_timestamp,
        pd.Timedelta: _encode_timedelta,
        pd.Period: _encode_period,
        pd.Interval: _encode_interval,
        np.ndarray: _encode_array,
    }
)


def items_in(value: Any) -> int:
    """How many rows a value has at least: the longest of its sequences, those within it too."""
    if isinstance(value, np.ndarray):
        return int(value.size)
    if isinstance(value, dict):
        return max([len(value), *map(items_in, value.keys()), *map(items_in, value.values())])
    if isinstance(value, list | tuple | set | frozenset):
        return max([len(value), *map(items_in, value)])
    return 1

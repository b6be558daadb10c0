"""Python values as JSON and back, exactly: each of a closed list of types has one form. No pickle, no import by name.

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
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.documents import b64decode, b64encode, canonical_json
from sls_jupyter.errors import MalformedDocument, SlsError
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


# --- from JSON --------------------------------------------------------------------------------------


def decode(data: Any, depth: int = 0) -> Any:
    """The value of which :func:`encode` made ``data``.

    Raises:
        MalformedDocument: it made none such.
    """
    if depth > 3 * MAX_DEPTH:
        raise _malformed("depth")
    if isinstance(data, list):
        return [decode(item, depth + 1) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) != 1:
        raise _malformed("members")
    ((name, content),) = data.items()
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise _malformed("type")
    try:
        return decoder(content, depth + 1)
    except (TypeError, ValueError, OverflowError, ArithmeticError, LookupError, AttributeError, MemoryError) as error:
        raise _malformed(type(error).__name__) from None


def _malformed(what: str) -> MalformedDocument:
    return MalformedDocument("A value is not of a form in which values travel.", found=what)


def _integer(text: Any) -> int:
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise _malformed("integer")
    return int(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _malformed("text")
    return value


def _decode_float(text: Any, _: int) -> float:
    value = float(_text(text))
    if repr(value) != text:
        raise _malformed("float")
    return value


def _decode_dict(pairs: Any, depth: int) -> dict[Any, Any]:
    found = {decode(key, depth): decode(item, depth) for key, item in pairs}
    if len(found) != len(pairs):
        raise _malformed("repeated key")
    return found


def _decode_zone(zone: Any) -> dt.tzinfo | None:
    if zone is None:
        return None
    if isinstance(zone, str):
        if not is_time_zone(zone):
            raise _malformed("time zone")
        return zoneinfo.ZoneInfo(zone)
    return dt.timezone(dt.timedelta(seconds=zone))


def _decode_datetime(parts: Any, _: int) -> dt.datetime:
    text, zone, fold = parts
    return dt.datetime.fromisoformat(text).replace(tzinfo=_decode_zone(zone), fold=fold)


def _decode_time(parts: Any, _: int) -> dt.time:
    text, zone, fold = parts
    return dt.time.fromisoformat(text).replace(tzinfo=_decode_zone(zone), fold=fold)


def _decode_timestamp(parts: Any, _: int) -> pd.Timestamp:
    number, unit, zone = parts
    value = pd.Timestamp(np.datetime64(_integer(number), _unit(unit)))
    if zone is None:
        return value
    utc = value.tz_localize("UTC")
    return (
        utc
        if zone == 0
        else utc.tz_convert(_text(zone) if isinstance(_decode_zone(zone), zoneinfo.ZoneInfo) else _decode_zone(zone))
    )


def _unit(unit: Any) -> Any:
    if unit not in ("s", "ms", "us", "ns"):
        raise _malformed("unit")
    return unit


def _decode_timedelta(parts: Any, _: int) -> pd.Timedelta:
    number, unit = parts
    return pd.Timedelta(np.timedelta64(_integer(number), _unit(unit)))


def _decode_period(parts: Any, _: int) -> pd.Period:
    ordinal, every = parts
    if not is_frequency(_text(every)):
        raise _malformed("frequency")
    made: Any = pd.PeriodIndex
    found: pd.Period = made.from_ordinals([_integer(ordinal)], freq=every)[0]
    return found


def _decode_interval(parts: Any, depth: int) -> Any:
    left, right, closed = parts
    return pd.Interval(decode(left, depth), decode(right, depth), closed=closed)


def _decode_numpy(parts: Any, _: int) -> Any:
    kind, content = parts
    return np.str_(_text(content)) if kind == "str" else _array(kind, [], content)[()]


def _array(kind: Any, shape: Any, content: Any) -> np.ndarray[Any, Any]:
    if not ARRAY_TYPES.match(_text(kind)):
        raise _malformed("dtype")
    data = b64decode(_text(content))
    if kind == "|b1" and data.strip(b"\x00\x01"):
        raise _malformed("boolean")
    return np.frombuffer(data, dtype=kind).reshape([int(size) for size in shape]).copy()


def _decode_texts(parts: Any, depth: int) -> np.ndarray[Any, Any]:
    shape, width, items = parts
    texts = [_text(decode(item, depth)) for item in items]
    if type(width) is not int or not 0 <= width <= max(map(len, texts), default=0) + 10_000:
        raise _malformed("width")
    return np.array(texts, dtype=f"<U{width}").reshape(shape)


def _decode_objects(parts: Any, depth: int) -> np.ndarray[Any, Any]:
    shape, items = parts
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = decode(item, depth)
    return array.reshape(shape)


def _decode_decimal(text: Any, _: int) -> Decimal:
    try:
        return Decimal(_text(text))
    except InvalidOperation:
        raise _malformed("decimal") from None


_DECODERS: Mapping[str, Callable[[Any, int], Any]] = MappingProxyType(
    {
        "int": lambda text, _: _integer(text),
        "float": _decode_float,
        "tuple": lambda items, depth: tuple(decode(item, depth) for item in items),
        "dict": _decode_dict,
        "set": lambda items, depth: {decode(item, depth) for item in items},
        "frozenset": lambda items, depth: frozenset(decode(item, depth) for item in items),
        "bytes": lambda text, _: b64decode(_text(text)),
        "complex": lambda parts, _: complex(float(_text(parts[0])), float(_text(parts[1]))),
        "decimal": _decode_decimal,
        "fraction": lambda parts, _: Fraction(_integer(parts[0]), _integer(parts[1])),
        "range": lambda parts, _: range(*map(_integer, parts)),
        "uuid": lambda text, _: uuid.UUID(_text(text)),
        "date": lambda text, _: dt.date.fromisoformat(_text(text)),
        "datetime": _decode_datetime,
        "time": _decode_time,
        "timedelta": lambda parts, _: dt.timedelta(*parts),
        "timestamp": _decode_timestamp,
        "pandas timedelta": _decode_timedelta,
        "period": _decode_period,
        "interval": _decode_interval,
        "missing": lambda name, _: {"NaT": pd.NaT, "NA": pd.NA}[name],
        "numpy": _decode_numpy,
        "array": lambda parts, _: _array(*parts),
        "texts": _decode_texts,
        "objects": _decode_objects,
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

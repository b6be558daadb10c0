"""Typed JSON back to Python values; see :mod:`.typed`. What it reads comes from strangers: closed lists, bounded, no import by name."""

from __future__ import annotations

import datetime as dt
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

from sls_jupyter.documents import b64decode
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest.dtypes import is_frequency, is_time_zone
from sls_jupyter.guest.typed import ARRAY_TYPES, MAX_DEPTH, MAX_DIGITS

_INTEGER = re.compile(rf"0|-?[1-9][0-9]{{0,{MAX_DIGITS}}}")


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

"""Closed lists of what pandas calls things: time zones, frequencies, dtypes, kinds of labels.

Each is a text in a schema or beside it, of any length for a program that wants to send one. So a text is one
that pandas and the tz database know, or the table that has it does not leave.
"""

from __future__ import annotations

import functools
import re
import zoneinfo
from typing import Any

import pyarrow as pa

_UNIT = r"\[(?:s|ms|us|ns)\]"
_NUMBER = r"(?:[ui]nt|U?Int|u?int)(?:8|16|32|64)|[fF]loat(?:16|32|64)"
_MONTH = "(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
_WEEKDAY = "(?:MON|TUE|WED|THU|FRI|SAT|SUN)"
_FREQUENCY = re.compile(  # pandas' own offsets, with a multiple
    rf"-?[0-9]{{0,6}}(?:ns|us|ms|s|min|h|D|B|C|bh|cbh|W(?:-{_WEEKDAY})?|WOM-[1-4]{_WEEKDAY}|LWOM-{_WEEKDAY}"
    rf"|[BC]?M[SE]?|SM[SE]?|B?Q[SE]?(?:-{_MONTH})?|B?[YA][SE]?(?:-{_MONTH})?)\Z"
)
_INTERVAL = re.compile(r"interval\[(?P<of>[^,]+(?:, [^,\[\]]+\])?), (?:right|left|both|neither)\]\Z")
_DATETIME = re.compile(r"datetime64\[(?:s|ms|us|ns)(?:, (?P<zone>[^\]]+))?\]\Z")
_PERIOD = re.compile(r"period\[(?P<every>[^\]]+)\]\Z")
_PLAIN = re.compile(rf"(?:{_NUMBER}|bool|boolean|str(?:ing)?(?:\[(?:python|pyarrow)\])?|timedelta64{_UNIT})\Z")
_OFFSET = re.compile(r"[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]\Z")


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether a time zone is ``+hh:mm`` or one of the tz database."""
    return _OFFSET.match(name) is not None or name in _zones()


def is_dtype(text: str) -> bool:
    """Whether pandas has a dtype of this name that a column of Arrow can become."""
    if (found := _DATETIME.match(text)) is not None:
        return found["zone"] is None or is_time_zone(found["zone"].removeprefix("UTC") or "UTC")
    if (found := _PERIOD.match(text)) is not None:
        return is_frequency(found["every"])
    if (found := _INTERVAL.match(text)) is not None:
        return is_dtype(found["of"]) and not found["of"].startswith("interval")
    return _PLAIN.match(text) is not None


def fits(dtype: str, kind: pa.DataType) -> bool:
    """Whether a column of Arrow can become a column of this dtype."""
    types, word = pa.types, dtype.lower()
    if word.startswith(("int", "uint")) and not word.startswith("interval"):
        return bool(types.is_integer(kind))
    if word.startswith("period"):
        return bool(kind == pa.int64())
    tests: dict[str, Any] = {
        "float": types.is_floating,
        "bool": types.is_boolean,
        "str": lambda one: types.is_string(one) or types.is_large_string(one),
        "datetime64": types.is_timestamp,
        "timedelta64": types.is_duration,
        "interval": types.is_struct,
    }
    return any(word.startswith(start) and test(kind) for start, test in tests.items())


def is_frequency(text: str) -> bool:
    """Whether pandas has an offset of this name."""
    return _FREQUENCY.match(text) is not None

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
_PLAIN = re.compile(rf"(?:{_NUMBER}|bool|boolean|str|string(?:\[(?:python|pyarrow)\])?|timedelta64{_UNIT})\Z")
_LABEL_TYPES = re.compile(  # what pyarrow calls the kinds of labels
    rf"(?:unicode|string|bytes|bool|boolean|{_NUMBER}|date|datetime|datetimetz|(?:datetime|timedelta)64{_UNIT}"
    r"|timedelta|integer|floating|decimal|empty|mixed|mixed-integer|mixed-integer-float|object|period|interval)\Z"
)
_LABEL_DTYPES = re.compile(rf"(?:object|{_PLAIN.pattern[:-2]}|datetime64{_UNIT})\Z")
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6}|\.[0-9]{9})?"
_LABEL_FORMS = tuple(  # kinds of labels, and how Python and pandas write them
    (re.compile(rf"(?:\A| )(?:{words})"), re.compile(rf"(?:{form})\Z"))
    for words, form in (
        (r"u?int[0-9]|U?Int[0-9]|integer", "0|-?[1-9][0-9]{0,19}"),
        ("bool", "True|False"),
        ("date", rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?: {_TIME}(?:[+-][0-9]{{2}}:[0-9]{{2}})?)?"),
        ("timedelta", rf"-?[0-9]{{1,6}} days(?: \+?{_TIME})?"),
        ("decimal", r"-?(?:0|[1-9][0-9]{0,75})(?:\.[0-9]{1,75})?"),
    )
)
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


def reads_as_written(text: str, pandas_type: str, numpy_type: str) -> bool:
    """Whether a label that comes back as this kind shows all of the text that names its column.

    ``bool("patient 7")`` is ``True``, and a float has no place for a hundred digits.
    """
    kinds = f"{pandas_type} {numpy_type}"
    if re.search(r"(?:\A| )[fF]loat", kinds) and not _is_float(text):
        return False
    return all(form.match(text) for words, form in _LABEL_FORMS if words.search(kinds))


def _is_float(text: str) -> bool:
    """Whether this is how Python writes a number, to the last digit."""
    try:
        return repr(float(text)) == text
    except ValueError:
        return False


def is_label_kind(pandas_type: str, numpy_type: str) -> bool:
    """Whether pyarrow calls labels of some kind so."""
    return _LABEL_TYPES.match(pandas_type) is not None and _LABEL_DTYPES.match(numpy_type) is not None

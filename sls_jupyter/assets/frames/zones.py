"""Time zones: the name that Arrow has for one, which library made it, and that very zone again."""

from __future__ import annotations

import datetime as dt
import importlib
import zoneinfo
from typing import Any

from sls_jupyter.assets.frames.refusals import Inexact

MAKERS = ("zoneinfo", "timezone", "pytz")
_HINT = "Use a zone of the tz database: column.dt.tz_convert('Europe/Berlin')"


def zone_words(zone: Any) -> tuple[str, str]:
    """Name and maker of a zone.

    Raises:
        Inexact: a zone that could not be made again from these two.
    """
    if isinstance(zone, zoneinfo.ZoneInfo):
        words = (zone.key or "", "zoneinfo")
    elif type(zone) is dt.timezone:
        words = (_offset_name(zone), "timezone")
    else:
        words = (str(getattr(zone, "zone", "")), "pytz")
    try:
        again = made_zone(*words)
    except (ValueError, KeyError, OSError, ImportError):
        again = None
    if again is None or type(again).__module__.split(".")[0] != type(zone).__module__.split(".")[0]:
        raise Inexact(f"a time zone of the kind {type(zone).__name__}", _HINT)
    if type(zone) is dt.timezone and again != zone:
        raise Inexact("a time zone with an odd offset", _HINT)
    return words


def _offset_name(zone: dt.timezone) -> str:
    minutes, rest = divmod(zone.utcoffset(None), dt.timedelta(minutes=1))
    if rest or zone.tzname(None) != dt.timezone(zone.utcoffset(None)).tzname(None):
        raise Inexact("a time zone with an odd offset", _HINT)
    if not minutes:
        return "UTC"
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def made_zone(name: str, maker: str | None) -> Any:
    """The zone again; one of pytz as one of the standard library where pytz is not installed."""
    if maker == "pytz":
        try:
            return importlib.import_module("pytz").timezone(name)
        except ImportError:
            maker = "zoneinfo"
    if maker == "zoneinfo":
        return zoneinfo.ZoneInfo(name)
    if name in ("UTC", "utc", "Z"):
        return dt.UTC
    sign, hours, minutes = name[0], int(name[1:3]), int(name[4:6])
    return dt.timezone(dt.timedelta(minutes=(hours * 60 + minutes) * (-1 if sign == "-" else 1)))

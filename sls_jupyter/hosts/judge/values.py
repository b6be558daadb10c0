"""Values as Rego compares them. What cannot be evaluated is *undefined*, and a rule whose body is undefined does not hold.

:class:`Undefined` is raised where Rego has no value: a member that is missing, a comparison of what cannot be
compared, a pattern that RE2 does not know. :func:`holds` turns it into ``False`` at the edge of one rule, which is
where Rego does. Only ``false`` and undefined fail: ``null``, ``0`` and ``""`` are true.

Source: Open Policy Agent, policy reference (built-ins ``count``, ``regex.match``, ``semver.*``, ``to_number``) and
``topdown``. Expressions are matched with RE2 itself, as there (Go's ``regexp`` is RE2's syntax): time is linear in
the text, and what RE2 lacks (look-around, back-references) matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, wraps
from typing import Any, ParamSpec

import re2

P = ParamSpec("P")


class Undefined(Exception):
    """Rego has no value here."""


class Conflict(Exception):
    """A rule has two values at once: an error of evaluation, which denies."""


def holds(rule: Callable[P, bool]) -> Callable[P, bool]:
    """The rule, with ``False`` for undefined."""

    @wraps(rule)
    def edge(*arguments: P.args, **named: P.kwargs) -> bool:
        try:
            return rule(*arguments, **named)
        except Undefined:
            return False

    return edge


# --- members and collections ----------------------------------------------------------------------


def at(value: Any, *path: Any) -> Any:
    """``value[path[0]][path[1]]…``.

    Raises:
        Undefined: there is no such member.
    """
    for key in path:
        if isinstance(value, dict):
            there = isinstance(key, str) and key in value
        else:
            there = isinstance(value, list) and type(key) is int and 0 <= key < len(value)
        if not there:
            raise Undefined
        value = value[key]
    return value


@holds
def true_at(value: Any, *path: Any) -> bool:
    """Whether the member is there and is not ``false``."""
    return at(value, *path) is not False


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise Undefined
    return value


def listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Undefined
    return value


def count(value: Any) -> int:
    """Length of a list, an object or a text."""
    if not isinstance(value, list | dict | str):
        raise Undefined
    return len(value)


def each(value: Any) -> Iterator[Any]:
    """The elements that ``some x in value`` finds; none in what is no collection."""
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def every(value: Any, rule: Callable[[Any], bool]) -> bool:
    """Whether the rule holds for each element of a collection; it does for none."""
    return isinstance(value, list | dict) and all(rule(one) for one in each(value))


def member(value: Any, collection: Any) -> bool:
    return any(same(value, one) for one in each(collection))


def same(one: Any, other: Any) -> bool:
    """``==``: no value equals one of another type, but an integer can equal a float."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    return bool(one == other)


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order of first appearance."""
    found: list[Any] = []
    texts: set[str] = set()  # most are texts, and a text equals no other kind
    for value in values:
        if isinstance(value, str):
            if value not in texts:
                texts.add(value)
                found.append(value)
        elif not any(same(value, one) for one in found):
            found.append(value)
    return found


# --- regular expressions --------------------------------------------------------------------------

_NOT_IN_GO = re.compile(r"(?:[^\\]|^)(?:\\\\)*\\C")  # any byte: RE2 in C++ has it, Go refuses the expression


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20  # bytes
    if _NOT_IN_GO.search(pattern):
        return None
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def matches(pattern: Any, value: Any) -> bool:
    """``regex.match``: whether the expression is found anywhere in the text.

    Raises:
        Undefined: not two texts, or not an expression of RE2.
    """
    compiled = _compiled(text(pattern))
    if compiled is None:
        raise Undefined
    return compiled.search(text(value)) is not None


def anchored(pattern: Any) -> str:
    """The expression with ``^`` before and ``$`` behind it, unless it begins and ends so already."""
    found = text(pattern)
    return ("" if found.startswith("^") else "^") + found + ("" if found.endswith("$") else "$")


# --- versions and numbers -------------------------------------------------------------------------

_SEMVER = re.compile(
    r"(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def is_version(value: Any) -> bool:
    return isinstance(value, str) and _SEMVER.fullmatch(value) is not None


def _precedence(version: Any) -> tuple[Any, ...]:
    found = _SEMVER.fullmatch(version) if isinstance(version, str) else None
    if found is None:
        raise Undefined
    numbers = tuple(int(part) for part in found.groups()[:3])
    if found[4] is None:
        return (*numbers, 1)  # a release comes after its pre-releases
    parts = (part if not part.isdigit() else int(part) for part in found[4].split("."))
    return (*numbers, 0, tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in parts))


def compare(one: Any, other: Any) -> int:
    """-1, 0 or 1 by precedence (Semantic Versioning 2.0.0, section 11).

    Raises:
        Undefined: one of them is not a version.
    """
    first, second = _precedence(one), _precedence(other)
    return (first > second) - (first < second)


def number(value: Any) -> float:
    """``to_number``.

    Raises:
        Undefined: the value is no number and no text of one.
    """
    if value is None:
        return 0
    if isinstance(value, int | float):  # booleans are 0 and 1
        return value
    if isinstance(value, str) and len(value) <= 64 and _NUMBER.fullmatch(value):
        return float(value) if not value.lstrip("+-").isdigit() else int(value)
    raise Undefined

"""Where two measurements differ, in words: the first layer, the container, the rule.

Two policies may mean the same and have other bytes; keys follow the bytes, so that is said too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sls_jupyter.contract import cce
from sls_jupyter.errors import MalformedDocument, printable

MAX_LINES = 12
MAX_VALUE = 160  # characters of a value that is shown


def differing_layers(found: Sequence[str], expected: Sequence[str]) -> str:
    """The first layer that is another one; "" if there is none.

    Args:
        found, expected: dm-verity root hashes, the lowest first.
    """
    for number, (one, other) in enumerate(zip(found, expected, strict=False), 1):
        if one != other:
            return f"layer {number} of {len(expected)} is {printable(one, 64)}, and {other} was measured"
    if len(found) != len(expected):
        return (
            f"{len(found)} layers, and {len(expected)} were measured; the first {min(len(found), len(expected))} agree"
        )
    return ""


def differing_policies(
    found: bytes, expected: bytes, read: Callable[[bytes], Mapping[str, Any]] = cce.parse
) -> tuple[str, ...]:
    """In what one policy differs from another, a line each, at most :data:`MAX_LINES`; none if they are one text.

    Args:
        read: gives what a policy's names stand for, or raises MalformedDocument; by default, of this package's own form.
    """
    if found == expected:
        return ()
    try:
        one, other = read(found), read(expected)
    except MalformedDocument as error:
        return (f"one of them cannot be read: {error.sentence}",)
    lines = [*_switches(one, other), *_containers(one.get("containers"), other.get("containers"))]
    if not lines:
        return (
            "They mean the same and have other bytes, so HOST_DATA differs and no key is released:"
            f" {cce.host_data(found).hex()}, expected {cce.host_data(expected).hex()}.",
        )
    return (*lines[:MAX_LINES], *([f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []))


def _switches(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    names = sorted({*one, *other} - {"containers"})
    return [f"{name}: {_pair(one, other, name)}" for name in names if _other(one, other, name)]


def _containers(one: Any, other: Any) -> list[str]:
    found, expected = _by_name(one), _by_name(other)
    lines = [f"container {name} is missing" for name in expected if name not in found]
    lines += [f"container {printable(name, 60)} is not expected" for name in found if name not in expected]
    for name in (name for name in expected if name in found):
        lines += _rules(name, found[name], expected[name])
    return lines


def _rules(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    lines = []
    for rule in sorted({*one, *other} - {"id"}):  # no rule of the framework reads it
        if not _other(one, other, rule):
            continue
        layers = differing_layers(_strings(one.get(rule)), _strings(other.get(rule))) if rule == "layers" else ""
        lines.append(f"container {name}, {rule}: {layers or _pair(one, other, rule)}")
    return lines


def _other(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether a value means another thing; the order of members, and of variables' rules, means nothing."""
    return _plain(one.get(name), name) != _plain(other.get(name), name)


def _plain(value: Any, name: str) -> str:
    if name == "env_rules" and isinstance(value, list):
        value = sorted(value, key=lambda rule: json.dumps(rule, sort_keys=True, default=str))
    return json.dumps(value, sort_keys=True, default=str)


def _pair(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> str:
    return f"{_shown(one.get(name))}, expected {_shown(other.get(name))}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else printable(json.dumps(value, sort_keys=True, default=str), MAX_VALUE)


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _by_name(containers: Any) -> dict[str, Mapping[str, Any]]:
    found = [one for one in containers if isinstance(one, Mapping)] if isinstance(containers, list) else []
    return {str(one.get("name", number)): one for number, one in enumerate(found)}

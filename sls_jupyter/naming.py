"""Names of columns on one line: ``age,sex``, and in quotes what holds a comma: ``age,'weight, kg'``.

Within quotes, single or double, the same sign twice is the sign itself; blanks count. A shell's line takes one pair of quotes
away before it gets here, so an unquoted name with a comma is found by the names that there are (:func:`among`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from sls_jupyter.errors import BadInput

_QUOTED = re.compile(r"""\s*(?:'((?:[^']|'')*)'|"((?:[^"]|"")*)")\s*(?=,|\Z)""")
MAX_NAMES = 20_000  # on one line


def split_names(text: str) -> list[str]:
    """The names, by the rule above. An empty one is kept, for the caller to refuse."""
    return [name for _, name, _ in _words(text)]


def among(text: str, known: Collection[str]) -> list[str]:
    """The names of ``known`` that a line means; :func:`split_names` of it where that is unclear to nobody.

    Raises:
        BadInput: it can be read in two ways.
    """
    words, names = list(_words(text)), frozenset(known)
    readings = list(_readings(words, names))
    if len(readings) > 1:
        raise BadInput(
            "These columns can be read in two ways.",
            found=text[:100],
            expected=" or ".join(",".join(quoted(name, always=True) for name in one) for one in readings)[:300],
            hint="Put each name within quotes, and all of it within another kind of quotes.",
        )
    return readings[0] if readings else [name for _, name, _ in words]


def quoted(name: str, *, always: bool = False) -> str:
    """A name as it can stand on such a line."""
    if not always and name and name.strip() == name and not re.search(r"""[,'"]""", name):
        return name
    return "'" + name.replace("'", "''") + "'"


def _words(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each part between commas: as it stands, the name it means, and whether it is quoted."""
    place = 0
    for _ in range(MAX_NAMES):
        found = _QUOTED.match(text, place)
        end = found.end() if found else _next(text, place)
        raw = text[place:end]
        if found:
            single, double = found.groups()
            yield raw, (single.replace("''", "'") if single is not None else double.replace('""', '"')), True
        else:
            yield raw, raw.strip(), False
        if end >= len(text):
            return
        place = end + 1
    raise BadInput("This line names too many columns.", expected=f"{MAX_NAMES} at most")


def _next(text: str, place: int) -> int:
    comma = text.find(",", place)
    return len(text) if comma < 0 else comma


def _readings(words: list[tuple[str, str, bool]], known: frozenset[str]) -> list[list[str]]:
    """At most two ways to join neighbouring unquoted parts to names that are known."""
    ways: list[list[list[str]]] = [[] for _ in range(len(words) + 1)]
    ways[0] = [[]]
    longest = max((name.count(",") for name in known), default=0) + 1
    for end in range(1, len(words) + 1):
        for start in range(max(0, end - longest), end):
            part = words[start:end]
            if len(part) > 1 and any(is_quoted for _, _, is_quoted in part):
                continue
            name = part[0][1] if len(part) == 1 else ",".join(raw for raw, _, _ in part).strip()
            if name in known:
                ways[end] = (ways[end] + [[*before, name] for before in ways[start]])[:2]
    return ways[-1]

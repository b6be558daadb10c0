"""Commands of two words, as a line has them; nothing is imported for them."""

from __future__ import annotations

from collections.abc import Sequence

_TWO = (("audit", "report"), ("session", "close"))


def joined(words: Sequence[str]) -> list[str]:
    """``audit report`` as the one command that it is: argparse cannot tell it from ``audit RUN`` otherwise."""
    found = list(words)
    for place in range(len(found) - 1):
        two = tuple(found[place : place + 2])
        if two in _TWO:
            return [*found[:place], " ".join(two), *found[place + 2 :]]
    return found

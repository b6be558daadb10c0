"""What an answer is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from sls_jupyter.documents import Model
from sls_jupyter.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from sls_jupyter.session import Session

T = TypeVar("T")
MAX_ROWS = 200  # of a list, unless more are asked for
MOST_ROWS = 2_000  # that may be asked for


@dataclass(frozen=True, slots=True)
class AskedByAnybody:
    """A call that is answered also while there is no persona: none is made, and none must be there.

    Args:
        root: of all personas of this user.
        persona: the one that the query names; "" where it names none.
        body: already read; ``None`` where the route takes none.
    """

    root: Path
    persona: str = ""
    body: Model | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One call.

    Args:
        session: of the persona that the query names.
        path: what stands in the braces of the route's path.
        query: the parameters of the query, each once.
        body: already read; ``None`` where the route takes none.
        root: the folder that the server shows to its user; nothing is written outside it.
    """

    session: Session
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Model | None = None
    root: Path | None = None


def most(asked: Asked) -> int:
    """How many rows of a list are wanted.

    Raises:
        BadInput: no whole number from 1 to :data:`MOST_ROWS`.
    """
    text = asked.query.get("most", "") or str(MAX_ROWS)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_ROWS):
        raise BadInput("This is no number of rows.", found=text[:40], expected=f"1 to {MOST_ROWS}")
    return int(text)


def matching(asked: Asked, rows: Sequence[T], words_of: Callable[[T], str]) -> list[T]:
    """The rows that have every word of ``q``, whatever its case."""
    wanted = asked.query.get("q", "").casefold().split()
    return [one for one in rows if not wanted or all(word in words_of(one).casefold() for word in wanted)]

"""What an answer is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sls_jupyter.documents import Model

if TYPE_CHECKING:
    from pathlib import Path

    from sls_jupyter.session import Session

MAX_ROWS = 200  # of a list, unless more are asked for


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

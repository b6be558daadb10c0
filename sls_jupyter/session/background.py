"""What a session needs of a process that goes on when its own one ends. ``agent/`` has the one that there is.

Where no such process can be had, everything is done in the session's own one, and ends with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sls_jupyter.session.posted import PostedCell, PostedRun, PostedSession


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that goes on, as who drives it tells."""

    id: str
    state: str
    status: str  # the step and its words, in one line


@dataclass(frozen=True, slots=True)
class Served:
    """Where a persona's authority is served."""

    url: str
    unreachable: str = ""  # why groups and other people do not reach it, with the way out


class Background(Protocol):
    """The background of one persona. Each call raises :class:`Unavailable` when it fails."""

    def why_not(self) -> str:
        """Why there is none on this machine, in words; "" if there is one, or one can be started."""
        ...

    def launch(self, posted: PostedRun) -> str | None:
        """Start a run, or find the one of that contract; its id. ``None``: there is no background."""
        ...

    def events(self, run: str, start: int) -> Iterator[dict[str, Any]]:
        """A run's journal from event ``start`` on, as it grows; ends early when the run is not known there (any more)."""
        ...

    def live(self) -> dict[str, LiveRun]:
        """The runs of this persona that go on, by id. Nothing is started for that."""
        ...

    def cancel(self, run: str) -> bool:
        """End a run; false if it is not known there."""
        ...

    def open_session(self, posted: PostedSession) -> bool:
        """Open a session under its name. False: there is no background."""
        ...

    def run_cell(self, posted: PostedCell) -> str | None:
        """Run the next cell of an open session; digest of its order. ``None``: there is no background."""
        ...

    def close_session(self, name: str) -> bool:
        """End a session after the cell that runs. False: no session of that name is open there."""
        ...

    def wake(self) -> bool:
        """See that the background is there: it takes up what waits. False: there is none."""
        ...

    def serve(self) -> Served | None:
        """See that this persona's authority is served. ``None``: there is no background."""
        ...

    def close(self) -> None:
        """Leave it. What it does goes on."""
        ...

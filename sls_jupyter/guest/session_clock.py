"""The output's clock of a session: how long it waits, how long a cell may take, and why there will be no other cell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from sls_jupyter.contract.spec import SessionTerms

Reason = Literal["asked", "idle", "wall", "cells", "limit", "died"]
LONG_SECONDS = 86400.0  # of one wait


class SessionClock:
    """Times of one session, by the group's own monotonic clock.

    Args:
        terms: the session's, from the measured spec.
        cell_seconds: of one cell.
    """

    def __init__(self, terms: SessionTerms, cell_seconds: float) -> None:
        self._terms, self._cell_seconds = terms, cell_seconds
        self._idle_since = time.monotonic()
        self._end: float | None = None  # once the first cell has begun
        self.reason: Reason = "died"

    def begin(self) -> tuple[float, str]:
        """A cell begins; how many seconds it may take, and the name of the limit that this is."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._terms.wall_seconds
        left = max(0.0, self._end - now)
        return (left, "session time") if left < self._cell_seconds else (self._cell_seconds, "time")

    def end(self) -> None:
        """A cell has ended."""
        self._idle_since = time.monotonic()

    def between(self, cells: int, *, lost: Mapping[str, Any], asked: bool) -> float:
        """For how many seconds there can still be another cell; 0 for none, and :attr:`reason` is why then.

        Args:
            cells: how many there were.
            lost: how the group ended, if it did not end in order.
            asked: its requester wants no further one.
        """
        now = time.monotonic()
        idle, wall = self._idle_since + self._terms.idle_seconds - now, (self._end or now + LONG_SECONDS) - now
        if lost:
            self.reason = _reason_of(lost)
        elif asked:
            self.reason = "asked"
        elif cells >= self._terms.cells:
            self.reason = "cells"
        elif min(idle, wall) <= 0:
            self.reason = "idle" if idle < wall else "wall"
        else:
            return min(idle, wall)
        return 0.0


def _reason_of(end: Mapping[str, Any]) -> Reason:
    if end.get("status") != "limit":
        return "died"
    return "wall" if end.get("limit") == "session time" else "limit"

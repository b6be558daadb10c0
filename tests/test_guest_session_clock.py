"""The clock of a session: how long it waits, how long a cell may take, and which reason is told."""

from __future__ import annotations

from typing import Any

import pytest

from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.guest import session_clock
from sls_jupyter.guest.session_clock import SessionClock

TERMS = SessionTerms(cells=3, idle_seconds=10, wall_seconds=100)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock whose time a test sets."""
    now = [1000.0]
    monkeypatch.setattr(session_clock.time, "monotonic", lambda: now[0])
    found = SessionClock(TERMS, 30)
    return found, now


def test_a_cell_has_its_own_time_until_the_sessions_is_short(clock: Any) -> None:
    """The last cell cannot outlive the session."""
    found, now = clock
    now[0] += 9
    assert found.begin() == (30, "time")
    now[0] += 80
    found.end()
    assert found.begin() == (20, "session time")


@pytest.mark.parametrize(
    ("later", "state", "reason"),
    [
        (0, {"lost": {"status": "died"}}, "died"),
        (0, {"lost": {"status": "stopped"}}, "died"),
        (0, {"lost": {"status": "limit", "limit": "memory"}}, "limit"),
        (0, {"lost": {"status": "limit", "limit": "session time"}}, "wall"),
        (0, {"asked": True}, "asked"),
        (0, {"cells": 3}, "cells"),
        (10, {}, "idle"),
        (200, {"asked": False}, "idle"),
    ],
)
def test_each_end_has_its_reason(clock: Any, later: float, state: dict[str, Any], reason: str) -> None:
    """A notebook says why there is no other cell, and what to do."""
    found, now = clock
    now[0] += later
    told: dict[str, Any] = {"cells": 1, "lost": {}, "asked": False}
    told |= state
    assert found.between(told["cells"], lost=told["lost"], asked=told["asked"]) == 0
    assert found.reason == reason


def test_between_cells_the_shorter_time_counts(clock: Any) -> None:
    """Idle time begins anew with each cell; the session's does not."""
    found, now = clock
    found.begin()
    now[0] += 95
    found.end()
    assert found.between(1, lost={}, asked=False) == 5
    now[0] += 6
    assert found.between(1, lost={}, asked=False) == 0
    assert found.reason == "wall"

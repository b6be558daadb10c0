"""The last words of a cell: waited for as long as something comes of it, by looks and not by the clock."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from sls_jupyter.guest import iopub
from sls_jupyter.guest.hostile import Budget
from sls_jupyter.guest.iopub import Displays


def displays() -> Displays:
    return Displays(Budget(1000), lambda *_: None, lambda _: None, threading.Event())


def test_a_machine_that_stood_still_has_lost_no_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has said that it is done, hours pass in one moment, then its error comes."""
    shown = displays()
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + 7200)

    def idle() -> None:
        time.sleep(0.1)
        shown._idle_parts = 1

    thread = threading.Thread(target=idle)
    thread.start()
    shown.drain(1, threading.Event())
    assert shown._idle_parts == 1
    thread.join()


def test_a_program_that_says_nothing_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many looks after its last message; each message is waited for anew."""
    monkeypatch.setattr(iopub, "DRAIN_LOOKS", 3)

    class Looks(threading.Event):
        """Counts who looks; a message comes before the third."""

        count = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.count += 1
            shown._judged += self.count == 2
            return False

    shown, ended = displays(), Looks()
    shown.drain(1, ended)
    assert ended.count == 5


def test_a_cell_that_ended_otherwise_is_not_waited_for() -> None:
    """A killed program's connection may hold what nobody reads."""
    ended: Any = threading.Event()
    ended.set()
    displays().drain(1, ended)

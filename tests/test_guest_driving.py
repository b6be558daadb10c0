"""The kernel's driver: a SIGINT reaches the cell that it is for, and no other code of ours."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sls_jupyter.guest.interrupts import Interrupts


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def cell(interrupts: Interrupts, seconds: float = 10.0) -> bool:
    """Whether a cell that waits was interrupted."""
    try:
        interrupts.allow()
        time.sleep(seconds)
    except KeyboardInterrupt:
        interrupts.forbid()
        return True
    return interrupts.forbid()


def test_a_running_cell_is_interrupted() -> None:
    """Stop means now."""
    interrupts = Interrupts()
    interrupts.begin(3)
    threading.Timer(0.1, interrupts.ask, (3,)).start()
    assert cell(interrupts)


def test_an_early_interrupt_waits_for_its_cell() -> None:
    """It came while keys were fetched, and is not lost."""
    interrupts = Interrupts()
    interrupts.ask(2)
    interrupts.begin(2)
    assert cell(interrupts)


def test_a_late_interrupt_does_not_reach_the_next_cell() -> None:
    """Who stopped cell 2 has not stopped cell 3."""
    interrupts = Interrupts()
    interrupts.begin(2)
    interrupts.end()
    threads = threading.active_count()
    interrupts.ask(2)
    interrupts.begin(3)
    assert not cell(interrupts, 0.3)
    assert threading.active_count() == threads  # and nobody waits for it any longer


def test_an_early_interrupt_does_not_reach_the_cell_before() -> None:
    """It is for one cell by its number."""
    interrupts = Interrupts()
    interrupts.begin(2)
    interrupts.ask(3)
    assert not cell(interrupts, 0.3)
    interrupts.end()
    interrupts.begin(3)
    assert cell(interrupts)


def test_what_is_written_is_written_whole() -> None:
    """Half a message between containers would end the session."""
    interrupts = Interrupts()
    interrupts.begin(1)
    interrupts.allow()
    assert not interrupts.forbid()
    interrupts.ask(1)
    time.sleep(0.2)
    signal.raise_signal(signal.SIGINT)
    assert cell(interrupts)


def test_a_handler_of_the_kernel_stays(monkeypatch: Any) -> None:
    """An async cell is stopped by the kernel's own handler."""
    interrupts, seen = Interrupts(), threading.Event()
    signal.signal(signal.SIGINT, lambda *_: seen.set())
    interrupts.begin(1)
    interrupts.allow()
    interrupts.ask(1)
    assert seen.wait(5)

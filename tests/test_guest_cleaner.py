"""Cleaning in a process of its own: what takes too long or breaks it does not leave, and nothing waits for it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from test_guest_pictures import png

from sls_jupyter.guest import cleaner
from sls_jupyter.guest.cleaner import Cleaner, cleaned

SLOW = "<div>" * 60_000  # minutes of work for an HTML parser


@pytest.fixture
def cleaning() -> Cleaner:
    return Cleaner()


def test_it_cleans_as_the_module_does(cleaning: Cleaner) -> None:
    """One process serves every kind of text of a run."""
    texts = {
        "text/html": "<p onclick=x>ok</p>",
        "text/markdown": "ok ![a](b)",
        "text/latex": r"\input{x}",
        "image/svg+xml": "<svg><title>x</title></svg>",
        "image/png": png((b"tEXt", b"x")),
        "image/jpeg": "AAAA",
        "text/css": "x",
    }
    for mime, text in texts.items():
        assert cleaning(mime, text) == cleaned(mime, text)
    cleaning.close()


def test_no_process_starts_before_it_is_needed(cleaning: Cleaner) -> None:
    """A run of tables has none."""
    assert cleaning._process is None
    cleaning.close()
    assert cleaning("text/html", "ok") is None


def test_what_takes_too_long_does_not_leave(cleaning: Cleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next text is cleaned all the same, until the run's time for cleaning is used up."""
    monkeypatch.setattr(cleaner, "TEXT_SECONDS", 0.5)
    assert cleaning("text/html", SLOW) is None
    assert cleaning._process is None
    monkeypatch.setattr(cleaner, "TEXT_SECONDS", 60)
    assert cleaning("text/html", "ok") == ("text/html", "ok")
    cleaning._left = 0
    assert cleaning("text/html", "ok") is None
    cleaning.close()


def test_a_broken_process_is_replaced(cleaning: Cleaner) -> None:
    """A decoder that crashes ends itself, not the gate."""
    assert cleaning("text/html", "ok") == ("text/html", "ok")
    assert cleaning._process is not None
    os.kill(cleaning._process.pid, signal.SIGKILL)
    cleaning._process.wait()
    assert cleaning("text/html", "ok") is None
    assert cleaning("text/html", "ok") == ("text/html", "ok")
    cleaning.close()


def test_closing_does_not_wait_for_a_text(cleaning: Cleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a run kills what is being cleaned."""
    monkeypatch.setattr(cleaner, "TEXT_SECONDS", 100)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(cleaning("text/html", SLOW)))
    thread.start()
    while cleaning._process is None:
        time.sleep(0.01)
    cleaning.close()
    thread.join(60)
    assert found == [None]
    assert cleaning._process is None

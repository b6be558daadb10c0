"""Cleaning in a process of its own: what takes too long or breaks it does not leave, and nothing waits for it."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from test_guest_pictures import png

from sls_jupyter.guest import cleaner
from sls_jupyter.guest.cleaner import Cleaner, cleaned
from sls_jupyter.guest.pictures import FORMATS

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


def test_it_needs_nothing_that_it_may_not_open(cleaning: Cleaner) -> None:
    """Every kind of picture is read by a process that can open no further file."""
    from PIL import Image

    for mime, file_format in FORMATS.items():
        for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"):
            sink, picture = io.BytesIO(), Image.new(mode, (3, 2))
            try:
                picture.save(sink, file_format, **({"exif": b"Exif\0\0II*\0"} if file_format != "GIF" else {}))
            except (OSError, KeyError, ValueError):  # a format that has no such pictures
                continue
            text = base64.b64encode(sink.getvalue()).decode()
            assert cleaned(mime, text) is not None
            assert cleaning(mime, text) == cleaned(mime, text), (mime, mode)
    cleaning.close()


BROKEN = """
import ctypes, os, socket, subprocess, sys
from sls_jupyter.guest import cleaner
def attack(mime, text):
    found = []
    def attempt(name, call):
        try: call()
        except OSError: return
        found.append(name)
    attempt("a file", lambda: open("/etc/passwd"))
    attempt("a socket", lambda: socket.socket(socket.AF_UNIX))
    attempt("a program", lambda: subprocess.Popen(["/bin/true"]))
    attempt("the gate's memory", lambda: open(f"/proc/{os.getppid()}/mem"))
    return "text/html", repr(found)
cleaner.cleaned = attack
cleaner.main()
"""


def test_a_decoder_that_was_taken_over_reaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks a parser then runs there, beside a container with a network and keys."""
    start = subprocess.Popen

    def other(command: list[str], **options: Any) -> Any:
        return start([*command[:2], "-c", BROKEN], **options)

    monkeypatch.setattr(cleaner.subprocess, "Popen", other)
    cleaning = Cleaner()
    assert cleaning("text/html", "x") == ("text/html", "[]")
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

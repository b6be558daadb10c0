"""The output container's reading of a hostile program: every field from a closed list, every byte counted."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.spec import Limits
from sls_jupyter.guest import output, wire
from sls_jupyter.guest.gate import Gate
from sls_jupyter.guest.hostile import Budget, CountedFile, Once, TooMuch, exit_code, limit_name, type_name
from sls_jupyter.guest.iopub import Displays
from sls_jupyter.guest.output import OutputRun


class _Spec:
    """What of a spec the reading of outputs needs."""

    outputs = ("x",)
    limits = Limits(output_bytes=10_000, memory_bytes=2**30)


class _Contract:
    spec = _Spec()
    obligations = Obligations()


def reading(rules: Obligations | None = None) -> OutputRun:
    run = OutputRun.__new__(OutputRun)
    run._contract, run._gate = _Contract(), Gate(rules or Obligations())  # type: ignore[assignment]
    run._budget, run._told, run._lock, run._ended = Budget(40_000), Once(), threading.Lock(), threading.Event()
    run._tables, run._missing, run._end = {}, {}, {}
    run._content, run._live = [], False
    run._displays = Displays(run._budget, run._take_message, run._refuse, run._ended)
    run._is_complete = lambda: True  # type: ignore[method-assign]
    run._displays._idle_cells = 10
    return run


def say(run: OutputRun, *messages: dict[str, Any], raw: bytes = b"") -> dict[str, Any]:
    """Let a program say this on one connection, then close it."""
    near, far = socket.socketpair()
    thread = threading.Thread(target=run._follow, args=(far,))
    thread.start()
    spoken = io.BytesIO()
    for message in messages:
        wire.send(spoken, message)
    with near, contextlib.suppress(OSError):  # the reader may close first
        near.sendall(spoken.getvalue() + raw)
        near.shutdown(socket.SHUT_WR)
        while near.recv(1000):
            pass
    thread.join(10)
    assert not thread.is_alive()
    return run._end


def stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


KERNEL: dict[str, Any] = {"from": "kernel"}
X: dict[str, Any] = {"table": "x", "shape": "arrow"}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_the_run_or_nothing(data: bytes) -> None:
    """No bytes of a program stop the thread that has to end the run."""
    run = reading()
    say(run, KERNEL, X, raw=data)
    assert run._end["status"] in ("malformed", "limit")
    assert run._tables == {}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_of_a_table_is_a_table_or_an_end(place: int, value: int) -> None:
    """Arrow's reader meets bytes that no writer made; a wrong length must not be memory."""
    data = bytearray(stream(pa.table({"a": [1, 2], "b": ["x", None]})))
    data[place % len(data)] = value
    run = reading()
    end = say(run, KERNEL, X, {"end": True, "cells": 1}, raw=bytes(data))
    assert end == {} or end["status"] in ("malformed", "limit", "ok")


def test_a_table_beyond_the_budget_is_the_output_limit() -> None:
    """The bytes are counted before memory is made for them."""
    assert say(reading(), KERNEL, X, raw=stream(pa.table({"a": ["x" * 50_000]})))["limit"] == "output"
    several = reading()
    for _ in range(6):
        say(several, KERNEL, X, raw=stream(pa.table({"a": ["x" * 9_000]})))
    assert several._end["limit"] == "output"


def test_words_that_nobody_asked_for_do_not_come_through() -> None:
    """Names, types, codes and limits are otherwise texts of the cell's choice that pass no gate."""
    secret = "patient 7 is ill"
    run = reading()
    say(run, KERNEL, {"missing": secret, "type": secret})
    assert run._end["status"] == "malformed"
    run = reading()
    say(run, KERNEL, {"missing": "x", "type": secret})
    assert run._missing == {"x": "object"}
    for message in ({"ended": secret}, {"limit": secret, "allowed": secret}, {"ended": 2**70}, {"limit": [secret]}):
        found = say(reading(), {"from": "supervisor"}, message)
        assert secret not in json.dumps(found)
        assert str(2**70) not in json.dumps(found)


def test_the_first_word_on_the_end_counts() -> None:
    """A program that ended badly cannot say afterwards that it was well."""
    run = reading()
    say(run, {"from": "supervisor"}, {"limit": "memory"})
    say(run, KERNEL, X, {"end": True, "cells": 1}, raw=b"")
    assert run._end == {"status": "limit", "limit": "memory", "allowed": 2**30}


def test_no_table_is_taken_after_the_end() -> None:
    """What comes later is in no verdict."""
    run = reading()
    run._set_end(status="ok")
    say(run, KERNEL, X, raw=stream(pa.table({"a": [1]})))
    assert run._tables == {}


def test_a_silent_supervisor_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that stops its supervisor would run without limits."""
    monkeypatch.setattr(output, "SILENCE_SECONDS", 0.1)
    run = reading()
    near, far = socket.socketpair()
    with near:
        thread = threading.Thread(target=run._follow, args=(far,))
        thread.start()
        with near.makefile("wb") as file:
            wire.send(file, {"from": "supervisor"})
            wire.send(file, {"alive": True})
        thread.join(5)
    assert run._end == {"status": "died", "code": None}


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_words_come_from_closed_lists(value: object) -> None:
    """Whatever a program says, what is passed on was known before."""
    assert limit_name(value) in ("processes", "memory", "cpu", "time")
    assert exit_code(value) is None or -64 <= int(value) <= 255  # type: ignore[call-overload]
    assert type_name(value) == "object" or type_name(value) == value
    assert (type_name("DataFrame"), type_name("dict"), type_name("patient_7")) == ("DataFrame", "dict", "object")


def test_a_count_is_told_once() -> None:
    """A loop of withheld prints is one line, not a memory without end."""
    once, counts = Once(), Counter({"text": 1})
    assert once.news(counts) == {"text": 1}
    counts["text"] = 99
    assert once.news(counts) == {}


def test_a_file_is_counted_before_it_is_read() -> None:
    """A length of gigabytes is refused without asking for a byte."""
    file = CountedFile(io.BytesIO(b"abcdef"), Budget(4))
    assert file.read(3) == b"abc"
    with pytest.raises(TooMuch):
        file.read(2)
    with pytest.raises(TooMuch):
        CountedFile(io.BytesIO(b""), Budget(4)).read()

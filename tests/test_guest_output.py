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
from sls_jupyter.guest import iopub, listener, wire
from sls_jupyter.guest.cell_output import CellOutput
from sls_jupyter.guest.cells import Cell
from sls_jupyter.guest.gate import BytesLimit, Gate, SessionBytesLimit
from sls_jupyter.guest.hostile import Budget, CountedFile, Once, TooMuch, exit_code, limit_name, type_name
from sls_jupyter.guest.iopub import Displays
from sls_jupyter.guest.output import OutputRun


class _Spec:
    """What of a spec the reading of outputs needs."""

    outputs = ("x",)
    limits = Limits(output_bytes=10_000, memory_bytes=2**30)
    session = None


class _Contract:
    spec = _Spec()
    obligations = Obligations()


class Reading(OutputRun):
    """An output whose only cell is open, with every connection there."""

    def __init__(self) -> None:
        super().__init__("sha256:" + "0" * 64, None, None)  # type: ignore[arg-type]
        self._contract = _Contract()  # type: ignore[assignment]
        self._budget = Budget(40_000)
        self._displays = Displays(self._budget, self._take_message, self._refuse, self._over)
        self._cell = self.opened()
        self._displays._idle_parts = 10
        self._complete.set()

    def opened(self, number: int = 1) -> CellOutput:
        cell = Cell(number, "sha256:" + "0" * 64, ("x",), Obligations())
        return CellOutput(cell, _Contract(), Gate(Obligations()), self.door.events.add, live=False)  # type: ignore[arg-type]

    @property
    def open(self) -> CellOutput:
        assert self._cell is not None
        return self._cell


def reading() -> Reading:
    return Reading()


def say(run: Reading, *messages: dict[str, Any], raw: bytes = b"") -> dict[str, Any]:
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
    return run.open.end


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
    assert run.open.end["status"] in ("malformed", "limit")
    assert run.open.tables == {}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_of_a_table_is_a_table_or_an_end(place: int, value: int) -> None:
    """Arrow's reader meets bytes that no writer made; a wrong length must not be memory."""
    data = bytearray(stream(pa.table({"a": [1, 2], "b": ["x", None]})))
    data[place % len(data)] = value
    run = reading()
    end = say(run, KERNEL, X, {"end": True, "cell": 1, "cells": 1}, raw=bytes(data))
    assert end == {} or end["status"] in ("malformed", "limit", "ok")


def test_a_table_beyond_the_budget_is_the_output_limit() -> None:
    """The bytes are counted before memory is made for them."""
    assert say(reading(), KERNEL, X, raw=stream(pa.table({"a": ["x" * 50_000]})))["limit"] == "output"
    several = reading()
    for _ in range(6):
        say(several, KERNEL, X, raw=stream(pa.table({"a": ["x" * 9_000]})))
    assert several.open.end["limit"] == "output"


def test_words_that_nobody_asked_for_do_not_come_through() -> None:
    """Names, types, codes and limits are otherwise texts of the cell's choice that pass no gate."""
    secret = "patient 7 is ill"
    run = reading()
    say(run, KERNEL, {"missing": secret, "type": secret})
    assert run.open.end["status"] == "malformed"
    run = reading()
    say(run, KERNEL, {"missing": "x", "type": secret})
    assert run.open.missing == {"x": "object"}
    for message in ({"ended": secret}, {"limit": secret, "allowed": secret}, {"ended": 2**70}, {"limit": [secret]}):
        found = say(reading(), {"from": "supervisor"}, message)
        assert secret not in json.dumps(found)
        assert str(2**70) not in json.dumps(found)


def test_the_first_word_on_the_end_counts() -> None:
    """A program that ended badly cannot say afterwards that it was well."""
    run = reading()
    say(run, {"from": "supervisor"}, {"limit": "memory"})
    say(run, KERNEL, X, {"end": True, "cell": 1, "cells": 1}, raw=b"")
    assert run.open.end == {"status": "limit", "limit": "memory", "allowed": 2**30}


def test_no_table_is_taken_after_the_end() -> None:
    """What comes later is in no verdict."""
    run = reading()
    run._lose(status="ok")
    say(run, KERNEL, X, raw=stream(pa.table({"a": [1]})))
    assert run.open.tables == {}


class Program:
    """A program's connections, one open end for each, and what the output makes of them."""

    def __init__(self, run: Reading) -> None:
        self.run = run
        self._near: dict[str, socket.socket] = {}
        self._threads: list[threading.Thread] = []

    def join(self, name: str) -> None:
        self._near[name], far = socket.socketpair()
        self._threads.append(threading.Thread(target=self.run._follow, args=(far,)))
        self._threads[-1].start()
        self.say(name, {"from": name})

    def say(self, name: str, message: dict[str, Any]) -> None:
        with self._near[name].makefile("wb") as file:
            wire.send(file, message)

    def lose(self, name: str) -> None:
        """The output has seen the end of this connection when this returns."""
        self._near[name].shutdown(socket.SHUT_WR)
        while name == "displays" and not self.run.lost.wait(10):
            raise AssertionError("the output does not follow the displays")

    def ends(self) -> dict[str, Any]:
        assert self.run.open.ended.wait(20)
        for near in self._near.values():
            near.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        return self.run.open.end


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    run = reading()
    run.lost = threading.Event()  # type: ignore[attr-defined]
    follow = run._displays.follow

    def follow_to_the_end(file: Any) -> None:
        follow(file)
        run.lost.set()  # type: ignore[attr-defined]

    monkeypatch.setattr(run._displays, "follow", follow_to_the_end)
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.05)
    return Program(run)


def test_a_silent_supervisor_ends_the_run(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that stops its supervisor would run without limits."""
    monkeypatch.setattr(listener, "SILENT_LOOKS", 2)
    program.join("supervisor")
    program.say("supervisor", {"alive": True})
    assert program.ends() == {"status": "died", "code": None, "seen": "silent"}


def test_the_word_on_a_limit_wins_over_a_lost_connection(program: Program) -> None:
    """A kernel that went down at its limit is told as that limit, however late its supervisor comes to say so."""
    program.join("supervisor")
    program.join("displays")
    program.lose("displays")
    program.say("supervisor", {"alive": True})  # it was on its way when the kernel went
    assert not program.run.open.ended.wait(10 * listener.LOOK_SECONDS)
    program.say("supervisor", {"limit": "memory"})
    assert program.ends() == {"status": "limit", "limit": "memory", "allowed": 2**30}


def test_a_supervisor_that_has_nothing_to_say_leaves_a_lost_program_lost(program: Program) -> None:
    """A kernel that closed its connections and lives would otherwise use its whole time, and show nothing."""
    program.join("supervisor")
    program.join("displays")
    program.lose("displays")
    for _ in range(listener.LAST_SIGNS):
        program.say("supervisor", {"alive": True})
    assert program.ends() == {"status": "died", "code": None, "seen": "lost"}


def test_a_program_without_a_supervisor_ends(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that never came would leave the run to the wall clock."""
    monkeypatch.setattr(listener, "SILENT_LOOKS", 2)
    program.join("displays")
    program.lose("displays")
    assert program.ends()["seen"] == "lost"


def test_a_supervisor_that_goes_without_a_word_ends_the_run(program: Program) -> None:
    """A cell that killed its supervisor would run without limits."""
    program.join("supervisor")
    program.say("supervisor", {"alive": True})
    program.lose("supervisor")
    assert program.ends() == {"status": "died", "code": None, "seen": "closed"}


class StandingStill(threading.Event):
    """An end that does not come, while the supervisor speaks once in so many looks."""

    def __init__(self, run: Reading, looks: int) -> None:
        super().__init__()
        self.run, self.looks, self.count = run, looks, 0

    def wait(self, timeout: float | None = None) -> bool:
        self.count += 1
        self.run._signs += self.count < 1000 and self.count % self.looks == 0
        return self.is_set()


def test_a_slow_supervisor_is_not_a_silent_one() -> None:
    """Beside busy neighbours an honest run would end as one whose cell stopped its supervisor."""
    run = reading()
    run._over = StandingStill(run, listener.SILENT_LOOKS - 1)
    near, far = socket.socketpair()
    with near, far:
        run._hold_to_word(far)
    assert 1000 <= run._over.count < 1000 + 2 * listener.SILENT_LOOKS
    assert run.open.end["seen"] == "silent"


# --- several cells --------------------------------------------------------------------------------


def published(kind: str, cell: int | None, **content: Any) -> dict[str, Any]:
    """What a kernel publishes in a cell."""
    parent = {} if cell is None else {"msg_id": f"cell-{cell}.1", "msg_type": "execute_request"}
    return {"msg_type": kind, "content": content, "parent_header": parent, "metadata": {}}


def take(run: Reading, message: dict[str, Any]) -> None:
    """As the thread does that judges."""
    run._take_message(iopub._cell_of(message), message)


def shown(run: Reading) -> list[str]:
    return [event["text"] for event in run.open._shown.events]


def test_what_an_earlier_cell_prints_is_not_shown_in_a_later_one() -> None:
    """It was approved to be part of that cell's result, under that cell's rules; how often it came is counted."""
    run = reading()
    run._cell = run.opened(3)
    for cell, text in ((3, "mine"), (2, "earlier"), (4, "later"), (None, "nobody's"), (12345, "no cell")):
        take(run, published("stream", cell, name="stdout", text=text))
    assert shown(run) == ["mine", "nobody's", "no cell"]
    assert run._strays == 2


def test_between_cells_everything_is_dropped_and_counted() -> None:
    """A thread that goes on, a table that nobody ordered, an end of no cell: none of it leaves with the next cell."""
    run, table = reading(), stream(pa.table({"a": [1]}))
    run.open.set_end(status="ok")
    take(run, published("stream", 1, name="stdout", text="late"))
    take(run, published("status", 1, execution_state="busy"))
    say(run, KERNEL, X, raw=table)
    say(run, KERNEL, {"missing": "x", "type": None}, {"end": True, "cell": 1, "cells": 1})
    assert (run._strays, run._lost, shown(run), run.open.tables) == (4, {}, [], {})


def test_the_word_on_another_cell_ends_none() -> None:
    """A cell that says that the next one has ended well would cut it short."""
    run = reading()
    run._cell = run.opened(2)
    say(run, KERNEL, {"end": True, "cell": 1, "cells": 1}, {"end": True, "cell": 3, "cells": 1})
    assert not run.open.ended.is_set()
    assert run._strays == 2


def test_strays_stand_in_the_next_verdict() -> None:
    """The receipt says that something was tried between cells."""
    gate = Gate(Obligations())
    CellOutput(Reading().open.cell, _Contract(), gate, lambda *_, **__: None, live=False, strays=7)  # type: ignore[arg-type]
    assert gate.verdict()["withheld"] == {"between cells": 7}


def test_a_session_gives_out_so_many_bytes_in_all() -> None:
    """Each cell is within its own limit, and all together are not."""
    gate = Gate(Obligations(max_bytes=100), left=10)
    assert gate.text("x" * 10)
    with pytest.raises(SessionBytesLimit):
        gate.text("x")
    with pytest.raises(BytesLimit):
        Gate(Obligations(max_bytes=5), left=10).text("x" * 6)


def test_messages_from_before_a_cell_are_thrown_away() -> None:
    """What waited to be judged when the cell was opened came between cells, whatever it calls itself."""
    run = reading()
    run._displays._messages.put([b"a"])
    run._displays._messages.put([b"b"])
    assert run._displays.open(2) == 2
    assert run._displays._messages.empty()


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

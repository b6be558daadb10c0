"""Messages between containers: bounded before they are read, and an error of ours when they are garbage."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import MalformedDocument, SlsError, Unavailable
from sls_jupyter.guest import wire
from sls_jupyter.guest.hostile import Budget, TooMuch


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers(-100, 100) | st.text(max_size=5), max_size=3), max_size=5)
)
def test_messages_arrive_in_order(messages: list[dict[str, object]]) -> None:
    """Neighbours understand one another."""
    file = io.BytesIO()
    for message in messages:
        wire.send(file, message)
    file.seek(0)
    assert [wire.receive(file) for _ in messages] == messages
    assert wire.receive(file) is None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_an_end_or_an_error_of_ours(data: bytes) -> None:
    """A hostile program cannot end its neighbour with bytes."""
    try:
        found = wire.receive(io.BytesIO(data))
    except SlsError:
        return
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize("body", [b"[1]", b"[" * 1000, b'{"a":1,"a":2}', b"\xff", b"{", b'{"a":NaN}'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """One encoding, one kind of value, a bounded depth."""
    with pytest.raises(MalformedDocument):
        wire.receive(io.BytesIO(len(body).to_bytes(4, "big") + body))


def test_a_length_is_refused_before_it_is_read() -> None:
    """Four bytes must not make this process ask for gigabytes."""
    with pytest.raises(MalformedDocument, match="malformed"):
        wire.receive(io.BytesIO((wire.MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + b"x"))
    assert wire.receive(io.BytesIO((10).to_bytes(4, "big") + b"short")) is None


@given(st.lists(st.lists(st.binary(max_size=20), max_size=6), max_size=5))
def test_frames_arrive_as_they_were(messages: list[list[bytes]]) -> None:
    """What a kernel publishes reaches the gate unchanged."""
    file = io.BytesIO()
    for frames in messages:
        wire.send_frames(file, frames)
    file.seek(0)
    assert [wire.receive_frames(file, lambda _: None) for _ in messages] == messages
    assert wire.receive_frames(file, lambda _: None) is None


@given(st.binary(max_size=64))
def test_any_bytes_are_frames_an_end_or_an_error_of_ours(data: bytes) -> None:
    """Lengths of a hostile program are counted before anything is read."""
    counted: list[int] = []

    def count(size: int) -> None:
        counted.append(size)
        if sum(counted) > 1000:
            raise MalformedDocument("too much")

    file = io.BytesIO(data)
    with contextlib.suppress(SlsError):
        found = wire.receive_frames(file, count)
        assert found is None or len(found) <= wire.MAX_FRAMES
    assert file.tell() <= 1000


@pytest.mark.parametrize("data", [bytes(4), (1).to_bytes(4, "big") + bytes(4)])
def test_messages_without_content_are_counted(data: bytes) -> None:
    """A flood of nothing fills a queue with nothing, and that takes memory, too."""
    file, budget = io.BytesIO(data * 1000), Budget(10_000)
    with pytest.raises(TooMuch):
        list(iter(lambda: wire.receive_frames(file, budget.take), None))


def test_a_message_is_counted_before_it_is_read() -> None:
    """What a program says beside its tables is a part of what it may send."""
    file, budget = io.BytesIO(), Budget(100)
    for _ in range(20):
        wire.send(file, {"missing": "x"})
    file.seek(0)
    with pytest.raises(TooMuch):
        list(iter(lambda: wire.receive(file, count=budget.take), None))


def test_a_container_ends_with_the_host_that_holds_its_input() -> None:
    """A host that is killed while a sandbox is being made would leave it for ever."""
    code = (
        "import time; from sls_jupyter.guest import wire; wire.end_with_host(); print(1, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-I", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(1) == b"1"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(30) == 1
    code = code.replace("600", "0.2")  # elsewhere there is no such input, and nothing to end with
    assert subprocess.run([sys.executable, "-I", "-c", code], stdin=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this needs Linux")
def test_a_process_can_be_closed_to_others_of_its_user() -> None:
    """A broken decoder must not read the results in its gate's memory."""
    code = (
        "from sls_jupyter.guest import wire; wire.be_unreadable(); import os; print(os.stat('/proc/self/mem').st_uid)"
    )
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert found.stdout.strip() == b"0"


def test_a_socket_takes_one_connection(tmp_path: Path) -> None:
    """Whoever comes second, by whatever link, reaches nobody."""
    path = str(tmp_path / "a.sock")
    listening = wire.listen(path)
    with (
        wire.connect(path, "program", "input", timeout=1),
        wire.accept_one(listening, "input", "program"),
        pytest.raises(Unavailable),
    ):
        wire.connect(path, "program", "input", timeout=0.05)


def test_a_neighbour_that_never_comes_is_an_error(tmp_path: Path) -> None:
    """A container waits for its neighbour, and not for ever."""
    start = time.monotonic()
    with pytest.raises(Unavailable):
        wire.connect(str(tmp_path / "none.sock"), "input", "audit", timeout=0.05)
    assert time.monotonic() - start < 2


def test_a_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Other users of the machine cannot speak to a container."""
    with wire.listen(str(tmp_path / "a.sock")) as listening:
        assert (tmp_path / "a.sock").stat().st_mode & 0o077 == 0
        with wire.connect(str(tmp_path / "a.sock"), "input", "audit", timeout=1) as near, listening.accept()[0] as far:
            file = near.makefile("rwb")
            wire.send(file, {"a": 1})
            assert json.loads(far.recv(100)[4:]) == {"a": 1}
            file.close()

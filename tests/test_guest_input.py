"""The input container: what it decodes is bounded, and what the program answers is a word."""

from __future__ import annotations

import io
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from e2e import LIMITS, World, world

import sls_jupyter.assets.sealing as sealing
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.errors import LimitExceeded, RunFailed
from sls_jupyter.guest import wire
from sls_jupyter.guest.cells import Cell
from sls_jupyter.guest.counting import counted
from sls_jupyter.guest.feed import Feed
from sls_jupyter.guest.input import InputRun

__all__ = ["world"]


def reading(memory: int) -> InputRun:
    run = InputRun.__new__(InputRun)
    limits = LIMITS.model_copy(update={"memory_bytes": memory})
    run._contract = SimpleNamespace(spec=SimpleNamespace(limits=limits))  # type: ignore[assignment]
    run._sealed = run._decoded = 0
    return run


def test_decoded_bytes_are_counted_over_all_tables() -> None:
    """Ten tables that fit one by one do not fit together; the error names the one that was too much."""
    run = reading(1000)
    batch = pa.record_batch({"a": pa.array(range(50), pa.int64())})
    for alias in ("first", "second"):
        run._count(alias, batch, whole=False)
    with pytest.raises(LimitExceeded, match="input third is larger") as caught:
        run._count("third", batch, whole=False)
    assert caught.value.detail == {"limit": "memory", "allowed": 1000, "alias": "third"}
    assert "1200 bytes" in str(caught.value.found)
    assert "1000 bytes" in str(caught.value.expected)


def test_categories_count_once() -> None:
    """A column of few long values is as large as its codes and one copy of its values."""
    run = reading(10_000)
    values = pa.array(["x" * 1000])
    empty = pa.record_batch({"a": pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), values)})
    batch = pa.record_batch({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), values)})
    run._count("a", empty, whole=True)
    for _ in range(5):
        run._count("a", batch, whole=False)
    assert 3_000 <= run._decoded < 3_100


def test_sealed_bytes_are_counted_before_they_are_read() -> None:
    """A part that says it is long is not read to find out."""
    read: list[int] = []

    def count(size: int) -> None:
        read.append(size)
        raise LimitExceeded("too much")

    part = counted(lambda _: io.BytesIO(b"x" * 100), count)("p")
    assert part.seek(0, io.SEEK_END) == 100
    part.seek(0)
    with pytest.raises(LimitExceeded):
        part.read(50)
    assert read == [50]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b'{"status":"ok"}', "ok"),
        (b'{"status":"error"}', "error"),
        (b'{"status":["ok"]}', "error"),
        (b"[1]", "died"),
        (b"{" * 900, "died"),
        (b" " * 2000, "died"),
        (b"", "died"),
    ],
)
def test_the_programs_answer_is_a_word(answer: bytes, status: str) -> None:
    """Whatever it sends, the container with the keys reads a thousand bytes and one word of them."""
    near, far = socket.socketpair()
    with near:

        def reply() -> None:
            with far, far.makefile("rwb") as other:
                message = wire.receive(other)
                assert message == {"bytes": 4, "asset": False, "confidential": False}
                assert other.read(4) == b"pass"
                if answer:
                    other.write(len(answer).to_bytes(4, "big") + answer)

        thread = threading.Thread(target=reply)
        thread.start()
        feed = Feed(near)
        assert feed.execute(b"pass", asset=False, confidential=False) == status
        feed.close()
        thread.join()


def test_a_small_part_with_large_values_is_an_error_that_names_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile owner's megabyte would otherwise be gigabytes in a container that no limit holds."""
    monkeypatch.setattr(sealing, "ROW_GROUP_BYTES", 1 << 40)
    monkeypatch.setattr(sealing, "ROWS_PER_PART", 1 << 30)
    row = pa.record_batch({"text": pa.array([["x" * 1000] * 1_000_000]), "k": pa.array([1])})
    large: dict[str, Any] = {"allow_code": "any", "requester": [world.analyst.did], "tee": "simulated-snp"}
    world.session("mallory").seal(pa.Table.from_batches([row]), "bomb", **large)
    world.analyst._reachable = (-3600.0, [])
    assert world.analyst.asset("bomb").bytes < 10 << 20
    error = world.do("x = 1", ["bomb"], outputs=["x"]).error
    assert isinstance(error, RunFailed)
    assert "bomb" in str(error)
    assert error.found
    assert error.expected


def test_a_program_that_speaks_unasked_has_ended() -> None:
    """Between cells it has nothing to say to the container with the keys; an answer in advance is none."""
    for word in (b"\0\0\0\x0f" + b'{"status":"ok"}', b""):
        near, far = socket.socketpair()
        feed = Feed(near)
        feed.wake()
        assert feed.wait()
        far.sendall(word)
        far.shutdown(socket.SHUT_WR)
        feed.wake()
        assert not feed.wait()
        feed.close()
        near.close()
        far.close()


def test_a_cell_comes_with_its_parameters_and_outputs() -> None:
    """Bytes of parameters follow their announcement, however many they are."""
    near, far = socket.socketpair()
    feed, parameters = Feed(near), b"p" * (5 << 20)
    cell = Cell(3, "sha256:" + "0" * 64, ("a", "b"), Obligations(min_group=5), parameters=parameters)
    sending = threading.Thread(target=feed.begin, args=(cell, 1))
    sending.start()
    with far.makefile("rb") as other:
        message = wire.receive(other)
        assert message == {"cell": 3, "parts": 1, "outputs": ["a", "b"], "min_group": 5, "parameters": 5 << 20}
        assert other.read(5 << 20) == parameters
    sending.join(10)
    feed.close()
    near.close()
    far.close()

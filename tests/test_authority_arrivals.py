"""Waiting for a receipt: its arrival ends the wait, nobody holds a thread, and nobody waits without a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from receipt_kit import SignedRun, signed_run, worlds_at

from sls_jupyter.authority import arrivals
from sls_jupyter.authority.arrivals import Arrivals, Look
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.errors import Unavailable
from sls_jupyter.safestream.receipts import fetch_receipt

NOTHING, THERE = Look(False, b"nothing"), Look(True, b"there")
SPEC = "sha256:" + "0" * 64


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by themselves, and nobody stops waiting: only what wakes a waiter ends a test."""
    monkeypatch.setattr(arrivals, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(arrivals, "MAX_RECEIPT_WAIT", 3600.0)


def waiting(room: Arrivals, then: Callable[[], None]) -> tuple[Look, int]:
    """What somebody gets who waits, and how often was looked; ``then`` happens in a thread after the first look."""
    looks = 0

    def look() -> Look:
        nonlocal looks
        looks += 1
        if looks == 1:
            threading.Thread(target=then).start()
            return NOTHING
        return THERE

    return asyncio.run(room.wait(SPEC, look, 3600.0)), looks


def test_an_arrival_ends_the_wait(patient: None) -> None:
    """Also one between the look and the wait; whoever waits looks twice, and not again and again."""
    room = Arrivals()
    assert waiting(room, lambda: room.tell(SPEC)) == (THERE, 2)
    assert room._bells == {}


def test_the_end_of_the_server_ends_the_wait(patient: None) -> None:
    """With what there is then; who comes later does not wait."""
    room = Arrivals()
    found, looks = waiting(room, room.close)
    assert (found, looks) in ((THERE, 2), (NOTHING, 1))  # the latter where it ended before the wait began
    assert asyncio.run(room.wait(SPEC, lambda: NOTHING, 3600.0)) == NOTHING


def test_only_so_many_wait(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered at once."""
    monkeypatch.setattr(arrivals, "MAX_WAITING", 1)
    monkeypatch.setattr(arrivals, "LOOK_SECONDS", 0.01)  # so that the first one looks again when it has its place
    room = Arrivals()

    async def two() -> tuple[Look, bool]:
        began, loop = asyncio.Event(), asyncio.get_running_loop()

        def look() -> Look:
            if room._places._value == 0:
                loop.call_soon_threadsafe(began.set)
            return NOTHING

        first = asyncio.create_task(room.wait(SPEC, look, 3600.0))
        await asyncio.wait_for(began.wait(), 60)
        found = await room.wait("another", lambda: NOTHING, 3600.0)
        still = not first.done()
        room.close()
        await first
        return found, still

    assert asyncio.run(two()) == (NOTHING, True)


def test_a_wait_is_over_in_time() -> None:
    """Without an arrival what there is is told."""
    assert asyncio.run(Arrivals().wait(SPEC, lambda: NOTHING, 0.01)) == NOTHING


@pytest.fixture
def served(tmp_path) -> Iterator[tuple[SignedRun, dict[str, AuthorityClient]]]:
    """A run that has no receipt yet, and its authorities over HTTP."""
    run = signed_run(worlds_at(tmp_path), post=False)
    servers = {did: AuthorityServer(world.authority, listen(0)) for did, world in run.worlds.items()}
    for server in servers.values():
        server.start()
    me = next(iter(run.worlds.values()))
    clients = {did: AuthorityClient(server.url, me.analyst, did=did, now=me.clock) for did, server in servers.items()}
    yield run, clients
    for client in clients.values():
        client.close()
    for server in servers.values():
        server.stop()
    for world in run.worlds.values():
        world.close()


def test_a_receipt_is_there_for_whoever_waited_for_it(served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP: asked for before the group has sent it, told when it has."""
    run, clients = served
    monkeypatch.setattr(arrivals, "LOOK_SECONDS", 3600.0)
    first = sorted(clients)[0]
    with pytest.raises(Unavailable, match="no receipt"):
        fetch_receipt(run.spec, clients)
    inner = arrivals.Arrivals._bell
    asked = threading.Event()

    def bell(*given):
        asked.set()
        return inner(*given)

    monkeypatch.setattr(arrivals.Arrivals, "_bell", bell)
    signed = run.sign(run.statement())

    def post() -> None:
        asked.wait(60)
        for client in clients.values():
            client.post_records(run.spec.digest, run.records, signed)

    thread = threading.Thread(target=post)
    thread.start()
    history = clients[first].history(run.spec.digest, receipt_within=arrivals.MAX_RECEIPT_WAIT)
    thread.join()
    assert history.receipt == signed
    assert run.check(fetch_receipt(run.spec, clients)).accepted

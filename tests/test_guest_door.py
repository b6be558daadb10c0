"""A door and the contract it takes: the requester's, the measured one, once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from builders import person
from starlette.applications import Starlette

from sls_jupyter.documents import digest
from sls_jupyter.errors import NotAuthorised, SlsError
from sls_jupyter.guest.door import MAX_BODY_BYTES, Door, Events, _problem
from sls_jupyter.identity import Identity, make_token


class _Device:
    """No evidence is asked for here."""

    def evidence(self, report_data: bytes) -> Any:
        raise AssertionError


def call(door: Door, method: str, path: str, who: Identity | None, body: bytes = b"") -> httpx.Response:
    """One call of the door's application, without TLS."""
    app = Starlette(routes=door._routes(), exception_handlers={SlsError: _problem})
    headers = {}
    if who is not None:
        audience, now = digest(door._spki), int(time.time())
        token = make_token(who.signing, audience=audience, method=method, path=path, body=body, now=now)
        headers["Authorization"] = f"Bearer {token}"

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://door") as client:
            return await client.request(method, path, content=body, headers=headers)

    return asyncio.run(ask())


def accepting(requester: Identity) -> tuple[Door, list[Any]]:
    taken: list[Any] = []

    def accept(body: dict[str, Any], caller: str) -> None:
        if caller != requester.did:
            raise NotAuthorised("not you")
        taken.append(body)

    return Door("input", _Device(), accept, fetch=lambda name, _: {"me": b"sealed"}.get(name)), taken  # type: ignore[arg-type]


def test_only_the_requester_brings_the_contract_and_only_once() -> None:
    """Whoever reaches a door of the cloud's network cannot start, replace or read a run."""
    me, other = person("analyst"), person("other")
    door, taken = accepting(me)
    assert call(door, "POST", "/v1/contract", None, b"{}").status_code == 401
    assert call(door, "POST", "/v1/contract", other, b"{}").status_code == 401
    assert taken == []
    for path in ("/v1/events", "/v1/results/me"):
        assert call(door, "GET", path, me).status_code == 401  # no contract yet
    assert call(door, "POST", "/v1/contract", me, b'{"a":1}').status_code == 201
    assert call(door, "POST", "/v1/contract", me, b'{"a":2}').status_code == 400
    assert taken == [{"a": 1}]
    assert call(door, "GET", "/v1/results/me", other).status_code == 401
    assert call(door, "GET", "/v1/results/me", me).content == b"sealed"
    assert call(door, "GET", "/v1/results/none", me).status_code == 400


@pytest.mark.parametrize("body", [b"", b"[", b"[" * 5000, b"\xff", b"{}" + b" " * MAX_BODY_BYTES])
def test_a_body_that_is_no_json_is_a_problem_of_ours(body: bytes) -> None:
    """A door answers garbage with a sentence."""
    me = person("analyst")
    door, taken = accepting(me)
    response = call(door, "POST", "/v1/contract", me, body)
    assert response.status_code == 400
    assert response.json()["title"] in ("MalformedDocument", "BadInput")
    assert taken == []


async def _dripping(door: Door, who: Identity, pause: Callable[[], Awaitable[object]]) -> httpx.Response:
    """A body that comes in two pieces of a MiB, with a pause between them."""
    app = Starlette(routes=door._routes(), exception_handlers={SlsError: _problem})
    token = make_token(
        who.signing, audience=digest(door._spki), method="POST", path="/v1/contract", body=b"", now=int(time.time())
    )

    async def body() -> AsyncIterator[bytes]:
        yield b" " * 2**20
        await pause()
        yield b" " * 2**20

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://door") as client:
        headers = {"Authorization": f"Bearer {token}"}
        return await client.request("POST", "/v1/contract", content=body(), headers=headers)


def test_whoever_comes_before_the_contract_neither_fills_the_memory_nor_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make a token of their own: bodies have a bound together, and each has to come in time."""
    monkeypatch.setattr("sls_jupyter.guest.door.MAX_HELD_BYTES", 2 * 2**20)
    stranger, (door, taken) = person("stranger"), accepting(person("analyst"))

    async def two() -> list[int]:
        both = asyncio.Barrier(2)
        answers = await asyncio.gather(*(_dripping(door, stranger, both.wait) for _ in range(2)))
        return sorted(one.status_code for one in answers)

    assert asyncio.run(two()) == [401, 503]
    assert (door._held, taken) == (0, [])
    monkeypatch.setattr("sls_jupyter.guest.door.BODY_SECONDS", 0.05)
    late = asyncio.run(_dripping(door, stranger, lambda: asyncio.sleep(5)))
    assert "did not come in time" in late.text
    assert door._held == 0


def test_a_nonce_has_one_form() -> None:
    """Evidence is for exactly the bytes that were asked about."""
    door, _ = accepting(person("analyst"))
    for nonce in ("", "ab", "A" * 64, "g" * 64):
        assert call(door, "GET", f"/v1/evidence?nonce={nonce}", None).status_code == 400


def test_events_reach_every_reader_from_the_first_to_the_last() -> None:
    """A notebook that connects late misses nothing, and is told when it is over."""
    events = Events()
    events.add("a")
    events.add("b", text="x")
    events.close()

    async def read() -> list[dict[str, Any]]:
        return [json.loads(line) async for line in events.lines()]

    assert [event["type"] for event in asyncio.run(read())] == ["a", "b"]
    assert [event["seq"] for event in asyncio.run(read())] == [0, 1]


def test_only_the_requester_orders_interrupts_and_closes() -> None:
    """Whoever else reaches the door can neither run a cell nor end one; nobody can before there is a contract."""
    me, other, seen = person("analyst"), person("other"), list[Any]()
    door = Door(
        "output",
        _Device(),  # type: ignore[arg-type]
        lambda *_: None,
        order=seen.append,
        interrupt=lambda body: seen.append(("interrupt", body)),
        close=lambda: seen.append("close"),
        fetch=lambda name, cell: f"{name} {cell}".encode(),
    )
    calls = ("/v1/cells", "/v1/interrupt", "/v1/close")
    for path in calls:
        assert call(door, "POST", path, me, b"{}").status_code == 401
    assert call(door, "POST", "/v1/contract", me, b"{}").status_code == 201
    for path in calls:
        assert call(door, "POST", path, other, b"{}").status_code == 401
        assert call(door, "POST", path, None, b"{}").status_code == 401
    assert seen == []
    assert [call(door, "POST", path, me, b'{"a":1}').status_code for path in calls] == [201, 201, 202]
    assert seen == [{"a": 1}, ("interrupt", {"a": 1}), "close"]
    assert call(door, "GET", "/v1/results/me", me).content == b"me None"


@pytest.mark.parametrize("number", ["", "0", "-1", "01", "10000", "x", "1.5"])
def test_a_cell_has_a_number(number: str) -> None:
    """A query is a caller's text."""
    me = person("analyst")
    door, _ = accepting(me)
    assert call(door, "POST", "/v1/contract", me, b'{"a":1}').status_code == 201
    app = Starlette(routes=door._routes(), exception_handlers={SlsError: _problem})

    async def ask() -> httpx.Response:
        path, now = f"/v1/results/me?cell={number}", int(time.time())
        token = make_token(me.signing, audience=digest(door._spki), method="GET", path=path, body=b"", now=now)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://door") as client:
            return await client.get(path, headers={"Authorization": f"Bearer {token}"})

    assert asyncio.run(ask()).status_code == 400


def test_of_a_stranger_no_body_is_read() -> None:
    """Whoever reaches the door of a warm session could fill its container's memory, and end it."""
    me, other = person("analyst"), person("other")
    door, _ = accepting(me)
    assert call(door, "POST", "/v1/contract", me, b"{}").status_code == 201
    app = Starlette(routes=door._routes(), exception_handlers={SlsError: _problem})
    told: list[Any] = []

    async def read() -> Any:
        pytest.fail("a stranger's body is read")

    async def answer(message: Any) -> None:
        told.append(message)

    token = make_token(
        other.signing, audience=digest(door._spki), method="POST", path="/v1/cells", body=b"{}", now=int(time.time())
    )
    for header in (f"Bearer {token}", "Bearer x", ""):
        scope = {"type": "http", "method": "POST", "path": "/v1/cells", "raw_path": b"/v1/cells", "query_string": b"",
                 "headers": [(b"authorization", header.encode())]}  # fmt: skip
        asyncio.run(app(scope, read, answer))
    assert [one["status"] for one in told if one["type"] == "http.response.start"] == [401, 401, 401]

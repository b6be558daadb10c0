"""The agent's HTTP door: parse, call one method of the keeper, answer in one shape. It listens on its socket only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sls_jupyter.agent.life import Keeper
from sls_jupyter.agent.messages import (
    MAX_BODY_BYTES,
    STREAM_SECONDS,
    About,
    Closed,
    Ordered,
    PersonaBody,
    RunInfo,
    RunList,
    ServedAnswer,
    SessionBody,
    Started,
    StopBody,
)
from sls_jupyter.agent.place import code_here, version
from sls_jupyter.documents import Model
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, to_problem
from sls_jupyter.safestream.journal import Journal
from sls_jupyter.session.posted import PostedCell, PostedRun, PostedSession

BEAT_SECONDS = 10.0  # an empty line of a stream in which nothing else comes
CANCEL_SECONDS = 15.0
M = TypeVar("M", bound=Model)


async def _body(request: Request, cls: type[M]) -> M:
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY_BYTES:
                raise BadInput("The request is too large.", expected=f"{MAX_BODY_BYTES} bytes at most")
    except ClientDisconnect:
        raise MalformedDocument("The request broke off.") from None
    return cls.read(bytes(data), max_bytes=MAX_BODY_BYTES)


async def _events(journal: Journal, start: int) -> AsyncIterator[bytes]:
    """Lines of JSON from event ``start`` on, for a while; empty lines where nothing comes."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(changed.set)

    end, until = journal.listen(tell), loop.time() + STREAM_SECONDS
    try:
        while loop.time() < until:
            changed.clear()
            events, over = journal.since(start)
            for event in events:
                yield json.dumps(event, ensure_ascii=False).encode() + b"\n"
            start += len(events)
            if over:
                return
            try:
                await asyncio.wait_for(changed.wait(), 0.5)  # a note that came too soon is due by then
            except TimeoutError:
                yield b"\n"
    finally:
        end()


class _Door:
    """The endpoints."""

    def __init__(self, keeper: Keeper, stop: Callable[[], None]) -> None:
        self._keeper, self._stop = keeper, stop

    async def about(self, _: Request) -> Response:
        keeper = self._keeper
        return _answer(
            About(
                version=version(),
                code=code_here(),
                pid=os.getpid(),
                started=keeper.started,
                home=str(keeper.root),
                keeps=tuple(await run_in_threadpool(keeper.keeps)),
                runs=tuple(run.id for run in keeper.going()),
                bound=tuple(run.id for run in keeper.bound()),
                idle_seconds=keeper.idle_seconds,
            )
        )

    async def runs(self, _: Request) -> Response:
        found = [
            RunInfo(id=run.id, persona=persona, state=run.state, status=run.status())
            for persona, run in self._keeper.runs()
        ]
        return _answer(RunList(runs=tuple(found)))

    async def launch(self, request: Request) -> Response:
        posted = await _body(request, PostedRun)
        run = await run_in_threadpool(self._keeper.launch, _persona(request), posted)
        return _answer(Started(id=run.id))

    async def open_session(self, request: Request) -> Response:
        posted = await _body(request, PostedSession)
        await run_in_threadpool(self._keeper.open_session, _persona(request), posted)
        return JSONResponse({})

    async def run_cell(self, request: Request) -> Response:
        posted = await _body(request, PostedCell)
        run = await run_in_threadpool(self._keeper.run_cell, _persona(request), posted)
        return _answer(Ordered(order=run.spec_digest))

    async def close_session(self, request: Request) -> Response:
        body = await _body(request, SessionBody)
        closed = await run_in_threadpool(self._keeper.close_session, body.persona, body.name)
        return _answer(Closed(closed=closed))

    async def events(self, request: Request) -> Response:
        start = request.query_params.get("from", "0")
        if not (start.isascii() and start.isdigit() and len(start) <= 12):
            raise BadInput("Events are counted from 0.", found=start[:40])
        journal = self._keeper.run(request.path_params["run"]).journal
        return StreamingResponse(_events(journal, int(start)), media_type="application/x-ndjson")

    async def cancel(self, request: Request) -> Response:
        run = self._keeper.run(request.path_params["run"])
        await run_in_threadpool(run.cancel, CANCEL_SECONDS)
        return JSONResponse({"state": run.state})

    async def serve(self, request: Request) -> Response:
        body = await _body(request, PersonaBody)
        served = await run_in_threadpool(self._keeper.serve, body.persona)
        return _answer(ServedAnswer(url=served.url, unreachable=served.unreachable))

    async def leave(self, request: Request) -> Response:
        body = await _body(request, PersonaBody)
        await run_in_threadpool(self._keeper.leave, body.persona)
        return JSONResponse({})

    async def lease(self, _: Request) -> Response:
        return StreamingResponse(_lease(self._keeper), media_type="application/x-ndjson")

    async def stop(self, request: Request) -> Response:
        body = await _body(request, StopBody)
        self._keeper.require_stoppable(force=body.force, replaced=body.replaced)
        self._stop()
        return JSONResponse({})


def create_agent_app(keeper: Keeper, stop: Callable[[], None]) -> Starlette:
    """The HTTP application of one agent.

    Args:
        stop: ends the server.
    """
    door = _Door(keeper, stop)
    calls = (
        ("GET", "/v1/about", door.about),
        ("GET", "/v1/runs", door.runs),
        ("POST", "/v1/runs", door.launch),
        ("POST", "/v1/sessions", door.open_session),
        ("POST", "/v1/sessions/close", door.close_session),
        ("POST", "/v1/cells", door.run_cell),
        ("GET", "/v1/runs/{run}/events", door.events),
        ("POST", "/v1/runs/{run}/cancel", door.cancel),
        ("POST", "/v1/authorities", door.serve),
        ("POST", "/v1/authorities/leave", door.leave),
        ("GET", "/v1/lease", door.lease),
        ("POST", "/v1/stop", door.stop),
    )
    return Starlette(routes=[Route(path, _counted(keeper, call), methods=[method]) for method, path, call in calls])


def _persona(request: Request) -> str:
    return request.query_params.get("persona", "")


def _counted(
    keeper: Keeper, endpoint: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint; each call shows that somebody needs the agent, and errors are answered as problems."""

    async def answered(request: Request) -> Response:
        keeper.called()
        try:
            return await endpoint(request)
        except SlsError as error:
            return JSONResponse(to_problem(error) | {"said_by": error.said_by}, error.status)
        finally:
            keeper.called()

    return answered


async def _lease(keeper: Keeper) -> AsyncIterator[bytes]:
    """A client's hold on the agent: as long as this answer goes on."""
    keeper.leases += 1
    try:
        until = time.monotonic() + STREAM_SECONDS
        while time.monotonic() < until:
            yield b"\n"
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        keeper.leases -= 1
        keeper.called()


def _answer(message: Model) -> Response:
    return JSONResponse(message.model_dump(mode="json"))

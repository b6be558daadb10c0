"""``GET events``: what has changed, as lines of JSON for as long as a page listens and this answer lasts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from tornado import web
from tornado.iostream import StreamClosedError

from sls_jupyter.errors import SlsError, TooManyRequests
from sls_jupyter.identity import Home
from sls_jupyter.lab import problems
from sls_jupyter.lab.desk import Desk
from sls_jupyter.lab.handlers import BASE, ApiHandler
from sls_jupyter.lab.watching import HELLO, Listener, Watch
from sls_jupyter.session import Session

CONTENT_TYPE = "application/x-ndjson"
STREAM_SECONDS = 240.0  # of one answer; the page asks again
HEARTBEAT_SECONDS = 15.0
HELLO_SECONDS = 2.0  # that the first look may take before the answer begins without it
FLUSH_SECONDS = 30.0  # that a reader may leave what was sent
MAX_LISTENERS = 64  # of one persona


class Watches:
    """The watch of each persona that somebody listens to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[Home, Watch] = {}

    @contextlib.contextmanager
    def listening(self, session: Session, listener: Listener) -> Iterator[None]:
        """Have a listener told about a persona.

        Raises:
            TooManyRequests: more listen to it than a person has pages.
        """
        with self._lock:
            watch = self._watches.setdefault(session.home, Watch(session))
        if watch.listeners() >= MAX_LISTENERS:
            raise TooManyRequests("Too many pages listen to this persona.", detail={"retry_after": 10})
        with watch.listening(listener):
            yield

    def close(self) -> None:
        with self._lock:
            for watch in self._watches.values():
                watch.close()


class EventsHandler(ApiHandler):
    """The stream."""

    _track_activity = False  # a page that only lies open keeps no server alive

    def initialize(self, desk: Desk, watches: Watches) -> None:  # type: ignore[override]
        super().initialize(desk)
        self._watches = watches
        self._gone = asyncio.Event()

    def on_connection_close(self) -> None:
        self._gone.set()

    @web.authenticated
    async def get(self) -> None:
        try:
            persona = self.one_argument("persona")
            if not persona and not Home.with_keys(self.desk.root):
                return await self._wait_for_somebody()
            loop, something = asyncio.get_running_loop(), asyncio.Event()
            session = await loop.run_in_executor(None, self.desk.session, persona)

            def wake() -> None:
                with contextlib.suppress(RuntimeError):  # the server ends
                    loop.call_soon_threadsafe(something.set)

            listener = Listener(wake)
            with self._watches.listening(session, listener):
                await self._tell(listener, something)
        except SlsError as error:
            self.give_problem(problems.as_message(error))
        except StreamClosedError:
            return

    def _begin(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.set_header("X-Accel-Buffering", "no")

    async def _tell(self, listener: Listener, something: asyncio.Event) -> None:
        self._begin()
        deadline = time.monotonic() + STREAM_SECONDS
        await self._first(something, HELLO_SECONDS)
        events = listener.take() or [HELLO]
        while not self._gone.is_set() and (left := deadline - time.monotonic()) > 0:
            something.clear()
            await self._send("".join(one.model_dump_json() + "\n" for one in events) or "\n")
            await self._first(something, min(left, HEARTBEAT_SECONDS))
            events = listener.take()

    async def _send(self, text: str) -> None:
        """Raises :class:`StreamClosedError`: the reader has gone, or reads nothing; then its connection is closed."""
        self.write(text)
        try:
            await asyncio.wait_for(asyncio.ensure_future(self.flush()), FLUSH_SECONDS)
        except TimeoutError:
            self.request.connection.close()
            raise StreamClosedError from None

    async def _first(self, something: asyncio.Event, seconds: float) -> None:
        """Until there is something to tell, nobody listens, or the time is over."""
        waiting = [asyncio.ensure_future(one.wait()) for one in (something, self._gone)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _wait_for_somebody(self) -> None:
        """There is no persona: the answer ends as soon as one was made, and the page asks again."""
        self._begin()
        await self._send(HELLO.model_dump_json() + "\n")
        deadline, beat = time.monotonic() + STREAM_SECONDS, time.monotonic()
        while not self._gone.is_set() and not Home.with_keys(self.desk.root) and time.monotonic() < deadline:
            if time.monotonic() - beat > HEARTBEAT_SECONDS:
                beat = time.monotonic()
                await self._send("\n")
            await self._first(asyncio.Event(), 1.0)


def handler(base_url: str, desk: Desk, watches: Watches) -> tuple[str, type[EventsHandler], dict[str, Any]]:
    """The path of the stream."""
    return (f"{base_url.rstrip('/')}/{BASE}/events", EventsHandler, {"desk": desk, "watches": watches})

"""The server under an authority: every wait for a caller ends, and callers who hold connections give way.

uvicorn serves; what it has no option for is here: a deadline for the headers, the body and the taking of an
answer, a bound on connections of which the longest-waiting ends first, and an accept loop that a lack of open
files neither ends nor spins. A Unix socket beside the port is for processes of the same user.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sls_jupyter.authority.guard import MAX_BODY_BYTES, MAX_HEADER_BYTES
from sls_jupyter.network import peer_is_us

HEADER_SECONDS = 10.0  # from connecting, or from the last answer, to the end of a request's headers
BODY_SECONDS = 20.0  # from there to the end of the body, and
BODY_BYTES_A_SECOND = 64 * 1024  # one more for so many bytes that it is said to have
REFUSED_SECONDS = 5.0  # for the rest of a body that is not read any more
ANSWER_SECONDS = 600.0  # from there to the end of the answer
STALLED_SECONDS = 30.0  # how long a caller may take nothing of an answer that waits
KEEP_ALIVE_SECONDS = 5
MAX_CONNECTIONS = 512
_RETRY_SECONDS = 0.2  # after an accept that failed for want of files
_WAITING = ("closing", "refused", "headers", "body")  # for their callers; the first of these end first
_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.callers")  # a line for each odd request would be a stranger's to write
_quiet.addFilter(lambda _: False)  # not `disabled`, which whoever configures logging in this process undoes


def most_connections() -> int:
    """How many connections are held at one time: a quarter of the files that this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(8, min(MAX_CONNECTIONS, files // 4))


class BoundedProtocol(H11Protocol):  # type: ignore[misc]  # mypy is told not to follow uvicorn
    """uvicorn's protocol with a deadline for each stage of a call."""

    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    stage = "headers"
    since = 0.0  # of the loop's clock, when the stage began
    _lost = False

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.logger = _quiet

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._begin("headers")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        stage = self._present()
        if self._lost:
            return
        if stage != self.stage and (stage, self.stage) != ("body", "refused"):
            self._begin(stage)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._lost:
            return
        stage = self._present()
        self._begin("refused" if stage == "body" and self.stage == "body" else stage)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        self._lost = True
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.end)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _present(self) -> str:
        """What is waited for; a connection that is being closed waits for its caller to take what was written."""
        if self.transport.is_closing():
            return "closing"
        state = self.conn.their_state
        return {h11.IDLE: "headers", h11.SEND_BODY: "body"}.get(state, "answer")

    def _begin(self, stage: str) -> None:
        seconds = {"headers": HEADER_SECONDS, "refused": REFUSED_SECONDS}.get(stage, ANSWER_SECONDS)
        if stage == "closing" and self.conn.their_state is h11.ERROR:
            seconds = STALLED_SECONDS  # what a caller who made no sense is owed
        if stage == "body":
            seconds = BODY_SECONDS + self._said_bytes() / BODY_BYTES_A_SECOND
        if self._timer is not None:
            self._timer.cancel()
        self.stage, self.since = stage, self.loop.time()
        self._timer = self.loop.call_later(seconds, self.end)

    def _said_bytes(self) -> int:
        """The length of the body by its header, as far as any body may be."""
        said = next((value for name, value in self.headers or () if name == b"content-length"), b"0")
        return min(int(said[:12]), MAX_BODY_BYTES) if said.isdigit() else 0

    def end(self) -> None:
        """Close the connection at once."""
        self.transport.abort()


class _Listener:
    """Accepts on one socket; what :class:`uvicorn.Server` needs of a server object."""

    def __init__(self, server: BoundedServer, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._server, self._socket, self._tls = server, listening, tls
        self._greeting: set[asyncio.Task[Any]] = set()  # TLS handshakes
        listening.setblocking(False)
        self._task = asyncio.get_running_loop().create_task(self._accept())

    @property
    def pending(self) -> int:
        return len(self._greeting)

    async def _accept(self) -> None:
        loop, failing = asyncio.get_running_loop(), False
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
                failing = False
            except OSError as error:
                if not failing:
                    _log.warning("no connection can be accepted: %s", error.strerror)
                failing = True
                self._server.make_room()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if self._is_welcome(connection) and self._make_room():
                task = loop.create_task(self._greet(connection))
                self._greeting.add(task)
                task.add_done_callback(self._greeting.discard)
            else:
                connection.close()
            await asyncio.sleep(0)  # calls have their turn between two new connections

    def _is_welcome(self, connection: socket.socket) -> bool:
        return connection.family != socket.AF_UNIX or peer_is_us(connection)

    def _make_room(self) -> bool:
        while self._server.held >= most_connections():
            if self._server.make_room():
                continue
            waiting = next(iter(self._greeting), None)
            if waiting is None:
                return False  # every connection is one that is being answered
            waiting.cancel()
            self._greeting.discard(waiting)
        return True

    async def _greet(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": HEADER_SECONDS}
        try:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._server.protocol, connection, **tls)
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is an OSError
            connection.close()

    def close(self) -> None:
        for task in (self._task, *self._greeting):
            task.cancel()

    async def wait_closed(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class BoundedServer(uvicorn.Server):  # type: ignore[misc]  # as above
    """uvicorn with :class:`BoundedProtocol` on given sockets."""

    servers: list[Any]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        tls = self.config.ssl
        self.servers = [_Listener(self, one, None if one.family == socket.AF_UNIX else tls) for one in sockets or ()]
        self.started = True

    def protocol(self) -> BoundedProtocol:
        return BoundedProtocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )

    @property
    def held(self) -> int:
        """Connections, and those that are being made."""
        connections: set[Any] = self.server_state.connections
        return len(connections) + sum(int(one.pending) for one in self.servers)

    def make_room(self) -> bool:
        """End the connection that has waited longest for its caller; false if none waits."""
        connections = [one for one in self.server_state.connections if isinstance(one, BoundedProtocol)]
        waiting = [one for one in connections if one.stage in _WAITING]
        if not waiting:
            return False
        first = min(waiting, key=lambda one: (_WAITING.index(one.stage), one.since))
        first.end()
        self.server_state.connections.discard(first)  # connection_lost comes with the next turn of the loop
        return True


def configure(app: ASGIApp, *, graceful_seconds: int, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration for an authority: nothing logged of callers, HTTP/1.1 by h11, no web sockets."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=graceful_seconds,
        **options,
    )

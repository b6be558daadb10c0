"""A door of the group: an HTTPS server whose certificate key stands in REPORT_DATA.

The key is made here, in protected memory, and never leaves it. A client sends a nonce, gets evidence
with ``REPORT_DATA = SHA-512(lp("sls-jupyter/door/v2", role, nonce, spki))`` and compares ``spki`` with the
certificate of the very connection it came over. Only the requester named in the spec may use the rest.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sls_jupyter.attestation.binding import door_report_data
from sls_jupyter.attestation.device.interface import Device
from sls_jupyter.authority.guard import target_of
from sls_jupyter.documents import digest, parse_json
from sls_jupyter.errors import BadInput, NotAuthorised, SlsError, Unavailable, to_problem
from sls_jupyter.guest.messages import IDLE_SECONDS
from sls_jupyter.identity import verify_token

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HELD_BYTES = 2 * MAX_BODY_BYTES  # of all bodies that are being read
BODY_SECONDS = 120.0  # of one body
NONCE_BYTES = 32


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A self-signed certificate (PEM). Only its key means anything; names and dates do not."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sls-jupyter door")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=30))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _memory_file(data: bytes) -> int:
    descriptor = os.memfd_create("door", os.MFD_CLOEXEC)
    os.write(descriptor, data)
    return descriptor


def _server_context(key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """TLS 1.3 with that key, handed over in memory because ``ssl`` reads keys from files only."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    descriptor = _memory_file(_certificate(key) + pem)
    try:
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


class Events:
    """A growing list of events that any number of readers follow from its start."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._closed = False
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add(self, kind: str, **fields: Any) -> None:
        """Append an event and wake the readers."""
        with self._lock:
            self._events.append({"seq": len(self._events), "type": kind, "at": time.time(), **fields})
            self._wake()

    def close(self) -> None:
        """No further event will come; readers end after the last one."""
        with self._lock:
            self._closed = True
            self._wake()

    def _wake(self) -> None:
        for loop, event in self._waiting:
            loop.call_soon_threadsafe(event.set)

    async def lines(self) -> AsyncIterator[bytes]:
        """Each event as a line of JSON, as it comes."""
        wake = asyncio.Event()
        me = (asyncio.get_running_loop(), wake)
        with self._lock:
            self._waiting.add(me)
        try:
            sent = 0
            while True:
                wake.clear()
                with self._lock:
                    fresh, closed = self._events[sent:], self._closed
                for event in fresh:
                    yield json.dumps(event).encode() + b"\n"
                sent += len(fresh)
                if closed and not fresh:
                    return
                if not fresh:
                    await wake.wait()
        finally:
            with self._lock:
                self._waiting.discard(me)


def _no_orders(_: dict[str, Any]) -> None:
    raise BadInput("This door takes no orders.")


class Door:
    """The server and its events.

    Args:
        role: of this container, in its evidence.
        device: gives evidence.
        accept: called with the body of ``POST /v1/contract`` and the caller's DID; raises, and has
            changed nothing then, unless the caller is the requester. Called until it accepts, never after.
        order: called with the body of ``POST /v1/cells``; raises, and has changed nothing then.
        interrupt: called with the body of ``POST /v1/interrupt``: that cell is to end, and the session goes on.
        close: the session is to end.
        fetch: bodies for ``GET /v1/results/{name}``, by name and number of the cell; of the last one without a number.
    """

    def __init__(
        self,
        role: Literal["input", "output"],
        device: Device,
        accept: Callable[[dict[str, Any], str], None],
        *,
        order: Callable[[dict[str, Any]], None] = _no_orders,
        interrupt: Callable[[dict[str, Any]], None] = _no_orders,
        close: Callable[[], None] = lambda: None,
        fetch: Callable[[str, int | None], bytes | None] = lambda *_: None,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._context = _server_context(key)
        self._role, self._device, self._accept, self._fetch = role, device, accept, fetch
        self._orders = {"/v1/cells": order, "/v1/interrupt": interrupt}
        self._calls = {"/v1/cancel": cancel, "/v1/close": close}
        self._requester: str | None = None
        self._held = 0  # bytes of bodies that are being read
        self._accepting = asyncio.Lock()  # two contracts at once: the second one comes too late
        self.events = Events()

    def serve(self, listen: str) -> None:
        """Listen in a daemon thread; ``listen`` is ``address:port``."""
        address, _, port = listen.rpartition(":")
        app = Starlette(routes=self._routes(), exception_handlers={SlsError: _problem})
        config = uvicorn.Config(
            app,
            host=address,
            port=int(port),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=IDLE_SECONDS,
        )
        config.load()
        config.ssl = self._context
        server = uvicorn.Server(config)
        threading.Thread(target=server.run, name="door", daemon=True).start()

    def _routes(self) -> Sequence[Route]:
        return (
            Route("/v1/evidence", self._evidence),
            Route("/v1/contract", self._contract, methods=["POST"]),
            *(Route(path, self._ordered, methods=["POST"]) for path in self._orders),
            *(Route(path, self._called, methods=["POST"]) for path in self._calls),
            Route("/v1/events", self._follow),
            Route("/v1/results/{name:path}", self._result),
        )

    async def _caller(self, request: Request) -> tuple[str, bytes]:
        """Who calls, and the body; of somebody who may not call nothing is read."""
        caller = self._verified(request, None)
        if self._requester is not None and caller != self._requester:
            raise NotAuthorised("Only the run's requester may use this door.", found=caller)
        body = await self._body(request)
        return self._verified(request, body), body

    async def _body(self, request: Request) -> bytes:
        """A caller's body. Before there is a contract anybody can be the caller: time, and what all of them send, have a bound."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > MAX_BODY_BYTES:
                        raise BadInput("The request is too large.", expected=f"{MAX_BODY_BYTES} bytes at most")
                    if self._held > MAX_HELD_BYTES:
                        raise Unavailable("This door has too much to read at once.", hint="Try again.")
            return bytes(body)
        except TimeoutError:
            raise BadInput("The request did not come in time.", expected=f"{BODY_SECONDS:g} seconds at most") from None
        finally:
            self._held -= len(body)

    def _verified(self, request: Request, body: bytes | None) -> str:
        return verify_token(
            request.headers.get("authorization", "").removeprefix("Bearer "),
            audience=digest(self._spki),
            method=request.method,
            path=target_of(request.scope),
            body=body,
            now=int(time.time()),
        )

    async def _evidence(self, request: Request) -> Response:
        """Anybody may ask who this is."""
        text = request.query_params.get("nonce", "")
        if len(text) != 2 * NONCE_BYTES or not all(letter in "0123456789abcdef" for letter in text):
            raise BadInput("A nonce is 64 lower-case hex digits.", found=f"{len(text)} characters")
        report_data = door_report_data(self._role, bytes.fromhex(text), self._spki)
        evidence = await asyncio.to_thread(self._device.evidence, report_data)
        return Response(evidence.encode(), media_type="application/json")

    async def _contract(self, request: Request) -> Response:
        caller, body = await self._caller(request)
        async with self._accepting:
            if self._requester is not None:
                raise BadInput("This group has its contract already.", hint="One group executes one spec, once.")
            await asyncio.to_thread(self._accept, parse_json(body, max_bytes=MAX_BODY_BYTES), caller)
            self._requester = caller
        return JSONResponse({}, 201)

    async def _ordered(self, request: Request) -> Response:
        _, body = await self._caller(request)
        self._require_contract()
        order = self._orders[request.url.path]
        await asyncio.to_thread(order, parse_json(body, max_bytes=MAX_BODY_BYTES))
        return JSONResponse({}, 201)

    async def _called(self, request: Request) -> Response:
        await self._caller(request)
        self._require_contract()
        await asyncio.to_thread(self._calls[request.url.path])
        return JSONResponse({}, 202)

    async def _follow(self, request: Request) -> Response:
        await self._caller(request)
        self._require_contract()
        return StreamingResponse(self.events.lines(), media_type="application/x-ndjson")

    async def _result(self, request: Request) -> Response:
        await self._caller(request)
        self._require_contract()
        cell = request.query_params.get("cell")
        if cell is not None and not re.fullmatch("[1-9][0-9]{0,3}", cell):
            raise BadInput("A cell has a number.", found=cell[:20])
        body = self._fetch(request.path_params["name"], None if cell is None else int(cell))
        if body is None:
            raise BadInput("There is no such result.", found=request.path_params["name"][:100])
        return Response(body, media_type="application/octet-stream")

    def _require_contract(self) -> None:
        if self._requester is None:
            raise NotAuthorised("This group has no contract yet.")


def _problem(_: Request, error: Exception) -> Response:
    ours = error if isinstance(error, SlsError) else SlsError("The guest failed unexpectedly.")
    return JSONResponse(to_problem(ours), ours.status, media_type="application/problem+json")

"""What stands before the authority's routes: whose names it answers to, how much it takes in, and its signature.

One ASGI layer. A request is refused before any route sees it when it names another host, comes from a web page
of another site, or brings a body that is too large, not JSON, or of more values than any call has. Every answer,
refusals too, is signed for the nonce that the caller sent (:func:`sls_jupyter.authority.protocol.answer_message`).
Deadlines of headers and bodies are the connection's: :mod:`sls_jupyter.authority.serving`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sls_jupyter.authority.protocol import ANSWER_SIGNATURE, AUTHORITY, NONCE, answer_message
from sls_jupyter.contract.spec import MAX_CELLS
from sls_jupyter.documents import Signer, b64encode, parse_json
from sls_jupyter.errors import (
    BadInput,
    MalformedDocument,
    NotAuthorised,
    SlsError,
    TooManyRequests,
    Unavailable,
    to_problem,
)
from sls_jupyter.transparency.witness import MAX_REQUEST_BYTES

MAX_HEADER_BYTES = 16 * 1024  # of request line and headers
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_BODY_VALUES = 1000  # JSON values of a body: every call's is a flat object of texts
MAX_CELLS_VALUES = 6 * MAX_CELLS  # the same where all cells of a session are sent
SMALL_BODY_BYTES = 256 * 1024
MAX_HELD_BYTES = 64 * 1024 * 1024  # of all large bodies that are held at one time
LOOPBACK_NAMES = (
    "127.0.0.1",
    "localhost",
    "[::1]",
)  # with any port: it may be forwarded; a name of elsewhere is none of these
_CELLS = "/v1/cells"
_LARGE_BODIES = {
    "/v1/assets": MAX_BODY_BYTES,
    "/v1/requests": MAX_BODY_BYTES,
    _CELLS: MAX_BODY_BYTES,
    "/v1/release": MAX_BODY_BYTES // 2,
}
_RECORDS = re.compile(r"/v1/runs/[^/]+/records")
_TEXT = re.compile(r"/add-checkpoint|/v1/log/cosignatures/[^/]+")  # bodies of C2SP's, no JSON
_PARTS = re.compile(r"/v1/assets/[^/]+/parts/[^/]+")  # ciphertext, verified against the manifest
_NONCE = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)

Admit = Callable[[str, str, str], None]
"""``(address, method, path)``: raises an :class:`SlsError` when a caller's address has asked too much."""


def target_of(scope: Scope) -> str:
    """Path and query of a request as they were sent."""
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def problem_response(error: SlsError, status: int | None = None) -> JSONResponse:
    """The one shape of every error."""
    problem = to_problem(error)
    problem["status"] = status or problem["status"]
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequests) else None
    return JSONResponse(problem, problem["status"], headers, media_type="application/problem+json")


class _Refusal(Exception):  # an answer
    def __init__(self, error: SlsError, status: int | None = None) -> None:
        super().__init__(error.message)
        self.response = problem_response(error, status)


class Guard:
    """The layer around an authority's application.

    Args:
        signer: the authority's own key.
        hosts: ``name`` or ``name:port`` of everything that this authority is reached by; a name without a port
            stands for all of them.
        admit: limits by address; called for every request that comes over a network.
    """

    def __init__(self, app: ASGIApp, *, signer: Signer, hosts: Iterable[str], admit: Admit | None = None) -> None:
        self.app, self._signer, self._admit = app, signer, admit
        self._hosts = frozenset(host.lower() for host in hosts)
        self._held = 0  # bytes of large bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = _headers(scope)
        signing = _Signing(self._signer, scope, headers.get(NONCE.lower()), send)
        try:
            self._require_ours(scope, headers)
            body = await self._body(scope, headers, receive)
        except _Refusal as refusal:
            await refusal.response(scope, receive, signing.send)
            return
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # of a caller whom nobody foresaw
            await self._failed(error, scope, receive, signing)
            return
        signing.question = body
        self._held += _counted(body)
        try:
            await self._answer(scope, _replay(body, receive), signing)
        finally:
            self._held -= _counted(body)

    async def _answer(self, scope: Scope, receive: Receive, signing: _Signing) -> None:
        """Call the application. A failure that nobody foresaw is told without its text, which may quote anything."""
        try:
            await self.app(scope, receive, signing.send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the server would print the traceback
            await self._failed(error, scope, receive, signing)

    async def _failed(self, error: Exception, scope: Scope, receive: Receive, signing: _Signing) -> None:
        _log.error("unexpected %s", type(error).__name__)
        if not signing.started:
            hint = "Its operator's log has the time of it."
            failed = problem_response(SlsError("The authority failed unexpectedly.", hint=hint))
            await failed(scope, receive, signing.anew)

    # --- before the body --------------------------------------------------------------------------

    def _require_ours(self, scope: Scope, headers: Mapping[str, str]) -> None:
        lines = [scope["raw_path"], scope["query_string"], *(part for pair in scope["headers"] for part in pair)]
        if sum(map(len, lines)) > MAX_HEADER_BYTES:  # the server's own bound is for those that come in pieces
            raise _Refusal(BadInput("The headers are too large.", expected=f"{MAX_HEADER_BYTES} bytes at most"), 431)
        host = headers.get("host", "").lower()
        name, _, port = host.rpartition(":")
        if host not in self._hosts and not (name in self._hosts and port.isascii() and port.isdigit()):
            raise _Refusal(
                BadInput(
                    "This authority does not answer to that name.",
                    found=host[:100],
                    hint="Its operator can add one: sls authority serve --allowed-host NAME",
                ),
                421,
            )
        if _is_cross_site(headers, host):
            raise _Refusal(NotAuthorised("An authority takes no calls from web pages of others."), 403)
        nonce = headers.get(NONCE.lower())
        if nonce is not None and not _NONCE.fullmatch(nonce):
            raise _Refusal(MalformedDocument("A nonce is 64 lower-case hexadecimal digits."))
        client = scope.get("client")
        if self._admit is not None and client:
            try:
                self._admit(str(client[0]), scope["method"], scope["path"])
            except SlsError as error:
                raise _Refusal(error, 429 if isinstance(error, Unavailable) else None) from None

    # --- the body ---------------------------------------------------------------------------------

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes:
        """The whole body, bounded; the deadline is the connection's."""
        path, limit = scope["path"], _limit(scope["path"])
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:12]) > limit:
            raise _too_large(limit)
        body, counted = bytearray(), 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                self._held += _counted(body) - counted
                counted = _counted(body)
                if self._held > MAX_HELD_BYTES and counted:
                    raise _Refusal(Unavailable("The authority has too much to read.", hint="Try again."))
                if not message.get("more_body", False):
                    break
        finally:
            self._held -= counted
        if body and not _TEXT.fullmatch(path):
            _require_json(bytes(body), headers, MAX_CELLS_VALUES if path == _CELLS else MAX_BODY_VALUES)
        return bytes(body)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name; of one that stands twice, both, so that neither is believed."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _is_cross_site(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser says that a page of another site asks. Other programs say neither."""
    origin, fetched = headers.get("origin"), headers.get("sec-fetch-site", "none").lower()
    if fetched not in ("none", "same-origin"):
        return True
    return origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")


def _limit(path: str) -> int:
    if _RECORDS.fullmatch(path):
        return MAX_BODY_BYTES
    return MAX_REQUEST_BYTES if _TEXT.fullmatch(path) else _LARGE_BODIES.get(path, SMALL_BODY_BYTES)


def _counted(body: bytes | bytearray) -> int:
    """Small bodies are always taken: what holds them all is the number of connections."""
    return len(body) if len(body) > SMALL_BODY_BYTES else 0


def _too_large(limit: int) -> _Refusal:
    return _Refusal(BadInput("The request is too large.", expected=f"{limit} bytes at most"), 413)


def _require_json(body: bytes, headers: Mapping[str, str], max_values: int) -> None:
    """JSON, said so: a form that a web page may send without asking says something else."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        found = kind[:60] or "nothing"
        raise _Refusal(BadInput("A body is JSON.", found=found, expected="Content-Type: application/json"), 415)
    try:
        value = parse_json(body, max_bytes=MAX_BODY_BYTES, max_values=max_values)
        json.dumps(value, ensure_ascii=False).encode()
    except MalformedDocument as error:
        raise _Refusal(error) from None
    except UnicodeEncodeError:
        raise _Refusal(MalformedDocument("A body holds half a character.")) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


# --- the answer -----------------------------------------------------------------------------------


class _Signing:
    """Holds an answer until it is whole, signs it and sends it on. Sealed parts are passed on as they come."""

    def __init__(self, signer: Signer, scope: Scope, nonce: str | None, send: Send) -> None:
        self._signer, self._scope, self._send = signer, scope, send
        self._nonce = nonce if nonce is not None and _NONCE.fullmatch(nonce) else None
        self._start: Message | None = None
        self._body = bytearray()
        self._passing = False
        self.question = b""
        self.started = False  # something was sent

    async def anew(self, message: Message) -> None:
        """Send another answer than the one that was begun and held."""
        if message["type"] == "http.response.start":
            self._start, self._body = None, bytearray()
        await self.send(message)

    async def send(self, message: Message) -> None:
        if self._passing or message["type"] not in ("http.response.start", "http.response.body"):
            await self._send(message)
            return
        if message["type"] == "http.response.start":
            self._start = message
            if self._nonce is None or self._is_part(message["status"]):
                self._passing = self.started = True
                await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._finish()

    def _is_part(self, status: int) -> bool:
        return status in (200, 206) and self._scope["method"] == "GET" and bool(_PARTS.fullmatch(self._scope["path"]))

    async def _finish(self) -> None:
        assert self._start is not None and self._nonce is not None  # noqa: PT018, S101  # ASGI: the start comes first
        start, body, did = dict(self._start), bytes(self._body), self._signer.did
        message = answer_message(
            did, self._nonce, self._scope["method"], target_of(self._scope), self.question, start["status"], body
        )
        added = {AUTHORITY: did, ANSWER_SIGNATURE: b64encode(self._signer.sign(message))}
        given: list[Any] = [*start.get("headers", []), *((k.lower().encode(), v.encode()) for k, v in added.items())]
        self.started = True
        await self._send({**start, "headers": given})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

"""A hostile authority: it holds a real authority's key, so its answers are signed, and says what a test wants."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.authority.protocol import ANSWER_SIGNATURE, AUTHORITY, NONCE, answer_message
from sls_jupyter.documents import b64encode
from sls_jupyter.identity import SigningKey

Behaviour = Callable[["Call"], None]


class Call(http.server.BaseHTTPRequestHandler):
    """One call to it; ``answer`` signs."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _go(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        outer = self.server.outer
        outer.seen.append((self.command, self.path))
        path = self.path.partition("?")[0]
        behaviour = next((one for place, one in outer.behave.items() if path.endswith(place)), None)
        with contextlib.suppress(OSError):
            (behaviour or self._relay)(self)

    do_GET = do_POST = do_DELETE = _go  # noqa: N815  # names of http.server

    @staticmethod
    def _relay(call: Call) -> None:
        """What the honest authority says, signed by it."""
        kept = ("authorization", "content-type", "range", NONCE.lower())
        head = {name: value for name, value in call.headers.items() if name.lower() in kept}
        url = call.server.outer.real + call.path
        found = httpx.request(call.command, url, content=call.body, headers=head, timeout=60, trust_env=False)
        signed = {name: found.headers[name] for name in (AUTHORITY, ANSWER_SIGNATURE) if name in found.headers}
        call.send(found.status_code, found.content, found.headers.get("content-type", ""), **signed)

    def send(self, status: int, data: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        """A signed answer; bytes as they are, anything else as JSON."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        key, nonce = self.server.outer.key, self.headers.get(NONCE, "")
        message = answer_message(key.did, nonce, self.command, self.path, self.body, status, data)
        signed = {AUTHORITY: key.did, ANSWER_SIGNATURE: b64encode(key.sign(message))}
        self.send(status, data, **signed, **headers)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    outer: Hostile

    def handle_error(self, *_: Any) -> None:
        pass


class Hostile:
    """In front of a session's own authority: relays, but for paths that end as ``behave`` says."""

    def __init__(self, session: Any) -> None:
        self.real = session.own_authority().url
        seed = (session.home.path / "authority" / "ed25519").read_bytes()
        self.key = SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
        self.behave: dict[str, Behaviour] = {}
        self.seen: list[tuple[str, str]] = []
        self._server = Server(("127.0.0.1", 0), Call)
        self._server.outer = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(value: Any, status: int = 200) -> Behaviour:
    return lambda call: call.answer(value, status)


def drip(call: Call) -> None:
    """A byte now and then, for ever."""
    call.send_response(200)
    call.send_header("Content-Length", "100000000")
    call.end_headers()
    while True:
        call.wfile.write(b" ")
        call.wfile.flush()
        time.sleep(0.2)


def drip_headers(call: Call) -> None:
    """The same, before the body begins."""
    call.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        call.wfile.write(b"x")
        call.wfile.flush()
        time.sleep(0.2)


def bomb(call: Call) -> None:
    """Much in little, in an encoding that nobody asked for."""
    call.answer(gzip.compress(b" " * (200 << 20), 6), **{"Content-Encoding": "gzip"})


def endless(call: Call) -> None:
    """Bytes without a length, for ever."""
    call.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        call.wfile.write(b" " * 65536)


def redirect(target: str) -> Behaviour:
    def send(call: Call) -> None:
        call.send(302, b"", Location=target)

    return send

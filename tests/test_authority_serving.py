"""Connections: whoever holds them gives way, every wait ends, and a lack of files ends nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging.config
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import World
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sls_jupyter.authority import serving
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.http import create_app

HALVES = {
    "nothing": b"",
    "half a line": b"GET /v1/author",
    "half the headers": b"GET / HTTP/1.1\r\nHost: x\r\nX-A:",
    "half a body": b"POST /v1/requests HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    "a body refused unread": b"POST /v1/approvals HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 99999999\r\n\r\n{",
}  # fmt: skip


@pytest.fixture
def short(monkeypatch) -> None:
    """Short deadlines, so that these tests do not take long."""
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(serving, "REFUSED_SECONDS", 0.5)
    monkeypatch.setattr(serving, "STALLED_SECONDS", 0.5)


@pytest.fixture
def server(tmp_path) -> Iterator[AuthorityServer]:
    world = World(tmp_path)
    world.publish()
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    yield server
    server.stop()
    world.close()


@pytest.fixture
def url(server) -> str:
    return server.url


def held(server: AuthorityServer) -> list[object]:
    """What each connection of a server waits for, for a test that fails."""
    return [
        (one.stage, one.loop.time() - one.since, one.flow.write_paused, one.flow.read_paused, one.conn.states,
         one.transport.get_write_buffer_size(), one.transport.is_closing(), one.cycle and one.cycle.response_complete)
        for one in list(server._server.server_state.connections)
    ]  # fmt: skip


def connected(url: str, data: bytes = b"") -> socket.socket:
    port = url.rpartition(":")[2]
    one = socket.create_connection(("127.0.0.1", int(port)), timeout=60)
    one.sendall(data.replace(b"PORT", port.encode()))
    return one


def honest(url: str) -> int:
    return httpx.get(url + "/v1/authority", timeout=60, trust_env=False, verify=False).status_code


def ended(one: socket.socket) -> bool:
    """Wait until the server ends the connection; an answer before that is read away."""
    with contextlib.suppress(ConnectionError):
        while one.recv(65536):
            pass
    return True


def test_a_connection_that_is_being_closed_gives_way_first(short, tmp_path):
    """Who leaves an answer untaken and then makes no sense holds neither a place nor a file for the time of an answer."""
    world = World(tmp_path)

    class Full(asyncio.Transport):
        """A caller takes nothing: what is written stays, and closing waits for it."""

        closing = aborted = False

        def write(self, data: bytes) -> None:
            pass

        def close(self) -> None:
            self.closing = True

        def is_closing(self) -> bool:
            return self.closing

        def abort(self) -> None:
            self.aborted = True

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

    async def go() -> None:
        server = serving.BoundedServer(serving.configure(create_app(world.authority), graceful_seconds=1))
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        one, transport = server.protocol(), Full()
        one.connection_made(transport)
        one.data_received(b"\0garbage\r\n\r\n")
        assert (one.stage, transport.closing, transport.aborted) == ("closing", True, False)
        assert server.make_room()
        assert transport.aborted
        another, transport = server.protocol(), Full()
        another.connection_made(transport)
        another.data_received(b"\0garbage\r\n\r\n")
        for _ in range(1200):
            await asyncio.sleep(0.05)
            if transport.aborted:
                break
        assert transport.aborted

    asyncio.run(go())
    world.close()


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_ends(short, url, half):
    """Headers and bodies have deadlines; the connection is closed without another byte from its caller."""
    with connected(url, HALVES[half]) as one:
        assert ended(one)
    assert honest(url) == 200


@pytest.mark.parametrize("half", ["half the headers", "half a body"])
def test_dripping_does_not_move_the_deadline(short, url, half):
    """It is one deadline for all headers and one for the whole body, however busily somebody sends."""
    with connected(url, HALVES[half]) as one:
        one.setblocking(False)
        over = False
        for _ in range(600):
            time.sleep(0.05)
            try:
                one.sendall(b"x")
                over = one.recv(65536) == b""
            except BlockingIOError:
                continue
            except OSError:
                over = True
            if over:
                break
        assert over


def test_a_second_request_has_its_deadline_too(short, url):
    """A connection that was answered once is not held for ever after."""
    port = url.rpartition(":")[2].encode()
    with connected(url, b"GET /v1/authority HTTP/1.1\r\nHost: 127.0.0.1:" + port + b"\r\n\r\n") as one:
        assert one.recv(12) == b"HTTP/1.1 200"
        one.sendall(b"GET /v1/auth")
        assert ended(one)


def test_who_takes_nothing_of_an_answer_is_let_go(short, server):
    """An answer that nobody reads does not wait for ever: the server holds nothing of it. That reaches a caller who reads."""
    url = server.url
    port = url.rpartition(":")[2].encode()
    call = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:" + port + b"\r\n\r\n"
    with connected(url) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        full, waits = False, 0
        while not (full and not held(server)) and waits < 1200:
            try:
                one.sendall(call * 20)
            except BlockingIOError:  # neither side takes anything any more
                full, waits = True, waits + 1
                time.sleep(0.05)
            except OSError:
                full = True
                break
        assert full
        assert not held(server), held(server)


@pytest.mark.parametrize("half", HALVES)
def test_honest_calls_go_on_among_many_half_ones(url, half, monkeypatch):
    """Beyond the bound the longest-waiting connection gives way, before its deadline."""
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 16)
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            held.append(stack.enter_context(connected(url, HALVES[half])))
        for _ in range(5):
            assert honest(url) == 200
        assert ended(held[0])


def test_headers_are_bounded(url):
    """A request line or headers without end are refused."""
    for data in (b"GET /" + b"x" * 100_000, b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000):
        with connected(url) as one, contextlib.suppress(ConnectionError):
            one.sendall(data)
            assert ended(one)
    assert honest(url) == 200


def test_a_stranger_writes_nothing_into_the_owners_notebook(url, caplog):
    """The server in a kernel would put a line into a cell's output for each odd request."""
    host = url.partition("//")[2].encode()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as other libraries of a kernel do
    odd = [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
    ]
    odd += [b"GET / HTTP/1.1\r\nHost: %s\r\nOrigin: http://[\r\n\r\n" % host]
    odd += [b"GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" % host]
    for data in odd:
        with connected(url, data) as one:
            assert one.recv(100)
    assert honest(url) == 200
    assert caplog.records == []


def _limited(root: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """``sls authority serve`` in a process that may open 64 files."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
        "from sls_jupyter.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "authority", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "SLS_HOME": str(root)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    lines = [process.stdout.readline() for _ in range(3)]  # type: ignore[union-attr]
    return process, lines[2].split()[-1]


def test_more_connections_than_files(tmp_path):
    """The server neither ends nor spins, answers meanwhile, and its log stays short."""
    process, url = _limited(tmp_path)
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(connected(url, HALVES["half the headers"]))
        assert honest(url) == 200
    assert honest(url) == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(errors) < 2000


def test_the_bound_follows_the_files(monkeypatch):
    """A process that may open few files holds few connections."""
    for files, expected in ((64, 16), (1024, 256), (16, 8), (10**6, 512), (resource.RLIM_INFINITY, 512)):
        monkeypatch.setattr(serving.resource, "getrlimit", lambda _, files=files: (files, files))
        assert serving.most_connections() == expected


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("authority.example"), x509.DNSName("*.b.example")]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


def test_with_tls_half_a_handshake_gives_way_too(tmp_path, certificate):
    """Over TLS the authority answers to its certificate's names, and nobody holds it by greeting slowly."""
    given = ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]), "--allowed-host", "other.example")
    process, url = _limited(tmp_path / "home", *given)
    port = url.rpartition(":")[2]
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connected(url, b"\x16\x03\x01"))
        assert honest(f"https://127.0.0.1:{port}") == 200
        for name, status in (("authority.example", 200), ("other.example", 200), ("x.b.example", 421)):
            head = {"Host": f"{name}:{port}"}
            found = httpx.get(f"https://127.0.0.1:{port}/v1/authority", headers=head, verify=False, timeout=60)
            assert found.status_code == status, name
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert ssl.OPENSSL_VERSION

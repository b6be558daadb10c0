"""Calls that end: deadline, bound, and the addresses that are reached."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import os
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sls_jupyter import network
from sls_jupyter.network import Http, NotReached, connect_private, is_public, private_address, side_by_side, within


@contextlib.contextmanager
def served(handle: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                handle(self)

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client() -> Iterator[Http]:
    client = Http(anywhere=True, seconds=1.0)
    yield client
    client.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "100.100.100.200", "192.0.0.192", "198.18.0.1", "192.0.2.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
     "255.255.255.255", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
     "2001:0:4136:e378::", "", "x", "localhost", "2130706433", "0x7f.1"],
)  # fmt: skip
def test_addresses_that_others_do_not_make_us_reach(address):
    """No spelling of a private, local, reserved or metadata address is public."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses(address):
    """The public network is reached."""
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"])
def test_nothing_private_is_reached_for_others(host):
    """A URL that somebody else chose does not make this process knock at its own machine, however it is spelt."""
    knocks: list[str] = []
    with served(lambda call: knocks.append(call.path)) as url:
        careful = Http(anywhere=False, seconds=2.0)
        with pytest.raises(NotReached):
            careful.send("GET", url.replace("127.0.0.1", host), max_bytes=10)
        careful.close()
    assert knocks == []


def test_a_name_that_changes_its_mind_gains_nothing(client, monkeypatch):
    """The address that was checked is the one that is connected to: a name is asked for once."""
    asked: list[str] = []

    def resolver(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if len(asked) > 1 else "10.0.0.1", port))]

    monkeypatch.setattr(network.socket, "getaddrinfo", resolver)
    careful = Http(anywhere=False, seconds=2.0)
    for _ in range(2):
        with pytest.raises(NotReached):
            careful.send("GET", "http://rebound.example/", max_bytes=10)
    careful.close()
    assert asked == ["rebound.example"] * 2


def drip_body(call):
    call.send_response(200)
    call.send_header("Content-Length", "1000000")
    call.end_headers()
    while True:
        call.wfile.write(b" ")
        time.sleep(0.1)


def drip_headers(call):
    call.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        call.wfile.write(b"x")
        time.sleep(0.1)


def endless_headers(call):
    call.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        call.wfile.write(b"X: " + b"x" * 1000 + b"\r\n")


def endless_body(call):
    call.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        call.wfile.write(b" " * 65536)


def endless_continue(call):
    while True:
        call.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def compressed(call):
    call.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx")


def silence(call):
    time.sleep(30)


@pytest.mark.parametrize(
    "handle",
    [drip_body, drip_headers, endless_headers, endless_body, endless_continue, compressed, silence],
    ids=lambda one: one.__name__,
)
def test_every_call_ends(client, handle):
    """Whatever a server does, the call ends with a sentence and without holding what it sent."""
    with served(handle) as url, pytest.raises(NotReached):
        client.send("GET", url, max_bytes=100_000)


def test_a_redirect_is_an_answer(client):
    """Where a server points to is not where we go."""
    paths: list[str] = []

    def handle(call):
        paths.append(call.path)
        call.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    with served(handle) as url:
        assert client.send("GET", url, max_bytes=10).status == 302
    assert paths == ["/"]


def test_one_deadline_for_many_calls(client):
    """A server that answers each call slowly does not get one deadline after another."""

    def handle(call):
        time.sleep(0.2)
        call.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with served(handle) as url, within(0.7):
        asking = iter(lambda: client.send("GET", url, max_bytes=10).body, b"")
        with pytest.raises(NotReached):
            list(itertools.islice(asking, 100))


def test_a_header_that_stands_twice_is_none(client):
    """Of two signatures neither is believed."""

    def handle(call):
        call.wfile.write(b"HTTP/1.1 200 OK\r\nSls-Signature: a\r\nSls-Signature: b\r\nContent-Length: 0\r\n\r\n")

    with served(handle) as url:
        assert "sls-signature" not in client.send("GET", url, max_bytes=10).headers


def test_several_are_asked_at_the_same_time():
    """The slowest decides, not the sum; a failure of one is raised."""
    meeting = threading.Barrier(5, timeout=20)
    assert sorted(side_by_side([meeting.wait] * 5, 20.0)) == [0, 1, 2, 3, 4]

    def fail() -> int:
        raise NotReached("x")

    with pytest.raises(NotReached):
        side_by_side([lambda: 1, fail], 1.0)


@pytest.fixture(params=["short", "x" * 150])
def place(tmp_path, request):
    folder = tmp_path / request.param
    folder.mkdir(mode=0o700)
    return folder / "socket"


def test_a_private_socket_however_long_its_path(place):
    """A home deep below others has a socket too."""
    listening = socket.socket(socket.AF_UNIX)
    with private_address(place) as address:
        listening.bind(address)
    listening.listen(1)
    connected = connect_private(place, 5.0)
    connected.close()
    listening.close()


def test_a_folder_that_others_may_enter_has_no_private_socket(place):
    """Who may enter the folder may put a socket of their own there."""
    place.parent.chmod(0o755)
    with pytest.raises(OSError, match="entered by others"), private_address(place):
        pass
    with pytest.raises(network.httpcore.ConnectError):
        connect_private(place, 1.0)


def test_a_socket_of_another_user_is_not_believed(place, monkeypatch):
    """The system says who is at the other end; another user is nobody."""
    listening = socket.socket(socket.AF_UNIX)
    with private_address(place) as address:
        listening.bind(address)
    listening.listen(1)
    monkeypatch.setattr(network.struct, "unpack", lambda *_: (1, os.getuid() + 1, 1))
    with pytest.raises(network.httpcore.ConnectError):
        connect_private(place, 5.0)
    listening.close()
    assert struct.calcsize("3i") == 12


def test_lines_that_nobody_reads_to_their_end_leave_nothing_behind(client):
    """A follower that lets go of a stream, from another thread and context too, is no error and keeps no connection."""

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"one\n")
        request.wfile.flush()
        time.sleep(0.2)

    with served(handle) as url:
        lines = client.lines(url, max_line_bytes=100, max_body_bytes=100)
        assert next(lines) == b"one"
        closing = threading.Thread(target=lines.close)
        closing.start()
        closing.join()
        assert not closing.is_alive()


def test_a_silent_connection_is_asked_whether_it_lives():
    """A notebook would wait for ever for events of a machine that was switched off."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = network._Backend(anywhere=True, private=None).connect_tcp("127.0.0.1", server.getsockname()[1])
        with contextlib.closing(stream):
            assert stream._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60

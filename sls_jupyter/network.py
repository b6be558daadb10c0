"""HTTP calls that end: a deadline for the whole call, a bound on the answer, and addresses that may be reached.

One small client for everything that this package fetches from others. It follows no redirect, keeps no
cookie, writes nothing of a call into a log, reads no proxy from the environment, asks for no content encoding and takes none. A name is resolved
once; what is connected to is an address that was checked, so a name that changes its mind gains nothing.
Where a URL is somebody else's choice, only public addresses are reached.

Sources: RFC 9110 and 9112 as ``h11`` reads them; special-purpose addresses as :mod:`ipaddress` has them from
IANA's registries; 168.63.129.16 is Azure's platform address, public by its number and not by its use.
"""

from __future__ import annotations

import contextlib
import contextvars
import ipaddress
import logging
import math
import os
import socket
import ssl
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpcore

from sls_jupyter.errors import Unavailable

SECONDS = 30.0  # of a whole call, from the first byte sent to the last one read
_CHUNK_BYTES = 64 * 1024
_KEPT_CONNECTIONS = 8
_KEEP_ALIVE = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
}  # seconds, seconds, questions without an answer
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",
            "192.0.0.0/24",  # of these and the next, Python's releases know different parts
            "192.88.99.0/24",
            "2001::/23",
            "3fff::/20",
        ),
    )
)
_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that was given out
_IPv4 = ipaddress.IPv4Address
T = TypeVar("T")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)
_calling: contextvars.ContextVar[bool] = contextvars.ContextVar("calling", default=False)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _calling.get()


for _name in ("httpcore.connection", "httpcore.http11"):  # they log headers, and so tokens and signed URLs
    logging.getLogger(_name).addFilter(_is_not_ours)


class NotReached(Exception):  # callers turn it into an error of this package
    """Why a call gave nothing. ``reason`` is our own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; nothing in it is verified."""

    status: int
    headers: Mapping[str, str]  # lower-case names; of a name that stands twice, nothing
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still to be read; nothing in it is verified."""

    status: int
    headers: Mapping[str, str]  # as in :class:`Answer`
    peer: str  # the address that answers; "" over a Unix socket
    pieces: Iterator[bytes]  # the body as it comes, within the call's deadline


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """One deadline for all calls that are made in the ``with`` block by this thread."""
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def pause(seconds: float) -> None:
    """Wait, but not beyond the deadline of the calls around: what is called next fails then."""
    left = _deadline.get() - time.monotonic()
    time.sleep(max(0.0, min(seconds, left)))


# --- addresses ------------------------------------------------------------------------------------


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public network: no private, local, reserved or metadata address."""
    try:
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            found = _IPv4(int(found) & 0xFFFFFFFF)
        elif found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found.sixtofour is not None or found.teredo is not None or "%" in address:
            return False  # tunnels: where they end cannot be seen from here
        elif found not in _UNICAST:
            return False
    wrong = found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback or found.is_link_local
    return found.is_global and not found.is_private and not wrong and not any(found in one for one in _NOT_PUBLIC)


def _resolve(host: str, port: int) -> list[str]:
    """Addresses of a name, within the deadline of the call; the resolver itself knows none."""
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError, ValueError):
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, name="sls-resolve", daemon=True)
    asking.start()
    asking.join(_left())
    if not found:
        raise httpcore.ConnectError("no address")
    return list(dict.fromkeys(found))


# --- connections ----------------------------------------------------------------------------------


def _left() -> float | None:
    """Seconds of the present call that are left; ``None`` for one without a deadline."""
    deadline = _deadline.get()
    if math.isinf(deadline):
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException("the call took too long")
    return left


class _Stream(httpcore.NetworkStream):
    """A connected socket; every wait ends with the call's deadline."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(_left())
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("the call took too long") from None
        except OSError as error:
            raise httpcore.ReadError(type(error).__name__) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        try:
            while left:
                self._socket.settimeout(_left())
                left = left[self._socket.send(left[:_CHUNK_BYTES]) :]
        except TimeoutError:
            raise httpcore.WriteTimeout("the call took too long") from None
        except OSError as error:
            raise httpcore.WriteError(type(error).__name__) from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a thread that reads from it is woken
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._socket.settimeout(_left())
        try:
            return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname))
        except (OSError, ValueError) as error:
            self._socket.close()
            raise httpcore.ConnectError(type(error).__name__) from None

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "server_addr" and self._socket.family != socket.AF_UNIX:
            return self._socket.getpeername()
        if info == "is_readable":  # of an idle connection: the other side ended it
            return _is_readable(self._socket)
        return None


def _is_readable(connected: socket.socket) -> bool:
    import select

    if connected.fileno() < 0:
        return True
    waiting = select.poll()
    waiting.register(connected.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


class _Backend(httpcore.NetworkBackend):
    """Makes the connections: to a checked address, or to this user's own socket."""

    def __init__(self, anywhere: bool, private: Path | None) -> None:
        self._anywhere, self._private = anywhere, private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if self._private is not None:
            return _Stream(connect_private(self._private, _left()))
        addresses = [one for one in _resolve(host, port) if self._anywhere or is_public(one)]
        for address in addresses:
            try:
                connected = socket.create_connection((address, port), timeout=_left())
            except OSError:
                continue
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connected)
            return _Stream(connected)
        raise httpcore.ConnectError("no connection")


def _keep_alive(connected: socket.socket) -> None:
    """Ask again and again whether the other side is there, so that a silent connection is not taken for one that lives.

    Events may be minutes apart: without this a machine that vanished is never missed, and a router forgets the connection.
    """
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # not every system has each
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


@contextlib.contextmanager
def private_address(path: Path) -> Iterator[str]:
    """A name for a Unix socket in a folder that only this user can enter, however long the folder's path is.

    A socket's address has room for 107 bytes; a longer one goes by the open folder.

    Raises:
        OSError: no such folder, or others may enter it.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = os.fstat(folder)
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{path.parent} can be entered by others")
        short = len(os.fsencode(path)) < 100
        yield str(path) if short else f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_is_us(connected: socket.socket) -> bool:
    """Whether a process of this user is at the other end of a Unix socket, as far as the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the folder's mode is what holds there
    _, user, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return bool(user == os.getuid())


def connect_private(path: Path, seconds: float | None) -> socket.socket:
    """A connection to this user's own socket.

    Raises:
        httpcore.ConnectError: nobody listens, or somebody else.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(seconds)
        with private_address(path) as address:
            connected.connect(address)
        if peer_is_us(connected):
            return connected
    except OSError:
        pass
    connected.close()
    raise httpcore.ConnectError("nobody of this user listens there")


# --- calls ----------------------------------------------------------------------------------------


class Http:
    """Calls to HTTP servers. Safe to be used by several threads.

    Args:
        anywhere: the URLs are this user's own choice: private addresses of theirs are reached as well.
        private: a Unix socket to call over, whatever host the URLs name.
        seconds: of a whole call.
        kept_seconds: how long an idle connection is kept, less than its server does: a call is not sent into one that
            just ends.
        tls: whom to believe over HTTPS; the public roots by default.
    """

    def __init__(
        self,
        *,
        anywhere: bool,
        private: Path | None = None,
        seconds: float = SECONDS,
        kept_seconds: float = 4.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.seconds = seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=64,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=kept_seconds,
            network_backend=_Backend(anywhere, private),
        )

    def close(self) -> None:
        self._pool.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        max_bytes: int,
        seconds: float | None = None,
    ) -> Answer:
        """One call, to its end.

        Args:
            max_bytes: of the answer's body; a longer one is not read to its end.

        Raises:
            NotReached: no whole answer within the deadline and the bound.
        """
        left, asked = self.seconds if seconds is None else seconds, headers or {}
        with _failures(), within(left), self._open(method, url, asked, content) as response:
            body = bytearray()
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > max_bytes:
                    raise NotReached(f"an answer of more than {max_bytes} bytes")
            return Answer(response.status, _headers(response.headers), bytes(body))

    def lines(
        self, url: str, *, headers: Mapping[str, str] | None = None, max_line_bytes: int, max_body_bytes: int
    ) -> Iterator[bytes | Answer]:
        """The lines of an answer as they come, for as long as it takes; or the one answer that is no success.

        Args:
            max_body_bytes: of an answer that is no success.

        Raises:
            NotReached: the connection broke before its end, or a line is too long.
        """
        with _failures(), self._open("GET", url, headers or {}, b"") as response:
            good, rest = response.status == 200, bytearray()
            for chunk in response.iter_stream():
                rest += chunk
                if len(rest) > (max_line_bytes if good else max_body_bytes):
                    raise NotReached("a line that is too long")
                if good and b"\n" in chunk:
                    *whole, rest = rest.split(b"\n")
                    yield from map(bytes, whole)
            if not good:
                yield Answer(response.status, _headers(response.headers), bytes(rest))
            elif rest:
                yield bytes(rest)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        seconds: float,
    ) -> Iterator[Stream]:
        """One call whose answer is read piece by piece, all within one deadline; the reader bounds it.

        Args:
            seconds: until the last byte, and of every other call that is made meanwhile.

        Raises:
            NotReached: no whole answer within the deadline, also while it is read.
        """
        with _failures(), within(seconds), self._open(method, url, headers or {}, content) as response:
            address = response.extensions["network_stream"].get_extra_info("server_addr")
            peer = str(address[0]) if address else ""
            yield Stream(response.status, _headers(response.headers), peer, _pieces(response))

    @contextlib.contextmanager
    def _open(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> Iterator[httpcore.Response]:
        asked = {"Accept-Encoding": "identity", **headers}
        if content or method in ("POST", "PUT"):
            asked["Content-Length"] = str(len(content))
        given = [(name.encode(), value.encode("latin-1")) for name, value in asked.items()]
        pool = {"timeout": {"pool": _left()}}
        with (
            _silently(),
            self._pool.stream(method, url, headers=given, content=content, extensions=pool) as response,
        ):
            if _headers(response.headers).get("content-encoding", "identity") != "identity":
                raise NotReached("an answer in an encoding that was not asked for")
            yield response


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """The HTTP library's log says nothing of the calls in this block; those of others are theirs."""
    token = _calling.set(True)
    try:
        yield
    finally:
        with contextlib.suppress(
            ValueError
        ):  # an answer that nobody read to its end is closed wherever it is collected
            _calling.reset(token)


def _pieces(response: httpcore.Response) -> Iterator[bytes]:
    """The body of an answer as it comes. Not in larger pieces, which a slow server could take for ever to fill."""
    for chunk in response.iter_stream():
        _left()  # the pool reads ahead: time may be over though there is something to give
        yield chunk


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Every way in which a call can fail, as :class:`NotReached`."""
    try:
        yield
    except httpcore.TimeoutException:
        raise NotReached("no whole answer in time") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise NotReached(type(error).__name__) from None
    except (OSError, ValueError, RuntimeError) as error:  # closed meanwhile, or no URL
        raise NotReached(type(error).__name__) from None


def side_by_side(calls: Sequence[Callable[[], T]], seconds: float) -> list[T]:
    """The results of several calls that are made at the same time, in their order, all within one deadline, or the one around.

    Raises:
        what the first of them raises that fails.
    """

    def one(call: Callable[[], T]) -> T:
        with within(seconds):
            return call()

    if len(calls) < 2:
        return [one(call) for call in calls]
    around = [contextvars.copy_context() for _ in calls]  # each thread its own, with the deadline of this one
    with ThreadPoolExecutor(len(calls), "sls-ask") as pool:
        return list(pool.map(lambda context, call: context.run(one, call), around, calls))


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in raw:
        key = name.decode("latin-1").lower()
        twice |= {key} & found.keys()
        found[key] = value.decode("latin-1")
    return {name: value for name, value in found.items() if name not in twice or name == "content-encoding"}


def origin_of(url: str) -> str:
    """``scheme://host:port`` of a URL, its port always named."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def unavailable(sentence: str, url: str, failure: NotReached, *, anywhere: bool, hint: str = "") -> Unavailable:
    """The error of a call that failed. Of a URL that others chose nothing is told but that: it is no way to
    find out what listens where."""
    return Unavailable(sentence, found=f"{url}: {failure.reason}" if anywhere else url, hint=hint)

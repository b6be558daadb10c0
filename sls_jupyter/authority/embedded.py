"""The embedded authority: the same HTTP application in the notebook's own process, on a socket and a port.

Sessions of its user reach it over a Unix socket in the persona's folder, which nobody else can enter or take
over. Guests and other people's sessions reach it on a loopback port. The port stands in sealed manifests, so
it is chosen once and kept; whoever else holds it cannot pass for the authority, because answers are signed.

When several notebooks of one persona run, the first serves and the others are its clients; when it ends,
the next call of another notebook takes over (:func:`ensure_running`). A lock on a file decides who serves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.http import create_app
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.serving import BoundedServer, configure
from sls_jupyter.authority.witness_loop import collecting
from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.identity import SigningKey, lock_if_free, read_private, write_private
from sls_jupyter.network import private_address

START_SECONDS = 10.0
_ADDRESS = "127.0.0.1"
_SOCKET, _LOCK, _PORT, _KEY = "socket", "serving.lock", "port", "ed25519"  # files of an authority's folder


# --- where an authority of this user is -----------------------------------------------------------


def socket_of(folder: Path) -> Path:
    """The Unix socket of the authority in ``folder``."""
    return folder / _SOCKET


def did_in(folder: Path) -> str | None:
    """The DID of the authority in ``folder`` by its own key; ``None`` if there is none. Nothing is made or started.

    Raises:
        Unavailable: the key cannot be read, or others may read it.
    """
    path = folder / _KEY
    if not path.exists():
        return None
    return SigningKey(Ed25519PrivateKey.from_private_bytes(read_private(path, 32))).did


def url_in(folder: Path) -> str | None:
    """The URL that manifests of the authority in ``folder`` name; ``None`` before it was served."""
    try:
        return f"http://{_ADDRESS}:{int((folder / _PORT).read_text())}"
    except (OSError, ValueError):
        return None


# --- serving --------------------------------------------------------------------------------------


class AuthorityServer:
    """One authority behind uvicorn in a daemon thread.

    Args:
        listening: its loopback port; ``None`` when another program holds it.
        private: its Unix socket, already listening.
        lock: held as long as it serves.
        url: that it is known by, if it does not listen there.
    """

    def __init__(
        self,
        authority: Authority,
        listening: socket.socket | None,
        private: socket.socket | None = None,
        *,
        lock: int | None = None,
        url: str = "",
    ) -> None:
        self.url = url if listening is None else f"http://{_ADDRESS}:{listening.getsockname()[1]}"
        self.reachable = listening is not None  # by groups and by other people
        self._app = create_app(authority)
        self._server = BoundedServer(configure(self._app, graceful_seconds=1))
        self._sockets = [one for one in (listening, private) if one is not None]
        self._lock = lock
        self._thread = threading.Thread(target=self._serve, args=(authority,), name="sls-authority", daemon=True)

    @property
    def answered_calls(self) -> int:
        """Since it was started."""
        return int(self._server.server_state.total_requests)

    def _serve(self, authority: Authority) -> None:
        with collecting(authority):
            self._server.run(sockets=list(self._sockets))

    def start(self) -> None:
        """Serve; returns when calls are answered.

        Raises:
            Unavailable: it did not come up in time.
        """
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Unavailable("The embedded authority did not start.", hint="Restart the kernel and try again.")
            time.sleep(0.005)

    def stop(self) -> None:
        """End the server and wait for its thread."""
        self._server.should_exit = True
        self._app.state.arrivals.close()
        self._thread.join(5)
        for one in self._sockets:
            one.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def listen(port: int) -> socket.socket:
    """A listening loopback socket; port 0 takes any free one."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_ADDRESS, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def listen_private(folder: Path, what: str = "authority") -> socket.socket:
    """The Unix socket of an authority, listening. Only the holder of the folder's lock may call this.

    Args:
        what: of the user's it is, in words.

    Raises:
        Unavailable: it cannot be made there.
    """
    path, listening = socket_of(folder), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with private_address(path) as address:
            path.unlink(missing_ok=True)  # of a server that ended without a word
            listening.bind(address)
        path.chmod(0o600)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise Unavailable(
            f"The socket of your {what} cannot be made.",
            found=f"{path}: {error.strerror or error}",
            hint=f"chmod 700 {folder}, or set SLS_HOME to a folder of your own on a local disk.",
        ) from None
    return listening


def take_lock(folder: Path) -> int | None:
    """The right to serve the authority in ``folder``, as an open file; ``None`` while another process has it."""
    return lock_if_free(folder / _LOCK)


def is_served(folder: Path) -> bool:
    """Whether some process serves the authority in ``folder``, or is about to."""
    lock = take_lock(folder)
    if lock is not None:
        os.close(lock)
    return lock is None


def _kept_port(folder: Path) -> int:
    """The port that this authority's assets name, chosen on first use."""
    path = folder / _PORT
    if not path.exists():
        with contextlib.closing(listen(0)) as probe, contextlib.suppress(FileExistsError):
            write_private(path, str(probe.getsockname()[1]).encode())
    return int(path.read_text())


def ensure_running(authority: Authority, folder: Path) -> tuple[str, AuthorityServer | None]:
    """Serve the authority on its own socket and port, unless another process of this user does already.

    When another program holds the port, it is served on the socket alone, and :attr:`AuthorityServer.reachable`
    says so: sessions of this user work, groups and other people do not reach it.

    Returns:
        Its URL, and the server if it is this process that serves.

    Raises:
        Unavailable: another process of this user holds the lock and does not answer.
    """
    port = _kept_port(folder)
    url = f"http://{_ADDRESS}:{port}"
    deadline = time.monotonic() + START_SECONDS
    while (lock := take_lock(folder)) is None:
        if _answers(url, authority.did, folder, last=time.monotonic() > deadline):
            return url, None
        time.sleep(0.05)  # it is starting, or ending
    try:
        private = listen_private(folder)
    except BaseException:
        os.close(lock)
        raise
    server = AuthorityServer(authority, _listen_or_none(port), private, lock=lock, url=url)
    server.start()
    return url, server


def _listen_or_none(port: int) -> socket.socket | None:
    try:
        return listen(port)
    except OSError:
        return None


def _answers(url: str, did: str, folder: Path, *, last: bool) -> bool:
    with contextlib.closing(AuthorityClient(url, did=did, private=socket_of(folder))) as client:
        try:
            client.about()
        except SlsError as error:
            if last:
                raise Unavailable(
                    "Your authority is held by another process of yours, and it does not answer.",
                    found=f"{socket_of(folder)}: {error.message}",
                    expected=f"the authority {did}",
                    hint="End that notebook or sls authority serve, then try again.",
                ) from None
            return False
    return True


def who_holds(url: str) -> str:
    """What answers at an authority's port, in words."""
    client = AuthorityClient(url, timeout=3.0)
    try:
        return f"the authority {client.did}"
    except SlsError:
        return "another program"
    finally:
        client.close()


def port_is_taken(url: str) -> Unavailable:
    """Why groups cannot reach an authority that is served on its socket alone, and how to end that."""
    port = url.rpartition(":")[2]
    return Unavailable(
        f"Port {port} of your authority is held by {who_holds(url)}. Your sessions work;"
        " groups and other people cannot reach your assets.",
        found=url,
        hint=f"End what listens there (ss -ltnp 'sport = :{port}' shows it), then restart this notebook."
        " The port stands in your sealed assets, so it is not changed.",
    )

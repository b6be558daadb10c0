"""The embedded authority: the same HTTP application, on a loopback port of the notebook's own process.

Its URL stands in sealed manifests, so the port is chosen once and kept in the persona's home. When
several notebooks of one persona run, the first serves and the others are its clients; when it ends,
the next call of another notebook takes over (:func:`ensure_running`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import uvicorn

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.http import create_app
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.witness_loop import collecting
from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.identity import write_private

START_SECONDS = 10.0
_ADDRESS = "127.0.0.1"


class AuthorityServer:
    """One authority behind uvicorn in a daemon thread."""

    def __init__(self, authority: Authority, listening: socket.socket) -> None:
        self.url = f"http://{_ADDRESS}:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(authority), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._socket = listening
        self._thread = threading.Thread(target=self._serve, args=(authority,), name="sls-authority", daemon=True)

    def _serve(self, authority: Authority) -> None:
        with collecting(authority):
            self._server.run(sockets=[self._socket])

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
        self._thread.join(5)
        self._socket.close()


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


def _kept_port(folder: Path) -> int:
    """The port that this authority's assets name, chosen on first use."""
    path = folder / "port"
    if not path.exists():
        with contextlib.closing(listen(0)) as probe, contextlib.suppress(FileExistsError):
            write_private(path, str(probe.getsockname()[1]).encode())
    return int(path.read_text())


def ensure_running(authority: Authority, folder: Path) -> tuple[str, AuthorityServer | None]:
    """Serve the authority on its own port, unless another process of this user does already.

    Returns:
        Its URL, and the server if it is this process that serves.

    Raises:
        Unavailable: something else listens on the port.
    """
    port = _kept_port(folder)
    url = f"http://{_ADDRESS}:{port}"
    try:
        listening = listen(port)
    except OSError:
        _require_same(url, authority.did)
        return url, None
    server = AuthorityServer(authority, listening)
    server.start()
    return url, server


def _require_same(url: str, did: str) -> None:
    client = AuthorityClient(url, did=did)
    try:
        client.about()
    except SlsError as error:
        raise Unavailable(
            "The port of your embedded authority is in use by something else.",
            found=f"{url}: {error.message}",
            expected=f"the authority {did}",
            hint="End that program. The port is part of your sealed assets, so it is not changed silently.",
        ) from None
    finally:
        client.close()

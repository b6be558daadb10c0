"""A real Jupyter server with the panel's half in it, in a process of its own with folders of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e import free_port, until

pytest.importorskip("jupyter_server", reason="the extra lab is not installed")

TOKEN = "a-token-of-this-test"
API = "sls_jupyter/v1"
START_SECONDS = 60.0
OTHERS = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook", "notebook_shim")  # extensions not needed


@dataclass
class LabServer:
    """A server that answers.

    Args:
        home: of all personas (``SLS_HOME``).
        before: Python that its process runs first.
    """

    home: Path
    folder: Path
    options: list[str] = field(default_factory=list)
    before: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> LabServer:
        for name in ("config", "data", "runtime", "root"):
            (self.folder / name).mkdir(exist_ok=True)
        arguments = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.folder / 'root'}",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.jpserver_extensions={ {'sls_jupyter': True, **dict.fromkeys(OTHERS, False)} }",
            *self.options,
        ]
        main = f"{self.before}\nfrom jupyter_server.serverapp import main\nmain({arguments!r})"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", main], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        until(self.answers, "the server answers", START_SECONDS)
        return self

    def _environment(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
        }
        own = {name: str(self.folder / place) for name, place in folders.items()}
        return {**os.environ, **own, "SLS_HOME": str(self.home), **self.environment}

    def answers(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.log
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/api", timeout=10).status_code == 200
        return False

    def stop(self, seconds: float = 20.0) -> None:
        """As Ctrl-C, or a service manager, does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.process = None

    # --- calls ------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None, *, seconds: float = 60, **headers: str) -> httpx.Response:
        """A call as a program with the token makes it."""
        given = {"Authorization": f"token {TOKEN}", **headers}
        return httpx.request(method, f"{self.url}/{API}/{path}", json=body, headers=given, timeout=seconds)

    def get(self, path: str, *, seconds: float = 60) -> Any:
        """What a call gives; a refusal fails the test."""
        answer = self.call("GET", path, seconds=seconds)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextlib.contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Somebody who logged in with the token once, and has cookies since."""
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=60) as client:
            assert client.get(f"/sls_jupyter/page?token={TOKEN}").status_code == 200
            yield client

    @contextlib.contextmanager
    def listening(self, persona: str = "") -> Iterator[Events]:
        """Events, read in a thread from now on."""
        events = Events(f"{self.url}/{API}/events" + (f"?persona={persona}" if persona else ""))
        try:
            events.start()
            yield events
        finally:
            events.close()


class Events:
    """What a stream told so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: list[dict[str, Any]] = []
        self.over = False
        self._client = httpx.Client(timeout=httpx.Timeout(60, read=60))
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.wait("hello")

    def _read(self) -> None:
        headers = {"Authorization": f"token {TOKEN}"}
        with (
            contextlib.suppress(httpx.HTTPError, httpx.StreamError, RuntimeError, OSError),
            self._client.stream("GET", self._url, headers=headers) as answer,
        ):
            for line in answer.iter_lines():
                if line.strip():
                    self.seen.append(json.loads(line))
        self.over = True

    def of(self, type_: str, **fields: str) -> list[dict[str, Any]]:
        wanted = {"type": type_, **fields}
        return [one for one in list(self.seen) if all(one.get(name) == value for name, value in wanted.items())]

    def wait(self, type_: str, *, seconds: float = 30.0, **fields: str) -> dict[str, Any]:
        """The first event of that type."""
        found: dict[str, Any] = until(lambda: next(iter(self.of(type_, **fields)), None), f"{type_} {fields}", seconds)
        return found

    def close(self) -> None:
        self._client.close()


@contextlib.contextmanager
def lab_server(home: Path, *options: str, before: str = "", **environment: str) -> Iterator[LabServer]:
    """A server for a test; it has ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="sls-lab-") as folder:
        server = LabServer(home, Path(folder), list(options), before, environment)
        try:
            yield server.start()
        finally:
            server.stop()


@contextlib.contextmanager
def silent_authority() -> Iterator[str]:
    """A URL where somebody takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        taken: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        for one in taken:
            one.close()

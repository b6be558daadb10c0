"""Azurite, Microsoft's emulator of Azure's storage, on a free loopback port: for tests that need a store that answers.

``make azurite`` installs it from npm into ``.cache/azurite`` (``make test`` does so where npm is). Without it the tests
that need it are skipped, and say so. Each process of the suite starts one of its own when it is first asked for.
"""

from __future__ import annotations

import atexit
import functools
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e import free_port

ACCOUNT = "devstoreaccount1"  # the only one that Azurite has, with a key that is in its documentation
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
INSTALLED = Path(__file__).parents[1] / ".cache" / "azurite" / "node_modules" / "azurite" / "dist" / "src"
START_SECONDS = 60.0
VARIABLES = [
    f"AZURE_STORAGE_{one}" for one in ("ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "ANON", "CONNECTION_STRING")
]


def missing() -> str:
    """Why there is no Azurite; empty if there is."""
    if shutil.which("node") is None:
        return "Node.js is not installed, so Azurite (an emulator of Azure's storage) cannot run"
    if not (INSTALLED / "blob" / "main.js").exists():
        return "Azurite is not installed: make azurite"
    return ""


needs_azurite = pytest.mark.skipif(bool(missing()), reason=missing())


@dataclass(frozen=True)
class Azurite:
    """One that runs. Its log has every request, with its query."""

    endpoint: str
    log: Path

    @property
    def connection(self) -> str:
        """The connection string of its account."""
        named = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint}"
        return f"DefaultEndpointsProtocol=http;{named};"

    def container(self, *, public: bool = False) -> str:
        """A new container; its name."""
        from azure.storage.blob import BlobServiceClient

        name = f"c{secrets.token_hex(6)}"
        with BlobServiceClient.from_connection_string(self.connection) as client:
            client.create_container(name, public_access="blob" if public else None).close()
        return name

    def names(self, container: str) -> list[str]:
        """Names of a container's blobs."""
        from azure.storage.blob import BlobServiceClient

        with (
            BlobServiceClient.from_connection_string(self.connection) as client,
            client.get_container_client(container) as found,
        ):
            return sorted(found.list_blob_names())

    def blob(self, container: str, name: str, data: bytes | None = None) -> bytes:
        """A blob's bytes; ``data`` is written first, over what is there."""
        from azure.storage.blob import BlobServiceClient

        with (
            BlobServiceClient.from_connection_string(self.connection) as client,
            client.get_blob_client(container, name) as blob,
        ):
            if data is not None:
                blob.upload_blob(data, overwrite=True)
            return bytes(blob.download_blob().readall())


@functools.cache
def running() -> Azurite:
    """The one of this process, started on first use and stopped at its end."""
    folder = Path(tempfile.mkdtemp(prefix="azurite-"))
    port = free_port()
    command = ["node", str(INSTALLED / "blob" / "main.js"), "--location", str(folder), "--blobHost", "127.0.0.1"]
    command += ["--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry", "--debug", str(folder / "log")]
    log = (folder / "out").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop() -> None:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Azurite did not start: {(folder / 'out').read_text()[-2000:]}") from None
            time.sleep(0.05)
    return Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}", folder / "log")


@pytest.fixture
def azurite(monkeypatch: pytest.MonkeyPatch) -> Azurite:
    """Azurite, and an environment that names it and no other account."""
    found = running()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", found.connection)
    return found

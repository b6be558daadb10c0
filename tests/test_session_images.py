"""An image is what its registry serves: by digest, with the root hash of every layer's bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sls_jupyter.authority.images import trust
from sls_jupyter.contract.differing import differing_layers
from sls_jupyter.contract.image import WrittenImage
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.identity import Home
from sls_jupyter.image.layer.root import layer_root
from sls_jupyter.session.images import image_for_azure, image_in_registry
from tests.image_kit import digest, tar, write_layout

LAYERS = [tar(("etc/a", b"one")), tar(("usr/b", b"two"))]


@contextmanager
def registry(folder: Path, changed: bytes = b"") -> Iterator[str]:
    """A registry of one image on the loopback; ``changed`` is served in place of every layer."""
    compressed = [gzip.compress(one, mtime=0) for one in LAYERS]
    write_layout(folder, [(one, packed, "+gzip") for one, packed in zip(LAYERS, compressed, strict=True)], "1")
    index = json.loads((folder / "index.json").read_text())
    manifest = index["manifests"][0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            wanted = manifest["digest"] if "/manifests/" in self.path and name == "1" else name
            path = folder / "blobs" / wanted.replace(":", "/")
            data = path.read_bytes() if path.exists() else b""
            if changed and data in compressed:
                data = changed
            self.send_response(200 if data else 404)
            self.send_header(
                "Content-Type", manifest["mediaType"] if "/manifests/" in self.path else "application/octet-stream"
            )
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/sls/guest"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_tag_becomes_a_digest_and_layers(tmp_path):
    """What is written down of a host is what was measured when it was added, whatever the tag is moved to later."""

    with registry(tmp_path) as name:
        image = image_in_registry(f"{name}:1")
        assert image_in_registry(image.reference).layers == image.layers
    assert image.reference.startswith(f"{name}@sha256:")
    assert image.layers == tuple(layer_root(io.BytesIO(one)) for one in LAYERS)
    assert WrittenImage.of(image).image() == image
    assert len(image.measurement) == hashlib.sha384().digest_size


def test_a_registry_that_serves_other_bytes_is_refused(tmp_path):
    """A registry cannot put another layer under the same name."""
    with registry(tmp_path, gzip.compress(tar(("etc/a", b"evil")), mtime=0)) as name, pytest.raises(SlsError):
        image_in_registry(f"{name}:1")


def test_an_image_on_disk_is_not_what_azure_pulls(tmp_path):
    """A layout that nobody has pushed starts nothing there, and that is said now."""
    with registry(tmp_path):
        pass
    with pytest.raises(BadInput) as raised:
        image_in_registry(str(tmp_path))
    assert "sls image push" in raised.value.hint


def test_where_layers_differ_is_said(tmp_path):
    """The doctor's line names the layer."""
    with registry(tmp_path) as name:
        layers = image_in_registry(f"{name}:1").layers
    assert differing_layers((layers[0], "0" * 64), layers).startswith("layer 2 of 2")
    assert digest(LAYERS[0]).startswith("sha256:")


def test_a_trusted_image_is_named_as_it_is_called(tmp_path):
    """What an owner trusts and what a host runs are one entry: reference, layers and all."""
    home = Home(tmp_path / "home", "me")
    home.folder("runs")
    with registry(tmp_path / "image") as name:
        image = image_in_registry(f"{name}:1")
        trust(home, image, "guest of November", 1_790_000_000)
        assert image_for_azure(home, f"{name}:1") == image
    assert image_for_azure(home, "guest of November") == image
    assert image_for_azure(home, image.digest) == image
    trust(home, replace(image, reference="sls-jupyter-guest@sha256:" + "0" * 64), "on disk", 1_790_000_000)
    with pytest.raises(BadInput):
        image_for_azure(home, "on disk")

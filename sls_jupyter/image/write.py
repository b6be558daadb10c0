"""Layers and images, written so that the same content is the same bytes: OCI layouts with plain tars.

Entries are sorted by name, each folder before what is in it; owner and group are root, times one moment for all. Layers are
not compressed: what a compressor makes depends on its version, and a digest that nobody else gets proves nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from sls_jupyter.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, REF_NAME, Descriptor

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """One file, folder or link of a layer."""

    name: str  # from the root, without slashes at its ends
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    data: bytes | Path = b""  # a path is read when the layer is written
    link: str = ""


def folder(name: str, mode: int = 0o755) -> Item:
    return Item(name, tarfile.DIRTYPE, mode)


def with_parents(items: Iterable[Item]) -> list[Item]:
    """The items by name, and the folders above them that are not among them, 0755; a later one replaces an earlier."""
    found = {item.name: item for item in items}
    for name in list(found):
        parts = name.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            parent = "/".join(parts[:end])
            found.setdefault(parent, folder(parent))
    return [found[name] for name in sorted(found)]


def write_tar(items: Iterable[Item], out: IO[bytes], epoch: int) -> None:
    """A layer's tar of the items and the folders above them.

    Args:
        epoch: the time of all, seconds since 1970.
    """
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in with_parents(items):
            info = tarfile.TarInfo(item.name + ("/" if item.kind == tarfile.DIRTYPE else ""))
            info.type, info.mode, info.linkname, info.mtime = item.kind, item.mode, item.link, epoch
            if isinstance(item.data, Path):
                info.size = item.data.stat().st_size
                with item.data.open("rb") as file:
                    tar.addfile(info, file)
            else:
                info.size = len(item.data)
                tar.addfile(info, io.BytesIO(item.data))


class Layout:
    """An OCI layout in the making: a folder with blobs, one image in its index."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self.layers: list[Descriptor] = []
        self.diff_ids: list[str] = []
        self.history: list[dict[str, str]] = []

    def add_layer(
        self, pieces: Iterable[bytes], about: str, media_type: str = OCI_LAYER, diff_id: str = ""
    ) -> Descriptor:
        """Add a layer on top of the others; `diff_id` where the pieces are compressed."""
        layer = self._put(pieces, media_type)
        self.layers.append(layer)
        self.diff_ids.append(diff_id or layer.digest)
        self.history.append({"created_by": about})
        return layer

    def add_items(self, items: Iterable[Item], about: str, epoch: int) -> Descriptor:
        """Add a layer of items."""
        path = self.path / "layer.tar"
        with path.open("wb") as out:
            write_tar(items, out, epoch)
        try:
            return self.add_layer(pieces_of(path), about)
        finally:
            path.unlink()

    def finish(self, config: dict[str, Any], tag: str) -> str:
        """Write configuration, manifest and index; the manifest's digest."""
        rootfs = {"type": "layers", "diff_ids": self.diff_ids}
        whole = {"architecture": "amd64", "os": "linux", **config, "rootfs": rootfs, "history": self.history}
        described = self._put([_json(whole)], OCI_CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described.json(),
            "layers": [layer.json() for layer in self.layers],
        }
        named = replace(self._put([_json(manifest)], OCI_MANIFEST), annotations={REF_NAME: tag})
        entry = named.json() | {"platform": {"architecture": "amd64", "os": "linux"}}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        (self.path / "index.json").write_bytes(_json(index))
        (self.path / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        return named.digest

    def _put(self, pieces: Iterable[bytes], media_type: str) -> Descriptor:
        hashed, size = hashlib.sha256(), 0
        path = self._blobs / "unfinished"
        with path.open("wb") as out:
            for piece in pieces:
                hashed.update(piece)
                size += out.write(piece)
        path.rename(self._blobs / hashed.hexdigest())
        return Descriptor(media_type, f"sha256:{hashed.hexdigest()}", size)


def pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

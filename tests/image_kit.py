"""Layers and images made by hand, for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LAYERS = Path(__file__).parent / "vectors" / "layers"


def vectors() -> list[dict[str, str]]:
    return json.loads((LAYERS / "index.json").read_text(encoding="utf-8"))


def vector(name: str) -> bytes:
    return gzip.decompress((LAYERS / name).read_bytes())


def tar(*members: tuple[str, bytes | str | dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of (name, data) files; of (name, dict) anything, by the fields of `tarfile.TarInfo` and ``data``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for name, what in members:
            info = tarfile.TarInfo(name)
            fields = what if isinstance(what, dict) else {"data": what}
            data = fields.get("data", b"")
            data = data.encode() if isinstance(data, str) else data
            for key, value in fields.items():
                if key != "data":
                    setattr(info, key, value)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write_layout(folder: Path, layers: Iterable[tuple[bytes, bytes, str]], tag: str = "") -> str:
    """An OCI layout of layers (uncompressed, stored, suffix of the media type); the manifest's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

    kept = [(digest(plain), put(stored, f"layer.v1.tar{suffix}")) for plain, stored, suffix in layers]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [one for one, _ in kept]},
    }
    members = {"config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [one for _, one in kept]}
    manifest = put(json.dumps({"schemaVersion": 2, **members}).encode(), "manifest.v1+json")
    entry = {**manifest, "annotations": {"org.opencontainers.image.ref.name": tag} if tag else {}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return str(manifest["digest"])


def docker_archive(path: Path, layers: Iterable[bytes], tag: str = "guest:1") -> None:
    """What ``docker save`` writes, the layers uncompressed."""
    layers = list(layers)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]}}).encode()
    names = [f"{hashlib.sha256(one).hexdigest()}.tar" for one in layers]
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [tag], "Layers": names}]).encode()
    members = [*zip(names, layers, strict=True), (config_name, config), ("manifest.json", manifest)]
    path.write_bytes(tar(*dict(members).items()))

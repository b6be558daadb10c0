"""An image from disk into a registry: blobs that are missing, then the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from sls_jupyter.errors import BadInput, DigestMismatch
from sls_jupyter.image.archive import Files
from sls_jupyter.image.distribution.reference import Reference
from sls_jupyter.image.distribution.registry import Registry
from sls_jupyter.image.manifest import MAX_MANIFEST, Descriptor, for_this_platform, parse_index, parse_manifest
from sls_jupyter.image.stored import Digesting


def push(path: Path, reference: Reference, registry: Registry, said: Callable[[str], None]) -> Reference:
    """Push the image of an OCI layout as it is: its manifest's bytes, hence its digest, do not change.

    Args:
        said: told of each blob, in a line.

    Returns:
        The name by digest, which is what is deployed.

    Raises:
        BadInput: not an OCI layout, or another digest was asked for.
        DigestMismatch: a blob is not what the image names, or the registry kept another.
        NotAuthorised, Unavailable: the registry refuses, or is not reached.
    """
    files = Files(path)
    if "index.json" not in files:
        raise BadInput(
            "only an OCI layout is pushed", found=str(path), hint="skopeo copy docker-archive:FILE oci:FOLDER:TAG"
        )
    chosen = for_this_platform(parse_index(files.read("index.json", MAX_MANIFEST)), str(path))
    data = files.read(f"blobs/{chosen.digest.replace(':', '/')}", MAX_MANIFEST)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != chosen.digest or reference.digest not in ("", chosen.digest):
        raise BadInput(
            "the image's manifest is not the one named", found=chosen.digest, expected=reference.digest or None
        )
    manifest = parse_manifest(data)
    blobs = (*manifest.layers, manifest.config)
    for blob in blobs:  # before the registry hears of any
        _check(files, blob)
    for blob in blobs:
        with files.opened(f"blobs/{blob.digest.replace(':', '/')}") as source:
            sent = registry.push_blob(blob, source)
        said(f"{blob.digest}  {'sent' if sent else 'there already'}")
    kind = str(json.loads(data).get("mediaType") or chosen.media_type)
    registry.push_manifest(data, kind, reference.tag or chosen.digest)
    return reference.at(chosen.digest)


def _check(files: Files, blob: Descriptor) -> None:
    name = f"blobs/{blob.digest.replace(':', '/')}"
    size = files.size(name)
    if size == blob.size:
        with files.opened(name) as source:
            found = Digesting(source)
            found.drain()
        if found.digest == blob.digest:
            return
    raise DigestMismatch(
        "a blob is not what its image names; nothing was sent",
        found=f"{size} bytes" if size != blob.size else found.digest,
        expected=f"{blob.size} bytes of {blob.digest}",
        hint="build or fetch the image again",
    )

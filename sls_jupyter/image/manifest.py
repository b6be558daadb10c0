"""Manifests, indexes and configurations of images: OCI image specification 1.1 and Docker's "schema 2".

Bytes from outside become types here, with bounds; nothing in them is signed, and digests are compared where the bytes of
a blob are read (`sls_jupyter.image.stored`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.errors import MalformedDocument

MAX_MANIFEST = 4 << 20  # bytes, as registries have it
MAX_CONFIG = 8 << 20
MAX_LAYERS = 127  # as overlayfs
MAX_MANIFESTS = 1_000  # of an index
OCI_INDEX, DOCKER_INDEX = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
OCI_MANIFEST, DOCKER_MANIFEST = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
ACCEPTED = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
REF_NAME = "org.opencontainers.image.ref.name"
PLATFORM = ("linux", "amd64")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LAYER = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)"
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What names a blob."""

    media_type: str
    digest: str  # sha256:…
    size: int  # bytes
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: tuple[str, str] | None = None  # operating system, architecture

    def __post_init__(self) -> None:
        require_digest(self.digest)

    def json(self) -> dict[str, Any]:
        members: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return members | ({"annotations": dict(self.annotations)} if self.annotations else {})


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


def require_digest(text: object) -> str:
    """A digest as it is, or the error."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise MalformedDocument("a digest is not SHA-256", found=str(text)[:100], expected="sha256: and 64 hex digits")
    return text


def parse_index(data: bytes) -> tuple[Descriptor, ...]:
    """The manifests that an index names.

    Raises:
        MalformedDocument: no JSON, no index, more than `MAX_MANIFESTS`, digests that are none.
    """
    found = json_object(data, "an image index")
    manifests = found.get("manifests")
    if not isinstance(manifests, list) or len(manifests) > MAX_MANIFESTS:
        raise MalformedDocument("an image index has no list of manifests", expected=f"at most {MAX_MANIFESTS}")
    return tuple(_descriptor(one) for one in manifests)


def parse_manifest(data: bytes) -> Manifest:
    """A manifest.

    Raises:
        MalformedDocument: also layers that are not in the registry (with ``urls``) or no tar.
    """
    found = json_object(data, "an image manifest")
    layers = found.get("layers")
    if found.get("schemaVersion") != 2 or not isinstance(layers, list) or "config" not in found:
        raise MalformedDocument("this is not an image manifest of schema version 2", found=sorted(found)[:10])
    if len(layers) > MAX_LAYERS:
        raise MalformedDocument("an image has too many layers", found=len(layers), expected=f"at most {MAX_LAYERS}")
    descriptors = tuple(_descriptor(one) for one in layers)
    for layer in descriptors:
        if not _LAYER.fullmatch(layer.media_type):
            raise MalformedDocument(
                "a layer is of a kind that cannot be hashed",
                found=layer.media_type[:100],
                expected=f"{OCI_LAYER}[+gzip|+zstd]",
            )
    return Manifest(str(found.get("mediaType") or OCI_MANIFEST), _descriptor(found["config"]), descriptors)


def diff_ids(config: Mapping[str, Any], layers: int) -> tuple[str, ...]:
    """The digests of the uncompressed layers that a configuration states, one for each layer."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or len(found) != layers:
        raise MalformedDocument(
            "an image's configuration does not state each layer", found="rootfs.diff_ids", expected=f"{layers} digests"
        )
    return tuple(require_digest(one) for one in found)


def for_this_platform(manifests: tuple[Descriptor, ...], name: str) -> Descriptor:
    """The manifest for Linux on amd64; the only one if there is just one image.

    Raises:
        MalformedDocument: none or several; `name` is said.
    """
    images = [one for one in manifests if one.annotations.get("vnd.docker.reference.type") != "attestation-manifest"]
    found = images if len(images) == 1 else [one for one in images if one.platform == PLATFORM]
    if len(found) != 1:
        names = ", ".join(one.annotations.get(REF_NAME, "/".join(one.platform or ("?",))) for one in images[:10])
        raise MalformedDocument(
            f"{name} names no image, or several",
            found=names or "none",
            expected="one for linux/amd64",
            hint="name it: NAME:TAG",
        )
    return found[0]


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object from bytes that others wrote."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedDocument(f"{what} is not a JSON object")
    return found


def _descriptor(found: object) -> Descriptor:
    if not isinstance(found, dict):
        raise MalformedDocument("a descriptor is not a JSON object")
    size, annotations, platform = found.get("size"), found.get("annotations") or {}, found.get("platform")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(annotations, dict):
        raise MalformedDocument("a descriptor's size or annotations cannot be read", found=str(size)[:40])
    if found.get("urls"):
        raise MalformedDocument(
            "a layer is kept elsewhere than in its registry", hint="such an image cannot be measured"
        )
    of = (str(platform.get("os")), str(platform.get("architecture"))) if isinstance(platform, dict) else None
    texts = {str(key): str(value) for key, value in annotations.items()}
    return Descriptor(str(found.get("mediaType")), require_digest(found.get("digest")), size, texts, of)

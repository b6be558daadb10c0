"""The guest image that podman runs: read and measured where it lies, then loaded, and found to be the same.

The roots of its layers are computed from the bytes in the layout, and both digests of each layer are compared on the way.
They are remembered by the digest of the uncompressed layer, which determines them, because an image has some hundred
megabytes. What podman then runs it is told by the image's id, the digest of the configuration that lists the very same
layers; podman itself compares each layer's bytes when it loads them.

Not checked: whether somebody changed podman's storage afterwards. Who can do that owns this machine, and its evidence
is simulated.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sls_jupyter.contract.image import GuestImage, image_of_layers
from sls_jupyter.errors import DigestMismatch, Unavailable
from sls_jupyter.hosts.podman.command import Podman
from sls_jupyter.image.archive import open_image
from sls_jupyter.image.stored import Layer, StoredImage

REPOSITORY = "sls-jupyter-guest"
LOAD_SECONDS = 600.0
_FILE = "layer-roots.json"
_MAX_FILE_BYTES = 1 << 20
_MAX_REMEMBERED = 1000
_DIFF_ID, _ROOT = re.compile(r"sha256:[0-9a-f]{64}"), re.compile(r"[0-9a-f]{64}")


def open_layout(layout: Path, tag: str) -> StoredImage:
    """The image in an OCI layout.

    Raises:
        MalformedDocument, UnknownName, DigestMismatch: it is none, or contradicts itself.
        Unavailable: it cannot be read.
    """
    try:
        return open_image(layout, layout.name, tag)
    except OSError as error:
        raise Unavailable(
            "The guest image cannot be read.",
            found=f"{layout}: {error.strerror}",
            hint="Make it with `sls image build`, and name its folder: %sls hosts add podman --image FOLDER.",
        ) from None


def guest_image(image: StoredImage, machine_folder: Path) -> GuestImage:
    """What the policy of a group names, computed from the image's bytes."""
    return image_of_layers(f"{REPOSITORY}@{image.digest}", roots_of(image, machine_folder))


# --- roots of layers ------------------------------------------------------------------------------


def roots_of(image: StoredImage, machine_folder: Path) -> tuple[str, ...]:
    """The dm-verity root hash of each layer, the lowest first; each layer is read once on this machine.

    Raises:
        MalformedDocument, DigestMismatch: a layer cannot be read, or is not the one that the image names.
        Unavailable: a file cannot be read.
    """
    path = machine_folder / _FILE
    known = _remembered(path)
    try:
        found = {layer.diff_id: known.get(layer.diff_id) or layer.root() for layer in image.layers}
        if not found.keys() <= known.keys():
            _remember(path, known | found)
    except OSError as error:
        raise Unavailable("The guest image cannot be read.", found=f"{image.name}: {error.strerror}") from None
    return tuple(found[layer.diff_id] for layer in image.layers)


def _remembered(path: Path) -> dict[str, str]:
    """What is in the file and has the right form; a damaged file is forgotten, and written anew."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        layer: root
        for layer, root in data.items()
        if isinstance(root, str) and _DIFF_ID.fullmatch(layer) and _ROOT.fullmatch(root)
    }


def _remember(path: Path, roots: Mapping[str, str]) -> None:
    latest = dict(list(roots.items())[-_MAX_REMEMBERED:])
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_FILE)
    with os.fdopen(descriptor, "w") as file:
        json.dump(latest, file)
    Path(name).replace(path)


# --- in podman's storage --------------------------------------------------------------------------


def load(podman: Podman, layout: Path, tag: str, layers: tuple[Layer, ...]) -> str:
    """Bring an image into podman's storage, where it is not yet; its id there (SHA-256 of its configuration, hex).

    Raises:
        Unavailable: podman cannot load it.
        DigestMismatch: what it has is another image.
    """
    source = f"oci:{layout}" if layout.is_dir() else f"oci-archive:{layout}"
    hint = "Is there room on the disk? `podman system df` shows what podman keeps, `podman image rm` removes images."
    answer = podman.run("pull", "--quiet", f"{source}:{tag}" if tag else source, seconds=LOAD_SECONDS, hint=hint)
    image_id = answer.decode(errors="replace").strip().rpartition("\n")[2]
    if not _ROOT.fullmatch(image_id):
        raise Unavailable("podman did not say which image it loaded.", found=image_id[:100])
    (about,) = podman.json("image", "inspect", "--format=json", image_id)
    found, expected = about["RootFS"]["Layers"], [layer.diff_id for layer in layers]
    if found != expected:
        raise DigestMismatch(
            "podman has another image than the one that was measured.",
            found=", ".join(found),
            expected=", ".join(expected),
            hint="Remove it with `podman image rm`, and run again.",
        )
    return image_id

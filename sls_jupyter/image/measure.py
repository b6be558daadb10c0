"""A stored image as what a contract names: reference, root hashes of its layers, what simulated evidence shows for it."""

from __future__ import annotations

from sls_jupyter.contract.image import GuestImage, image_of_layers
from sls_jupyter.errors import BadInput
from sls_jupyter.image.distribution.reference import Reference
from sls_jupyter.image.stored import StoredImage


def guest_image(image: StoredImage, name: str = "") -> GuestImage:
    """Measure an image: reads every layer.

    Args:
        name: what to call it, ``REPOSITORY`` of where it will be pushed; its own name by default.

    Raises:
        BadInput: it has no manifest's digest, by which it is deployed.
        MalformedTar, DigestMismatch: a layer that cannot be measured.
    """
    if not image.digest:
        raise BadInput(
            "an archive of docker save has no digest by which it could be deployed",
            found=image.name,
            hint="push it to a registry, or copy it into an OCI layout",
        )
    layers = image.roots()
    return image_of_layers(f"{name or repository(image)}@{image.digest}", layers)


def repository(image: StoredImage) -> str:
    """``HOST/REPOSITORY`` of an image in a registry; ``sls-jupyter-guest`` of one on disk."""
    try:
        reference = Reference.parse(image.name.removeprefix("docker://"))
    except BadInput:
        return "sls-jupyter-guest"
    return f"{reference.host}/{reference.repository}"

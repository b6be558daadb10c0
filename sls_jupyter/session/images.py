"""The guest image that a word names: one that this persona trusts, or one in a registry, read from there.

Not checked here: that owners trust it. They do that themselves, by its layers.
"""

from __future__ import annotations

from pathlib import Path

from sls_jupyter.authority.images import named, trusted
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.image.finding import found
from sls_jupyter.image.measure import guest_image
from sls_jupyter.image.stored import StoredImage


def image_for_azure(home: Home, word: str) -> GuestImage:
    """The image that a host on Azure is to run.

    Args:
        word: name or digest of an image that this persona trusts, ``HOST/REPOSITORY:TAG`` or ``…@sha256:…``.

    Raises:
        BadInput: it is in no registry. Others as :func:`image_in_registry`.
    """
    try:
        image = named(trusted(home), word).guest
    except UnknownName:
        return image_in_registry(word)
    if "/" not in image.reference:
        raise _not_in_a_registry(image.reference)
    return image


def image_in_registry(word: str) -> GuestImage:
    """Read an image from its registry, every byte of every layer.

    Args:
        word: ``HOST/REPOSITORY:TAG`` or ``HOST/REPOSITORY@sha256:…``.

    Returns:
        It by its digest, with the dm-verity root hash of each layer.

    Raises:
        BadInput: it is no image in a registry.
        Unavailable, UnknownName, NotAuthorised, DigestMismatch: the registry does not give it, or gives another.
    """
    if Path(word).exists() or word.startswith((".", "/")):
        raise _not_in_a_registry(word)
    with found(word) as image:
        if not isinstance(image, StoredImage) or not image.digest:
            raise _not_in_a_registry(word)
        return guest_image(image)


def _not_in_a_registry(word: str) -> BadInput:
    return BadInput(
        "Azure runs images of a registry.",
        found=word[:200],
        expected="HOST/REPOSITORY:TAG, HOST/REPOSITORY@sha256:…, or the name of such an image that you trust",
        hint="sls image push brings one there.",
    )

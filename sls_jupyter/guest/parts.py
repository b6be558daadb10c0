"""Sealed parts as files: from storage that anybody may name, or through the owner's authority."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.public_storage import public_opener, ranged
from sls_jupyter.authority.client import AuthorityClient


def opener(client: AuthorityClient, manifest: AssetManifest) -> Callable[[str], BinaryIO]:
    """Opens parts of one asset: a file on the owner's disk through the authority, anything else where it is.

    A manifest is its owner's word: where it names no public place, nothing is fetched.

    Raises:
        BadInput: a place from which parts are not read. Unavailable: from the opener, when a part is not there.
    """
    sizes = {part.name: part.size for part in manifest.parts}
    if not manifest.storage.startswith("file:"):
        return public_opener(manifest.storage, sizes)
    asset = manifest.digest

    def open_part(name: str) -> BinaryIO:
        return ranged(lambda first, last: client.read_part(asset, name, first, last), sizes[name])

    return open_part

"""Sealed parts as files: from storage that anybody may name, or through the owner's authority."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlsplit

from sls_jupyter.assets.azure.account import is_loopback
from sls_jupyter.assets.azure.place import is_azure, parse_place
from sls_jupyter.assets.azure.read_pass import GRACE_SECONDS, CheckedPass, ReadPass
from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.public_storage import public_opener
from sls_jupyter.assets.ranged import ranged
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import VerificationError


def opener(
    client: AuthorityClient, manifest: AssetManifest, given: ReadPass | None = None, *, wall_seconds: int
) -> Callable[[str], BinaryIO]:
    """Opens parts of one asset: a file on the owner's disk through the authority, anything else where it is.

    A manifest is its owner's word: where it names no public place, nothing is fetched.

    Args:
        given: what the authority gave together with the keys, not judged yet.
        wall_seconds: how long the run may take.

    Raises:
        BadInput: a place from which parts are not read. Unavailable: from the opener, when a part is not there.
        VerificationError: a pass for something else than these parts.
    """
    sizes = {part.name: part.size for part in manifest.parts}
    checked = _checked(client, manifest, given, wall_seconds)
    if not manifest.storage.startswith("file:"):
        return public_opener(manifest.storage, sizes, checked)
    asset = manifest.digest

    def open_part(name: str) -> BinaryIO:
        return ranged(lambda first, last: client.read_part(asset, name, first, last), sizes[name])

    return open_part


def _checked(
    client: AuthorityClient, manifest: AssetManifest, given: ReadPass | None, wall_seconds: int
) -> CheckedPass | None:
    """The pass, found to be for this asset alone.

    An emulator on this machine is asked only where the authority is on this machine too, and the requester knows it.
    """
    if given is None:
        return None
    if not is_azure(manifest.storage):
        raise VerificationError("An authority gave a pass for a place that takes none.", found=manifest.storage[:200])
    return given.check(
        parse_place(manifest.storage),
        [part.name for part in manifest.parts],
        now=int(time.time()),
        most_seconds=wall_seconds + GRACE_SECONDS,
        this_machine=client.chosen and is_loopback(urlsplit(client.url).hostname or ""),
    )

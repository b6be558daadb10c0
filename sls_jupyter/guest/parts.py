"""Sealed parts as files: from storage that this container reaches, or through the owner's authority."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import local_parts
from sls_jupyter.authority.client import AuthorityClient


class _ServedPart(io.RawIOBase):
    """A part read by ranges from an authority. Ciphertext; the reader verifies what it gets."""

    def __init__(self, client: AuthorityClient, asset: str, name: str, size: int) -> None:
        super().__init__()
        self._client, self._asset, self._name, self._size = client, asset, name, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own alias
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._client.read_part(self._asset, self._name, self._position, self._position + wanted - 1)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def opener(client: AuthorityClient, manifest: AssetManifest) -> Callable[[str], BinaryIO]:
    """Opens parts of one asset: a file on the owner's disk through the authority, anything else directly."""
    if not manifest.storage.startswith("file:"):
        return local_parts(manifest)
    asset, sizes = manifest.digest, {part.name: part.size for part in manifest.parts}

    def open_part(name: str) -> BinaryIO:
        raw = _ServedPart(client, asset, name, sizes[name])
        return cast(BinaryIO, io.BufferedReader(raw, 1 << 20))

    return open_part

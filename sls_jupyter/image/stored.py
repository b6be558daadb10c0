"""An image that lies somewhere (folder, archive, registry), and its layers' bytes, compared with their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sls_jupyter.errors import DigestMismatch
from sls_jupyter.image.compression import BUFFER, Plain
from sls_jupyter.image.layer.entry import Readable
from sls_jupyter.image.layer.root import layer_root

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer where it lies."""

    digest: str  # of the bytes as stored; an archive of Docker's has none, there it is the diff id
    diff_id: str  # of the uncompressed tar
    size: int  # bytes as stored
    opened: Opener = field(repr=False)

    def root(self) -> str:
        """Its dm-verity root hash; reads all of it, and compares both digests.

        Raises:
            MalformedTar, MalformedDocument: its bytes cannot be read as a layer.
            DigestMismatch: they are not those that the image names.
        """
        with self.opened() as source:
            stored = Digesting(source)
            plain = Digesting(Plain(stored))  # type: ignore[arg-type]  # it is only read
            root = layer_root(plain)
            plain.drain()
            stored.drain()
        for what, found, expected in (("stored", stored, self.digest), ("uncompressed", plain, self.diff_id)):
            if found.digest != expected and not (what == "stored" and self.digest == self.diff_id):
                raise DigestMismatch(
                    f"a layer's {what} bytes are not those that its image names",
                    found=found.digest,
                    expected=expected,
                    hint="fetch or build the image again",
                )
        return root


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image for Linux on amd64."""

    name: str  # as the user called it
    digest: str  # of its manifest; empty for an archive of Docker's, which has none
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]  # the lowest first

    def roots(self) -> tuple[str, ...]:
        """The root hash of each layer, the lowest first."""
        return tuple(layer.root() for layer in self.layers)


class Digesting:
    """A source that computes SHA-256 of what is read from it."""

    def __init__(self, source: Readable) -> None:
        self._read, self._hash = source.read, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._read(size if size >= 0 else BUFFER)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """Read what is left."""
        while self.read(BUFFER):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

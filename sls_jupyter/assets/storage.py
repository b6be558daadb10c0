"""The folder of a sealed asset, behind fsspec: parts first, the manifest last, everything removed on failure.

A new folder belongs to one sealer. On a disk making it is the lock; an object store has no folders, so there the
lock is an object that is written with overwriting refused, before anything else, and removed after the manifest. The
parts and the manifest overwrite nothing either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from sls_jupyter.assets.azure.account import complete
from sls_jupyter.assets.azure.place import is_azure
from sls_jupyter.assets.azure.store import BlobWriter, filesystem, telling
from sls_jupyter.assets.ranged import ranged
from sls_jupyter.errors import BadInput, SlsError, Unavailable

MANIFEST = "manifest.json"
CLAIM = MANIFEST + ".partial"  # on a disk the manifest before its last step, elsewhere the lock
PROTOCOLS = ("file", "local", "memory", "az", "abfs", "abfss", "s3", "gs", "gcs")
_OURS = re.compile(r"(part|dictionary)-[0-9]{5}\.parquet|manifest\.json(\.partial)?")


@contextlib.contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Whatever goes wrong at a storage, as one of our errors."""
    try:
        with cloud_errors(url):
            yield
    except SlsError:
        raise
    except OSError as error:
        raise storage_error(error, url) from None


def storage_error(error: OSError, url: str) -> Unavailable:
    """What an ``OSError`` means for the reader; a full disk is told apart."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "The disk is full: free some space, or seal to another place (--to URL). Nothing was published."
    else:
        hint = "Check that the place exists, that you may use it, and that it can be reached."
    reason = error.strerror or type(error).__name__
    return Unavailable("The storage of an asset cannot be used.", found=f"{url}: {reason}", hint=hint)


@contextlib.contextmanager
def cloud_errors(url: str) -> Iterator[None]:
    """What the library of a place's cloud raises beside ``OSError``, as :class:`Unavailable`."""
    with telling(url) if is_azure(url) else contextlib.nullcontext():
        yield


def open_filesystem(url: str, protocols: Sequence[str], refusal: str) -> tuple[Any, str, str]:
    """The file system of a folder's URL, the path in it, and the URL that says where it is to others; touches nothing.

    Raises:
        BadInput: ``refusal``, for a protocol that is not in ``protocols`` or a chain of them; no URL, or one with a
            secret in it; a credential in the environment that is for another account.
        Unavailable: the file system's package is not installed.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    if protocol not in protocols or "::" in url or not url.isprintable():
        raise BadInput(refusal, found=protocol[:40], expected="a local folder or one of " + ", ".join(protocols))
    if is_azure(url):
        place = complete(url, os.environ)
        return filesystem(place), place.folder, place.url
    try:
        found, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise Unavailable(
            f"The storage {protocol}:// needs another package.",
            found=error.name,
            hint="pip install the fsspec package of the store.",
        ) from None
    except (ValueError, TypeError) as error:
        raise BadInput("This is not the URL of a folder.", found=f"{url[:200]}: {type(error).__name__}") from None
    return found, path, str(found.unstrip_protocol(path))


class Folder:
    """One asset's folder. Only files that a sealed asset consists of are ever written or removed."""

    def __init__(self, url: str) -> None:
        """Find the file system of ``url``; touches nothing.

        Raises:
            BadInput, Unavailable: see :func:`open_filesystem`.
        """
        self._fs, self._path, self.url = open_filesystem(url, PROTOCOLS, "Assets cannot be stored there.")
        self._local = isinstance(self._fs.protocol, tuple) and "file" in self._fs.protocol
        self._azure = is_azure(url)

    def _at(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"

    def _taken(self) -> BadInput:
        return BadInput(
            "There is something at the place where the asset would go.",
            found=self.url,
            expected="a folder that does not exist yet",
            hint="Choose another folder, or remove the asset that is there.",
        )

    def _names(self) -> list[str]:
        """Paths of all files below the folder, from it."""
        self._fs.invalidate_cache()
        here = self._path.rstrip("/") + "/"
        return [path.removeprefix(here) for path in map(str, self._fs.find(self._path)) if path.startswith(here)]

    def _is_there(self) -> bool:
        if self._azure:  # where an empty folder may be left of what was there
            return bool(self._names()) or bool(self._path.partition("/")[2] and self._fs.isfile(self._path))
        return bool(self._fs.exists(self._path))

    def create(self) -> None:
        """Make the folder. Of several that do so at one time one gets it; the others change nothing there.

        Raises:
            BadInput: it is there already, or another sealer has it.
            Unavailable: it cannot be made.
        """
        with storage_errors(self.url):
            try:
                if self._local:
                    Path(self._path).mkdir(parents=True)  # one of two that start together gets it
                    return
                if self._is_there():
                    raise FileExistsError
                if not self._azure:
                    self._fs.makedirs(self._path, exist_ok=True)
                self._fs.pipe_file(self._at(CLAIM), secrets.token_hex(16).encode(), mode="create")
            except FileExistsError:
                raise self._taken() from None
            if self._names() != [CLAIM]:  # who had it before us was done in between
                self._fs.rm_file(self._at(CLAIM))
                raise self._taken()

    def open_new(self, name: str) -> BinaryIO:
        """A part to write to, from its beginning.

        Raises:
            BadInput: on Azure, when it is closed, if it is there by then. Unavailable: from writing to it.
        """
        if self._azure:
            with storage_errors(self.url):
                return BlobWriter(self._fs.open(self._at(name), "xb"), self.url, self._taken).buffered()
        return cast("BinaryIO", self._fs.open(self._at(name), "wb"))

    def open(self, name: str) -> BinaryIO:
        """A part to read, seekable.

        Raises:
            Unavailable: it is not there or cannot be read.
        """
        with storage_errors(self.url):
            if not self._azure:
                return cast("BinaryIO", self._fs.open(self._at(name), "rb"))
            path = self._at(name)
            return ranged(lambda first, last: self._range(path, first, last), int(self._fs.info(path)["size"]))

    def _range(self, path: str, first: int, last: int) -> bytes:
        with storage_errors(self.url):
            return bytes(self._fs.cat_file(path, start=first, end=last + 1))

    def publish(self, manifest: bytes) -> None:
        """Write the manifest, whole or not at all. With it the asset exists.

        Raises:
            BadInput: there is one. Unavailable: it cannot be written.
        """
        with storage_errors(self.url):
            if self._local:
                scratch = Path(self._at(CLAIM))
                scratch.write_bytes(manifest)
                scratch.replace(self._at(MANIFEST))
                return
            try:
                self._fs.pipe_file(self._at(MANIFEST), manifest, mode="create")  # an object is there as a whole
            except FileExistsError:
                raise self._taken() from None
        with (
            contextlib.suppress(SlsError),
            storage_errors(self.url),
        ):  # the asset is there; what is left of the lock harms nobody
            self._fs.rm_file(self._at(CLAIM))

    def read_manifest(self) -> bytes:
        """The manifest's envelope, not verified.

        Raises:
            Unavailable: there is none.
        """
        with storage_errors(self.url):
            return bytes(self._fs.cat_file(self._at(MANIFEST)))

    def remove(self) -> None:
        """Delete the asset's files, the manifest first and the lock last, and the folder when nothing else is in it.

        What is not there is no error, so that a removal can be repeated.

        Raises:
            Unavailable: a file could not be deleted.
        """
        with storage_errors(self.url):
            self._fs.invalidate_cache()
            if not self._is_there():
                return
            names = self._names()
            order = {MANIFEST: 0, CLAIM: 2}
            for name in sorted(filter(_OURS.fullmatch, names), key=lambda name: (order.get(name, 1), name)):
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(self._at(name))
            if not self._azure and all(_OURS.fullmatch(name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rmdir(self._path)


def local_opener(url: str) -> Callable[[str], BinaryIO]:
    """``open_part`` for the asset in the folder ``url``."""
    return Folder(url).open

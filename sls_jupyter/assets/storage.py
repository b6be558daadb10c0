"""The folder of a sealed asset, behind fsspec: parts first, the manifest last, everything removed on failure."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from sls_jupyter.errors import BadInput, SlsError, Unavailable

MANIFEST = "manifest.json"
PROTOCOLS = ("file", "local", "memory", "az", "abfs", "abfss", "s3", "gs", "gcs")
_OURS = re.compile(r"(part|dictionary)-[0-9]{5}\.parquet|manifest\.json(\.partial)?")


def storage_error(error: OSError, url: str) -> Unavailable:
    """What an ``OSError`` means for the reader; a full disk is told apart."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "The disk is full: free some space, or seal to another place (--to URL). Nothing was published."
    else:
        hint = "Check that the place exists, that you may use it, and that it can be reached."
    reason = error.strerror or type(error).__name__
    return Unavailable("The storage of an asset cannot be used.", found=f"{url}: {reason}", hint=hint)


def open_filesystem(url: str, protocols: Sequence[str], refusal: str) -> tuple[Any, str]:
    """The file system of a folder's URL and the path in it; touches nothing.

    Raises:
        BadInput: ``refusal``, for a protocol that is not in ``protocols`` or a chain of them; or no URL.
        Unavailable: the file system's package is not installed.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    if protocol not in protocols or "::" in url or not url.isprintable():
        raise BadInput(refusal, found=protocol[:40], expected="a local folder or one of " + ", ".join(protocols))
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise Unavailable(
            f"The storage {protocol}:// needs another package.",
            found=error.name,
            hint="pip install 'sls-jupyter[azure]' for Azure; the fsspec package of the store for others.",
        ) from None
    except (ValueError, TypeError) as error:
        raise BadInput("This is not the URL of a folder.", found=f"{url[:200]}: {type(error).__name__}") from None
    return filesystem, path


class Folder:
    """One asset's folder. Only files that a sealed asset consists of are ever written or removed."""

    def __init__(self, url: str) -> None:
        """Find the file system of ``url``; touches nothing.

        Raises:
            BadInput: a protocol that is not in ``PROTOCOLS``, or a chain of them.
            Unavailable: the file system's package is not installed.
        """
        self._fs, self._path = open_filesystem(url, PROTOCOLS, "Assets cannot be stored there.")
        self.url = str(self._fs.unstrip_protocol(self._path))
        self._local = isinstance(self._fs.protocol, tuple) and "file" in self._fs.protocol

    def _at(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def _io(self) -> Any:
        try:
            yield
        except SlsError:
            raise
        except OSError as error:
            raise storage_error(error, self.url) from None

    def create(self) -> None:
        """Make the folder.

        Raises:
            BadInput: it is there already.
            Unavailable: it cannot be made.
        """
        with self._io():
            try:
                if self._local:
                    Path(self._path).mkdir(parents=True)  # one of two that start together gets it
                elif self._fs.exists(self._path):
                    raise FileExistsError
                else:
                    self._fs.makedirs(self._path)
            except FileExistsError:
                raise BadInput(
                    "There is something at the place where the asset would go.",
                    found=self.url,
                    expected="a folder that does not exist yet",
                    hint="Choose another folder, or remove the asset that is there.",
                ) from None

    def open_new(self, name: str) -> BinaryIO:
        """A part to write to, from its beginning."""
        return cast("BinaryIO", self._fs.open(self._at(name), "wb"))

    def open(self, name: str) -> BinaryIO:
        """A part to read, seekable.

        Raises:
            Unavailable: it is not there or cannot be read.
        """
        with self._io():
            return cast("BinaryIO", self._fs.open(self._at(name), "rb"))

    def publish(self, manifest: bytes) -> None:
        """Write the manifest, whole or not at all. With it the asset exists."""
        with self._io():
            if not self._local:
                self._fs.pipe_file(self._at(MANIFEST), manifest)  # an object store replaces an object atomically
                return
            scratch = Path(self._at(MANIFEST + ".partial"))
            scratch.write_bytes(manifest)
            scratch.replace(self._at(MANIFEST))

    def read_manifest(self) -> bytes:
        """The manifest's envelope, not verified.

        Raises:
            Unavailable: there is none.
        """
        with self._io():
            return bytes(self._fs.cat_file(self._at(MANIFEST)))

    def remove(self) -> None:
        """Delete the asset's files, the manifest first, and the folder when nothing else is in it.

        What is not there is no error, so that a removal can be repeated.

        Raises:
            Unavailable: a file could not be deleted.
        """
        with self._io():
            self._fs.invalidate_cache()
            if not self._fs.exists(self._path):
                return
            names = [str(path).rstrip("/").rpartition("/")[2] for path in self._fs.ls(self._path, detail=False)]
            for name in sorted(filter(_OURS.fullmatch, names)):
                self._fs.rm_file(self._at(name))
            if all(_OURS.fullmatch(name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rmdir(self._path)


def local_opener(url: str) -> Callable[[str], BinaryIO]:
    """``open_part`` for the asset in the folder ``url``."""
    return Folder(url).open

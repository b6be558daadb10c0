"""Images on disk: OCI layouts as folders and as tars, and archives of ``docker save``.

An archive is read in place: its table of contents, then each blob from its offset. A tar is an archive when all of its
names are those of one and it has an ``index.json`` or a ``manifest.json``; any other is a layer.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from sls_jupyter.errors import DigestMismatch, MalformedDocument, UnknownName
from sls_jupyter.image.layer.tar import entries
from sls_jupyter.image.manifest import (
    DOCKER_INDEX,
    MAX_CONFIG,
    MAX_LAYERS,
    MAX_MANIFEST,
    OCI_INDEX,
    REF_NAME,
    Descriptor,
    diff_ids,
    for_this_platform,
    json_object,
    parse_index,
    parse_manifest,
)
from sls_jupyter.image.stored import Digesting, Layer, Opener, StoredImage

MAX_NAMES = 10_000
_ARCHIVE = re.compile(
    rb"(\./)?(blobs/?|blobs/sha256/?|blobs/sha256/[0-9a-f]{64}|[^/]+\.json|oci-layout|repositories|"
    rb"[0-9a-f]{64}(\.tar|/|/json|/VERSION|/layer\.tar)?|)"
)


class Files:
    """The files of a folder or of a tar by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = None if path.is_dir() else contents(path)

    def __contains__(self, name: str) -> bool:
        return self._file(name).is_file() if self._places is None else name in self._places

    def size(self, name: str) -> int:
        self._require(name)
        return self._file(name).stat().st_size if self._places is None else self._places[name][1]

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        self._require(name)
        if self._places is None:
            with self._file(name).open("rb") as file:
                yield file
            return
        offset, size = self._places[name]
        with self._path.open("rb") as file:
            file.seek(offset)
            yield cast(BinaryIO, _Part(file, size))

    def read(self, name: str, most: int) -> bytes:
        if self.size(name) > most:
            raise MalformedDocument(
                f"{name} in an image is too large", found=self.size(name), expected=f"at most {most}"
            )
        with self.opened(name) as file:
            return file.read(most)

    def _file(self, name: str) -> Path:
        """The path of a folder's file, which has to lie in it; a blob is no link, whoever wrote the layout."""
        parts, root = PurePosixPath(name).parts, self._path.resolve()
        path = root.joinpath(*parts)
        try:
            found = path.resolve()
        except (OSError, ValueError, RuntimeError):
            found = Path("/")
        inside = "\0" not in name and not name.startswith("/") and ".." not in parts and found.is_relative_to(root)
        if not inside or (parts[:1] == ("blobs",) and found != path):
            raise MalformedDocument(
                f"{self._path.name} names a file that is a link, or is not in it",
                found=name[:200],
                hint="copy the image's files themselves into the folder",
            )
        return path

    def _require(self, name: str) -> None:
        if name not in self:
            raise MalformedDocument(f"{self._path.name} names a file that is not in it", found=name[:200])


class _Part(io.RawIOBase):
    """Some bytes of a file, from where it stands."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        size = self._left if size is None or size < 0 else min(size, self._left)
        data = self._file.read(size)
        self._left -= len(data)
        return data


def contents(path: Path) -> dict[str, tuple[int, int]] | None:
    """Offset and size of each file of an archive of images, or ``None`` if the tar is none.

    Links inside the archive (older ``docker save``) stand for what they name.
    """
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    with path.open("rb") as file:
        for count, entry in enumerate(entries(_Seeking(file))):
            if not _ARCHIVE.fullmatch(entry.name) or count > MAX_NAMES:
                return None
            name = entry.name.decode("ascii", "backslashreplace").removeprefix("./")
            if entry.kind == ord("0"):
                places[name] = (file.tell(), entry.size)
            elif entry.kind == ord("2"):
                links[name] = posixpath.normpath(
                    posixpath.join(posixpath.dirname(name), entry.link.decode("utf-8", "backslashreplace"))
                )
    places |= {name: places[target] for name, target in links.items() if target in places}
    return places if "index.json" in places or "manifest.json" in places else None


class _Seeking:
    """A file whose data are stepped over where nobody reads them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.read = file, file.read
        self._size = os.fstat(file.fileno()).st_size

    def skip(self, size: int) -> int:
        left = max(self._size - self._file.tell(), 0)
        self._file.seek(min(size, left), os.SEEK_CUR)
        return min(size, left)


def open_image(path: Path, name: str, tag: str = "") -> StoredImage:
    """The image in an OCI layout (folder or tar) or in an archive of Docker's.

    Args:
        tag: which one, where there are several: its name in the index, or a tag of the archive.

    Raises:
        MalformedDocument: not such a thing, or one that contradicts itself.
        UnknownName: no image of that tag.
    """
    files = Files(path)
    if "index.json" in files:
        return _oci(files, name, tag)
    if "manifest.json" in files:
        return _docker(files, name, tag)
    raise MalformedDocument(f"{name} is no image", expected="an OCI layout or an archive of docker save")


def _blob(files: Files, descriptor: Descriptor, most: int) -> bytes:
    data = files.read(_blob_name(descriptor), most)
    found = Digesting(io.BytesIO(data))
    found.drain()
    if found.digest != descriptor.digest:
        raise DigestMismatch("a blob is not what its image names", found=found.digest, expected=descriptor.digest)
    return data


def _blob_name(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/')}"


def _oci(files: Files, name: str, tag: str) -> StoredImage:
    manifests = parse_index(files.read("index.json", MAX_MANIFEST))
    if tag:
        manifests = tuple(one for one in manifests if tag in (one.annotations.get(REF_NAME), one.digest))
        if not manifests:
            raise UnknownName(f"{name} has no image of that name", found=tag)
    chosen = for_this_platform(manifests, name)
    if chosen.media_type in (OCI_INDEX, DOCKER_INDEX):
        chosen = for_this_platform(parse_index(_blob(files, chosen, MAX_MANIFEST)), name)
    manifest = parse_manifest(_blob(files, chosen, MAX_MANIFEST))
    config = json_object(_blob(files, manifest.config, MAX_CONFIG), "an image's configuration")
    layers = tuple(
        Layer(layer.digest, diff_id, files.size(_blob_name(layer)), _opener(files, _blob_name(layer)))
        for layer, diff_id in zip(manifest.layers, diff_ids(config, len(manifest.layers)), strict=True)
    )
    return StoredImage(name, chosen.digest, config, layers)


def _docker(files: Files, name: str, tag: str) -> StoredImage:
    """``manifest.json``: a list of images, each with the names of its configuration and its layers."""
    try:
        images = json.loads(files.read("manifest.json", MAX_MANIFEST))
        found = [one for one in images if not tag or tag in (one.get("RepoTags") or ())]
        config_name, names = (str(found[0]["Config"]), [str(one) for one in found[0]["Layers"]]) if found else ("", [])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise MalformedDocument(f"{name}: its manifest.json is not that of docker save") from None
    if len(found) != 1:
        raise UnknownName(f"{name} has {len(found) or 'no'} such images", expected="one", hint="name it: FILE:TAG")
    if len(names) > MAX_LAYERS:
        raise MalformedDocument("an image has too many layers", found=len(names), expected=f"at most {MAX_LAYERS}")
    config = json_object(files.read(config_name, MAX_CONFIG), "an image's configuration")
    layers = tuple(
        Layer(diff_id, diff_id, files.size(layer), _opener(files, layer))
        for layer, diff_id in zip(names, diff_ids(config, len(names)), strict=True)
    )
    return StoredImage(name, "", config, layers)


def _opener(files: Files, name: str) -> Opener:
    return lambda: files.opened(name)

"""What a word on the command line names: a layer's tar, an image on disk, or one in a registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sls_jupyter.errors import SlsError, UnknownName
from sls_jupyter.image.archive import contents, open_image
from sls_jupyter.image.compression import BUFFER, GZIP, ZSTD, Plain
from sls_jupyter.image.distribution.reference import Reference
from sls_jupyter.image.layer.fields import MalformedTar
from sls_jupyter.image.layer.root import layer_root
from sls_jupyter.image.stored import StoredImage


@contextmanager
def found(word: str) -> Iterator[StoredImage | Path]:
    """The image that a word names, or the path of a layer's tar.

    Taken in this order: a path that exists; ``PATH:TAG`` of an image on disk; a name in a registry.

    Raises:
        UnknownName: none of these.
    """
    path = Path(word)
    if path.exists():
        yield open_image(path, word) if path.is_dir() or _is_archive(path) else path
        return
    for colon in (place for place, letter in enumerate(word) if letter == ":" and place):
        if Path(word[:colon]).exists():
            yield open_image(Path(word[:colon]), word, word[colon + 1 :])
            return
    try:
        reference = Reference.parse(word.removeprefix("docker://"))
    except SlsError:
        raise UnknownName(
            "no such file, and not the name of an image in a registry",
            found=word[:200],
            expected="a layer's tar, an OCI layout, an archive of docker save, or HOST/REPOSITORY:TAG",
        ) from None
    from sls_jupyter.image.distribution.registry import Registry  # its client is larger than all that files need

    with Registry(reference) as registry:
        yield registry.image()


def roots(word: str) -> list[tuple[str, str]]:
    """Root hashes and whose they are: a tar's one, or each layer's of an image, the lowest first."""
    with found(word) as what:
        if isinstance(what, Path):
            return [(tar_root(what), word)]
        return [(layer.root(), f"{word} {layer.digest}") for layer in what.layers]


def tar_root(path: Path) -> str:
    """The root hash of a layer in a file, compressed or not."""
    with path.open("rb", buffering=BUFFER) as file:
        start = file.read(4)
        file.seek(0)
        return layer_root(Plain(file) if start[:2] == GZIP or start == ZSTD else file)


def _is_archive(path: Path) -> bool:
    try:
        return contents(path) is not None
    except MalformedTar:
        return False  # said when it is read as a layer

"""The guest image from the installed package: base, locked dependencies, our code; without Docker and without root.

The same package, lock file and base give the same bytes, whoever builds and wherever: see
`sls_jupyter.image.write`. Nothing is fetched but wheels by pip, and Debian's packages or the base that was named.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sls_jupyter.contract.group import PATH
from sls_jupyter.contract.image import OUTSIDE_THE_GUEST, PACKAGE
from sls_jupyter.contract.places import AUDIT, FEED, RESULT
from sls_jupyter.errors import BadInput
from sls_jupyter.image import dependencies
from sls_jupyter.image.base import PYTHON, TITLE, TITLE_OF_OURS, Base, make_debian, read_base
from sls_jupyter.image.compression import Plain
from sls_jupyter.image.finding import found
from sls_jupyter.image.write import Item, Layout, folder, pieces_of

TAG = "guest"
LABELS = "org.opencontainers.image"
_DEBIAN = "usr/local/lib/python3.11/dist-packages"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Built:
    """What was made, and of what."""

    path: Path
    digest: str  # of the manifest
    layers: tuple[str, ...]  # digests of the stored layers
    versions: dict[str, str]


def build(
    out: Path, *, base: str = "", extra: Iterable[str] = (), constraints: Path | None = None, mirror: str = ""
) -> Built:
    """Build the image into a new folder, an OCI layout.

    Args:
        out: the folder; it must not exist, or be empty.
        base: an image (registry, layout, archive) or a layer's tar to build upon; a small Debian is made if it is empty.
        extra: distributions of the lock file that cells may import beside pandas, pyarrow and what these bring.
        constraints: another lock file than the package's own.
        mirror: Debian mirror or snapshot, for the base that is made.

    Raises:
        BadInput: the folder is in use; the base has no fitting Python; something is not locked.
        Unavailable: a tool or the network is missing.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput("the folder for the image is in use", found=str(out), hint="remove it, or use another --out")
    epoch = _epoch()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".image-") as work:
        layout = Layout(Path(work) / "layout")
        name, packages = _add_base(layout, base, epoch, Path(work), mirror)
        target = Path(work) / "packages"
        versions = dependencies.install(target, constraints or dependencies.lock_file(), extra, PYTHON)
        layout.add_items(dependencies.items(target, packages), "sls image build: dependencies", epoch)
        layout.add_items(code_items(packages), "sls image build: sls_jupyter", epoch)
        config = {
            "config": {
                "Env": [f"PATH={PATH}", "HOME=/tmp", "LANG=C.UTF-8"],
                "WorkingDir": "/",
                "Labels": {
                    TITLE: TITLE_OF_OURS,
                    f"{LABELS}.version": _version(),
                    f"{LABELS}.base.name": name,
                    "sls.dependencies": dependencies.words(versions),
                },
            }
        }
        digest = layout.finish(config, TAG)
        layers = tuple(layer.digest for layer in layout.layers)
        if out.exists():
            out.rmdir()
        shutil.move(layout.path, out)
    return Built(out, digest, layers, versions)


def code_items(packages: str) -> list[Item]:
    """Our code, and the places where the containers' volumes are mounted."""
    items = [Item(f"{packages}/sls_jupyter/{name}", data=PACKAGE / name) for name in guest_code()]
    about = f"Metadata-Version: 2.1\nName: sls-jupyter\nVersion: {_version()}\n"
    items.append(Item(f"{packages}/sls_jupyter-{_version()}.dist-info/METADATA", data=about.encode()))
    places = [FEED, RESULT, *AUDIT.values()]
    return [*items, folder("tmp", 0o1777), *(folder(place.strip("/")) for place in places)]


def guest_code() -> list[str]:
    """The files of the package that a container may need, by name; more than what is measured locally: also certificates."""
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(
        path.as_posix()
        for path in files
        if path.parts[0] not in OUTSIDE_THE_GUEST and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )


def _add_base(layout: Layout, word: str, epoch: int, work: Path, mirror: str) -> tuple[str, str]:
    """Add the lowest layers; the base's name and its folder for packages."""
    if not word:
        tar = work / "base.tar"
        make_debian(tar, epoch, mirror)
        layer = layout.add_layer(pieces_of(tar), "sls image build: Debian")
        return f"debian:bookworm, made, {layer.digest}", _DEBIAN
    with found(word) as image:
        base = read_base(image, word)
        _copy(layout, base)
    name = base.name
    if isinstance(image, Path):
        name = f"tar@{layout.layers[-1].digest}"
    return name, base.packages


def _copy(layout: Layout, base: Base) -> None:
    """The base's layers, uncompressed and compared with their digests."""
    for what, number in base.layers:
        if isinstance(what, Path):
            with what.open("rb") as file:
                plain = Plain(file)
                layout.add_layer(_pieces(plain), "base")
            continue
        stored = what.layers[number]
        with stored.opened() as source:
            plain = Plain(source)
            layer = layout.add_layer(_pieces(plain), "base")
        if layer.digest != stored.diff_id:
            raise BadInput(
                "a layer of the base is not the one that its image names", found=layer.digest, expected=stored.diff_id
            )


def _epoch() -> int:
    """SOURCE_DATE_EPOCH (reproducible-builds.org), or 1970."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not text.isdigit() or len(text) > 11:
        raise BadInput("SOURCE_DATE_EPOCH is no time", found=text[:40], expected="seconds since 1970")
    return int(text)


def _version() -> str:
    return metadata.version("sls-jupyter")


def _pieces(source: Plain) -> Iterator[bytes]:
    while piece := source.read(_CHUNK):
        yield piece

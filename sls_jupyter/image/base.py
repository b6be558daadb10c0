"""The lowest layers: of an image that somebody else made, named by its digest, or a small Debian made here.

Made here: Debian's packages of Python and what it needs, unpacked without running anything of theirs (``mmdebstrap
--variant=extract``, no root), and written anew: sorted, without manuals, locales, Perl and package tools. Which
packages and versions is in the image, `PACKAGES`. Debian's mirror keeps the newest version only, so who rebuilds later
takes this layer from the image (``--base IMAGE``) or a mirror's snapshot.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.errors import BadInput, Unavailable
from sls_jupyter.image.compression import Plain
from sls_jupyter.image.finding import found
from sls_jupyter.image.layer.fields import shown
from sls_jupyter.image.layer.tar import entries
from sls_jupyter.image.stored import StoredImage
from sls_jupyter.image.write import Item, folder, write_tar

SUITE, PYTHON = "bookworm", "3.11"
INCLUDED = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates")
TITLE, TITLE_OF_OURS = "org.opencontainers.image.title", "guest of sls_jupyter"
PACKAGES = "usr/share/sls/packages.txt"
MADE_SECONDS = 1800
_DROPPED = re.compile(
    r"(dev|proc|sys|run|boot|home|media|mnt|srv|opt|root|tmp)(/.*)?"
    r"|usr/share/(?!ca-certificates/|doc/[^/]+/copyright$|python3?(/|$)|zoneinfo/|sls/)[^/]+/.*"
    r"|usr/share/doc/[^/]+/(?!copyright$).*"
    r"|var/(?!lib$)[^/]+/.*|var/lib/.*|etc/(apt|dpkg|cron.*|logrotate.d|systemd|terminfo|profile.d|pam.d|security|skel)(/.*)?"
    r"|etc/(fstab|hostname|resolv.conf|debconf.conf|packages.txt)"
    r"|usr/lib/x86_64-linux-gnu/(gconv|perl|perl-base|systemd|security)(/.*)?|usr/lib/(dpkg|apt|systemd|perl.*|mime|lsb)(/.*)?"
    r"|lib/(systemd|udev|terminfo|lsb)(/.*)?|usr/(games|src|include)(/.*)?"
    r"|(usr/)?s?bin/(?!python3(\.\d+)?$|env$|true$|false$|cat$|ls$|sh$|dash$|bash$).+"
    r"|.*/__pycache__(/.*)?|usr/lib/python3(\.\d+)?/(pydoc_data|test|lib2to3|distutils|idlelib|ensurepip)/.*"
)
_USERS = "root:x:0:0:root:/tmp:/usr/sbin/nologin\nprogram:x:1002:1002:program:/tmp:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\ninput:x:1001:\nprogram:x:1002:\noutput:x:1003:\naudit:x:1004:\n"


@dataclass(frozen=True, slots=True)
class Base:
    """The layers to build upon, and where Python looks for packages there."""

    layers: tuple[tuple[Path | StoredImage, int], ...]  # a plain tar, or an image and the number of its layer
    name: str  # with the digest, for people and for who rebuilds
    packages: str  # folder, without a slash before it
    python: str  # 3.11


def make_debian(tar: Path, epoch: int, mirror: str = "") -> None:
    """Write the layer of a small Debian.

    Args:
        tar: where to.
        epoch: the time of all its files.
        mirror: another than Debian's own, such as a snapshot.

    Raises:
        Unavailable: mmdebstrap is missing or fails.
    """
    if not shutil.which("mmdebstrap"):
        raise Unavailable(
            "mmdebstrap, which makes the base layer, is missing",
            hint="apt-get install mmdebstrap, or name an image or a tar with Python: sls image build --base …",
        )
    with tempfile.TemporaryDirectory() as work:
        raw = Path(work) / "raw.tar"
        command = [
            *("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(INCLUDED)}"),
            '--extract-hook=cd "$1" && ls var/cache/apt/archives > etc/packages.txt',
            *(SUITE, str(raw)),
            *([mirror] if mirror else []),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=MADE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable("mmdebstrap does not end", expected=f"within {MADE_SECONDS} s") from None
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            raise Unavailable(
                "mmdebstrap could not make the base layer", found=last[:300], hint="is Debian's mirror reached?"
            )
        with tarfile.open(raw) as source, tar.open("wb") as out:
            write_tar(_debian(source), out, epoch)


def _debian(source: tarfile.TarFile) -> Iterator[Item]:
    certificates: dict[str, bytes] = {}
    for member in source.getmembers():
        name = member.name.removeprefix("./").strip("/")
        if name == "etc/packages.txt":
            listed = sorted(one for one in _data(source, member).decode().splitlines() if one.endswith(".deb"))
            yield Item(PACKAGES, data="".join(f"{one}\n" for one in listed).encode())
        if not name or name == "." or _DROPPED.fullmatch(name):
            continue
        if name.startswith("usr/share/ca-certificates/") and name.endswith(".crt"):
            certificates[name] = _data(source, member)
        elif member.isdir():
            yield folder(name, member.mode)
        elif member.isreg():
            yield Item(name, mode=member.mode, data=_data(source, member))
        elif member.issym():
            yield Item(name, tarfile.SYMTYPE, 0o777, link=member.linkname)
        elif member.islnk():
            target = source.getmember(member.linkname)
            yield Item(name, mode=target.mode, data=_data(source, target))
    yield Item("etc/ssl/certs/ca-certificates.crt", data=b"".join(certificates[name] for name in sorted(certificates)))
    yield Item("etc/passwd", data=_USERS.encode())
    yield Item("etc/group", data=_GROUP.encode())
    yield Item("etc/resolv.conf")
    yield Item("etc/hosts", data=b"127.0.0.1\tlocalhost\n")


def _data(source: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = source.extractfile(member)
    return file.read() if file is not None else b""


def read_base(image: StoredImage | Path, word: str) -> Base:
    """A base of somebody else's: an image with its digest, or one plain tar.

    Raises:
        BadInput: there is no Python in it, or not the one that packages are locked for.
    """
    layers: tuple[tuple[Path | StoredImage, int], ...]
    if isinstance(image, Path):
        layers, name = ((image, 0),), word
    else:
        ours = dict(image.config.get("config") or {}).get("Labels") or {}
        count = len(image.layers) - (
            2 if ours.get(TITLE) == TITLE_OF_OURS else 0
        )  # an image of ours: what it was built upon
        layers = tuple((image, number) for number in range(count))
        name = f"{word.partition('@')[0]}@{image.digest}" if image.digest else word
    pythons: set[tuple[str, str]] = set()
    for what, number in layers:
        pythons |= _pythons(what, number)
    chosen = max(pythons, key=lambda one: one[0] == "usr/local/bin", default=None)
    if chosen is None or chosen[1] != PYTHON:
        raise BadInput(
            "the base has not the Python that the packages are locked for",
            found=", ".join(sorted({version for _, version in pythons})) or "no /usr/bin/python3.x",
            expected=f"Python {PYTHON}",
            hint="take an image with it, such as python:3.11-slim, or leave --base out",
        )
    kind = "site-packages" if chosen[0] == "usr/local/bin" else "dist-packages"
    return Base(layers, name, f"usr/local/lib/python{PYTHON}/{kind}", PYTHON)


def _pythons(what: Path | StoredImage, number: int) -> set[tuple[str, str]]:
    """Folder and version of each interpreter in a layer."""
    if isinstance(what, Path):
        with what.open("rb") as file:
            names = [shown(entry.name) for entry in entries(Plain(file))]
    else:
        with what.layers[number].opened() as source:
            names = [shown(entry.name) for entry in entries(Plain(source))]
    matched = (re.fullmatch(r"(?:\./|/)?(usr(?:/local)?/bin)/python(3\.\d+)", name) for name in names)
    return {(one[1], one[2]) for one in matched if one}


__all__ = ["PACKAGES", "PYTHON", "Base", "found", "make_debian", "read_base"]

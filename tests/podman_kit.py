"""Podman and the guest image for tests: the image of this very code, made once, or the reason why there is none.

Run as a script (``make guest-image``) this makes the image below ``build/``, where podman and mmdebstrap are.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sls_jupyter.authority.images import trust
from sls_jupyter.contract.image import installed_image
from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.hosts.podman.command import find_podman
from sls_jupyter.hosts.podman.host import PodmanHost
from sls_jupyter.identity import Home
from sls_jupyter.image.build import build

BUILD = Path(__file__).resolve().parent.parent / "build"
EXTRA: tuple[str, ...] = ()


def place() -> Path:
    """Where the image of the code lies that is installed now."""
    return BUILD / f"guest-{installed_image().layers[0][:16]}"


@functools.cache
def layout() -> tuple[Path | None, str]:
    """The folder of the image, or why there is none."""
    found = find_podman()
    if found.problem:
        return None, f"{found.problem}. {found.fix}"
    if not place().is_dir():
        return None, "there is no guest image of this code: make guest-image"
    return place(), ""


needs_podman = pytest.mark.skipif(layout()[0] is None, reason=layout()[1])


def machine() -> Path:
    """The machine's folder of all tests with podman: roots of layers are computed once."""
    folder = Path(tempfile.gettempdir()) / f"sls-test-machine-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def host(folder: Path | None = None, **options: bool) -> PodmanHost:
    """A host with that image; the machine's folder is that of all tests unless one is given."""
    path, reason = layout()
    assert path is not None, reason
    image = PodmanHost(path, machine()).measured()
    return PodmanHost(path, folder or machine(), image=image, **options)


def trusted_by(home: Home, host: PodmanHost) -> None:
    """This persona's authority releases keys to the host's image."""
    image = host.capabilities().image
    assert image is not None
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    trust(home, image, "tests", int(time.time()))


def main() -> int:
    """Make the image unless it is there; what is made for older code is its base, and then goes.

    Where a mirror or an index does not answer there is none, and the tests that need it are skipped: but not in CI.
    """
    problem = find_podman().problem or ("" if shutil.which("mmdebstrap") else "mmdebstrap is not installed")
    if problem:
        print(f"No guest image: {problem}. The tests with podman are skipped.")
        return 0
    if place().is_dir():
        return 0
    print("Making the guest image for the tests with podman: one to four minutes, the first time …")
    older = sorted(BUILD.glob("guest-*"), key=lambda path: path.stat().st_mtime)
    try:
        build(place(), base=str(older[-1]) if older else "", extra=EXTRA)
    except Unavailable as error:
        print(f"No guest image: {error}")
        if os.environ.get("CI") == "true":
            return 1
        print("The tests with podman are skipped; make guest-image tries again.")
        return 0
    except SlsError as error:
        print(error)
        return 1
    for path in older:
        shutil.rmtree(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The layer of locked dependencies: what the guest imports, from wheels, at the versions of ``constraints.txt``.

pip chooses wheels for the image's Python and glibc, not for this machine's; nothing is compiled and nothing of a package
is run. What differs from one installation to the next is left out: compiled bytecode, scripts, records of the installation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from sls_jupyter.contract.image import GUEST_DISTRIBUTIONS, PACKAGE
from sls_jupyter.errors import BadInput, Unavailable
from sls_jupyter.image.write import Item

ALSO_NEEDED = (  # imported by the guest's code, too; not measured locally
    *("cbor2", "fsspec", "httpcore", "numpy", "platformdirs", "PyJWT", "starlette", "traitlets"),
)
GLIBC = (36, 35, 34, 31, 28, 27, 24, 17)  # 2.36 is Debian bookworm's; wheels for any before it run there
INSTALL_SECONDS = 1800
_LEFT_OUT = re.compile(
    r"bin/.*|share/.*|etc/.*|.*\.pyc|(.*/)?__pycache__(/.*)?|[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)"
    r"|(pandas|numpy|pyarrow)/(.*/)?tests/.*|pyarrow/(include|src)/.*|numpy/.*/include/.*"
)
_LINE = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


def lock_file() -> Path:
    """``constraints.txt`` of the installed package, or of the checkout that it is.

    Raises:
        BadInput: there is none.
    """
    for path in (PACKAGE / "image" / "constraints.txt", PACKAGE.parent / "constraints.txt"):
        if path.is_file():
            return path
    raise BadInput(
        "the lock file is missing",
        expected="constraints.txt",
        hint="install sls-jupyter anew, or use --constraints FILE",
    )


def locked(path: Path) -> dict[str, str]:
    """Versions by normalised name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (_LINE.match(line) for line in lines if not line.startswith("#"))
    return {normal(one[1]): one[2] for one in found if one}


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def install(target: Path, constraints: Path, extra: Iterable[str], python: str) -> dict[str, str]:
    """Install what the guest needs into a folder; names and versions.

    Args:
        extra: further distributions that cells may import; they have to be in the lock file, too.
        python: the image's version, ``3.11``.

    Raises:
        BadInput: something is not in the lock file, or came in another version.
        Unavailable: pip is missing or fails.
    """
    versions = locked(constraints)
    wanted = sorted({normal(name) for name in (*GUEST_DISTRIBUTIONS, *ALSO_NEEDED, *extra)})
    missing = [name for name in wanted if name not in versions]
    if missing:
        raise BadInput("not in the lock file", found=", ".join(missing), expected=f"a name in {constraints.name}")
    plain = target.with_name("locked.txt")  # without markers, which pip would read for this machine's Python
    plain.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
    command = [
        *(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
            "--no-warn-conflicts",
        ),
        *("--target", str(target), "--python-version", python, "--implementation", "cp", "--only-binary", ":all:"),
        *("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
        *(word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_x86_64")),
        *("--platform", "manylinux2014_x86_64", "-c", str(plain), *wanted),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable("pip does not end", expected=f"within {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing said"]
        hint = "python -m ensurepip" if "No module named pip" in done.stderr else "is the package index reached?"
        raise Unavailable("pip could not install the guest's dependencies", found=said[-1][:300], hint=hint)
    came = {normal(one.name): one.version for one in metadata.distributions(path=[str(target)])}
    other = [f"{name} {version}" for name, version in sorted(came.items()) if versions.get(name) != version]
    if other:
        raise BadInput(
            "pip installed what the lock file does not say",
            found=", ".join(other)[:300],
            hint="make lock, and build again",
        )
    return dict(sorted(came.items()))


def items(target: Path, packages: str) -> list[Item]:
    """What of a folder that pip filled goes into the image, below its folder for packages."""
    found = []
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if path.is_file() and not path.is_symlink() and not _LEFT_OUT.fullmatch(name):
            found.append(Item(f"{packages}/{name}", mode=0o755 if path.stat().st_mode & 0o100 else 0o644, data=path))
    return found


def words(versions: Mapping[str, str]) -> str:
    """``a==1 b==2``."""
    return " ".join(f"{name}=={version}" for name, version in sorted(versions.items()))

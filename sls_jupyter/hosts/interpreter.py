"""The running interpreter as a sandboxed container sees it: under names that say nothing of the host.

Inside, the interpreter lies in ``/opt/python``, its virtual environment in ``/opt/environment`` and this package in
``/opt/sls``, wherever they lie on the host, so that ``sys.prefix``, ``sys.executable`` and tracebacks are the same
everywhere. What names its own place and is needed for that is replaced by a file of the same meaning: ``pyvenv.cfg``,
the path file of an editable installation, and the run path of an executable that loads a shared ``libpython``.

An interpreter in ``/usr`` stays there: every machine has it. One whose folders cannot be told apart (its executable
lies in another tree than its library) keeps its own names, and the sandbox works as well.

What is *not* hidden: other files of the environment in which their own place is written (compiled modules, first
lines of scripts in the interpreter's own folder, records of installations, the configuration of the build).

Source: documentation of the modules :mod:`site` and :mod:`sys` ("The initialization of the sys.path module search
path"), ld.so(8).
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from sls_jupyter.contract.image import PACKAGE

PYTHON, ENVIRONMENT, OWN = "/opt/python", "/opt/environment", "/opt/sls"
SHARED_BY_ALL = (Path("/usr"), Path("/usr/local"))
MAX_EXECUTABLE_BYTES = 1 << 16  # of one that loads a shared libpython: it holds nothing else
_KEPT_SETTINGS = {"include-system-site-packages", "version", "version_info", "implementation"}


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Where the interpreter and this package lie inside a container, and what has to be mounted for it."""

    executable: str
    package: str
    folders: tuple[tuple[Path, str], ...]  # of the host, and where it is inside; from the root downwards
    emptied: tuple[str, ...] = ()  # folders inside those
    links: tuple[tuple[str, str], ...] = ()  # path inside, and what it leads to
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)  # path inside, and what it says there


def plain(path: str) -> Path:
    """A path without ``..``, which stands in it when Python was started by such a path; links are kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _too_wide() -> set[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - never raises
    return {Path("/"), home, *home.parents}


def own_folders() -> tuple[Path, ...]:
    """The folders of the host without which the running interpreter cannot import this package.

    A folder that holds the user's home is left out: then no sandbox works, and the host says so.
    """
    real = Path(sys.executable).resolve().parent.parent
    found = map(plain, (sys.base_prefix, str(real), sys.prefix, str(PACKAGE)))
    wide = _too_wide()
    return tuple(dict.fromkeys(path for path in found if path not in wide))


def _at_home() -> Interpreter:
    """Under the host's own names."""
    return Interpreter(str(plain(sys.executable)), str(PACKAGE), tuple((path, str(path)) for path in own_folders()))


def _settings(environment: Path) -> bytes:
    """``pyvenv.cfg`` with the interpreter's place inside, and without what tells of the host."""
    kept = [f"home = {Path(_base_executable()).parent}"]
    for line in (environment / "pyvenv.cfg").read_text("utf-8").splitlines():
        if line.partition("=")[0].strip() in _KEPT_SETTINGS:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept).encode()


def _base() -> Path:
    return plain(sys.base_prefix)


def _base_executable() -> str:
    """The interpreter's own executable, inside."""
    real = Path(sys.executable).resolve()
    base = _base().resolve()
    inside = str(_base()) if _base() in SHARED_BY_ALL else PYTHON
    return str(inside / real.relative_to(base))


def _relocated() -> bytes:
    """The executable with the run path of its shared library changed, as installers of packages do; or nothing.

    Raises:
        ValueError: it cannot be changed.
    """
    folder, base = sysconfig.get_config_var("LIBDIR") or "", _base()
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or base in SHARED_BY_ALL or not folder:
        return b""
    executable = Path(sys.executable).resolve()
    if executable.stat().st_size > MAX_EXECUTABLE_BYTES:
        raise ValueError("a large executable")
    code, old = executable.read_bytes(), b"\0" + os.fsencode(folder) + b"\0"
    if old not in code:
        return b""  # it is found by a way relative to the executable
    new = b"\0" + os.fsencode(PYTHON / Path(folder).relative_to(base)) + b"\0"
    if len(new) > len(old):
        raise ValueError("a longer path")
    return code.replace(old, new.ljust(len(old), b"\0"))


def _records() -> dict[Path, bytes]:
    """Files of an editable installation that name where this package lies, with its place inside instead."""
    place, found = os.fsencode(PACKAGE.parent), {}
    for folder in map(plain, site.getsitepackages()):
        for path in (*folder.glob("*.pth"), *folder.glob(f"{PACKAGE.name}-*.dist-info/direct_url.json")):
            data = path.read_bytes()
            if place in data:
                found[path] = data.replace(place, OWN.encode())
    return found


def _within(path: Path, folders: tuple[tuple[Path, str], ...]) -> str | None:
    """Where a path of the host is inside."""
    for folder, inside in folders:
        for one, other in ((path, folder), (path.resolve(), folder.resolve())):
            if one.is_relative_to(other):
                return str(inside / one.relative_to(other))
    return None


def _renamed() -> Interpreter:
    """Under neutral names.

    Raises:
        ValueError: the folders cannot be told apart.
        OSError: a file of the environment cannot be read.
    """
    base, prefix = _base(), plain(sys.prefix)
    folders = [] if base in SHARED_BY_ALL else [(base, PYTHON)]
    if prefix != base:
        folders.append((prefix, ENVIRONMENT))
    if _too_wide() & {base, prefix} or Path(sys.executable).resolve().parent.parent != base.resolve():
        raise ValueError("an interpreter in several places")
    executable, relocated = _base_executable(), _relocated()
    files: dict[str, bytes] = {}
    links: list[tuple[str, str]] = []
    emptied: list[str] = []
    if prefix != base:
        emptied.append(f"{ENVIRONMENT}/bin")
        files[f"{ENVIRONMENT}/pyvenv.cfg"] = _settings(prefix)
        if not relocated:
            links.append((f"{ENVIRONMENT}/bin/python3", executable))
        executable = f"{ENVIRONMENT}/bin/python3"
    if relocated:
        files[executable] = relocated
    shown = tuple(folders)
    package = _within(PACKAGE, (*shown, *((path, str(path)) for path in SHARED_BY_ALL)))
    if package is None:
        package = f"{OWN}/{PACKAGE.name}"
        shown = (*shown, (PACKAGE, package))
        told = {_within(path, shown): data for path, data in _records().items()}
        if not any(name is not None and name.endswith(".pth") for name in told):
            raise ValueError("a package that no path file names")
        files |= {name: data for name, data in told.items() if name is not None}
    return Interpreter(executable, package, shown, tuple(emptied), tuple(links), tuple(files.items()))


@functools.cache
def interpreter() -> Interpreter:
    """The running interpreter, as containers see it. The same for the life of this process."""
    try:
        return _renamed()
    except (ValueError, OSError):
        return _at_home()

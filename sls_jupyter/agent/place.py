"""Where the agent of a home is, and which code it runs."""

from __future__ import annotations

import functools
import os
import stat
import sys
from importlib import metadata
from pathlib import Path

from sls_jupyter.contract.image import PACKAGE
from sls_jupyter.documents import digest, lp
from sls_jupyter.errors import Unavailable

LOG, MAX_LOG_BYTES = "log", 256 * 1024
_LONGEST_IDLE = 7 * 86400.0


def folder_of(root: Path) -> Path:
    """The agent's folder, made with mode 0700 on first use.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    folder = root / "agent"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # a link would have us write into another folder of this user's
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(1, f"{folder} can be entered by others, or is no folder of its own")
    return folder


def switched_off() -> bool:
    """Whether the user wants everything in one process."""
    return os.environ.get("SLS_AGENT", "") == "0"


def why_switched_off() -> str:
    """The same in words; "" where it is not."""
    return "SLS_AGENT=0 switches it off" if switched_off() else ""


def idle_seconds() -> float:
    """How long the agent stays when nothing needs it.

    Raises:
        Unavailable: ``SLS_AGENT_IDLE`` is no such time.
    """
    said = os.environ.get("SLS_AGENT_IDLE", "900")
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 1 <= seconds <= _LONGEST_IDLE:
        raise Unavailable("SLS_AGENT_IDLE is no time.", found=said[:40], expected="seconds, 1 to 604800")
    return seconds


def version() -> str:
    return metadata.version("sls-jupyter")


def code_on_disk() -> str:
    """A digest of which code is installed: places, sizes and times of its files, and the interpreter. Not of their bytes."""
    files = sorted(path for path in PACKAGE.rglob("*.py"))
    parts = [sys.version, str(PACKAGE)]
    for path in files:
        found = path.stat()
        parts.append(f"{path.relative_to(PACKAGE)} {found.st_size} {found.st_mtime_ns}")
    return digest(lp("sls-jupyter/agent-code/v1", *parts))


@functools.cache
def code_here() -> str:
    """:func:`code_on_disk` as it was when this process looked first."""
    return code_on_disk()


def last_lines(log: Path, most: int = 5) -> str:
    """The end of the agent's log, in one line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return " | ".join([line.strip() for line in lines if line.strip()][-most:]) or "its log is empty"

"""The folder of one running group: its sockets, in memory where the system has a place for that.

Named briefly, because the path of a Unix socket has at most 107 bytes. Mode 0700. A host that is killed
leaves its folder behind; the next launch finds that nobody holds its lock and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "sls-"
_LOCK = "lock"
_SETTLED_SECONDS = 60  # a younger folder may not have its lock yet
_SHORT = 40  # bytes; a longer parent leaves too little for the socket's own path


def parent_folder() -> Path:
    """Where groups' folders go: the user's runtime folder, shared memory, or the folder for temporary files."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", tempfile.gettempdir(), "/tmp")  # noqa: S108
    for name in candidates:
        if name and len(os.fsencode(name)) <= _SHORT and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK):
            return Path(name)
    return Path(tempfile.gettempdir())


def _try_lock(folder: Path) -> int | None:
    """The descriptor of the folder's lock, or ``None`` while a living host holds it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(parent: Path, owners: set[int]) -> list[Path]:
    """Remove the folders of hosts that died; returns what was removed. Never touches another user's."""
    removed = []
    for folder in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            young = time.time() - facts.st_mtime < _SETTLED_SECONDS
            if young or not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in owners:
                continue
            lock = _try_lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                removed.append(folder)
    return removed


@dataclass(slots=True)
class RunFolder:
    """One group's folder, until :meth:`remove`."""

    path: Path
    _lock: int

    @classmethod
    def make(cls, owner: int | None = None, parent: Path | None = None) -> RunFolder:
        """A new folder; its parent is swept first.

        Args:
            owner: user and group number that shall own it, when this process is root; default: this user.
            parent: default: :func:`parent_folder`.

        Raises:
            OSError: there is no room or no right to make it.
        """
        parent = parent or parent_folder()
        sweep(parent, {os.geteuid(), *([] if owner is None else [owner])})
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = -1
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if owner is not None:
                os.chown(path, owner, owner)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            if lock >= 0:
                os.close(lock)
            raise
        return cls(path, lock)

    def sub(self, name: str, owner: int | None = None) -> Path:
        """A folder in it, mode 0700."""
        path = self.path / name
        path.mkdir(mode=0o700)
        if owner is not None:
            os.chown(path, owner, owner)
        return path

    def remove(self) -> None:
        """Remove it with all that is in it. Safe to call twice."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1

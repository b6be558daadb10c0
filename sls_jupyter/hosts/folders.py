"""The folder of one running group: its sockets, in memory where the system has a place for that.

Named briefly, because the path of a Unix socket has at most 107 bytes. Mode 0700. A host that is killed
leaves its folder behind; the next launch finds that nobody holds its lock and removes it.

In a sandbox the program can make nothing in here. Without one it can leave anything: so removing needs neither a
path's length nor a stack that grow with what lies there, waits for nothing, takes a bounded time and raises nothing.
What is left then is for a later launch, and stands in nobody's way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "sls-"
_LOCK = "lock"
_SETTLED_SECONDS = 60  # a younger folder may not have its lock yet
REMOVE_SECONDS = 5.0  # for one removal; a launch sweeps no longer than this altogether
_SHORT = 40  # bytes; a longer parent leaves too little for the socket's own path


def parent_folder() -> Path:
    """Where groups' folders go: the user's runtime folder, shared memory, or the folder for temporary files."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", tempfile.gettempdir(), "/tmp")  # noqa: S108
    for name in candidates:
        if name and len(os.fsencode(name)) <= _SHORT and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK):
            return Path(name)
    return Path(tempfile.gettempdir())


# --- removing whatever is there --------------------------------------------------------------------


def _open_folder(name: str, parent: int) -> int:
    """A folder's descriptor, after giving this user the right to change it. Follows no link.

    Raises:
        OSError: it is no folder, or not this user's.
    """
    if hasattr(os, "O_PATH"):
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101
        finally:
            os.close(place)
    else:
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=parent)


def _flatten(name: str, top: int, numbers: itertools.count[int], deadline: float) -> None:
    """Empty a folder of ``top``: files go, its folders become folders of ``top``."""
    folder = _open_folder(name, top)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if time.monotonic() > deadline:
                    return
                with contextlib.suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.name, dir_fd=folder)
                        continue
                    os.close(_open_folder(entry.name, folder))
                    os.rename(entry.name, f"{next(numbers)}.left", src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)


def remove_tree(path: Path, seconds: float = REMOVE_SECONDS) -> bool:
    """Remove a folder and all that is in it; false if something is left after ``seconds``. Raises nothing.

    However deep it is: every folder that is met moves up to the top first.
    """
    deadline, numbers = time.monotonic() + seconds, itertools.count(time.time_ns())
    with contextlib.suppress(OSError):
        place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            top = _open_folder(path.name, place)
        finally:
            os.close(place)
        try:
            before: list[str] = []
            while (names := os.listdir(top)) != before and time.monotonic() < deadline:  # noqa: PTH208 - a descriptor
                _remove_level(names, top, numbers, deadline)
                before = names
        finally:
            os.close(top)
        path.rmdir()
        return True
    return not os.path.lexists(path)


def _remove_level(names: list[str], top: int, numbers: itertools.count[int], deadline: float) -> None:
    for name in names:
        if time.monotonic() > deadline:
            return
        try:
            _flatten(name, top, numbers, deadline)
            os.rmdir(name, dir_fd=top)
        except NotADirectoryError:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=top)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link, where there is no O_PATH
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=top)


# --- locks -----------------------------------------------------------------------------------------


def try_lock(folder: Path) -> int | None:
    """The descriptor of the folder's lock, or ``None`` while a living host holds it.

    A folder without its lock is nobody's: a host makes it first, and only a program without a sandbox could
    have removed it.
    """
    if not os.path.lexists(folder / _LOCK):
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(parent: Path, owners: set[int]) -> list[Path]:
    """Remove the folders of hosts that died; returns what was removed. Never touches another user's.

    For :data:`REMOVE_SECONDS` at most; what is left is for the next launch.
    """
    removed: list[Path] = []
    deadline = time.monotonic() + REMOVE_SECONDS
    for folder in sorted(parent.glob(PREFIX + "*")):
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            young = time.time() - facts.st_mtime < _SETTLED_SECONDS
            left = deadline - time.monotonic()
            if left < 0 or young or not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in owners:
                continue
            lock = try_lock(folder)
            if lock is not None:
                gone = remove_tree(folder, left)
                os.close(lock)
                removed += [folder] if gone else []
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
            remove_tree(path)
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
            remove_tree(self.path)
            os.close(self._lock)
            self._lock = -1

"""What a persona's folder looks like at a glance, cheap enough for each second: nothing is verified, no document is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.identity import Home
from sls_jupyter.session import kept_events
from sls_jupyter.session.claims import is_driven

PEOPLE_FILES = ("contacts.json", "authorities.json", "authority-owners.json")
HOSTS_FILES = ("hosts.json",)


@dataclass(frozen=True, slots=True)
class RunGlance:
    """One run's folder."""

    ended: bool  # its end was written down
    driven: bool  # a process drives it
    mark: tuple[int, ...]  # another one: something in the folder is otherwise


def runs(home: Home) -> dict[str, RunGlance]:
    """Every run's folder, by its name."""
    return {path.name: _run(path) for path in _folders(home.path / "runs")}


def sessions(home: Home) -> dict[str, tuple[int, ...]]:
    """A mark of every session's folder, by its name."""
    return {path.name: (*_mark(path), int(is_driven(path))) for path in _folders(home.path / "sessions")}


def people(home: Home) -> tuple[object, ...]:
    """A mark of whom this persona knows, and of which personas there are."""
    return (*Home.with_keys(home.root), *(_mark(home.path / name) for name in PEOPLE_FILES))


def hosts(home: Home) -> tuple[object, ...]:
    """A mark of which hosts are written down."""
    return tuple(_mark(home.path / name) for name in HOSTS_FILES)


def _run(folder: Path) -> RunGlance:
    ended = (folder / "end.json").exists()
    if ended:
        return RunGlance(True, False, _mark(folder))
    return RunGlance(False, is_driven(folder), (*_mark(folder), *_mark(folder / kept_events.NAME)))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)

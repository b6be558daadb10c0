"""What was read from files, for as long as nothing in them changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
TICK_NS = 200_000_000  # what changed within this time may change again and have the same time of change


class Unchanged(Generic[T]):
    """Values by the folder that they were read from, at most ``most`` of them, the oldest let go first.

    A value stands while the folder and the files that it is made of are the ones that they were: by their place on the
    disk, their sizes and their times of change. A file that appears, goes or takes another's place changes its folder.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keeping = threading.Lock()
        self._kept: dict[str, tuple[object, T]] = {}

    def get(self, folder: Path, files: Iterable[str], read: Callable[[], T]) -> T:
        """The value that was read before, or is read now. What ``read`` raises is not kept."""
        place = os.fspath(folder)
        mark = (_mark(place), *(_mark(f"{place}/{name}") for name in files))  # before it is read
        kept = self._kept.get(place)
        if kept is not None and kept[0] == mark:
            return kept[1]
        value, newest = read(), max(changed for *_, changed in mark)
        with self._keeping:
            self._kept.pop(place, None)
            if time.time_ns() - newest > TICK_NS:
                self._kept[place] = (mark, value)
            while len(self._kept) > self._most:
                self._kept.pop(next(iter(self._kept)))
        return value


def _mark(path: str) -> tuple[int, int, int]:
    """What tells one state of a file from another: zeros where there is none."""
    try:
        seen = os.stat(path)  # noqa: PTH116  # thousands of them
    except OSError:
        return 0, 0, 0
    return seen.st_ino, seen.st_size, seen.st_mtime_ns

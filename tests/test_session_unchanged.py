"""What was read from files stands for as long as nothing in them changes."""

from __future__ import annotations

import os
from pathlib import Path

from sls_jupyter.session.unchanged import TICK_NS, Unchanged

LONG_AGO = 1_000_000_000_000_000_000  # nanoseconds since 1970


def aged(path: Path, at: int = LONG_AGO) -> Path:
    os.utime(path, ns=(at, at))
    return path


class Reading:
    """Counts how often a folder is read."""

    def __init__(self, folder: Path, most: int = 10) -> None:
        self.folder, self.count, self.kept = folder, 0, Unchanged[int](most)

    def get(self, folder: Path | None = None) -> int:
        return self.kept.get(folder or self.folder, ("a",), self._read)

    def _read(self) -> int:
        self.count += 1
        return self.count


def made(tmp_path: Path, name: str = "one") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    aged(folder / "a") if (folder / "a").write_text("a") else None
    return aged(folder)


def test_it_is_read_once(tmp_path: Path) -> None:
    """A list of thousands of runs is made of what was verified before."""
    reading = Reading(made(tmp_path))
    assert [reading.get(), reading.get(), reading.get()] == [1, 1, 1]


def test_a_file_that_changes_comes_or_goes_is_read_anew(tmp_path: Path) -> None:
    """By its content's size or time, by another file in its place, by a new one beside it."""
    folder = made(tmp_path)
    reading = Reading(folder)
    assert reading.get() == 1
    (folder / "a").write_text("abc")
    aged(folder / "a")
    assert reading.get() == 2  # the size
    aged(folder / "a", LONG_AGO + 1)
    assert reading.get() == 3  # the time
    other = folder.parent / "other"
    other.write_text("abc")
    aged(other, LONG_AGO + 1)
    other.replace(folder / "a")
    aged(folder)
    assert reading.get() == 4  # another file
    (folder / "b").touch()
    aged(folder, LONG_AGO + 2)
    assert reading.get() == 5  # one beside it
    (folder / "a").unlink()
    aged(folder, LONG_AGO + 2)
    assert [reading.get(), reading.get()] == [6, 6]  # it is gone


def test_what_changed_a_moment_ago_is_not_kept(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock look like one."""
    folder = made(tmp_path)
    (folder / "a").write_text("b")
    reading = Reading(folder)
    assert [reading.get(), reading.get()] == [1, 2]
    aged(folder / "a", LONG_AGO)
    aged(folder)
    assert [reading.get(), reading.get()] == [3, 3]
    assert TICK_NS < 1_000_000_000


def test_the_oldest_are_let_go(tmp_path: Path) -> None:
    """Memory does not grow with every folder that was ever there."""
    folders = [made(tmp_path, str(number)) for number in range(4)]
    reading = Reading(folders[0], most=3)
    for folder in folders:
        reading.get(folder)
    assert reading.get(folders[3]) == 4
    assert reading.get(folders[0]) == 5


def test_what_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    """An error is of the moment."""
    kept, folder = Unchanged[int](3), made(tmp_path)
    for _ in range(2):
        try:
            kept.get(folder, ("a",), lambda: 1 // 0)
        except ZeroDivisionError:
            continue
    assert kept.get(folder, ("a",), lambda: 7) == 7

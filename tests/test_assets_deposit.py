"""Results in a folder that was asked for: each file whole, none over another, the index last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sls_jupyter.assets.deposit import Deposit
from sls_jupyter.documents import digest
from sls_jupyter.errors import BadInput, Unavailable

FILES = {"result.sealed": b"\0sealed", "receipt.json": b"{}"}


def test_files_are_put_with_an_index_of_them(tmp_path: Path) -> None:
    """Whoever fetches them can see whether they are all there, and whole."""
    where = Deposit(str(tmp_path / "new" / "place"), "run").put(FILES)
    folder = tmp_path / "new" / "place" / "run"
    assert where == folder.as_uri()
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "receipt.json", "result.sealed"]
    index = json.loads((folder / "index.json").read_bytes())
    assert index == {name: {"sha256": digest(data), "size": len(data)} for name, data in FILES.items()}


@pytest.mark.parametrize("place", ["{}", "memory://deposit"])
def test_nothing_is_written_over(tmp_path: Path, place: str) -> None:
    """A result of an earlier run, or of somebody else, stays."""
    place = place.format(tmp_path)
    Deposit(place, "run").put({"result.sealed": b"first"})
    for name in ("require_free", "put"):
        with pytest.raises(BadInput, match="something at the place"):
            getattr(Deposit(place, "run"), name)(*([FILES] if name == "put" else []))
    found, path = fsspec.core.url_to_fs(f"{place}/run/result.sealed")
    assert found.cat_file(path) == b"first"
    if place.startswith("memory"):
        found.rm(path.rpartition("/")[0], recursive=True)


def test_what_was_interrupted_does_not_look_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an index, and no half of a file under its name."""
    link = os.link

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "receipt.json":
            raise OSError(28, "No space left on device")
        link(source, target)

    monkeypatch.setattr("os.link", full)
    with pytest.raises(Unavailable) as raised:
        Deposit(str(tmp_path), "run").put(FILES)
    assert "disk is full" in raised.value.hint
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result.sealed"]


def test_a_place_is_free_before_anything_was_put(tmp_path: Path) -> None:
    """Looking leaves nothing behind."""
    Deposit(str(tmp_path / "new"), "run").require_free()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "place",
    ["https://host/x", "ftp://host/x", "simplecache::file:///x", "az://c-1@a.blob.core.windows.net/x?sig=CANARY"],
)
def test_odd_places_are_refused(place: str) -> None:
    """And a secret in one is not repeated."""
    with pytest.raises(BadInput) as raised:
        Deposit(place, "run")
    assert "CANARY" not in str(raised.value)

"""The guest's bytecode: made once by the host, because containers see the package read-only."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sls_jupyter.hosts import compiled


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    source = tmp_path / "guest.py"
    source.write_text("x = 1\n")
    monkeypatch.setattr(compiled, "guest_files", lambda: [source, tmp_path / "data.json"])
    compiled.compile_guest.cache_clear()
    yield source
    compiled.compile_guest.cache_clear()


def test_what_a_container_runs_is_compiled_before_it_starts(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run would compile a program's modules anew, and throw that away."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    compiled.compile_guest()
    assert Path(importlib.util.cache_from_source(str(module))).is_file()


def test_nothing_is_written_for_who_wants_no_bytecode(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who switched it off would find files beside the sources all the same."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compiled.compile_guest()
    assert list(module.parent.iterdir()) == [module]

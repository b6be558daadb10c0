"""Whole runs on podman with the real guest image: the same outputs and promises as on the local host, by the same tests."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import test_promises_canary as canary
import test_promises_hostile as hostile
from e2e import World as _World
from e2e import furnished, patients
from podman_kit import host as podman_host
from podman_kit import machine, needs_podman, trusted_by

from sls_jupyter.hosts import folders
from sls_jupyter.identity import Home

ROOTS = "layer-roots.json"
pytestmark = [needs_podman, pytest.mark.timeout(300)]
LEFT_OPEN = {
    "path /etc/passwd": "the image's own",
    "path /etc/hosts": "the image's own",
    "path /etc/resolv.conf": "podman's: it names this machine's name server, which nothing here can ask",
    "path /var": "the image's own",
    "path /sys/kernel": "podman's, read-only",
    "path /proc/cmdline": "how the kernel was started",
    "path /dev/zero": "as in every container; its memory is the control group's",
    "memory of /dev/zero": "as above",
}
"""What a container of podman's shows and a sandbox of ours does not, as on Azure."""


@functools.cache
def _world() -> _World:
    root = Path(tempfile.mkdtemp(prefix="sls-podman-"))
    (root / "machine").mkdir(mode=0o700)
    if (machine() / ROOTS).exists():
        shutil.copy(machine() / ROOTS, root / "machine")  # computed once for all tests
    host = podman_host(root / "machine")
    host.prepared()  # the image is copied before the first run's time begins
    world = _World(root, hosts=lambda _: {"podman": host}, seconds=150)
    for name in ("hospital", "analyst"):
        trusted_by(Home(root, name), host)
    return furnished(world)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[_World]:
    folder = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"q{os.getpid()}"
    folder.mkdir(mode=0o711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield _world()
    left = list(folder.glob("sls-*"))
    folders.remove_tree(folder)
    assert left == []


def test_a_cell_gives_the_same_results_and_a_receipt(world: _World) -> None:
    """The rehearsal would be none if a cell that works here came out differently there, or small groups came out."""
    code = """
means = guarded.groupby("sex").outcome.mean().to_frame()
small = guarded.groupby("age").outcome.mean().to_frame()
"""
    ended = world.do(code, ["guarded"], outputs=["means", "small"])
    pd.testing.assert_frame_equal(ended.outputs["means"], patients().groupby("sex").outcome.mean().to_frame())
    assert ended.outputs["small"].empty  # five patients of each age, and ten are asked for
    assert (ended.run.summary["tee"], ended.run.summary["isolated"]) == ("simulated-snp", True)
    assert ended.run.receipt is not None
    image = world.analyst.hosts["podman"].capabilities().image
    assert image is not None
    stated = ended.run.receipt.receipt.stated().statement.predicate.group.image.image()
    assert stated == image
    audit = world.analyst.audit(ended.run.id)
    assert "run.ended" in {line.entry.kind for line in audit.lines}


def test_no_word_of_a_cell_is_kept(world: _World) -> None:
    """A value in an exception, on standard error or in the group's folder would lie on this machine for ever."""
    canary.test_an_error_text_is_not_kept_on_disk(world)
    storage = Path("/var/lib/containers/storage/overlay-containers")
    if os.geteuid() == 0 and storage.is_dir():
        assert not [path for path in storage.rglob("ctr.log") if path.stat().st_size]


def test_no_canary_is_found_anywhere_outside_the_pod(world: _World, tmp_path: Path) -> None:
    """What the rehearsal leaves on disk, in podman's own storage, on its network and in memory is what Azure could keep."""
    (tmp_path / "machine").mkdir(mode=0o700)
    shutil.copy(world.root / "machine" / ROOTS, tmp_path / "machine")
    trusted_by(Home(tmp_path, "owner"), podman_host(tmp_path / "machine"))
    kept = Path("/var/lib/containers/storage/overlay-containers")
    canary.search_outside_the_group(
        tmp_path, "podman", lambda: canary.files(kept) if os.geteuid() == 0 and kept.is_dir() else ()
    )


def test_a_hostile_cell_reaches_nothing(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that reached a network, a key, a neighbour or a file of this machine's user would find it on Azure too."""
    monkeypatch.setenv("SECRET_OF_THE_HOST", "SECRET")
    head = f"HOME, TESTS = {str(world.root)!r}, {str(Path(__file__).parent)!r}\n"
    reached = world.do(head + hostile.PROBES, outputs=["reached"]).outputs["reached"]
    assert len(reached) > 50
    found = reached[(reached.answer != "refused") & ~reached.name.isin(LEFT_OPEN)]
    assert found.to_dict("records") == []


BOMBS = ("memory, in children", "cpu, of orphans", "time")


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_the_run_and_names_the_limit(world: _World, bomb: str) -> None:
    """The limits of a request hold here as on the local host, and are called the same."""
    before = set(Path.cwd().iterdir())
    hostile.test_a_bomb_ends_the_run_and_names_the_limit(world, bomb)
    assert set(Path.cwd().iterdir()) <= before  # podman's monitor notes an end for want of memory where it was started


def test_an_interrupted_run_leaves_nothing(world: _World) -> None:
    """Interrupting a cell ends its pod before the cell is over."""
    hostile_world = world.start("import time; time.sleep(600)")
    hostile.until(lambda: hostile.running(hostile_world), "the cell runs", 90)
    hostile_world.cancel(60)
    assert not list(Path(os.environ["XDG_RUNTIME_DIR"]).glob("sls-*"))


@pytest.fixture(autouse=True, scope="module")
def _close() -> Iterator[None]:
    yield
    if _world.cache_info().currsize:
        world = _world()
        world.close()
        shutil.rmtree(world.root, ignore_errors=True)

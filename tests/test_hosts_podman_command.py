"""Finding podman and calling it: what is said where it is missing, old, without control groups, or fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts.podman import command
from sls_jupyter.hosts.podman.command import Podman, find_podman, last_words
from sls_jupyter.hosts.podman.doctor import examine_podman
from sls_jupyter.hosts.podman.host import PodmanHost

GOOD: dict[str, Any] = {
    "host": {
        "cgroupVersion": "v2",
        "cgroupControllers": ["cpu", "memory", "pids"],
        "security": {"rootless": True},
        "idMappings": {"uidmap": [{"size": 1}, {"size": 65536}]},
        "ociRuntime": {"name": "crun"},
    },
    "version": {"Version": "4.9.3"},
}


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Podman:
    """A command named podman that does what the script says, and the only one there is."""
    path = folder / "podman"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(command.shutil, "which", lambda name: str(path) if name == "podman" else None)
    return Podman(str(path))


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> command.Found:
    info = {**GOOD, "host": GOOD["host"] | changes}
    info |= {"version": {"Version": changes["version"]}} if "version" in changes else {}
    (folder / "info.json").write_text(json.dumps(info))
    stand_in(folder, monkeypatch, f"cat {folder}/info.json")
    return find_podman()


def test_a_podman_that_works_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host needs to know is what podman says of itself."""
    found = told(tmp_path, monkeypatch)
    assert (found.problem, found.version, found.rootless, found.cpu_limits) == ("", "4.9.3", True, True)
    assert found.runtimes[0] == "crun"


@pytest.mark.parametrize(
    ("changes", "problem", "fix"),
    [
        ({"version": "3.4.4"}, "3.4.4 is too old", "4.3 or newer"),
        ({"version": "?"}, "too old", "4.3 or newer"),
        ({"cgroupVersion": "v1"}, "control groups v1", "unified_cgroup_hierarchy"),
        ({"cgroupControllers": ["cpu"]}, "memory and pids", "Delegate"),
        ({"idMappings": {"uidmap": [{"size": 1}]}}, "no ids", "add-subuids"),
    ],
)
def test_what_a_run_needs_and_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], problem: str, fix: str
) -> None:
    """A user would learn it from a container that fails half-way, or run a cell that nothing bounds."""
    found = told(tmp_path, monkeypatch, **changes)
    assert found.podman is None
    assert problem in found.problem
    assert fix in found.fix


def test_without_podman_everything_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is there, its capabilities warn, a launch and the doctor give the command."""
    monkeypatch.setattr(command.shutil, "which", lambda _: None)
    host = PodmanHost(tmp_path / "nowhere", tmp_path, image=None)
    with pytest.raises(Unavailable, match="Podman cannot be used") as caught:
        host.prepared()
    assert "apt-get install podman" in caught.value.hint
    first, second = examine_podman(host)
    assert not first.ok
    assert not second.ok
    assert "apt-get install podman" in first.fix


def test_a_failure_is_podmans_own_sentence_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without its reason helps nobody, and control characters of others never reach a terminal."""
    said = b"time=x level=warning\nError: no \x1b[31mspace left\nSee 'podman run --help'\n"
    assert last_words(said).startswith("no ")
    assert "\x1b" not in last_words(said)
    assert last_words(b"") == "no reason given"
    podman = stand_in(tmp_path, monkeypatch, "echo 'Error: out of luck' >&2; exit 125")
    with pytest.raises(Unavailable, match="podman pod create did not work") as caught:
        podman.run("pod", "create", "--name=x")
    assert caught.value.found == "out of luck"


@pytest.mark.parametrize(
    ("script", "found"),
    [("echo '{'", "not JSON"), ("sleep 5", "no answer within 0"), ("yes | head -c 5000000", "bytes")],
)
def test_answers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str) -> None:
    """A podman that hangs or floods does not hold a run for ever."""
    podman = stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(Unavailable) as caught:
        podman.json("info", seconds=0.4 if "sleep" in script else 20)
    assert found in str(caught.value.found)

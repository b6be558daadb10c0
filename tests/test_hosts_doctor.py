"""``sls host doctor``: what is missing on a machine is said before a run finds out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sls_jupyter import cli
from sls_jupyter.hosts import doctor
from sls_jupyter.hosts.probing import find_bubblewrap

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_this_machine_is_told_as_it_is(tmp_path: Path) -> None:
    """The line on the sandbox agrees with what runs do: their cards say NOT ISOLATED exactly where it is not ok."""
    found = {one.what: one for one in doctor.examine({}, NOW, tmp_path)}
    assert found["sandbox"].ok == (find_bubblewrap()[0] is not None)
    assert "SIMULATED" in found["TEE"].found
    assert found["AMD's bulletins"].ok
    assert all(one.fix for one in found.values() if not one.ok)


def test_a_machine_without_a_sandbox_gets_the_way_to_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """NOT ISOLATED on a card is the last moment to find out."""
    monkeypatch.setattr(doctor, "find_bubblewrap", lambda: (None, "bubblewrap (bwrap) is not installed"))
    line = doctor.examine({}, NOW, tmp_path)[0]
    assert (line.ok, line.found) == (False, "bubblewrap (bwrap) is not installed")
    assert "sls-jupyter[sandbox]" in line.fix


def test_an_old_table_of_bulletins_says_so_once(tmp_path: Path) -> None:
    """Half a year without an update is half a year of unknown holes."""
    old = [one for one in doctor.examine({}, datetime(2027, 8, 1, tzinfo=UTC), tmp_path) if "days old" in one.found]
    assert [(one.what, one.ok) for one in old] == [("AMD's bulletins", False)]


def test_the_shell_prints_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is for a script that prepares a machine, the lines for whoever reads its log."""
    code = cli.main(["host", "doctor"])
    told = capsys.readouterr().out
    assert cli.main(["host", "doctor", "--json"]) == code
    findings = json.loads(capsys.readouterr().out)
    assert code == any(not one["ok"] for one in findings)
    assert all(one["what"] in told for one in findings)


def test_a_machine_without_podman_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It lacks nothing for local runs, and a rehearsal begins with one command."""
    monkeypatch.setattr("sls_jupyter.hosts.podman.command.shutil.which", lambda _: None)
    line = next(one for one in doctor.examine({}, NOW, tmp_path) if one.what == "podman")
    assert line.ok
    assert "apt-get install podman" in line.found

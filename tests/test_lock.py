"""The lock file: what ``make demo``, ``make test`` and CI install is the same, and is what the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sls_jupyter.contract.image import GUEST_DISTRIBUTIONS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
LOCKED = {canonicalize_name(found.name): found for found in map(Requirement, LINES)}
MAKEFILE = (ROOT / "Makefile").read_text()


def version_of(name: str) -> str:
    (only,) = LOCKED[canonicalize_name(name)].specifier
    assert only.operator == "=="
    return only.version


@pytest.mark.parametrize("text", sorted(set(DIRECT)))
def test_every_direct_dependency_is_locked_at_a_version_that_the_project_takes(text: str) -> None:
    """A dependency that is added or raised without the lock would be another one for each newcomer."""
    wanted = Requirement(text)
    assert wanted.specifier.contains(version_of(wanted.name)), f"{text}: make lock"


def test_a_line_is_one_package_at_one_version_for_one_python() -> None:
    """Other supported Pythons are free to take what has wheels for them; the lock is not theirs."""
    assert sorted(LINES, key=lambda line: line.split("==")[0]) == LINES
    assert len(LOCKED) == len(LINES)
    pythons = {str(one.marker) for one in LOCKED.values()}
    assert len(pythons) == 1
    assert re.fullmatch(r'python_version == "3\.\d+"', pythons.pop())
    for one in LOCKED.values():
        assert re.fullmatch(r"==[0-9][\w.+]*", str(one.specifier)), one
        assert one.url is None


def test_the_oldest_python_that_is_supported_is_the_one_that_is_locked() -> None:
    """The Python of CI and of the classroom image; others are newer and find newer wheels."""
    (oldest,) = re.findall(r"3\.\d+", PROJECT["requires-python"])
    assert f'python_version == "{oldest}"' in LINES[0]


def test_what_the_guest_is_measured_by_is_locked() -> None:
    """Two people who install from the lock have one measurement of the guest."""
    for name in GUEST_DISTRIBUTIONS:
        assert version_of(name)


def test_everything_that_make_installs_of_the_project_is_held_to_the_lock() -> None:
    """One environment without it, and "works here" means nothing there."""
    installs = [line.strip() for line in MAKEFILE.splitlines() if " -e '." in line]
    assert len(installs) == 3
    assert all(line.removeprefix("@").startswith("$(PIP) ") for line in installs)
    assert re.search(r"^PIP := .* -c constraints\.txt$", MAKEFILE, re.MULTILINE)
    assert "$(VENV)/.base: pyproject.toml constraints.txt" in MAKEFILE
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)

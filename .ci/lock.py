"""``make lock``: write ``constraints.txt`` anew, the versions that pip chooses for the project with every extra.

Nothing is installed: pip resolves in a dry run. Arguments go on to pip; ``-c FILE`` keeps versions that are in use.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "constraints.txt"
HEADER = """\
# Which version of every package `make demo`, `make test`, `make lab` and CI install, given to pip as constraints (-c).
# Written by `make lock`, which asks pip for the newest versions that pyproject.toml and all of its extras allow;
# read it over, run `make clean test`, and commit it together with what it made necessary.
# For the Python that wrote it, so each line says which; other Pythons take what pyproject.toml allows.
# Not in here: the build backend, and the second environment of the data path (tests/pandas2.txt), which is older on purpose.
# The image of the guest is built from this file as well, so that what is measured there is what was tested here.
"""


def resolve(arguments: list[str]) -> list[dict[str, Any]]:
    """What pip would install into an empty environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = f"{ROOT}[{','.join(sorted(project['optional-dependencies']))}]"
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--dry-run", "--quiet"]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command += ["--ignore-installed", "--report", report.name, *arguments, everything]
        subprocess.run(command, check=True)
        found: list[dict[str, Any]] = json.loads(Path(report.name).read_text())["install"]
    return [one["metadata"] for one in found if one["metadata"]["name"] != project["name"]]


def lines(packages: list[dict[str, Any]], python: str) -> list[str]:
    """One package a line, by name as PEP 503 spells it."""
    versions = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in packages}
    return [f'{name}=={version} ; python_version == "{python}"' for name, version in sorted(versions.items())]


if __name__ == "__main__":
    chosen = lines(resolve(sys.argv[1:]), f"{sys.version_info.major}.{sys.version_info.minor}")
    LOCK.write_text(HEADER + "\n".join(chosen) + "\n")

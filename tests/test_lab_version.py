"""Both halves of the extension, and what npm is told, have the version of the package."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_all_halves_have_one_version() -> None:
    """A page compares its version with its server's: a bundle that was left behind would refuse every server."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    source = (ROOT / "labextension" / "src" / "version.ts").read_text()
    assert re.findall(r"VERSION = '([^']*)'", source) == [version]
    assert json.loads((ROOT / "labextension" / "package.json").read_text())["version"] == version
    assert json.loads((ROOT / "labextension" / "package-lock.json").read_text())["version"] == version

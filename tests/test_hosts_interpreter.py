"""Under which names a container sees the interpreter: whatever way Python was installed, or its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sls_jupyter.hosts import interpreter as module
from sls_jupyter.hosts.interpreter import interpreter

NEUTRAL = (module.PYTHON, module.ENVIRONMENT, module.OWN, "/usr")
PRINT = """
import json
from sls_jupyter.hosts.interpreter import interpreter
found = interpreter()
print(json.dumps([found.executable, found.package, [inside for _, inside in found.folders]]))
"""


def test_every_name_inside_is_neutral() -> None:
    """What this interpreter's containers see tells nothing of the machine."""
    found = interpreter()
    names = [found.executable, found.package, *(inside for _, inside in found.folders), *found.emptied]
    names += [name for link in found.links for name in link] + [name for name, _ in found.files]
    assert [name for name in names if not name.startswith(NEUTRAL)] == []
    host = [bytes(path) for path, inside in found.folders if not str(path).startswith("/usr")]
    assert [path for _, data in found.files for path in host if path + b"/" in data] == []


def test_an_environment_of_its_own_is_renamed(tmp_path: Path) -> None:
    """A virtual environment anywhere gives the same names; its prompt, which names a project, is not shown."""
    venv = tmp_path / "patients" / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", "--prompt", "patients", str(venv)]
    subprocess.run(command, check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    source = Path(module.__file__).parents[2]
    (site / "other.pth").write_text("".join(f"{path}\n" for path in [*sys.path, source] if Path(path).is_dir()))
    output = subprocess.check_output([venv / "bin/python", "-I", "-c", PRINT], text=True)
    executable, package, folders = json.loads(output)
    assert executable == f"{module.ENVIRONMENT}/bin/python3"
    assert package.startswith(NEUTRAL)
    assert module.ENVIRONMENT in folders


@pytest.mark.parametrize("attribute", ["prefix", "base_prefix"])
def test_folders_that_cannot_be_told_apart_keep_their_names(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusual installation runs as before, under the host's names, and never half renamed."""
    monkeypatch.setattr(sys, attribute, str(Path.home()))
    found = interpreter.__wrapped__()
    assert all(str(path) == inside for path, inside in found.folders)
    assert (found.links, found.files, found.emptied) == ((), (), ())


def test_a_home_is_never_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that was installed right into a home does not open the home."""
    monkeypatch.setattr(sys, "base_prefix", str(Path.home()))
    assert Path.home() not in module.own_folders()

"""``sls`` answers at once: what its quick commands load, in a process of their own. Assertions on modules, never on time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from sls_jupyter import session
from sls_jupyter.identity import Home

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmarks" / "startup.py"
NEEDED = {"cryptography", "_cffi_backend", "_openssl", "pydantic", "pydantic_core", "annotated_types", "rfc8785"}
NEEDED |= {"platformdirs", "typing_extensions", "typing_inspection"}
"""Packages that keys and signed documents need; everything else of others' waits for who needs it."""
OUR_HEAVY = {"authority", "hosts", "guest", "safestream", "assets", "attestation", "receipt", "transparency", "image"}
_RUN = """
import json, sys
known = set(sys.modules)
from sls_jupyter.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code or 0
print("\\n" + json.dumps([code, sorted(set(sys.modules) - known)]))
"""


def loaded(root: Path, *arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and every module that it loads."""
    environment = {**os.environ, "SLS_HOME": str(root), "SLS_PERSONA": "me"}
    command = [sys.executable, "-c", _RUN, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    out, _, last = done.stdout.rstrip("\n").rpartition("\n")
    code, modules = json.loads(last)
    assert (code, done.stderr) == (0, "")
    return out, set(modules)


def others(modules: set[str]) -> set[str]:
    """Packages that are neither Python's nor ours."""
    return {
        name.split(".")[0]
        for name in modules
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(("sls_jupyter", "_sysconfigdata"))
    }


def rooms(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("sls_jupyter.")}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A persona with the runs of the benchmark in its folder."""
    root = tmp_path_factory.mktemp("home")
    spec = spec_from_file_location("startup", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    startup = module_from_spec(spec)
    spec.loader.exec_module(startup)
    home = Home(root, "me")
    home.path.mkdir(mode=0o700, parents=True)
    startup.remember_runs(home, 3)
    return root


@pytest.mark.parametrize("command", [["whoami"], ["runs"], ["contacts"], ["contact", "mine.json"]])
def test_what_a_folder_answers_loads_no_table_no_host_and_no_authority(root, command, tmp_path, monkeypatch):
    """Every such command would cost seconds of processor time before its first word, as it once did."""
    monkeypatch.chdir(tmp_path)
    out, modules = loaded(root, *command)
    assert out
    assert others(modules) <= NEEDED
    assert not rooms(modules) & OUR_HEAVY
    assert out.count("risk study") == (3 if command == ["runs"] else 0)


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["runs", "--help"], ["log", "--help"]])
def test_help_loads_nothing_of_others(root, command):
    """A shell's completion and a person who looks for an option ask for help again and again."""
    out, modules = loaded(root, *command)
    assert out
    assert others(modules) == set()
    assert rooms(modules) <= {"cli", "notebook", "errors", "printing"}


def test_a_heavy_module_would_be_found(root):
    """The check sees what a command loads: one that needs the whole session loads all of it."""
    _, modules = loaded(root, "assets")
    assert others(modules) >= {"pandas", "pyarrow", "sqlalchemy"}
    assert rooms(modules) >= {"authority", "hosts", "safestream"}


def test_the_room_s_front_door_leads_to_every_name_that_it_has():
    """A name that is listed and leads nowhere fails at its first user; an unknown one says so."""
    assert set(session.__all__) == set(session._FILES)
    for name in session.__all__:
        assert getattr(session, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        session.nothing  # noqa: B018

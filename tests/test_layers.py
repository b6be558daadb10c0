"""Imports run downwards only: the picture of the design, read from the code with ``ast``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import sls_jupyter

PACKAGE = Path(sls_jupyter.__file__).parent
BASE = frozenset({"printing", "errors", "naming", "documents", "hpke", "identity", "network", "tcb"})
FACTS = frozenset({"assets", "attestation", "policy", "transparency"})
AUTHORITY = BASE | FACTS | {"contract", "receipt", "authority", "provenance"}
GUEST = (AUTHORITY | {"guest"}) - {"policy"}
SAFESTREAM = AUTHORITY | {"guest", "safestream"}
EVERYTHING = SAFESTREAM | {"hosts", "image", "session", "agent", "notebook", "lab", "cli"}

ALLOWED: dict[str, frozenset[str]] = {
    "printing": frozenset(),
    "errors": frozenset({"printing"}),
    "naming": frozenset({"errors"}),
    "provenance": frozenset(),
    "tcb": frozenset(),
    "documents": frozenset({"errors"}),
    "network": frozenset({"errors"}),
    "hpke": frozenset({"documents", "errors"}),
    "identity": frozenset({"documents", "errors", "hpke"}),
    "assets": BASE,
    "attestation": BASE,
    "policy": BASE | {"contract"},  # the kinds of output and the obligations
    "transparency": BASE,
    "contract": BASE,
    "image": BASE | {"contract"},
    "receipt": BASE | FACTS - {"policy"} | {"contract"},
    "authority": AUTHORITY,
    "guest": GUEST,
    "safestream": SAFESTREAM,
    "hosts": BASE | {"attestation", "contract", "image", "safestream.host"},
    "session": EVERYTHING - {"agent", "notebook", "lab", "cli"},
    "agent": EVERYTHING - {"notebook", "lab", "cli"},
    "notebook": EVERYTHING,
    "lab": EVERYTHING,
    "cli": EVERYTHING,
    "__init__": EVERYTHING,  # the front door
}
"""What a room (or a single module) may import beside itself; ``room.module`` allows that module only."""

MAKERS = frozenset({"cose", "amd", "intel", "azure", "device"})
INSIDE_ATTESTATION: dict[str, frozenset[str]] = {
    "claims": frozenset(),
    "certificates": frozenset(),
    "cose": frozenset({"certificates"}),
    "amd": frozenset({"claims", "certificates"}),
    "intel": frozenset({"claims", "certificates"}),
    "azure": frozenset({"claims", "certificates", "cose", "amd"}),
    "device": frozenset({"claims", "certificates", "amd", "intel", "azure"}),
}
"""The rooms of those who make evidence, and what lies below them; every other file there is a general rule above."""

FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports anywhere, functions and type checking included, without the package."""
    package = ("sls_jupyter", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("sls_jupyter.") for name in names if name.startswith("sls_jupyter."))


def is_allowed(room: str, name: str) -> bool:
    parts = name.split(".")
    return parts[0] == room or parts[0] in ALLOWED[room] or ".".join(parts[:2]) in ALLOWED[room]


@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES}))
def test_imports_run_downwards(room):
    """A reader can take the rooms one by one, from the bottom: none needs another above it."""
    assert room in ALLOWED, "a new room: say in the picture what it may import"
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        if room_of(path) == room
        for name in imports(path)
        if not is_allowed(room, name) and name not in ("__version__",)
    ]
    assert wrong == []


def test_the_picture_itself_runs_downwards():
    """No two rooms may import each other, so there is an order to read them in."""
    rooms = {room: {name.split(".")[0] for name in allowed} - {room} for room, allowed in ALLOWED.items()}
    top = {"notebook", "lab", "cli", "__init__"}  # they may use each other
    below: set[str] = set()
    while left := {room for room in rooms if room not in below} - top:
        ready = {room for room in left if rooms[room] <= below}
        assert ready, f"a circle among {sorted(left)}"
        below |= ready


@pytest.mark.parametrize("room", INSIDE_ATTESTATION)
def test_a_maker_of_evidence_knows_no_rule_above_it(room):
    """A new kind of evidence is a file in its maker's room: what is believed and wanted is decided above."""
    home = PACKAGE / "attestation"
    wrong = [
        f"{path.relative_to(home)} imports {name}"
        for path in FILES
        if path.is_relative_to(home) and path.relative_to(home).parts[0].removesuffix(".py") == room
        for name in imports(path)
        if name.startswith("attestation.") and name.split(".")[1] not in INSIDE_ATTESTATION[room] | {room}
    ]
    assert wrong == []
    assert room not in MAKERS or len(list((home / room).glob("*.py"))) > 2


def test_the_judge_knows_no_host():
    """What a policy admits is the same wherever a group runs, and can be read without any place to run it."""
    home = PACKAGE / "hosts"
    wrong = [
        f"{path.relative_to(home)} imports {name}"
        for path in FILES
        if path.is_relative_to(home / "judge")
        for name in imports(path)
        if not name.startswith("hosts.judge") and name.split(".")[0] not in {"contract", "errors"}
    ]
    assert wrong == []


def test_no_file_imports_itself_in_a_circle():
    """Any file can be read, and tried, after those that it imports."""
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES
    }
    below = {
        name: {found for one in imports(path) if (found := _module(one, modules)) not in (None, name)}
        for name, path in modules.items()
        if name != "__init__"  # the front door
    }
    read: set[str] = set()
    while left := set(below) - read:
        ready = {name for name in left if below[name] - {"__init__"} <= read}
        assert ready, f"a circle among {_circle(below, left)}"
        read |= ready


def _module(name: str, modules: Mapping[str, Path]) -> str | None:
    """The file that an imported name stands in."""
    parts = name.split(".")
    return next((found for end in range(len(parts), 0, -1) if (found := ".".join(parts[:end])) in modules), None)


def _circle(below: Mapping[str, set[str]], left: set[str]) -> list[str]:
    walked = [min(left)]
    while len(set(walked)) == len(walked):
        walked.append(min(below[walked[-1]] & left))
    return walked[walked.index(walked[-1]) :]


def test_facts_do_not_know_each_other():
    """What, where, whether and what happened are four rooms that can be read, tested and replaced alone."""
    for room in FACTS:
        assert not ALLOWED[room] & (FACTS - {room})


def test_an_upward_import_would_be_found(tmp_path, monkeypatch):
    """The reader of imports sees every way of writing one."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "contract").mkdir()
    file = tmp_path / "contract" / "x.py"
    for line, name in (
        ("import sls_jupyter.hosts.local", "hosts.local"),
        ("from sls_jupyter.hosts import local", "hosts.local"),
        ("from sls_jupyter import hosts", "hosts"),
        ("from ..hosts import local", "hosts.local"),
        ("from .. import hosts", "hosts"),
        ("def f():\n    from sls_jupyter.hosts.local import LocalHost", "hosts.local.LocalHost"),
    ):
        file.write_text(line)
        assert list(imports(file)) == [name]
        assert not is_allowed("contract", name)
    assert is_allowed("hosts", "safestream.host.Host")
    assert not is_allowed("hosts", "safestream.manager")

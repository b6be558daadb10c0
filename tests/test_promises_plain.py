"""Runs on a machine without a sandbox: nothing of a user runs in them, nothing of them stays, and everybody is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import World, world

from sls_jupyter.contract.places import PRIVATE_FOLDERS
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.notebook import remembered, reports
from sls_jupyter.notebook.audit_report import audit_page
from sls_jupyter.notebook.cards import Card
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.notebook.status import StatusBlock, summary_line

__all__ = ["world"]


@pytest.fixture
def plain(world: World) -> Iterator[World]:
    """A world whose analyst has no sandbox."""
    before = world.analyst.hosts
    world.analyst.hosts = {"local": LocalHost(world.root / "machine", sandbox=False)}
    yield world
    world.analyst.hosts = before


LOOK = """
import os, stat, sys
import pandas as pd
names = NAMES
folders = {os.environ.get(name, "") for name in names}
made = open(os.path.join(os.environ["HOME"], "made"), "w"); made.close()
facts = {
    "folders": len(folders),
    "private": all(stat.S_IMODE(os.stat(folder).st_mode) == 0o700 for folder in folders),
    "of the run": all(folder.startswith(os.environ.get("SLS_ROOT", "") + "/tmp/") for folder in folders),
    "closed file": stat.S_IMODE(os.stat(made.name).st_mode) == 0o600,
    "no history": not get_ipython().history_manager.enabled,
    "no start-up": "started" not in globals() and "configured" not in globals(),
    "no folder to import from": "" not in sys.path and os.getcwd() not in sys.path,
    "loaded": get_ipython().config.get("Evil", None) is None,
}
seen = pd.DataFrame({"what": list(facts), "is": [str(value) for value in facts.values()]})
"""


def look(ended_outputs: dict[str, object]) -> dict[str, str]:
    seen = ended_outputs["seen"]
    return dict(zip(seen["what"], seen["is"], strict=True))  # type: ignore[index]


@pytest.mark.parametrize("sandbox", [True, False])
def test_nothing_of_the_user_runs_in_a_cell(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: bool
) -> None:
    """Another user's, or the user's own, start-up file would see every table of every run."""
    if sandbox and not world.analyst.hosts["local"].capabilities().isolated:
        pytest.skip("no sandbox here")
    profile = tmp_path / ".ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00-evil.py").write_text("started = True")
    (profile / "ipython_config.py").write_text(
        "c.Evil.on = True\nc.InteractiveShellApp.exec_lines = ['configured = 1']"
    )
    for name in ("HOME", "IPYTHONDIR", "TMPDIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / ".ipython" if name == "IPYTHONDIR" else tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(profile / "startup" / "00-evil.py"))
    hosts = world.analyst.hosts
    world.analyst.hosts = {"local": LocalHost(world.root / "machine", sandbox=sandbox)}
    try:
        found = look(world.do(LOOK.replace("NAMES", repr(PRIVATE_FOLDERS)), outputs=["seen"]).outputs)
    finally:
        world.analyst.hosts = hosts
    assert found.pop("folders") == "1"
    assert set(found.values()) == {"True"}, found


def test_nothing_of_a_run_stays(plain: World) -> None:
    """A vendor's confidential code in a file of the machine can be read by its next user."""
    known = set(os.listdir("/tmp"))
    code = "import tempfile, os\nopen(os.path.join(tempfile.gettempdir(), 'left'), 'w').write('MODEL')\nx = 1"
    assert plain.do(code, outputs=["x"]).outputs == {"x": 1}
    new = [Path("/tmp") / name for name in set(os.listdir("/tmp")) - known]
    assert not [path for path in new if (path / "left").exists() or path.name.startswith(("sls-", "profile", "home-"))]


def test_everybody_is_told_that_it_was_not_isolated(plain: World) -> None:
    """A warning that is folded away is a warning that nobody had."""
    run = plain.do("x = 1", outputs=["x"]).run
    block = StatusBlock(run)
    audit = plain.analyst.audit(run.id)
    runs = remembered.runs_card([one for one in plain.analyst.runs() if one.id == run.id])
    texts = [repr(block), summary_line(run), str(runs), str(reports.audit_card(audit))]
    texts += [str(reports.hosts_card(plain.analyst.hosts))]
    pages = [block._repr_html_(), runs._repr_html_(), reports.audit_card(audit)._repr_html_(), audit_page(audit)]
    for text in (*texts, *pages):
        assert "NOT ISOLATED" in text
    assert "NOT ISOLATED" in repr(block).splitlines()[0]
    assert run.summary["isolated"] is False
    plain.analyst._runs.pop(run.id)  # as another kernel of this user sees it
    assert "NOT ISOLATED" in str(remembered.runs_card([one for one in plain.analyst.runs() if one.id == run.id]))


def shown(world: World, command: str, cell: str | None = None) -> str:
    """What a sub-command of ``%sls`` shows, as text and as HTML."""
    name, *words = command.split()
    options = command_parsers()[name].parse(words)
    found = COMMANDS[name](Context(world.analyst, options, cell, {}))
    cards = [one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, Card)]
    return "\n".join(f"{one}\n{one._repr_html_()}" for one in cards)


def test_no_card_says_simulated_alone_without_a_sandbox(plain: World, tmp_path: Path, monkeypatch) -> None:
    """Who reads one card reads both: a run there could read its user's files. With a sandbox, no card says so."""
    monkeypatch.chdir(tmp_path)
    run = plain.do("x = 1", outputs=["x"]).run
    commands = ["assets", "can-run", "preflight -i free", "hosts", f"receipt {run.id}", f"audit {run.id}", "runs"]
    for command in commands:
        text = shown(plain, command, "x = 1" if command.startswith("preflight") else None)
        assert "SIMULATED" in text, command
        assert text.count("NOT ISOLATED") >= 2, command  # in the text form and in the page
    plain.analyst.hosts = {"local": LocalHost(plain.root / "machine")}
    if plain.analyst.hosts["local"].capabilities().isolated:
        for command in commands[:4]:
            assert "NOT ISOLATED" not in shown(plain, command, "x = 1")


def test_a_sandboxed_run_does_not_say_so(world: World) -> None:
    """A word that stands everywhere says nothing."""
    if not world.analyst.hosts["local"].capabilities().isolated:
        pytest.skip("no sandbox here")
    run = world.do("x = 1", outputs=["x"]).run
    assert run.summary["isolated"] is True
    audit = world.analyst.audit(run.id)
    for text in (repr(StatusBlock(run)), summary_line(run), str(reports.audit_card(audit)), audit_page(audit)):
        assert "NOT ISOLATED" not in text


DEEP = """
import os
os.chdir(os.environ["SLS_ROOT"] + "/run/sls/result")
for _ in range(3000): os.mkdir("d"); os.chdir("d")
os.chmod(".", 0)
x = 1
"""


def test_what_one_run_leaves_keeps_no_other_from_launching(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders within folders, of modes that let nobody in, would end every later launch of this user."""
    parent = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"d{os.getpid()}"
    parent.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(parent))
    assert plain.do(DEEP, outputs=["x"]).outputs == {"x": 1}
    assert list(parent.iterdir()) == []
    assert plain.do("x = 2", outputs=["x"]).outputs == {"x": 2}
    parent.rmdir()


RECALL = """
import inspect, linecache
import pandas as pd
shell = get_ipython()
def source():
    try: return inspect.getsource(score)
    except OSError: return ""
places = {"In": In, "_ih": _ih, "_i": [_i, _ii, _iii], "raw": shell.history_manager.input_hist_raw,
          "parsed": shell.history_manager.input_hist_parsed, "lines": linecache.cache.values(), "source": source(),
          "numbered": [value for name, value in globals().items() if name.startswith("_i") and type(value) is str]}
word = "0.1234" + "5678"
found = pd.DataFrame({"place": list(places), "has": [word in repr(list(value)) for value in places.values()]})
mine = any("inspect" in text for text in In)
y = score(free)
"""


def test_confidential_code_is_not_in_the_history(world: World) -> None:
    """Whoever looks for it can still read it back; nobody comes upon it."""
    vendor = world.session("vendor")
    code = "def score(d):\n    return d.age.mean() * 0.12345678\n"
    vendor.seal_code(
        code, "secret_model", confidential=True, allow_code="any", requester=[world.analyst.did], tee="simulated-snp"
    )
    world.analyst._reachable = (-3600.0, [])
    ended = world.do(RECALL, ["free"], code_assets=["secret_model"], outputs=["found", "mine", "y"]).outputs
    assert ended["y"] > 0
    assert ended["mine"]
    assert list(ended["found"][ended["found"].has].place) == []

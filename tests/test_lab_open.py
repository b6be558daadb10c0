"""``sls open``: the panel without a notebook, by a server that can do nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from e2e import until
from lab_server_kit import API

from sls_jupyter.cli import open as opening
from sls_jupyter.cli.entry import main
from sls_jupyter.identity import Home
from sls_jupyter.session import Session

ELSEWHERE = (
    "api/kernels",
    "api/kernelspecs",
    "api/sessions",
    "api/contents",
    "api/terminals",
    "api/config/x",
    "api/shutdown",
    "files/secret",
    "view/secret",
    "nbconvert/html/secret.ipynb",
    "terminals/1",
    "lab",
    "tree",
)


@dataclass
class Opened:
    process: subprocess.Popen[str]
    url: str
    token: str
    said: str
    folder: Path

    def get(self, path: str, *, token: bool = True) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"} if token else {}
        return httpx.get(f"{self.url}/{path}", headers=headers, timeout=30)


@contextlib.contextmanager
def opened(folder: Path, *words: str) -> Iterator[Opened]:
    """The command in a process of its own, in a folder with a secret file, whose user has configured much for notebooks."""
    configured = folder / "config"
    configured.mkdir(exist_ok=True)
    (configured / "jupyter_server_config.py").write_text("c.ServerApp.ip = '0.0.0.0'\nc.IdentityProvider.token = ''\n")
    (folder / "secret").write_text("nobody asked for this file")
    environment = {
        **os.environ,
        "SLS_HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(configured),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "TMPDIR": str(folder),
        "JUPYTER_TOKEN": "weak",
    }
    command = [sys.executable, "-m", "sls_jupyter.cli", "open", "--no-browser", *words]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

    def address() -> re.Match[str] | None:
        said = (folder / "log").read_text()
        assert process.poll() is None, said
        return re.search(r"(http://127\.0\.0\.1:\d+)/\S+token=(\S+)", said)

    try:
        found = until(address, "the address is told", 60)
        yield Opened(process, found[1], found[2], (folder / "log").read_text(), folder)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("open")
    for name in ("hospital", "security"):
        home = Home(folder / "home", name)
        home.path.mkdir(mode=0o700, parents=True)
        Session(home).close()
    with opened(folder, "--persona", "security") as found:
        until(lambda: _answers(found), "it answers", 60)
        yield found


def _answers(panel: Opened) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return panel.get(f"{API}/about").status_code == 200
    return False


def test_the_address_that_is_told_opens_the_page_of_that_persona(panel: Opened) -> None:
    """An officer has a browser, and neither a kernel nor a notebook."""
    address = re.search(r"http://\S+", panel.said)
    assert address
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        page = browser.get(address[0])
        assert page.status_code == 200
        assert "token" not in str(page.url)
        assert all("samesite=lax" in one.lower() for one in page.history[0].headers.get_list("set-cookie"))
        assert 'data-persona="security"' in page.text
        assert browser.get(f"{panel.url}/{API}/about?persona=security").json()["persona"] == "security"
        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post(f"{panel.url}/{API}/personas", json={"name": "new"}, headers=xsrf).status_code == 200


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_but_the_panel_is_reached(panel: Opened, path: str) -> None:
    """Who got hold of the address can decide in the inbox, and run or read nothing on this machine."""
    answer = panel.get(path)
    assert answer.status_code in (403, 404, 405)
    assert "nobody asked" not in answer.text


def test_the_users_configuration_of_notebooks_is_not_taken(panel: Opened) -> None:
    """Another address, or no token, may be right for their notebooks; here somebody's approvals are at stake."""
    assert panel.get(f"{API}/about", token=False).status_code == 403
    assert httpx.get(f"{panel.url}/{API}/about", headers={"Authorization": "token weak"}).status_code == 403
    assert len(panel.token) >= 40
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.2:{panel.url.rpartition(':')[2]}/", timeout=5)


def test_the_token_lies_in_no_file(panel: Opened) -> None:
    """Jupyter's list of running servers would hand it to every other program of this user."""
    holding = [
        path.name for path in panel.folder.rglob("*") if path.is_file() and panel.token in path.read_text("latin-1")
    ]
    assert holding == ["log"], "the terminal's own text"


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """Ctrl-C, without a question, and nothing of it is left."""
    with opened(tmp_path) as found:
        until(lambda: _answers(found), "it answers", 60)
        found.process.send_signal(signal.SIGINT)
        assert found.process.wait(30) in (0, 130)
        assert not list(tmp_path.glob("sls-open-*"))
        assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_persona_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instead of a page that shows somebody nothing."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    home = Home(tmp_path, "hospital")
    home.path.mkdir(mode=0o700, parents=True)
    Session(home).close()
    assert main(["open", "--persona", "hospitl"]) == 1
    assert "hospital" in capsys.readouterr().err


def test_without_jupyters_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who installed the package for a shell has none."""
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    assert main(["open"]) == 1
    assert 'pip install "sls-jupyter[lab]"' in capsys.readouterr().err

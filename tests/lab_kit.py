"""JupyterLab, Notebook or the page of its own in a process of its own, and a real Chromium in front of it.

The bundle is the one in the repository. Every page notes what went wrong in it and where it sent requests to; a test ends
with :meth:`Tab.close`, which fails on either.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
import pytest
from agent_kit import AgentHome, agent_home
from browser_kit import CHROMIUM, axe_source
from e2e import free_port
from e2e import until as wait_until

from sls_jupyter.session import Session

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "sls_jupyter" / "labextension"
SCREENS = ROOT / "build" / "screens"  # pictures of every section, for people to look at
WAIT_MS = int(os.environ.get("SLS_TEST_WAIT_MS", "60000"))  # for a machine that is busy with other things
START_SECONDS = 90.0
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
until = functools.partial(wait_until, seconds=60.0)  # a browser is slow where many of them are
needs_lab = pytest.mark.skipif(
    CHROMIUM is None or not all(map(importlib.util.find_spec, ("playwright", "jupyterlab"))),
    reason="there is no Chromium, no Playwright or no JupyterLab to look with",
)
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


# --- a server -------------------------------------------------------------------------------------


@dataclass
class LabServer:
    """A Jupyter server with a front end.

    Args:
        root: its notebooks; folders of its own stand beside.
        environment: for the personas' home.
        front: the module that is started.
    """

    root: Path
    environment: Mapping[str, str]
    front: str = "jupyterlab"
    dark: bool = False
    half: bool = True  # the server's half is switched on
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> LabServer:
        """Start it, and wait until it answers."""
        self.root.mkdir(exist_ok=True)
        place = self.root.parent / f"{self.root.name}-jupyter"
        folders = {
            name: str(place / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "SETTINGS", "WORKSPACES")
        }
        for path in folders.values():
            Path(path).mkdir(parents=True, exist_ok=True)
        self._settings(Path(folders["SETTINGS"]))
        bundles = place / "share" / "labextensions"
        bundles.mkdir(parents=True, exist_ok=True)
        if not (bundles / "sls-jupyter").exists():
            (bundles / "sls-jupyter").symlink_to(BUNDLE)
        environment = {
            **os.environ,
            **self.environment,
            "JUPYTER_CONFIG_DIR": folders["CONFIG_DIR"],
            "JUPYTER_DATA_DIR": folders["DATA_DIR"],
            "JUPYTER_RUNTIME_DIR": folders["RUNTIME_DIR"],
            "JUPYTERLAB_SETTINGS_DIR": folders["SETTINGS"],
            "JUPYTERLAB_WORKSPACES_DIR": folders["WORKSPACES"],
            "JUPYTER_PATH": str(place / "share"),  # before the copy that an editable install made
            "IPYTHONDIR": str(place / "ipython"),
        }
        command = [
            *(sys.executable, "-m", self.front, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"),
            *(f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}"),
            *(
                f"--IdentityProvider.token={self.token}",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ),
            *("--LabApp.extension_manager=readonly", f"--ServerApp.jpserver_extensions={{'sls_jupyter': {self.half}}}"),
        ]
        with (place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until(self._answers, "the server answers", seconds=START_SECONDS)
        return self

    def _settings(self, place: Path) -> None:
        for name, values in _SETTINGS.items():
            given = {**values, "theme": "JupyterLab Dark"} if name.endswith("themes") and self.dark else values
            path = place / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(given))

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError, urllib.error.URLError):
            request = urllib.request.Request(self.url + "api/status", headers={"Authorization": f"token {self.token}"})
            with urllib.request.urlopen(request, timeout=2) as answer:
                return bool(answer.status == 200)
        return False

    def log(self) -> str:
        return (self.root.parent / f"{self.root.name}-jupyter" / "log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
            self.process = None

    def notebook(self, name: str, *cells: str) -> str:
        """Write a notebook; its name."""
        found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        found.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(found, self.root / name)
        return name


# --- a browser ------------------------------------------------------------------------------------


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """One window of somebody; what it sent and what failed in it."""

    context: BrowserContext
    page: Page
    server: LabServer
    errors: list[str] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)  # method, URL
    main: bool = False  # the panel is looked at in the main area
    quiet: tuple[str, ...] = ()  # parts of console errors that a test brings about on purpose

    @classmethod
    def open(
        cls, browser: Browser, server: LabServer, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Tab:
        context = browser.new_context(
            service_workers="block",
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        context.set_default_timeout(WAIT_MS)
        tab = cls(context, context.new_page(), server)
        tab.page.on("console", lambda one: tab.errors.append(one.text) if one.type == "error" else None)
        tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.page.on("request", lambda one: tab.sent.append((one.method, one.url)))
        return tab

    def lab(self, notebook: str = "", *, reset: bool = True) -> Tab:
        """Open JupyterLab, with a notebook if one is named; a kernel is then ready."""
        path = f"lab/tree/{notebook}" if notebook else "lab"
        self.page.goto(f"{self.server.url}{path}?token={self.server.token}{'&reset' if reset else ''}")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        if notebook:
            self.ready()
        return self

    def ready(self) -> None:
        """The notebook is there and its kernel waits."""
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.wait_for_function(
            "() => { const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;"
            " return kernel?.connectionStatus === 'connected' && kernel.status === 'idle'; }"
        )

    def panel(self, section: str = "") -> Locator:
        """The panel, opened; or the section of it that is put in front."""
        panel = self.page.locator("#sls-panel-main .sls-panel" if self.main else "#sls-panel .sls-panel")
        if not panel.is_visible():
            self.page.locator('li.lm-TabBar-tab[data-id="sls-panel"]').click()
        panel.wait_for()
        if not section:
            return panel
        panel.get_by_role("tab", name=section).click()
        return panel.get_by_role("tabpanel", name=section)

    def become(self, persona: str) -> None:
        """Choose whose panel it is, as a person does: in the status bar's menu."""
        status = self.page.locator(".sls-status")
        status.wait_for()

        def known() -> bool:
            return "SIMULATED" in status.inner_text()

        until(known, "the status bar says who it is")
        if not status.inner_text().startswith(persona):
            status.click()
            self.page.get_by_role("menuitem", name=persona).first.click()
        until(lambda: status.inner_text().startswith(persona) and known(), f"the panel is of {persona}")

    def run_all(self) -> None:
        """Start every cell of the notebook in front; nothing waits for them."""
        self.command("notebook:run-all-cells")

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        script = "([name, args]) => { void window.jupyterapp.commands.execute(name, args); }"
        self.page.evaluate(script, [name, dict(arguments or {})])

    def axe(self, selector: str = ".sls-panel") -> list[str]:
        """What axe-core finds wrong with a part of the page."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(axe_source())
        script = "selector => axe.run(selector, {resultTypes: ['violations']}).then(found => found.violations)"
        found = self.page.evaluate(script, selector)
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    def shot(self, name: str, target: Locator | None = None) -> Path:
        """A picture for people."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        path = SCREENS / f"{name}.png"
        (target or self.page).screenshot(path=str(path))
        return path

    def sent_to_us(self) -> list[str]:
        """Paths of the requests to our own half."""
        paths = [urlsplit(url).path for _, url in self.sent]
        return [path.partition("/sls_jupyter/v1/")[2] for path in paths if "/sls_jupyter/v1/" in path]

    def close(self) -> None:
        """Close the window; what went wrong in it, or left the machine, fails the test."""
        others = [url for _, url in self.sent if urlsplit(url).hostname not in ("127.0.0.1", None)]
        stored = self.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
        self.context.close()
        assert others == [], others
        assert self.server.token not in stored
        assert "PRIVATE" not in stored
        wrong = [one for one in self.errors if not any(part in one for part in self.quiet)]
        assert wrong == [], wrong


# --- two people -----------------------------------------------------------------------------------

CELL = """%%safestream --no-wait -i patients -o ages --purpose 'risk study'
ages = patients.groupby('sex').age.agg(['mean', 'count'])"""
ANALYST = "%load_ext sls_jupyter\n%sls as analyst"


@dataclass
class Place:
    """A hospital that reads every cell, an analyst, and JupyterLab for both."""

    home: AgentHome
    hospital: Session
    analyst: Session
    server: LabServer
    browser: Browser

    def window(self, persona: str, notebook: str = "", **options: object) -> Tab:
        """JupyterLab as one of them."""
        tab = Tab.open(self.browser, self.server, **options).lab(notebook)  # type: ignore[arg-type]
        tab.become(persona)
        return tab


@contextlib.contextmanager
def two_people(folder: Path) -> Iterator[Place]:
    """A new home with an agent, a sealed asset of the hospital's, JupyterLab and a browser."""
    with pytest.MonkeyPatch.context() as patch, agent_home(patch) as home, chromium() as browser:
        hospital, analyst = home.session("hospital"), home.session("analyst")
        home.seal(hospital, analyst, allow_code="reviewed", purpose=["risk study"], columns="age,sex,outcome")
        server = LabServer(folder / "notebooks", home.environment()).start()
        try:
            yield Place(home, hospital, analyst, server, browser)
        finally:
            server.stop()

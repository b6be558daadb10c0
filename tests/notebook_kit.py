"""What the tests of the room ``notebook`` share: a shell, a kernel, runs that follow a script, strict HTML."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from sls_jupyter.errors import SlsError
from sls_jupyter.safestream.run import Run

EVIL = "<script>alert('x')</script>&\"'"
PATIENTS = "patients = pd.DataFrame({'age': [20, 40, 60, 80] * 25, 'sex': ['f', 'm'] * 50, 'outcome': [0, 1] * 50})"


def frame() -> pd.DataFrame:
    """Two columns, one hundred rows."""
    return pd.DataFrame({"age": list(range(20, 70)) * 2, "outcome": [0, 1] * 50})


# --- a shell without a kernel ---------------------------------------------------------------------


@contextmanager
def shell_with_magics(folder: Any) -> Iterator[InteractiveShell]:
    """A bare shell with the extension loaded; its history and its folder are thrown away."""
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, ipython_dir=str(folder / "ipython"))
    shell.run_line_magic("load_ext", "sls_jupyter")
    try:
        yield shell
    finally:
        shell.run_line_magic("unload_ext", "sls_jupyter")
        shell.history_manager.end_session()
        InteractiveShell.clear_instance()


@dataclass
class Shown:
    """What one magic put on the screen."""

    text: str  # stdout
    bundles: list[dict[str, Any]]

    @property
    def plain(self) -> str:
        """Everything as text."""
        return self.text + "\n".join(str(bundle.get("text/plain", "")) for bundle in self.bundles)


def run_magic(shell: InteractiveShell, line: str, cell: str | None = None) -> Shown:
    """``%name rest``, or ``%%name rest`` with a body; raises what the magic raises."""
    name, _, rest = line.lstrip("%").partition(" ")
    with capture_output() as captured:
        if cell is None:
            shell.run_line_magic(name, rest)
        else:
            shell.run_cell_magic(name, rest, cell)
    return Shown(captured.stdout, [output.data for output in captured.outputs])


# --- runs by script -------------------------------------------------------------------------------


def scripted_run(events: list[dict[str, Any]], *, end: SlsError | None = None, digit: str = "a", **summary: Any) -> Run:
    """A run that emits these events and ends like that; nothing is launched."""

    def work(run: Run) -> None:
        run.steps.begin("planned")
        for event in events:
            run.emit(event)
        run.steps.done("planned", "patients")
        run.summary |= summary
        if end is not None:
            raise end
        run.outputs["risk"] = pd.DataFrame({"n": [10, 20]})

    return Run("sha256:" + digit * 64, work).start()


def endless_run() -> Run:
    """A run that goes on until somebody cancels it."""

    def work(run: Run) -> None:
        run.steps.begin("running", "for ever")
        while not run.cancelled.wait(0.02):
            pass
        run.require_going()

    return Run("sha256:" + "e" * 64, work).start()


class FakeShell:
    """A shell of which a handle needs only the variables; with ``kernel`` set, displays can be updated."""

    kernel = None

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {}


# --- a real kernel --------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What one cell left behind, displays as a saved notebook would hold them."""

    stdout: str = ""
    stderr: str = ""
    error: str = ""
    updates: int = 0
    bundles: list[dict[str, Any]] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)

    def take(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            setattr(self, content["name"], getattr(self, content["name"]) + content["text"])
        elif kind == "error":
            self.error = "\n".join(content["traceback"])
        elif kind in ("display_data", "execute_result"):
            shown = content.get("transient", {}).get("display_id")
            if shown:
                self._ids[shown] = len(self.bundles)
            self.bundles.append(content["data"])
        elif kind == "update_display_data":
            self.updates += 1
            shown = content["transient"]["display_id"]
            if shown not in self._ids:  # of an earlier cell
                self._ids[shown] = len(self.bundles)
                self.bundles.append({})
            self.bundles[self._ids[shown]] = content["data"]

    @property
    def plain(self) -> str:
        """Everything as text."""
        return self.stdout + "\n".join(str(bundle.get("text/plain", "")) for bundle in self.bundles)


class Kernel:
    """An ipykernel of its own process."""

    def __init__(self, environment: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self._sockets = tempfile.TemporaryDirectory(prefix="sls-k-")  # two that start at once choose one name otherwise
        self._manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{self._sockets.name}/k")
        self._manager.start_kernel(env=environment)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(
        self, code: str, *, cell: str = "", when: Callable[[Outcome], bool] | None = None, timeout: float = 60
    ) -> Outcome:
        """Execute a cell; interrupt the kernel once ``when`` the outcome so far says so.

        Args:
            cell: its identifier, as JupyterLab sends it along.
        """
        self._client.session.metadata = {"cellId": cell} if cell else {}
        outcome, interrupted = Outcome(), threading.Event()

        def hook(message: dict[str, Any]) -> None:
            outcome.take(message)
            if when is not None and not interrupted.is_set() and when(outcome):
                interrupted.set()
                self._manager.interrupt_kernel()

        self._client.execute_interactive(code, output_hook=hook, timeout=timeout, allow_stdin=False)
        return outcome

    def complete(self, code: str) -> list[str]:
        """What the front end offers at the end of ``code``."""
        return list(self._completed(code)["matches"])

    def complete_typed(self, code: str) -> dict[str, str]:
        """The same, each with the type that a front end shows beside it."""
        found = self._completed(code)["metadata"]["_jupyter_types_experimental"]
        return {one["text"]: one["type"] for one in found}

    def _completed(self, code: str) -> dict[str, Any]:
        return dict(self._client.complete(code, reply=True, timeout=20)["content"])

    def inspect(self, code: str, cursor: int | None = None) -> dict[str, Any]:
        """What the front end shows at Shift+Tab: nothing, or texts by their type."""
        content = self._client.inspect(code, cursor, reply=True, timeout=20)["content"]
        return dict(content["data"]) if content["found"] else {}

    def drain(self, outcome: Outcome) -> None:
        """Take what the kernel has sent since the last cell."""
        import queue

        with suppress(queue.Empty):
            while True:
                outcome.take(self._client.get_iopub_msg(timeout=0.1))

    @property
    def pid(self) -> int:
        """Of its process."""
        return int(self._manager.provisioner.pid)

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()
        self._manager.cleanup_resources()
        self._sockets.cleanup()


# --- HTML -----------------------------------------------------------------------------------------


class _Strict(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another"


def check_html(text: str) -> None:
    """Every tag is closed in order; there is no script, no handler, and nothing is loaded from anywhere."""
    parser = _Strict()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(parser.tags)
    assert not [name for name, _ in parser.attributes if name.startswith("on") or name in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Give another thread time; fails when it was not enough."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

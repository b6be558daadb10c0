"""A run on the screen: one status block that changes in place, and what the cell shows, as it comes.

Where a display cannot be changed (a terminal), or ``SLS_NONINTERACTIVE`` is set, each finished step is a
line instead and the block stands at the end. What happens is the same.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from sls_jupyter.notebook.status import StatusBlock, cut_line, step_line, summary_line, withheld_line
from sls_jupyter.printing import one_line, released, row
from sls_jupyter.safestream.run import Run

UPDATE_SECONDS = 0.25  # the block changes at most four times a second
TICK_SECONDS = 1.0  # and once a second while only time passes


def can_update(shell: Any) -> bool:
    """Whether a display can be changed after it was shown: in a kernel, unless told otherwise."""
    return getattr(shell, "kernel", None) is not None and not os.environ.get("SLS_NONINTERACTIVE")


def say(*lines: str) -> None:
    """Lines of our own on standard output. Others' names stand in them: none steers a terminal or begins a line."""
    sys.stdout.writelines(row(line) + "\n" for line in lines)
    sys.stdout.flush()


class Screen:
    """Shows one run to one cell.

    Args:
        updates: whether a display can be changed in place.
    """

    def __init__(self, run: Run, *, updates: bool) -> None:
        self._run = run
        self._updates = updates
        self._handle: Any = None
        self._shown_at = 0.0
        self._changed = False
        self._lines: set[str] = set()  # steps that a line tells of
        self._placed: set[int] = set()  # displays that can be updated, by their number
        self._withheld: Mapping[str, int] = {}
        self._takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "stream": self._stream,
            "display": self._display,
            "table": self._table,
            "clear": self._clear,
            "error": self._error,
            "withheld": self._hold,
        }

    def start(self) -> None:
        """Show the block at once."""
        if self._updates:
            from IPython.display import display

            self._handle = display(StatusBlock(self._run), display_id=True)
            self._shown_at = time.monotonic()

    def take(self, event: dict[str, Any]) -> None:
        """Show one event of :meth:`Run.follow`."""
        taker = self._takers.get(event["type"])
        if taker is not None:
            taker(event)
        self._changed = self._changed or event["type"] == "status"
        waited = time.monotonic() - self._shown_at
        if waited >= TICK_SECONDS or (self._changed and waited >= UPDATE_SECONDS):
            self._refresh()

    def finish(self) -> None:
        """The last picture, what was withheld or cut, and the line that says what the run rests on."""
        self._refresh()
        if not self._updates:
            say(*StatusBlock(self._run).lines())
        held = withheld_line(self._run.summary.get("withheld", self._withheld))
        cuts = [cut_line(about["name"], about) for about in self._run.summary.get("tables", ())]
        for line in (held, *cuts):
            if line:
                say(line)
        if self._run.state == "done":
            say(summary_line(self._run))

    # --- events -----------------------------------------------------------------------------------

    def _stream(self, event: dict[str, Any]) -> None:
        file = sys.stderr if event["name"] == "stderr" else sys.stdout
        file.write(released(str(event["text"])))
        file.flush()

    def _display(self, event: dict[str, Any]) -> None:
        from IPython.display import publish_display_data

        place, known = self._place(event)
        kinds = one_line(", ".join(event["data"]))
        data = {"text/plain": f"<{kinds} of run {self._run.id}>", **event["data"]}
        data = {**data, "text/plain": released(str(data["text/plain"]))}
        publish_display_data(data, transient={"display_id": place} if place else None, update=known)

    def _place(self, event: dict[str, Any]) -> tuple[str | None, bool]:
        """Our name for a display that can be updated, and whether it stands on the screen."""
        number = event.get("display")
        if number is None:
            return None, False
        known = bool(event.get("update")) and number in self._placed
        self._placed.add(number)
        return f"sls-{self._run.id}-{number}", known

    def _clear(self, _: dict[str, Any]) -> None:
        """The cell cleared its output; the block, which stands in the same place, is shown again."""
        if not self._updates:
            return
        from IPython.display import clear_output, display

        clear_output(wait=True)
        self._placed.clear()
        if self._handle is not None:
            display(StatusBlock(self._run), display_id=self._handle.display_id)

    def _table(self, event: dict[str, Any]) -> None:
        import pyarrow as pa
        from IPython.display import display

        from sls_jupyter.documents import b64decode
        from sls_jupyter.guest.values import restore

        table = pa.ipc.open_stream(b64decode(event["table"])).read_all()
        place, known = self._place(event)
        options = {"display_id": place, "update": known} if place else {}
        display(restore(table, event["shape"]), **options)
        line = cut_line("", event)
        if line:
            say(line)

    def _error(self, event: dict[str, Any]) -> None:
        """The group's own traceback, where every owner lets it out; the error itself is raised at the end."""
        lines = event["error"].get("traceback") or []
        if lines:
            sys.stderr.write("In the group:\n" + "\n".join(released(str(line)) for line in lines) + "\n")

    def _hold(self, event: dict[str, Any]) -> None:
        self._withheld = event["what"]

    # --- the block --------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self._changed, self._shown_at = False, time.monotonic()
        if self._updates:
            if self._handle is not None:
                self._handle.update(StatusBlock(self._run))
            return
        for step in self._run.steps:
            told = f"{step.name} {step.detail}" if step.detail.startswith("waiting for") else step.name
            due = step.state == "done" or (step.state == "active" and told != step.name)
            if due and told not in self._lines:
                self._lines.add(told)
                say(step_line(step))

"""A run on the screen: one status block that changes in place, and what the cell shows, as it comes.

Under the block stands the line that a screen reader says. It is an output of its own and changes with the step only: the
block's times change every second, and nobody wants to hear them.

Where a display cannot be changed (a terminal), or ``SLS_NONINTERACTIVE`` is set, each finished step is a
line instead and the block stands at the end. What happens is the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sls_jupyter.identity import Home
from sls_jupyter.notebook.sheet import due_sheet
from sls_jupyter.notebook.status import StatusBlock, StepLine, cut_line, step_line, summary_line, withheld_line
from sls_jupyter.printing import one_line, released, row
from sls_jupyter.safestream.run import Run

UPDATE_SECONDS = 0.25  # the block changes at most four times a second
TICK_SECONDS = 1.0  # and once a second while only time passes
CARD_SECONDS = 1.0  # the card of a run that nobody waits for changes at most once a second
CARD_TICK_SECONDS = 60.0  # and once a minute while only time passes: it says as of when it is


def can_update(shell: Any) -> bool:
    """Whether a display can be changed after it was shown: in a kernel, unless told otherwise."""
    return getattr(shell, "kernel", None) is not None and not os.environ.get("SLS_NONINTERACTIVE")


def say(*lines: str) -> None:
    """Lines of our own on standard output. Others' names stand in them: none steers a terminal or begins a line."""
    sys.stdout.writelines(row(line) + "\n" for line in lines)
    sys.stdout.flush()


def _restored(event: Mapping[str, Any]) -> Any:
    """What the cell showed, from its event."""
    import pyarrow as pa

    from sls_jupyter.documents import b64decode
    from sls_jupyter.guest.values import restore

    return restore(pa.ipc.open_stream(b64decode(event["table"])).read_all(), event["shape"])


class Screen:
    """Shows one run to one cell.

    Args:
        updates: whether a display can be changed in place.
        home: whose run it is, for the block; see :class:`StatusBlock`.
    """

    def __init__(self, run: Run, *, updates: bool, home: Home | None = None) -> None:
        self._run, self._home = run, home
        self._updates = updates
        self._handle: Any = None
        self._line: Any = None
        self._said = ""  # in that line
        self._sheet = ""  # of the block, whenever it is drawn anew
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

            self._sheet = due_sheet()
            self._handle = display(self._block(), display_id=True)
            self._line = display(self._step_line(), display_id=True)
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
            display(self._block(), display_id=self._handle.display_id)
        if self._line is not None:
            display(self._step_line(), display_id=self._line.display_id)

    def _table(self, event: dict[str, Any]) -> None:
        from IPython.display import display

        place, known = self._place(event)
        options = {"display_id": place, "update": known} if place else {}
        display(_restored(event), **options)
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
            self._update()
            return
        for step in self._run.steps:
            told = f"{step.name} {step.detail}" if step.detail.startswith("waiting for") else step.name
            due = step.state == "done" or (step.state == "active" and told != step.name)
            if due and told not in self._lines:
                self._lines.add(told)
                say(step_line(step))

    def _update(self) -> None:
        """Draw the block anew; the line only if it says something else than before."""
        if self._line is not None and self._said != (line := StepLine(self._run)).words:
            self._said = line.words
            self._line.update(line)
        if self._handle is not None:
            self._handle.update(self._block())

    def _block(self) -> StatusBlock:
        return StatusBlock(self._run, self._sheet, self._home)

    def _step_line(self) -> StepLine:
        line = StepLine(self._run)
        self._said = line.words
        return line


class TextScreen(Screen):
    """Shows one run to a terminal that has no notebook behind it."""

    def __init__(self, run: Run) -> None:
        super().__init__(run, updates=False)

    def _display(self, event: dict[str, Any]) -> None:
        data = event["data"]
        kinds = one_line(", ".join(data))
        sys.stdout.write(released(str(data.get("text/plain", f"<{kinds} of run {self._run.id}>"))) + "\n")
        if "text/plain" not in data:
            say(f"sls result {self._run.id} --to FOLDER writes it as a file.")

    def _table(self, event: dict[str, Any]) -> None:
        sys.stdout.write(released(str(_restored(event))) + "\n")
        line = cut_line("", event)
        if line:
            say(line)


class LiveCard:
    """Draws the card of a run anew while it goes on, in a thread that ends with the run.

    Args:
        draw: called from that thread. What it raises ends the drawing: the front end is gone.
    """

    def __init__(self, run: Run, draw: Callable[[], None]) -> None:
        self._run, self._draw = run, draw
        self._thread = threading.Thread(target=self._follow, name=f"sls-card-{run.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _follow(self) -> None:
        drawn, changed = time.monotonic(), False
        with contextlib.suppress(Exception):
            for event in self._run.follow(len(self._run.journal)):
                changed = changed or event["type"] in ("status", "summary")
                waited = time.monotonic() - drawn
                if waited >= CARD_TICK_SECONDS or (changed and waited >= CARD_SECONDS):
                    self._draw()
                    drawn, changed = time.monotonic(), False
            self._draw()

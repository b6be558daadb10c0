"""The handle of a run in a notebook: what ``%%safestream --no-wait`` returns and what it uses itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable
from typing import Any

from sls_jupyter.notebook.cards import escape
from sls_jupyter.notebook.follow import LiveCard, Screen, can_update, say
from sls_jupyter.notebook.sheet import due_sheet
from sls_jupyter.notebook.status import StatusBlock
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.verdict import VerifiedReceipt
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session

CANCEL_SECONDS = 15.0
SETTLE_SECONDS = 2.0


class RunInterrupted(KeyboardInterrupt):
    """The kernel was interrupted while it waited for a run."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    def _render_traceback_(self, *_: object, **__: object) -> list[str]:
        return [f"KeyboardInterrupt: {self.words}"]


class RunHandle:
    """A run, its outputs, and the notebook that they go to.

    Args:
        ours: the cell that waits has started the run, so an interrupt of it ends the run.
    """

    def __init__(self, session: Session, run: Run, shell: Any, *, ours: bool = True) -> None:
        self._session, self._run, self._shell, self._ours = session, run, shell, ours

    @property
    def id(self) -> str:
        """What ``%sls audit``, ``result`` and ``cancel`` take."""
        return self._run.id

    @property
    def status(self) -> str:
        """What it does, or how it ended, in one line."""
        return self._run.status()

    @property
    def outputs(self) -> dict[str, Any]:
        """Named results, when the run is done."""
        return self._run.outputs

    @property
    def receipt(self) -> VerifiedReceipt:
        """What the hardware signed about the run, verified. ``run.receipt.save("receipt.json")`` keeps it.

        Raises:
            Unavailable: there is none (yet).
        """
        return self._run.receipt or self._session.receipt(self._run.id)

    def wait(self) -> None:
        """Follow the run to its end: show what the cell shows, put named outputs into the notebook.

        An interrupt of the cell that started the run cancels it; a second one gives up waiting for that. Any other
        interrupt only ends the waiting.

        Raises:
            what the run ended with. KeyboardInterrupt: after an interrupt.
        """
        screen = self._screen()
        try:
            for event in self._run.follow():
                screen.take(event)
        except KeyboardInterrupt:
            self._interrupted(screen)
        self._ended(screen)

    def __await__(self) -> Generator[Any, None, None]:
        """``await handle``: the same, with the event loop free in between."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> None:
        screen, events = self._screen(), self._run.follow()
        try:
            while (event := await asyncio.to_thread(next, events, None)) is not None:
                screen.take(event)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._interrupted(screen)
        self._ended(screen)

    def settle(self) -> RunHandle:
        """Wait a moment, until there is something to show: whom the run waits for, or that it started."""
        steps, deadline = self._run.steps, time.monotonic() + SETTLE_SECONDS
        while self._run.state == "running" and time.monotonic() < deadline:
            if steps["approved"].detail or steps["launched"].state != "waiting":
                break
            time.sleep(0.02)  # a status is not an event that can be awaited without taking it from the follower
        return self

    def cancel(self) -> RunHandle:
        """End the run; returns when the group is stopped and the owners' logs were told."""
        self._run.cancel(timeout=CANCEL_SECONDS)
        return self

    def _screen(self) -> Screen:
        screen = Screen(self._run, updates=can_update(self._shell), home=self._session.home)
        screen.start()
        return screen

    def _interrupted(self, screen: Screen) -> None:
        """Cancel what this cell started, say so, and raise the interrupt again."""
        if not self._ours and self._run.state == "running":
            raise RunInterrupted(
                f"run {self.id} goes on; %sls attach {self.id} follows it again, %sls cancel {self.id} ends it"
            ) from None
        say(f"Interrupted: cancelling run {self.id} …")
        try:
            self.cancel()
            screen.finish()
        except KeyboardInterrupt:
            words = f"nobody waits for run {self.id} any more; %sls cancel {self.id} cancels it"
            raise RunInterrupted(words) from None
        over = self._run.state != "running"
        words = f"run {self.id} was cancelled" if over else f"run {self.id} is still being cancelled; see %sls runs"
        raise RunInterrupted(words) from None

    def _ended(self, screen: Screen) -> None:
        screen.finish()
        self._shell.user_ns.update(self._run.outputs)
        if self._run.error is not None:
            raise self._run.error from None

    def __repr__(self) -> str:
        return one_line(f"<Run {self.id}: {self.status}>")

    def _ipython_display_(self) -> None:
        """Show the card under a display of its own, where it changes for as long as this kernel lives."""
        from IPython.display import display

        sheet = due_sheet()
        shown = display(self._bundle(sheet), raw=True, display_id=True)
        if can_update(self._shell) and self._run.state == "running":
            LiveCard(self._run, lambda: shown.update(self._bundle(sheet), raw=True)).start()

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, Any]:
        del include, exclude
        return self._bundle(None)

    def _bundle(self, sheet: str | None) -> dict[str, Any]:
        bundle = StatusBlock(self._run, sheet, self._session.home)._repr_mimebundle_()
        hint = self._next_step()
        if not hint:
            return bundle
        line = f'<p class="sls-now">{escape(hint)}</p>\n'
        return bundle | {"text/plain": f"{bundle['text/plain']}\n  {hint}", "text/html": bundle["text/html"] + line}

    def _next_step(self) -> str:
        if self._run.state == "running":
            return "_.wait() shows its outputs, _.cancel() ends it."
        if self._run.state == "done":
            return f"%sls result {self.id} puts its outputs into the notebook."
        if self._run.state == "failed":
            return "_.wait() tells every reason."
        return ""

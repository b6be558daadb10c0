"""A run that another process drives or drove, drawn from its journal alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sls_jupyter.errors import RunLost, SlsError
from sls_jupyter.safestream.run import FINAL_STATES, Run, Step, ended_event, error_of


class Mirror(Run):
    """A run that another process drives or drove, drawn from its journal.

    Args:
        events: its journal from the first event on. It ends after ``ended``; a journal that breaks off before is one
            of a run that is lost.
        cancel: asks who drives it to end it; called once.
        finish: called when the end is known, to fetch what is not in a journal: outputs and receipt.
    """

    def __init__(
        self,
        spec_digest: str,
        events: Iterable[dict[str, Any]],
        *,
        cancel: Callable[[], None] = lambda: None,
        finish: Callable[[Run], None] = lambda _: None,
    ) -> None:
        self._source = events
        self._finish = finish
        super().__init__(spec_digest, lambda _: None)
        self.on_cancel(cancel)

    def _work(self, _: Callable[[Run], None]) -> None:
        last: dict[str, Any] | None = None
        try:
            last = self._replay()
        except SlsError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  # a thread has nobody above it to tell
            self.error = SlsError("A run cannot be followed any more.", found=type(error).__name__)
        if last is None:
            self.error = self.error or RunLost("Who drove this run has ended without a word.")
            last = ended_event("failed", self.error)
            self.steps.fail(self.error.sentence)
        self.error = error_of(last) if self.error is None else self.error
        with contextlib.suppress(SlsError, OSError):
            self._finish(self)
        self.state = str(last["state"]) if last.get("state") in FINAL_STATES else "failed"
        self.journal.close(last)

    def _replay(self) -> dict[str, Any] | None:
        """Take every event; returns the last one, if it came."""
        for event in self._source:
            if event.get("type") == "ended":
                return event
            _take(self, event)
            self.journal.append(event)
        return None

    def _tell_step(self, step: Step, state_changed: bool) -> None:
        """Only of a run that is lost: nobody else tells where it ended."""
        self.journal.append({"type": "status", "step": step.snapshot()})


class Picture(Run):
    """A run as its journal tells it up to now, for who only looks: its steps and its facts, none of what it showed.

    Nothing works in it, and it ends by itself never.
    """

    def __init__(self, spec_digest: str) -> None:
        super().__init__(spec_digest, lambda _: None)

    def take(self, event: Mapping[str, Any]) -> None:
        """One more event of the journal."""
        if event.get("type") != "ended":
            _take(self, event)
            return
        self.state = str(event["state"]) if event.get("state") in FINAL_STATES else "failed"
        self.error = error_of(event)

    def lose(self, error: SlsError) -> None:
        """Nobody drives it, and it had no end."""
        self.state, self.error = "failed", error
        self.steps.fail(error.sentence)


def _take(run: Run, event: Mapping[str, Any]) -> None:
    """What an event tells of steps and facts."""
    if event.get("type") == "status":
        run.steps.take(event.get("step") or {})
    elif event.get("type") == "summary":
        run.summary |= dict(event.get("facts") or {})

"""A run's journal: everything that is shown of it, in order, for any number of followers.

Events are JSON objects. Nothing is taken out: a follower reads from any position, and two of them see the same. Of the
guest come content events (:mod:`sls_jupyter.guest.messages`); of the run itself

- ``status``: one step as it is now, whole;
- ``summary``: facts for the last line that are new or have changed;
- ``ended``: state, error and summary; nothing follows it.

So a run can be drawn again from its journal alone. What follows :meth:`Journal.follow` sees between events (``tick``) is
no event: it only gives the follower its turn.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sls_jupyter.errors import RunFailed

NOTE_SECONDS = 0.25  # a step's words are kept at most so often; who changes them faster is shown the last ones
MAX_NOTES = 2000  # and so many times in one run; a change of a step's state is always kept
MAX_BYTES = 2 * 2**30  # of all events, as JSON: far above any output budget that this machine could hold
TICK_SECONDS = 0.2  # short, so that an interrupt is seen at once


class Journal:
    """An append-only list of events.

    Args:
        past: events that were kept of the same run before.
        keep: called with each new event and its number, in order, before any follower sees it.
        max_bytes: of all events; one more ends the run that makes it.
    """

    def __init__(
        self,
        past: Iterable[dict[str, Any]] = (),
        keep: Callable[[int, dict[str, Any]], None] = lambda *_: None,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._events = list(past)
        self._keep, self._max_bytes = keep, max_bytes
        self._bytes = sum(_size(one) for one in self._events)
        self._changed = threading.Condition()
        self._closed = False
        self._listeners: list[Callable[[], None]] = []
        self._notes = 0
        self._noted_at = float("-inf")
        self._waiting: dict[str, dict[str, Any]] = {}  # notes by what they are about, that are not kept yet

    def __len__(self) -> int:
        return len(self._events)

    @property
    def closed(self) -> bool:
        """Whether nothing will follow any more."""
        return self._closed

    # --- writing ----------------------------------------------------------------------------------

    def append(self, event: dict[str, Any]) -> None:
        """Add an event, behind the notes that wait.

        Raises:
            RunFailed: the journal is full; the event is not in it.
        """
        with self._changed:
            self._flush()
            self._add(event)
        self._tell()

    def note(self, about: str, event: dict[str, Any]) -> None:
        """Add an event that the next one about the same makes needless; one that comes too soon waits."""
        with self._changed:
            self._waiting.pop(about, None)
            self._waiting[about] = event
            due = self._is_due()
            if due:
                self._flush()
        if due:
            self._tell()

    def close(self, last: dict[str, Any]) -> None:
        """Add the last event."""
        with self._changed:
            self._flush()
            self._add(last, bounded=False)
            self._closed = True
        self._tell()

    def _is_due(self) -> bool:
        return time.monotonic() - self._noted_at >= NOTE_SECONDS and self._notes < MAX_NOTES

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for event in waiting.values():
            self._notes += 1
            self._noted_at = time.monotonic()
            self._add(event)

    def _add(self, event: dict[str, Any], *, bounded: bool = True) -> None:
        size = _size(event)
        if bounded and self._bytes + size > self._max_bytes:
            raise RunFailed(
                "The run shows more than it may.",
                found=f"more than {self._max_bytes:,} bytes",
                hint="Show less, or return tables by name with -o.",
            )
        self._bytes += size
        self._keep(len(self._events), event)
        self._events.append(event)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listeners = list(self._listeners)
        for one in listeners:
            one()

    # --- reading ----------------------------------------------------------------------------------

    def since(self, start: int) -> tuple[list[dict[str, Any]], bool]:
        """Events from number ``start`` on, and whether these were the last."""
        with self._changed:
            if self._waiting and self._is_due():
                self._flush()
            return self._events[start:], self._closed

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` (from any thread, and it must not wait) after each event; returns what ends that."""
        with self._changed:
            self._listeners.append(changed)

        def end() -> None:
            with self._changed:
                self._listeners.remove(changed)

        return end

    def follow(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """Events from number ``start`` on as they come, to the last; a tick where nothing comes for a moment."""
        while True:
            events, over = self.since(start)
            yield from events
            start += len(events)
            if over:
                return
            if not events:
                with self._changed:
                    if len(self._events) == start and not self._closed:
                        self._changed.wait(TICK_SECONDS)
                        quiet = len(self._events) == start
                    else:
                        quiet = False
                if quiet:
                    yield {"type": "tick"}


def _size(event: dict[str, Any]) -> int:
    """Bytes of an event as JSON, near enough for a bound: most of them have one long text, or a few short ones."""
    return len(json.dumps(event, ensure_ascii=False))

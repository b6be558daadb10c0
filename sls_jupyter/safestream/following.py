"""Following a session's cells: what both doors tell, sorted by the cell that it is of."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.safestream.collecting import note_input
from sls_jupyter.safestream.doors import AttestedDoor
from sls_jupyter.safestream.run import Run

FINISH_SECONDS = 5.0  # after the output's last word on a cell, for the input's


class CellEvents:
    """Events of both doors of one group, as they come. One cell at a time is followed."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()  # (door, event, error or None)

    def pump(self, name: str, door: AttestedDoor, closed: Callable[[str], None]) -> None:
        """Take a door's events to the last.

        Args:
            name: of the door. closed: called with the reason when the session has ended in order.
        """
        try:
            for event in door.events():
                if event["type"] == "closed":
                    closed(event["reason"])
                else:
                    self._events.put((name, event))
            self._events.put((name, None))
        except SlsError as error:
            self._events.put((name, error))

    def to_end(self, run: Run, number: int, names: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """Pass on what this cell gives until both doors are done with it.

        Args:
            names: DID -> name, for messages. seconds: until the output has to have told its end.

        Returns:
            The event of its end; ``problem`` is in it where the input could not go on.

        Raises:
            Unavailable: the session ended before that, or says nothing of it.
        """
        end: dict[str, Any] = {}
        finished, deadline = False, time.monotonic() + seconds
        while not end or not finished:
            left = FINISH_SECONDS if end else max(0.0, deadline - time.monotonic())
            try:
                door, event = self._events.get(timeout=left)
            except queue.Empty:
                if not end:
                    raise Unavailable(
                        "The group does not tell how the cell ended.",
                        found=f"nothing after {seconds:.0f} seconds",
                        hint="Its host holds it up, or is not reached. Open the session again, elsewhere if need be.",
                    ) from None
                return end  # a program that answers the output alone; the input takes no other cell
            if isinstance(event, SlsError) or event is None:
                finished |= door == "input" or bool(end)
                if door == "output" and not end:
                    raise event or Unavailable("The session ended without a word on this cell.")
            elif event.get("cell") != number:
                continue
            elif event["type"] == "failed":
                return {"status": "failed", "problem": event["problem"]}
            elif event["type"] == "end":
                end = event
            elif door == "output":
                run.emit(event)
            else:
                finished |= event["type"] == "finished"
                note_input(run, event, names)
        return end

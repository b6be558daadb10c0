"""What was shown so far, as a screen would have it: lines that are written over, displays that are updated, a cleared screen.

A progress bar writes its line again and again, ``display(…, display_id=…).update(…)`` changes what stands there.
Live events tell each change; a sealed result keeps the last state. Identifiers of displays are the program's, so
they are counted here and leave as numbers.
"""

from __future__ import annotations

import re
from typing import Any

from sls_jupyter.guest.plain_text import released_text

MAX_LINE = 10_000  # characters that can be written over
MAX_DISPLAYS = 10_000  # with an identifier
_MOVES = re.compile("(\r\n|[\r\n])")


class Line:
    """The unfinished line of a stream."""

    def __init__(self) -> None:
        self._text, self._place = "", 0

    def write(self, text: str) -> str:
        """What is new on the screen; it begins with a carriage return if the unfinished line is to be replaced."""
        before, done = self._text, ""
        for part in _MOVES.split(text):
            if part in ("\n", "\r\n"):
                done += self._text + "\n"
                self._text, self._place = "", 0
            elif part == "\r":
                self._place = 0
            else:
                plain = released_text(part)
                end = self._place + len(plain)
                self._text, self._place = self._text[: self._place] + plain + self._text[end:], end
        new = done + self._text
        if len(self._text) > MAX_LINE:
            self._text, self._place = "", 0
        return new[len(before) :] if new.startswith(before) else "\r" + new


class Shown:
    """The events of a run that its sealed result has."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._lines: dict[str, Line] = {}
        self._displays: dict[str, int] = {}

    def written(self, name: str, text: str) -> str:
        """What a print changes on the screen."""
        return self._lines.setdefault(name, Line()).write(text)

    def number(self, identifier: Any) -> int | None:
        """The number of a display that can be updated; ``None`` for one that cannot."""
        if not isinstance(identifier, str) or (
            identifier not in self._displays and len(self._displays) >= MAX_DISPLAYS
        ):
            return None
        return self._displays.setdefault(identifier, len(self._displays) + 1)

    def add(self, event: dict[str, Any]) -> None:
        """An event that left."""
        if event["type"] == "stream" and event["text"].startswith("\r"):
            self._write_over(event)
        elif event.get("update"):
            self._update({name: value for name, value in event.items() if name != "update"})
        else:
            self.events.append(event)

    def clear(self) -> None:
        """Nothing is seen any more but an error."""
        self.events = [event for event in self.events if event["type"] == "error"]
        self._lines.clear()

    def _write_over(self, event: dict[str, Any]) -> None:
        """Take away the stream's unfinished line, in however many events it was written."""
        for place in range(len(self.events) - 1, -1, -1):
            one = self.events[place]
            if (one["type"], one.get("name")) != ("stream", event["name"]):
                continue
            kept = one["text"][: one["text"].rfind("\n") + 1]
            self.events[place : place + 1] = [{**one, "text": kept}] if kept else []
            if kept:
                break
        self.events.append({**event, "text": event["text"][1:]})

    def _update(self, event: dict[str, Any]) -> None:
        places = [i for i, one in enumerate(self.events) if one.get("display") == event["display"]]
        for place in places:
            self.events[place] = event
        if not places:
            self.events.append(event)

"""Completion inside our magics, for every front end that asks the kernel: on their lines, and in the body of a remote cell.

What there is to name comes from a catalogue that a background thread refreshes (:mod:`~sls_jupyter.notebook.known`).
A completion waits at most 50 ms for the first one, takes what there is, and never raises: no answer is better than a late
or a loud one. Code of other cells is none of our business and asks for nothing.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

from sls_jupyter.notebook.complete_body import attributes_of, columns_of, fitting_columns, made_in, place_at
from sls_jupyter.notebook.complete_line import NOTHING, Here, Words, complete_line
from sls_jupyter.notebook.known import Catalogue, Names

_OURS = re.compile(r"%(?:%?seal|%?safestream|%?sls)\s")
_CELL = "%%safestream"
_OF_IPYTHON = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


class Matcher:
    """An IPython context matcher for lines and cells of our magics; for all others it has no answer."""

    matcher_api_version = 2
    matcher_priority = 50.0
    matcher_identifier = "sls_jupyter"

    def __init__(self, shell: Any, magics: Any) -> None:
        self.__qualname__ = "sls_jupyter.matcher"  # IPython asks for it as if every matcher were a function
        self._shell, self._magics = shell, magics
        self._catalogue: Catalogue | None = None
        self._persona: str | None = None

    def __call__(self, context: Any) -> dict[str, Any]:
        try:
            fragment, words = self._complete(context.full_text, context.cursor_line, context.cursor_position)
        except Exception:  # noqa: BLE001  # completion is never worth an error
            fragment, words = NOTHING
        return _answer(fragment, words) if words else {"completions": []}

    def _complete(self, text: str, number: int, column: int) -> tuple[str, Words]:
        """The fragment before the cursor and what it can become."""
        lines = text.split("\n")
        first = next(
            (place for place, line in enumerate(lines) if line.strip()), 0
        )  # IPython drops blank lines before it
        line = lines[number][:column]
        if first < number and lines[first].split()[:1] == [_CELL]:
            return self._in_body(lines[first], "\n".join([*lines[first + 1 : number], line]))
        if not _OURS.match(line.lstrip()):
            return NOTHING
        made = made_in("\n".join(lines[number + 1 :])) if number == first else []
        here = Here(self._tables(), self._values(), made, lines[number][column:])
        line = line.lstrip()
        return complete_line(line if not line.startswith("%%sls") else line[1:], self._names(), here)

    def _in_body(self, line: str, before: str) -> tuple[str, Words]:
        """The columns of an input; behind a point also what belongs to a variable of the notebook that is called like it.

        No other matcher has anything to say about an input. Where the notebook has no such variable they know nothing of
        it; where it has one they would look at the whole cell, and put what that one has before ours.
        """
        place = place_at(before)
        if place is None:
            return NOTHING
        space = self._shell.user_ns
        columns = columns_of(line.partition(_CELL)[2], space, self._names())
        if place.name not in columns:
            return NOTHING
        words = fitting_columns(place, columns[place.name])
        if not place.mark and place.name in space:
            ours = {text for text, _ in words}
            words += [one for one in attributes_of(type(space[place.name]), place.typed) if one[0] not in ours]
        return place.typed, words

    def _names(self) -> Names:
        """What is known to the persona that the magics use now."""
        persona = self._magics.persona
        if self._catalogue is None or persona != self._persona:
            self._persona, self._catalogue = persona, Catalogue(lambda: self._magics.session)
        return self._catalogue.names()

    def _tables(self) -> dict[str, Any]:
        """Variables that look like tables; by their types: no property of theirs is computed for that."""
        return {
            name: value
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and any(hasattr(type(value), one) for one in ("__arrow_c_stream__", "columns"))
        }

    def _values(self) -> list[str]:
        """Variables that may be sent along."""
        return [
            name
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_")
            and name not in _OF_IPYTHON
            and not (callable(value) or isinstance(value, ModuleType))
        ]


def _answer(fragment: str, words: Words) -> dict[str, Any]:
    from IPython.core.completer import SimpleCompletion

    completions = [SimpleCompletion(text=text, type=kind) for text, kind in words]
    return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}


def install(shell: Any, magics: Any) -> None:
    """Add the matcher to a shell's completer, if it has one."""
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers.append(Matcher(shell, magics))


def uninstall(shell: Any) -> None:
    """Take it away again."""
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers[:] = [one for one in completer.custom_matchers if not isinstance(one, Matcher)]

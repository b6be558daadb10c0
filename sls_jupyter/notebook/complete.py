"""Completion inside our magics: assets, columns, runs, requests, personas, options and commands.

Names come from a catalogue that a background thread refreshes. A completion waits at most 50 ms for the
first one, takes what there is, and never raises: no answer is better than a late or a loud one. Most names were chosen
by other people, so only what is one harmless word is offered (:func:`is_word`): whatever the tab key inserts, it adds no
option, no second word and no line.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.errors import SlsError
from sls_jupyter.naming import split_names
from sls_jupyter.notebook.args import Parser
from sls_jupyter.notebook.command_words import joined
from sls_jupyter.notebook.parsers import command_parsers, safestream_parser, seal_parser
from sls_jupyter.printing import is_mark, visible
from sls_jupyter.session import AssetInfo, Session

BUDGET_SECONDS = 0.05
MAX_WORD = 120  # characters of a name that is offered
FRESH_SECONDS = 5.0  # a catalogue older than this is refreshed while it is used

Words = list[tuple[str, str]]  # (text, type) as the front end shows it


@dataclass(frozen=True, slots=True)
class Names:
    """What can be named."""

    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)  # table -> grantable columns
    code: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()  # that are open


def read_names(session: Session) -> Names:
    """The names that a session knows now."""
    assets = session.assets()
    tables = [info for info in assets if info.manifest.kind == "table"]
    twice = [info.name for info in assets]

    def called(info: AssetInfo) -> str:
        return info.name if twice.count(info.name) == 1 else info.called

    return Names(
        columns={
            called(info): tuple(
                column
                for column in info.manifest.columns
                if info.policy.columns is None or column in info.policy.columns
            )
            for info in tables
        },
        code=tuple(called(info) for info in assets if info.manifest.kind == "code"),
        requests=tuple(one.id.removeprefix("sha256:")[:12] for one in session.requests()),
        runs=tuple(one.id for one in session.runs()),
        personas=tuple(session.home.personas()),
        hosts=tuple(session.hosts),
        sessions=tuple(one.name for one in session.sessions() if one.is_open),
    )


class Catalogue:
    """Names of one session, refreshed in the background."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = Names()
        self._read_at = -FRESH_SECONDS
        self._reading = threading.Lock()
        self._first = threading.Event()

    def names(self) -> Names:
        """What is known; starts a refresh when that is old."""
        if time.monotonic() - self._read_at > FRESH_SECONDS and self._reading.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="sls-catalogue", daemon=True).start()
        self._first.wait(BUDGET_SECONDS)
        return self._names

    def _refresh(self) -> None:
        try:
            with contextlib.suppress(SlsError, OSError, RuntimeError):  # RuntimeError: the session was closed meanwhile
                self._names = read_names(self._session)
            self._read_at = time.monotonic()
            self._first.set()
        finally:
            self._reading.release()


# --- what fits at the cursor ----------------------------------------------------------------------


def is_word(text: str) -> bool:
    """Whether a name stays one word on a magic's line: nothing in it separates, quotes, substitutes or hides.

    Letters and digits of any script, and ``_ . / @ + -`` within; what the line gives a meaning of its own (``= : ,``),
    a sign of IPython's or the shell's, and every character that is not seen are not among them.
    """
    if not text or len(text) > MAX_WORD or text[0] in "-+." or visible(text) != text:
        return False
    return all(one.isalnum() or one in "_./@+-" or is_mark(one) for one in text)


def _fitting(candidates: Sequence[tuple[str, str]], fragment: str) -> Words:
    """What begins like that; options and commands are ours, everything else has to be one word."""
    ours = ("option", "command")
    return [(text, kind) for text, kind in candidates if text.startswith(fragment) and (kind in ours or is_word(text))]


def complete_line(line: str, variables: Sequence[str], names: Names) -> tuple[str, Words]:
    """The fragment before the cursor and what it can become.

    Args:
        line: a magic's line from its sign up to the cursor.
        variables: names of the notebook's frames.
    """
    head, *words = re.split(r"\s+", line)
    if not words:
        return "", []
    words = joined(words) if head == "%sls" and len(words) > 2 else words
    fragment, previous = words[-1], words[-2] if len(words) > 1 else ""
    parser = _parser(head, words)
    if head == "%sls" and len(words) == 1:
        single = [(name, "command") for name in command_parsers() if " " not in name]
        return fragment, _fitting(single, fragment)
    if parser is None:
        return fragment, []
    if fragment.startswith("-"):
        return fragment, _fitting([(name, "option") for name in parser.options()], fragment)
    if previous.startswith("-") and parser.takes_value(previous):
        return _value(parser, previous, fragment, names)
    actions: Words = [(name, "command") for name in parser.actions()]
    return fragment, _fitting(actions or _positional(head, words[0], variables, names), fragment)


def _parser(head: str, words: Sequence[str]) -> Parser | None:
    if head in ("%seal", "%%seal"):
        return seal_parser(head == "%%seal")
    if head in ("%safestream", "%%safestream"):
        return safestream_parser()
    command = command_parsers().get(words[0]) if len(words) > 1 else None
    return None if command is None else command.within(words[1:-1])


def _value(parser: Parser, option: str, fragment: str, names: Names) -> tuple[str, Words]:
    if option in parser.options_of("input"):
        name, colon, tail = fragment.partition(":")
        if not colon:
            return fragment, _fitting([(table, "asset") for table in names.columns], fragment)
        done, _, last = tail.rpartition(",")
        columns = [name for name in names.columns.get(name.partition("=")[0], ()) if name not in split_names(done)]
        return last, _fitting([(column, "column") for column in columns], last)
    known: dict[str, Words] = {
        "code": [(name, "asset") for name in names.code],
        "host": [(name, "host") for name in names.hosts],
        "session": [(name, "session") for name in names.sessions],
    }
    fitting = next((words for dest, words in known.items() if option in parser.options_of(dest)), [])
    return fragment, _fitting(fitting, fragment)


def _positional(head: str, command: str, variables: Sequence[str], names: Names) -> Words:
    if head == "%seal" or (head == "%sls" and command == "edit"):
        return [(name, "instance") for name in variables]
    if head != "%sls":
        return []
    runs: Words = [(id_, "run") for id_ in names.runs]
    by_command: dict[str, Words] = {
        **{key: [(id_, "request") for id_ in names.requests] for key in ("show", "approve", "deny")},
        **dict.fromkeys(("result", "attach", "cancel", "audit report", "receipt"), runs),
        "audit": [("report", "command"), *runs],
        "session": [("close", "command")],
        "session close": [(name, "session") for name in names.sessions],
        "as": [(name, "persona") for name in names.personas],
        "withdraw": [(name, "asset") for name in (*names.columns, *names.code)],
    }
    return by_command.get(command, [])


# --- IPython --------------------------------------------------------------------------------------


class Matcher:
    """An IPython context matcher for lines of our magics; for all others it has no answer."""

    matcher_api_version = 2
    matcher_priority = 50.0
    matcher_identifier = "sls_jupyter"

    def __init__(self, shell: Any, magics: Any) -> None:
        self.__qualname__ = "sls_jupyter.matcher"  # IPython asks for it as if every matcher were a function
        self._shell, self._magics = shell, magics
        self._catalogue: Catalogue | None = None
        self._session: Session | None = None

    def __call__(self, context: Any) -> dict[str, Any]:
        try:
            line = context.text_until_cursor.lstrip()
            if not re.match(r"%(?:%?seal|%?safestream|%?sls)\s", line):
                return {"completions": []}
            line = line if not line.startswith("%%sls") else line[1:]
            return self._answer(*complete_line(line, self._frames(), self._names()))
        except Exception:  # noqa: BLE001  # completion is never worth an error
            return {"completions": []}

    def _answer(self, fragment: str, words: Words) -> dict[str, Any]:
        from IPython.core.completer import SimpleCompletion

        completions = [SimpleCompletion(text=text, type=kind) for text, kind in words]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": bool(completions),
            "ordered": True,
        }

    def _names(self) -> Names:
        session = self._magics.session
        if session is not self._session or self._catalogue is None:
            self._session, self._catalogue = session, Catalogue(session)
        return self._catalogue.names()

    def _frames(self) -> list[str]:
        """Variables that look like tables."""
        return [
            name
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and (hasattr(value, "__arrow_c_stream__") or hasattr(value, "columns"))
        ]


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

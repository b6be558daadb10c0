"""Completion on a magic's line: assets and their columns, runs, requests, people, options, commands and values of options.

Most names were chosen by other people, so only what is one harmless word is offered
(:func:`~sls_jupyter.notebook.known.is_word`), and a purpose in quotation marks: whatever the tab key inserts, it adds no
option, no second word and no line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.attestation.profile import PROFILES
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.naming import split_names
from sls_jupyter.notebook.args import Parser
from sls_jupyter.notebook.command_words import joined
from sls_jupyter.notebook.known import Names, is_seen, is_word
from sls_jupyter.notebook.parsers import command_parsers, safestream_parser, seal_parser
from sls_jupyter.notebook.unfinished import Given, OpenWord, given, words_of, written
from sls_jupyter.session.inputs import cut_input

Words = list[tuple[str, str]]  # (text, type) as the front end shows it
NOTHING: tuple[str, Words] = ("", [])

_OURS = ("option", "command")
_LISTS: Mapping[str, tuple[Iterable[str], str]] = {"tee": (PROFILES, "TEE"), "kinds": (KINDS, "kind")}
_CODE_MODES = ("any", "reviewed")  # and sha256:…, which nobody types
_ACTIONS: Mapping[str, tuple[str, ...]] = {  # of commands that tell their words themselves
    "agent": ("status", "start", "stop"),
    "contact": ("add",),
    "session": ("close",),
    "hosts": ("add", "remove"),
    "hosts add": ("aci",),
}


@dataclass(frozen=True, slots=True)
class Here:
    """What of the notebook a line may name."""

    tables: Mapping[str, Any] = field(default_factory=dict)  # variables that can be sealed
    values: Sequence[str] = ()  # variables that can be sent along
    made: Sequence[str] = ()  # variables that the cell below makes
    after: str = ""  # what stands behind the cursor


def complete_line(line: str, names: Names, here: Here) -> tuple[str, Words]:
    """The fragment before the cursor and what it can become.

    Args:
        line: a magic's line from its sign up to the cursor.
    """
    head, blank, rest = re.match(r"(\S*)(\s?)(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]  # fits any text
    if not blank:
        return NOTHING
    words, word = words_of(rest)
    words = joined(words) if head == "%sls" else words
    parser = _parser(head, words)
    if parser is None:
        single = [(name, "command") for name in command_parsers() if " " not in name]
        return word.raw, _fitting(single if head == "%sls" and not words else (), word.raw)
    name, equals, _ = word.raw.partition("=")
    if equals and name.startswith("--") and parser.takes_value(name):
        return _Value(parser, name, word.behind(name + "="), words, names, here).complete()
    if word.raw.startswith("-"):
        return word.raw, _fitting([(name, "option") for name in parser.options()], word.raw)
    if words and words[-1].startswith("-") and parser.takes_value(words[-1]):
        return _Value(parser, words[-1], word, words[:-1], names, here).complete()
    actions: Words = [(name, "command") for name in parser.actions()]
    return word.piece, _fitting(actions or _positional(head, words, given(parser, words), names, here), word.piece)


def _parser(head: str, words: Sequence[str]) -> Parser | None:
    if head in ("%seal", "%%seal"):
        return seal_parser(head == "%%seal")
    if head in ("%safestream", "%%safestream"):
        return safestream_parser()
    command = command_parsers().get(words[0]) if words else None
    return None if command is None else command.within(words[1:])


def _fitting(candidates: Iterable[tuple[str, str]], fragment: str) -> Words:
    """What begins like that; options and commands are ours, everything else has to be one word."""
    return [(text, kind) for text, kind in candidates if text.startswith(fragment) and (kind in _OURS or is_word(text))]


def _positional(head: str, words: Sequence[str], so_far: Given, names: Names, here: Here) -> Words:
    """What stands without an option."""
    if head == "%seal" or (head == "%sls" and words[0] == "edit"):
        return [(name, "instance") for name in here.tables]
    if head != "%sls":
        return []
    runs: Words = [(id_, "run") for id_ in names.runs]
    people: Words = [(name, "person") for name in names.people]
    by_command: dict[str, Words] = {
        **{key: [(id_, "request") for id_ in names.requests] for key in ("show", "approve", "deny")},
        **dict.fromkeys(("result", "attach", "cancel", "audit report", "receipt"), runs),
        **dict.fromkeys(("name", "mute"), people),
        "audit": [("report", "command"), *runs],
        "session close": [(name, "session") for name in names.sessions],
        "hosts remove": [(name, "host") for name in names.hosts],
        "as": [(name, "persona") for name in names.personas],
        "withdraw": [(name, "asset") for name in (*names.columns, *names.code)],
    }
    command = " ".join((words[0], *so_far.others[1:]))
    return by_command.get(command, [(one, "command") for one in _ACTIONS.get(command, ())])


@dataclass(frozen=True, slots=True)
class _Value:
    """The value of an option that is being typed."""

    parser: Parser
    option: str
    word: OpenWord
    before: Sequence[str]  # finished words of the line
    names: Names
    here: Here

    def complete(self) -> tuple[str, Words]:
        dest = self.parser.dest_of(self.option)
        if dest == "input":
            return self._input()
        if dest == "purpose":
            return self._purpose()
        if dest in _LISTS:
            known, kind = _LISTS[dest]
            return self._list(known, kind, self.word.text)
        if dest == "columns":
            return self._list(self._labels(), "column", self.word.text)
        if dest == "group":
            _, equals, columns = self.word.text.partition("=")
            return self._list(self._labels(), "column", columns) if equals else NOTHING
        return self.word.piece, _fitting(self._single(dest), self.word.piece)

    def _single(self, dest: str) -> Words:
        """Values that are one name."""
        if "WHO" in self.parser.asks_for(self.option).split("|"):
            return [(name, "person") for name in self.names.people]
        if choices := self.parser.choices_of(self.option):
            return [(name, "value") for name in choices]
        known: dict[str, tuple[Iterable[str], str]] = {
            "code": (self.names.code, "asset"),
            "host": (self.names.hosts, "host"),
            "session": (self.names.sessions, "session"),
            "allow_code": (_CODE_MODES, "value"),
            "parameter": (self.here.values, "instance"),
            "output": (self.here.made, "instance"),
        }
        candidates, kind = known.get(dest, ((), ""))
        return [(name, kind) for name in candidates]

    def _list(self, known: Iterable[str], kind: str, listed: str) -> tuple[str, Words]:
        """One more of a list with commas."""
        return self.word.piece, _fitting([(one, kind) for one in _left(known, listed)], self.word.piece)

    def _input(self) -> tuple[str, Words]:
        name, alias, tail = cut_input(self.word.text)
        if tail is not None:
            columns = self.names.columns.get(self.names.asset(name), {})
            candidates = [(one, columns[one].word) for one in _left(columns, tail)]
            return self.word.piece, _fitting(candidates, self.word.piece)
        if alias is not None:
            return NOTHING
        return self.word.piece, _fitting([(table, "asset") for table in self.names.columns], self.word.piece)

    def _purpose(self) -> tuple[str, Words]:
        """What every owner of an asset on the line accepts; a policy without purposes accepts any."""
        so_far = given(self.parser, self.before)
        assets = [self.names.asset(cut_input(one)[0]) for one in so_far.of("input", "code")]
        accepted = [set(one) for name in assets if (one := self.names.purposes.get(name))]
        common = sorted(set.intersection(*accepted)) if accepted else []
        fitting = [one for one in common if one.startswith(self.word.text) and is_seen(one)]
        return self.word.raw, [(written(one, self.word, self.here.after), "purpose") for one in fitting]

    def _labels(self) -> list[str]:
        """The columns of the variable that the line names."""
        so_far = given(self.parser, self.before)
        return labels_of(self.here.tables.get(so_far.others[-1])) if so_far.others else []


def _left(known: Iterable[str], listed: str) -> list[str]:
    """What is not in a list yet; its last name is being typed."""
    named = split_names(listed.rpartition(",")[0])
    return [one for one in known if one not in named]


def labels_of(table: Any) -> list[str]:
    """The labels of a table's columns that are texts. One that would have to be computed for that (a lazy one) has none."""
    if hasattr(type(table), "collect"):
        return []
    found = getattr(table, "column_names", None)
    return [one for one in (getattr(table, "columns", ()) if found is None else found) if isinstance(one, str)]

"""A CCE policy's bytes, read back: a package of assignments.

Rego is a language; policies for the framework are data. What is read here is what confcom and this package write:
``package``, imports of keywords, and ``name := value`` where a value is JSON (also over several lines, with commas
at the end and raw strings) or ``data.framework.NAME``. A rule with a body, a call, a comprehension, a reference to
anything else, a name that is assigned twice: all of that is refused, never guessed at.

Source of the grammar: Open Policy Agent, policy language (v0 and v1 read this subset alike).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from sls_jupyter.errors import MalformedDocument

MAX_POLICY_BYTES = 1 << 20
MAX_DEPTH = 32  # nested values
MAX_VALUES = 200_000

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"')
_RAW = re.compile(r"`([^`\x00]*)`")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.])")
_WORD = {"true": True, "false": False, "null": None}
_RESERVED = {"as", "contains", "data", "default", "else", "every", "false", "if", "import", "in", "input", "not"}
_RESERVED |= {"null", "package", "some", "true", "with"}
_IMPORTS = re.compile(r"future\.keywords(?:\.(?:contains|every|if|in))?|rego\.v1")


@dataclass(frozen=True, slots=True)
class Reference:
    """``data.framework.NAME``."""

    name: str


@dataclass(frozen=True, slots=True)
class Module:
    """A policy or a fragment of one: what each name stands for. Values are not to be changed."""

    package: str
    values: Mapping[str, Any]

    def get(self, name: str) -> Any:
        return self.values.get(name)


def read_module(source: bytes) -> Module:
    """Read a policy or a fragment.

    Raises:
        MalformedDocument: it is too large, not UTF-8, or says something that is not read here; with the line.
    """
    if len(source) > MAX_POLICY_BYTES:
        raise _malformed(f"{len(source)} bytes", f"at most {MAX_POLICY_BYTES}")
    try:
        content = source.decode()
    except UnicodeDecodeError:
        raise _malformed("bytes that are not UTF-8", "UTF-8") from None
    return _Reader(content).module()


def _malformed(found: str, expected: str) -> MalformedDocument:
    return MalformedDocument(
        "This is not a CCE policy that can be read here.",
        found=found,
        expected=expected,
        hint="Policies that are data can be read: those of this package and of confcom. Others need Azure itself.",
    )


class _Reader:
    def __init__(self, content: str) -> None:
        self._content = content
        self._place = 0
        self._values = 0

    # --- small steps

    def _refuse(self, expected: str) -> NoReturn:
        line = self._content.count("\n", 0, self._place) + 1
        raise _malformed(f"line {line}: {self._content[self._place : self._place + 20]!r}", expected)

    def _skip(self) -> str:
        """Go over blanks and comments; what was gone over."""
        return self._take(_BLANK, "")  # it matches nothing as well

    def _take(self, pattern: re.Pattern[str], expected: str) -> str:
        found = pattern.match(self._content, self._place)
        if found is None:
            self._refuse(expected)
        self._place = found.end()
        return found[0]

    def _ahead(self, character: str) -> bool:
        if not self._content.startswith(character, self._place):
            return False
        self._place += len(character)
        return True

    # --- a module

    def module(self) -> Module:
        self._skip()
        if self._take(_NAME, "package") != "package":
            self._refuse("package, and its name")
        self._blanks_in_line()
        package = self._take(_PATH, "a package's name")
        if not _RESERVED.isdisjoint(package.split(".")):
            self._refuse("a package's name that is no word of the language")
        values: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        while self._next_statement():
            name = self._take(_NAME, "a name, or import, or default")
            if name == "import":
                self._blanks_in_line()
                if not _IMPORTS.fullmatch(path := self._take(_PATH, "what is imported")):
                    self._refuse(f"an import of keywords, not of {path}")
                continue
            target = values
            if name == "default":
                target = defaults
                self._blanks_in_line()
                name = self._take(_NAME, "the name that has a default")
            if name in _RESERVED or name in target:
                self._refuse(f"{name} once, and as a name of the policy")
            target[name] = self._assigned(reference=target is values)
        return Module(package, defaults | values)

    def _blanks_in_line(self) -> None:
        if not self._skip():
            self._refuse("a blank")

    def _next_statement(self) -> bool:
        """Whether another statement follows; it must begin on a line of its own."""
        gap = self._skip()
        ended = "\n" in gap
        while self._ahead(";"):
            ended = True
            self._skip()
        if self._place == len(self._content):
            return False
        if not ended:
            self._refuse("the end of the line")
        return True

    def _assigned(self, *, reference: bool) -> Any:
        self._skip()
        if not (self._ahead(":=") or self._ahead("=")):
            self._refuse(":= and a value")
        self._skip()
        return self._value(0, reference=reference)

    # --- a value

    def _value(self, depth: int, *, reference: bool) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            self._refuse(f"at most {MAX_DEPTH} levels and {MAX_VALUES} values")
        if self._ahead("{"):
            return self._object(depth, reference=reference)
        if self._ahead("["):
            return self._list(depth)
        start = self._content[self._place : self._place + 1]
        if start == '"':
            return self._string()
        if start == "`":
            return self._take(_RAW, "a raw string that ends")[1:-1]
        if start == "-" or start.isdigit():
            return self._number()
        return self._word(reference=reference)

    def _string(self) -> str:
        quoted = self._take(_STRING, "a string that ends in its line")
        if "\\" not in quoted:
            return quoted[1:-1]
        try:
            value = json.loads(quoted)
            value.encode()
        except ValueError:  # an unknown escape, or half a surrogate pair
            self._refuse("a string of JSON")
        return str(value)

    def _number(self) -> int | float:
        digits = self._take(_NUMBER, "a number")
        if len(digits) > 64 or not math.isfinite(float(digits)):
            self._refuse("a number of at most 64 digits")
        return float(digits) if set(digits) & set(".eE") else int(digits)

    def _word(self, *, reference: bool) -> Any:
        word = self._take(_PATH, "a value")
        if word in _WORD:
            return _WORD[word]
        parts = word.split(".")
        if reference and len(parts) == 3 and parts[:2] == ["data", "framework"]:
            return Reference(parts[2])
        self._place -= len(word)
        self._refuse("JSON, or data.framework and a name")

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self._skip()
        while not self._ahead("]"):
            items.append(self._value(depth + 1, reference=False))
            self._separator("]")
        return items

    def _object(self, depth: int, *, reference: bool) -> dict[str, Any]:
        items: dict[str, Any] = {}
        self._skip()
        while not self._ahead("}"):
            key = self._string()
            self._skip()
            if key in items or not self._ahead(":"):
                self._refuse("a colon behind a key that was not there before")
            self._skip()
            items[key] = self._value(depth + 1, reference=reference)
            self._separator("}")
        return items

    def _separator(self, end: str) -> None:
        """A comma, which may stand before the end too."""
        self._skip()
        if self._ahead(","):
            self._skip()
        elif not self._content.startswith(end, self._place):
            self._refuse(f"a comma or {end}")

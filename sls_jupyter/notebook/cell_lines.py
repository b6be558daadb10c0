"""A ``%%safestream`` cell as text, read without the notebook that it stands in.

What a variable on its first line stands for, only the notebook knows. Such a word is left out, and it is said which
option it belongs to: whoever judges the rest says what cannot be told.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.args import Parser, split, variables_in
from sls_jupyter.notebook.parsers import safestream_parser

MAGIC = "%%safestream"
MAX_LINE = 20_000  # characters of a first line: a notebook may be anybody's, and words take long to split
_LINES = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class ReadCell:
    """The options of a cell's first line, and its body."""

    options: argparse.Namespace
    body: str
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # option -> variables in it that were left out


def read_cell(text: str) -> ReadCell:
    """Read a whole cell as the magic would.

    Raises:
        BadInput: it is no ``%%safestream`` cell, or its line cannot be read. HelpWanted: it asks for help.
    """
    first, _, body = _LINES.sub("\n", text).lstrip("\n").partition("\n")
    magic, _, line = first.strip().partition(" ")
    if magic != MAGIC:
        raise BadInput("This is no cell that runs remotely.", found=magic[:60], expected=f"{MAGIC} in its first line")
    if len(line) > MAX_LINE:
        raise BadInput(
            "The first line of this cell is too long to be judged beforehand.", expected=f"{MAX_LINE} characters"
        )
    parser = safestream_parser()
    words, unknown = _without_variables(parser, _raw(line))
    return ReadCell(parser.parse(split(shlex.join(words), {})), body, unknown)


def body_of(text: str) -> str:
    """What a cell magic gets of a cell: all but its first line."""
    return _LINES.sub("\n", text).lstrip("\n").partition("\n")[2]


def _raw(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise BadInput("This line cannot be read.", found=str(error), hint="Close the quotation.") from None


def _without_variables(parser: Parser, words: list[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The words without options whose value is a variable, and these options with the variables."""
    kept, unknown = list[str](), dict[str, tuple[str, ...]]()
    rest = iter(words)
    for word in rest:
        option, value = _parted(parser, word)
        given = [word]
        if value is None and parser.takes_value(option) and (following := next(rest, None)) is not None:
            given, value = [word, following], following
        names = variables_in(value if value is not None else word)
        if not names:
            kept += given
        else:
            unknown[option] = (*unknown.get(option, ()), *names)
    return kept, unknown


def _parted(parser: Parser, word: str) -> tuple[str, str | None]:
    """The option in a word, by its long name, and the value that stands in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if word.startswith("-") and len(word) > 1:
        short = word[:2]
        return parser.long_name(short), word[2:] if len(word) > 2 and parser.takes_value(short) else None
    return "the line", word

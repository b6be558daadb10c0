"""A magic's line up to the cursor: its words as a shell reads them, the one that is not finished, and its options so far.

Nothing is refused here: it is a line that somebody is typing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from sls_jupyter.notebook.args import Parser, literal
from sls_jupyter.notebook.known import is_word

_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class OpenWord:
    """The word at the cursor."""

    raw: str = ""  # as it stands on the line
    text: str = ""  # what it means so far

    @property
    def piece(self) -> str:
        """What is being typed of the last name in it: what stands behind its last comma, colon, ``=`` or quotation mark."""
        return self.raw[max(self.raw.rfind(one) for one in ",:='\"") + 1 :]

    def behind(self, start: str) -> OpenWord:
        """The same word without its beginning, which is an option's name."""
        return OpenWord(self.raw.removeprefix(start), self.text.removeprefix(start))


@dataclass(slots=True)
class Given:
    """What stands on a line so far."""

    options: dict[str, list[str]] = field(default_factory=dict)  # argparse's name of the option -> its values
    others: list[str] = field(default_factory=list)  # words that belong to no option

    def of(self, *names: str) -> list[str]:
        """The values of these options."""
        return [value for name in names for value in self.options.get(name, ())]


def words_of(line: str) -> tuple[list[str], OpenWord]:
    """The finished words of a line and the one at its end, which is empty behind a blank; by the rules of ``shlex``."""
    words: list[str] = []
    raw, text, quote, place = "", "", "", 0
    while place < len(line):
        one = line[place]
        taken = 2 if one == "\\" and _escapes(line[place + 1 : place + 2], quote) else 1
        if not quote and taken == 1 and one in _BLANKS:
            words += [text] if raw else []
            raw = text = ""
        else:
            raw += line[place : place + taken]
            quote, more = _step(line[place : place + taken], quote)
            text += more
        place += taken
    return words, OpenWord(raw, text)


def _escapes(following: str, quote: str) -> bool:
    """Whether a backslash before this character makes it an ordinary one."""
    return following != "" and (not quote or (quote == '"' and following in '"\\'))


def _step(taken: str, quote: str) -> tuple[str, str]:
    """The quotation mark that is open behind these characters, and what they mean."""
    if len(taken) == 2:
        return quote, taken[1]
    if taken == quote:
        return "", ""
    if not quote and taken in "'\"":
        return taken, ""
    return quote, taken


def given(parser: Parser, words: Sequence[str]) -> Given:
    """What finished words say; an option without a value has none, and one that there is not is left out."""
    found, option = Given(), ""
    for word in words:
        name, equals, value = word.partition("=")
        if option:
            found.options.setdefault(parser.dest_of(option), []).append(word)
            option = ""
        elif parser.takes_value(word):
            option = word
        elif equals and name.startswith("--") and parser.takes_value(name):
            found.options.setdefault(parser.dest_of(name), []).append(value)
        elif not word.startswith("--") and parser.takes_value(word[:2]):
            found.options.setdefault(parser.dest_of(word[:2]), []).append(word[2:])
        elif not word.startswith("-"):
            found.others.append(word)
    return found


def written(text: str, word: OpenWord, after: str) -> str:
    """A text as one word of a line, in the quotation marks that are open or in those that it needs.

    Args:
        after: what stands behind the cursor; a mark that an editor has put there closes the text.
    """
    plain = literal(text)
    mark = word.raw[:1]
    if mark not in ("'", '"'):
        return plain if is_word(plain) else shlex.quote(plain)
    inside = plain.replace("'", "'\"'\"'") if mark == "'" else plain.replace("\\", "\\\\").replace('"', '\\"')
    return mark + inside + ("" if after.startswith(mark) else mark)

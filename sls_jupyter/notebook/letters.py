"""Letters that could be taken for others: names outside ASCII, and words of other scripts in strings and comments."""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_TOKENS = 100_000  # characters; in more code than this, names are not told apart from texts


def odd_names(code: str) -> list[tuple[int, str]]:
    """(line, word) of each name with letters outside ASCII: it may look like another, and Python folds some into others."""
    if code.isascii():
        return []
    return [(line, word) for line, word, named in _outside(code) if named]


def odd_texts(code: str) -> list[tuple[int, str]]:
    """(line, word) of each word in strings and comments with a letter that is no ASCII letter under its accents."""
    if code.isascii():
        return []
    return [(line, word) for line, word, named in _outside(code) if not named and any(map(_is_foreign, word))]


def _is_foreign(one: str) -> bool:
    return one.isalpha() and not unicodedata.normalize("NFD", one)[0].isascii()


@lru_cache(maxsize=8)  # a page asks for each text's words several times
def _outside(code: str) -> tuple[tuple[int, str, bool], ...]:
    return tuple(_words(code))


def _words(code: str) -> Iterator[tuple[int, str, bool]]:
    """(line, word, whether it may be a name) of words with letters outside ASCII. Code that is very long, or no Python, is all names."""
    code = re.sub("\r\n?", "\n", code)
    if len(code) > MAX_TOKENS:
        yield from _words_in(code, 1, named=True)
        return
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        yield from _words_in(code, 1, named=True)
        return
    for token in tokens:
        if token.string.isascii():
            continue
        start = token.start[0]
        if token.type == tokenize.STRING and "f" in re.split("['\"]", token.string)[0].lower() and "{" in token.string:
            # within the braces of a formatted string stand names; which braces are text is not asked
            first, last = token.string.index("{"), token.string.rindex("}") + 1 if "}" in token.string else None
            yield from _words_in(token.string[:first], start, named=False)
            yield from _words_in(token.string[first:last], start + token.string.count("\n", 0, first), named=True)
            if last is not None:
                yield from _words_in(token.string[last:], start + token.string.count("\n", 0, last), named=False)
        else:
            kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1))
            yield from _words_in(token.string, start, named=token.type not in kinds)


def _words_in(text: str, line: int, *, named: bool) -> Iterator[tuple[int, str, bool]]:
    counted = 0
    for word in re.finditer(r"\w+", text):
        if not word[0].isascii():
            line += text.count("\n", counted, word.start())
            counted = word.start()
            yield line, word[0], named

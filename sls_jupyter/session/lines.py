"""Two texts compared line by line, within bounds: a stranger chooses the lines, and may write one a thousand times."""

from __future__ import annotations

import difflib
import io
import re
import tokenize
from collections import Counter
from collections.abc import Hashable, Sequence

MAX_COMPARED = 2_000  # lines of code that are compared line by line
MAX_PAIRS = 50_000  # of equal lines, one of each side
MAX_TOKENS = 100_000  # characters of code that are read as Python's words
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SPACE = re.compile(r"[ \t\n\r\f]+")  # what Python calls white space; anything else that is not seen is a character
_PLACED = (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE)  # how they are written is not what they mean
_PASSED_OVER = (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER)

Step = tuple[int, int, int, int]
"""Lines ``[0]`` to ``[1]`` of before gave way to lines ``[2]`` to ``[3]`` of now; counted from 0, the ends not included."""


def whole_lines(code: str) -> list[str]:
    """Each line of some code with its end, as Python counts lines. That the last one has no end is no difference."""
    lines = _LINE.findall(code)
    return [*lines[:-1], lines[-1] if lines[-1][-1] in "\r\n" else lines[-1] + "\n"] if lines else []


def too_alike(after: Sequence[str], before: Sequence[str]) -> bool:
    """Whether comparing these lines would take long."""
    if max(len(after), len(before)) > MAX_COMPARED:
        return True
    count = Counter(before)
    return sum(count[line] for line in after) > MAX_PAIRS


def compared(after: Sequence[Hashable], before: Sequence[Hashable]) -> list[Step]:
    """Where two lists of lines, or of cells, differ, one of a few ways to see it. The caller knows that it does not take long."""
    steps = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [step[1:] for step in steps if step[0] != "equal"]


def changes(after: Sequence[str], before: Sequence[str]) -> list[Step]:
    """Where any two lists of lines differ.

    What both begin and end with is left aside. If the rest would take long to compare, it is one change.
    """
    least = min(len(after), len(before))
    head = next((at for at in range(least) if after[at] != before[at]), least)
    left = least - head
    tail = next((at for at in range(left) if after[-1 - at] != before[-1 - at]), left)
    one, other = after[head : len(after) - tail], before[head : len(before) - tail]
    if not one and not other:
        return []
    if too_alike(one, other):
        return [(head, len(before) - tail, head, len(after) - tail)]
    return [(start + head, end + head, first + head, last + head) for start, end, first, last in compared(one, other)]


def only_space(new: str, old: str) -> bool:
    """Whether two different texts are the same but for spaces, tabs and line ends."""
    return new != old and _SPACE.sub("", new) == _SPACE.sub("", old)


def same_to_python(new: str, old: str) -> bool:
    """Whether two texts that differ in white space only are the same words to Python, comments aside.

    False also where that is not known: they are very long, or no Python.
    """
    one, other = _words(new), _words(old)
    return one is not None and one == other


def _words(code: str) -> list[tuple[int, str]] | None:
    if len(code) > MAX_TOKENS:
        return None
    try:
        found = list(tokenize.generate_tokens(io.StringIO(re.sub("\r\n?", "\n", code)).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    return [(one.type, "" if one.type in _PLACED else one.string) for one in found if one.type not in _PASSED_OVER]

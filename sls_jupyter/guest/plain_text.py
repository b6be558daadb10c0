"""Text that may leave: what a person reads, and nothing that steers the screen on which they read it.

Escape sequences write to a terminal's title, clipboard and history; C1 controls are the same in one
character; bidirectional controls show a line in another order than it has; invisible characters carry
text that nobody sees. None of them leaves. Line ends become ``\\n``; tabs stay.
"""

from __future__ import annotations

import re
from typing import Any

_SEQUENCES = re.compile(  # ECMA-48: control strings to their terminator, then CSI, then two-character escapes
    r"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]{0,256}[ -/]{0,16}[@-~]?"
    r"|\x1b[ -/]{0,16}[0-~]?"
)
_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, fillers, variation selectors
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufe00-\ufe0e"  # zero width (not the joiners), bidirectional
    "\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef"  # interlinear annotations, noncharacters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # format controls, tags
    "]"
)
_LINE_ENDS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def released_text(text: str) -> str:
    """The text without what steers or hides; ``released_text`` of the result is the result."""
    plain = _SURROGATES.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    return _UNSEEN.sub("", _SEQUENCES.sub("", plain))


def released_value(value: Any) -> Any:
    """The same for every text in a JSON value, names of members included."""
    if isinstance(value, str):
        return released_text(value)
    if isinstance(value, list):
        return [released_value(item) for item in value]
    if isinstance(value, dict):
        return {released_text(name): released_value(item) for name, item in value.items()}
    return value


def has_unseen(text: str) -> bool:
    """Whether a text has anything that :func:`released_text` takes away."""
    return released_text(text) != text

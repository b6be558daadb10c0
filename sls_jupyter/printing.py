"""Other people's text as a person sees it: one line, and nothing in it that is not seen.

Names, purposes, reasons, messages and code come from strangers. Printed as they are, they can steer a terminal,
add lines of their own, run backwards or look like something else. Here is decided, for every place that prints,
which characters are shown by their number (``⟦U+202E⟧``). All functions are idempotent, so that a text may be made
clean where it comes in and again where it is printed.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import lru_cache

MAX_SPACES = 8  # of a line; more of them could push what follows to where a terminal begins a new one
MAX_MARKS = 3  # combining marks on one letter; more of them cover the lines around

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, which ``unicodedata`` does not have
_IGNORABLE = (
    *(range(0xAD, 0xAE), range(0x34F, 0x350), range(0x61C, 0x61D), range(0x115F, 0x1161), range(0x17B4, 0x17B6)),
    *(range(0x180B, 0x1810), range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070)),
    *(range(0x3164, 0x3165), range(0xFE00, 0xFE10), range(0xFEFF, 0xFF00), range(0xFFA0, 0xFFA1)),
    *(range(0xFFF0, 0xFFF9), range(0x1BCA0, 0x1BCA4), range(0x1D173, 0x1D17B), range(0xE0000, 0xE1000)),
)
_EMPTY = re.compile(r"\b(?:BLANK|FILLER|NULL|JOINER|SELECTOR|OBJECT REPLACEMENT)\b")  # in a character's name
# a colour, which stays; or a control (C0 but tab and line ends, C1), a separator, a mark of direction
_STEERING = re.compile(
    "(\x1b\\[[0-9;]{0,40}m)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_SPACES = re.compile(f" {{{MAX_SPACES + 1},}}")


@lru_cache(maxsize=4096)
def is_unseen(one: str) -> bool:
    """Whether a character leaves no mark of its own on a screen, or moves others.

    Decided by its Unicode category (controls, formats, private, unassigned, separators, every space but U+0020),
    by the property Default_Ignorable_Code_Point, and by its name (``BRAILLE PATTERN BLANK``).
    """
    if not one.isprintable():
        return True
    number = ord(one)
    return any(number in some for some in _IGNORABLE) or bool(_EMPTY.search(unicodedata.name(one, "")))


@lru_cache(maxsize=4096)
def is_mark(one: str) -> bool:
    """Whether a character is drawn onto the one before it."""
    return unicodedata.category(one)[0] == "M"


def by_number(one: str) -> str:
    """A character as its number."""
    return f"⟦U+{ord(one):04X}⟧"


class Carrier:
    """Tells which combining marks have a letter to sit on, character after character."""

    def __init__(self) -> None:
        self._letter, self._marks = False, 0

    def hides(self, one: str) -> bool:
        """Whether this character, the next of the text, is to be shown by its number.

        A combining mark may stand on a letter outside ASCII, where scripts need it; on anything else, or on too many
        of its kind, it covers what is there.
        """
        if is_mark(one):
            self._marks += 1
            if not self._letter or self._marks > MAX_MARKS:
                return True
        else:
            self._letter, self._marks = not one.isascii() and one.isalpha(), 0
        if is_unseen(one):
            self._letter = False
            return True
        return False


def visible(text: str) -> str:
    """The text with every character that is not seen, or moves others, as its number; lines and tabs stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    carrier = Carrier()
    return "".join(by_number(one) if carrier.hides(one) and one not in "\n\t" else one for one in text)


def one_line(text: str, most: int | None = None) -> str:
    """The text in one line, that stays where it stands.

    Args:
        most: characters of it that are shown; what is cut is counted.
    """
    if most is not None and len(text) > most:
        text = f"{text[:most]}… ({len(text) - most:,} more characters)"
    return _SPACES.sub(lambda found: f"⟦{len(found[0])} spaces⟧", row(text))


def row(text: str) -> str:
    """The same for a line that was laid out already: its spaces stay."""
    return visible(text).replace("\n", by_number("\n")).replace("\t", by_number("\t"))


def released(text: str) -> str:
    """Text that a cell printed, as it is but for what steers a terminal or turns text around.

    Lines, tabs, carriage returns and colours stay, and so does what merely is not seen: it is the reader's own output.
    """
    return _STEERING.sub(lambda found: found[1] or by_number(found[0]), text)


printable = one_line
"""The same, under the name by which errors know it."""


# --- numbers and times ----------------------------------------------------------------------------


def size_words(count: int) -> str:
    """Bytes as a person reads them, in powers of 1024."""
    if count < 1024:
        return f"{count} B"
    value, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def time_words(seconds: int) -> str:
    """A moment in UTC; a number that no calendar has stays a number."""
    try:
        return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"


def age_words(seconds: float) -> str:
    """How long something takes or is ago, in its largest unit: ``40 s``, ``5 min``, ``2 h``, ``3 days``."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if whole >= size:
            count = whole // size
            return f"{count:,} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{whole} s"


def count_words(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short_digest(id_: str) -> str:
    """Enough of a digest to name what it is of: the first twelve digits."""
    return id_.removeprefix("sha256:")[:12]

"""How a field that another party filled in becomes true: it was checked, or a person sees that it is hearsay.

Each field of an answer carries one of the two, and a test walks them all: a field that is neither is an error,
so nothing unsigned is used or shown by oversight.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Checked:
    """The reader compares the field with something signed before it uses or shows it."""

    against: str  # what signed thing, and which function compares


@dataclass(frozen=True, slots=True)
class Hearsay:
    """The sender's word only."""

    shown: str  # how a person sees that it is hearsay, or why nobody is shown it

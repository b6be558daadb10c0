"""Whom this persona knows by which name."""

from __future__ import annotations

from dataclasses import dataclass

from sls_jupyter.printing import one_line

MAX_SAID = 60  # characters that are shown of what somebody calls themselves


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody, as this persona may call them on a card."""

    did: str
    petname: str | None  # what this persona calls them; None: nothing, they are unknown here
    said: str = ""  # what they call themselves: their word, not checked by anybody
    warning: str = ""  # the self-chosen name looks like one that is known

    def __str__(self) -> str:
        if self.petname is not None:
            return self.petname
        key = self.did.removeprefix("did:key:")
        quoted = one_line(self.said, MAX_SAID).replace('"', "'")
        words = [f"unknown · {key[:4]}…{key[-4:]}", *([f'"{quoted}"'] if quoted else [])]
        return " ".join([*words, *([f"({self.warning})"] if self.warning else [])])

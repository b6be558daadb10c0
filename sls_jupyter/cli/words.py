"""What the command line prints, and its hints as they are typed in a shell."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sls_jupyter.printing import row

if TYPE_CHECKING:
    from sls_jupyter.notebook.cards import Card

_COMMANDS = (
    *("whoami", "assets", "requests", "show", "approve", "deny", "mute", "can-run", "preflight", "runs", "result"),
    *("attach", "cancel", "agent", "run", "submit", "sessions", "session close"),
    *("audit", "receipt", "verify", "hosts", "connect", "name", "contact", "contacts", "withdraw", "log", "help"),
)
_HOSTS_COMMAND = re.compile(r"%sls hosts (add|remove)\b")
_HOST_COMMAND = re.compile(r"(?<![%\w])sls host (doctor|sweep)\b")
_NOTEBOOK_COMMAND = re.compile(rf"%?%sls ({'|'.join(_COMMANDS)})\b")
_TAKES_A_CELL = re.compile(r"%%sls preflight takes a cell")
_OF_NO_PERSONA = ("whoami", "contact", "help")  # a hint with one of these is for somebody else's persona, or for any


def say(*lines: str) -> None:
    """Print lines. Nothing in one, such as a stranger's name, steers the terminal or begins another."""
    print(*map(row, lines), sep="\n", flush=True)


def tell(*lines: str) -> None:
    """The same on standard error."""
    print(*map(row, lines), sep="\n", file=sys.stderr, flush=True)


def show(shown: object) -> None:
    """Print a card, or JSON: its own lines are lines, nothing else in it is."""
    say(*str(shown).split("\n"))


def in_shell(text: str, persona: str | None) -> str:
    """A hint as it is typed in a shell: ``%sls`` is for notebooks, and a persona that was named is needed again."""

    def typed(found: re.Match[str]) -> str:
        whose = f"--persona {persona} " if persona and found[1] not in _OF_NO_PERSONA else ""
        return f"sls {whose}{found[1]}"

    if persona:
        text = _HOST_COMMAND.sub(rf"sls --persona {persona} host \1", text)
    text = _TAKES_A_CELL.sub("%sls preflight -f FILE takes it", text)
    return _NOTEBOOK_COMMAND.sub(typed, _HOSTS_COMMAND.sub(r"sls host \1", text))


def card_in_shell(card: Card, persona: str | None) -> Card:
    """The card with its sentences as :func:`in_shell`; code, names and values stay as they are."""
    from sls_jupyter.notebook.cards import Block, Bullets, Line

    def typed(block: Block) -> Block:
        if isinstance(block, Line):
            return Line(in_shell(block.words, persona))
        return Bullets([in_shell(item, persona) for item in block.items]) if isinstance(block, Bullets) else block

    return replace(card, blocks=[typed(block) for block in card.blocks])


def isolated() -> bool:
    """Whether this machine has a sandbox: what it simulates runs without one otherwise."""
    from sls_jupyter.hosts.probing import find_bubblewrap

    return find_bubblewrap()[0] is not None

"""The commands that a notebook has too: calls on a persona's session, or on what its folder says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sls_jupyter.cli.words import card_in_shell, show

if TYPE_CHECKING:
    from sls_jupyter.notebook.cards import Card


def session_command(options: argparse.Namespace) -> int:
    """Run one; returns its exit code: 1 too where a log was missing, or a preflight says that a run could not be."""
    from sls_jupyter.notebook.remembered import ANSWERED
    from sls_jupyter.notebook.sessions import folder_of, require_persona

    if options.command != "whoami":
        require_persona(options.persona)
    if options.command in ANSWERED:  # at once: nothing is loaded that calls or serves anybody
        folder = folder_of(options.persona, new=getattr(options, "new", False))
        return _show([ANSWERED[options.command](folder, options)], options)
    namespace: dict[str, Any] = {}  # where a notebook has its variables
    cards = _ask(options, namespace)
    code = _show(cards, options)
    if options.command == "result":
        from sls_jupyter.cli.values import show_values

        show_values(namespace)
    return code


def _ask(options: argparse.Namespace, namespace: dict[str, Any]) -> list[Card]:
    """The cards of a command that needs the whole session."""
    from sls_jupyter.notebook import commands
    from sls_jupyter.notebook.cards import Card
    from sls_jupyter.notebook.sessions import close_all, session_for

    cell = None
    if options.command == "preflight":
        from sls_jupyter.cli.code import code_of, take_parameters

        cell = code_of(options)
        take_parameters(options, namespace)
    try:
        context = commands.Context(session_for(options.persona), options, cell, namespace)
        found = commands.overview(context) if options.command is None else commands.COMMANDS[options.command](context)
    finally:
        close_all()
    return [one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, Card)]


def _show(cards: list[Card], options: argparse.Namespace) -> int:
    for card in cards:
        show(card_in_shell(card, options.persona))
    no_run = options.command == "preflight" and any(card.tone == "bad" for card in cards)
    return 1 if no_run or any(card.incomplete for card in cards) else 0

"""What a persona's own folder says, on the screen: who it is, its runs. Whom it knows is in people.py.

Nothing here loads a host, an authority or a table, so that ``sls whoami`` and ``sls runs`` answer at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.agent.place import why_switched_off
from sls_jupyter.notebook import people
from sls_jupyter.notebook.cards import Card, Cell, Facts, Line, Mono, Table, marks
from sls_jupyter.notebook.words import is_simulated, state_chip, time_words

if TYPE_CHECKING:
    from sls_jupyter.session import RunRecord, SessionRecord
    from sls_jupyter.session.remembering import Remembering


def whoami_card(about: Mapping[str, str], note: str = "", *, shared: bool = False) -> Card:
    """Whose session it is.

    Args:
        shared: it stays in a document that others read, who learn nothing of the machine from it.
    """
    folder = _without_user(about["home"]) if shared else about["home"]
    return Card(
        f"You are {about['name']}",
        [*([Line(note)] if note else []), Facts([("DID", Mono(about["did"])), ("folder", Mono(folder))])],
    )


def _without_user(path: str) -> str:
    """A folder without the place and the name of a user's home, or of the one that SLS_HOME names."""
    for place, name in ((os.environ.get("SLS_HOME", ""), "$SLS_HOME"), (os.path.expanduser("~"), "~")):  # noqa: PTH111
        if place and Path(path).is_relative_to(place):
            return str(Path(name) / Path(path).relative_to(place))
    return Path(path).name


def runs_card(records: Sequence[RunRecord]) -> Card:
    """Runs of this persona, newest first. Why one ended says itself when it is another party's word."""
    rows: list[Sequence[Cell]] = [
        (
            Mono(one.id),
            state_chip(one.state),
            time_words(one.started_at),
            f"{one.session}, cell {one.cell}" if one.session else ", ".join(one.inputs),
            one.purpose or "not stated",
            tee_words(one.tee, one.isolated is False) or "none",
            one.reason or one.now or (f"results in {one.stored}" if one.stored else ""),
        )
        for one in records
    ]
    heads = ("run", "state", "started", "assets", "purpose", "TEE", "what it does, or why it ended")
    return Card(
        "Runs",
        [Table(heads, rows, "No run yet.")],
        simulated=any(is_simulated(one.tee) for one in records),
        not_isolated=any(one.isolated is False for one in records),
    )


def sessions_card(records: Sequence[SessionRecord]) -> Card:
    """Sessions of this persona, newest first."""
    rows: list[Sequence[Cell]] = [
        (
            one.name,
            state_chip(one.state),
            f"{one.cells} of {one.most}",
            time_words(one.opened_at),
            ", ".join(one.inputs),
            one.purpose or "not stated",
        )
        for one in records
    ]
    return Card(
        "Sessions", [Table(("session", "state", "cells", "opened", "assets", "purpose"), rows, "No session yet.")]
    )


def tee_words(tee: str, not_isolated: bool) -> str:
    """A TEE with what has to be said beside it; nothing for no TEE."""
    said = ", ".join(marks(is_simulated(tee), not_isolated))
    return f"{tee} ({said})" if said else tee


# --- the commands that a folder answers -----------------------------------------------------------


def no_agent(why: str) -> str:
    """What it means that there is no agent; nothing where there is one, or one can be."""
    return f"There is no agent ({why}): runs and authorities end with the process that has them." if why else ""


def _whoami(session: Remembering, _: argparse.Namespace) -> Card:
    return whoami_card(session.whoami(), no_agent(why_switched_off()))


def _runs(session: Remembering, _: argparse.Namespace) -> Card:
    return runs_card(session.runs())


def _sessions(session: Remembering, _: argparse.Namespace) -> Card:
    return sessions_card(session.sessions())


ANSWERED: Mapping[str, Callable[[Remembering, argparse.Namespace], Card]] = {
    "whoami": _whoami,
    "runs": _runs,
    "sessions": _sessions,
    "name": people.name,
    "contacts": people.contacts,
    "contact": people.contact,
}
"""Commands that need a persona's folder and nobody else; a notebook has them from its whole session."""

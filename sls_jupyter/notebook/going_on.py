"""What goes on when a notebook ends: following a run again, its outputs as files, and the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sls_jupyter.agent import starting
from sls_jupyter.agent.place import LOG, switched_off, why_switched_off
from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.cards import Bullets, Card, Facts, Line, Mono, Table
from sls_jupyter.notebook.follow import TextScreen, say
from sls_jupyter.printing import time_words

if TYPE_CHECKING:
    from pathlib import Path

    from sls_jupyter.safestream.run import Run
    from sls_jupyter.session import Session

ACTIONS = ("status", "start", "stop")


def attach(session: Session, id_: str, follow: Callable[[Run], None] | None) -> tuple[object, ...]:
    """Show a run from its beginning, and follow it to its end.

    Args:
        follow: shows it in a notebook; a terminal by default.

    Raises:
        UnknownName: there is no such run. What the run ended with. KeyboardInterrupt: only the following has ended.
    """
    run = session.attach(id_)
    (follow or _in_terminal)(run)
    return ()


def _in_terminal(run: Run) -> None:
    screen = TextScreen(run)
    screen.start()
    try:
        for event in run.follow():
            screen.take(event)
    except KeyboardInterrupt:
        say(f"Run {run.id} goes on; sls attach {run.id} follows it again, sls cancel {run.id} ends it.")
        raise
    screen.finish()
    if run.error is not None:
        raise run.error from None


def saved_outputs_card(session: Session, id_: str, folder: str) -> Card:
    """Write what a run gave into a folder, and say what is there now."""
    paths = session.save_result(id_, folder)
    rows = [(Mono(path.name), f"{path.stat().st_size:,} bytes") for path in paths]
    where = str(paths[0].parent) if paths else folder
    return Card(
        f"Outputs of run {id_.removeprefix('sha256:')[:12]}",
        [Facts([("folder", Mono(where))]), Table(("file", "size"), rows, "It gave nothing.")],
    )


def agent(session: Session, action: str, *, force: bool = False) -> Card:
    """``agent status``, ``start`` and ``stop``.

    Raises:
        BadInput: no such action, or runs go on. Unavailable: it cannot be started or stopped.
    """
    root = session.home.root
    if action not in ACTIONS:
        raise BadInput("The agent cannot do that.", found=action[:40], expected=", ".join(ACTIONS))
    if action == "stop":
        stopped = starting.stop(root, force=force)
        return Card("The agent has ended" if stopped else "No agent runs", tone="note")
    if action == "start" and not switched_off():
        try:
            starting.ensure(root)
        except starting.NoBackground as reason:
            return _none(str(reason))
    return _status(root)


def _status(root: Path) -> Card:
    if why := why_switched_off():
        return _none(why)
    found = starting.find(root)
    if found is None:
        return Card("No agent runs", [Line("The next call that needs one starts it, and so does %sls agent start.")])
    facts = [
        ("process", str(found.pid)),
        ("since", time_words(found.started)),
        ("version", found.version),
        ("home", Mono(found.home)),
        ("log", Mono(str(root / "agent" / LOG))),
    ]
    keeps = [Line("What keeps it:"), Bullets(list(found.keeps))] if found.keeps else []
    minutes = f"{found.idle_seconds / 60:g}"
    idle = Line(f"It ends by itself when nothing needs it for {minutes} minute{'' if minutes == '1' else 's'}.")
    return Card("The agent", [Facts(facts), *keeps, idle], tone="good")


def _none(why: str) -> Card:
    return Card(
        "There is no agent",
        [Line(f"{why}."), Line("Everything works in each process; runs and authorities end with it.")],
        tone="note",
    )

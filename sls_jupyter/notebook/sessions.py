"""One session for each persona in this process, so that magics, scripts and forms see the same runs."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import threading
from typing import TYPE_CHECKING

from sls_jupyter.errors import UnknownName
from sls_jupyter.identity import Home

if TYPE_CHECKING:
    from sls_jupyter.session import Session
    from sls_jupyter.session.remembering import Remembering

ALIKE = 0.75  # of difflib: names that are one slip of the pen apart

_lock = threading.Lock()
_sessions: dict[Home, Session] = {}


def session_for(persona: str | None = None, *, new: bool = False) -> Session:
    """The session of that persona, made on first use; the first persona of a user is made without being asked for.

    Args:
        new: make it also where its name is like that of another one.

    Raises:
        UnknownName: there is none, and one whose name is almost the same.
        BadInput: not a persona's name. Unavailable: its folder cannot be used.
    """
    from sls_jupyter.agent.background import AgentBackground
    from sls_jupyter.session import Session

    home = Home.find(persona)
    with _lock:
        if home not in _sessions:
            if not new:
                require_meant(home)
            session = Session(home)
            session.background = AgentBackground(home)
            _sessions[home] = session
        return _sessions[home]


def folder_of(persona: str | None = None, *, new: bool = False) -> Remembering:
    """What that persona's folder says, for calls that need nobody else; there is nothing to close.

    Args, raises:
        as :func:`session_for`.
    """
    from sls_jupyter.session.remembering import Remembering

    home = Home.find(persona)
    if not new:
        require_meant(home)
    return Remembering(home)


def personas(home: Home) -> list[str]:
    """Every persona of this user that has keys, by name."""
    return Home.with_keys(home.root)


def require_persona(persona: str | None = None) -> Home:
    """The home of a persona that exists, or of this user's first one: a slip of the pen must not make new keys.

    Raises:
        UnknownName: there are others, and not this one. BadInput, Unavailable: as :func:`session_for`.
    """
    home = Home.find(persona)
    known = personas(home)
    if not known or home.persona in known:
        return home
    raise _no_persona(home, known, _near(home, known))


def require_meant(home: Home) -> None:
    """Refuse a persona that does not exist where one does whose name is almost the same; others may be made.

    Raises:
        UnknownName: with that one, and how to make this one on purpose.
    """
    known = personas(home)
    near = _near(home, known)
    if home.persona not in known and near:
        raise _no_persona(home, known, near)


def _near(home: Home, known: list[str]) -> str:
    found = difflib.get_close_matches(home.persona, known, 1, cutoff=ALIKE)
    return found[0] if found else ""


def _no_persona(home: Home, known: list[str], near: str) -> UnknownName:
    with contextlib.suppress(OSError):  # the folder that looking made; one with something in it stays
        home.path.rmdir()
    name = home.persona
    return UnknownName(
        f"There is no persona {name}.",
        expected=", ".join(known),
        hint=f"{f'Did you mean {near}?' if near else 'Name yours with --persona.'}"
        f" %sls as {name} --new makes a new one; in a shell, sls whoami --persona {name} --new.",
    )


def close_all() -> None:
    """End every session of this process. What it does itself ends: runs are cancelled, authorities stop; the agent goes on."""
    with _lock:
        ending = list(_sessions.values())
        _sessions.clear()
    for session in ending:
        session.close()


atexit.register(close_all)

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

_lock = threading.Lock()
_sessions: dict[Home, Session] = {}


def session_for(persona: str | None = None) -> Session:
    """The session of that persona, made on first use.

    Raises:
        BadInput: not a persona's name. Unavailable: its folder cannot be used.
    """
    from sls_jupyter.session import Session

    home = Home.find(persona)
    with _lock:
        if home not in _sessions:
            _sessions[home] = Session(home)
        return _sessions[home]


def personas(home: Home) -> list[str]:
    """Every persona of this user that has keys, by name."""
    return [one for one in home.personas() if (home.root / "personas" / one / "keys" / "ed25519").exists()]


def require_persona(persona: str | None = None) -> Home:
    """The home of a persona that exists, or of this user's first one: a slip of the pen must not make new keys.

    Raises:
        UnknownName: there are others, and not this one. BadInput, Unavailable: as :func:`session_for`.
    """
    home = Home.find(persona)
    known = personas(home)
    if not known or home.persona in known:
        return home
    with contextlib.suppress(OSError):  # the folder that looking made; one with something in it stays
        home.path.rmdir()
    near = difflib.get_close_matches(home.persona, known, 1)
    raise UnknownName(
        f"There is no persona {home.persona}.",
        expected=", ".join(known),
        hint=f"{f'Did you mean {near[0]}?' if near else 'Name yours with --persona.'}"
        f" sls whoami --persona {home.persona} makes a new one.",
    )


def close_all() -> None:
    """End every session of this process; its runs are cancelled, its embedded authorities stop."""
    with _lock:
        ending = list(_sessions.values())
        _sessions.clear()
    for session in ending:
        session.close()


atexit.register(close_all)

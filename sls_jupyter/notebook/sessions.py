"""One session for each persona in this process, so that magics, scripts and forms see the same runs."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

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


def close_all() -> None:
    """End every session of this process; its runs are cancelled, its embedded authorities stop."""
    with _lock:
        ending = list(_sessions.values())
        _sessions.clear()
    for session in ending:
        session.close()


atexit.register(close_all)

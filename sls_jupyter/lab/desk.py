"""Who answers a panel: one session for each persona in the server's process, and threads that answers are made in.

The same question, asked several times at once, is answered once. What only this user's own folder and processes are
asked for has threads of its own, so that an authority which takes its time delays what is asked of authorities and
nothing else.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.documents import Model
from sls_jupyter.errors import TooManyRequests, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.printing import one_line

if TYPE_CHECKING:
    from sls_jupyter.session import Session

NEAR_THREADS = 8
FAR_THREADS = 16
MAX_ASKED = 64  # calls that are answered or wait for a thread, of all pages of one server


def first_persona(root: Path) -> str:
    """The persona that a page begins with: ``SLS_PERSONA``, ``me``, or the first by name; "" where there is none."""
    known = Home.with_keys(root)
    wanted = os.environ.get("SLS_PERSONA") or Home.DEFAULT
    return wanted if wanted in known else next(iter(known), "")


def require_known(root: Path, name: str) -> str:
    """The name of a persona that exists; the first one where none is named. Nothing is made.

    Raises:
        UnknownName: there is none of that name, with those that there are, or none at all.
    """
    known = Home.with_keys(root)
    found = name or first_persona(root)
    if found in known:
        return found
    if not known:
        raise UnknownName("There is no persona yet.", hint="Make one: People, or %sls as NAME in a notebook.")
    raise UnknownName(
        f"There is no persona {one_line(name, 60)}.", expected=", ".join(known), hint="Choose one of these, or make it."
    )


class Desk:
    """Threads, and the questions that are being answered in them.

    Args:
        root: of all personas of this user.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._near = ThreadPoolExecutor(NEAR_THREADS, "sls-near")
        self._far = ThreadPoolExecutor(FAR_THREADS, "sls-far")
        self._lock = threading.Lock()  # of what stands below; nothing is waited for while it is held
        self._asked: dict[Hashable, Future[Model]] = {}
        self._count = 0
        self._alone: dict[Hashable, threading.Lock] = {}

    def session(self, persona: str) -> Session:
        """The session of a persona that exists.

        Raises:
            UnknownName: there is none of that name. Unavailable: its folder cannot be used.
        """
        from sls_jupyter.notebook.sessions import session_for

        return session_for(require_known(self.root, persona))

    def ask(self, call: Callable[[], Model], *, near: bool, same: Hashable = None) -> Future[Model]:
        """Have a call made in a thread.

        Args:
            near: it asks nobody but this user's own folder and processes.
            same: what tells the question; one that is being answered is not asked again. ``None``: it always is.

        Raises:
            TooManyRequests: more is asked than is answered.
        """
        with self._lock:
            known = None if same is None else self._asked.get(same)
            if known is not None:
                return known
            if self._count >= MAX_ASKED:
                raise TooManyRequests("This server has more questions than it can answer.", detail={"retry_after": 1})
            future = (self._near if near else self._far).submit(call)
            self._count += 1
            if same is not None:
                self._asked[same] = future
        future.add_done_callback(lambda done: self._answered(same, done))
        return future

    def _answered(self, same: Hashable, done: Future[Model]) -> None:
        with self._lock:
            self._count -= 1
            if same is not None and self._asked.get(same) is done:
                del self._asked[same]

    def alone(self, what: Hashable) -> contextlib.AbstractContextManager[object]:
        """A lock that calls of one kind hold one after the other."""
        with self._lock:
            return self._alone.setdefault(what, threading.Lock())

    def close(self) -> None:
        """Begin nothing more; what is being answered ends by itself."""
        self._near.shutdown(wait=False, cancel_futures=True)
        self._far.shutdown(wait=False, cancel_futures=True)

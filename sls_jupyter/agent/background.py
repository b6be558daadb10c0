"""The agent as a session uses it: :class:`sls_jupyter.session.background.Background` of one persona."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sls_jupyter.agent.client import AgentClient
from sls_jupyter.agent.place import why_switched_off
from sls_jupyter.agent.starting import NoBackground, ensure, find
from sls_jupyter.errors import SlsError, Unavailable, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.network import NotReached
from sls_jupyter.session.background import LiveRun, Served
from sls_jupyter.session.posted import PostedCell, PostedRun, PostedSession

T = TypeVar("T")
_RETRY_SECONDS = 0.2


class AgentBackground:
    """The agent of a persona's home, started by the first call that needs it."""

    def __init__(self, home: Home) -> None:
        self._root, self._persona = home.root, home.persona
        self._client = AgentClient(home.root / "agent")
        self._why_not = why_switched_off()
        self._reached = False
        self._closed = threading.Event()
        self._holding: threading.Thread | None = None
        self._lock = threading.Lock()

    def why_not(self) -> str:
        return self._why_not

    def launch(self, posted: PostedRun) -> str | None:
        return self._ask(lambda: self._client.launch(self._persona, posted))

    def open_session(self, posted: PostedSession) -> bool:
        def opened() -> bool:
            self._client.open_session(self._persona, posted)
            return True

        return self._ask(opened) is True

    def run_cell(self, posted: PostedCell) -> str | None:
        return self._ask(lambda: self._client.run_cell(self._persona, posted))

    def close_session(self, name: str) -> bool:
        return self._ask(lambda: self._client.close_session(self._persona, name)) is True

    def serve(self) -> Served | None:
        told = self._ask(lambda: self._client.serve(self._persona))
        return None if told is None else Served(told.url, told.unreachable)

    def wake(self) -> bool:
        return self._ask(lambda: True) is True

    def live(self) -> dict[str, LiveRun]:
        if self._why_not or find(self._root) is None:
            return {}
        try:
            found = self._client.runs().runs
        except (NotReached, SlsError):
            return {}
        mine = [one for one in found if one.persona == self._persona and one.state == "running"]
        return {one.id: LiveRun(one.id, one.state, one.status) for one in mine}

    def cancel(self, run: str) -> bool:
        try:
            self._client.cancel(run)
        except (NotReached, UnknownName):
            return False
        return True

    def events(self, run: str, start: int) -> Iterator[dict[str, Any]]:
        """As the interface says. A connection that breaks is made again for as long as an agent is there."""
        position = start
        while not self._why_not and not self._closed.is_set():
            try:
                for event in self._client.events(run, position):
                    position += 1
                    yield event
                    if event["type"] == "ended":
                        return
            except UnknownName:
                return
            except NotReached:
                if find(self._root) is None:
                    return
                time.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    # --- reaching it ------------------------------------------------------------------------------

    def _ask(self, call: Callable[[], T]) -> T | None:
        """Make a call to the agent, which is started if it is not there; ``None`` where there can be none.

        Raises:
            Unavailable: it fails. What the agent itself raises.
        """
        for last in (False, True):
            if self._why_not or self._closed.is_set() or not self._reach(anew=last):
                return None
            try:
                return call()
            except NotReached as failure:  # it ended between two calls
                self._reached = False
                if last:
                    raise Unavailable(
                        "The agent does not answer.", found=failure.reason, hint="sls agent status says more."
                    ) from None
        return None

    def _reach(self, *, anew: bool) -> bool:
        with self._lock:
            if anew or not self._reached or find(self._root) is None:
                try:
                    ensure(self._root)
                except NoBackground as reason:
                    self._why_not = str(reason)
                    return False
                self._reached = True
            self._hold()
            return True

    def _hold(self) -> None:
        """Keep the agent for as long as this process uses it."""
        if self._holding is None or not self._holding.is_alive():
            self._holding = threading.Thread(target=self._lease, name="sls-lease", daemon=True)
            self._holding.start()

    def _lease(self) -> None:
        with contextlib.suppress(NotReached, SlsError):
            while not self._closed.is_set():
                self._client.lease()

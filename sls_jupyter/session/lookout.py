"""What waits for a persona's decision, kept up to date: each authority is asked for as little as tells that something changed."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import SlsError
from sls_jupyter.network import within
from sls_jupyter.session.reviewing import RequestInfo

OWN_SECONDS = 5.0  # that an authority of this user's own may take: it is on this machine


class Asking(Protocol):
    """What of a session is used here (:class:`sls_jupyter.session.inbox.Inbox`)."""

    def served_here(self) -> list[AuthorityClient]: ...

    def connected(self) -> list[AuthorityClient]: ...

    def each(
        self, clients: Sequence[AuthorityClient], call: Callable[[AuthorityClient], None], *, topic: str
    ) -> None: ...

    def open_at(
        self, client: AuthorityClient, known: Mapping[str, RequestInfo | None]
    ) -> dict[str, RequestInfo | None]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """Something was logged at one authority."""

    authority: str  # DID
    first: bool  # it was not looked at before, so that nothing is known to be new
    asked: tuple[RequestInfo, ...]  # what came to wait for this persona


class Lookout:
    """The open requests that a persona decides on, authority by authority. Several threads may look at once.

    What is *not* seen here: that a request was dropped without an entry of the log, as muting does; a list that is
    asked for anew shows it.
    """

    def __init__(self, session: Asking) -> None:
        self._session = session
        self._lock = threading.Lock()  # of what stands here; nothing is waited for while it is held
        # one look at an authority at a time
        self._looking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._marks: dict[str, tuple[bytes, str]] = {}  # by the authority's DID
        self._open: dict[str, dict[str, RequestInfo | None]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    @contextlib.contextmanager
    def listening(self, tell: Callable[[Change], None]) -> Iterator[None]:
        """Have somebody told of each change, whoever looked; it is called in the thread that did."""
        with self._lock:
            self._listeners.append(tell)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(tell)

    def waiting(self) -> int:
        """Requests that wait for this persona at the authorities that were looked at, each counted once."""
        with self._lock:
            return len({id_ for found in self._open.values() for id_, one in found.items() if _mine(one)})

    def look_here(self) -> None:
        """Look at the authorities of this user's own personas; one that does not answer is left out."""
        for client in self._session.served_here():
            with contextlib.suppress(SlsError), within(OWN_SECONDS):
                self.look(client)

    def look_elsewhere(self) -> None:
        """Look at the authorities of others, side by side and each within its time."""
        self._session.each(self._session.connected(), self.look, topic="lookout")

    def look(self, client: AuthorityClient) -> None:
        """Look at one authority; nothing of it is read anew unless something was logged.

        Raises:
            SlsError: it does not answer, or not as one does.
        """
        did = client.did
        with self._lock:
            looking = self._looking[did]
        with looking:
            mark = _mark(client)
            before, known = self._marks.get(did), self._open.get(did, {})
            if mark == before:
                return
            found = self._session.open_at(client, known)
            new = [one for id_, one in found.items() if one is not None and _mine(one) and not _mine(known.get(id_))]
            with self._lock:
                self._marks[did], self._open[did] = mark, found
                listeners = list(self._listeners)
        for tell in listeners:
            tell(Change(did, before is None, () if before is None else tuple(new)))


def _mine(one: RequestInfo | None) -> bool:
    return one is not None and one.mine_to_decide


def _mark(client: AuthorityClient) -> tuple[bytes, str]:
    """Another one: something was logged, or somebody asked. Who is named by no policy is logged only when they are let run."""
    newest = client.requests(after=None, limit=1, state="open").requests
    return client.newest_checkpoint(), newest[0].id if newest else ""

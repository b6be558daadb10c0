"""What waits for a persona's decision, kept up to date: each authority is asked for as little as tells that something changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import SlsError
from sls_jupyter.network import within
from sls_jupyter.session.reviewing import RequestInfo

if TYPE_CHECKING:
    from sls_jupyter.session.inbox import Inbox

OWN_SECONDS = 5.0  # that an authority of this user's own may take: it is on this machine


@dataclass(frozen=True, slots=True)
class Change:
    """What one authority showed that it did not show before."""

    authority: str  # DID
    first: bool  # it was not looked at before, so that nothing is new
    asked: tuple[RequestInfo, ...]  # what came to wait for this persona


class Lookout:
    """The open requests that a persona decides on, authority by authority. Several threads may look at once.

    What is *not* seen here: that a request was dropped without an entry of the log, as muting does; a list that is
    asked for anew shows it.
    """

    def __init__(self, session: Inbox) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._marks: dict[str, bytes] = {}  # newest checkpoint, by the authority's DID
        self._open: dict[str, dict[str, RequestInfo | None]] = {}

    def waiting(self) -> int:
        """Requests that wait for this persona at the authorities that were looked at, each counted once."""
        with self._lock:
            return len({id_ for found in self._open.values() for id_, one in found.items() if _mine(one)})

    def look_here(self) -> list[Change]:
        """Look at the authorities of this user's own personas; one that does not answer is left out."""
        found = []
        for client in self._session.served_here():
            try:
                with within(OWN_SECONDS):
                    change = self.look(client)
            except SlsError:
                continue
            found += [] if change is None else [change]
        return found

    def look_elsewhere(self, tell: Callable[[Change], None]) -> None:
        """Look at the authorities of others, side by side and each within its time.

        Args:
            tell: called in a thread of its own for each that changed, as soon as that one has answered.
        """

        def look(client: AuthorityClient) -> None:
            change = self.look(client)
            if change is not None:
                tell(change)

        self._session.each(self._session.connected(), look, topic="lookout")

    def look(self, client: AuthorityClient) -> Change | None:
        """What changed at one authority since it was looked at last; ``None``: nothing was logged.

        Raises:
            SlsError: it does not answer, or not as one does.
        """
        did = client.did
        mark = client.newest_checkpoint()
        with self._lock:
            before, known = self._marks.get(did), self._open.get(did, {})
        if mark == before:
            return None
        found = self._session.open_at(client, known)
        with self._lock:
            self._marks[did], self._open[did] = mark, found
        new = [] if before is None else [one for id_, one in found.items() if _mine(one) and not _mine(known.get(id_))]
        return Change(did, before is None, tuple(one for one in new if one is not None))


def _mine(one: RequestInfo | None) -> bool:
    return one is not None and one.mine_to_decide

"""Collecting cosignatures while an authority is served: a thread that asks the log's witnesses, once a minute at most.

What is due is read from the database, so it survives a restart, and several servers of one authority do not
ask twice. A witness that fails is asked again in the next round; nothing that it does ends the server.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from sls_jupyter.authority import ledger, witnessing
from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.witness_client import post_checkpoint
from sls_jupyter.errors import SlsError, Unavailable

STOP_SECONDS = 5.0  # how long the end of a server waits for a witness that is being asked
_NOT_ASKED, _FOREIGN = "not_asked", "foreign"  # in the detail of an error: it is none; it hides this class
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """A witness of a log, and how far it has followed it."""

    name: str  # of its key
    url: str | None  # where it answers add-checkpoint; None: it brings its cosignatures
    tree_size: int | None  # of the newest checkpoint that it cosigned; None: of none


def standings(authority: Authority) -> tuple[int, tuple[Standing, ...]]:
    """The size of an authority's log, and each of its witnesses by name; reads only."""
    who, lines = db.log_witnesses, db.log_cosignatures
    newest = (
        sa.select(lines.c.witness, sa.func.max(lines.c.tree_size).label("tree_size"))
        .group_by(lines.c.witness)
        .subquery()
    )
    query = (
        sa.select(who.c.name, who.c.url, newest.c.tree_size)
        .join_from(who, newest, who.c.name == newest.c.witness, isouter=True)
        .order_by(who.c.name)
    )
    with authority.store.read() as connection:
        size = ledger.size(connection, authority)
        return size, tuple(Standing(*row) for row in connection.execute(query))


def due(authority: Authority) -> frozenset[str]:
    """The ``add-checkpoint`` of each witness since whose last cosignature the log has grown."""
    size, witnesses = standings(authority)
    behind = [one.url for one in witnesses if one.url is not None and (one.tree_size or 0) < size]
    return frozenset(f"{url.rstrip('/')}/add-checkpoint" for url in behind)


class Collector:
    """What one server's thread does, and what became of it."""

    def __init__(self, authority: Authority, every: float, post: witnessing.Post) -> None:
        self.rounds = 0  # in which a witness was asked
        self.failures: Counter[str] = Counter()  # class of error → how often, over all rounds
        self._authority, self._every, self._post = authority, every, post
        self._last: Counter[str] = Counter()
        self._ending = threading.Event()

    def run(self) -> None:
        """A round at once, then one every ``every`` seconds, until :meth:`end`."""
        while not self._ending.is_set():
            self.look()
            self._ending.wait(self._every)

    def end(self) -> None:
        """Let :meth:`run` return; witnesses that were not asked yet are not asked any more."""
        self._ending.set()

    def look(self) -> None:
        """One round: ask, if the log has grown. Never raises; failures are counted by the name of their class."""
        failed: Counter[str] = Counter()
        try:
            if waiting := due(self._authority):
                self.rounds += 1
                results = witnessing.collect(self._authority, partial(self._ask, waiting))
                errors = [error for error in results.values() if error is not None and _NOT_ASKED not in error.detail]
                failed.update(error.detail.get(_FOREIGN, type(error).__name__) for error in errors)
        except Exception as error:  # noqa: BLE001  # the server goes on; the text may quote what a witness sent
            failed[type(error).__name__] += 1
        if self._ending.is_set():
            return
        self.failures += failed
        if failed and failed != self._last:  # a witness that stays away is not told of every minute
            told = ", ".join(f"{name} ({count})" for name, count in sorted(failed.items()))
            _log.warning("cosignatures that could not be collected: %s", told)
        self._last = failed

    def _ask(self, waiting: frozenset[str], url: str, request: bytes) -> bytes:
        if self._ending.is_set() or url not in waiting:
            raise Unavailable("This witness is not asked now.", detail={_NOT_ASKED: True})
        try:
            return self._post(url, request)
        except SlsError:
            raise
        except Exception as error:  # noqa: BLE001  # of a library; the other witnesses are asked all the same
            raise Unavailable("A witness cannot be asked.", detail={_FOREIGN: type(error).__name__}) from None


@contextlib.contextmanager
def collecting(
    authority: Authority, every: float = 60.0, *, post: witnessing.Post = post_checkpoint
) -> Iterator[Collector]:
    """Collect cosignatures of an authority's log in a thread, for as long as the ``with`` block runs.

    Args:
        every: seconds between two rounds.
        post: how a witness is asked.
    """
    collector = Collector(authority, every, post)
    thread = threading.Thread(target=collector.run, name="sls-witnesses", daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.end()
        thread.join(STOP_SECONDS)

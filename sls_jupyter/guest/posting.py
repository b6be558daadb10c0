"""Bringing receipts to the authorities: each has a courier of its own, so none waits for another, and no cell for any.

A receipt that an authority does not take is owed: it is brought again when there is nothing else to bring, and what is
still owed at the end is told. Too many owed ones end the group: nothing goes on unlogged.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.cells import MAX_OWED
from sls_jupyter.errors import Unavailable

POST_ATTEMPTS = 5
POST_SECONDS = 5.0  # of one attempt


class Courier:
    """Brings one authority its receipts, in order."""

    def __init__(self, client: AuthorityClient, spec: str) -> None:
        self._client, self._spec = client, spec
        self._waiting: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        self._owed: list[tuple[bytes, bytes]] = []  # brought, and not taken
        self._open = 0  # of all that were to be brought, how many were not taken yet
        self._counting = threading.Lock()  # of the last one
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def bring(self, records: bytes, receipt: bytes) -> None:
        """Bring these as soon as those before are brought.

        Raises:
            Unavailable: too many wait already, or were brought and not taken.
        """
        with self._counting:
            if self._open >= MAX_OWED:
                raise Unavailable("An authority takes no receipts.", found=f"{MAX_OWED} are owed")
            self._open += 1
        self._waiting.put((records, receipt))

    def finish(self) -> int:
        """Bring what is left; how many are owed then."""
        self._waiting.put(None)
        self._thread.join()
        return len(self._owed)

    def _work(self) -> None:
        while (one := self._waiting.get()) is not None:
            if not self._taken(one):
                self._owed.append(one)
            elif self._owed and self._waiting.empty():
                self._bring_owed()
        self._bring_owed()

    def _bring_owed(self) -> None:
        self._owed = [one for one in self._owed if not self._taken(one, attempts=1)]

    def _taken(self, one: tuple[bytes, bytes], attempts: int = POST_ATTEMPTS) -> bool:
        taken = _post_one(self._client, self._spec, *one, attempts=attempts)
        with self._counting:
            self._open -= taken
        return taken


class Couriers:
    """One for each authority of a spec."""

    def __init__(self, spec: str, parties: Iterable[tuple[str, str]], chosen: frozenset[str]) -> None:
        clients = [AuthorityClient(url, did=did, timeout=POST_SECONDS, chosen=url in chosen) for did, url in parties]
        self._couriers = {client.url: Courier(client, spec) for client in clients}

    def bring(self, records: bytes, receipt: bytes) -> None:
        """To every authority; returns at once."""
        for courier in self._couriers.values():
            courier.bring(records, receipt)

    def finish(self) -> bool:
        """Bring what is left; true when every authority has all of them."""
        owed = {url: courier.finish() for url, courier in self._couriers.items()}
        for url, count in owed.items():
            if count:
                _say(f"{url}: {count} receipts are owed")
        return not any(owed.values())


def _post_one(
    client: AuthorityClient, spec: str, records: bytes, receipt: bytes, attempts: int = POST_ATTEMPTS
) -> bool:
    for attempt in range(attempts):
        try:
            client.post_records(spec, records, receipt)
            return True
        except Exception as error:  # noqa: BLE001  # whatever one authority answers, the others are told
            _say(f"{client.url}: {type(error).__name__}")
            if attempt + 1 < attempts:
                time.sleep(0.2 * 2**attempt)
    return False


def _say(words: str) -> None:
    print(f"audit: {words}", file=sys.stderr, flush=True)  # noqa: T201  # the container's log

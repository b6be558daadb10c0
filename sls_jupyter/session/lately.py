"""Assets as they were looked up a moment ago, for who asks while somebody types."""

from __future__ import annotations

import threading
import time

from sls_jupyter.identity import Home
from sls_jupyter.session.catalogue import AssetInfo, Catalogue

FRESH_SECONDS = 5.0  # how long a look-up stands
SOON_SECONDS = 2.0  # that an authority has to answer
MAX_NAMES = 256


class Lately(Catalogue):
    """Look-ups that may be a few seconds old. No run is prepared from them that anybody is asked for."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._lately: dict[str, tuple[float, AssetInfo]] = {}
        self._looking = threading.Lock()

    def asset_lately(self, name: str) -> AssetInfo:
        """The asset of that name, as it is or was within :data:`FRESH_SECONDS`.

        Where one that answers has it, an authority that is silent is not waited for.

        Raises:
            as :meth:`asset`; a failure is not remembered.
        """
        with self._looking:
            asked, info = self._lately.get(name, (-FRESH_SECONDS, None))
        if info is not None and time.monotonic() - asked < FRESH_SECONDS:
            return info
        info = self._soon(name) or self.asset(name)
        with self._looking:
            if len(self._lately) >= MAX_NAMES:
                self._lately.clear()
            self._lately[name] = (time.monotonic(), info)
        return info

    def names_lately(self) -> dict[str, str]:
        """:meth:`names`, as far as they are known without asking anybody."""
        found = self._labels()
        for client in list(self._clients.values()):
            if (facts := client.known) is not None:
                owner = self.who(facts.owner, facts.owner_contact.name)
                found[owner.did] = str(owner)
                found[facts.did] = f"{owner}'s authority"
        return found

    def _soon(self, name: str) -> AssetInfo | None:
        """The one asset of that name at the authorities that answered when they were asked last; ``None``: not that clear."""
        silent, names = {url for url, _ in self._silent}, self.names_lately()
        asking = {client.did: client for client in self._known_clients() if client.url not in silent}
        answers = self._each(
            list(asking.values()), lambda client: self._named(client, name, names), topic="about", seconds=SOON_SECONDS
        )
        fitting = [info for _, infos in answers for info in infos]
        return fitting[0] if len(fitting) == 1 else None

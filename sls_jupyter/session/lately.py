"""Assets as they were looked up a moment ago, for who asks while somebody types."""

from __future__ import annotations

import threading
import time

from sls_jupyter.identity import Home
from sls_jupyter.session.catalogue import AssetInfo, Catalogue

FRESH_SECONDS = 5.0  # how long a look-up stands
MAX_NAMES = 256


class Lately(Catalogue):
    """Look-ups that may be a few seconds old. No run is prepared from them that anybody is asked for."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._lately: dict[str, tuple[float, AssetInfo]] = {}
        self._looking = threading.Lock()

    def asset_lately(self, name: str) -> AssetInfo:
        """The asset of that name, as :meth:`asset` has it now or had it within :data:`FRESH_SECONDS`.

        Raises:
            as :meth:`asset`; a failure is not remembered.
        """
        with self._looking:
            asked, info = self._lately.get(name, (-FRESH_SECONDS, None))
        if info is not None and time.monotonic() - asked < FRESH_SECONDS:
            return info
        info = self.asset(name)
        with self._looking:
            if len(self._lately) >= MAX_NAMES:
                self._lately.clear()
            self._lately[name] = (time.monotonic(), info)
        return info

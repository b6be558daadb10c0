"""Pictures of runs, drawn from their kept events; looking again reads only what came since."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sls_jupyter.errors import SlsError
from sls_jupyter.safestream.mirror import Picture
from sls_jupyter.session.kept_events import KeptReader

MAX_PICTURES = 64  # runs whose pictures are kept, those that were looked at last


class Pictures:
    """Those of one persona's runs. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[KeptReader, Picture]] = {}
        self._lock = threading.Lock()

    def of(self, contract: str, reader: Callable[[str], KeptReader]) -> Picture:
        """The run of a contract as it stands now.

        Args:
            reader: makes the reader of its events.

        Raises:
            VerificationError, MalformedDocument: the events were changed.
        """
        with self._lock:
            known = self._kept.pop(contract) if contract in self._kept else None
            if known is None or known[0].is_ahead():
                known = reader(contract), Picture(contract)
            source, picture = known
            try:
                _draw(source, picture)
            except SlsError:  # it was begun anew, or it is damaged
                source, picture = reader(contract), Picture(contract)
                _draw(source, picture)
            self._kept[contract] = (source, picture)
            while len(self._kept) > MAX_PICTURES:
                self._kept.pop(next(iter(self._kept)))
            return picture


def _draw(source: KeptReader, picture: Picture) -> None:
    for event in source.read():
        picture.take(event)

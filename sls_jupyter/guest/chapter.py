"""One cell as the audit sidecar hears of it: what happened, when each container came to it, and whether in its turn.

Every container says when, by the one monotonic clock of their kernel: the output opens its gate for a cell, then the
input feeds it, then the output is done, and then only the input comes to the next. Where it was otherwise the gate was
open for other code than the cell's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest.account import Account
from sls_jupyter.transparency.chain import Chain

MAX_RECORDS = 1_000  # of one cell
MAX_RECORD_BYTES = 4096


def moment_of(message: Mapping[str, Any]) -> int:
    """When a container sent this.

    Raises:
        MalformedDocument: it does not say.
    """
    now = message.get("now")
    if type(now) is not int or now < 0:
        raise MalformedDocument("A container does not say when.")
    return now


@dataclass(slots=True)
class Chapter:
    """One cell: what happened, and what is known of it."""

    number: int
    account: Account | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    begun: dict[str, int] = field(default_factory=dict)  # when each container came to it
    ended: int | None = None  # when the output was done with it
    finished_at: float | None = None  # time.monotonic() of the output's last word, as it was heard
    done: bool = False  # the input has said its last word

    def keep(self, role: str, record: Mapping[str, Any]) -> None:
        """Keep a record, bounded in size and number.

        Raises:
            MalformedDocument: no chain can hold it.
        """
        body = {"from": role, **{name: value for name, value in record.items() if name != "from"}}
        if len(self.records) >= MAX_RECORDS:
            return
        if len(self.records) == MAX_RECORDS - 1 or len(canonical_json(body)) > MAX_RECORD_BYTES:
            body = {"from": role, "event": "record-too-large"}
        Chain().append(body)
        self.records.append(body)

    def hold_to_turn(self, after: Chapter | None, *, last: bool = False) -> None:
        """Doubt this cell if its gate was open for other code.

        Args:
            after: the next cell, as far as there is one. last: nothing more will be heard of this one.
        """
        fed, opened, ended = self.begun.get("input"), self.begun.get("output"), self.ended
        following = None if after is None else after.begun.get("input")
        early = fed is not None and opened is not None and fed < opened
        late = following is not None and ended is not None and following < ended
        unfed = last and fed is None and ended is not None
        if (early or late or unfed) and self.account is not None and not self.account.is_doubtful:
            self.account.doubt()
            self.keep("audit", {"event": "out-of-turn"})

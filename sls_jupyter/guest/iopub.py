"""What the program's kernel publishes (Jupyter's iopub messages), at the output: what the cell shows and prints.

Reading and judging are two threads. Judging takes time (a figure is cleaned), and a kernel whose socket nobody
reads stands still; so messages are read at once, counted against the program's budget, and wait in a queue that
the budget bounds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from sls_jupyter.guest import wire
from sls_jupyter.guest.hostile import Budget

DRAIN_SECONDS = 5.0  # how long one message may take after the program said it is done; more than cleaning one text


class Displays:
    """Follows the kernel's connection until the run has ended.

    Args:
        take: judges one message; raises what it likes, for messages of a hostile program.
        refuse: called with what was raised.
        ended: set when nothing more is wanted.
    """

    def __init__(
        self,
        budget: Budget,
        take: Callable[[dict[str, Any]], None],
        refuse: Callable[[Exception], None],
        ended: threading.Event,
    ) -> None:
        self._budget, self._take, self._refuse, self._ended = budget, take, refuse, ended
        self._messages: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()  # read, counted, not yet judged
        self._judged_at = 0.0  # time.monotonic() of the last of them
        self._idle_cells = 0

    def follow(self, file: wire.ByteFile) -> None:
        """Read to the end of the connection.

        Raises:
            TooMuch: the budget is used up. MalformedDocument: these are no frames.
        """
        threading.Thread(target=self._judge, args=(Session(key=b""),), daemon=True).start()
        while (frames := wire.receive_frames(file, self._budget.take)) is not None:
            self._messages.put(frames)

    def drain(self, cells: int) -> None:
        """Wait until so many cells were seen to end, as long as something comes of it."""
        self._judged_at = time.monotonic()
        while self._idle_cells < cells and time.monotonic() < self._judged_at + DRAIN_SECONDS:
            if self._ended.wait(0.005):  # it is another connection; its messages may still be on their way
                return

    def _judge(self, session: Any) -> None:
        while not self._ended.is_set():
            parts = self._messages.get()
            try:
                message = session.deserialize(session.feed_identities(parts)[1])
                if _ends_a_cell(message):
                    self._idle_cells += 1
                else:
                    self._take(message)
            except Exception as error:  # noqa: BLE001  # hostile bytes raise anything, and the next message may be honest
                self._refuse(error)
            self._judged_at = time.monotonic()


def _ends_a_cell(message: dict[str, Any]) -> bool:
    idle = message["msg_type"] == "status" and message["content"].get("execution_state") == "idle"
    return bool(idle and message.get("parent_header", {}).get("msg_type") == "execute_request")

"""What the program's kernel publishes (Jupyter's iopub messages), at the output: what each cell shows and prints.

Reading and judging are two threads. Judging takes time (a figure is cleaned), and a kernel whose socket nobody
reads stands still; so messages are read at once, counted against the program's budget, and wait in a queue that
the budget bounds.

Each message names the request that it belongs to, by the program's own word. It keeps an honest program's cells apart: what
a thread of an earlier cell prints is not shown in a later one. A hostile program can mislabel its own words, and the gate of
the cell that is open judges them.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from sls_jupyter.guest import wire
from sls_jupyter.guest.hostile import Budget

DRAIN_LOOK_SECONDS = 0.002
_REQUEST = re.compile(r"cell-([1-9][0-9]{0,3})\.[0-9]{1,3}")
# How long one message may take after the program said it is done: 5 seconds, more than cleaning one text. In looks, and
# not by the clock, so that a machine that stood still has lost nobody's last words.
DRAIN_LOOKS = 2500


class Displays:
    """Follows the kernel's connection until the group has ended.

    Args:
        take: judges one message, of the cell with that number if it names one; raises what it likes, for messages of a
            hostile program.
        refuse: called with what was raised.
        over: set when nothing more is wanted.
    """

    def __init__(
        self,
        budget: Budget,
        take: Callable[[int | None, dict[str, Any]], None],
        refuse: Callable[[Exception], None],
        over: threading.Event,
    ) -> None:
        self._budget, self._take, self._refuse, self._over = budget, take, refuse, over
        self._messages: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()  # read, counted, not yet judged
        self._judged = 0  # how many of them were
        self._cell = 1  # the one that is open
        self._idle_parts = 0  # of it, that were seen to end

    def follow(self, file: wire.ByteFile) -> None:
        """Read to the end of the connection.

        Raises:
            TooMuch: the budget is used up. MalformedDocument: these are no frames.
        """
        threading.Thread(target=self._judge, args=(Session(key=b""),), daemon=True).start()
        while (frames := wire.receive_frames(file, self._budget.take)) is not None:
            self._messages.put(frames)

    def open(self, cell: int) -> int:
        """Another cell begins; how many messages from before it are thrown away."""
        dropped = 0
        while not self._messages.empty():
            with contextlib.suppress(queue.Empty):
                self._messages.get_nowait()
                dropped += 1
        self._cell, self._idle_parts = cell, 0
        return dropped

    def drain(self, parts: int, ended: threading.Event) -> None:
        """Wait until so many pieces of the open cell were seen to end, as long as something comes of it.

        Args:
            ended: set when the cell has ended otherwise.
        """
        looks, judged = 0, self._judged
        while self._idle_parts < parts and looks < DRAIN_LOOKS:
            if ended.wait(DRAIN_LOOK_SECONDS):  # it is another connection; its messages may still be on their way
                return
            looks = looks + 1 if self._judged == judged else 0
            judged = self._judged

    def _judge(self, session: Any) -> None:
        while not self._over.is_set():
            parts = self._messages.get()
            try:
                message = session.deserialize(session.feed_identities(parts)[1])
                cell = _cell_of(message)
                if not _ends_a_piece(message):
                    self._take(cell, message)
                elif cell in (None, self._cell):
                    self._idle_parts += 1
            except Exception as error:  # noqa: BLE001  # hostile bytes raise anything, and the next message may be honest
                self._refuse(error)
            self._judged += 1


def _ends_a_piece(message: dict[str, Any]) -> bool:
    idle = message["msg_type"] == "status" and message["content"].get("execution_state") == "idle"
    return bool(idle and message.get("parent_header", {}).get("msg_type") == "execute_request")


def _cell_of(message: dict[str, Any]) -> int | None:
    """The cell that a message names (:mod:`sls_jupyter.guest.driving`); ``None`` for one that names none."""
    named = _REQUEST.fullmatch(str(message.get("parent_header", {}).get("msg_id")))
    return None if named is None else int(named[1])

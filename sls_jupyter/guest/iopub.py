"""The program's iopub channel at the output: what the cell shows and prints, message by message.

Reading and judging are two threads. Judging takes time (a figure is cleaned), and a socket that nobody reads
loses messages; so messages are read at once, counted against the program's budget, and wait in a queue that
the budget bounds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from zmq.constants import Event, SocketOption

from sls_jupyter.contract.places import RESULT
from sls_jupyter.guest import wire
from sls_jupyter.guest.hostile import Budget, TooMuch

DRAIN_SECONDS = 5.0  # how long one message may take after the program said it is done; more than cleaning one text
LOST_SECONDS = 1.0  # a channel that is cut for so long, while the program lives, carried too much
QUEUED_MESSAGES = 64  # in the socket


class Displays:
    """Follows the channel until the run has ended.

    Args:
        take: judges one message; raises what it likes, for messages of a hostile program.
        refuse: called with what was raised, and with :class:`TooMuch` when the budget is used up.
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

    def subscribe(self, most: int) -> bool:
        """Follow the kernel's channel; false if it is not there.

        Args:
            most: bytes of one message; a larger one is never read, and cuts the channel.
        """
        client = BlockingKernelClient(transport="ipc", ip=f"{wire.here(RESULT)}/{wire.IOPUB_PREFIX}", **wire.PORTS)
        client.session.key = b""
        client.context.setsockopt(SocketOption.MAXMSGSIZE, most)
        client.context.setsockopt(SocketOption.RCVHWM, QUEUED_MESSAGES)
        client.iopub_channel.start()
        channel = client.iopub_channel.socket
        if not channel.poll(int(wire.CONNECT_SECONDS * 1000)):
            return False
        cut = channel.get_monitor_socket(Event.DISCONNECTED)
        threads = {self._follow_cuts: cut, self._read: channel, self._judge: client.session}
        for target, given in threads.items():
            threading.Thread(target=target, args=(given,), daemon=True).start()
        return True

    def drain(self, cells: int) -> None:
        """Wait until so many cells were seen to end, as long as something comes of it."""
        self._judged_at = time.monotonic()
        while self._idle_cells < cells and time.monotonic() < self._judged_at + DRAIN_SECONDS:
            if self._ended.wait(0.005):  # iopub is another socket; its messages may still be on their way
                return

    def _follow_cuts(self, cut: Any) -> None:
        """The channel is cut when the kernel ends, or by a message beyond the limit, which is never read."""
        cut.recv_multipart()
        if not self._ended.wait(LOST_SECONDS):
            self._refuse(TooMuch("A message of the program is too large."))

    def _read(self, channel: Any) -> None:
        try:
            while True:
                parts = channel.recv_multipart()
                self._budget.take(sum(map(len, parts)))
                self._messages.put(parts)
        except TooMuch as error:
            self._refuse(error)

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

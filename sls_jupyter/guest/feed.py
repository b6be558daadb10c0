"""The input's line to the program: tables once, then cell after cell, each with its parameters and outputs.

One connection carries all of it. The program answers each piece of code with one word, and says nothing in between: what
comes unasked, or the end of the connection, is the end of the program. While a piece runs, another thread may send
that the cell is to be interrupted.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import Any

from sls_jupyter.errors import SlsError
from sls_jupyter.guest import wire
from sls_jupyter.guest.cells import Cell

MAX_REPLY_BYTES = 1024  # of the program's word on a piece of code


class Feed:
    """The input's end of the line.

    Args:
        connection: the only one that the program makes; closed by whoever made it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.file = connection.makefile("rwb")  # not closed: that would write what a dead program did not take
        self._writing = threading.Lock()
        self._woken, self._wake = socket.socketpair()

    def begin(self, cell: Cell, parts: int) -> None:
        """Announce a cell that comes in so many pieces, with its parameters.

        Raises:
            OSError: the program is gone.
        """
        header: dict[str, Any] = {
            "cell": cell.number,
            "parts": parts,
            "outputs": list(cell.outputs),
            "min_group": cell.obligations.min_group,
            "parameters": len(cell.parameters),
        }
        with self._writing:
            wire.send(self.file, header)
            self.file.write(cell.parameters)
            self.file.flush()

    def execute(self, code: bytes, *, asset: bool, confidential: bool) -> str:
        """Have the program run a piece of code; ``ok``, ``error`` or ``died``. Only whether it says ``ok`` is read."""
        try:
            with self._writing:
                wire.send(self.file, {"bytes": len(code), "asset": asset, "confidential": confidential})
                self.file.write(code)
                self.file.flush()
            reply = wire.receive(self.file, most=MAX_REPLY_BYTES)
        except (OSError, SlsError):  # it is gone, or hostile
            return "died"
        if reply is None:
            return "died"
        return "ok" if reply.get("status") == "ok" else "error"

    def interrupt(self, number: int) -> None:
        """Ask the program to interrupt this cell; called by another thread. A program that is gone needs none."""
        try:
            with self._writing:
                wire.send(self.file, {"interrupt": number})
        except OSError:
            return

    def close(self) -> None:
        """Nobody waits any more."""
        self._woken.close()
        self._wake.close()

    def wake(self) -> None:
        """There is another cell: end :meth:`wait`. Called by another thread."""
        self._wake.send(b"\n")

    def wait(self) -> bool:
        """Until there is another cell; false when the program has ended, or speaks unasked."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll()}
        if self._connection.fileno() in ready:
            return False
        self._woken.recv(1)
        return True

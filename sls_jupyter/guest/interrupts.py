"""Interrupting one cell in the kernel's own process: a SIGINT in its main thread.

It is sent while the cell's code runs there, and not while we write to a neighbour: half a message would end the session.
An interrupt that comes too early waits for the code to begin; one that comes too late is forgotten.
"""

from __future__ import annotations

import signal
import threading
import time

INTERRUPT_SECONDS = 0.01  # between two looks whether the cell can be interrupted now


class Interrupts:
    """Whether the main thread runs a cell's own code, which may be interrupted."""

    def __init__(self) -> None:
        self._main = threading.main_thread().ident or 0
        self._open = False
        self._wanted: int | None = None
        self._running: int | None = None
        self._lock = threading.Lock()

    def begin(self, number: int) -> None:
        """This cell is next."""
        with self._lock:
            self._running = number

    def ask(self, number: int) -> None:
        """Interrupt this cell as soon as its code runs; nothing if it has ended."""
        with self._lock:
            if self._wanted == number:
                return
            self._wanted = number
        threading.Thread(target=self._send, args=(number,), daemon=True).start()

    def _send(self, number: int) -> None:
        while True:
            with self._lock:
                if self._running is not None and self._running > number:
                    return
                if self._open and self._running == number:
                    self._wanted = None
                    signal.pthread_kill(self._main, signal.SIGINT)
                    return
            time.sleep(INTERRUPT_SECONDS)

    def allow(self) -> None:
        """The main thread goes on to what may be interrupted. Where the kernel has set a handler of its own, that one stays."""
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with self._lock:
            self._open = True

    def forbid(self) -> bool:
        """It goes on to what must not be; whether an interrupt came just before."""
        came = False
        while True:
            try:
                with self._lock:
                    self._open = False
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                return came
            except KeyboardInterrupt:
                came = True

    def end(self) -> None:
        """The cell has ended."""
        with self._lock:
            if self._running is not None:
                self._running += 1

"""Who waits for the receipt of a run is told when it comes, and need not ask again and again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from sls_jupyter.authority.answers import MAX_RECEIPT_WAIT

MAX_WAITING = 32  # callers at one time; whoever comes then is answered at once
LOOK_SECONDS = 0.5  # between two looks, for what came to another server of the same database
_Bell = tuple[asyncio.AbstractEventLoop, asyncio.Event]


@dataclass(frozen=True, slots=True)
class Look:
    """What there is about a run at one time."""

    has_receipt: bool
    answer: bytes  # JSON


class Arrivals:
    """Of one authority's server. No thread is held while somebody waits."""

    def __init__(self) -> None:
        self._bells: dict[str, list[_Bell]] = {}
        self._lock = threading.Lock()
        self._places = threading.Semaphore(MAX_WAITING)
        self._closed = False

    def tell(self, spec: str) -> None:
        """A receipt of this spec was taken. From any thread."""
        with self._lock:
            self._ring(self._bells.get(spec, ()))

    def close(self) -> None:
        """Nobody waits any more. From any thread."""
        with self._lock:
            self._closed = True
            self._ring([bell for bells in self._bells.values() for bell in bells])

    async def wait(self, spec: str, look: Callable[[], Look], seconds: float) -> Look:
        """What ``look``, called in a thread, finds once there is a receipt, or in the end.

        Args:
            seconds: :data:`MAX_RECEIPT_WAIT` at most; with 0 there is one look.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + min(seconds, MAX_RECEIPT_WAIT)
        with self._bell(spec, loop) as rung:
            found = await run_in_threadpool(look)
            if found.has_receipt or seconds <= 0 or not self._places.acquire(blocking=False):
                return found
            try:
                while not found.has_receipt and not self._closed and (left := until - loop.time()) > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(rung.wait(), min(left, LOOK_SECONDS))
                    rung.clear()
                    found = await run_in_threadpool(look)
                return found
            finally:
                self._places.release()

    @contextlib.contextmanager
    def _bell(self, spec: str, loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.Event]:
        bell = (loop, asyncio.Event())
        with self._lock:
            self._bells.setdefault(spec, []).append(bell)
        try:
            yield bell[1]
        finally:
            with self._lock:
                self._bells[spec].remove(bell)
                if not self._bells[spec]:
                    del self._bells[spec]

    def _ring(self, bells: list[_Bell] | tuple[()]) -> None:
        for loop, event in bells:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(event.set)

"""A run: its steps, its events as they come, its end. The handle that a notebook holds.

A run works in a thread of its own. The notebook's thread follows it through :meth:`Run.follow`, which
yields whatever the screen has to show; an interrupt there is turned into :meth:`Run.cancel` by the
caller, so that nothing keeps running that nobody waits for.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sls_jupyter.errors import RunCancelled, SlsError
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.verdict import VerifiedReceipt

StepState = Literal["waiting", "active", "done", "failed"]
STEPS = (*("planned", "approved", "launched", "attested", "keys released", "running", "checked", "sealed", "returned"),)
FINAL_STATES = ("done", "failed", "cancelled")


@dataclass(slots=True)
class Step:
    """One line of the status block."""

    name: str
    state: StepState = "waiting"
    started: float | None = None
    seconds: float | None = None
    detail: str = ""  # in words, for the line itself
    evidence: list[str] = field(default_factory=list)  # what it rests on, for who opens it


class Steps:
    """The status of a run, step by step, safe to read from another thread."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._steps = {name: Step(name) for name in STEPS}
        self._blamed = ""

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self._steps.values()))

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def begin(self, name: str, detail: str = "") -> None:
        step = self._steps[name]
        step.state, step.detail = "active", detail
        step.started = step.started or time.monotonic()
        self._changed()

    def note(self, name: str, detail: str = "", evidence: str = "") -> None:
        step = self._steps[name]
        step.detail = detail or step.detail
        if evidence:
            step.evidence.append(evidence)
        self._changed()

    def done(self, name: str, detail: str = "") -> None:
        step = self._steps[name]
        step.state, step.detail = "done", detail or step.detail
        step.seconds = time.monotonic() - (step.started or time.monotonic())
        self._changed()

    def blame(self, name: str) -> None:
        """This is the step that a failure will be about, though others came after it."""
        self._blamed = name

    def fail(self, detail: str) -> None:
        """Where the run ended: the step to blame, else the active one, the first that did not begin, or the last."""
        order = sorted(self._steps.values(), key=lambda step: {"active": 0, "waiting": 1}.get(step.state, 2))
        last = self._steps[STEPS[-1]]
        step = self._steps.get(self._blamed) or (order[0] if order[0].state in ("active", "waiting") else last)
        step.state, step.detail = "failed", detail
        if step.seconds is None:
            step.seconds = time.monotonic() - (step.started or time.monotonic())
        self._changed()


class Run:
    """One execution of one request.

    Attributes:
        id: short name for people, the first digits of the spec's digest.
        spec_digest: the spec's identifier.
        state: ``running``, then one of ``done``, ``failed``, ``cancelled``.
        outputs: named results after the run is done: name -> frame, series, table or scalar.
        summary: facts for the last line (tee, checks, receipt, log entries), set when done.
        receipt: what the hardware signed about the run, verified; ``None`` while there is none.
    """

    def __init__(
        self, spec_digest: str, work: Callable[[Run], None], ended: Callable[[Run], None] = lambda _: None
    ) -> None:
        self.spec_digest = spec_digest
        self.id = spec_digest.removeprefix("sha256:")[:12]
        self.state = "running"
        self.outputs: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.receipt: VerifiedReceipt | None = None
        self.error: SlsError | None = None
        self.cancelled = threading.Event()
        self._ended = ended  # called once, from the run's thread, when its state is final
        self._on_cancel: list[Callable[[], None]] = []
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.steps = Steps(lambda: self._queue.put({"type": "status"}))
        self._thread = threading.Thread(target=self._work, args=(work,), name=f"safestream-{self.id}", daemon=True)

    def start(self) -> Run:
        self._thread.start()
        return self

    def _work(self, work: Callable[[Run], None]) -> None:
        try:
            work(self)
            self.state = "done"
        except SlsError as error:
            self._end_with(RunCancelled("The run was cancelled.") if self.cancelled.is_set() else error)
        except Exception as error:  # noqa: BLE001  # a thread has nobody above it to tell
            self._end_with(
                SlsError("The run failed unexpectedly.", found=type(error).__name__, hint="%tb in a script.")
            )
        with contextlib.suppress(SlsError, OSError):  # a full disk does not take the result away
            self._ended(self)
        self._queue.put(None)

    def _end_with(self, error: SlsError) -> None:
        self.error = error
        self.state = "cancelled" if isinstance(error, RunCancelled) else "failed"
        self.steps.fail(error.sentence)

    # --- for whoever shows the run ----------------------------------------------------------------

    def emit(self, event: dict[str, Any]) -> None:
        """Pass content on to the follower."""
        self._queue.put(event)

    def follow(self) -> Iterator[dict[str, Any]]:
        """Status changes and content, in order, until the run has ended."""
        while True:
            try:
                event = self._queue.get(timeout=0.2)  # short, so that an interrupt is seen at once
            except queue.Empty:
                yield {"type": "tick"}
                continue
            if event is None:
                self._queue.put(None)  # a second follower ends too
                return
            yield event

    def status(self) -> str:
        """The state in one line: what it does, or how it ended."""
        if self.state != "running":
            return self.state if self.error is None else f"{self.state}: {self.error.sentence}"
        active = next((step for step in self.steps if step.state == "active"), None)
        return "running" if active is None else one_line(f"{active.name}: {active.detail}".rstrip(": "))

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run has ended.

        Raises:
            what the run ended with; TimeoutError after ``timeout`` seconds, while the run goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._thread.is_alive():
            self._thread.join(0.2)
            if deadline is not None and time.monotonic() > deadline and self._thread.is_alive():
                raise TimeoutError(f"Run {self.id} is still going on: {self.status()}")
        if self.error is not None:
            raise self.error
        return self

    def __await__(self) -> Any:
        """``await run``: the same, with the event loop free in between."""
        import asyncio

        async def ended() -> Run:
            await asyncio.to_thread(self._thread.join)
            return self.wait()

        return ended().__await__()

    # --- cancelling -------------------------------------------------------------------------------

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the run is cancelled; at once if it was."""
        self._on_cancel.append(action)
        if self.cancelled.is_set():
            action()

    def cancel(self, timeout: float = 15.0) -> Run:
        """End the run: tell the group, stop it, log it. Returns when that is done or ``timeout`` is over."""
        if self.state == "running" and not self.cancelled.is_set():
            self.cancelled.set()
            for action in reversed(list(self._on_cancel)):  # tell the group before it is stopped
                with contextlib.suppress(SlsError, RuntimeError, OSError):  # the run may be tidying up by itself
                    action()
        self._thread.join(timeout)
        return self

    def require_going(self) -> None:
        """Raise :class:`RunCancelled` if somebody cancelled."""
        if self.cancelled.is_set():
            raise RunCancelled("The run was cancelled.")

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status()}>"

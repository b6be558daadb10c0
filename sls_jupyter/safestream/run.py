"""A run: its steps, its events as they come, its end. The handle that a notebook holds.

A run works in a thread of its own and writes a journal. Whoever shows it follows that through :meth:`Run.follow`,
from the beginning or from where they left off, as many as want to.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sls_jupyter.errors import RunCancelled, SlsError, from_problem, to_problem
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.verdict import VerifiedReceipt
from sls_jupyter.safestream.journal import Journal

StepState = Literal["waiting", "active", "done", "failed"]
STEPS = (*("planned", "approved", "launched", "attested", "keys released", "running", "checked", "sealed", "returned"),)
FINAL_STATES = ("done", "failed", "cancelled")


MAX_EVIDENCE = 2000  # lines of one step


@dataclass(slots=True)
class Step:
    """One line of the status block."""

    name: str
    state: StepState = "waiting"
    began: float | None = None  # seconds since 1970
    seconds: float | None = None
    detail: str = ""  # in words, for the line itself
    evidence: list[str] = field(default_factory=list)  # what it rests on, for who opens it

    def took(self) -> float:
        """Seconds from its beginning to its end, or until now."""
        if self.seconds is not None:
            return self.seconds
        return max(0.0, time.time() - self.began) if self.began is not None else 0.0

    def snapshot(self) -> dict[str, Any]:
        """The whole step as JSON values."""
        names = ("name", "state", "began", "seconds", "detail")
        return {name: getattr(self, name) for name in names} | {"evidence": list(self.evidence)}


class Steps:
    """The status of a run, step by step, safe to read from another thread.

    Args:
        changed: called with the step, and whether its state changed or only its words.
    """

    def __init__(self, changed: Callable[[Step, bool], None]) -> None:
        self._changed = changed
        self._steps = {name: Step(name) for name in STEPS}
        self._blamed = ""

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self._steps.values()))

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def begin(self, name: str, detail: str = "") -> None:
        step = self._steps[name]
        step.state, step.detail, step.seconds = "active", detail, None
        step.began = step.began or time.time()
        self._changed(step, True)

    def note(self, name: str, detail: str = "", evidence: str = "") -> None:
        step = self._steps[name]
        before = step.detail, len(step.evidence)
        step.detail = detail or step.detail
        if evidence and evidence not in step.evidence and len(step.evidence) < MAX_EVIDENCE:
            step.evidence.append(evidence)
        if before != (step.detail, len(step.evidence)):
            self._changed(step, False)

    def done(self, name: str, detail: str = "") -> None:
        step = self._steps[name]
        step.state, step.detail = "done", detail or step.detail
        step.seconds = step.took()
        self._changed(step, True)

    def blame(self, name: str) -> None:
        """This is the step that a failure will be about, though others came after it."""
        self._blamed = name

    def fail(self, detail: str) -> None:
        """Where the run ended: the step to blame, else the active one, the first that did not begin, or the last."""
        order = sorted(self._steps.values(), key=lambda step: {"active": 0, "waiting": 1}.get(step.state, 2))
        last = self._steps[STEPS[-1]]
        step = self._steps.get(self._blamed) or (order[0] if order[0].state in ("active", "waiting") else last)
        step.seconds = step.took()
        step.state, step.detail = "failed", detail
        self._changed(step, True)

    def take(self, snapshot: Mapping[str, Any]) -> None:
        """Put a step as it was told; nobody is told of it again. One of another name is left out."""
        step = self._steps.get(str(snapshot.get("name")))
        if step is None or snapshot.get("state") not in ("waiting", "active", "done", "failed"):
            return
        step.state, step.detail = cast(StepState, snapshot["state"]), str(snapshot.get("detail") or "")
        step.began, step.seconds = (_number(snapshot.get(name)) for name in ("began", "seconds"))
        step.evidence = [str(line) for line in snapshot.get("evidence") or ()][:MAX_EVIDENCE]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def ended_event(state: str, error: SlsError | None) -> dict[str, Any]:
    """The last event of a journal. Whose words an error is stays with it."""
    problem = None if error is None else to_problem(error) | {"said_by": error.said_by}
    return {"type": "ended", "state": state, "problem": problem}


def error_of(ended: Mapping[str, Any]) -> SlsError | None:
    """The error that a run ended with, from its last event."""
    problem = ended.get("problem")
    if not isinstance(problem, Mapping):
        return None
    error = from_problem(dict(problem))
    error.said_by = str(problem.get("said_by") or "")
    return error


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
        self,
        spec_digest: str,
        work: Callable[[Run], None],
        ended: Callable[[Run], None] = lambda _: None,
        journal: Journal | None = None,
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
        self.journal = Journal() if journal is None else journal
        self._told: dict[str, str] = {}  # of the summary, as JSON by name
        self._telling = threading.Lock()
        self.steps = Steps(self._tell_step)
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
        with contextlib.suppress(SlsError):  # a journal that is full has its last event all the same
            self._tell_summary()
        self.journal.close(ended_event(self.state, self.error))

    def _end_with(self, error: SlsError) -> None:
        self.error = error
        self.state = "cancelled" if isinstance(error, RunCancelled) else "failed"
        with contextlib.suppress(SlsError):  # as above
            self.steps.fail(error.sentence)

    # --- its journal ------------------------------------------------------------------------------

    def _tell_step(self, step: Step, state_changed: bool) -> None:
        event = {"type": "status", "step": step.snapshot()}
        if state_changed:
            self._tell_summary()
            self.journal.append(event)
        else:
            self.journal.note(step.name, event)

    def _tell_summary(self) -> None:
        """Facts of the summary that are new or have changed since the last time."""
        with self._telling:
            now = {name: json.dumps(value, sort_keys=True) for name, value in list(self.summary.items())}
            new = {name: text for name, text in now.items() if self._told.get(name) != text}
            self._told = now
            if new:
                facts = {name: json.loads(text) for name, text in new.items()}
                self.journal.append({"type": "summary", "facts": facts})

    # --- for whoever shows the run ----------------------------------------------------------------

    def state_facts(self, **facts: Any) -> None:
        """Put facts into the summary and tell them at once, also where no step changes.

        Args:
            facts: JSON values.
        """
        self.summary |= facts
        self._tell_summary()

    def emit(self, event: dict[str, Any]) -> None:
        """Pass content on to the followers.

        Raises:
            RunFailed: there is more than may be shown.
        """
        self.journal.append(event)

    def follow(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """The journal from event number ``start`` on, as it grows, to its end; ticks while nothing comes."""
        return self.journal.follow(start)

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

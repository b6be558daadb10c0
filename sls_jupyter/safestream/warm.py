"""A warm session at the notebook's side: a group that stays, and one run for each of its cells.

The first cell's run launches and attests the group and brings it the contract; each cell's run asks the authorities,
brings the order to both doors, follows the cell, and holds results and receipt against each other. It holds no key. When
the session ends, however it ends, the group is stopped and the authorities are told.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from sls_jupyter.contract.cells import cell_terms
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import CellRunning, SessionOver, SlsError, Unavailable
from sls_jupyter.network import within
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.safestream.approving import Asked, await_approval
from sls_jupyter.safestream.belief import ask_beliefs, believed_hosts
from sls_jupyter.safestream.collecting import Collected, refuse_results
from sls_jupyter.safestream.doors import AttestedDoor
from sls_jupyter.safestream.endings import judge_end
from sls_jupyter.safestream.following import CellEvents
from sls_jupyter.safestream.journal import Journal
from sls_jupyter.safestream.launching import Doors, Launched, attest, await_audit, facts_of, hand_over, launch
from sls_jupyter.safestream.manager import Manager
from sls_jupyter.safestream.ordering import OrderedCell, SessionRequest, ask_cells
from sls_jupyter.safestream.receipts import await_receipt, judge_own, require_follows
from sls_jupyter.safestream.reporting import how_it_ended, reporting
from sls_jupyter.safestream.request import Answers, Waiting, named_column
from sls_jupyter.safestream.run import Run

State = Literal["new", "open", "running", "closed"]
Ask = Callable[[Sequence[OrderedCell]], Answers]  # all cells so far, the last is asked about
RECEIPT_SECONDS = 15.0  # of fetching one cell's receipt from all authorities
CLOSE_SECONDS = 40.0  # of ending in order
CALL_SECONDS = 5.0  # of telling the group something
LATE_SECONDS = 300.0  # after a cell's time, in which the group has to have sealed and told what it gave
WARM = "warm since the first cell"


class WarmSession:
    """One session.

    Args:
        manager: with what it needs beside the request; its ``save_result`` gets the digest of a cell's order in the
            place of a spec's.
        ask: asks every authority; by default over the manager's clients.
        waiting: what is known of a cell that waits for a person: (all cells so far, DID of the authority).

    Attributes:
        state: ``new`` before the first cell, ``running`` while one runs, ``open`` between cells, ``closed``.
        closed_reason: ``asked``, ``idle``, ``wall``, ``cells``, ``limit`` or ``died``; "" while it is not closed.
        cells: those that the group has taken, in order.
    """

    def __init__(
        self,
        manager: Manager,
        request: SessionRequest,
        *,
        host: str | None = None,
        ask: Ask | None = None,
        waiting: Callable[[Sequence[OrderedCell], str], Waiting] = lambda *_: Waiting(),
    ) -> None:
        self.manager, self.request = manager, request
        self.state: State = "new"
        self.closed_reason = ""
        self.cells: list[OrderedCell] = []
        self.audited: bool | None = None  # whether every authority has every receipt; None: not known yet
        self._spec, self._host, self._ask = request.spec, host, ask or self._ask_all
        self._life = 0 if request.spec.session is None else request.spec.session.wall_seconds
        self._waiting = waiting
        self._launched: Launched | None = None
        self._doors: Doors | None = None
        self._granted: dict[str, tuple[str, ...] | None] = {}  # columns, by asset
        self._events = CellEvents()
        self._previous: str | None = None  # receipt of the cell before
        self._like: Receipt | None = None  # the last one that was verified
        self._lock = threading.Lock()  # of the state
        self._needed = threading.Lock()  # held while a cell needs the group: it is not stopped then
        self._ended, self._hurry = threading.Event(), threading.Event()  # the group is gone; nobody waits any longer

    def __repr__(self) -> str:
        return f"<WarmSession {self._spec.digest[7:19]}: {self.state}, {len(self.cells)} cells>"

    # --- for whoever holds it ---------------------------------------------------------------------

    def run_cell(
        self,
        cell: OrderedCell,
        answers: Answers | None = None,
        *,
        wait_for_approval: bool = False,
        journal: Journal | None = None,
    ) -> Run:
        """Run the next cell; returns its handle at once.

        Args:
            answers: every authority's, where they were asked already.
            wait_for_approval: let the cell wait for a person; otherwise its run ends where one is needed.
            journal: where the run's events go.

        Raises:
            CellRunning: one runs. SessionOver: there will be no other cell.
        """
        with self._lock:
            self._require_open()
            if self.state == "running":
                raise CellRunning("A cell is running.", hint="Wait for its end, or interrupt it.")
            self.state = "running"
        work = partial(self._work, cell, answers, wait_for_approval)
        return Run(cell.order.digest, work, self.manager.ended, journal).start()

    def interrupt(self) -> None:
        """Interrupt the cell that runs; its variables stay. Nothing when none does.

        Raises:
            Unavailable: the group does not answer.
        """
        doors = self._doors
        if doors is not None and self.state == "running" and self.cells:
            doors.into.post("/v1/interrupt", {"cell": len(self.cells)}, seconds=CALL_SECONDS)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """End the session after the cell that runs; results of its cells stay. Safe to call twice."""
        with self._lock:
            if self.state == "new":
                self.state, self.closed_reason = "closed", "asked"
        if self._doors is None:
            self._stop()  # its first cell's run tells how the launch ended
            return
        with contextlib.suppress(SlsError):
            self._doors.out.post("/v1/close", {}, seconds=CALL_SECONDS)
        if not self._ended.wait(timeout):
            self._hurry.set()
            self._stop()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the session has ended and its group is gone; false after ``timeout`` seconds."""
        return self._ended.wait(timeout)

    # --- one cell ---------------------------------------------------------------------------------

    def _work(self, cell: OrderedCell, answers: Answers | None, wait: bool, run: Run) -> None:
        run.summary |= {"session": self._spec.digest, "cell": cell.order.number}
        collected = Collected(self._spec, cell.order.digest, self.manager.identity, self.manager.names)
        try:
            granted = self._approved(run, cell, answers, wait=wait)
            with self._needed:
                doors = self._opened(run, granted)
                end = self._execute(run, doors, cell, granted)
                collected.collect(run, doors.out, end, cell.order.number)
            self._conclude(run, cell, collected, end, simulated=doors.simulated)
        finally:
            with self._lock:
                if self.state == "running":
                    self.state = "new" if self._launched is None else "open"
                if self.closed_reason:
                    self.state = "closed"

    def _approved(self, run: Run, cell: OrderedCell, answers: Answers | None, *, wait: bool) -> Answers:
        """``planned`` and ``approved``."""
        run.steps.begin("planned")
        cells = [*self.cells, cell]
        answers = self._ask(cells) if answers is None else answers
        run.steps.note("planned", evidence=f"order {cell.order.digest}")
        run.steps.done("planned", f"cell {cell.order.number}")
        run.steps.begin("approved")
        answers.require_not_denied()
        terms = cell_terms(self._spec, cell.order.cells)
        asked = Asked(self._spec, terms, self.manager.names, partial(self._waiting, cells))

        def again() -> Answers:
            self._require_open()  # a group waits for nobody longer than its idle time
            return self._ask(cells)

        return await_approval(run, answers, again, asked, wait=wait)

    def _require_open(self) -> None:
        """Raises :class:`SessionOver`."""
        if self.state == "closed" or self.closed_reason:
            hint = "Open it again: approved cells are not asked for again."
            raise SessionOver("The session has ended.", found=self.closed_reason, hint=hint)

    def _ask_all(self, cells: Sequence[OrderedCell]) -> Answers:
        return ask_cells(self.request, cells, self.manager.clients, now=int(time.time()))

    def _opened(self, run: Run, answers: Answers) -> Doors:
        """The group, launched and attested by the first cell's run."""
        if self._doors is not None:
            for name in ("launched", "attested", "keys released"):
                run.steps.begin(name)
                run.steps.done(name, WARM)
            run.summary |= facts_of(self._doors)
            return self._doors
        manager = self.manager
        hosts = believed_hosts(manager.hosts, self._host, ask_beliefs(manager.clients, manager.names))
        launched = launch(run, self._spec, answers.grants, hosts, self._host, manager.placed, manager.image)
        self._launched = launched
        try:
            run.on_cancel(self._stop_opening)
            launched.tell(run)
            doors = attest(run, launched, manager.identity, manager.anchors, tees=self._spec.tees)
            run.summary |= facts_of(doors)
            run.steps.begin("keys released")
            request, chosen = self.request, manager.chosen
            hand_over(doors, request.envelope, answers.grant_envelopes, chosen, request.manifests, launched.image, {})
        except BaseException:
            self._stop()
            self._close_with("died")
            self._ended.set()
            with reporting(manager.clients, self._spec, *how_it_ended({}, cancelled=run.cancelled.is_set())):
                raise
        self._granted = {grant.asset: grant.columns for grant in answers.grants}
        self._doors = doors
        for name, door in (("input", doors.into), ("output", doors.out)):
            threading.Thread(target=self._follow, args=(name, door), name=f"sls-{name}", daemon=True).start()
        return doors

    def _execute(self, run: Run, doors: Doors, cell: OrderedCell, answers: Answers) -> dict[str, Any]:
        """Bring the order to both doors and follow the cell to its end, which is returned."""
        run.on_cancel(self._interrupt_quietly)
        run.require_going()
        ordered = {
            "order": cell.envelope.decode(),
            "grants": [envelope.decode() for envelope in answers.cell_grants],
        }
        code = {"code": cell.text.code, "parameters": b64encode(cell.text.parameters)}
        try:
            doors.out.post("/v1/cells", ordered)
        except Unavailable:
            self._stop()  # whether its gate is open now is not known
            raise
        try:
            doors.into.post("/v1/cells", ordered | code)
        except BaseException:
            self._stop()  # the doors have different chains now
            raise
        self.cells.append(cell)
        if run.cancelled.is_set():
            self._interrupt_quietly()
        return self._follow_cell(run, cell.order.number)

    def _follow_cell(self, run: Run, number: int) -> dict[str, Any]:
        seconds = min(self._spec.limits.wall_seconds, self._life) + LATE_SECONDS
        try:
            end = self._events.to_end(run, number, self.manager.names, seconds)
        except Unavailable:
            self._stop()
            raise
        if "problem" in end:
            self._stop()
        return end

    def _interrupt_quietly(self) -> None:
        with contextlib.suppress(SlsError):
            self.interrupt()

    def _conclude(
        self, run: Run, cell: OrderedCell, collected: Collected, end: dict[str, Any], *, simulated: bool
    ) -> None:
        """What is done without the group: the receipt is fetched and judged, and so is the end."""
        refusal = self._take_receipt(run, cell, collected, simulated=simulated) if end.get("sealed") else None
        if refusal is None:
            refusal = collected.keep(run, self.manager.save_result, self.manager.deposit)
        else:
            refuse_results(run, refusal)
        judge_end(named_column(self.request.spec, self.request.manifests, end, self._granted), run.steps)
        if refusal is not None:
            raise refusal

    def _take_receipt(self, run: Run, cell: OrderedCell, collected: Collected, *, simulated: bool) -> SlsError | None:
        """Fetch the cell's receipt and verify it; what is wrong with it, or with the results beside it."""
        assert self._launched is not None  # noqa: S101  # a cell has run
        before, self._previous = self._previous, None
        try:
            with within(RECEIPT_SECONDS):
                receipt = await_receipt(self._spec, self.manager.clients, cell.order.number, self._like)
            verdict = judge_own(
                receipt,
                self._spec,
                image=self._launched.image.digest,
                anchors=self.manager.anchors,
                accept_simulated=simulated,
                order=cell.order.digest,
            )
            verified = verdict.require()
            require_follows(verdict.predicate, before)
            collected.compare(run, verified)
            self._previous, self._like, run.summary["audited"] = verified.id, receipt, True
        except Unavailable:
            return None  # the run's last line says that there is none; %sls audit fetches it later
        except SlsError as error:
            return error
        return None

    # --- the end ----------------------------------------------------------------------------------

    def _follow(self, name: str, door: AttestedDoor) -> None:
        """One door's events to the last; the last of the output is the end of the session."""
        self._events.pump(name, door, self._close_with)
        if name == "output":
            self._wind_up()

    def _close_with(self, reason: str) -> None:
        with self._lock:
            self.closed_reason = self.closed_reason or reason
            if self.state != "running":
                self.state = "closed"

    def _stop(self) -> None:
        if self._launched is not None:
            self._launched.running.stop()

    def _stop_opening(self) -> None:
        """A cancelled first cell ends the launch; a cell that runs is interrupted, and the group stays."""
        if self._doors is None:
            self._stop()

    def _wind_up(self) -> None:
        """Let the group send its last receipts, stop it, and tell the authorities."""
        in_order = bool(self.closed_reason)
        self._close_with("died")
        launched, doors = self._launched, self._doors
        assert launched is not None  # noqa: S101  # somebody follows it
        assert doors is not None  # noqa: S101
        with self._needed:  # results that are being fetched
            if not in_order:
                launched.running.stop()
            self.audited = await_audit(self._hurry, launched.running)
            launched.running.stop()
            doors.close()
        ended = {"limit": ("killed", "limit"), "died": ("failed", "died")}
        with reporting(self.manager.clients, self._spec, *ended.get(self.closed_reason, ("ended", "ok"))):
            self._ended.set()

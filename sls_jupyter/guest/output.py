"""The output container: listens to the program, lets the gate judge, and serves the out-door.

Content leaves through one door: as one sealed result for each recipient, and before that, as events over
attested TLS while a cell runs, to a requester who is a recipient. A requester who is none is told how the
cell ended and that results were sealed, and no more: no name, number or type that the program chose. Nothing
goes back to the program.

Whatever the program does, a cell ends: the supervisor has to speak every few seconds, the wall clock
runs here too, and all that the program sends is counted, whether it may leave or not. An end waits for no
judgement: what is being cleaned when the program ends badly does not leave.

What is one cell's is in :mod:`.cell_output`, what the program says in :mod:`.listener`; here is the door, and what lives as
long as the group. A run is a session of one cell. Of a
session a cell that raises is an end of that cell alone. A program that is gone, or that crossed a limit, is the end of
all: its variables are gone. Between cells nothing leaves; what comes is counted in the next cell's verdict.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from sls_jupyter.contract.places import OUTPUT_PORT, RESULT
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import SessionOver
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit_client import LAST_WORD_SECONDS, AuditClient
from sls_jupyter.guest.cell_output import CellOutput, records_of
from sls_jupyter.guest.cells import Cell, Cells
from sls_jupyter.guest.cleaner import Cleaner
from sls_jupyter.guest.contract import accept_contract
from sls_jupyter.guest.door import Door
from sls_jupyter.guest.gate import Gate
from sls_jupyter.guest.listener import RAW_FACTOR, Listener
from sls_jupyter.guest.messages import OrderMessage, part_of
from sls_jupyter.guest.peers import as_measured, require_ids
from sls_jupyter.guest.session_clock import SessionClock

GRACE_SECONDS = 15.0  # after the wall clock's limit, for the supervisor to say so itself
LEAST_MEMORY_BYTES = 2 << 30


def limit_memory(spec: StreamSpec) -> None:
    """Bound this process, so that a hostile table is an error here and not the end of the machine."""
    kept = 0 if spec.session is None else len(spec.recipients) * spec.session.output_bytes  # results of earlier cells
    wire.bound_memory(max(LEAST_MEMORY_BYTES, 4 * RAW_FACTOR * spec.limits.output_bytes + kept))


class OutputRun(Listener):
    """One group's outputs, cell after cell.

    Args:
        bound: called with the spec before the program's first byte is read.
    """

    def __init__(
        self, measured: str, device: Any, audit: AuditClient, bound: Callable[[StreamSpec], None] = lambda _: None
    ) -> None:
        super().__init__()
        self._measured, self._audit, self._bound = measured, audit, bound
        self._accepted = threading.Event()
        self._chain: Cells
        self._clock: SessionClock | None = None  # of a session
        self._asked = False  # to end in order
        self._closed = False  # no further cell is taken
        self._released = 0  # bytes of all cells
        self._cleaner = Cleaner()
        self._results: dict[tuple[int, str], bytes] = {}  # by cell and recipient
        self.door = Door("output", device, self._accept, order=self._order, close=self._close, fetch=self._fetch)

    # --- the door ---------------------------------------------------------------------------------

    def _accept(self, body: dict[str, Any], caller: str) -> None:
        contract = accept_contract(body, self._measured, caller, now=int(time.time()))
        spec = contract.spec
        self._listen_for(contract)
        self._chain = Cells(contract)
        self._clock = None if spec.session is None else SessionClock(spec.session, spec.limits.wall_seconds)
        if self._clock is None:
            self._open(self._chain.only())
        self._accepted.set()

    def _order(self, body: dict[str, Any]) -> None:
        with self._changed:
            with self._audit.telling_refusals():
                if self._closed or self._lost or self._asked:
                    raise SessionOver("The session has ended.", hint="Open it again: approved cells are not asked for.")
                cell = self._chain.take(part_of(OrderMessage, body), None, now=int(time.time()))
            self._audit.cell(cell)
            self._open(cell)

    def _open(self, cell: Cell) -> None:
        """Let the gate judge for this cell from here on."""
        spec = self._contract.spec
        left = None if spec.session is None else spec.session.output_bytes - self._released
        self._cleaner.renew()
        self._budget.renew()
        strays, self._strays = self._strays + self._displays.open(cell.number), 0
        live = spec.requester in {person.did for person in spec.recipients}
        gate = Gate(cell.obligations, self._cleaner, left)
        with self._changed:
            self._cell = CellOutput(cell, self._contract, gate, self._teller(cell), live=live, strays=strays)
            self._changed.notify_all()

    def _close(self) -> None:
        """The session ends in order: after the cell that runs."""
        with self._changed:
            self._asked = self._clock is not None
            self._changed.notify_all()

    def _fetch(self, recipient: str, cell: int | None) -> bytes | None:
        return self._results.get((cell or max(1, self._chain.number), recipient))

    def _teller(self, cell: Cell) -> Callable[..., None]:
        """Makes events; of a session's cell, with its number."""
        about = {} if self._clock is None else {"cell": cell.number}
        return lambda kind, **fields: self.door.events.add(kind, **about, **fields)

    @property
    def accepted(self) -> bool:
        """A contract was brought."""
        return self._accepted.is_set()

    # --- cell after cell --------------------------------------------------------------------------

    def run(self, results: socket.socket) -> None:
        """Everything after the contract; ends with the last cell's sealed results."""
        self._accepted.wait()
        self._bound(self._contract.spec)
        if self._clock is not None or self._contract.spec.outputs:
            threading.Thread(target=_make_ready, daemon=True).start()
        threading.Thread(target=self._take_connections, args=(results,), daemon=True).start()
        while (cell := self._next()) is not None:
            self._run_cell(cell)
            if self._clock is None:
                break
        self._over.set()
        self._cleaner.close()
        if self._clock is not None:
            self._audit.closed(self._clock.reason)
            self.door.events.add("closed", reason=self._clock.reason)
        self.door.events.close()

    def stop(self) -> None:
        """The host ends the group: say what was let go until now."""
        self._lose(status="stopped")

    def _next(self) -> CellOutput | None:
        """The cell that is open; of a session, the next one. ``None`` when there will be none, and why is with the clock."""
        with self._changed:
            while self._cell is None:
                assert self._clock is not None  # noqa: S101  # a run's only cell is open from the start
                left = self._clock.between(self._chain.number, lost=self._lost, asked=self._asked)
                if left <= 0:
                    self._closed = True
                    return None
                self._changed.wait(left)
            return self._cell

    def _run_cell(self, open_: CellOutput) -> None:
        """Wait for a cell's end, and seal what it gave."""
        limit = "time"
        if self._clock is None:
            seconds: float = self._contract.spec.limits.wall_seconds + GRACE_SECONDS
        else:
            seconds, limit = self._clock.begin()
        if not open_.ended.wait(seconds):
            self._lose(status="limit", limit=limit, allowed=self._allowed(limit))
        verdict, tell = open_.verdict(), self._teller(open_.cell)  # nothing is let go from here on
        if self._clock is None:
            self._cleaner.close()
        # before the results are sealed: a stop may come in between
        self._audit.gate(open_.cell, open_.status, limit=open_.end.get("limit"), verdict=verdict, token=self._token)
        status, subjects, event = open_.status, {}, {"status": open_.status}
        try:
            if status != "stopped":
                sealed = open_.seal(verdict)
                subjects, event = dict(sealed.subjects), dict(sealed.event)
                self._results |= {(open_.cell.number, did): data for did, data in sealed.results.items()}
                for name, fields in records_of(sealed, verdict).items():
                    self._audit.record(name, **fields)
        except Exception as error:  # noqa: BLE001  # whatever the program did, the cell has an end
            status, event = "failed", {"status": "failed"}
            self._audit.record("output-failed", error=type(error).__name__)
        self._audit.finish(open_.cell, status, subjects, token=self._token, last=self._clock is None)
        with self._changed:
            self._released += open_.gate.released_bytes
            self._budget.renew()
            self._cell = None
            self._chain.done()
            if self._clock is not None:
                self._clock.end()
        if status != "stopped":
            tell("end", **event)


def _make_ready() -> None:
    """Load what judges tables, while the program still starts."""
    from sls_jupyter.guest import tables  # noqa: F401


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    wire.end_with_host()
    warnings.simplefilter("ignore")  # libraries warn with the program's own words, and the log is the host's
    require_ids("output")
    results = wire.listen(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}", everybody=as_measured("output"))
    run = OutputRun(measured, wire.device(), AuditClient("output"), limit_memory)
    run.door.serve(os.environ.get("SLS_LISTEN", f"0.0.0.0:{OUTPUT_PORT}"))
    wire.be_unreadable()
    worker = threading.Thread(target=run.run, args=(results,), daemon=True)
    worker.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    run.stop()
    if run.accepted:
        worker.join(LAST_WORD_SECONDS)
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    os._exit(main())  # nothing to tidy up: the memory goes with the group

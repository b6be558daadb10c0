"""Whole notebooks: one review of all cells before anything is launched, then a session that runs them in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from sls_jupyter.contract.cells import CellOrder, cell_terms
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.safestream.approving import Asked, await_approval
from sls_jupyter.safestream.ordering import OrderedCell, SessionRequest, ask_ahead, order_cell
from sls_jupyter.safestream.run import Run
from sls_jupyter.session.notebooks import NotebookCell
from sls_jupyter.session.warming import Warming


@dataclass(frozen=True, slots=True)
class NotebookRequest:
    """A notebook as it is asked for: a session's contract, and all of its cells."""

    name: str  # of the notebook, for people
    request: SessionRequest
    cells: tuple[NotebookCell, ...]
    host: str | None = None


@dataclass(slots=True)
class RanCell:
    """A cell of a notebook that was run."""

    cell: NotebookCell
    run: Run


@dataclass(slots=True)
class RanNotebook:
    """What became of a notebook, cell by cell, as far as it came."""

    asked: NotebookRequest
    cells: list[RanCell] = field(default_factory=list)
    closed: str = ""  # how its session ended
    error: SlsError | None = None  # of the cell that ended it

    @property
    def complete(self) -> bool:
        """Every cell ran, and none failed."""
        return self.error is None and len(self.cells) == len(self.asked.cells)


class Submitting(Warming):
    """Notebooks."""

    def ask_for(self, asked: NotebookRequest, *, wait_for_approval: bool = False) -> Run:
        """Ask the owners for a whole notebook; a run that ends when they have allowed it. Nothing is launched.

        Its end is an error where somebody denies, or has to decide first and nobody waits for that.
        """
        cells = self._in_order(asked)
        request, last = asked.request, cells[-1].order
        clients, names = self._run_clients(request), self.names_in(request.spec)

        def work(run: Run) -> None:
            run.steps.begin("planned")
            again = partial(ask_ahead, request, cells, clients)
            answers = again()
            run.steps.done("planned", f"{len(cells)} cells of {asked.name}")
            run.steps.begin("approved")
            answers.require_not_denied()
            terms = cell_terms(request.spec, last.cells)
            told = Asked(request.spec, terms, names, partial(self._waiting_cell, request.spec, cells))
            await_approval(run, answers, again, told, wait=wait_for_approval)

        return Run(last.digest, work).start()

    def _in_order(self, asked: NotebookRequest) -> list[OrderedCell]:
        """Every cell with an order, one after another."""
        ordered: list[OrderedCell] = []
        before: CellOrder | None = None
        now, nothing = int(time.time()), pack_parameters({})
        for cell in asked.cells:
            text = CellText(cell.code, nothing)
            one = order_cell(self.identity, asked.request.spec, before, text, cell.outputs, now=now)
            ordered.append(one)
            before = one.order
        return ordered

    def run_notebook(
        self, asked: NotebookRequest, started: Callable[[NotebookCell, Run], None] = lambda *_: None
    ) -> RanNotebook:
        """Run an allowed notebook to its end, or to the first cell that fails.

        Args:
            started: called with each cell and its run when it has begun; may follow it. What it raises ends the notebook.

        Raises:
            what :meth:`open_session` raises. A cell's failure is in what is returned.
        """
        ran = RanNotebook(asked)
        name = f"notebook-{asked.request.spec.digest[7:19]}"
        self.open_session(name, asked.request, host=asked.host)
        try:
            for cell in asked.cells:
                self._run_one(name, cell, started, ran)
                if ran.error is not None:
                    break
        except BaseException:
            for one in ran.cells[-1:]:
                one.run.cancel()
            raise
        finally:
            ran.closed = self._closed(name)
        return ran

    def _run_one(
        self, name: str, cell: NotebookCell, started: Callable[[NotebookCell, Run], None], ran: RanNotebook
    ) -> None:
        try:
            run = self.run_cell(name, cell.code, outputs=cell.outputs)
        except SlsError as error:
            ran.error = error
            return
        ran.cells.append(RanCell(cell, run))
        started(cell, run)
        try:
            run.wait()
        except SlsError as error:
            ran.error = error

    def _closed(self, name: str) -> str:
        try:
            return self.close_session(name).state
        except SlsError:
            return next((one.state for one in self.sessions() if one.name == name), "")


def requested(asked: NotebookRequest) -> Sequence[str]:
    """What a notebook asks for, in words."""
    spec = asked.request.spec
    inputs = ", ".join(item.alias for item in spec.inputs)
    outputs = ", ".join(name for cell in asked.cells for name in cell.outputs) or "nothing by name"
    return (f"{len(asked.cells)} cells over {inputs}", f"purpose: {spec.purpose or 'not stated'}", f"returns {outputs}")

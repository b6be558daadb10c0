"""The cells that a group runs, as each door keeps them for itself: one of a run, one after another of a session.

A run is a session of one cell whose order is its spec. Of a session each door gets every order with all authorities'
grants and verifies both against its own chain; neither asks the other. What is refused changes nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sls_jupyter.contract.cells import CellOrder, cell_obligations, verify_cell_grants, verify_order
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import b64decode, require_digest
from sls_jupyter.errors import BadInput, CellRunning
from sls_jupyter.guest.contract import Contract, Material, require_room
from sls_jupyter.guest.messages import CodeMessage, OrderMessage


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that may run: everything about it was verified."""

    number: int  # 1 for the first, and for the only one of a run
    digest: str  # of what orders it: its CellOrder; of a run, its spec. Results are bound to it
    outputs: tuple[str, ...]
    obligations: Obligations
    order: bytes | None = None  # envelope; None: a run has none
    grants: tuple[bytes, ...] = ()  # envelopes, of this cell
    code: str = field(default="", repr=False)  # at the input
    parameters: bytes = field(default=b"", repr=False)  # at the input


class Cells:
    """One door's chain of cells. Safe for several threads.

    Args:
        contract: verified.
        material: at the input; a receipt has its manifests too.
    """

    def __init__(self, contract: Contract, material: Material | None = None) -> None:
        self._contract, self._material = contract, material
        self._last: CellOrder | None = None
        self._taken, self._runs = 0, False
        self._lock = threading.Lock()

    @property
    def number(self) -> int:
        """Of the last cell that was taken; 0 before the first."""
        return 0 if self._last is None else self._last.number

    @property
    def running(self) -> int | None:
        """The number of the cell that was taken and is not done; ``None`` when none is."""
        with self._lock:
            return self._taken if self._runs else None

    def only(self) -> Cell:
        """The cell of a run: its contract names it. It runs from here on."""
        with self._lock:
            self._taken, self._runs = 1, True
        spec, material = self._contract.spec, self._material
        code, parameters = (None, None) if material is None else (material.code, material.parameters)
        return Cell(
            1, spec.digest, spec.outputs, self._contract.obligations, code=code or "", parameters=parameters or b""
        )

    def take(self, ordered: OrderMessage, brought: CodeMessage | None, *, now: int) -> Cell:
        """The next cell, which runs from here on, until :meth:`done`.

        Args:
            ordered: the order and the grants to it.
            brought: its code and parameters, at the input.
            now: seconds since 1970.

        Raises:
            CellRunning: one runs.
            what :func:`~sls_jupyter.contract.cells.verify_order` and ``verify_cell_grants`` raise.
            DigestMismatch: other code, or other parameters, than were ordered.
            BadInput: this is a run, or no receipt could hold the order.
        """
        with self._lock:
            if self._contract.spec.session is None:
                raise BadInput("This group runs one cell, which its contract names.", hint="Open a session.")
            if self._runs:
                raise CellRunning("A cell is running.", hint="Wait for its end, or interrupt it.")
            order, cell = self._verified(ordered, brought, now)
            self._last, self._taken, self._runs = order, order.number, True
            return cell

    def done(self) -> None:
        """The cell has ended; the next one may come."""
        with self._lock:
            self._runs = False

    def _verified(self, ordered: OrderMessage, brought: CodeMessage | None, now: int) -> tuple[CellOrder, Cell]:
        spec, granted = self._contract.spec, self._contract.grants
        envelope, envelopes = ordered.order.encode(), tuple(one.encode() for one in ordered.grants)
        order = verify_order(envelope, spec, self._last, now=now)
        grants = verify_cell_grants(envelopes, spec, granted, order, now=now)
        code, parameters = "", b""
        if brought is not None:
            code, parameters = brought.code, b64decode(brought.parameters)
            require_digest(code.encode(), order.cell.code, "the cell")
            require_digest(parameters, order.cell.parameters, "the parameters")
        manifests = () if self._material is None else self._material.manifest_envelopes
        require_room((self._contract.spec_envelope, *self._contract.grant_envelopes, *manifests, envelope, *envelopes))
        rules = cell_obligations(spec, granted, grants)
        cell = Cell(order.number, order.digest, order.cell.outputs, rules, envelope, envelopes, code, parameters)
        return order, cell

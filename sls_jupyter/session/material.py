"""What two requests are compared by."""

from __future__ import annotations

from dataclasses import dataclass

from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import StreamSpec


@dataclass(frozen=True, slots=True)
class Material:
    """A signed spec, with the code and the parameters that it names by their digests; in a session those of all cells."""

    spec: StreamSpec
    code: str  # of the newest cell
    parameters: bytes
    order: CellOrder | None = None  # of the newest cell; None: a run
    before: tuple[CellText, ...] = ()

    @property
    def proposal(self) -> Proposal:
        return Proposal(self.spec, self.order)

    @property
    def texts(self) -> tuple[CellText, ...]:
        """Every cell."""
        return (*self.before, CellText(self.code, self.parameters))

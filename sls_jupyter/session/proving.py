"""What the receipts that lie in this persona's own folder prove, offline: nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass

from sls_jupyter.documents import digest
from sls_jupyter.errors import SlsError, UnknownName
from sls_jupyter.receipt.verdict import VerifiedReceipt
from sls_jupyter.session.auditing import Auditing
from sls_jupyter.session.cell import one_spelling
from sls_jupyter.session.remembering import RunRecord


@dataclass(frozen=True, slots=True)
class CellProof:
    """Whether a receipt proves that a cell ran as it stands, and in a few words why not."""

    verified: bool
    words: str


class Proving(Auditing):
    """Receipts in the folders of runs."""

    def prove_cell(self, run: str, code: str) -> CellProof:
        """Whether the kept receipt of a run of this persona is of this code, and of the results that are kept of the run.

        Which assets, purpose and outputs the cell's first line names today is not compared, nor what a notebook shows.

        Args:
            run: its id. code: the cell's body, in any of its spellings.
        """
        try:
            record = self.run_called(run)
        except UnknownName:
            return CellProof(False, "no such run here")
        if record.id != run:  # the beginning of an id
            return CellProof(False, "no such run here")
        try:
            verdict = self.kept_receipt(run)
        except SlsError:
            return CellProof(False, "its receipt cannot be read")
        if verdict is None:
            return CellProof(False, "no receipt here")
        if not verdict.accepted:
            return CellProof(False, f"its receipt is refused: {', '.join(one.name for one in verdict.failed)}")
        stands = digest(one_spelling(code).encode("utf-8", "surrogatepass"))
        if self._asked(record.id).cells[-1].code != stands:
            return CellProof(False, "the code was changed since")
        return self._prove_results(record, verdict.require())

    def _prove_results(self, record: RunRecord, receipt: VerifiedReceipt) -> CellProof:
        """Whether the results that this persona keeps are those that the receipt names for it."""
        if f"sealed/{self.did}" in dict(receipt.verdict.subjects):
            try:
                same = self.check_results(record.id, receipt)
            except SlsError:
                return CellProof(False, "its results are not kept here")
            if not all(same.values()):
                return CellProof(False, "the kept results are not those of its receipt")
        return CellProof(True, "verified, SIMULATED" if receipt.verdict.simulated else "verified")

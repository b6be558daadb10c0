"""What the receipts that lie in this persona's own folder prove, offline: nobody is asked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.documents import digest
from sls_jupyter.errors import SlsError
from sls_jupyter.receipt.files import read_receipt
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verdict import ReceiptVerdict, VerifiedReceipt
from sls_jupyter.session.auditing import Auditing
from sls_jupyter.session.cell import one_spelling
from sls_jupyter.session.remembering import RunRecord

RECEIPT = "receipt.json"  # in the folder of a run


@dataclass(frozen=True, slots=True)
class CellProof:
    """Whether a receipt proves that a cell ran as it stands, and in a few words why not."""

    verified: bool
    words: str


class Proving(Auditing):
    """Receipts in the folders of runs."""

    def kept_receipts(self, most: int) -> list[RunRecord]:
        """The newest runs whose receipt lies in their folder, the newest first. The receipts are not looked at."""
        found = []
        for path in self.home.folder("runs").glob(f"*/{RECEIPT}"):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime_ns, path.parent.name))
        newest = (self.run_exactly(name) for _, name in sorted(found, reverse=True)[:most])
        return sorted((one for one in newest if one is not None), key=lambda one: one.started_at, reverse=True)

    def kept_verdict(self, record: RunRecord) -> ReceiptVerdict | None:
        """The verdict on the receipt in a run's folder, against what this persona knows of it; ``None``: there is none.

        Raises:
            BadInput, MalformedDocument: what lies there is no receipt, or the run's contract cannot be read.
        """
        path = self._kept_receipt(record.id)
        if not path.is_file():
            return None
        return self._judge_receipt(record.id, self._asked(record.id), Receipt.parse(read_receipt(path)))

    def prove_cell(self, run: str, code: str) -> CellProof:
        """Whether the kept receipt of a run of this persona is of this code, and of the results that are kept of the run.

        Which assets, purpose and outputs the cell's first line names today is not compared, nor what a notebook shows.

        Args:
            run: its id. code: the cell's body, in any of its spellings.
        """
        record = self.run_exactly(run)
        if record is None:
            return CellProof(False, "no such run here")
        try:
            verdict = self.kept_verdict(record)
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

    def _kept_receipt(self, run: str) -> Path:
        return self.home.folder("runs") / run / RECEIPT

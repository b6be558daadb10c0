"""The receipts of one session together: every cell once, each after the one that it names.

Each receipt is verified by itself first (:mod:`~sls_jupyter.receipt.verify`); here they are compared with each other. What
this does *not* show: that the session had no more cells than those whose receipts are here. An owner's log has the number
of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.errors import BadInput
from sls_jupyter.receipt.findings import NotMade, line, need, refuse
from sls_jupyter.receipt.verdict import ReceiptVerdict


def verify_chain(verdicts: Sequence[ReceiptVerdict]) -> tuple[Check, ...]:
    """Check that receipts are those of one session's cells from the first on, in whatever order they are given.

    Args:
        verdicts: of :func:`~sls_jupyter.receipt.verify.verify_receipt`, one for each receipt.

    Returns:
        One line for each property; the receipts are a chain if all are good.

    Raises:
        BadInput: there is none.
    """
    if not verdicts:
        raise BadInput("There is no receipt to verify.", expected="the receipts of a session's cells")
    return (
        line("each receipt", "every one verifies by itself", lambda: _each(verdicts)),
        line("session", "all of one session, none of a run", lambda: _session(verdicts)),
        line("numbers", "each cell once, from the first on", lambda: _numbers(verdicts)),
        line("orders", "each order follows the one before and begins with its cells", lambda: _orders(verdicts)),
        line("previous", "each receipt names the one before", lambda: _previous(verdicts)),
    )


def _each(verdicts: Sequence[ReceiptVerdict]) -> str:
    refused = [one.id or "one that cannot be read" for one in verdicts if not one.accepted]
    if refused:
        refuse("A receipt does not verify.", ", ".join(refused), "none that is refused")
    return f"{len(verdicts)} receipts"


def _order(verdict: ReceiptVerdict) -> CellOrder:
    return need(verdict.order, "cell of a receipt")


def _session(verdicts: Sequence[ReceiptVerdict]) -> str:
    found = {_order(one).session for one in verdicts}
    if len(found) > 1:
        refuse("The receipts are of several sessions.", ", ".join(sorted(found)), "one session")
    return found.pop()


def _in_order(verdicts: Sequence[ReceiptVerdict]) -> list[ReceiptVerdict]:
    """By their numbers, which are complete.

    Raises:
        NotMade: they are not.
    """
    found = sorted(verdicts, key=lambda one: _order(one).number)
    if [_order(one).number for one in found] != list(range(1, len(found) + 1)):
        raise NotMade("numbering of the cells")
    return found


def _numbers(verdicts: Sequence[ReceiptVerdict]) -> str:
    numbers, wanted = sorted(_order(one).number for one in verdicts), list(range(1, len(verdicts) + 1))
    if numbers != wanted:
        refuse("A cell's receipt is missing, or there twice.", _list(numbers), _list(wanted))
    return f"cells 1 to {len(verdicts)}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _orders(verdicts: Sequence[ReceiptVerdict]) -> str:
    orders = [_order(one) for one in _in_order(verdicts)]
    for before, after in pairwise(orders):
        if after.previous != before.digest or after.cells[:-1] != before.cells:
            refuse(f"Cell {after.number} was ordered after another cell.", str(after.previous), before.digest)
    return orders[-1].digest


def _previous(verdicts: Sequence[ReceiptVerdict]) -> str:
    found = _in_order(verdicts)
    for before, after in pairwise(found):
        if after.previous != before.id:
            refuse(f"The receipt of cell {after.cell} follows another one.", str(after.previous), before.id)
    return found[-1].id

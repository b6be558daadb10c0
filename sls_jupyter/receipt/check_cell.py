"""Check 6: in a session, which cell this was, and that its requester ordered and every authority granted it."""

from __future__ import annotations

from collections.abc import Iterable

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.cells import CellOrder, verify_cell_grants
from sls_jupyter.documents import verify
from sls_jupyter.identity import CLOCK_SKEW_SECONDS, verify_signature
from sls_jupyter.receipt.findings import Findings, line, need, refuse
from sls_jupyter.receipt.statement import CellRecord


def check_cell(found: Findings) -> Iterable[Check]:
    """6. A cell's order is its requester's, for this session; the grants are for this order, and not weaker than the session's."""
    record = None if found.stated is None else found.stated.statement.predicate.cell
    is_run = found.spec is None or found.spec.session is None
    if record is None and is_run and found.wanted.order is None:
        return []
    wanted = found.wanted.order
    signed = "ordered by the requester, in this session; the receipt before it is named"
    granted = "granted by every authority, for this order, not weaker than to the session"
    return [
        line("cell", signed if wanted is None else f"{wanted}, {signed}", lambda: _order(found, record)),
        line("cell grants", granted, lambda: _grants(found, record)),
    ]


def _order(found: Findings, record: CellRecord | None) -> str:
    spec, stated, wanted = need(found.spec, "spec"), need(found.stated, "receipt"), found.wanted.order
    if spec.session is None or record is None:
        refuse(
            "A receipt is of a session's cell, or of a run.", _kind(record is not None), _kind(spec.session is not None)
        )
    order = verify(record.order.encode(), CellOrder, verify_signature, did=spec.requester)
    if order.session != found.spec_id:
        refuse("The order is for another session.", order.session, found.spec_id)
    if wanted is not None and order.digest != wanted:
        refuse("The receipt of another cell.", order.digest, wanted)
    if order.number > spec.session.cells:
        refuse("The session has no such cell.", order.number, f"{spec.session.cells} at most")
    if (record.previous is None) != (order.number == 1):
        refuse("The receipt before this one", record.previous, "none before the first cell, one before every other")
    started = stated.statement.predicate.run.started_at
    if not order.issued_at - CLOCK_SKEW_SECONDS <= started < order.expires_at:
        refuse("The order did not hold when the cell began.", started, f"{order.issued_at} to {order.expires_at}")
    found.order = order
    before = "" if record.previous is None else f", after receipt {record.previous}"
    return f"cell {order.number} of session {found.spec_id}{before}"


def _kind(is_cell: bool) -> str:
    return "a cell of a session" if is_cell else "a run"


def _grants(found: Findings, record: CellRecord | None) -> str:
    spec, order, stated = need(found.spec, "spec"), need(found.order, "cell"), need(found.stated, "receipt")
    grants, envelopes = found.of_all(found.grants, "grant"), [one.encode() for one in need(record, "cell").grants]
    started = stated.statement.predicate.run.started_at
    found.cell_grants = verify_cell_grants(envelopes, spec, grants, order, now=started)
    told = [parsed.authority for parsed in found.cell_grants]
    return ", ".join(told)

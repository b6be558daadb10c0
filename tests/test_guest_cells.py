"""A door's chain of cells: the next one, ordered by the requester and granted by all, one at a time; nothing else runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders import World, person
from cells_kit import NO_PARAMETERS, Notebook

from sls_jupyter.contract.cells import CellGrant, CellOrder
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import b64encode, sign, verify
from sls_jupyter.errors import (
    BadInput,
    CellRunning,
    DigestMismatch,
    MalformedDocument,
    NotAuthorised,
    SignatureInvalid,
    SlsError,
)
from sls_jupyter.guest import contract as contract_module
from sls_jupyter.guest.cells import Cell, Cells
from sls_jupyter.guest.contract import accept_contract
from sls_jupyter.guest.messages import CodeMessage, OrderMessage, part_of
from sls_jupyter.identity import verify_signature

CODE = "total = len(patients)\n"


class Doors:
    """Both doors of one session's group, and the authority's grants to its cells."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.notebook = Notebook.open(world, policy={"max_rows": 5})
        answer = self._granted(CODE)
        spec = self.notebook.spec
        body = {"spec": sign(spec, world.analyst).decode(), "grants": [one.decode() for one in answer.grants]}
        contract = accept_contract(body, spec.digest, spec.requester, now=world.clock())
        self.inside, self.outside = Cells(contract), Cells(contract)
        self.first = self.ordered(CODE, answer)

    def _granted(self, code: str) -> Any:
        self.notebook.add(code)
        return self.notebook.ask()

    def ordered(self, code: str, answer: Any = None) -> dict[str, Any]:
        """The body of a cell's order with its material; asked for now, unless it was."""
        answer = answer or self._granted(code)
        return {
            "order": sign(self.notebook.orders[-1], self.world.analyst).decode(),
            "grants": [answer.cell_grant.decode()],
            "code": code,
            "parameters": b64encode(NO_PARAMETERS),
        }

    def take(self, body: dict[str, Any], now: int | None = None) -> Cell:
        ordered, brought = part_of(OrderMessage, body), part_of(CodeMessage, body)
        return self.inside.take(ordered, brought, now=self.world.clock() if now is None else now)


@pytest.fixture
def doors(tmp_path: Any) -> Iterator[Doors]:
    world = World(tmp_path)
    yield Doors(world)
    world.close()


def test_cells_come_one_after_another(doors: Doors) -> None:
    """Both doors keep the same chain, and a cell ends before the next one."""
    cell = doors.take(doors.first)
    assert (cell.number, cell.code, cell.parameters) == (1, CODE, NO_PARAMETERS)
    assert cell.digest == doors.notebook.orders[0].digest
    assert cell.obligations.max_rows == 5
    with pytest.raises(CellRunning, match="A cell is running"):
        doors.take(doors.first)
    doors.inside.done()
    second = doors.take(doors.ordered("print(total)"))
    assert (second.number, doors.inside.number) == (2, 2)
    ordered = part_of(OrderMessage, doors.first)
    assert doors.outside.take(ordered, None, now=doors.world.clock()).code == ""


def other_grant(doors: Doors, **changes: Any) -> list[str]:
    """The authority's grant to the first cell with changes, signed by it."""
    authority = person(doors.world.authority_name)
    grant = verify(doors.first["grants"][0].encode(), CellGrant, verify_signature, did=authority.did)
    return [sign(grant.model_copy(update=changes), authority).decode()]


def other_order(doors: Doors, signer: str = "analyst", **changes: Any) -> str:
    return sign(doors.notebook.orders[0].model_copy(update=changes), person(signer)).decode()


Change = Callable[[Doors], dict[str, Any]]
REFUSED: dict[str, tuple[Change, type[SlsError], str | None]] = {
    "forged order": (lambda doors: {"order": other_order(doors, "mallory")}, SlsError, None),
    "another's order": (
        lambda doors: {"order": other_order(doors, "mallory", requester=person("mallory").did)},
        SignatureInvalid,
        None,
    ),
    "foreign session": (
        lambda doors: {"order": other_order(doors, session="sha256:" + "0" * 64)},
        DigestMismatch,
        "another session",
    ),
    "expired order": (
        lambda doors: {"order": other_order(doors, issued_at=1, expires_at=2)},
        BadInput,
        "not valid at this time",
    ),
    "no grant": (lambda _: {"grants": []}, NotAuthorised, "has not granted"),
    "grant for another order": (
        lambda doors: {"grants": other_grant(doors, order="sha256:" + "0" * 64)},
        DigestMismatch,
        "another cell",
    ),
    "grant for another session": (
        lambda doors: {"grants": other_grant(doors, session="sha256:" + "0" * 64)},
        DigestMismatch,
        "another cell",
    ),
    "expired grant": (
        lambda doors: {"grants": other_grant(doors, issued_at=1, expires_at=2)},
        BadInput,
        "not valid at this time",
    ),
    "weaker grant": (
        lambda doors: {"grants": other_grant(doors, obligations=Obligations())},
        BadInput,
        "more than it granted",
    ),
    "other code": (lambda _: {"code": "print(patients)"}, DigestMismatch, "cell"),
    "other parameters": (lambda _: {"parameters": b64encode(b"{}")}, DigestMismatch, "parameters"),
    "no order": (lambda _: {"order": "{}"}, MalformedDocument, None),
    "something else": (lambda _: {"more": 1}, MalformedDocument, "cell is an order"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_not_ordered_and_granted_does_not_run(doors: Doors, case: str) -> None:
    """A host, a manager or the analyst alone cannot run one line that an owner did not allow; and nothing changes by it."""
    change, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        doors.take({**doors.first, **change(doors)})
    assert doors.inside.number == 0
    assert doors.take(doors.first).number == 1


def test_a_gap_a_repetition_and_another_chain_are_refused(doors: Doors) -> None:
    """What a reviewer read is the notebook up to here, in this order."""
    second = doors.ordered("a = 1")
    with pytest.raises(DigestMismatch, match="not the next cell"):
        doors.take(second)
    doors.take(doors.first)
    doors.inside.done()
    with pytest.raises(DigestMismatch, match="not the next cell"):
        doors.take(doors.first)
    order = doors.notebook.orders[1]
    assert isinstance(order, CellOrder)
    reordered = order.model_copy(update={"cells": tuple(reversed(order.cells))})
    with pytest.raises(DigestMismatch, match="another chain"):
        doors.take({**second, "order": sign(reordered, doors.world.analyst).decode()})
    with pytest.raises(DigestMismatch, match="another cell"):
        doors.take({**second, "grants": doors.first["grants"]})
    assert doors.take(second).number == 2


def test_an_order_that_no_receipt_could_hold_does_not_run(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding would be a way to results without a receipt."""
    monkeypatch.setattr(contract_module, "MAX_CONTRACT_BYTES", 3000)
    with pytest.raises(BadInput, match="too large for a receipt"):
        doors.take(doors.first)


def test_a_run_takes_no_orders(tmp_path: Any) -> None:
    """Its contract names its only cell."""
    world = World(tmp_path)
    _, spec = world.granted()
    grants = [grant.decode() for grant in world.submit(spec).grants]
    body = {"spec": sign(spec, world.analyst).decode(), "grants": grants}
    cells = Cells(accept_contract(body, spec.digest, spec.requester, now=world.clock()))
    assert (cells.only().digest, cells.only().outputs) == (spec.digest, spec.outputs)
    with pytest.raises(BadInput, match="runs one cell"):
        cells.take(OrderMessage(order="{}", grants=()), None, now=world.clock())
    world.close()

"""Sessions in an inbox: an approver reads every cell that the requester signed, and signs those and no others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cells_kit import CELLS, NO_PARAMETERS, terms_of
from e2e import World, patients
from test_session_inbox import Change, lying  # noqa: F401  # the fixture

from sls_jupyter.authority.answers import CellAnswer, SubmitAnswer
from sls_jupyter.contract.cells import CellGrant, CellOrder
from sls_jupyter.contract.grants import Approval
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.documents import b64encode, canonical_json, digest, sign, verify
from sls_jupyter.errors import SlsError, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.notebook.review import request_card

FIRST, SECOND, THIRD, _ = CELLS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None, columns="age,sex")
    yield made
    made.close()


class Asking:
    """An analyst's session, cell by cell, over the network."""

    def __init__(self, world: World) -> None:
        self.session = world.analyst
        request = world.analyst.prepare(FIRST, ["patients"], purpose="heart study")
        changes = {"code": None, "parameters": None, "outputs": (), "session": SessionTerms(cells=20)}
        self.spec = request.spec.model_copy(update=changes)
        (self.client,) = world.analyst._run_clients(request).values()
        self.orders: list[CellOrder] = []
        self.texts: list[CellText] = []

    @property
    def terms(self) -> str:
        return Proposal(self.spec, self.orders[-1]).terms

    def cell(self, code: str) -> SubmitAnswer:
        """Order a cell and ask for it."""
        self.order(code)
        return self.again()

    def order(self, code: str) -> None:
        now, before = int(time.time()), self.orders
        self.orders.append(
            CellOrder(
                requester=self.spec.requester,
                session=self.spec.digest,
                previous=before[-1].digest if before else None,
                cells=(*(one.cell for one in before), terms_of(code)),
                issued_at=now,
                expires_at=now + 3600,
            )
        )
        self.texts.append(CellText(code, NO_PARAMETERS))

    def again(self) -> SubmitAnswer:
        me = self.session.identity
        orders = [sign(order, me) for order in self.orders]
        return self.client.submit_cell(sign(self.spec, me), orders, self.texts, sign(me.contact(), me))


def test_a_notebook_is_approved_cell_by_cell_and_read_whole(world: World) -> None:
    """Over HTTP, with signatures: asked, read, approved, granted; the next cell shows what was approved before."""
    asking = Asking(world)
    assert asking.cell(FIRST).verdict == "ask"
    world.hospital.request(asking.terms)
    world.hospital.approve(asking.terms)
    granted = asking.again()
    grant = verify(_encoded(granted.cell_grant), CellGrant, verify_signature, did=None)
    assert (granted.verdict, grant.order) == ("allow", asking.orders[0].digest)
    asking.cell(SECOND)
    info = world.hospital.request(asking.terms)
    assert [one.code for one in info.texts] == [FIRST, SECOND]
    assert (info.own_cells, info.approved_cells, info.mine_to_decide) == (1, 1, True)
    assert "which you approved before" in request_card(info).html()
    assert world.analyst.request(asking.terms).own_cells == 0


def _encoded(envelope: Any) -> bytes:
    return canonical_json(dict(envelope))


def test_the_approval_is_of_these_cells(world: World) -> None:
    """What is signed is the notebook that was read, by all of its digests."""
    asking = Asking(world)
    asking.cell(FIRST)
    asking.cell(SECOND)
    world.hospital.request(asking.terms)
    world.hospital.approve(asking.terms)
    asking.cell(THIRD)
    detail = world.hospital._client_of(world.hospital.request(asking.terms).authority).request(asking.terms)
    approval = verify(detail.approval.encode(), Approval, verify_signature, did=world.hospital.did)
    assert approval.code == tuple(digest(code.encode()) for code in (FIRST, SECOND))


def test_a_changed_cell_is_told_in_lines(world: World) -> None:
    """A reviewer reads what the changed cell was in the notebook that they let run."""
    asking = Asking(world)
    asking.cell(FIRST)
    asking.cell(SECOND)
    world.hospital.request(asking.terms)
    world.hospital.approve(asking.terms)
    other = Asking(world)
    other.cell(FIRST)
    other.cell(SECOND.replace("mean", "max"))
    info = world.hospital.request(other.terms)
    assert "cell 2: changed" in info.earlier.differences
    assert any(line.startswith("+ 1:") for line in info.earlier.changed[2])


EVIL = "x = patients\n"
LIES: dict[str, Change] = {
    "another newest cell": lambda _: {"code": FIRST},
    "another cell before": lambda _: {"before": (CellAnswer(code=THIRD, parameters=b64encode(NO_PARAMETERS)),)},
    "other parameters before": lambda told: {
        "before": (CellAnswer(code=told.before[0].code, parameters=b64encode(b"{}")),)
    },
    "a cell left away": lambda _: {"before": ()},
    "no order": lambda _: {"order": None},
    "an unsigned order": lambda told: {"order": told.order.replace('"sig":"', '"sig":"AAAA')},
}


@pytest.mark.parametrize("lie", LIES)
def test_what_nobody_signed_is_neither_shown_nor_approved(world: World, lying: Any, lie: str) -> None:  # noqa: F811
    """An authority that shows another notebook than was signed is a sentence about that authority."""
    asking = Asking(world)
    asking.order(FIRST)
    asking.cell(EVIL)
    lying(LIES[lie])
    assert world.hospital.requests() == []
    assert world.hospital.doubts()
    with pytest.raises(SlsError):
        world.hospital.request(asking.terms)
    with pytest.raises(SlsError):
        world.hospital.approve(asking.terms)


def test_an_authority_cannot_fold_what_was_not_approved(world: World, lying: Any) -> None:  # noqa: F811
    """An approval of other code, or of somebody else, hides no cell; a number alone hides none."""
    asking = Asking(world)
    asking.cell(FIRST)
    world.hospital.request(asking.terms)
    world.hospital.approve(asking.terms)
    asking.cell(EVIL)
    lying(lambda _: {"approved_cells": 2})
    with pytest.raises(SlsError, match="something else"):
        world.hospital.request(asking.terms)
    lying(lambda _: {"approved_cells": 2, "approval": None})
    info = world.hospital.request(asking.terms)
    assert (info.own_cells, info.approved_cells) == (0, 2)
    assert "which you approved before" not in request_card(info).html()


def test_what_was_left_out_is_asked_for(world: World) -> None:
    """A client that sends too little is told to send all."""
    asking = Asking(world)
    asking.cell(FIRST)
    asking.cell(SECOND)
    me = world.analyst.identity
    orders = [sign(order, me) for order in asking.orders]
    with pytest.raises(UnknownName, match="orders before"):
        asking.client.submit_cell(sign(asking.spec, me), orders[1:], asking.texts)

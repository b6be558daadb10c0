"""Asking for a cell: every authority's answer is about this very cell, or it is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import World, person
from cells_kit import NO_PARAMETERS, Notebook

from sls_jupyter.authority import cells
from sls_jupyter.authority.answers import SubmitAnswer
from sls_jupyter.authority.http import _told_answer
from sls_jupyter.contract.cells import CellGrant, verify_order
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.documents import canonical_json, parse_json, sign, verify
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, SignatureInvalid, SlsError, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.safestream.ordering import OrderedCell, SessionRequest, ask_cells, order_cell

Change = Callable[[SubmitAnswer], SubmitAnswer]


class Asking:
    """A session's requester and the one authority of it, whose answers a test may change."""

    def __init__(self, world: World) -> None:
        self.world, self.change = world, lambda answer: answer
        self.spec = Notebook.open(world).spec
        with world.authority.store.read() as connection:
            manifest = connection.exec_driver_sql("select manifest from assets").scalar_one()
        envelope = sign(self.spec, world.analyst)
        contact = sign(world.analyst.contact(), world.analyst)
        self.request = SessionRequest(self.spec, envelope, {self.spec.inputs[0].asset: manifest}, contact)
        self.cells: list[OrderedCell] = []
        self.asked: list[tuple[int, int]] = []  # how many orders and texts were sent

    def submit_cell(self, spec: bytes, orders: Any, texts: Any, contact: bytes, *, dry_run: bool) -> SubmitAnswer:
        """As the client of an authority."""
        self.asked.append((len(orders), sum(one is not None for one in texts)))
        sent = cells.Submission(spec, tuple(orders), tuple(texts), contact)
        answer = cells.submit(self.world.authority, self.world.analyst.did, sent, dry_run=dry_run)
        return self.change(_told_answer(answer))

    def order(self, code: str) -> None:
        before = self.cells[-1].order if self.cells else None
        text, now = CellText(code, NO_PARAMETERS), self.world.clock()
        self.cells.append(order_cell(self.world.analyst, self.spec, before, text, ("b", "a"), now=now))

    def ask(self, **options: Any) -> Any:
        clients: Any = {self.world.authority.did: self}
        return ask_cells(self.request, self.cells, clients, now=self.world.clock(), **options)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    world = World(tmp_path)
    made = Asking(world)
    made.order("first = 1\n")
    yield made
    world.close()


def test_an_order_is_the_next_of_its_chain(asking: Asking) -> None:
    """The guest and every authority verify what is made here."""
    asking.order("second = 2\n")
    previous = None
    for one in asking.cells:
        previous = verify_order(one.envelope, asking.spec, previous, now=asking.world.clock())
    assert previous is not None
    assert (previous.number, previous.cell.outputs) == (2, ("a", "b"))


def test_every_cell_is_granted_and_only_the_new_text_is_sent(asking: Asking) -> None:
    """Forty cells are not sent forty times; an authority that lacks one gets all of them."""
    first = asking.ask()
    assert (first.verdict, len(first.grants), len(first.cell_grants)) == ("allow", 1, 1)
    asking.order("second = 2\n")
    assert asking.ask().grant_envelopes == first.grant_envelopes
    assert asking.asked == [(1, 1), (1, 1)]
    inner, asking.asked = asking.submit_cell, []

    def forgetful(spec: bytes, orders: Any, texts: Any, contact: bytes, *, dry_run: bool) -> SubmitAnswer:
        if None in texts:
            raise UnknownName("This authority does not have the text of a cell.")
        return inner(spec, orders, texts, contact, dry_run=dry_run)

    asking.submit_cell = forgetful  # type: ignore[method-assign]
    asking.order("third = 3\n")
    assert asking.ask().verdict == "allow"
    assert asking.asked == [(3, 3)]


def test_a_dry_run_grants_nothing(asking: Asking) -> None:
    """Who only looks gets a decision."""
    answers = asking.ask(dry_run=True)
    assert (answers.verdict, answers.grants, answers.cell_grants) == ("allow", (), ())


def other_grant(asking: Asking, signer: str = "", **changes: Any) -> Change:
    who = person(signer or asking.world.authority_name)

    def change(answer: SubmitAnswer) -> SubmitAnswer:
        grant = verify(canonical_json(answer.cell_grant), CellGrant, verify_signature, did=asking.world.authority.did)
        signed = sign(grant.model_copy(update=changes), who)
        return answer.model_copy(update={"cell_grant": parse_json(signed)})

    return change


LIES: dict[str, tuple[Callable[[Asking], Change], type[SlsError]]] = {
    "none": (lambda _: lambda answer: answer.model_copy(update={"cell_grant": None}), MalformedDocument),
    "another order": (lambda asking: other_grant(asking, order="sha256:" + "0" * 64), DigestMismatch),
    "another session": (lambda asking: other_grant(asking, session="sha256:" + "0" * 64), DigestMismatch),
    "forged": (lambda asking: other_grant(asking, "mallory"), SlsError),
    "stranger's": (lambda asking: other_grant(asking, "mallory", authority=person("mallory").did), SlsError),
    "expired": (lambda asking: other_grant(asking, issued_at=1, expires_at=2), BadInput),
    "without grants": (lambda _: lambda answer: answer.model_copy(update={"grants": ()}), MalformedDocument),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_about_something_else_is_refused(asking: Asking, lie: str) -> None:
    """The notebook learns it before the group refuses the cell."""
    change, error = LIES[lie]
    asking.change = change(asking)  # type: ignore[assignment]
    with pytest.raises(error):
        asking.ask()


def test_another_requesters_order_is_not_asked_for(asking: Asking) -> None:
    """Only who signed the session orders its cells."""
    one = asking.cells[0]
    forged = sign(one.order.model_copy(update={"requester": person("mallory").did}), person("mallory"))
    asking.cells[0] = OrderedCell(one.order, forged, one.text)
    with pytest.raises(SignatureInvalid):
        asking.ask()

"""Receipts of a session: which cell it was, that it was ordered and granted, and that they follow each other."""

from __future__ import annotations

from typing import Any

import pytest
from builders import IMAGE
from cells_kit import CELLS
from receipt_kit import signed_run, worlds_at
from session_receipt_kit import SignedSession, signed_session

from sls_jupyter.authority import runs
from sls_jupyter.cli.entry import main
from sls_jupyter.contract.cells import CellGrant
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import sign, verify
from sls_jupyter.errors import BadInput, DigestMismatch, LogInconsistent, MalformedDocument, Unavailable, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.receipt import files
from sls_jupyter.receipt.chain import verify_chain
from sls_jupyter.receipt.receipt import open_envelope
from sls_jupyter.receipt.statement import PREDICATE_BEFORE, EnvelopeJson, Statement


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> SignedSession:
    return signed_session(worlds_at(tmp_path_factory.mktemp("worlds")))


@pytest.fixture
def fresh(tmp_path) -> SignedSession:
    return SignedSession.open(worlds_at(tmp_path))


def failed(session: SignedSession, cell: int | None = None, **options: Any) -> list[str]:
    return [check.name for check in session.check(session.receipt(cell), **options).failed]


# --- good ones ------------------------------------------------------------------------------------


def test_each_cell_leaves_a_receipt_that_says_which_one_it_is(session):
    """An auditor learns which cell of which session, and which receipt came before."""
    verdicts = [session.check(session.receipt(number)) for number in (1, 2, 3)]
    assert [(one.accepted, one.cell) for one in verdicts] == [(True, 1), (True, 2), (True, 3)]
    assert [one.previous for one in verdicts] == [None, verdicts[0].id, verdicts[1].id]
    told = verdicts[1].to_json()["session"]
    assert (told["cell"], told["spec"], told["receipt_before"]) == (2, session.spec.digest, verdicts[0].id)
    assert session.receipt().id == verdicts[2].id


def test_the_receipts_of_a_session_are_a_chain_in_whatever_order_they_are_given(session):
    """Nobody takes a cell out of the middle."""
    verdicts = [session.check(session.receipt(number)) for number in (3, 1, 2)]
    assert all(check.ok for check in verify_chain(verdicts))
    for kept, bad in (((0, 1), "numbers"), ((0, 0, 1), "numbers"), ((0, 2), "numbers")):
        found = [check.name for check in verify_chain([verdicts[at] for at in kept]) if not check.ok]
        assert bad in found
    with pytest.raises(BadInput):
        verify_chain([])


def test_a_run_is_no_part_of_a_chain(session, tmp_path):
    """A receipt of another contract does not pass for a cell's."""
    run = signed_run(worlds_at(tmp_path))
    verdicts = [session.check(session.receipt(1)), run.check(run.receipt())]
    assert [check.ok for check in verify_chain(verdicts)] == [True, False, False, False, False]
    assert (verdicts[1].cell, verdicts[1].previous) == (None, None)


def test_receipts_of_the_first_version_still_verify(tmp_path):
    """An auditor's files outlive this version; they have no member ``cell``."""
    run = signed_run(
        worlds_at(tmp_path), change=lambda one: one.model_copy(update={"predicate_type": PREDICATE_BEFORE})
    )
    receipt = run.receipt()
    assert run.check(receipt).accepted
    assert b'"cell"' not in receipt.stated().statement.payload()


def test_the_first_version_has_no_cells(session):
    """A cell's receipt cannot be passed off as one that nobody checks for orders."""
    payload = session.receipt(1).stated().statement.payload()
    with pytest.raises(MalformedDocument, match="no sessions"):
        Statement.parse(payload.replace(b"receipt:v2", b"receipt:v1"))


def test_another_cell_than_expected_is_refused(session):
    """Whoever asks for one cell is not given another."""
    orders = [cell.order.digest for cell in session.cells]
    assert failed(session, 2, order=orders[1]) == []
    assert "cell" in failed(session, 2, order=orders[0])


# --- what a group could state otherwise -----------------------------------------------------------


def stated(session: SignedSession, code: str = CELLS[0], **cell: Any) -> list[str]:
    """The failed checks of a receipt whose record ``cell`` differs, if every authority took it."""
    session.run(code, **cell)
    return failed(session)


def test_an_order_by_somebody_else_is_no_order(fresh):
    """The requester's signature is on every cell that ran."""
    fresh.run(CELLS[0])
    order = fresh.notebook.ordered(CELLS[1])
    stranger = next(iter(fresh.worlds.values())).owner
    assert {"cell", "cell grants", "gate"} <= set(stated(fresh, CELLS[1], order=EnvelopeJson.of(sign(order, stranger))))


def test_grants_of_another_cell_are_none(fresh):
    """Each authority granted this very order."""
    first = fresh.run(CELLS[0]).statement.predicate.cell
    assert "cell grants" in stated(fresh, CELLS[1], grants=first.grants)


def test_an_authority_is_not_left_out(fresh):
    """Every owner's authority granted every cell."""
    fresh.run(CELLS[0])

    def one_grant(statement: Statement) -> Statement:
        cell = statement.predicate.cell
        less = cell.model_copy(update={"grants": cell.grants[:1]})
        return statement.model_copy(update={"predicate": statement.predicate.model_copy(update={"cell": less})})

    fresh.run(CELLS[1], change=one_grant)
    assert "cell grants" in failed(fresh)


def test_a_weaker_grant_of_a_cell_is_refused(fresh):
    """An authority cannot let a cell see more than the session."""
    world = next(iter(fresh.worlds.values()))

    def weaker(statement: Statement) -> Statement:
        cell = statement.predicate.cell
        grants = [verify(one.encode(), CellGrant, verify_signature, did=None) for one in cell.grants]
        others = [
            one if old.authority != world.authority.did else None for old, one in zip(grants, cell.grants, strict=True)
        ]
        at = others.index(None)
        more = grants[at].model_copy(update={"obligations": Obligations(full_errors=True)})
        others[at] = EnvelopeJson.of(sign(more, world.authority.identity))
        loose = cell.model_copy(update={"grants": tuple(others)})
        return statement.model_copy(update={"predicate": statement.predicate.model_copy(update={"cell": loose})})

    fresh.run(CELLS[0], change=weaker)
    assert "cell grants" in failed(fresh)


def test_rules_are_those_of_the_cell(fresh):
    """A gate that enforced less than the grants says so in its own receipt."""

    def loose(statement: Statement) -> Statement:
        gate = statement.predicate.gate
        rules = gate.rules.model_copy(update={"full_errors": True})
        changed = statement.predicate.model_copy(update={"gate": gate.model_copy(update={"rules": rules})})
        return statement.model_copy(update={"predicate": changed})

    fresh.run(CELLS[0], change=loose)
    assert failed(fresh) == ["gate"]


def test_a_run_cannot_be_stated_for_a_session(fresh):
    """Without its order a cell's receipt is nothing."""

    def without(statement: Statement) -> Statement:
        return statement.model_copy(update={"predicate": statement.predicate.model_copy(update={"cell": None})})

    with pytest.raises(DigestMismatch, match="cell, or of a run"):
        fresh.run(CELLS[0], change=without)


# --- what an authority takes ----------------------------------------------------------------------


def test_a_receipt_follows_the_one_that_was_taken_before(fresh):
    """A log holds one line of receipts for a session."""
    fresh.run(CELLS[0])
    with pytest.raises(LogInconsistent, match="does not follow"):
        fresh.run(CELLS[1], previous="sha256:" + "0" * 64)
    with pytest.raises(LogInconsistent, match="does not follow"):
        fresh.run(CELLS[2], previous=None)


def test_a_lost_receipt_does_not_stop_the_next_one(fresh):
    """Where a cell's receipt never came, that of the next is taken, and says what it follows."""
    lost = fresh.run(CELLS[0], post=False)
    fresh.run(CELLS[1])
    verdict = fresh.check(fresh.receipt())
    assert (verdict.accepted, verdict.previous) == (True, lost.statement.digest)


def test_nobody_collects_grants_without_receipts(fresh, monkeypatch):
    """A host that holds the group's clock back keeps no stock of grants: they are given as cells leave receipts."""
    monkeypatch.setattr("sls_jupyter.authority.cells.MAX_OWED", 2)
    cells = [fresh.run(f"x = {number}\n", post=False) for number in range(2)]
    with pytest.raises(Unavailable, match="receipts of earlier cells") as caught:
        fresh.run("x = 2\n")
    assert caught.value.found == "none of cell 1"
    fresh.notebook.orders.pop()
    fresh.notebook.texts.pop()
    fresh.post(cells[0])
    fresh.run("x = 2\n", post=False)


def test_a_cell_that_was_not_granted_here_is_not_recorded(fresh):
    """A group tells only of cells that this authority let run."""
    fresh.run(CELLS[0])
    order = fresh.notebook.ordered("print(patients)\n")
    with pytest.raises(DigestMismatch, match="not granted here"):
        fresh.run(CELLS[1], order=EnvelopeJson.of(sign(order, fresh.notebook.world.analyst)))


def test_records_are_chained_from_the_order(fresh):
    """Records of one cell cannot be shown as those of another."""
    first = fresh.run(CELLS[0])
    second = fresh.run(CELLS[1], post=False)
    world = next(iter(fresh.worlds.values()))
    with pytest.raises(LogInconsistent):
        runs.post_records(world.authority, fresh.spec.digest, first.records, second.envelope)


def test_a_receipt_that_came_before_changes_nothing(session):
    """A sidecar that got no answer sends again."""
    world = next(iter(session.worlds.values()))
    size = world.size()
    session.post(session.cells[1])
    assert world.size() == size


def test_history_is_of_one_cell(session):
    """A requester who polls for a cell's receipt is not sent a whole session."""
    world = next(iter(session.worlds.values()))
    one = runs.history(world.authority, world.owner.did, session.spec.digest, cell=2)
    assert open_envelope(one.receipt.encode()).statement.digest == session.cells[1].statement.digest
    assert (
        len([entry for entry in one.entries if entry.meaning.get("order")]) == 4
    )  # asked, decided, recorded, released
    assert {entry.meaning["order"] for entry in one.entries if entry.meaning.get("order")} == {
        session.cells[1].order.digest
    }
    with pytest.raises(UnknownName, match="No such cell"):
        runs.history(world.authority, world.owner.did, session.spec.digest, cell=9)


def test_a_run_has_no_cell(tmp_path):
    """A number where none belongs is an error, not another run's history."""
    run = signed_run(worlds_at(tmp_path))
    world = next(iter(run.worlds.values()))
    with pytest.raises(BadInput, match="no cells"):
        runs.history(world.authority, world.owner.did, run.spec.digest, cell=1)


# --- for people -----------------------------------------------------------------------------------


def test_sls_verify_takes_the_receipts_of_a_session(session, tmp_path, monkeypatch, capsys):
    """One command says of each file which cell it is, and that none is missing between them."""
    monkeypatch.setattr(files, "installed_image", lambda: IMAGE)
    paths = [str(session.receipt(number).save(tmp_path / f"{number}.json")) for number in (1, 2, 3)]
    assert main(["verify", "--accept-simulated", *paths]) == 0
    shown = capsys.readouterr().out
    assert [words in shown for words in ("ACCEPTED", "SIMULATED", "cells 1 to 3")] == [True] * 3
    assert main(["verify", "--accept-simulated", paths[0], paths[2]]) == 1
    assert "missing" in capsys.readouterr().out
    assert main(["verify", "--accept-simulated", paths[1]]) == 0
    assert session.cells[0].statement.digest in capsys.readouterr().out

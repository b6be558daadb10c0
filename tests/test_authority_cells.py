"""Cells of a session at an authority: only the next one of this very chain is granted, and each is decided anew."""

from __future__ import annotations

import itertools

import pytest
from builders import World, person
from cells_kit import CELLS, NO_PARAMETERS, Notebook, session_spec, terms_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.authority import catalogue, cells, decisions, inbox, release
from sls_jupyter.authority.verdicts import record_verdict
from sls_jupyter.contract.cells import CellGrant, verify_cell_grants
from sls_jupyter.contract.grants import Grant, Obligations
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import Limits, SessionTerms
from sls_jupyter.documents import sign, verify
from sls_jupyter.errors import (
    AccessDenied,
    BadInput,
    DigestMismatch,
    KeyRefused,
    NotAuthorised,
    SignatureInvalid,
    TooManyRequests,
    UnknownName,
)
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import verify_signature

FIRST, SECOND, THIRD, FOURTH = CELLS
REVIEWED = {"code": "reviewed"}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def approve(notebook: Notebook, **changes) -> None:
    envelope = notebook.world.approval(notebook.proposal, **changes)
    record_verdict(notebook.world.authority, notebook.world.owner.did, envelope, approved=True)


def deny(notebook: Notebook, **changes) -> None:
    envelope = notebook.world.denial(notebook.proposal, **changes)
    record_verdict(notebook.world.authority, notebook.world.owner.did, envelope, approved=False)


# --- granting -------------------------------------------------------------------------------------


def test_each_cell_gets_its_own_grant_and_the_session_the_same_ones(world):
    """A guest takes a cell with the session's grants and one for its very order."""
    notebook = Notebook.open(world, policy={"max_rows": 10})
    answers = notebook.run(FIRST, SECOND)
    assert [answer.verdict for answer in answers] == ["allow", "allow"]
    assert answers[0].grants == answers[1].grants
    grants = [verify(one, Grant, verify_signature, did=world.authority.did) for one in answers[0].grants]
    for order, answer in zip(notebook.orders, answers, strict=True):
        (grant,) = verify_cell_grants([answer.cell_grant], notebook.spec, grants, order, now=world.clock())
        assert grant.obligations.max_rows == 10
        holds = order.expires_at if order.number == 1 else world.clock() + cells.CELL_SECONDS
        assert grant.expires_at == holds


def test_the_same_order_again_gets_the_same_grant_and_counts_once(world):
    """A requester whose answer was lost asks again."""
    notebook = Notebook.open(world, policy={"max_runs": 2})
    (first,) = notebook.run(FIRST)
    release.release(world.authority, attempt(notebook))
    (second,) = notebook.run(SECOND)
    size = world.size()
    assert notebook.ask() == second
    assert (second.verdict, first.verdict, world.size()) == ("allow", "allow", size)


def test_a_grant_that_has_expired_is_given_anew(world):
    """Whoever waited too long between answer and run is not locked out of the session."""
    notebook, late = Notebook.open(world), world.clock() + 3 * decisions.GRANT_SECONDS
    notebook.spec = notebook.spec.model_copy(update={"expires_at": late})
    notebook.add(FIRST, expires_at=late)
    old = verify(notebook.ask().cell_grant, CellGrant, verify_signature, did=None)
    world.clock.seconds = old.expires_at
    new = verify(notebook.ask().cell_grant, CellGrant, verify_signature, did=None)
    assert (new.order, new.expires_at) == (old.order, old.expires_at + decisions.GRANT_SECONDS)


def test_a_run_is_not_asked_for_as_a_cell_nor_a_session_as_a_run(world):
    """Each call says which one is meant."""
    notebook = Notebook.open(world)
    with pytest.raises(BadInput, match="cell by cell"):
        world.submit(notebook.spec)
    notebook.add(FIRST)
    run = world.spec(*notebook.spec.inputs)
    with pytest.raises(BadInput, match="of a run"):
        notebook.ask(spec=sign(run, world.analyst))


def test_a_dry_run_writes_nothing(world):
    """Preflight of a cell leaves no trace."""
    notebook = Notebook.open(world)
    notebook.add(FIRST)
    size = world.size()
    answer = notebook.ask(dry_run=True)
    assert (answer.verdict, answer.grants, answer.cell_grant) == ("allow", (), None)
    assert (world.size(), world.rows("orders"), world.rows("requests")) == (size, [], [])


def test_a_granted_cell_is_logged_with_its_number(world):
    """An owner's log says how many cells of a session ran, without saying which code."""
    notebook = Notebook.open(world)
    notebook.run(FIRST, SECOND)
    entries = [world.entry(index) for index in range(world.size())]
    made = [entry.facts for entry in entries if entry.kind == "decision.made"]
    assert [(one["verdict"], one["cell"]) for one in made] == [("allow", 1), ("allow", 2)]


# --- the chain ------------------------------------------------------------------------------------


def test_a_forged_order_is_refused(world):
    """Nobody but the requester says which cell comes next."""
    notebook = Notebook.open(world)
    notebook.add(FIRST)
    with pytest.raises(SignatureInvalid):
        notebook.ask(orders=notebook.envelopes(signer=world.owner))


def test_an_order_for_another_session_is_refused(world):
    """An order of one session opens nothing in another on the same terms."""
    notebook, other = Notebook.open(world), None
    notebook.add(FIRST)
    other = notebook.again()
    other.add(FIRST)
    with pytest.raises(DigestMismatch, match="another session"):
        notebook.ask(orders=other.envelopes())


def test_a_gap_is_refused(world):
    """The second cell is not sent without the first one."""
    notebook = Notebook.open(world)
    notebook.add(FIRST)
    notebook.add(SECOND)
    with pytest.raises(UnknownName, match="orders before"):
        notebook.ask(orders=notebook.envelopes()[1:])


def test_a_reordered_chain_is_refused(world):
    """The order of the cells is the one that was signed."""
    notebook = Notebook.open(world)
    for code in CELLS[:3]:
        notebook.add(code)
    first, second, third = notebook.envelopes()
    for orders in ((first, third, second), (first, first, third), (first, second, second)):
        with pytest.raises(DigestMismatch):
            notebook.ask(orders=orders)


def test_another_chain_than_the_granted_one_is_refused(world):
    """Cells that were granted here stay the beginning of the session."""
    notebook = Notebook.open(world)
    notebook.run(FIRST, SECOND)
    fork = Notebook(world, notebook.spec)
    fork.add(THIRD)
    fork.add(SECOND)
    with pytest.raises(DigestMismatch, match="granted other cells"):
        fork.ask()


def test_later_orders_alone_are_enough_where_the_others_were_granted(world):
    """A long notebook does not send all of its orders with each cell."""
    notebook = Notebook.open(world)
    notebook.run(FIRST, SECOND)
    notebook.add(THIRD)
    assert notebook.ask(orders=notebook.envelopes()[2:]).cell_grant is not None


def test_a_cell_denied_elsewhere_can_be_replaced_until_it_ran(world):
    """Where another owner said no to a cell that was granted here, its next version takes the place."""
    notebook = Notebook.open(world)
    notebook.run(FIRST, SECOND)
    given_up = notebook.orders[-1]
    notebook.replace_last(THIRD)
    assert notebook.ask().cell_grant is not None
    assert {row[3] for row in world.rows("orders")} == {
        notebook.orders[0].digest,
        given_up.digest,
        notebook.orders[1].digest,
    }
    notebook.orders[-1] = given_up
    notebook.texts[-1] = CellText(SECOND, NO_PARAMETERS)
    with pytest.raises(DigestMismatch, match="granted other cells"):
        notebook.ask()


def test_the_session_has_no_more_cells_than_its_spec_says(world):
    """The measured contract says how many cells may follow."""
    notebook = Notebook.open(world, session=SessionTerms(cells=2))
    notebook.run(FIRST, SECOND)
    notebook.add(THIRD)
    with pytest.raises(BadInput, match="no more cells"):
        notebook.ask()


def test_a_whole_notebook_is_asked_about_before_it_runs(world):
    """One review for all cells; then each is granted in its turn, and nobody is asked again."""
    notebook = Notebook.open(world, policy=REVIEWED)
    for code in CELLS:
        notebook.add(code)
    answer = notebook.ask()
    assert (answer.verdict, answer.grants, answer.cell_grant) == ("ask", (), None)
    approve(notebook)
    answer = notebook.ask()
    assert (answer.verdict, answer.grants, answer.cell_grant) == ("allow", (), None)
    assert Notebook(world, notebook.spec).verdicts(*CELLS) == ["allow"] * 4


def test_a_whole_notebook_is_reviewed_although_its_last_cell_is_listed(world):
    """A cell that needs no review does not carry others past the reviewer."""
    notebook = Notebook.open(world, policy={**REVIEWED, "code_digests": (terms_of(SECOND).code,)})
    notebook.add(FIRST)
    notebook.add(SECOND)
    assert notebook.ask().verdict == "ask"


# --- texts ----------------------------------------------------------------------------------------


def test_other_texts_than_the_order_names_are_refused(world):
    """What a reviewer reads is what runs."""
    notebook = Notebook.open(world)
    notebook.add(FIRST)
    for texts in ((CellText(SECOND, NO_PARAMETERS),), (CellText(FIRST, b"{}"),), ()):
        with pytest.raises(DigestMismatch):
            notebook.ask(texts=texts)


def test_a_known_text_may_be_left_out(world):
    """Parameters of many bytes are sent once."""
    notebook = Notebook.open(world)
    notebook.run(FIRST)
    notebook.add(SECOND)
    assert notebook.ask(texts=(None, notebook.texts[1])).verdict == "allow"
    stranger = notebook.again()
    stranger.add(THIRD)
    with pytest.raises(UnknownName, match="text of a cell"):
        stranger.ask(texts=(None,))


def test_all_texts_together_have_a_bound(world, monkeypatch):
    """A notebook is not larger than one cell may be."""
    monkeypatch.setattr(decisions, "MAX_CODE_BYTES", len(FIRST) + len(SECOND) - 1)
    notebook = Notebook.open(world)
    notebook.run(FIRST)
    notebook.add(SECOND)
    with pytest.raises(BadInput, match="too long"):
        notebook.ask()


# --- decided anew at every cell -------------------------------------------------------------------


def test_a_withdrawn_asset_ends_a_live_session(world):
    """What an owner takes back reaches the next cell."""
    notebook = Notebook.open(world)
    notebook.run(FIRST)
    catalogue.withdraw(world.authority, world.owner.did, notebook.spec.inputs[0].asset, shred=False)
    notebook.add(SECOND)
    with pytest.raises(AccessDenied, match="withdrawn"):
        notebook.ask()


def test_grants_of_further_cells_are_no_stock(world):
    """Whoever collects grants for many cells before the first one runs has none left soon after the owner took the asset back."""
    notebook = Notebook.open(world)
    answers = notebook.run(FIRST, SECOND, THIRD)
    grants = [verify(one, Grant, verify_signature, did=world.authority.did) for one in answers[0].grants]
    catalogue.withdraw(world.authority, world.owner.did, notebook.spec.inputs[0].asset, shred=False)
    world.clock.seconds += cells.CELL_SECONDS
    for order, answer in zip(notebook.orders[1:], answers[1:], strict=True):
        with pytest.raises(BadInput, match="not valid at this time"):
            verify_cell_grants([answer.cell_grant], notebook.spec, grants, order, now=world.clock())


def test_a_grant_that_is_about_to_expire_is_given_anew(world):
    """A cell that waited for another owner is not refused by the group a second after all have allowed it."""
    notebook = Notebook.open(world)
    notebook.run(FIRST, SECOND)
    old = verify(notebook.ask().cell_grant, CellGrant, verify_signature, did=None)
    world.clock.seconds = old.expires_at - 1
    new = verify(notebook.ask().cell_grant, CellGrant, verify_signature, did=None)
    assert (new.order, new.expires_at) == (old.order, world.clock() + cells.CELL_SECONDS)


def test_a_changed_policy_reaches_the_next_cell(world):
    """A new version of an asset has another policy; a session over the old one gets no more grants."""
    notebook = Notebook.open(world)
    notebook.run(FIRST)
    world.publish(max_rows=1)
    notebook.add(SECOND)
    with pytest.raises(AccessDenied, match="newer version"):
        notebook.ask()


def test_a_muted_requester_gets_no_next_cell(world):
    """Who is muted is muted in the middle of a session too."""
    notebook = Notebook.open(world)
    notebook.run(FIRST)
    inbox.mute(world.authority, world.owner.did, world.analyst.did)
    notebook.add(SECOND)
    with pytest.raises(NotAuthorised):
        notebook.ask()


def test_somebody_else_cannot_ask_in_a_session(world):
    """A caller who is not the requester gets nothing."""
    notebook = Notebook.open(world)
    notebook.add(FIRST)
    with pytest.raises(NotAuthorised):
        notebook.ask(caller=person("stranger").did)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"sessions": False}, "session"),
        ({"max_cells": 9}, "session-cells"),
    ],
)
def test_a_policy_without_sessions_denies_the_first_cell(world, policy, reason):
    """An owner who keeps every cell apart, or fewer cells, is obeyed before there is a group."""
    notebook = Notebook.open(world, policy=policy)
    (answer,) = notebook.run(FIRST)
    assert (answer.verdict, answer.grants, answer.cell_grant) == ("deny", (), None)
    assert [one.code for _, decision in answer.decisions for one in decision.reasons] == [reason]


def test_runs_count_cells(world):
    """``--max-runs 3`` is three cells, of one session or of several."""
    notebook = Notebook.open(world, policy={"max_runs": 3})
    notebook.run(FIRST)
    release.release(world.authority, attempt(notebook))
    assert notebook.verdicts(SECOND, THIRD, FOURTH) == ["allow", "allow", "deny"]
    assert notebook.again().verdicts(FIRST) == ["deny"]


@pytest.mark.parametrize(("bound", "value"), [("MAX_UNKNOWN_GRANTS", 3), ("MAX_UNKNOWN_GRANT_BYTES", 5500)])
def test_what_strangers_are_granted_in_a_day_counts_cells(world, monkeypatch, bound, value):
    """A requester whom nobody names does not fill the database cell by cell, nor with a few long sessions."""
    monkeypatch.setattr(decisions, bound, value)
    notebook = Notebook.open(world, policy={"requesters": ()})
    for code in CELLS[:3]:
        notebook.add(code)
    notebook.ask()
    approve(notebook)
    rerun = Notebook(world, notebook.spec)
    rerun.run(FIRST, SECOND)
    rerun.add(THIRD)
    with pytest.raises(TooManyRequests):
        rerun.ask()


# --- approvals of beginnings ----------------------------------------------------------------------


def test_an_approved_notebook_runs_again_without_asking(world):
    """Restarting with a new session asks nobody; a changed cell asks from there on."""
    notebook = Notebook.open(world, policy=REVIEWED)
    assert notebook.verdicts(FIRST) == ["ask"]
    approve(notebook)
    assert notebook.ask().verdict == "allow"
    assert notebook.verdicts(SECOND) == ["ask"]
    approve(notebook)
    assert notebook.ask().verdict == "allow"
    assert notebook.again(1).verdicts(FIRST, SECOND, THIRD) == ["allow", "allow", "ask"]
    assert notebook.again(2).verdicts(FIRST, THIRD) == ["allow", "ask"]
    assert notebook.again(3).verdicts(SECOND) == ["ask"]


def test_lower_limits_are_covered_and_higher_ones_are_not(world):
    """A session with less time is within an approval, as a run is."""
    notebook = Notebook.open(world, policy=REVIEWED, limits=Limits(cpus=2))
    notebook.add(FIRST)
    notebook.add(SECOND)
    notebook.ask()
    approve(notebook)
    assert notebook.again(1, limits=Limits(cpus=1)).verdicts(FIRST) == ["allow"]
    assert notebook.again(2, limits=Limits(cpus=3)).verdicts(FIRST) == ["ask"]
    assert notebook.again(3, session=SessionTerms(cells=11)).verdicts(FIRST) == ["ask"]


def test_a_denied_beginning_denies_what_follows_it_until_it_is_approved_anew(world):
    """Whoever said no to two cells has said no to three that begin with them."""
    notebook = Notebook.open(world, policy=REVIEWED)
    for code in CELLS[:2]:
        notebook.add(code)
    notebook.ask()
    deny(notebook)
    longer = notebook.again()
    for code in CELLS[:3]:
        longer.add(code)
    assert longer.ask().verdict == "deny"
    assert notebook.again(2).verdicts(FIRST) == ["ask"]
    world.clock.seconds += 1
    approve(longer)
    assert notebook.again(3).verdicts(*CELLS[:3]) == ["allow"] * 3


def test_a_later_denial_of_a_beginning_ends_an_approval_between_two_cells(world):
    """A denial reaches the next cell of a session that is running."""
    notebook = Notebook.open(world, policy=REVIEWED)
    for code in CELLS[:3]:
        notebook.add(code)
    notebook.ask()
    approve(notebook)
    running = Notebook(world, notebook.spec)
    assert running.verdicts(FIRST, SECOND) == ["allow", "allow"]
    part = notebook.again()
    for code in CELLS[:2]:
        part.add(code)
    part.ask()
    world.clock.seconds += 1
    deny(part)
    assert running.verdicts(THIRD) == ["deny"]
    assert notebook.again(2).verdicts(FIRST) == ["ask"]


def test_an_approval_names_the_code_of_every_cell(world):
    """An approval of the newest cell alone is none."""
    notebook = Notebook.open(world, policy=REVIEWED)
    notebook.add(FIRST)
    notebook.add(SECOND)
    notebook.ask()
    with pytest.raises(DigestMismatch, match="other code"):
        approve(notebook, code=(notebook.orders[-1].cell.code,))


# --- the inbox ------------------------------------------------------------------------------------


def test_a_request_shows_the_notebook_and_what_was_approved(world):
    """A reviewer reads all cells, and where those end that were approved before."""
    notebook = Notebook.open(world, policy=REVIEWED)
    notebook.run(FIRST)
    approve(notebook)
    notebook.ask()
    notebook.run(SECOND)
    detail = inbox.one(world.authority, world.owner.did, notebook.proposal.terms)
    assert [one.code for one in detail.before] == [FIRST]
    assert (detail.code, detail.approved_cells) == (SECOND, 1)
    assert detail.order.encode() == notebook.envelopes()[-1]


def test_a_session_that_goes_on_is_one_request(world):
    """Forty cells that nobody has to decide on are one line of an inbox."""
    notebook = Notebook.open(world)
    notebook.run(*CELLS)
    page = inbox.page(world.authority, world.owner.did)
    assert [one.id for one in page.requests] == [notebook.proposal.terms]
    again = notebook.again()
    again.run(*CELLS)  # its last cell asks for what the first session asked for
    page = inbox.page(world.authority, world.owner.did)
    assert [(one.id, one.spec.encode()) for one in page.requests] == [
        (notebook.proposal.terms, sign(again.spec, world.analyst))
    ]


# --- keys -----------------------------------------------------------------------------------------


def attempt(notebook: Notebook) -> release.ReleaseRequest:
    world, asset = notebook.world, notebook.spec.inputs[0].asset
    key, nonce = HpkeKey.generate(), release.challenge(world.authority, notebook.spec.digest)
    evidence = world.evidence(release_report_data(nonce, key.public_bytes), notebook.spec)
    return release.ReleaseRequest(sign(notebook.spec, world.analyst), asset, nonce, key.public_bytes, evidence.encode())


def test_no_key_leaves_before_a_cell_was_granted(world):
    """A session without an approved cell has no keys."""
    notebook = Notebook.open(world, policy=REVIEWED)
    notebook.run(FIRST)
    with pytest.raises(BadInput, match="Nothing was granted"):
        attempt(notebook)
    approve(notebook)
    notebook.ask()
    assert release.release(world.authority, attempt(notebook)).columns is not None


def test_release_decides_with_the_first_cell(world):
    """A denial between grant and release keeps the keys."""
    notebook = Notebook.open(world, policy=REVIEWED)
    notebook.run(FIRST)
    approve(notebook)
    notebook.ask()
    asked = attempt(notebook)
    world.clock.seconds += 1
    deny(notebook)
    with pytest.raises(KeyRefused) as refused:
        release.release(world.authority, asked)
    assert refused.value.check == 7


def test_release_decides_with_every_first_cell_that_was_granted(world):
    """Whoever has another first cell granted in the place of one that is denied then runs the denied one with its keys."""
    notebook = Notebook.open(world, policy=REVIEWED)
    notebook.run(FIRST)
    approve(notebook)
    notebook.ask()
    denied = notebook.orders[0]
    notebook.replace_last(SECOND)
    notebook.ask()
    approve(notebook)
    assert notebook.ask().cell_grant is not None
    asked = attempt(notebook)
    world.clock.seconds += 1
    notebook.orders[0], other = denied, notebook.orders[0]
    deny(notebook)
    notebook.orders[0] = other
    with pytest.raises(KeyRefused) as refused:
        release.release(world.authority, asked)
    assert refused.value.check == 7


def test_obligations_of_a_cell_are_those_of_all_assets(world):
    """The strictest owner's rules hold for every cell."""
    strict, loose = world.publish("strict", max_rows=5, min_group=3), world.publish("loose", max_rows=50)
    spec = session_spec(world, world.input(loose, "loose"), world.input(strict, "strict"))
    notebook = Notebook(world, spec)
    (answer,) = notebook.run(FIRST)
    found = verify(answer.cell_grant, CellGrant, verify_signature, did=world.authority.did).obligations
    assert found == Obligations(kinds=("table", "figure"), min_group=3, max_rows=5)
    assert Proposal(spec, notebook.orders[0]).number == 1


# --- any chain ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("open"))
    made.base = Notebook.open(made)
    made.numbers = itertools.count()
    yield made
    made.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_only_the_chain_itself_is_granted(open_world, granted, sent):
    """Whatever orders of a session are sent in whatever sequence: a grant is for the next cell, or for one that has it."""
    notebook = open_world.base.again(next(open_world.numbers))
    notebook.run(*CELLS[:granted])
    for code in CELLS[granted:]:
        notebook.add(code)
    envelopes, last = notebook.envelopes(), sent[-1]
    try:
        answer = notebook.ask(orders=tuple(envelopes[at] for at in sent), texts=tuple(notebook.texts[: last + 1]))
    except (DigestMismatch, UnknownName):
        answer = None
    in_line = sent == list(range(sent[0], last + 1)) and sent[0] <= granted
    assert (answer is not None) is in_line
    has_grant = answer is not None and answer.cell_grant is not None
    assert has_grant is (in_line and last <= granted)
    if has_grant:
        grant = verify(answer.cell_grant, CellGrant, verify_signature, did=open_world.authority.did)
        assert grant.order == notebook.orders[last].digest

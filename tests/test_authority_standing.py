"""Which verdict counts: approvals hold for beginnings, denials for what goes on from them, and a denial never opens anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from builders import World
from cells_kit import Notebook, session_spec
from contract_kit import FIRST, OWNER, SESSION
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sls_jupyter.authority.standing import Said, hear, standing
from sls_jupyter.authority.verdicts import record_verdict
from sls_jupyter.contract.cells import CellOrder, CellTerms
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import Limits
from sls_jupyter.documents import Envelope, digest

NOW = 100
LISTS = st.text("ab", min_size=1, max_size=4)  # a cell is a letter
LIMITS = st.integers(1, 2)
TIMES = st.integers(0, 9)
VERDICTS = st.lists(st.tuples(st.booleans(), LISTS, LIMITS, TIMES, st.sampled_from([NOW - 1, NOW + 1])), max_size=7)


def proposal(cells: str, limits: int = 1) -> Proposal:
    spec = SESSION.model_copy(update={"limits": Limits(cpus=limits)})
    terms = tuple(CellTerms(code=digest(one.encode()), parameters=digest(b"")) for one in cells)
    previous = None if len(cells) == 1 else digest(cells[:-1].encode())
    times = {"issued_at": 0, "expires_at": 1}
    return Proposal(
        spec, CellOrder(requester=spec.requester, session=spec.digest, previous=previous, cells=terms, **times)
    )


def said(approves: bool, cells: str, limits: int, at: int, until: int = NOW + 1) -> Said:
    about = proposal(cells, limits)
    fields = {"approver": OWNER, "authority": FIRST, "terms": about.terms, "requester": about.spec.requester}
    fields |= {"reason": "", "issued_at": at}
    verdict = Approval(**fields, code=about.code_digests, expires_at=until) if approves else Denial(**fields)
    return Said(about, verdict)


def allows(asked: Proposal, verdicts: list[Said]) -> bool:
    found = standing(asked, verdicts, NOW)
    return isinstance(found, Approval) and found.expires_at > NOW


@settings(deadline=None)
@given(VERDICTS, LISTS, LIMITS)
def test_what_is_allowed_was_approved_whole(verdicts, cells, limits):
    """No run without an approval that holds, of a list that begins with these cells, on no lower limits."""
    asked, told = proposal(cells, limits), [said(*one) for one in verdicts]
    if allows(asked, told):
        assert any(
            approves and list_.startswith(cells) and most >= limits and until > NOW
            for approves, list_, most, _, until in verdicts
        )


@settings(deadline=None)
@given(VERDICTS, LISTS, LIMITS, LISTS, LIMITS, TIMES, st.integers(0, 7))
def test_a_denial_never_opens_anything(verdicts, cells, limits, denied, on, at, place):
    """Whatever an approver denies, and whenever it comes, nothing runs that would not have run without it."""
    asked, told = proposal(cells, limits), [said(*one) for one in verdicts]
    if not allows(asked, told):
        assert not allows(asked, [*told[:place], said(False, denied, on, at), *told[place:]])


@settings(deadline=None)
@given(VERDICTS, LISTS, LIMITS)
def test_the_newest_approval_holds_for_each_beginning(verdicts, cells, limits):
    """A notebook that was approved just now runs, cell by cell."""
    told = [*(said(*one) for one in verdicts), said(True, cells, limits, 10)]
    assert all(allows(proposal(cells[:size], limits), told) for size in range(1, len(cells) + 1))


@settings(deadline=None)
@given(VERDICTS, LISTS, LISTS, LIMITS)
def test_the_newest_denial_holds_for_all_that_follows(verdicts, cells, more, limits):
    """Cells that were denied just now are denied with whatever is written below them."""
    told = [*(said(*one) for one in verdicts), said(False, cells, limits, 10)]
    for asked in (cells, cells + more):
        assert isinstance(standing(proposal(asked, limits), told, NOW), Denial)


@pytest.mark.parametrize(
    ("asked", "verdicts", "runs"),
    [
        ("aa", [(True, "aab", 1, 1)], True),
        ("aa", [(True, "aab", 2, 1)], True),  # lower limits
        ("aab", [(True, "aa", 1, 1)], False),  # one more cell
        ("ab", [(True, "aab", 1, 1)], False),  # another cell
        ("a", [(True, "aab", 1, 1), (False, "aa", 1, 2)], False),  # a part of it was denied
        ("a", [(True, "a", 1, 1), (True, "aab", 1, 1), (False, "aa", 1, 2)], True),  # approved by itself
        ("a", [(True, "aab", 1, 1), (False, "ab", 1, 2)], True),  # another continuation was denied
        ("a", [(True, "aab", 1, 1), (False, "aabb", 1, 2)], True),  # more than what was approved was denied
        ("aab", [(True, "aab", 1, 1), (False, "aa", 2, 2)], True),  # the very terms; other limits were denied
        ("aab", [(True, "aab", 2, 1), (False, "aa", 2, 2)], False),  # covered only
        ("aab", [(False, "aa", 1, 1), (True, "aab", 1, 1)], False),  # of one second
        ("aab", [(False, "aab", 1, 1), (True, "aab", 1, 1)], True),  # of one second, the very terms
        ("a", [(False, "a", 1, 1), (True, "ab", 1, 2)], True),  # approved anew, with more
    ],
)
def test_cases_that_people_ask_about(asked, verdicts, runs):
    """The rules of decision 27, one by one."""
    assert allows(proposal(asked), [said(*one) for one in verdicts]) is runs


def test_keys_tell_lists_apart():
    """Two lists have one key only if they are one list."""
    lists = ["a", "b", "aa", "ab", "aab", "aabb"]
    assert len({proposal(one).beginnings[-1] for one in lists}) == len(lists)
    assert proposal("aab").beginnings[:2] == proposal("aa", limits=2).beginnings


# --- the database finds what counts ---------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    made.sealed = made.publish(code="reviewed")
    yield made
    made.close()


_NUMBERS = count()
STEPS = st.lists(st.tuples(st.booleans(), LISTS, LIMITS, st.integers(0, 1)), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, LISTS, LIMITS)
def test_the_database_finds_all_that_counts(world, steps, cells, limits):
    """Looking verdicts up by keys gives what all verdicts together give."""
    base, told = session_spec(world, world.input(world.sealed), purpose=f"study {next(_NUMBERS)}"), []
    for approves, list_, most, later in steps:
        asked = notebook(world, base, list_, most)
        world.clock.seconds += later
        if asked.ask().verdict == "allow" and len(list_) > 1:
            continue  # a notebook that may run is no request before it does
        make = world.approval if approves else world.denial
        envelope = make(asked.proposal)
        record_verdict(world.authority, world.owner.did, envelope, approved=approves)
        verdict = Said(asked.proposal, _opened(envelope, approves))
        told += [] if verdict.verdict in [one.verdict for one in told] else [verdict]  # the same again changes nothing
    asked = notebook(world, base, cells, limits).proposal
    with world.authority.store.read() as connection:
        found = hear(connection, asked).counting((world.owner.did,), world.clock())
    expected = standing(asked, told, world.clock())
    assert [one.digest for one in found] == ([] if expected is None else [expected.digest])


def notebook(world: World, base, cells: str, limits: int) -> Notebook:
    fresh = {"nonce": f"{next(_NUMBERS):032x}", "limits": Limits(cpus=limits), "issued_at": world.clock()}
    made = Notebook(world, base.model_copy(update=fresh))
    for one in cells:
        made.add(f"{one}\n")
    return made


def _opened(envelope: bytes, approves: bool) -> Approval | Denial:
    cls: type[Approval | Denial] = Approval if approves else Denial
    return cls.parse(Envelope.parse(envelope, cls.payload_type).payload)

"""Requests: what is kept of whom, in which pages it is read, and how an owner gets rid of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import CODE, World, person, recipient

from sls_jupyter.authority import decisions, inbox, runs, verdicts
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import b64decode, digest, sign
from sls_jupyter.errors import BadInput, DigestMismatch, NotAuthorised, UnknownName
from sls_jupyter.identity import Identity


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def by(world: World, item: object, who: Identity, **changes: object) -> StreamSpec:
    """A spec whose results are for its requester."""
    return world.spec(item, requester=who.did, recipients=(recipient(who),), **changes)


def ask(world: World, item: object, who: Identity, number: int = 0, **changes: object) -> StreamSpec:
    """A request by anybody; ``number`` makes its terms others."""
    spec = by(world, item, who, purpose=f"study {number}", **changes)
    decisions.submit(world.authority, who.did, sign(spec, who), CODE, None)
    return spec


@pytest.fixture
def item(world: World) -> object:
    """An asset for anyone whom its owner approves."""
    return world.input(world.publish(requesters=(), code="reviewed"))


def listed(world: World, **options: object) -> list[str]:
    return [one.id for one in inbox.page(world.authority, world.owner.did, **options).requests]


def test_what_strangers_ask_is_in_no_log(world, item) -> None:
    """A key costs nothing, an entry stays for ever: only once somebody decides, the log says that they asked."""
    before = world.size()
    spec = ask(world, item, person("stranger"))
    assert world.size() == before
    assert listed(world) == [spec.terms]
    verdicts.record_verdict(world.authority, world.owner.did, world.approval(spec), approved=True)
    assert world.log()[before:] == ["request.received", "approval.given"]


def test_what_a_policy_refuses_a_stranger_is_not_kept(world) -> None:
    """They get their answer, and leave nothing."""
    named = world.input(world.publish())
    before = world.size()
    ask(world, named, person("stranger"))
    assert (world.size(), world.rows("requests"), world.rows("request_parties")) == (before, [], [])


def test_requests_of_strangers_are_bounded(world, item, monkeypatch) -> None:
    """Of one and of all the newest stay, in number and in bytes, and nobody crowds out somebody whom a policy names."""
    monkeypatch.setattr(inbox, "MAX_UNKNOWN_OF_ONE", 3)
    monkeypatch.setattr(inbox, "MAX_UNKNOWN", 5)
    honest = world.spec(world.input(world.publish("trial", code="reviewed")), purpose="honest")
    world.submit(honest)
    first = [ask(world, item, person("stranger"), number).terms for number in range(6)]
    assert listed(world) == [*first[:2:-1], honest.terms]
    others = [ask(world, item, person(f"stranger {number}")).terms for number in range(4)]
    assert listed(world) == [*others[::-1], first[-1], honest.terms]
    monkeypatch.setattr(inbox, "MAX_UNKNOWN_BYTES", 1)
    ask(world, item, person("another"))
    assert listed(world) == [honest.terms]
    assert len(world.rows("request_parties")) == 2  # the owner's and the analyst's


def test_one_that_is_decided_on_is_not_dropped(world, item, monkeypatch) -> None:
    """A flood does not undo an approval."""
    monkeypatch.setattr(inbox, "MAX_UNKNOWN", 1)
    spec = ask(world, item, person("stranger"))
    verdicts.record_verdict(world.authority, world.owner.did, world.approval(spec), approved=True)
    for number in range(3):
        ask(world, item, person("flood"), number)
    assert spec.terms in listed(world)
    envelope = sign(spec, person("stranger"))
    assert decisions.submit(world.authority, spec.requester, envelope, CODE, None).verdict == "allow"


def test_requests_of_strangers_expire(world, item) -> None:
    """What nobody decided on for a month goes when the next one comes."""
    ask(world, item, person("stranger"))
    world.clock.seconds += inbox.UNKNOWN_SECONDS
    new = ask(world, item, person("another"))
    assert listed(world) == [new.terms]


def test_pages(world, item) -> None:
    """All requests are listed once, the newest first, page by page, and by their state."""
    asked = [ask(world, item, person(f"stranger {number}"), number) for number in range(5)]
    terms = [spec.terms for spec in asked][::-1]
    found, after = [], None
    while True:
        page = inbox.page(world.authority, world.owner.did, limit=2, after=after)
        found += [one.id for one in page.requests]
        if (after := page.next) is None:
            break
    assert found == terms
    verdicts.record_verdict(world.authority, world.owner.did, world.denial(asked[1]), approved=False)
    assert listed(world, state="denied") == [asked[1].terms]
    assert listed(world, state="open") == [one for one in terms if one != asked[1].terms]


def test_a_page_is_bounded_in_bytes(world, item, monkeypatch) -> None:
    """Large documents make short pages; each has one request at least."""
    terms = [ask(world, item, person(f"stranger {number}")).terms for number in range(3)]
    monkeypatch.setattr(inbox, "MAX_PAGE_BYTES", 1)
    page = inbox.page(world.authority, world.owner.did)
    assert [one.id for one in page.requests] == [terms[2]]
    assert listed(world, after=page.next) == [terms[1]]


def test_parameters_come_with_a_request(world, item) -> None:
    """A reviewer sees them, byte for byte what the contract names; others are refused."""
    who, values = person("stranger"), b'{"frames":{},"values":{"n":3}}'
    spec = by(world, item, who, parameters=digest(values))
    envelope = sign(spec, who)
    for wrong in (None, b"", values + b" "):
        with pytest.raises(DigestMismatch, match="parameters"):
            decisions.submit(world.authority, who.did, envelope, CODE, None, wrong)
    with pytest.raises(BadInput, match="too large"):
        decisions.submit(world.authority, who.did, envelope, CODE, None, bytes(decisions.MAX_PARAMETERS_BYTES + 1))
    decisions.submit(world.authority, who.did, envelope, CODE, None, values)
    assert b64decode(inbox.one(world.authority, world.owner.did, spec.terms).parameters) == values


def test_an_ambiguous_beginning_is_refused(world, item) -> None:
    """An approver who types too little decides on nothing."""
    spec = ask(world, item, person("stranger"))
    ask(world, item, person("another"))
    with pytest.raises(BadInput, match="Several"):
        inbox.one(world.authority, world.owner.did, "sha256:")
    assert inbox.one(world.authority, world.owner.did, spec.terms[:30]).id == spec.terms
    for nothing in ("", "x", "sha256:zz"):
        with pytest.raises((BadInput, UnknownName)):
            inbox.one(world.authority, world.owner.did, nothing)


def test_muted(world, item) -> None:
    """Somebody who is muted is told so and leaves nothing; what waited of them is gone, others are not touched."""
    loud, quiet, owner = person("loud"), person("quiet"), world.owner.did
    ask(world, item, loud)
    kept = ask(world, item, quiet)
    assert inbox.mute(world.authority, owner, loud.did) == 1
    assert listed(world) == [kept.terms]
    for dry_run in (True, False):
        spec = by(world, item, loud, purpose="again")
        with pytest.raises(NotAuthorised, match="takes no requests of yours"):
            decisions.submit(world.authority, loud.did, sign(spec, loud), CODE, None, dry_run=dry_run)
    assert listed(world) == [kept.terms]
    assert inbox.muted(world.authority, owner) == (loud.did,)
    inbox.unmute(world.authority, owner, loud.did)
    assert ask(world, item, loud).terms in listed(world)


def test_only_the_owner_mutes(world) -> None:
    """Nobody else, and not themselves."""
    for call in (inbox.mute, inbox.unmute):
        with pytest.raises(NotAuthorised):
            call(world.authority, world.analyst.did, person("loud").did)
    with pytest.raises(NotAuthorised):
        inbox.muted(world.authority, world.analyst.did)
    with pytest.raises(BadInput):
        inbox.mute(world.authority, world.owner.did, world.owner.did)
    with pytest.raises(UnknownName):
        inbox.unmute(world.authority, world.owner.did, person("loud").did)


def test_a_runs_history_is_its_own(world) -> None:
    """What others tried on the same asset is in no other run's history."""
    from sls_jupyter.authority import ledger

    sealed, spec = world.granted()
    before = len(runs.history(world.authority, world.analyst.did, spec.digest).entries)
    meaning = {"asset": sealed.digest, "reason": "x"}
    with world.authority.store.write() as connection:
        event = ledger.Event("key.refused", sealed.digest, meaning, {"check": 1})
        ledger.append(connection, world.authority, [event] * 300)
    shown = runs.history(world.authority, world.analyst.did, spec.digest)
    assert len(shown.entries) == before

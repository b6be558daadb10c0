"""The inbox: what an approver is shown and signs is what the requester and the owners signed, whatever an authority says."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import person
from e2e import World, patients

from sls_jupyter import network
from sls_jupyter.authority import inbox as served
from sls_jupyter.authority import ledger
from sls_jupyter.authority.answers import RequestDetail, RequestPage
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.authority.store import Store
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import AssetInput, Recipient, StreamSpec
from sls_jupyter.documents import b64encode, canonical_json, digest, sign, verify
from sls_jupyter.errors import (
    ApprovalPending,
    DigestMismatch,
    LogInconsistent,
    MalformedDocument,
    NotAuthorised,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.identity import Home, verify_signature
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.safestream.request import StreamRequest, ask_all
from sls_jupyter.session import RequestInfo, Session
from sls_jupyter.session import inbox as inboxes
from sls_jupyter.session.inbox import MAX_DOUBTS

HARMLESS = "x = patients.age.mean()"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hospital with two tables, and an analyst who asked for one of them."""
    made = World(tmp_path / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None, columns="age,sex", kinds="table")
    made.seal("mock", patients(5), allow_code="reviewed", requester=None)
    yield made
    made.close()


def ask(world: World, code: str = HARMLESS, inputs: tuple[str, ...] = ("patients",), **options: Any) -> StreamRequest:
    """The analyst asks, and waits for the owner."""
    request = world.analyst.prepare(code, list(inputs), purpose="heart study", **options)
    ask_all(request, world.analyst._run_clients(request))
    return request


def asked(world: World, **options: Any) -> RequestInfo:
    request = ask(world, **options)
    return world.hospital.request(request.spec.terms)


Change = Callable[[RequestDetail], dict[str, Any]]


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Let authorities sign and send something else than they keep."""
    one, page = served.one, served.page

    def lie(change: Change) -> None:
        def changed(summary: Any, detail: RequestDetail) -> Any:
            told = change(detail)
            return summary.model_copy(update={name: told[name] for name in told if name in type(summary).model_fields})

        def lying_one(authority: Any, caller: str, terms: str) -> RequestDetail:
            detail = one(authority, caller, terms)
            return changed(detail, detail)

        def lying_page(authority: Any, caller: str, **options: Any) -> RequestPage:
            told = page(authority, caller, **options)
            requests = tuple(changed(item, one(authority, caller, item.id)) for item in told.requests)
            return told.model_copy(update={"requests": requests})

        monkeypatch.setattr(served, "one", lying_one)
        monkeypatch.setattr(served, "page", lying_page)

    return lie


# --- what is shown --------------------------------------------------------------------------------


def test_everything_of_a_request_is_from_signed_documents(world: World) -> None:
    """Assets by the names that their owner gave, columns and kinds that can really leave, who asks, what runs."""
    given = {"n": 3, "f": pd.DataFrame({"a": [1]})}
    info = asked(world, inputs=("patients=mock", "mock=patients:age"), parameters=given)
    table, invented = info.inputs
    assert (table.alias, table.name, table.columns, table.kinds) == ("mock", "patients", ("age", "sex"), ("table",))
    assert (invented.alias, invented.name, invented.columns) == ("patients", "mock", ("age",))
    assert invented.kinds == ("table", "figure")
    assert {str(one.owner) for one in info.inputs} == {"hospital"}
    values = info.values()
    assert (values["n"], values["f"].a.tolist(), info.code) == (3, [1], HARMLESS)
    assert (str(info.who), info.mine_to_decide, info.opened, info.doubts) == ("analyst", True, True, ())
    assert info.assets == ("patients", "mock")


def test_the_list_has_the_code_of_what_waits_for_me(world: World) -> None:
    """A form that decides shows what runs; the requester's own list needs no code."""
    ask(world)
    (mine,) = world.hospital.requests()
    (theirs,) = world.analyst.requests()
    assert (mine.code, mine.opened, mine.mine_to_decide) == (HARMLESS, True, True)
    assert (theirs.code, theirs.opened, theirs.mine_to_decide) == ("", False, False)
    assert world.analyst.request(mine.id).code == HARMLESS


def test_what_waits_is_first_and_can_be_picked(world: World) -> None:
    """An owner with a long inbox sees what to decide on at its top, and picks by who asks and whether it waits."""
    first = ask(world)
    second = ask(world, code=HARMLESS + " + 1")
    world.hospital.approve(second.spec.terms)
    own = world.hospital.prepare(HARMLESS, ["patients"])
    ask_all(own, world.hospital._run_clients(own))
    listed = [one.id for one in world.hospital.requests()]
    assert (listed[0], set(listed)) == (first.spec.terms, {first.spec.terms, second.spec.terms, own.spec.terms})
    assert [one.id for one in world.hospital.requests(waiting=True)] == [first.spec.terms]
    assert {one.id for one in world.hospital.requests(by="analyst")} == {first.spec.terms, second.spec.terms}
    assert [one.id for one in world.hospital.requests(mine=True)] == [own.spec.terms]
    assert [one.id for one in world.hospital.requests(waiting=True, by="analyst")] == [first.spec.terms]
    assert len(world.analyst.requests(mine=True)) == 2
    with pytest.raises(UnknownName):
        world.hospital.requests(by="nobody")


def test_what_waits_is_found_behind_all_that_is_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old request that nobody decided on is not lost behind the newest ones of a busy authority."""
    old = ask(world)
    for number in range(3):
        world.hospital.approve(ask(world, code=HARMLESS + f" + {number}").spec.terms)
    monkeypatch.setattr(inboxes, "MAX_LISTED", 2)
    monkeypatch.setattr(inboxes, "PAGE", 2)
    assert old.spec.terms not in [one.id for one in world.hospital.requests()]
    assert [one.id for one in world.hospital.requests(waiting=True)] == [old.spec.terms]


def test_the_id_of_a_run_leads_to_its_request(world: World) -> None:
    """Who types the run's id where the request's is meant is told the right one."""
    run = world.analyst.run(world.analyst.prepare(HARMLESS, ["patients"]))
    with pytest.raises(ApprovalPending) as waits:
        run.wait(30)
    with pytest.raises(UnknownName, match=f"its request is {waits.value.detail['request'][7:19]}"):
        world.analyst.request(run.id)


def test_a_stranger_is_not_from_the_hospital(world: World, tmp_path: Path) -> None:
    """Who calls themselves like the approver, or like the default persona, is unknown and warned of."""
    for said, warning in (("hospital", "not the hospital that you know"), ("me", "not you")):
        stranger = Session(Home(tmp_path / said, said))
        stranger.anchors = world.hospital.anchors
        try:
            own = world.hospital.own_authority()
            stranger.connect(own.url, name="north", did=own.did)
            request = stranger.prepare(HARMLESS, ["north/patients"], tees=["simulated-snp"], purpose=said)
            ask_all(request, stranger._run_clients(request))
        finally:
            stranger.close()
        who = world.hospital.request(request.spec.terms).who
        assert (who.petname, who.said, who.warning) == (None, said, warning)
        assert str(who).startswith("unknown · z6Mk")


# --- an authority that lies -----------------------------------------------------------------------

EVIL = "x = patients\n"
LIES: dict[str, Change] = {
    "other code": lambda _: {"code": HARMLESS},
    "another id": lambda _: {"id": "sha256:" + "b" * 64},
    "other parameters": lambda _: {"parameters": b64encode(b"{}")},
    "an unsigned spec": lambda told: {"spec": told.spec.replace('"sig":"', '"sig":"AAAA')},
    "no spec": lambda _: {"spec": "{}"},
    "a contact of somebody else": lambda _: {
        "contact": sign(person("weber").contact(), person("weber")).decode(),
    },
}


@pytest.mark.parametrize("lie", LIES)
def test_what_nobody_signed_is_neither_shown_nor_approved(world: World, lying: Any, lie: str) -> None:
    """An authority that shows other code, parameters, ids or names than were signed is a sentence about that authority."""
    terms = ask(world, EVIL).spec.terms
    lying(LIES[lie])
    assert world.hospital.requests() == []
    (doubt,) = world.hospital.doubts()
    assert doubt.startswith("hospital's authority shows a request that nobody signed so: ")
    for call in (world.hospital.request, world.hospital.approve, lambda id_: world.hospital.deny(id_, "no")):
        for id_ in (terms, "b" * 64):
            with pytest.raises(SlsError):
                call(id_)
    assert world.analyst.preflight(ask(world, EVIL))["patients"].verdict == "ask"


def test_what_was_shown_is_looked_up_anew_when_it_is_approved(world: World, lying: Any) -> None:
    """Showing the true request first and another one later does not help."""
    info = asked(world)
    lying(lambda _: {"code": EVIL})
    with pytest.raises(DigestMismatch, match="code would be other"):
        world.hospital.approve(info.id)


def test_another_authority_s_request_is_not_listed(world: World, lying: Any, tmp_path: Path) -> None:
    """The authority of somebody else cannot show requests for assets that it does not have."""
    terms = ask(world, EVIL).spec.terms
    told = served.one(*_authority_of(world, terms))
    world.seal("bait", patients(3), owner="clinic", allow_code="reviewed", requester=None, approver=["hospital"])
    decoy = world.analyst.prepare(HARMLESS, ["bait=patients"])
    ask_all(decoy, world.analyst._run_clients(decoy))
    clinic = world.session("clinic").own_authority().did
    lying(lambda detail: told.model_dump() if detail.id == decoy.spec.terms else {})
    world.hospital._reachable = (-3600.0, [])
    assert [one.authority for one in world.hospital.requests()] == [world.hospital.own_authority().did]
    assert "clinic's authority shows a request" in world.hospital.doubts()[0]
    assert clinic not in {one.authority for one in world.hospital._fitting(terms)}


def _authority_of(world: World, terms: str) -> tuple[Any, str, str]:
    """The hospital's own authority, opened a second time, for reading."""
    return open_authority(world.hospital.home, anchors=world.hospital.anchors), world.hospital.did, terms


def test_only_the_owner_s_policy_makes_an_approver(world: World) -> None:
    """Whose authority it is says nothing: an approver is who the signed policy names."""
    board = world.session("board")
    world.seal("shared", patients(3), allow_code="reviewed", requester=None, approver=["board"])
    info = world.analyst.request(ask(world, inputs=("shared=patients",)).spec.terms)
    assert not info.mine_to_decide
    with pytest.raises(NotAuthorised, match="does not name you"):
        world.analyst.approve(info.id)
    with pytest.raises(SlsError):
        world.hospital.approve(info.id)
    board._reachable = (-3600.0, [])
    assert board.request(info.id).mine_to_decide
    assert board.approve(info.id) >= 0


def test_a_policy_that_the_manifest_does_not_name_makes_nobody_an_approver(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older policy, signed by the same owner, is not the one of this asset."""
    terms = ask(world).spec.terms
    honest = AuthorityClient.asset

    def older(client: AuthorityClient, asset: str) -> Any:
        policy = sign(OwnerPolicy(owner=world.hospital.did), world.hospital.identity)
        return honest(client, asset).model_copy(update={"policy": json.loads(policy)})

    monkeypatch.setattr(AuthorityClient, "asset", older)
    info = world.hospital.request(terms)
    assert not info.mine_to_decide
    assert info.inputs[0].name is None
    assert "could not be looked up" in info.doubts[0]


def test_urls_in_a_request_are_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec may name any URL for the assets of others; reading it calls nobody."""
    world.seal("theirs", patients(3), owner="clinic", allow_code="reviewed", requester=None)
    terms = ask(world, inputs=("patients", "theirs")).spec.terms
    clinic = world.session("clinic").own_authority()
    hospital = world.hospital
    known = {url: place for url, place in hospital._places().items() if place.did != clinic.did}
    client = type(hospital)._client
    monkeypatch.setattr(hospital, "_places", lambda: known)
    monkeypatch.setattr(
        hospital,
        "_client",
        lambda url, did: pytest.fail("a stranger's URL") if did == clinic.did else client(hospital, url, did),
    )
    hospital._reachable = (-3600.0, [])
    info = hospital.request(terms)
    assert [(one.alias, one.name) for one in info.inputs] == [("patients", "patients"), ("theirs", None)]
    assert any("theirs" in doubt for doubt in info.doubts)
    assert info.mine_to_decide


def test_a_log_entry_that_is_not_in_the_log_is_no_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that says it logged an approval has to prove it."""
    info = asked(world)
    monkeypatch.setattr(AuthorityClient, "approve", lambda *_: 0)
    with pytest.raises(LogInconsistent, match="something else"):
        world.hospital.approve(info.id)


def test_a_recipient_s_key_of_the_requester_s_choice_gets_no_answer(world: World) -> None:
    """Results "for the board" under a key that the board did not sign are refused by the owner's authority."""
    analyst, board = world.analyst, world.session("board")
    honest = analyst.recipient("board")
    for forged in (
        honest.model_copy(update={"hpke_public_key": analyst.recipient(analyst.did).hpke_public_key}),
        Recipient.of(sign(analyst.identity.contact(), analyst.identity)).model_copy(update={"did": board.did}),
    ):
        request = analyst.prepare(HARMLESS, ["patients"])
        spec = request.spec.model_copy(update={"recipients": (forged,)})
        lie = replace(request, spec=spec, envelope=sign(spec, analyst.identity))
        with pytest.raises(SlsError, match="not signed by the recipient"):
            ask_all(lie, analyst._run_clients(lie))
    assert world.hospital.requests() == []


# --- answers to the requester ---------------------------------------------------------------------


def answered(world: World, change: Callable[[StreamSpec, Any], Any]) -> None:
    """Ask for two free assets; the answer is changed on its way."""
    world.seal("free", patients(5), columns="age,sex")
    request = world.analyst.prepare(HARMLESS, ["free=patients:age"])
    (did,) = [did for did, _ in request.spec.authorities()]

    class Changed:
        def submit(self, *args: Any, **options: Any) -> Any:
            return change(request.spec, world.analyst._run_clients(request)[did].submit(*args, **options))

    ask_all(request, {did: Changed()})  # type: ignore[dict-item]


WRONG_ANSWERS: dict[str, Callable[[StreamSpec, Any], Any]] = {
    "no decision": lambda _, told: told.model_copy(update={"decisions": ()}),
    "a decision twice": lambda _, told: told.model_copy(update={"decisions": told.decisions * 2}),
    "about another asset": lambda _, told: told.model_copy(
        update={"decisions": (told.decisions[0].model_copy(update={"asset": digest(b"x")}),)}
    ),
    "a grant twice": lambda _, told: told.model_copy(update={"grants": told.grants * 2}),
    "no grant": lambda _, told: told.model_copy(update={"grants": ()}),
    "denied and granted": lambda _, told: told.model_copy(
        update={
            "decisions": (
                told.decisions[0].model_copy(
                    update={"decision": told.decisions[0].decision.model_copy(update={"verdict": "deny"})}
                ),
            )
        }
    ),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
def test_an_answer_is_about_what_was_asked(world: World, wrong: str) -> None:
    """Decisions and grants are for this spec and these assets, once, and fit each other."""
    with pytest.raises((MalformedDocument, DigestMismatch)):
        answered(world, WRONG_ANSWERS[wrong])


@pytest.mark.parametrize(
    "change", [{"columns": ("age", "sex")}, {"spec": digest(b"x")}, {"asset": digest(b"x")}, {"tees": ("sev-snp",)}]
)
def test_a_grant_gives_no_more_than_was_asked(world: World, change: dict[str, Any]) -> None:
    """Even an authority's own signature does not make a grant fit that gives other columns, assets or TEEs."""

    def changed(_: StreamSpec, told: Any) -> Any:
        authority = open_authority(world.hospital.home, anchors=world.hospital.anchors)
        grant = verify(canonical_json(told.grants[0]), Grant, verify_signature, did=authority.did)
        forged = sign(grant.model_copy(update=change), authority.identity)
        authority.store.close()
        return told.model_copy(update={"grants": (json.loads(forged),)})

    with pytest.raises(DigestMismatch):
        answered(world, changed)


def test_the_sessions_of_the_requester_and_owner_agree(world: World) -> None:
    """An approval that was given for what was shown lets exactly that run start."""
    info = asked(world)
    assert world.hospital.approve(info.id, "reviewed") >= 0
    assert world.analyst.preflight(ask(world))["patients"].verdict == "allow"
    assert world.analyst.preflight(ask(world, EVIL))["patients"].verdict == "ask"
    with pytest.raises(UnknownName):
        world.hospital.request("0" * 12)


# --- the texts of code assets ---------------------------------------------------------------------


@pytest.fixture
def with_code(world: World) -> str:
    """A request that runs two sealed code assets of the clinic, one of them confidential, on the hospital's table."""
    clinic, options = world.session("clinic"), {"tee": "simulated-snp", "allow_code": "any"}
    clinic.seal_code({"model.py": b"def fit(x): return x\n", "a/b.py": b"y = 1\n"}, "model", **options)
    clinic.seal_code("z = 2\n", "secret", confidential=True, **options)
    for session in world.sessions.values():
        session._reachable = (-3600.0, [])
    return ask(world, code_assets=["model", "secret"]).spec.terms


def test_sealed_code_is_opened_for_whoever_decides(world: World, with_code: str) -> None:
    """Every text that runs is there with the digest that its owner signed; confidential code says that it is."""
    model, _, secret = world.hospital.request(with_code).inputs
    assert model.text == {"a/b.py": "y = 1\n", "model.py": "def fit(x): return x\n"}
    assert list(model.text) == sorted(model.text)
    assert (model.confidential, secret.confidential, secret.text) == (False, True, None)


@pytest.mark.parametrize(
    "files", [{}, {"model.py": b"def fit(x): return x\n"}, {"model.py": b"evil", "a/b.py": b"y = 1\n"}, {"c": b""}]
)
def test_other_texts_than_were_sealed_are_not_shown(
    world: World, with_code: str, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    """An authority that shows harmless code instead of the sealed one is a doubt, and nothing is shown."""
    monkeypatch.setattr(AuthorityClient, "files", lambda *_: files)
    info = world.hospital.request(with_code)
    assert info.inputs[0].text is None
    assert [doubt for doubt in info.doubts if "model" in doubt] == list(info.doubts)
    assert len(info.doubts) == 1


# --- between the list and the answer ---------------------------------------------------------------


def test_a_typed_beginning_means_the_request_that_was_shown(world: World) -> None:
    """Whoever makes two requests that begin alike gets no yes for the one that nobody read, in another process either."""
    made = {}
    for number in range(4096):  # a birthday within the three digits that are typed
        code = f"x = patients.age.mean()  # {number}\n"
        request = world.analyst.prepare(code, ["patients"], outputs=["x"])
        other = made.setdefault(request.spec.terms[:10], request)
        if other is not request:
            break
    read, swapped, typed = other, request, request.spec.terms[7:10]
    for one in (read, swapped):
        ask_all(one, world.analyst._run_clients(one))
        if one is read:
            assert [info.id for info in world.hospital.requests()] == [read.spec.terms]
            world.hospital.mute(world.analyst.did)  # drops it, as a flood of one's own requests would
            world.hospital.unmute(world.analyst.did)
    another = Session(world.hospital.home)  # such as the next call of `sls`
    try:
        for decide in (lambda: another.approve(typed), lambda: another.deny(typed, "no")):
            with pytest.raises(DigestMismatch, match="the one that you were shown"):
                decide()
    finally:
        another.close()
    assert world.hospital.approve(swapped.spec.terms) > 0  # by its whole number
    world.hospital.requests()
    with pytest.raises(UnknownName, match="Several"):
        world.hospital.approve(typed)


def test_a_slow_authority_in_a_strangers_request_ends_nobodys_inbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another authority does not tell of an input is a doubt about that request, and asked for once."""
    world.seal("notes", patients(5), owner="clinic", allow_code="reviewed", requester=None)
    for number in range(4):
        ask(world, f"x = patients.age.mean() + {number}\n", ("patients", "notes"))
    asset, clinic = AuthorityClient.asset, world.session("clinic").own_authority().did
    monkeypatch.setattr("sls_jupyter.session.inbox.ASIDE_SECONDS", 0.2)
    asked_for = []

    def slow(client: AuthorityClient, name: str) -> Any:
        if client.did != clinic:
            return asset(client, name)
        asked_for.append(name)
        time.sleep((network._left() or 0) + 0.01)
        raise Unavailable("The authority does not answer.")

    monkeypatch.setattr(AuthorityClient, "asset", slow)
    found = world.hospital.requests()
    assert [len(one.doubts) for one in found] == [1, 1, 1, 1]
    assert len(asked_for) == 1
    assert all(one.mine_to_decide for one in found)


def test_an_authority_with_many_lies_costs_a_few_lines(
    world: World, lying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list stays readable, and says how much more there is."""
    for number in range(14):
        ask(world, f"x = patients.age.mean() + {number}\n")
    lying(lambda detail: {"id": "sha256:" + detail.id[-2:] * 32})
    numbers = itertools.count()
    monkeypatch.setattr("sls_jupyter.session.inbox._line", lambda _: f"lie {next(numbers)}")
    assert world.hospital.requests() == []
    doubts = world.hospital.doubts()
    assert len(doubts) == MAX_DOUBTS + 1
    assert "4 more" in doubts[-1]


def test_a_proof_of_another_tree_or_entry_is_no_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval counts as logged only in the log that this persona follows, at the index that was named."""
    info, proof = asked(world), AuthorityClient.proof
    monkeypatch.setattr(AuthorityClient, "proof", lambda client, index: proof(client, index - 1))
    with pytest.raises(LogInconsistent, match="another entry"):
        world.hospital.approve(info.id)
    monkeypatch.undo()
    real = open_authority(world.hospital.home, anchors=world.hospital.anchors)
    fork = replace(real, store=Store(world.root / "fork.db"))
    with fork.store.write() as connection:
        ledger.append(connection, fork, [ledger.Event("approval.given", info.id, {"terms": info.id})])
        forged = ledger.prove(connection, fork, 0)
    monkeypatch.setattr(AuthorityClient, "proof", lambda *_: forged)
    with pytest.raises(LogInconsistent):
        world.hospital._prove(world.hospital.own_authority(), 0)


@pytest.mark.parametrize("odd", [" --as board", ";rm", "$(id)", "{x}", "#did", "\u0430", "'", "?x"])
def test_a_strangers_url_makes_no_command_of_its_own(world: World, odd: str, tmp_path: Path) -> None:
    """What a card advises to type is one word of it, or is not advised."""
    elsewhere = Session(Home(tmp_path / "far", "far"))
    elsewhere.anchors = world.hospital.anchors
    try:
        far = elsewhere.seal(patients(3), "far", allow_code="any", tee="simulated-snp").info.manifest
    finally:
        elsewhere.close()
    item = AssetInput(
        alias="far",
        asset=far.digest,
        kind="table",
        columns=None,
        owner=far.owner,
        authority=far.authority,
        authority_url=far.authority_url + odd,
    )
    with pytest.raises(UnknownName) as raised:
        world.hospital._look_up_owned(item, world.hospital.own_authority())
    assert "%sls" not in raised.value.message
    plain = item.model_copy(update={"authority_url": far.authority_url})
    with pytest.raises(UnknownName, match=f"%sls connect {far.authority_url}#{far.authority}"):
        world.hospital._look_up_owned(plain, world.hospital.own_authority())


def test_what_cannot_be_noted_cannot_be_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error of ours with a way out."""
    ask(world)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sls_jupyter.session.shown.write_whole", full)
    with pytest.raises(Unavailable, match="noted"):
        world.hospital.requests()

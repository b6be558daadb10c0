"""Requests and approvals: what an authority answers, to whom, and what it writes down."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from builders import CODE, NOW, World, person, recipient

from sls_jupyter.authority import catalogue, decisions, inbox, release, runs
from sls_jupyter.authority import store as db
from sls_jupyter.authority.verdicts import record_verdict
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import Limits
from sls_jupyter.documents import digest, sign, verify
from sls_jupyter.errors import AccessDenied, BadInput, DigestMismatch, NotAuthorised, SignatureInvalid, UnknownName
from sls_jupyter.identity import Contact, verify_signature


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def asked(world: World, **policy):
    """A spec that waits for an approval."""
    spec = world.spec(world.input(world.publish(**{"code": "reviewed", **policy})))
    assert world.submit(spec).verdict == "ask"
    return spec


def approve(world: World, spec, approver=None, **changes) -> int:
    who = approver or world.owner
    return record_verdict(world.authority, who.did, world.approval(spec, who, **changes), approved=True)


def deny(world: World, spec, approver=None) -> int:
    who = approver or world.owner
    return record_verdict(world.authority, who.did, world.denial(spec, who), approved=False)


def state(world: World) -> str:
    (request,) = inbox.page(world.authority, world.owner.did).requests
    return request.state


# --- answers --------------------------------------------------------------------------------------


def test_allow_gives_grants_that_say_what_will_be_released(world):
    """A grant names the spec, the asset, the columns and the kinds of TEE, and the authority signed it."""
    sealed, spec = world.granted(min_group=10)
    (envelope,) = world.submit(spec).grants
    grant = verify(envelope, Grant, verify_signature, did=world.authority.did)
    assert (grant.spec, grant.asset) == (spec.digest, sealed.digest)
    assert (grant.columns, grant.tees) == (("age", "outcome", "sex"), ("simulated-snp",))
    assert grant.obligations.min_group == 10
    assert grant.expires_at == spec.expires_at


def test_results_for_somebody_go_to_a_key_that_they_signed(world):
    """A requester who puts a key of their own beside the board's DID gets no grant, not even an answer."""
    sealed, board, mallory = world.publish(recipients=(person("board").did,)), person("board"), person("mallory")
    honest = recipient(board)
    assert world.submit(world.spec(world.input(sealed), recipients=(honest,))).verdict == "allow"
    lie = honest.model_copy(update={"hpke_public_key": recipient(mallory).hpke_public_key})
    with pytest.raises(SignatureInvalid, match="not signed by the recipient"):
        world.submit(world.spec(world.input(sealed), recipients=(lie,)))


def test_asking_again_gives_the_same_grants(world):
    """A lost answer is no harm: the same question gets the same bytes and adds nothing to the log."""
    _, spec = world.granted()
    first, size = world.submit(spec), world.size()
    world.clock.seconds += 30
    assert world.submit(spec).grants == first.grants
    assert world.size() == size


def test_deny_comes_with_reasons_and_no_grant(world):
    """A requester who is denied learns why, and what to do."""
    spec = world.spec(world.input(world.publish(purposes=("care",))))
    answer = world.submit(spec)
    assert (answer.verdict, answer.grants) == ("deny", ())
    assert all(reason.text and reason.fix for _, decision in answer.decisions for reason in decision.reasons)
    assert world.log() == ["asset.published", "request.received", "decision.made"]


def test_one_denied_asset_denies_all(world):
    """Of two assets in one stream, one denied keeps both: no grant at all leaves."""
    first, second = world.publish("first"), world.publish("second", purposes=("care",))
    answer = world.submit(world.spec(world.input(first, "a"), world.input(second, "b")))
    assert (answer.verdict, answer.grants, world.rows("grants")) == ("deny", (), [])


def test_dry_run_writes_nothing(world):
    """A preflight answers like the real question and leaves no trace."""
    sealed = world.publish(code="reviewed")
    before = world.size()
    answer = world.submit(world.spec(world.input(sealed)), dry_run=True)
    assert (answer.verdict, answer.grants) == ("ask", ())
    assert (world.size(), world.rows("requests"), world.rows("specs")) == (before, [], [])


def test_code_is_the_code_of_the_spec(world):
    """Reviewers see the text that will run, to the last space."""
    spec = world.spec(world.input(world.publish()))
    with pytest.raises(DigestMismatch):
        world.submit(spec, code=CODE + " ")
    assert world.rows("requests") == []


def test_spec_of_somebody_else_is_refused(world):
    """Nobody asks in another's name, neither by token nor by signature nor by contact."""
    spec = world.spec(world.input(world.publish()))
    stranger = person("stranger")
    envelope = sign(spec, world.analyst)
    with pytest.raises(NotAuthorised):
        decisions.submit(world.authority, stranger.did, envelope, CODE, None)
    with pytest.raises(SignatureInvalid):
        decisions.submit(world.authority, spec.requester, sign(spec, stranger), CODE, None)
    with pytest.raises(NotAuthorised):
        world.submit(spec, contact=sign(stranger.contact(), stranger))


@pytest.mark.parametrize("seconds", [-61, 3600])
def test_spec_outside_its_time_is_refused(world, seconds):
    """An expired spec, or one from the future, gets an answer that says which clock to look at."""
    spec = world.spec(world.input(world.publish()))
    world.clock.seconds += seconds
    with pytest.raises(BadInput, match="not valid at this time"):
        world.submit(spec)


def test_spec_without_an_asset_of_this_authority_is_refused(world):
    """A spec about other owners' assets only is not for this authority to judge."""
    item = world.input(world.publish(), authority=person("another authority").did)
    with pytest.raises(BadInput):
        world.submit(world.spec(item))


def test_wrongly_described_asset_is_refused(world):
    """A spec that calls a table code, or names another owner, would mislead every other policy."""
    sealed = world.publish()
    for changes in ({"kind": "code", "columns": None}, {"owner": world.analyst.did}):
        with pytest.raises(BadInput):
            world.submit(world.spec(world.input(sealed, **changes)))
    with pytest.raises(UnknownName):
        world.submit(world.spec(world.input(sealed, asset="sha256:" + "0" * 64)))


def test_withdrawn_asset_is_refused_with_a_hint(world):
    """Whoever asks for an asset that was taken back is told so, and where to look."""
    sealed = world.publish()
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=False)
    with pytest.raises(AccessDenied, match="withdrawn"):
        world.submit(world.spec(world.input(sealed)))


def test_two_owners_decide_alone(tmp_path):
    """Each authority answers for its own assets only, and both grants are needed for both assets."""
    here = World(tmp_path / "a", owner=person("hospital"))
    there = World(tmp_path / "b", owner=person("bank"), authority_name="another authority")
    spec = here.spec(here.input(here.publish(), "a"), here.input(there.publish(code="reviewed"), "b"))
    assert here.submit(spec).verdict == "allow"
    assert there.submit(spec).verdict == "ask"
    assert len(here.submit(spec).grants) == 1
    with pytest.raises(BadInput):
        release.challenge(there.authority, spec.digest)
    here.close(), there.close()


# --- approvals ------------------------------------------------------------------------------------


def test_approval_opens_the_way_for_every_run_on_the_same_terms(world):
    """An owner approves once; the next run on the same terms needs no person."""
    spec = asked(world)
    assert world.entry(approve(world, spec)).kind == "approval.given"
    assert state(world) == "approved"
    assert world.submit(spec).verdict == "allow"
    again = spec.model_copy(update={"nonce": "f" * 32, "issued_at": NOW + 5})
    assert world.submit(again).verdict == "allow"


@pytest.mark.parametrize(
    "changes", [{"code": digest(b"other")}, {"purpose": "marketing"}, {"parameters": digest(b"x")}, {"outputs": ()}]
)
def test_changed_terms_need_another_approval(world, changes):
    """What was approved is exactly what was asked: other code, purpose or parameters ask again."""
    spec = asked(world)
    approve(world, spec)
    other = spec.model_copy(update={**changes, "nonce": "e" * 32})
    code = "other" if "code" in changes else CODE
    parameters = b"x" if "parameters" in changes else b""
    assert world.submit(other, code=code, parameters=parameters).verdict == "ask"


# --- less than what was approved ------------------------------------------------------------------


def with_limits(spec, nonce: str, **limits):
    """The same terms with other limits, as another run."""
    changed = spec.limits.model_copy(update=limits)
    return spec.model_copy(update={"limits": changed, "nonce": nonce * 32})


LESS = {"memory_bytes": 2**30, "wall_seconds": 60, "cpu_seconds": 60, "output_bytes": 2**20, "processes": 8}


def test_lower_limits_need_no_other_approval(world):
    """Who may run a cell with two gigabytes may run it with one, and gets the keys for it."""
    spec = asked(world)
    approve(world, spec)
    less = with_limits(spec, "e", **LESS)
    assert less.terms != spec.terms
    assert world.submit(less).verdict == "allow"
    assert {one.state for one in inbox.page(world.authority, world.owner.did).requests} == {"approved", "granted"}


@pytest.mark.parametrize("field", sorted(Limits.model_fields))
def test_one_higher_limit_needs_another_approval(world, field):
    """Nothing is widened: one limit that is higher by one asks again, however low the others are."""
    spec = asked(world)
    approve(world, spec)
    low = {name: value for name, value in LESS.items() if name != field}
    assert world.submit(with_limits(spec, "e", **low, **{field: getattr(spec.limits, field) + 1})).verdict == "ask"


@pytest.mark.parametrize(
    "changes", [{"purpose": "marketing"}, {"outputs": ()}, {"kinds": ("table",)}, {"inputs": "columns"}]
)
def test_lower_limits_with_other_terms_ask_again(world, changes):
    """Low limits buy nothing else: not even fewer columns or fewer results, which a person has to judge."""
    spec = asked(world)
    approve(world, spec)
    if "inputs" in changes:
        changes = {"inputs": (spec.inputs[0].model_copy(update={"columns": ("age",)}),)}
    assert world.submit(with_limits(spec, "e", **LESS).model_copy(update=changes)).verdict == "ask"


@pytest.mark.parametrize("later", [0, 1])
def test_a_no_to_these_terms_ends_what_covered_them(world, later):
    """A short yes after it was for itself only: when that is over, no earlier and wider one comes back."""
    spec = asked(world)
    small = with_limits(spec, "e", **LESS)
    world.submit(small)
    approve(world, spec, expires_at=NOW + 50_000)
    world.clock.seconds += later
    deny(world, small)
    world.clock.seconds += later
    approve(world, small, expires_at=world.clock() + 60)
    assert world.submit(small).verdict == "allow"
    world.clock.seconds += 61
    assert world.submit(small).verdict == "ask"


def test_a_verdict_from_the_future_is_refused(world):
    """It would be the newest for as long as that clock is ahead, whatever is said in the meantime."""
    spec = asked(world)
    with pytest.raises(BadInput, match="from the future"):
        approve(world, spec, issued_at=world.clock() + 600)
    assert world.submit(spec).verdict == "ask"


def test_runs_on_lower_limits_fill_no_database(world):
    """One yes lets a stranger run with any lower limits; each is granted and logged, and the newest few are kept."""
    spec = asked(world, requesters=())
    other = person("stranger")
    mine = {"requester": other.did, "recipients": (recipient(other),)}
    wide = spec.model_copy(update=mine)
    decisions.submit(world.authority, other.did, sign(wide, other), CODE, None)
    approve(world, wide)
    for number in range(inbox.MAX_UNKNOWN_OF_ONE + 10):
        limits = wide.limits.model_copy(update={"memory_bytes": wide.limits.memory_bytes - 1 - number})
        less = wide.model_copy(update={"limits": limits, "nonce": f"{number:032x}"})
        assert decisions.submit(world.authority, other.did, sign(less, other), CODE, None).verdict == "allow"
    kept = inbox.page(world.authority, world.owner.did).requests
    assert len(kept) == inbox.MAX_UNKNOWN_OF_ONE + 2  # and the two that were asked first, of which one was decided on
    assert inbox.mute(world.authority, world.owner.did, other.did) == inbox.MAX_UNKNOWN_OF_ONE


def test_somebody_elses_approval_covers_nothing(world):
    """The same cell of another requester is theirs to ask for."""
    spec = asked(world, requesters=())
    approve(world, spec)
    other = person("stranger")
    mine = {"requester": other.did, "recipients": (recipient(other),)}
    less = with_limits(spec, "e", **LESS).model_copy(update=mine)
    answer = decisions.submit(world.authority, other.did, sign(less, other), CODE, None)
    assert answer.verdict == "ask"


def test_a_withdrawn_approval_covers_nothing(world):
    """After a later no, to whatever limits, nothing runs on the earlier yes but what it named itself."""
    spec = asked(world)
    approve(world, spec)
    small, smaller = with_limits(spec, "e", **LESS), with_limits(spec, "f", **{**LESS, "processes": 4})
    assert world.submit(small).verdict == "allow"
    world.clock.seconds += 1
    deny(world, spec)
    assert (world.submit(spec).verdict, world.submit(small).verdict) == ("deny", "ask")
    approve(world, small)
    assert (world.submit(small).verdict, world.submit(smaller).verdict) == ("allow", "ask")  # the same second: no
    world.clock.seconds += 1
    approve(world, small)
    assert (world.submit(spec).verdict, world.submit(smaller).verdict) == ("deny", "allow")


def test_a_denial_of_these_very_terms_stays(world):
    """A yes to more does not take back a no to less that the approver gave by name."""
    spec = asked(world)
    small = with_limits(spec, "e", **LESS)
    world.submit(small)
    deny(world, small)
    world.clock.seconds += 1
    approve(world, spec)
    assert world.submit(small).verdict == "deny"


def test_what_covers_expires(world):
    """Lower limits run no longer than the approval that covers them."""
    spec = asked(world)
    approve(world, spec, expires_at=NOW + 60)
    small = with_limits(spec, "e", **LESS)
    assert world.submit(small).verdict == "allow"
    world.clock.seconds += 60
    assert world.submit(small).verdict == "ask"


def test_an_expired_approval_hides_no_other_one(world):
    """Terms whose own approval is over run on the one that covers them and still holds."""
    spec = asked(world)
    small = with_limits(spec, "e", **LESS)
    world.submit(small)
    approve(world, small, expires_at=NOW + 60)
    approve(world, spec)
    world.clock.seconds += 60
    assert world.submit(small).verdict == "allow"


def test_every_required_approver_covers(world):
    """Where two have to agree, one of them who agreed to more is one."""
    eyes = sorted((person("first"), person("second")), key=lambda who: who.did)
    spec = asked(world, approvers=tuple(who.did for who in eyes), required_approvals=2)
    approve(world, spec, eyes[0])
    small = with_limits(spec, "e", **LESS)
    assert world.submit(small).verdict == "ask"
    approve(world, small, eyes[1])
    assert world.submit(small).verdict == "allow"
    assert world.submit(spec).verdict == "ask"


def test_the_database_alone_covers_nothing(world):
    """A column that says that two requests belong together is not believed: the signed specs are compared."""
    spec = asked(world)
    approve(world, spec)
    other = with_limits(spec, "e", **LESS).model_copy(update={"purpose": "marketing"})
    with world.authority.store.write() as connection:
        connection.execute(sa.update(db.requests).values(but_limits=other.terms_but_limits))
    assert world.submit(other).verdict == "ask"


def test_approval_expires(world):
    """An approval holds until the time that is written in it."""
    spec = asked(world)
    approve(world, spec, expires_at=NOW + 60)
    world.clock.seconds += 60
    assert world.submit(spec).verdict == "ask"
    assert state(world) == "open"


def test_expired_approval_is_not_taken(world):
    """An approver whose clock is wrong learns it at once, instead of wondering why nothing runs."""
    spec = asked(world)
    with pytest.raises(BadInput, match="expired"):
        approve(world, spec, issued_at=NOW - 100, expires_at=NOW - 1)
    assert state(world) == "open"


def test_denial_ends_it(world):
    """After a no with its reason, the requester reads the reason and gets nothing."""
    spec = asked(world)
    assert world.entry(deny(world, spec)).kind == "denial.given"
    answer = world.submit(spec)
    assert answer.verdict == "deny"
    assert any("not for this study" in reason.text for _, found in answer.decisions for reason in found.reasons)


def test_an_approver_can_change_their_mind(world):
    """The newest word of each approver counts."""
    spec = asked(world)
    deny(world, spec)
    world.clock.seconds += 1
    approve(world, spec)
    assert world.submit(spec).verdict == "allow"


def test_two_approvals_where_two_are_required(world):
    """With four eyes required, the request stays in the inbox until the second pair has seen it."""
    eyes = sorted((person("first"), person("second")), key=lambda who: who.did)
    spec = asked(world, approvers=tuple(who.did for who in eyes), required_approvals=2)
    approve(world, spec, eyes[0])
    assert world.submit(spec).verdict == "ask"
    (request,) = inbox.page(world.authority, eyes[1].did).requests
    assert request.state == "open"
    approve(world, spec, eyes[1])
    assert world.submit(spec).verdict == "allow"


def test_the_same_verdict_twice_is_one(world):
    """A repeated click changes nothing."""
    spec = asked(world)
    assert approve(world, spec) == approve(world, spec)
    assert world.log().count("approval.given") == 1


def test_only_named_approvers_decide(world):
    """Neither the requester nor a stranger approves a request, and nobody signs for somebody else."""
    spec = asked(world)
    for who in (world.analyst, person("stranger")):
        with pytest.raises(NotAuthorised):
            approve(world, spec, who)
    with pytest.raises(SignatureInvalid):
        record_verdict(world.authority, world.owner.did, world.approval(spec, person("stranger")), approved=True)
    assert world.submit(spec).verdict == "ask"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": (digest(b"other"),)}, DigestMismatch),
        ({"requester": person("stranger").did}, NotAuthorised),
        ({"authority": person("another authority").did}, NotAuthorised),
        ({"terms": "sha256:" + "0" * 64}, UnknownName),
    ],
)
def test_approval_for_something_else_is_refused(world, changes, error):
    """An approval counts for the code, requester, authority and terms that it names and for no others."""
    spec = asked(world)
    with pytest.raises(error):
        approve(world, spec, **changes)
    assert world.submit(spec).verdict == "ask"


def test_inbox_shows_the_parties_only(world):
    """The code of a request is for those who judge it and the one who wrote it."""
    spec = asked(world)
    for who, count in ((world.owner, 1), (world.analyst, 1), (person("stranger"), 0)):
        assert len(inbox.page(world.authority, who.did).requests) == count
    assert inbox.one(world.authority, world.owner.did, spec.terms).code == CODE
    with pytest.raises(UnknownName):
        inbox.one(world.authority, person("stranger").did, spec.terms)


def test_inbox_names_the_requester(world):
    """An approver sees a name beside the DID, from a contact that the requester signed."""
    spec = world.spec(world.input(world.publish(code="reviewed")))
    world.submit(spec, contact=sign(world.analyst.contact(), world.analyst))
    request = inbox.one(world.authority, world.owner.did, spec.terms)
    assert request.contact is not None
    assert verify(request.contact.encode(), Contact, verify_signature, did=spec.requester).name == "analyst"


def test_log_holds_no_person_and_no_code(world):
    """What is public in the log says what happened and not who did what to whose data."""
    spec = asked(world)
    approve(world, spec)
    world.submit(spec)
    secrets = (spec.requester, world.owner.did, spec.digest, "patients", "risk study", CODE.strip())
    public = b"".join(row[1] for row in world.rows("log_entries"))
    assert not any(secret.encode() in public for secret in secrets)


# --- runs -----------------------------------------------------------------------------------------


def test_end_of_every_run_on_the_same_terms_is_logged(world):
    """Two runs at once on the same terms are two runs: each can be reported and audited."""
    sealed, first = world.granted()
    second = world.spec(world.input(sealed), nonce=1)
    world.submit(second)
    for spec in (first, second):
        entry = runs.report_end(world.authority, world.analyst.did, spec.digest, "ended", "")
        assert world.entry(entry).kind == "run.ended"
        assert runs.history(world.authority, world.analyst.did, spec.digest).entries


def test_end_is_reported_once_and_by_the_requester(world):
    """Nobody else can say how a run ended, nobody can change it, and only known ends are taken."""
    _, spec = world.granted()
    report = (world.authority, world.analyst.did, spec.digest)
    with pytest.raises(NotAuthorised):
        runs.report_end(world.authority, world.owner.did, spec.digest, "ended", "")
    with pytest.raises(BadInput):
        runs.report_end(*report, "exploded", "")
    assert world.entry(runs.report_end(*report, "killed", "memory")).kind == "run.killed"
    with pytest.raises(BadInput):
        runs.report_end(*report, "ended", "")
    with pytest.raises(UnknownName):
        runs.report_end(world.authority, world.analyst.did, "sha256:" + "0" * 64, "ended", "")


def test_reason_of_an_end_is_a_code(world):
    """A sentence with names in it does not get into the log, where it would stay for ever."""
    _, spec = world.granted()
    size = world.size()
    with pytest.raises(BadInput):
        runs.report_end(world.authority, world.analyst.did, spec.digest, "killed", "Alice pressed stop")
    assert world.size() == size


def test_history_is_for_the_parties(world):
    """A run's meanings are told to its requester and its owner, to nobody else."""
    _, spec = world.granted()
    for who in (world.analyst, world.owner):
        assert runs.history(world.authority, who.did, spec.digest).entries
    with pytest.raises(NotAuthorised):
        runs.history(world.authority, person("stranger").did, spec.digest)

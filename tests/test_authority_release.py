"""Key release: each of the nine checks broken alone, and what a refusal leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from builders import IMAGE, Attempt, World, chain, person
from forge import genuine_looking
from test_attestation_vectors import evidence as machine_evidence

from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.simulated import POLICY, SimulatedProcessor
from sls_jupyter.authority import catalogue, verdicts
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.protocol import release_info
from sls_jupyter.authority.release import (
    CHALLENGE_SECONDS,
    EVIDENCE_CHECKS,
    MAX_OPEN_CHALLENGES,
    Released,
    challenge,
    demands_on,
    release,
)
from sls_jupyter.contract.spec import Limits
from sls_jupyter.documents import b64decode, digest, parse_json, sign
from sls_jupyter.errors import AccessDenied, BadInput, KeyRefused, UnknownName
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.policy import decide
from sls_jupyter.policy.model import OwnerPolicy

DEBUG = 1 << 19  # of the SNP guest policy


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def opened(attempt: Attempt, released: Released) -> dict[str, bytes]:
    """The keys, as the guest gets them."""
    spec = digest(b64decode(json.loads(attempt.request.spec_envelope)["payload"]))
    keys = parse_json(attempt.key.open(release_info(spec, attempt.request.asset), released.sealed_keys))
    return {name: b64decode(value) for name, value in keys.items()}


def test_honest_guest_gets_exactly_the_granted_keys(world):
    """An analyst who may read three of four columns gets their keys and the footer's, and not the fourth."""
    sealed, spec = world.granted(columns=("age", "outcome", "sex"))
    attempt = world.attempt(sealed, spec)
    released = release(world.authority, attempt.request)
    wanted = sealed.manifest.key_ids_for(("age", "outcome", "sex"))
    assert released.columns == ("age", "outcome", "sex")
    assert opened(attempt, released) == {name: sealed.keys[name] for name in wanted}
    assert len(wanted) == 4 < len(sealed.keys)
    entry = world.entry(released.entry)
    assert (entry.kind, entry.facts["tee"], entry.facts["columns"]) == ("key.released", "simulated-snp", 3)


def test_keys_go_to_lower_limits_on_an_approval_of_higher_ones(world):
    """What a person approved covers the same with less memory, at the release as well, and until it is taken back."""
    sealed = world.publish(code="reviewed")
    spec = world.spec(world.input(sealed))
    less = world.spec(world.input(sealed), nonce=1, limits=Limits(memory_bytes=2**30))
    world.submit(spec)
    verdicts.record_verdict(world.authority, world.owner.did, world.approval(spec), approved=True)
    assert world.submit(less).verdict == "allow"
    attempt = world.attempt(sealed, less)
    assert opened(attempt, release(world.authority, attempt.request))
    again = world.spec(world.input(sealed), nonce=2, limits=Limits(memory_bytes=2**30))
    assert world.submit(again).verdict == "allow"
    late = world.attempt(sealed, again)
    world.clock.seconds += 1
    verdicts.record_verdict(world.authority, world.owner.did, world.denial(spec), approved=False)
    with pytest.raises(KeyRefused):
        release(world.authority, late.request)


def test_no_other_guest_opens_the_keys(world):
    """Whoever records the answer on the wire has nothing without the guest's own private key."""
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    released = release(world.authority, attempt.request)
    for key in sealed.keys.values():
        assert key not in released.sealed_keys
    with pytest.raises(Exception, match="does not open"):
        opened(replace(attempt, key=HpkeKey.generate()), released)


# --- check 1: the challenge -----------------------------------------------------------------------


def unknown_challenge(world: World) -> Attempt:
    return world.attempt(*world.granted()).changed(nonce=bytes(32))


def used_challenge(world: World) -> Attempt:
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec, policy=POLICY | DEBUG)
    with pytest.raises(KeyRefused):
        release(world.authority, attempt.request)
    report_data = release_report_data(attempt.request.nonce, attempt.key.public_bytes)
    return attempt.changed(evidence=world.evidence(report_data, spec).encode())


def expired_challenge(world: World) -> Attempt:
    attempt = world.attempt(*world.granted())
    world.clock.seconds += CHALLENGE_SECONDS
    return attempt


def challenge_of_another_spec(world: World) -> Attempt:
    sealed, spec = world.granted()
    other = world.spec(world.input(sealed), nonce=1)
    world.submit(other)
    attempt, nonce = world.attempt(sealed, spec), challenge(world.authority, other.digest)
    evidence = world.evidence(release_report_data(nonce, attempt.key.public_bytes), spec)
    return attempt.changed(nonce=nonce, evidence=evidence.encode())


def challenge_of_another_authority(world: World) -> Attempt:
    other = World(world.folder / "other", authority_name="another authority")
    attempt, spec = world.attempt(*(granted := world.granted())), granted[1]
    nonce = challenge(other.authority, other.granted()[1].digest)
    other.close()
    evidence = world.evidence(release_report_data(nonce, attempt.key.public_bytes), spec)
    return attempt.changed(nonce=nonce, evidence=evidence.encode())


# --- check 2: the evidence ------------------------------------------------------------------------


def evidence_of_another_root(world: World) -> Attempt:
    return world.attempt(*world.granted(), processor=SimulatedProcessor(chain("another machine")))


def evidence_with_a_root_that_looks_genuine(world: World) -> Attempt:
    attempt = world.attempt(*world.granted(tees=("sev-snp", "simulated-snp")))
    return attempt.changed(evidence=genuine_looking().evidence(kind="sev-snp").encode())


def evidence_with_debugging(world: World) -> Attempt:
    return world.attempt(*world.granted(), policy=POLICY | DEBUG)


def evidence_below_the_owners_minimum(world: World) -> Attempt:
    return world.attempt(*world.granted(minimum_tcb={"simulated-snp": {"snp": 0x18}}))


def evidence_without_a_demanded_bulletin(world: World) -> Attempt:
    return world.attempt(*world.granted(bulletins=("AMD-SB-3016",)))


def evidence_without_a_demanded_mitigation(world: World) -> Attempt:
    return world.attempt(*world.granted(mitigations=(2,)))


def genuine_evidence_of_an_unaccepted_kind(world: World) -> Attempt:
    genuine = machine_evidence("aci-milan-v3-full")
    return world.attempt(*world.granted()).changed(evidence=genuine.encode())


def genuine_evidence_of_another_machine(world: World) -> Attempt:
    """A real report of somebody else's guest, taken from the wire, for an owner who accepts its kind."""
    attempt = world.attempt(*world.granted(tees=("sev-snp", "simulated-snp")))
    return attempt.changed(evidence=machine_evidence("aci-milan-v3-full").encode())


def simulated_evidence_named_genuine(world: World) -> Attempt:
    attempt = world.attempt(*world.granted(tees=("sev-snp", "simulated-snp")))
    evidence = Evidence.parse(attempt.request.evidence).model_copy(update={"kind": "sev-snp"})
    return attempt.changed(evidence=evidence.encode())


def simulated_evidence_for_a_hardware_owner(world: World) -> Attempt:
    sealed = world.publish(tees=("sev-snp",))
    spec = world.spec(world.input(sealed), tees=("sev-snp", "simulated-snp"))
    assert world.submit(spec).verdict == "allow"
    return world.attempt(sealed, spec)


# --- check 3: REPORT_DATA -------------------------------------------------------------------------


def evidence_for_another_nonce(world: World) -> Attempt:
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    report_data = release_report_data(bytes(32), attempt.key.public_bytes)
    return attempt.changed(evidence=world.evidence(report_data, spec).encode())


def relay_with_its_own_key(world: World) -> Attempt:
    """Somebody in the middle passes the honest guest's evidence on, with another key to seal to."""
    key = HpkeKey.generate()
    return replace(world.attempt(*world.granted()).changed(hpke_public_key=key.public_bytes), key=key)


def evidence_for_another_protocol(world: World) -> Attempt:
    return world.attempt(*world.granted(), report_data=bytes(64))


# --- check 4: HOST_DATA ---------------------------------------------------------------------------


def group_of_another_spec(world: World) -> Attempt:
    sealed, spec = world.granted()
    return world.attempt(sealed, spec, host_data=world.host_data(world.spec(world.input(sealed), nonce=9)))


def group_with_another_limit(world: World) -> Attempt:
    sealed, spec = world.granted()
    wider = spec.model_copy(update={"limits": Limits(memory_bytes=2**33)})
    return world.attempt(sealed, spec, host_data=world.host_data(wider))


def group_of_another_image(world: World) -> Attempt:
    sealed, spec = world.granted()
    image = replace(IMAGE, layers=(IMAGE.layers[0], "3" * 64))
    return world.attempt(sealed, spec, host_data=world.host_data(spec, image))


# --- check 5: the measurement ---------------------------------------------------------------------


def another_measurement(world: World) -> Attempt:
    return world.attempt(*world.granted(), measurement=bytes(48))


# --- check 6: the spec ----------------------------------------------------------------------------


def spec_with_a_bad_signature(world: World) -> Attempt:
    attempt = world.attempt(*world.granted())
    envelope = json.loads(attempt.request.spec_envelope)
    signature = envelope["signatures"][0]["sig"]
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    return attempt.changed(spec_envelope=attempt.request.spec_envelope.replace(signature.encode(), changed.encode()))


def spec_signed_by_somebody_else(world: World) -> Attempt:
    sealed, spec = world.granted()
    return world.attempt(sealed, spec).changed(spec_envelope=sign(spec, world.owner))


def expired_spec(world: World) -> Attempt:
    sealed = world.publish()
    spec = world.spec(world.input(sealed), expires_at=world.clock() + 100)
    world.submit(spec)
    attempt = world.attempt(sealed, spec)
    world.clock.seconds += 100
    return attempt


def asset_that_the_spec_does_not_name(world: World) -> Attempt:
    _, spec = world.granted()
    return world.attempt(world.publish("other"), spec)


def second_run_of_one_spec(world: World) -> Attempt:
    sealed, spec = world.granted()
    second = world.attempt(sealed, spec)
    release(world.authority, world.attempt(sealed, spec).request)
    return second


def second_guest_of_one_run(world: World) -> Attempt:
    """The platform starts the same group twice under one policy; the second one asks for the other asset's keys."""
    first, second = world.publish("first"), world.publish("second")
    spec = world.spec(world.input(first, "first"), world.input(second, "second"))
    assert world.submit(spec).verdict == "allow"
    release(world.authority, world.attempt(first, spec).request)
    return world.attempt(second, spec, report_id=b"another guest".ljust(32, b"\0"))


# --- check 7: the owner's policy, at release ------------------------------------------------------


def one_run_too_many(world: World) -> Attempt:
    sealed, spec = world.granted(max_runs=1)
    second = world.spec(world.input(sealed), nonce=1)
    assert world.submit(second).verdict == "allow"
    release(world.authority, world.attempt(sealed, spec).request)
    return world.attempt(sealed, second)


def kind_that_the_requester_did_not_accept(world: World) -> Attempt:
    sealed = world.publish(tees=("sev-snp", "simulated-snp"))
    spec = world.spec(world.input(sealed), tees=("sev-snp",))
    assert world.submit(spec).verdict == "allow"
    return world.attempt(sealed, spec)


def withdrawn_asset(world: World) -> Attempt:
    sealed, spec = world.granted()
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=False)
    return world.attempt(sealed, spec)


def shredded_asset(world: World) -> Attempt:
    sealed, spec = world.granted()
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=True)
    return world.attempt(sealed, spec)


def denied_after_the_grant(world: World) -> Attempt:
    sealed, spec = world.granted()
    verdicts.record_verdict(world.authority, world.owner.did, world.denial(spec), approved=False)
    return world.attempt(sealed, spec)


def approval_that_expired(world: World) -> Attempt:
    sealed = world.publish(code="reviewed")
    spec = world.spec(world.input(sealed))
    world.submit(spec)
    approval = world.approval(spec, expires_at=world.clock() + 60)
    verdicts.record_verdict(world.authority, world.owner.did, approval, approved=True)
    assert world.submit(spec).verdict == "allow"
    world.clock.seconds += 60
    return world.attempt(sealed, spec)


# --- check 9: the guest's HPKE key ----------------------------------------------------------------


def guest_key(world: World, public_key: bytes) -> Attempt:
    """Everything honest, but for the key that the evidence binds."""
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    evidence = world.evidence(release_report_data(attempt.request.nonce, public_key), spec)
    return attempt.changed(hpke_public_key=public_key, evidence=evidence.encode())


def short_guest_key(world: World) -> Attempt:
    return guest_key(world, b"k" * 32)


def guest_key_that_is_no_point(world: World) -> Attempt:
    return guest_key(world, b"\xff" * 1216)


def guest_key_without_a_secret(world: World) -> Attempt:
    return guest_key(world, HpkeKey.generate().public_bytes[:1184] + bytes(32))


Breaker = Callable[[World], Attempt]
BROKEN: dict[int, tuple[Breaker, ...]] = {
    1: (
        unknown_challenge,
        used_challenge,
        expired_challenge,
        challenge_of_another_spec,
        challenge_of_another_authority,
    ),
    2: (
        evidence_of_another_root,
        evidence_with_a_root_that_looks_genuine,
        evidence_with_debugging,
        evidence_below_the_owners_minimum,
        evidence_without_a_demanded_bulletin,
        evidence_without_a_demanded_mitigation,
        genuine_evidence_of_an_unaccepted_kind,
        simulated_evidence_named_genuine,
        simulated_evidence_for_a_hardware_owner,
    ),
    3: (evidence_for_another_nonce, relay_with_its_own_key, evidence_for_another_protocol),
    4: (group_of_another_spec, group_with_another_limit, group_of_another_image),
    5: (another_measurement,),
    6: (
        spec_with_a_bad_signature,
        spec_signed_by_somebody_else,
        expired_spec,
        asset_that_the_spec_does_not_name,
        second_run_of_one_spec,
        second_guest_of_one_run,
    ),
    7: (
        one_run_too_many,
        kind_that_the_requester_did_not_accept,
        withdrawn_asset,
        shredded_asset,
        denied_after_the_grant,
        approval_that_expired,
    ),
    9: (short_guest_key, guest_key_that_is_no_point, guest_key_without_a_secret),
}
CASES = [
    pytest.param(check, breaker, id=f"{check}-{breaker.__name__}") for check in BROKEN for breaker in BROKEN[check]
]


TABLES = ("releases", "challenges", "log_entries", "log_tiles", "log_checkpoint")
NOT_OURS = (unknown_challenge, used_challenge, challenge_of_another_authority)  # nobody in particular may send these


def require_refused(world: World, attempt: Attempt, check: int, before: list[tuple]) -> None:
    """What a refusal leaves whose challenge was ours: a log entry with its number, no key out, the challenge gone."""
    last = world.entry(world.size() - 1)
    if check in EVIDENCE_CHECKS:
        assert world.entry(world.size() - 2).kind == "evidence.refused"
    assert (last.kind, last.facts["check"]) == ("key.refused", check)
    assert world.rows("releases") == before
    assert attempt.request.nonce.hex() not in [row[0] for row in world.rows("challenges")]


@pytest.mark.parametrize(("check", "breaker"), CASES)
def test_each_check_alone_refuses(world, check, breaker):
    """One thing wrong and everything else right: the guest gets no key, and both sides learn which check it was."""
    attempt = breaker(world)
    before, size = world.rows("releases"), world.size()
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == check
    if breaker in NOT_OURS:
        assert (world.size(), world.rows("releases")) == (size, before)
        return
    assert world.size() == size + (2 if check in EVIDENCE_CHECKS else 1)
    require_refused(world, attempt, check, before)


@pytest.mark.parametrize(("check", "breaker"), [(check, BROKEN[check][0]) for check in BROKEN])
def test_each_check_refuses_through_the_door(world, check, breaker):
    """A guest far away learns the same number over HTTP, and the answer holds no key."""
    attempt, request = (broken := breaker(world)), broken.request
    before, server = world.rows("releases"), AuthorityServer(world.authority, listen(0))
    server.start()
    client = AuthorityClient(server.url, did=world.authority.did)
    try:
        with pytest.raises(KeyRefused) as caught:
            client.release(
                request.spec_envelope,
                request.asset,
                request.nonce,
                request.hpke_public_key,
                Evidence.parse(request.evidence),
            )
    finally:
        client.close()
        server.stop()
    assert caught.value.check == check
    if breaker not in NOT_OURS:
        require_refused(world, attempt, check, before)


# --- check 8: the log -----------------------------------------------------------------------------


def break_the_log(world: World) -> None:
    """From now on the database takes no log entry."""
    with world.authority.store.write() as connection:
        connection.exec_driver_sql(
            "create trigger broken before insert on log_entries begin select raise(abort, 'no more entries'); end"
        )


def test_no_key_without_its_log_entry(world):
    """When the log cannot be written, nothing is released and nothing else changes: the run can be tried again."""
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    before = {table: world.rows(table) for table in TABLES}
    break_the_log(world)
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == 8
    assert {table: world.rows(table) for table in TABLES} == before
    with world.authority.store.write() as connection:
        connection.exec_driver_sql("drop trigger broken")
    assert opened(attempt, release(world.authority, attempt.request))


def test_a_refusal_that_cannot_be_logged_is_still_a_refusal(world):
    """A failing log does not turn another failed check into a key."""
    attempt = world.attempt(*world.granted(), policy=POLICY | DEBUG)
    break_the_log(world)
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == 8
    assert world.rows("releases") == []


# --- around the checks ----------------------------------------------------------------------------


def test_one_guest_gets_all_keys_of_a_run(world):
    """Two assets of one owner are two releases to one group."""
    first, second = world.publish("first"), world.publish("second")
    spec = world.spec(world.input(first, "first"), world.input(second, "second"))
    world.submit(spec)
    for sealed in (first, second):
        release(world.authority, world.attempt(sealed, spec).request)


def test_refusal_costs_no_run(world):
    """A guest whose key was malformed does not use up the one run that the owner allows."""
    attempt = guest_key(world, b"short")
    with pytest.raises(KeyRefused):
        release(world.authority, attempt.request)
    assert "key.released" not in world.log()
    assert "evidence.accepted" not in world.log()


def test_first_failing_check_is_named(world):
    """With several things wrong, the lowest number is the one that is told and logged."""
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec, policy=POLICY | DEBUG, host_data=bytes(32), measurement=bytes(48))
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == 2
    assert {"debug", "init_data", "measurement"} <= set(caught.value.detail["failed"])
    attempt = world.attempt(sealed, spec, processor=SimulatedProcessor(chain("another machine")))
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.changed(spec_envelope=b"{}").request)
    assert caught.value.check == 2


@pytest.mark.parametrize(
    "evidence", [b"", b"{}", b"[" * 50_000, b"\xff" * 100, b'{"kind":"simulated-snp"}', b"x" * 70_000]
)
def test_malformed_evidence_is_check_2(world, evidence):
    """Bytes that are no evidence end in the refusal that says so, never in a traceback."""
    attempt = world.attempt(*world.granted()).changed(evidence=evidence)
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == 2


def test_what_strangers_send_leaves_nothing(world):
    """A made-up challenge, however often it comes, adds no entry and no row."""
    attempt = world.attempt(*world.granted())
    before = {table: world.rows(table) for table in TABLES}
    for number in range(20):
        junk = attempt.changed(nonce=bytes([number]) * 32, spec_envelope=b"x", hpke_public_key=b"", evidence=b"")
        with pytest.raises(KeyRefused):
            release(world.authority, junk.request)
    assert {table: world.rows(table) for table in TABLES} == before


def test_refusals_of_one_spec_are_logged_so_many_times(world, monkeypatch):
    """Whoever knows a granted spec does not fill the log either; the refusals themselves go on."""
    monkeypatch.setattr("sls_jupyter.authority.release.MAX_REFUSALS", 2)
    sealed, spec = world.granted()
    for _ in range(4):
        with pytest.raises(KeyRefused):
            release(world.authority, world.attempt(sealed, spec, measurement=bytes(48)).request)
    assert world.log().count("key.refused") == 2
    assert release(world.authority, world.attempt(sealed, spec).request).columns


def test_a_grant_before_a_stricter_seal_gives_no_key(world):
    """A request that was granted under the old policy does not run once the name has a newer version."""
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    world.publish(requesters=(person("somebody else").did,))
    with pytest.raises(KeyRefused, match="newer version") as caught:
        release(world.authority, attempt.request)
    assert "Run the cell again" in caught.value.hint
    with pytest.raises(AccessDenied, match="newer version"):
        world.submit(world.spec(world.input(sealed), nonce=7))


def test_evidence_and_policy_are_judged_outside_the_write_lock(world, monkeypatch):
    """While one release is judged, others write: an owner's slow module holds nobody up."""
    sealed, spec = world.granted()
    attempt, held = world.attempt(sealed, spec), []
    judged = decide.decide

    def slow(*arguments):
        with world.authority.store.write():  # would wait for 30 s, and fail, if the release held the lock
            held.append(True)
        return judged(*arguments)

    monkeypatch.setattr("sls_jupyter.authority.decisions.decide", slow)
    assert release(world.authority, attempt.request).columns
    assert held


def test_what_changes_while_a_release_is_judged_counts(world, monkeypatch):
    """An asset that is withdrawn between the decision and the lock gives no key."""
    sealed, spec = world.granted()
    attempt, judged = world.attempt(sealed, spec), decide.decide

    def meanwhile(*arguments):
        catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=False)
        return judged(*arguments)

    monkeypatch.setattr("sls_jupyter.authority.decisions.decide", meanwhile)
    with pytest.raises(KeyRefused, match="withdrawn"):
        release(world.authority, attempt.request)
    assert world.rows("releases") == []


def test_challenges_are_for_granted_specs_and_bounded(world):
    """Nobody fills the database with challenges, and a spec that nobody granted gets none."""
    with pytest.raises(BadInput):
        challenge(world.authority, "sha256:" + "0" * 64)
    _, spec = world.granted()
    for _ in range(MAX_OPEN_CHALLENGES):
        challenge(world.authority, spec.digest)
    with pytest.raises(BadInput, match="Too many"):
        challenge(world.authority, spec.digest)
    world.clock.seconds += CHALLENGE_SECONDS
    assert len(challenge(world.authority, spec.digest)) == 32


def test_one_of_two_accepted_images_is_enough(tmp_path):
    """While an owner accepts an old and a new guest, either gets keys, and a mixture of both does not."""
    other = replace(IMAGE, layers=("4" * 64,), measurement=b"m" * 48)
    world = World(tmp_path, images=(other, IMAGE))
    sealed, spec = world.granted()
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, world.attempt(sealed, spec, measurement=other.measurement).request)
    assert caught.value.check in (4, 5)
    assert release(world.authority, world.attempt(sealed, spec).request).columns
    world.close()


def test_refusals_about_nothing_do_not_occupy_an_asset(world):
    """Garbage sent in the name of an asset that is not published yet does not keep its owner from publishing it."""
    policy = world.policy()
    sealed = world.seal(policy)
    attempt = world.attempt(*world.granted())
    with pytest.raises(KeyRefused):
        release(world.authority, attempt.changed(asset=sealed.digest, spec_envelope=b"{}").request)
    catalogue.publish(world.authority, *world.submission(sealed, policy))
    with world.authority.store.read() as connection:
        assert catalogue.find(connection, sealed.digest).state == "active"


def test_shredding_cannot_be_undone(world):
    """After shredding, publishing the same asset again does not bring it back."""
    policy = world.policy()
    sealed = world.seal(policy)
    catalogue.publish(world.authority, *world.submission(sealed, policy))
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=True)
    catalogue.publish(world.authority, *world.submission(sealed, policy))
    with world.authority.store.read() as connection:
        assert catalogue.find(connection, sealed.digest).state == "shredded"
    with pytest.raises(UnknownName), world.authority.store.read() as connection:
        catalogue.find(connection, "sha256:" + "0" * 64)


def test_a_demand_on_registers_is_made_of_tdx_and_bulletins_of_amd() -> None:
    """A policy for both kinds of machine asks each for what its evidence tells, and neither for nothing."""
    demands = {"bulletins": ("AMD-SB-3016",), "mitigations": (2,), "registers": {"rtmr1": ("ab" * 48,)}}
    policy = OwnerPolicy(owner=person("owner").did, tees=("sev-snp", "tdx"), **demands)
    of_amd = {name: demands[name] for name in ("bulletins", "mitigations")}
    assert demands_on(policy, "sev-snp") == demands_on(policy, "simulated-snp") == of_amd
    assert demands_on(policy, "tdx") == {"registers": demands["registers"]}

"""Checks 8 to 12 of a receipt: entries, forks, rolled back logs and witnesses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import NOW, World, person
from receipt_forge import (
    RECORDED_AT,
    first_input,
    forged,
    log,
    reasons,
    record,
    refused,
    run,
    two,
    with_extensions,
)
from receipt_kit import LATER, SignedRun, signed_run

from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.cosignature import WitnessPolicy, add_signatures, cosign, witness_key, witness_name
from sls_jupyter.transparency.note import NoteSignature, SignedNote

__all__ = ["run", "two"]


def test_every_log_has_exactly_one_proof(run: SignedRun) -> None:
    """A missing proof would hide a log that never heard of the run; one too many is not looked at."""
    receipt = run.receipt()
    one, two = receipt.recorded
    for recorded in ((), (one,), (two,), (one, one), (one, two, two), (two, one)):
        verdict = run.check(receipt.model_copy(update={"recorded": recorded}))
        assert any(check.name.startswith("recorded") for check in verdict.failed), recorded


def test_a_meaning_that_was_forgotten_proves_nothing(run: SignedRun) -> None:
    """Without its salt an entry may be about anybody's run."""
    receipt = run.receipt()
    first, second = receipt.recorded
    forgotten = first.entry.model_copy(update={"salt": None, "meaning": None})
    changed = receipt.model_copy(update={"recorded": (first.model_copy(update={"entry": forgotten}), second)})
    refused(run.check(changed), recorded_1="What the log's entry meant was forgotten.")
    released = run.statement().predicate.inputs[0].released
    assert released is not None
    half = "A log entry's meaning comes with its salt, or both are forgotten."
    whole = "What the log's entry meant was forgotten."
    for update, why in (({"salt": None}, half), ({"meaning": None}, half), ({"salt": None, "meaning": None}, whole)):
        lie = first_input(released=released.model_copy(update=update))
        verdict = run.check(record(run, run.sign(lie(run.statement()))))
        refused(verdict, released_asset0=why)


def other_tree(world: World, size: int, root: bytes = b"\x07" * 32) -> str:
    """A checkpoint that the authority signed over another tree."""
    return sign_checkpoint(Checkpoint(world.authority.origin, size, root), world.authority.identity.signing).decode()


def test_records_on_another_fork_than_the_release_are_caught(run: SignedRun, tmp_path: Path) -> None:
    """An authority that shows the auditor another log than the group signed that other one in front of a witness."""
    receipt, [did, *_] = run.receipt(), sorted(run.worlds)
    honest, second = receipt.recorded
    twin = fork(run.worlds[did], tmp_path)
    try:
        stated = receipt.stated()
        released = next(one.released for one in stated.statement.predicate.inputs if one.released.proof.log == did)
        for _ in range(released.proof.index + 2):  # another log of the same authority, longer than the release
            log(twin, "denial.given", "x", {}, {}, NOW)
        chained = stated.statement.predicate.records
        facts = {
            "tee": "simulated-snp",
            "record_root": chained.head,
            "records": chained.count,
            "receipt": receipt.id,
            "keys": 1,
        }
        meaning = {**(honest.entry.meaning or {})}
        entry = log(twin, "run.records", "x", meaning, facts, RECORDED_AT)
        lie = receipt.model_copy(update={"recorded": (with_extensions(twin, stated, entry), second)})
        refused(run.check(lie), extends_1="")
    finally:
        twin.close()
    old = honest.model_copy(update={"extends": ()})
    refused(
        run.check(receipt.model_copy(update={"recorded": (old, second)})),
        extends_1="The consistency proofs are not those needed. itself",
    )


def fork(world: World, folder: Path) -> World:
    """The same authority with a log that begins anew."""
    return World(
        folder / "twin", authority_name=f"authority of {world.owner.name}", owner=world.owner, clock=world.clock
    )


def test_a_log_that_was_rolled_back_is_caught(run: SignedRun) -> None:
    """The last checkpoint may not be older than the one that the group saw."""
    receipt = run.receipt()
    first, second = receipt.recorded
    world = run.worlds[sorted(run.worlds)[0]]
    proof = first.entry.proof.model_copy(update={"checkpoint": other_tree(world, 2)})
    lie = first.model_copy(update={"entry": first.entry.model_copy(update={"proof": proof})})
    assert "recorded 1" in reasons(run.check(receipt.model_copy(update={"recorded": (lie, second)})))


def test_two_releases_of_one_log_are_both_in_it(tmp_path: Path) -> None:
    """An authority with two assets logs one release on a fork of the same size, where nobody else will look."""
    world = World(tmp_path / "one", authority_name="authority of hospital", owner=person("hospital"))
    twin = fork(world, tmp_path)
    try:
        run = signed_run({world.authority.did: world, "again": world})
        assert run.check(run.receipt()).accepted
        while twin.size() < world.size():
            log(twin, "denial.given", "x", {}, {}, NOW)
        refused(run.check(forged(run, release_log=twin)), extends_1="")
    finally:
        world.close()
        twin.close()


def test_a_log_has_one_name(run: SignedRun) -> None:
    """An authority with two logs under one key, of which others see only the first, is caught."""
    receipt, did = run.receipt(), sorted(run.worlds)[0]
    first, second = receipt.recorded
    proof = first.entry.proof
    text = Checkpoint.parse(SignedNote.parse(proof.checkpoint.encode()).text.encode())
    renamed = replace(text, origin="another.example/log")
    note = sign_checkpoint(renamed, run.worlds[did].authority.identity.signing).decode()
    proof = proof.model_copy(update={"origin": renamed.origin, "checkpoint": note})
    lie = first.model_copy(update={"entry": first.entry.model_copy(update={"proof": proof})})
    assert not run.check(receipt.model_copy(update={"recorded": (lie, second)}), logs=set(run.worlds)).accepted


# --- witnesses ------------------------------------------------------------------------------------


def with_lines(receipt: Receipt, *lines: NoteSignature) -> Receipt:
    """Both logs' last checkpoints with more signature lines."""
    changed = []
    for recorded in receipt.recorded:
        proof = recorded.entry.proof
        note = SignedNote.parse(proof.checkpoint.encode())
        text = replace(note, signatures=(*note.signatures, *lines)).encode().decode()
        entry = recorded.entry.model_copy(update={"proof": proof.model_copy(update={"checkpoint": text})})
        changed.append(recorded.model_copy(update={"entry": entry}))
    return receipt.model_copy(update={"recorded": tuple(changed)})


def cosigned(receipt: Receipt, *names: str, at: int = RECORDED_AT) -> Receipt:
    """The last checkpoints of all logs, cosigned by these people."""
    changed = []
    for recorded in receipt.recorded:
        proof = recorded.entry.proof
        text = SignedNote.parse(proof.checkpoint.encode()).text
        lines = [cosign(text, witness_name(person(name).did), person(name).signing, at=at) for name in names]
        note = add_signatures(proof.checkpoint.encode(), lines).decode()
        entry = recorded.entry.model_copy(update={"proof": proof.model_copy(update={"checkpoint": note})})
        changed.append(recorded.model_copy(update={"entry": entry}))
    return receipt.model_copy(update={"recorded": tuple(changed)})


def policy(needed: int, *names: str) -> WitnessPolicy:
    keys = [witness_key(witness_name(person(name).did), person(name).signing.public_bytes) for name in names]
    return WitnessPolicy.of(needed, keys)


@pytest.mark.parametrize(
    ("signed", "needed", "ok"),
    [((), 1, False), (("w1",), 1, True), (("w1",), 2, False), (("w1", "w2"), 2, True), (("w4", "w1"), 2, False)],
)
def test_as_many_witnesses_as_demanded(run: SignedRun, signed: tuple[str, ...], needed: int, ok: bool) -> None:
    """Witnesses whom the auditor did not name do not count."""
    verdict = run.check(cosigned(run.receipt(), *signed), witnesses=policy(needed, "w1", "w2", "w3"))
    if ok:
        verdict.require()
    else:
        refused(verdict, witnesses="Too few witnesses have cosigned a checkpoint.")


def test_a_cosignature_on_one_log_is_none_on_the_other(run: SignedRun) -> None:
    """Each log needs its own."""
    receipt, all_ = run.receipt(), cosigned(run.receipt(), "w1")
    half = receipt.model_copy(update={"recorded": (all_.recorded[0], receipt.recorded[1])})
    refused(run.check(half, witnesses=policy(1, "w1")), witnesses="Too few witnesses")


def test_a_cosignature_from_the_future_does_not_count(run: SignedRun) -> None:
    """A witness cannot have seen it yet."""
    late = cosigned(run.receipt(), "w1", at=int(LATER.timestamp()) + 3600)
    refused(run.check(late, witnesses=policy(1, "w1")), witnesses="Too few witnesses")


def test_signature_lines_that_nobody_can_check_are_refused(run: SignedRun) -> None:
    """Bytes of a receipt that nobody looks at could be changed unseen."""
    receipt, w1 = run.receipt(), person("w1")
    good = cosign(
        other_tree(run.worlds[sorted(run.worlds)[0]], 9).split("\n\n")[0] + "\n",
        witness_name(w1.did),
        w1.signing,
        at=RECORDED_AT,
    )
    unknown = NoteSignature("example.com/witness", b"abcd", bytes(72))
    refused(run.check(with_lines(receipt, unknown)), witnesses="whose key is not known")
    refused(run.check(with_lines(receipt, good)), witnesses="does not verify")  # of another checkpoint
    twice = cosigned(receipt, "w1")
    line = SignedNote.parse(twice.recorded[0].entry.proof.checkpoint.encode()).signatures[1]
    refused(run.check(with_lines(twice, line)), witnesses="A checkpoint has signatures too many.")
    again = replace(line, name=receipt.recorded[0].entry.proof.origin)
    refused(run.check(with_lines(receipt, again)), witnesses="A checkpoint has signatures too many.")


def test_lines_on_a_releases_checkpoint_are_looked_at_too(run: SignedRun) -> None:
    """Bytes in a receipt that nobody checks could be anything."""
    released = run.statement().predicate.inputs[0].released
    assert released is not None
    note = SignedNote.parse(released.proof.checkpoint.encode())
    line = cosign(note.text, witness_name(person("w").did), person("x").signing, at=RECORDED_AT)
    proof = released.proof.model_copy(update={"checkpoint": add_signatures(note.encode(), [line]).decode()})
    lie = first_input(released=released.model_copy(update={"proof": proof}))
    refused(run.check(record(run, run.sign(lie(run.statement())))), witnesses="")


def test_no_log_is_its_own_witness(run: SignedRun) -> None:
    """Two authorities that witness each other must not be able to leave the other one out."""
    receipt, names = run.receipt(), ("authority of hospital", "authority of bank")
    own = []
    for recorded in receipt.recorded:
        name = next(name for name in names if person(name).did == recorded.entry.proof.log)
        proof = recorded.entry.proof
        line = cosign(
            SignedNote.parse(proof.checkpoint.encode()).text,
            witness_name(person(name).did),
            person(name).signing,
            at=RECORDED_AT,
        )
        note = add_signatures(proof.checkpoint.encode(), [line]).decode()
        entry = recorded.entry.model_copy(update={"proof": proof.model_copy(update={"checkpoint": note})})
        own.append(recorded.model_copy(update={"entry": entry}))
    lie = receipt.model_copy(update={"recorded": tuple(own)})
    assert not run.check(lie, witnesses=policy(1, *names)).accepted

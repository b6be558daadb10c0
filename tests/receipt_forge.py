"""Receipts of groups and authorities that lie: everything is signed and logged as it should be, and one thing is not.

:func:`forged` takes an honest run apart and puts it together again with what a test wants to be different,
signed anew by whoever has to sign it. So a test breaks one check, and no signature gives it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from builders import IMAGE, NOW, World
from receipt_kit import Direct, SignedRun, signed_run, worlds_at

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.authority import ledger
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant, combined_obligations
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import Signer, b64decode, b64encode, digest, sign
from sls_jupyter.receipt.receipt import Extension, Receipt, Recorded, Stated, make_envelope, open_envelope
from sls_jupyter.receipt.statement import EnvelopeJson, InputRecord, Statement
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.transparency.entries import EntryKind
from sls_jupyter.transparency.proofs import DisclosedEntry, proof_checkpoint

P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
RELEASED_AT, RECORDED_AT = NOW + 5, NOW + 20
OTHER = "sha256:" + "0" * 64
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
NOT_CHECKED = "not checked, because"
Change = Callable[[Statement], Statement]
Log = Callable[..., DisclosedEntry]


def predicate(**fields: Any) -> Change:
    """State another predicate."""
    return lambda said: said.model_copy(update={"predicate": said.predicate.model_copy(update=fields)})


def part(name: str, **fields: Any) -> Change:
    """State another run, gate, group or records."""
    return lambda said: predicate(**{name: getattr(said.predicate, name).model_copy(update=fields)})(said)


def first_input(**fields: Any) -> Change:
    """State another first input."""

    def change(said: Statement) -> Statement:
        one, *rest = said.predicate.inputs
        return predicate(inputs=(one.model_copy(update=fields), *rest))(said)

    return change


def other_signature(honest: Evidence) -> Evidence:
    """The same report with the other valid ECDSA signature, which anybody can compute: s becomes n - s."""
    report, place = bytearray(honest.report_bytes()), slice(snp.SIGNED_BYTES + 72, snp.SIGNED_BYTES + 144)
    report[place] = (P384_ORDER - int.from_bytes(report[place], "little")).to_bytes(72, "little")
    return Evidence.of(honest.kind, bytes(report), honest.endorsement_bytes())


def log(world: World, kind: EntryKind, subject: str, meaning: Mapping[str, Any], facts: Any, at: int) -> DisclosedEntry:
    """Have an authority log whatever we want, at whatever time."""
    world.clock.seconds = at
    with world.authority.store.write() as connection:
        index = ledger.append(connection, world.authority, [ledger.Event(kind, subject, dict(meaning), facts)])
        return ledger.disclose(connection, world.authority, index)


@dataclass
class Lies:
    """What differs from the honest run; every field that is left alone is honest."""

    spec: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)  # of the spec's first input
    spec_signer: Signer | None = None
    grant: Mapping[str, Any] = field(default_factory=dict)
    grant_signer: Signer | None = None
    released: Mapping[str, Any] = field(default_factory=dict)  # kind, at, or a fact
    released_meaning: Mapping[str, Any] = field(default_factory=dict)
    release_log: World | None = None  # where the first key was logged instead
    recorded: Mapping[str, Any] = field(default_factory=dict)  # kind, at, or a fact; with log, of this one only
    recorded_meaning: Mapping[str, Any] = field(default_factory=dict)
    statement: Change = lambda said: said
    report: Mapping[str, Any] = field(default_factory=dict)
    evidence: Callable[[Evidence], Evidence] = lambda honest: honest
    host_spec: StreamSpec | None = None  # whose group the host really started


def forged(run: SignedRun, **lies: Any) -> Receipt:
    """The receipt of a run that was as :class:`Lies` says."""
    return record(run, envelope(run, **lies), **{name: lies[name] for name in lies if name.startswith("recorded")})


def envelope(run: SignedRun, **lies: Any) -> bytes:
    """The statement, signed by the hardware."""
    lie = Lies(**lies)
    first, *rest = run.spec.inputs
    changed = {"inputs": (first.model_copy(update=dict(lie.inputs)), *rest), **lie.spec}
    spec = run.spec.model_copy(update=changed) if lie.inputs or lie.spec else run.spec
    honest = run.statement()
    inputs = tuple(_input(run, spec, number, one, lie) for number, one in enumerate(honest.predicate.inputs))
    grants = tuple(Grant.parse(payload_of(one.grant)) for one in inputs)
    rules = combined_obligations(spec, grants)
    told = {
        "spec": EnvelopeJson.of(sign(spec, lie.spec_signer or next(iter(run.worlds.values())).analyst)),
        "inputs": inputs,
        "group": honest.predicate.group.model_copy(update={"cce_policy": cce.render(group_for(spec, IMAGE)).decode()}),
        "gate": honest.predicate.gate and honest.predicate.gate.model_copy(update={"rules": rules}),
    }
    world = next(iter(run.worlds.values()))

    def attest(data: bytes) -> Evidence:
        return lie.evidence(world.evidence(data, lie.host_spec or spec, **lie.report))

    return make_envelope(lie.statement(predicate(**told)(honest)), attest)


def _input(run: SignedRun, spec: StreamSpec, number: int, one: InputRecord, lie: Lies) -> InputRecord:
    item, was = spec.inputs[number], run.spec.inputs[number]
    world = run.worlds[was.authority]
    mine: Lies = lie if number == 0 else Lies()
    grant = Grant.parse(payload_of(one.grant))
    grant = grant.model_copy(update={"spec": spec.digest, "asset": item.asset, **mine.grant})
    facts: dict[str, Any] = {"tee": "simulated-snp", "columns": len(grant.columns or ()), **mine.released}
    kind, at = facts.pop("kind", "key.released"), facts.pop("at", RELEASED_AT)
    meaning: dict[str, Any] = {"spec": spec.digest, "asset": item.asset, "requester": spec.requester}
    meaning |= {"columns": list(grant.columns or ()), **mine.released_meaning}
    facts = {name: value for name, value in facts.items() if value is not None}
    logged = log(mine.release_log or world, kind, spec.digest, meaning, facts, at)
    signed = EnvelopeJson.of(sign(grant, mine.grant_signer or world.authority.identity))
    return one.model_copy(update={"grant": signed, "released": logged})


def record(
    run: SignedRun, signed: bytes, recorded: Mapping[str, Any] | None = None, recorded_meaning: Any = None
) -> Receipt:
    """What the authorities log about an envelope, and the receipt with their proofs."""
    stated, found = open_envelope(signed), []
    chain = stated.statement.predicate.records
    spec = digest(payload_of(stated.statement.predicate.spec))
    worlds = {world.authority.did: world for world in run.worlds.values()}
    for number, did in enumerate(sorted(worlds)):
        world, facts = worlds[did], {"tee": "simulated-snp", "record_root": chain.head, "records": chain.count}
        told: dict[str, Any] = {**facts, "receipt": stated.statement.digest}
        told["keys"] = sum(
            one.released is not None and one.released.proof.log == did for one in stated.statement.predicate.inputs
        )
        told |= {} if (recorded or {}).get("log", number) != number else dict(recorded or {})
        told.pop("log", None)
        kind, at = told.pop("kind", "run.records"), told.pop("at", RECORDED_AT)
        told = {name: value for name, value in told.items() if value is not None}
        meaning = {
            "spec": spec,
            "requester": run.spec.requester,
            "envelope": digest(signed),
            **(recorded_meaning or {}),
        }
        found.append(with_extensions(world, stated, log(world, kind, spec, meaning, told, at)))
    return Receipt(statement=EnvelopeJson.of(signed), recorded=tuple(found))


def payload_of(signed: EnvelopeJson) -> bytes:
    """The payload of an envelope in a statement, unverified."""
    return b64decode(signed.payload)


def with_extensions(world: World, stated: Stated, entry: DisclosedEntry) -> Recorded:
    """A log's entry with the consistency proofs that the statement needs of that log."""
    last = proof_checkpoint(entry.proof).tree_size
    proofs = [one.released.proof for one in stated.statement.predicate.inputs if one.released]
    sizes = {proof_checkpoint(proof).tree_size for proof in proofs if proof.log == world.authority.did} - {last}
    client = Direct(world)
    return Recorded(
        entry=entry,
        extends=tuple(
            Extension(tree_size=size, hashes=tuple(map(b64encode, client.consistency(size, last))))
            for size in sorted(sizes)
        ),
    )


# --- what tests of verification share ---------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SignedRun, SignedRun]]:
    """Two runs of the same owners."""
    worlds = worlds_at(tmp_path_factory.mktemp("worlds"))
    yield signed_run(worlds), signed_run(worlds, nonce=1)
    for world in worlds.values():
        world.close()


@pytest.fixture
def run(two: tuple[SignedRun, SignedRun]) -> SignedRun:
    return two[0]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedRun]:
    """A run of the same analyst with other owners."""
    worlds = worlds_at(tmp_path_factory.mktemp("strangers"), ("clinic", "insurer"))
    yield signed_run(worlds)
    for world in worlds.values():
        world.close()


def reasons(verdict: ReceiptVerdict) -> dict[str, str]:
    """The checks that failed by themselves, not because of an earlier one."""
    assert not verdict.accepted
    assert verdict.word.startswith("REFUSED")
    return {check.name: check.found for check in verdict.failed if not check.found.startswith(NOT_CHECKED)}


def refused(verdict: ReceiptVerdict, **expected: str) -> None:
    """Exactly these checks failed by themselves, each with its own words."""
    found = {name.replace(" ", "_"): text for name, text in reasons(verdict).items()}
    assert set(found) == set(expected), found
    for name, words in expected.items():
        assert words in found[name]

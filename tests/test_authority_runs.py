"""What an authority takes from an audit sidecar: only this spec's group, only these records, each receipt once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from builders import IMAGE, NOW, World, chain, person
from receipt_forge import part, predicate
from receipt_kit import SignedRun, signed_run, worlds_at

from sls_jupyter.attestation.device.simulated import SimulatedProcessor
from sls_jupyter.authority import catalogue, runs
from sls_jupyter.authority.runs import MAX_RECEIPTS, MAX_RECORDS_BYTES, post_records
from sls_jupyter.errors import BadInput, DigestMismatch, EvidenceRejected, LogInconsistent, SlsError, UnknownName
from sls_jupyter.transparency.chain import Chain, encode_records, parse_records


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    found = worlds_at(tmp_path_factory.mktemp("worlds"), ("hospital",))
    yield found
    for world in found.values():
        world.close()


@pytest.fixture(scope="module")
def run(worlds: dict[str, World]) -> SignedRun:
    """A run that ended, and that nobody was told of."""
    return signed_run(worlds, post=False)


@pytest.fixture
def world(worlds: dict[str, World]) -> World:
    return next(iter(worlds.values()))


def count(world: World, kind: str) -> int:
    return world.log().count(kind)


def with_records(run: SignedRun, number: int) -> SignedRun:
    """Another group of the same spec: it has other records."""
    chained = Chain(run.spec.digest)
    records = [chained.append({"event": "contract", "number": number})]
    return replace(run, records=encode_records(records), head=chained.head, entries={})


def without_keys(run: SignedRun, number: int) -> tuple[bytes, bytes]:
    """Records and receipt of a second group, which got no keys."""
    idle = with_records(run, number)
    inputs = tuple(one.model_copy(update={"released": None}) for one in run.statement().predicate.inputs)
    return idle.records, idle.sign(predicate(inputs=inputs, gate=None)(idle.statement()))


def test_records_of_another_spec_are_refused(worlds: dict[str, World], run: SignedRun, world: World) -> None:
    """A run's records say whose they are."""
    other = signed_run(worlds, nonce=1, post=False)
    with pytest.raises(EvidenceRejected):  # the evidence is looked at first: it is of the other spec's group
        post_records(world.authority, other.spec.digest, run.records, run.sign(run.statement()))
    with pytest.raises(LogInconsistent, match="does not follow"):
        post_records(world.authority, other.spec.digest, run.records, other.sign(other.statement()))
    with pytest.raises(UnknownName):
        post_records(
            world.authority,
            "sha256:" + "0" * 64,
            b"",
            run.sign(part("records", head=_start(), count=0)(run.statement())),
        )


def _start() -> str:
    return Chain("sha256:" + "0" * 64).head


def test_changed_records_are_refused(run: SignedRun, world: World) -> None:
    """Cut, reordered, changed, or others than the hardware signed."""
    lines, receipt = run.records.splitlines(keepends=True), run.sign(run.statement())
    for records in (b"".join(lines[:-1]), b"".join(lines[::-1]), run.records * 2, b"", with_records(run, 1).records):
        with pytest.raises((LogInconsistent, DigestMismatch)):
            post_records(world.authority, run.spec.digest, records, receipt)
    for records in (run.records[:-1], b"\xff\n", b"{}\n", run.records.replace(b"running", b"runninG")):
        with pytest.raises(SlsError):
            post_records(world.authority, run.spec.digest, records, receipt)
    assert parse_records(run.records)


@pytest.mark.parametrize(
    "report",
    [
        {"host_data": bytes(32)},
        {"measurement": bytes(48)},
        {"report_data": bytes(64)},
        {"policy": 0x3001F | 1 << 19},
        {"processor": SimulatedProcessor(chain("another chip"))},
    ],
    ids=["group", "image", "receipt", "debug", "chip"],
)
def test_a_receipt_of_another_group_is_refused(run: SignedRun, world: World, report: dict[str, object]) -> None:
    """Nobody can tell of a run but its own group, and nothing is logged of who tries."""
    before = world.size()
    with pytest.raises(EvidenceRejected):
        post_records(world.authority, run.spec.digest, run.records, run.sign(run.statement(), **report))
    assert world.size() == before


def test_a_changed_statement_is_refused(run: SignedRun, world: World) -> None:
    """The hardware signed another one."""
    signed, lie = (run.sign(change(run.statement())) for change in (part("run"), part("run", status="stopped")))
    from sls_jupyter.documents import Envelope
    from sls_jupyter.receipt.statement import Statement

    honest, other = (Envelope.parse(one, Statement.payload_type) for one in (signed, lie))
    with pytest.raises(EvidenceRejected):
        post_records(world.authority, run.spec.digest, run.records, replace(honest, payload=other.payload).encode())


def test_an_image_that_the_authority_does_not_accept_is_refused(tmp_path: object) -> None:
    """Its list of images may have changed since the grant."""
    worlds = worlds_at(tmp_path, ("hospital",))  # type: ignore[arg-type]
    world = next(iter(worlds.values()))
    run = signed_run(worlds, post=False)
    images = (replace(IMAGE, layers=("3" * 64,)), replace(IMAGE, measurement=bytes(48)))
    for accepted in (images, ()):
        changed = replace(world.authority, images=accepted)
        with pytest.raises(EvidenceRejected):
            post_records(changed, run.spec.digest, run.records, run.sign(run.statement()))
    assert post_records(
        replace(world.authority, images=(*images, IMAGE)), run.spec.digest, run.records, run.sign(run.statement())
    )
    world.close()


def test_the_same_receipt_twice_is_one_entry(worlds: dict[str, World], world: World) -> None:
    """A sidecar that did not hear the answer asks again."""
    run = signed_run(worlds, nonce=2)
    entry, before = run.entries[world.authority.did], world.size()
    assert world.entry(entry).kind == "run.records"
    assert post_records(world.authority, run.spec.digest, run.records, run.envelope) == entry
    assert world.size() == before


@pytest.mark.parametrize("first", [True, False])
def test_a_second_group_without_keys_does_not_hide_the_first(
    worlds: dict[str, World], world: World, first: bool
) -> None:
    """Whichever of the two was posted first; both are logged."""
    run = signed_run(worlds, nonce=3 + first, post=False)
    receipt = run.sign(run.statement())
    posts = [(run.records, receipt), without_keys(run, 1)]
    before = count(world, "run.records")
    for records, envelope in posts if first else posts[::-1]:
        post_records(world.authority, run.spec.digest, records, envelope)
    shown = runs.history(world.authority, world.analyst.did, run.spec.digest)
    assert (shown.receipt.encode(), shown.records.encode()) == (receipt, run.records)
    assert count(world, "run.records") == before + 2
    assert run.check(run.receipt()).accepted


def test_a_run_has_so_many_receipts_at_most(worlds: dict[str, World], world: World) -> None:
    """Somebody who launches one group again and again does not fill the log."""
    run = signed_run(worlds, nonce=5)
    for number in range(MAX_RECEIPTS):
        post_records(world.authority, run.spec.digest, *without_keys(run, number))
    before = world.size()
    with pytest.raises(BadInput, match="too many receipts"):
        post_records(world.authority, run.spec.digest, *without_keys(run, MAX_RECEIPTS))
    assert post_records(world.authority, run.spec.digest, run.records, run.envelope) == run.entries[world.authority.did]
    assert world.size() == before


def test_groups_without_keys_cannot_keep_out_the_one_that_has_them(worlds: dict[str, World], world: World) -> None:
    """Else whoever launches eight empty groups first has a run that is never recorded."""
    run = signed_run(worlds, nonce=6, post=False)
    for number in range(MAX_RECEIPTS):
        post_records(world.authority, run.spec.digest, *without_keys(run, number))
    run.post(run.sign(run.statement()))
    assert run.check(run.receipt()).accepted


def test_a_receipt_with_keys_is_of_the_guest_that_got_them(worlds: dict[str, World], world: World) -> None:
    """A second group under the same policy could say that it had the keys, and what it let go would be the run's."""
    run = signed_run(worlds, nonce=10, post=False)
    other = run.sign(run.statement(), report_id=b"another guest".ljust(32, b"\0"))
    with pytest.raises(EvidenceRejected, match="report_id"):
        post_records(world.authority, run.spec.digest, run.records, other)
    run.post(run.sign(run.statement()))


def test_records_that_are_too_large_are_refused(run: SignedRun, world: World) -> None:
    """Before anything is parsed."""
    with pytest.raises(BadInput, match="too large"):
        post_records(world.authority, run.spec.digest, b"x" * (MAX_RECORDS_BYTES + 1), b"")


@pytest.mark.parametrize("receipt", [b"", b"{}", b"\xff", b"[" * 10_000, b" " * (5 << 20)])
def test_what_is_no_receipt_is_refused(run: SignedRun, world: World, receipt: bytes) -> None:
    """With an error of ours."""
    with pytest.raises(SlsError):
        post_records(world.authority, run.spec.digest, run.records, receipt)


@pytest.mark.parametrize("shred", [False, True])
def test_an_owner_who_withdraws_meanwhile_does_not_undo_the_run(
    worlds: dict[str, World], world: World, shred: bool
) -> None:
    """What was computed with the asset stays recorded."""
    run = signed_run(worlds, nonce=7 + shred, post=False)
    for item in run.spec.inputs:
        catalogue.withdraw(world.authority, world.owner.did, item.asset, shred=shred)
    run.post(run.sign(run.statement()))
    assert run.check(run.receipt()).accepted


def test_a_stranger_cannot_read_a_runs_history(worlds: dict[str, World], world: World) -> None:
    """Its salts are for the parties."""
    run = signed_run(worlds, nonce=9)
    with pytest.raises(SlsError, match="for its requester and its owners"):
        runs.history(world.authority, person("stranger").did, run.spec.digest)
    assert world.entry(run.entries[world.authority.did]).at == NOW + 20

"""Fetching a receipt: every authority has to have the same one, in its log, about this very run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from receipt_forge import other_signature
from receipt_kit import Direct, SignedRun, signed_run, worlds_at

from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.authority.client import RunHistory
from sls_jupyter.authority.runs import post_records
from sls_jupyter.documents import Envelope
from sls_jupyter.errors import LogInconsistent, SlsError, Unavailable, UnknownName
from sls_jupyter.receipt.statement import Statement
from sls_jupyter.safestream.receipts import fetch_receipt


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SignedRun, SignedRun]]:
    """Two runs of the same owners."""
    worlds = worlds_at(tmp_path_factory.mktemp("worlds"))
    yield signed_run(worlds), signed_run(worlds, nonce=1)
    for world in worlds.values():
        world.close()


@dataclass
class Showing(Direct):
    """An authority that shows another run's history, or one with pieces changed."""

    spec: str = ""
    changes: Any = None

    def history(self, spec: str, *, witnesses: int = 0, **_: Any) -> RunHistory:
        honest = super().history(self.spec or spec, witnesses=witnesses)
        fields = {"entries": honest.entries, "records": honest.records, "receipt": honest.receipt}
        return RunHistory(**(fields | (self.changes or {})))


def showing(run: SignedRun, *dids: str, **options: Any) -> dict[str, Any]:
    """Clients of these authorities that lie, and of the others."""
    return {did: Showing(world, **options) if did in dids else Direct(world) for did, world in run.worlds.items()}


def test_it_is_the_receipt_of_this_run(two: tuple[SignedRun, SignedRun]) -> None:
    """From every authority of the spec, in the order of the logs."""
    for run in two:
        receipt = fetch_receipt(run.spec, run.clients)
        assert run.check(receipt).require().spec == run.spec
        assert [one.entry.proof.log for one in receipt.recorded] == sorted(run.worlds)


@pytest.mark.parametrize("which", [0, 1])
def test_authorities_that_disagree_are_told_apart(two: tuple[SignedRun, SignedRun], which: int) -> None:
    """One of them does not show what the group sent."""
    run, other = two
    with pytest.raises(LogInconsistent, match="different receipts") as caught:
        fetch_receipt(run.spec, showing(run, sorted(run.worlds)[which], spec=other.spec.digest))
    assert all(one.receipt().id in str(caught.value.found) for one in two)


def test_an_authority_without_a_receipt_is_named(two: tuple[SignedRun, SignedRun]) -> None:
    """Its owner can be asked."""
    run, _ = two
    did = sorted(run.worlds)[0]
    with pytest.raises(Unavailable, match="no receipt") as caught:
        fetch_receipt(run.spec, showing(run, did, changes={"receipt": None}))
    assert did in str(caught.value.found)


def test_a_receipt_that_is_not_in_the_log_is_not_taken(two: tuple[SignedRun, SignedRun]) -> None:
    """An authority that keeps it but did not log it could deny it later."""
    run, _ = two
    with pytest.raises(LogInconsistent, match="its log does not hold"):
        fetch_receipt(run.spec, showing(run, sorted(run.worlds)[1], changes={"entries": ()}))


@pytest.mark.parametrize("envelope", [b"", b"{}", b"\xff"])
def test_what_is_no_receipt_is_an_error_of_ours(two: tuple[SignedRun, SignedRun], envelope: bytes) -> None:
    """From one authority or from all of them."""
    run, _ = two
    for dids in (sorted(run.worlds), sorted(run.worlds)[:1]):
        with pytest.raises(SlsError):
            fetch_receipt(run.spec, showing(run, *dids, changes={"receipt": envelope}))


def test_a_run_that_nobody_recorded_has_none(two: tuple[SignedRun, SignedRun]) -> None:
    """It is unavailable, not wrong."""
    idle = signed_run(two[0].worlds, nonce=2, post=False)
    with pytest.raises(Unavailable):
        idle.receipt()


def test_as_many_cosignatures_as_asked_for(two: tuple[SignedRun, SignedRun]) -> None:
    """No checkpoint has any here."""
    run, _ = two
    with pytest.raises(UnknownName):
        fetch_receipt(run.spec, run.clients, witnesses=1)


def test_the_receipt_of_an_older_run_is_not_taken(two: tuple[SignedRun, SignedRun]) -> None:
    """All authorities show the requester a genuine receipt of another run of the same people."""
    run, other = two
    with pytest.raises(SlsError):
        fetch_receipt(run.spec, showing(run, *run.worlds, spec=other.spec.digest))


def test_a_signature_that_was_spelled_anew_on_the_way_spoils_nothing(two: tuple[SignedRun, SignedRun]) -> None:
    """Whoever carries the post to one authority can do so; the statement is the same, and the log says what came."""
    run = signed_run(two[0].worlds, nonce=3, post=False)
    honest = run.sign(run.statement())
    parsed = Envelope.parse(honest, Statement.payload_type)
    changed = replace(parsed, signature=other_signature(Evidence.parse(parsed.signature)).encode()).encode()
    for world, envelope in zip(run.worlds.values(), (honest, changed), strict=True):
        post_records(world.authority, run.spec.digest, run.records, envelope)
    assert run.check(fetch_receipt(run.spec, run.clients)).accepted


@dataclass
class Once(Direct):
    """An authority that is asked once."""

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        raise AssertionError("asked again")


def test_with_an_earlier_receipt_each_authority_is_asked_once(two: tuple[SignedRun, SignedRun]) -> None:
    """A warm session knows from its first cell which consistency proofs the next ones need; without one it asks."""
    run, _ = two
    once = {did: Once(world) for did, world in run.worlds.items()}
    first = fetch_receipt(run.spec, run.clients)
    again = fetch_receipt(run.spec, once, like=first)
    assert again.payload() == first.payload()
    assert run.check(again).accepted
    with pytest.raises(AssertionError, match="asked again"):
        fetch_receipt(run.spec, once)


def test_a_forged_consistency_proof_beside_the_history_is_found(two: tuple[SignedRun, SignedRun]) -> None:
    """It is as good as one that was asked for by itself: verified with the receipt."""
    run, _ = two
    first = fetch_receipt(run.spec, run.clients)
    sizes = {one.tree_size for recorded in first.recorded for one in recorded.extends}
    lie = dict.fromkeys(sizes, ("A" * 43 + "=",))
    lying = fetch_receipt(run.spec, showing(run, *run.worlds, changes={"extends": lie}))
    assert "extends" in " ".join(check.name for check in run.check(lying).failed)

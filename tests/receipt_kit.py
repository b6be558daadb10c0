"""A whole receipt without a group: two owners' authorities, real releases, the sidecar's own account of the run.

:func:`signed_run` gives a receipt that verifies; what a test wants to be different is an argument. Run as a script,
this writes the vector in ``tests/vectors/receipt``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from builders import IMAGE, NOW, World, person

from sls_jupyter.assets.sealing import SealedAsset
from sls_jupyter.authority import release, runs
from sls_jupyter.authority.client import RunHistory
from sls_jupyter.contract.grants import Grant, combined_obligations
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import sign, verify
from sls_jupyter.guest.account import Account
from sls_jupyter.guest.bundle import Result, pack, seal_result, subjects_of
from sls_jupyter.identity import verify_signature
from sls_jupyter.receipt.receipt import Receipt, make_envelope
from sls_jupyter.receipt.statement import Statement
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.safestream.receipts import fetch_receipt
from sls_jupyter.transparency.chain import Chain, encode_records

LATER = datetime.fromtimestamp(NOW + 3600, UTC)


@dataclass
class Direct:
    """What a client does, without the network (``authority.client.AuthorityClient``)."""

    world: World

    @property
    def did(self) -> str:
        return self.world.authority.did

    def history(
        self,
        spec: str,
        *,
        witnesses: int = 0,
        cell: int | None = None,
        receipt_within: int | None = None,
        extends: Collection[int] = (),
    ) -> RunHistory:
        who = self.world.analyst.did
        answer = runs.history(
            self.world.authority,
            who,
            spec,
            witnesses=witnesses,
            cell=cell,
            with_receipt=receipt_within is not None,
            extends=extends,
        )
        found = (None if one is None else one.encode() for one in (answer.records, answer.receipt))
        return RunHistory(answer.entries, *found, {one.tree_size: one.hashes for one in answer.extends})

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        from sls_jupyter.authority import ledger

        with self.world.authority.store.read() as connection:
            return ledger.consistency(connection, self.world.authority, old, new)


@dataclass
class SignedRun:
    """One run that happened, and who took part in it."""

    worlds: dict[str, World]  # by the authority's DID
    spec: StreamSpec
    account: Account
    records: bytes
    head: str
    envelope: bytes = b""
    entries: dict[str, int] = field(default_factory=dict)  # index of run.records, by the authority's DID

    @property
    def clients(self) -> dict[str, Any]:
        return {did: Direct(world) for did, world in self.worlds.items()}

    def statement(self) -> Statement:
        return self.account.statement(IMAGE, self.records, self.head, now=NOW + 20)

    def sign(self, statement: Statement, **report: Any) -> bytes:
        """What an honest processor signs for this group; ``report`` has fields that differ."""
        world = next(iter(self.worlds.values()))
        return make_envelope(statement, lambda data: world.evidence(data, self.spec, **report))

    def post(self, envelope: bytes) -> None:
        for did, world in self.worlds.items():
            self.entries[did] = runs.post_records(world.authority, self.spec.digest, self.records, envelope)

    def receipt(self) -> Receipt:
        return fetch_receipt(self.spec, self.clients)

    def check(self, data: bytes | Receipt, **options: Any) -> ReceiptVerdict:
        """Verify as an auditor who accepts simulation and pins nobody."""
        defaults: dict[str, Any] = {"now": LATER, "images": {IMAGE.digest}, "accept_simulated": True}
        return verify_receipt(data if isinstance(data, bytes) else data.payload(), **(defaults | options))


def worlds_at(folder: Path, names: Sequence[str] = ("hospital", "bank")) -> dict[str, World]:
    found = [World(folder / name, authority_name=f"authority of {name}", owner=person(name)) for name in names]
    for world in found:
        world.processor = found[0].processor  # one group, so one guest
    return {world.authority.did: world for world in found}


def signed_run(
    worlds: dict[str, World],
    *,
    nonce: int = 0,
    status: str = "ok",
    finish: bool = True,
    release_keys: bool = True,
    post: bool = True,
    change: Callable[[Statement], Statement] = lambda statement: statement,
    **spec: Any,
) -> SignedRun:
    """Seal, grant, release, run and sign; the clock moves on by twenty seconds.

    Args:
        finish: the output lives to say its last word.
        change: what the group states instead.
        spec: fields that the spec has otherwise.
    """
    run = _granted(worlds, nonce, spec)
    if release_keys:
        for item in run.spec.inputs:
            world = worlds[item.authority]
            sealed = next(one for one in _sealed[world.folder] if one.digest == item.asset)
            released = release.release(world.authority, world.attempt(sealed, run.spec).request)
            run.account.release(item.alias, released.logged.model_dump(mode="json"))
    if finish:
        finish_run(run, status)
    else:
        run.account.stopped()
    for world in worlds.values():
        world.clock.seconds = NOW + 20
    if post:
        run.envelope = run.sign(change(run.statement()))
        run.post(run.envelope)
    return run


_sealed: dict[Path, list[SealedAsset]] = {}


def _granted(worlds: dict[str, World], nonce: int, changes: dict[str, Any]) -> SignedRun:
    inputs, manifests = [], {}
    for number, world in enumerate(worlds.values()):
        world.clock.seconds = NOW
        sealed = world.publish(f"asset{number}")
        _sealed.setdefault(world.folder, []).append(sealed)
        inputs.append(world.input(sealed, f"asset{number}"))
        manifests[f"asset{number}"] = sealed.envelope
    first = next(iter(worlds.values()))
    spec = first.spec(*inputs, nonce=nonce, **changes)
    grants = {}
    for world in worlds.values():
        for envelope in world.submit(spec).grants:
            grants[verify(envelope, Grant, verify_signature, did=None).asset] = envelope
    told = [
        {"alias": item.alias, "manifest": manifests[item.alias].decode(), "grant": grants[item.asset].decode()}
        for item in spec.inputs
    ]
    chain = Chain(spec.digest)
    records = [chain.append({"event": "contract", "spec": spec.digest}), chain.append({"event": "running"})]
    account = Account(spec, sign(spec, first.analyst), told, now=NOW + 1)
    return SignedRun(worlds, spec, account, encode_records(records), chain.head)


def finish_run(run: SignedRun, status: str = "ok") -> None:
    """The output's last word about a run that returned one small table."""
    world = next(iter(run.worlds.values()))
    grants = [
        verify(envelope, Grant, verify_signature, did=None)
        for one in run.worlds.values()
        for envelope in one.submit(run.spec).grants
    ]
    rules = combined_obligations(run.spec, tuple(grants))
    verdict = {"rules": rules.model_dump(mode="json"), "released": {"table": 1}, "withheld": {}, "bytes": 64}
    table = ({"name": "risk", "shape": "frame", "rows": 1}, pa.table({"secret": [b"CANARY-7f3a"]}))
    packed = pack(Result((), (table,) if status == "ok" else (), verdict))
    me = world.analyst
    sealed = {me.did: seal_result(packed, run.spec.digest, me.did, me.hpke.public_bytes)}
    run.account.gate(status, None, verdict)
    run.account.finish(status, subjects_of(packed, sealed))


def main(folder: Path, storage: Path) -> None:
    """Write the vector of ``docs/specs/receipt.md``: a receipt, and what an auditor of it knows from elsewhere.

    Args:
        storage: an empty folder for the assets; its name will stand in their manifests.
    """
    run = signed_run(worlds_at(storage))
    receipt = run.receipt()
    assert run.check(receipt).accepted
    known = {
        "accept_simulated": True,
        "image": IMAGE.digest,
        "logs": sorted(run.worlds),
        "owners": sorted(world.owner.did for world in run.worlds.values()),
        "receipt": receipt.id,
        "verified_at": int(LATER.timestamp()),
    }
    receipt.save(folder / "receipt.json")
    (folder / "records.jsonl").write_bytes(run.records)
    (folder / "auditor.json").write_text(json.dumps(known, indent=2) + "\n")
    from session_receipt_kit import signed_session

    session = signed_session(worlds_at(storage / "session"))
    for number in range(1, len(session.cells) + 1):
        session.receipt(number).save(folder / f"session-{number}.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

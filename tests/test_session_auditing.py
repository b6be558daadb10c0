"""What an audit concludes from logs, records and a receipt that do not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import NOW, World
from receipt_forge import log
from receipt_kit import signed_run, worlds_at

from sls_jupyter.authority import ledger
from sls_jupyter.documents import digest
from sls_jupyter.errors import LogInconsistent
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.session.auditing import MAX_TREES, AuditLine, _is_unrecorded, _records, _require_extensions, _Told
from sls_jupyter.transparency.chain import Chain, encode_records
from sls_jupyter.transparency.checkpoint import verify_checkpoint
from sls_jupyter.transparency.entries import fresh_salt, make_entry
from sls_jupyter.transparency.proofs import proof_checkpoint

SPEC = "sha256:" + "1" * 64
CHAIN = Chain(SPEC)
RECORDS = encode_records([CHAIN.append({"event": "contract"})])
OTHERS = encode_records([Chain(SPEC).append({"event": "invented"})])


def line(kind: Any, **facts: Any) -> AuditLine:
    entry = make_entry(kind, at=0, facts=facts, meaning={}, salt=fresh_salt())
    return AuditLine("hospital", 0, entry, {})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["key.released"], True),
        (["key.released", 0], True),  # a second group, which got no keys, tells of itself
        (["key.released", "key.released", 1], True),
        (["key.released", 1], False),
        (["key.released", 0, 1], False),
        (["key.refused"], False),
    ],
)
def test_a_release_is_recorded_by_a_group_that_had_the_keys(kinds: list[Any], expected: bool) -> None:
    """An empty receipt must not take away the warning that keys left and nobody knows what for."""
    lines = [line("run.records", keys=one) if isinstance(one, int) else line(one) for one in kinds]
    assert _is_unrecorded(lines) is expected


def test_entries_of_another_log_than_the_one_followed_are_refused(tmp_path: Path) -> None:
    """An authority could prove a run's entries in one log, and let everybody follow another."""
    run = signed_run(worlds_at(tmp_path))
    did, client = next(iter(run.clients.items()))
    history, world = client.history(run.spec.digest), run.worlds[did]
    honest = proof_checkpoint(history.entries[-1].proof)
    _require_extensions(client, history, honest)
    forked = replace(honest, root_hash=bytes(32))
    with pytest.raises(LogInconsistent):
        _require_extensions(client, history, forked)
    log(world, "denial.given", "x", {}, {}, NOW + 30)
    longer = verify_checkpoint(note(world), honest.origin, public_key_from_did(did))
    assert longer.tree_size == honest.tree_size + 1
    _require_extensions(client, history, longer)
    with pytest.raises(LogInconsistent):
        _require_extensions(client, history, replace(longer, root_hash=bytes(32)))


def test_a_run_in_many_trees_is_refused_before_it_is_asked_about(tmp_path: Path) -> None:
    """Each tree costs a call; an authority that has thousands for one run would keep an audit for days."""
    run = signed_run(worlds_at(tmp_path))
    did, client = next(iter(run.clients.items()))
    history, world = client.history(run.spec.digest), run.worlds[did]
    one = history.entries[-1]
    many = []
    for number in range(MAX_TREES + 1):
        log(world, "denial.given", f"x{number}", {}, {}, NOW + 30)
        proof = one.proof.model_copy(update={"checkpoint": note(world).decode()})
        many.append(one.model_copy(update={"proof": proof}))
    newest = proof_checkpoint(many[-1].proof)
    with pytest.raises(LogInconsistent, match="too many trees"):
        _require_extensions(client, replace(history, entries=tuple(many)), newest)
    _require_extensions(client, replace(history, entries=tuple(many[-2:])), newest)


def note(world: World) -> bytes:
    with world.authority.store.read() as connection:
        return ledger.checkpoint(connection, world.authority)


class Verdict:
    subjects = (("records", digest(RECORDS)),)


def test_records_are_those_that_the_receipt_names() -> None:
    """An authority can write a chain of its own; the hardware signed for one."""
    lying, honest = (_Told(name, (), data, 1) for name, data in (("bank", OTHERS), ("hospital", RECORDS)))
    doubts: list[str] = []
    verdict: Any = Verdict()
    assert [one["event"] for one in _records(SPEC, [lying, honest], verdict, doubts)] == ["contract"]
    assert doubts == ["bank has other records than the receipt names; they are not shown."]


def test_records_without_a_receipt_are_somebodys_word() -> None:
    """They are shown, and not as something that the hardware vouches for."""
    doubts: list[str] = []
    assert len(_records(SPEC, [_Told("bank", (), OTHERS, 1)], None, doubts)) == 1
    assert "no receipt binds them" in doubts[0]

"""Checks 10 to 14: what the authorities' logs hold about the run, and who vouches for the logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.spec import AssetInput
from sls_jupyter.documents import b64decode, digest
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.receipt.findings import Findings, NotMade, line, need, refuse
from sls_jupyter.receipt.receipt import Recorded
from sls_jupyter.receipt.statement import InputRecord
from sls_jupyter.receipt.verdict import fail
from sls_jupyter.transparency.checkpoint import log_origin
from sls_jupyter.transparency.cosignature import WitnessPolicy, key_of_witness, verify_cosignature
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.merkle import verify_consistency
from sls_jupyter.transparency.note import SignedNote
from sls_jupyter.transparency.proofs import DisclosedEntry, LogProof, proof_checkpoint, verify_disclosed

NO_ENTRIES = "not checked, because a log entry is not good"


def check_releases(found: Findings) -> Iterable[Check]:
    """10. Each input's keys were released to this kind of TEE for this spec, and its authority logged it."""

    def check(item: AssetInput, one: InputRecord) -> str:
        spec, stated = need(found.spec, "spec"), need(found.stated, "receipt")
        granted = need(found.grants.get(item.alias), "grant").columns
        if one.released is None:
            refuse("No key was released.", None, "key.released in the authority's log")
        entry = _about(one.released, item.authority, "key.released", {"tee": stated.evidence.kind})
        meaning = {"spec": found.spec_id, "asset": item.asset, "requester": spec.requester}
        _require_meaning(one.released, {**meaning, "columns": list(granted or ())})
        found.releases[item.alias] = entry
        return f"entry {one.released.proof.index} of {one.released.proof.origin}"

    return found.each_input("released", "key.released of this spec and asset, in its authority's log", check)


def check_recorded(found: Findings) -> Iterable[Check]:
    """11. Each authority took exactly this receipt, and logged its digest."""

    def check(recorded: Recorded, log: str) -> str:
        spec, stated = need(found.spec, "spec"), need(found.stated, "receipt")
        chain = stated.statement.predicate.records
        facts: dict[str, str | int] = {"record_root": chain.head, "records": chain.count, "tee": stated.evidence.kind}
        facts["keys"] = len(_release_proofs(found, log))
        order = found.ordered()
        facts |= {} if order is None else {"cell": order.number}
        entry = _about(recorded.entry, log, "run.records", {"receipt": found.receipt_id, **facts})
        of_cell = {} if order is None else {"order": order.digest}
        _require_meaning(recorded.entry, {"spec": found.spec_id, "requester": spec.requester, **of_cell})
        if envelope not in envelopes:
            refuse("No log has the receipt with this signature.", envelope, " or ".join(sorted(envelopes)))
        found.records[log] = entry
        return f"entry {recorded.entry.proof.index} of {recorded.entry.proof.origin}"

    expected = "run.records of this receipt, in the authority's log"
    if found.receipt is not None and found.spec is not None and len(found.receipt.recorded) != len(found.logs()):
        told = f"{len(found.receipt.recorded)} proofs"
        return [fail("recorded", told, f"{len(found.logs())}: one for each authority")]
    try:
        pairs = _pairs(found)
        envelope = digest(need(found.receipt, "receipt").statement.encode())
        envelopes = {str((recorded.entry.meaning or {}).get("envelope")) for recorded, _ in pairs}
    except NotMade as error:
        return [fail("recorded", error, expected)]
    return [line(f"recorded {number}", expected, partial(check, *pair)) for number, pair in enumerate(pairs, start=1)]


def _pairs(found: Findings) -> list[tuple[Recorded, str]]:
    """What each log recorded, beside the DID of the log that it has to be."""
    recorded, logs = need(found.receipt, "receipt").recorded, found.logs()
    if len(recorded) != len(logs):
        raise NotMade("number of the logs' proofs")
    return list(zip(recorded, logs, strict=True))


def check_extends(found: Findings) -> Iterable[Check]:
    """12. Each log's last tree begins with the trees that its earlier proofs are about: it is one log."""

    def check(recorded: Recorded, log: str) -> str:
        last = proof_checkpoint(recorded.entry.proof)
        earlier = [proof_checkpoint(proof) for proof in _release_proofs(found, log)]
        needed = sorted({one.tree_size for one in earlier} - {last.tree_size})
        sizes = [one.tree_size for one in recorded.extends]
        if sizes != needed:
            refuse("The consistency proofs are not those needed.", _sizes(sizes), _sizes(needed))
        hashes = {one.tree_size: tuple(map(b64decode, one.hashes)) for one in recorded.extends}
        for old in earlier:  # two of one size may be two trees
            proof = hashes.get(old.tree_size, ())
            verify_consistency(old.tree_size, old.root_hash, last.tree_size, last.root_hash, proof)
        return f"size {last.tree_size} extends {_sizes(needed)}"

    expected = "its last tree begins with its earlier ones"
    if not _all_recorded(found):
        return [fail("extends", NO_ENTRIES, expected)]
    return [
        line(f"extends {number}", expected, partial(check, *pair)) for number, pair in enumerate(_pairs(found), start=1)
    ]


def _sizes(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sizes)) or "itself"


def _all_recorded(found: Findings) -> bool:
    return found.receipt is not None and found.spec is not None and set(found.logs()) == set(found.records)


def _release_proofs(found: Findings, log: str) -> list[LogProof]:
    pairs = found.inputs()
    return [one.released.proof for item, one in pairs if item.authority == log and one.released is not None]


def check_logs(found: Findings) -> Iterable[Check]:
    """13. The logs are those expected."""
    if not _all_recorded(found):
        return [fail("logs", NO_ENTRIES, "the logs expected")]
    spec = need(found.spec, "spec")
    about = {log: ", ".join(item.alias for item in spec.inputs_of(log)) for log in found.logs()}
    return [found.pinned("log", about, found.wanted.logs)]


def check_witnesses(found: Findings) -> Iterable[Check]:
    """14. Every cosignature in the receipt verifies, and there are enough of them if some are demanded."""
    policy = found.wanted.witnesses

    def check() -> str:
        last = [recorded.entry.proof for recorded, _ in _pairs(found)]
        earlier = [proof for log in found.logs() for proof in _release_proofs(found, log)]
        names = {name for proof in (*last, *earlier) for name in _cosigners(found, proof)}
        for proof in last if policy else ():
            _require_witnesses(proof, need(policy, "policy"), int(found.wanted.now.timestamp()))
        return ", ".join(sorted(names)) or "no cosignature"

    demanded = f"{policy.needed} of {len(policy.witnesses)} at each log's last checkpoint" if policy else ""
    return [line("witnesses", demanded or "every cosignature verifies; none is demanded", check)]


def _require_witnesses(proof: LogProof, policy: WitnessPolicy, now: int) -> None:
    """As many as demanded, not counting the log itself: two authorities may be witnesses of each other."""
    others = {name: key for name, key in policy.witnesses.items() if key != public_key_from_did(proof.log)}
    if len(others) < policy.needed:
        refuse("There are not so many witnesses beside the log itself.", len(others), policy.needed)
    WitnessPolicy(policy.needed, others).require(proof.checkpoint.encode(), now=now)


def _cosigners(found: Findings, proof: LogProof) -> list[str]:
    """Names of the witnesses on a checkpoint, each verified: bytes that nobody looks at have no place here."""
    note = SignedNote.parse(proof.checkpoint.encode())
    names = [one.name for one in note.signatures[1:]]
    if note.signatures[0].name != proof.origin or proof.origin in names or len(set(names)) != len(names):
        refuse("A checkpoint has signatures too many.", ", ".join(names), "the log's, then one of each witness")
    pinned = found.wanted.witnesses.witnesses if found.wanted.witnesses else {}
    for name in names:
        key = pinned[name] if name in pinned else key_of_witness(name)
        if key == public_key_from_did(proof.log):
            refuse("A log cannot be its own witness.", name, "a key of somebody else")
        verify_cosignature(note, name, key)
    return names


def _about(disclosed: DisclosedEntry, log: str, kind: str, facts: Mapping[str, Any]) -> Entry:
    """A proven entry of one log, of one kind, with at least these facts."""
    entry = verify_disclosed(disclosed, expected_log=log)
    if disclosed.proof.origin != log_origin(log):
        refuse("The log goes by another name.", disclosed.proof.origin, log_origin(log))
    if entry.kind != kind:
        refuse("The log's entry is about something else.", entry.kind, kind)
    for name, value in facts.items():
        if entry.facts.get(name) != value:
            refuse(f"The log's entry has another {name}.", entry.facts.get(name), value)
    return entry


def _require_meaning(disclosed: DisclosedEntry, expected: Mapping[str, Any]) -> None:
    """The entry's commitment was opened by :func:`_about`; its meaning is this."""
    if disclosed.meaning is None or disclosed.salt is None:
        refuse("What the log's entry meant was forgotten.", None, "the entry's salt and meaning")
    for name, value in expected.items():
        if disclosed.meaning.get(name) != value:
            refuse(f"The log's entry is about another {name}.", disclosed.meaning.get(name), value)

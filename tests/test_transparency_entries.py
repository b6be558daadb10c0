"""Entries hold nothing personal, commit to what they meant, and are proved in one document."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.documents import b64encode, canonical_json, digest, parse_json
from sls_jupyter.errors import BadInput, DigestMismatch, LogInconsistent, MalformedDocument, SignatureInvalid, SlsError
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.cosignature import WitnessPolicy, verify_witnessed
from sls_jupyter.transparency.entries import FACTS, Entry, commit, fresh_salt, make_entry, open_commitment
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.note import parse_verifier_key
from sls_jupyter.transparency.proofs import LogProof, proof_checkpoint, verify_log_proof

SALT = bytes(range(32))
MEANING = {"spec": "sha256:" + "a" * 64, "requester": "did:key:z6Mk", "purpose": "Größe"}
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x03" * 32))
ORIGIN = "hospital.example/log"


def entry(**facts):
    return make_entry(
        "key.released", at=1_700_000_000, facts=facts or {"tee": "simulated-snp", "keys": 2}, meaning=MEANING, salt=SALT
    )


# --- entries --------------------------------------------------------------------------------------


def test_entry_bytes_are_pinned():
    """Entries of yesterday would hash to something else tomorrow."""
    assert entry().payload() == (
        b'{"at":1700000000,"commitment":"' + commit(MEANING, SALT).encode() + b'",'
        b'"facts":{"keys":2,"tee":"simulated-snp"},"kind":"key.released"}'
    )
    label = b"sls-jupyter/entry/v1"
    parts = (label, SALT, canonical_json(MEANING))
    assert commit(MEANING, SALT) == digest(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    assert Entry.parse(entry().payload()) == entry()


def test_meaning_is_shown_with_its_salt_only():
    """An entry could be said to mean something else, or its meaning guessed without the salt."""
    open_commitment(entry(), MEANING, SALT)
    for meaning, salt in (({**MEANING, "purpose": "other"}, SALT), (MEANING, bytes(32)), ({}, SALT)):
        with pytest.raises(DigestMismatch):
            open_commitment(entry(), meaning, salt)
    with pytest.raises(BadInput):
        commit(MEANING, b"")
    assert len(fresh_salt()) == 32
    assert fresh_salt() != fresh_salt()


@pytest.mark.parametrize(
    "facts",
    [
        {"requester": "did"},
        {"tee": "Ada Lovelace"},
        {"tee": "ada@hospital.example"},
        {"tee": "did:key:z6MkwYdG"},
        {"tee": "x" * 41},
        {"tee": "snp\n"},
        {"tee": 5},
        {"keys": "2"},
        {"keys": True},
        {"keys": -1},
        {"keys": 1.5},
        {"measurement": "patient"},
        {"columns": "age,sex"},
    ],
    ids=str,
)
def test_personal_or_unknown_facts_are_refused(facts):
    """A name, a DID or free text could get into a log that never forgets."""
    with pytest.raises(MalformedDocument):
        entry(**facts)


def test_every_kind_has_its_facts():
    """An event of the product could not be logged."""
    for kind, names in FACTS.items():
        made = make_entry(kind, at=0, facts={}, meaning={}, salt=SALT)
        assert Entry.parse(made.payload()).kind == kind
        assert all(name.isidentifier() for name in names)
    with pytest.raises(MalformedDocument):
        make_entry("key.stolen", at=0, facts={}, meaning={}, salt=SALT)


def test_reason_codes_are_facts_and_sentences_are_not():
    """An auditor could not see why a request was refused, or would see whom it concerned."""
    made = make_entry("decision.made", at=0, facts={"reasons": "too-few-rows,tee"}, meaning={}, salt=SALT)
    assert made.facts["reasons"] == "too-few-rows,tee"
    with pytest.raises(MalformedDocument):
        make_entry("decision.made", at=0, facts={"reasons": "Ada Lovelace may not"}, meaning={}, salt=SALT)


def test_facts_cannot_be_changed_afterwards():
    """An entry would no longer have the bytes that were logged."""
    with pytest.raises(TypeError):
        entry().facts["keys"] = 3


# --- proofs ---------------------------------------------------------------------------------------


def proof_of(index=5, count=9, key=KEY, **changes):
    """A valid proof in a log of ``count`` entries, or one with some of its parts exchanged."""
    payloads = [entry(keys=number).payload() for number in range(count)]
    store = tree.MemoryTileStore()
    root = tree.append(store, 0, [leaf_hash(payload) for payload in payloads])
    parts = {
        "origin": ORIGIN,
        "log": key.did,
        "checkpoint": sign_checkpoint(Checkpoint(ORIGIN, count, root), key),
        "index": index,
        "entry": payloads[index],
        "hashes": tree.inclusion_proof(store, count, index),
    }
    return LogProof.make(**{**parts, **changes})


def test_proof_gives_the_entry():
    """A receipt's log proof would not verify offline."""
    proof = LogProof.parse(proof_of().payload())
    assert verify_log_proof(proof, expected_log=KEY.did).facts == {"keys": 5}
    assert verify_log_proof(proof, expected_log=None).facts == {"keys": 5}
    assert proof_checkpoint(proof).tree_size == 9


def test_proof_of_another_log_is_refused():
    """Somebody's own log could stand in for the owner's."""
    stranger = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x04" * 32))
    with pytest.raises(LogInconsistent, match="another log"):
        verify_log_proof(proof_of(key=stranger), expected_log=KEY.did)
    with pytest.raises(SignatureInvalid):
        verify_log_proof(proof_of(log=stranger.did), expected_log=None)
    with pytest.raises(SignatureInvalid):
        verify_log_proof(proof_of(origin="bank.example/log"), expected_log=KEY.did)


def test_swapped_parts_of_two_proofs_are_refused():
    """An entry could be shown with another one's proof, place or checkpoint."""
    proof, other, older = proof_of(index=5), proof_of(index=6), proof_of(count=7)
    swaps = (
        {"entry": other.entry},
        {"index": other.index},
        {"hashes": other.hashes},
        {"checkpoint": older.checkpoint},
        {"entry": b64encode(b"{}")},
    )
    for swap in swaps:
        with pytest.raises(SlsError):
            verify_log_proof(proof.model_copy(update=swap), expected_log=KEY.did)
    with pytest.raises(SlsError):
        verify_log_proof(proof_of(checkpoint=b"\xff"), expected_log=KEY.did)


def test_any_changed_byte_of_a_proof_is_refused():
    """A proof could be changed without notice."""
    data = proof_of(index=2, count=3).payload()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(SlsError):
            verify_log_proof(LogProof.parse(changed), expected_log=KEY.did)


def test_proof_with_unknown_or_wrong_fields_is_refused():
    """A stranger's JSON would end in a foreign traceback."""
    value = parse_json(proof_of().payload())
    wrong = ({"index": -1}, {"index": "5"}, {"hashes": ["?"]}, {"log": "did:key:z0"}, {"extra": 1}, {"entry": None})
    for change in (*wrong, {"hashes": [b64encode(bytes(32))] * 65}):
        with pytest.raises(MalformedDocument):
            LogProof.from_json({**value, **change})


# --- the vectors of the specification -------------------------------------------------------------

VECTORS = json.loads((Path(__file__).parent / "vectors/log/entries.json").read_text())


def _lp(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


@pytest.mark.parametrize("case", VECTORS["entries"], ids=lambda case: json.loads(case["entry"])["kind"])
def test_vectors_follow_from_the_specification(case):
    """Somebody who implements entries from the specification would compute something else than we do."""
    meaning = json.dumps(case["meaning"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert meaning == case["meaning_bytes"]
    committed = _lp(b"sls-jupyter/entry/v1", bytes.fromhex(case["salt"]), meaning.encode())
    assert case["commitment"] == "sha256:" + hashlib.sha256(committed).hexdigest()
    value = json.loads(case["entry"])
    assert json.dumps(value, sort_keys=True, separators=(",", ":")) == case["entry"]
    assert value["commitment"] == case["commitment"]
    assert hashlib.sha256(b"\0" + case["entry"].encode()).hexdigest() == case["leaf_hash"]


@pytest.mark.parametrize("case", VECTORS["entries"], ids=lambda case: json.loads(case["entry"])["kind"])
def test_vectors_are_what_we_write(case):
    """Entries of yesterday would not be readable tomorrow."""
    value = json.loads(case["entry"])
    parsed = Entry.parse(case["entry"].encode())
    salt = bytes.fromhex(case["salt"])
    made = make_entry(value["kind"], at=value["at"], facts=value["facts"], meaning=case["meaning"], salt=salt)
    assert made == parsed
    assert made.payload() == case["entry"].encode()
    open_commitment(parsed, case["meaning"], salt)


def test_vector_log_as_a_whole():
    """The files, proofs and signatures of the example in the specification would not be ours."""
    entries = [case["entry"].encode() for case in VECTORS["entries"]]
    leaves = [leaf_hash(entry) for entry in entries]
    store = tree.MemoryTileStore()
    root = tree.append(store, 0, leaves)
    assert root.hex() == VECTORS["root"]
    one = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert hashlib.sha256(b"\1" + one + leaves[2]).digest() == root
    assert b"".join(leaves).hex() == VECTORS["tile"]
    assert b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries).hex() == VECTORS["bundle"]
    assert [value.hex() for value in tree.inclusion_proof(store, 3, 1)] == VECTORS["inclusion_of_1"]
    assert [value.hex() for value in tree.consistency_proof(store, 1, 3)] == VECTORS["consistency_1_to_3"]
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
    origin, public_key = parse_verifier_key(VECTORS["log_key"])
    assert (origin, public_key) == (f"sls-jupyter.log/{key.did}", key.public_bytes)
    assert sign_checkpoint(Checkpoint(origin, 3, root), key).decode() == VECTORS["checkpoint"]
    witnesses = WitnessPolicy.of(1, [VECTORS["witness_key"]])
    _, (good,) = verify_witnessed(VECTORS["cosigned"].encode(), origin, public_key, witnesses)
    assert good.at == VECTORS["cosigned_at"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_vectors_that_are_no_entries(case):
    """Something personal, or a second spelling of an entry, would be taken into a log."""
    with pytest.raises(MalformedDocument):
        Entry.parse(case["entry"].encode())

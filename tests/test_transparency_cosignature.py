"""Cosignatures: those of public witnesses verify here, and a policy counts only what it should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sls_jupyter.errors import BadInput, MalformedDocument, SignatureInvalid
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.cosignature import (
    Cosignature,
    WitnessPolicy,
    add_signatures,
    cosign,
    cosign_mldsa,
    parse_witness_key,
    verify_cosignature,
    verify_witnessed,
    witness_key,
    witness_name,
)
from sls_jupyter.transparency.mldsa import message as mldsa_message
from sls_jupyter.transparency.note import NoteSignature, SignedNote, parse_verifier_key, verifier_key

PUBLIC = json.loads((Path(__file__).parent / "vectors/log/cosignatures.json").read_text())
NOW = 1_790_000_000


def key_of(number):
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


LOG, ORIGIN = key_of(1), "hospital.example/log"
KEYS = {f"w{n}.example": key_of(10 + n) for n in range(3)}
CHECKPOINT = Checkpoint(ORIGIN, 17, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, LOG)
TEXT = CHECKPOINT.encode().decode()


def policy(needed=2):
    return WitnessPolicy(needed, {name: key.public_bytes for name, key in KEYS.items()})


def cosigned(*names, at=NOW, text=TEXT):
    return add_signatures(NOTE, [cosign(text, name, KEYS[name], at=at) for name in names])


def why(note, needed=2, **options):
    with pytest.raises(SignatureInvalid, match="Too few") as error:
        policy(needed).require(note, **options)
    return error.value.detail["witnesses"]


# --- what others sign -----------------------------------------------------------------------------


def test_checkpoint_that_public_witnesses_cosigned():
    """Cosignatures of the public witness network would be refused."""
    origin, key = parse_verifier_key(PUBLIC["log"])
    public = WitnessPolicy.of(4, [*PUBLIC["witnesses"], *PUBLIC["others"]])
    checkpoint, good = verify_witnessed(PUBLIC["note"].encode(), origin, key, public, now=PUBLIC["at"])
    assert checkpoint.tree_size == PUBLIC["tree_size"]
    assert {found.at for found in good} == {PUBLIC["at"]}
    assert len(good) == 4
    with pytest.raises(SignatureInvalid, match="Too few"):
        WitnessPolicy.of(5, [*PUBLIC["witnesses"], *PUBLIC["others"]]).require(PUBLIC["note"].encode())


def test_any_change_of_a_cosigned_checkpoint_is_noticed():
    """A witness could be made to vouch for another tree, or for another time."""
    note = SignedNote.parse(PUBLIC["note"].encode())
    name, key = parse_witness_key(PUBLIC["witnesses"][0])
    (line,) = [line for line in note.signatures if line.name == name]
    for at in (0, 7, 8, 40, 71):
        changed = bytearray(line.signature)
        changed[at] ^= 1
        with pytest.raises(SignatureInvalid):
            verify_cosignature(replace(note, signatures=(replace(line, signature=bytes(changed)),)), name, key)
    for signature in (line.signature[:-1], line.signature + b"\0", line.signature[8:], b"\x80" + line.signature[1:]):
        with pytest.raises(SignatureInvalid, match="form"):
            verify_cosignature(replace(note, signatures=(replace(line, signature=signature),)), name, key)
    with pytest.raises(SignatureInvalid):
        verify_cosignature(replace(note, text=note.text.replace("1432", "1433")), name, key)


@pytest.mark.parametrize("case", PUBLIC["lines"], ids=lambda case: str(case["at"]))
def test_times_of_the_specification(case):
    """The time of somebody else's cosignature would be read wrongly."""
    assert int.from_bytes(NoteSignature.parse(case["line"]).signature[:8], "big") == case["at"]


@pytest.mark.parametrize("key", [*PUBLIC["witnesses"], *PUBLIC["others"]])
def test_public_witness_keys_round_trip(key):
    """The key of a public witness could not be pinned, or would be taken for a log's."""
    assert witness_key(*parse_witness_key(key)) == key
    with pytest.raises(MalformedDocument):
        parse_verifier_key(key)
    with pytest.raises(MalformedDocument):
        parse_witness_key(verifier_key(*parse_witness_key(key)))


def test_message_is_the_one_of_the_specification():
    """Other people's clients would refuse our cosignatures."""
    line = cosign(TEXT, "w0.example", KEYS["w0.example"], at=1679315147)
    assert line.signature[:8] == (1679315147).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    Ed25519PublicKey.from_public_bytes(KEYS["w0.example"].public_bytes).verify(line.signature[8:], message)


def test_only_checkpoints_are_cosigned():
    """A witness's key could be used to sign any text."""
    with pytest.raises(MalformedDocument):
        cosign("anything\n", "w0.example", LOG, at=NOW)
    for at in (-1, 2**63):
        with pytest.raises(BadInput):
            cosign(TEXT, "w0.example", LOG, at=at)


# --- counting -------------------------------------------------------------------------------------


def test_policy_is_met_by_enough():
    """An honest, witnessed checkpoint would be refused, or the witnesses not be told."""
    note = cosigned("w0.example", "w2.example")
    checkpoint, good = verify_witnessed(note, ORIGIN, LOG.public_bytes, policy(), now=NOW)
    assert checkpoint == CHECKPOINT
    assert good == (Cosignature("w0.example", NOW), Cosignature("w2.example", NOW))


def test_policy_says_of_each_witness_why_it_does_not_count():
    """A reader could not tell a witness that is missing from one that signed something else."""
    elsewhere = replace(CHECKPOINT, tree_size=18).encode().decode()
    forged = cosign(elsewhere, "w1.example", KEYS["w1.example"], at=NOW)
    reasons = why(add_signatures(cosigned("w0.example"), [forged]))
    assert reasons == {"w1.example": "A signature does not verify.", "w2.example": "A witness has not cosigned."}


def test_one_witness_counts_once():
    """A log could reach its quorum with one friendly witness that signs many times."""
    lines = [cosign(TEXT, "w0.example", KEYS["w0.example"], at=NOW + n) for n in range(3)]
    note = add_signatures(NOTE, lines)
    assert set(why(note)) == {"w1.example", "w2.example"}
    assert policy(1).require(note) == (Cosignature("w0.example", NOW + 2),)


def test_a_key_under_another_name_does_not_count():
    """The message does not hold the name, so a friend's signature could be shown under a second name."""
    lines = [cosign(TEXT, name, KEYS["w0.example"], at=NOW) for name in KEYS]
    assert set(why(add_signatures(NOTE, lines))) == {"w1.example", "w2.example"}


def test_cosignatures_from_the_future_do_not_count():
    """A log could stock cosignatures for later, but an old one stays good for ever."""
    note = cosigned("w0.example", "w1.example", at=NOW + 1000)
    assert set(why(note, now=NOW).values()) == {
        "Its cosignature is from the future.",
        "A witness has not cosigned.",
    }
    assert len(policy().require(note)) == len(policy().require(note, now=NOW + 10**9)) == 2


def test_the_logs_own_signature_is_still_needed():
    """Witnesses could make up a log's checkpoint among themselves."""
    note = add_signatures(sign_checkpoint(CHECKPOINT, key_of(9)), [cosign(TEXT, n, KEYS[n], at=NOW) for n in KEYS])
    with pytest.raises(SignatureInvalid, match="expected"):
        verify_witnessed(note, ORIGIN, LOG.public_bytes, policy())


def test_policies_that_protect_nobody_are_refused():
    """A policy without teeth would look like one."""
    names = {name: key.public_bytes for name, key in KEYS.items()}
    doubled = {**names, "again.example": KEYS["w0.example"].public_bytes}
    for needed, witnesses in ((0, names), (4, names), (1, {}), (2, doubled), (1, {"w": b"short"})):
        with pytest.raises(BadInput):
            WitnessPolicy(needed, witnesses)
    key = witness_key("w0.example", KEYS["w0.example"].public_bytes)
    with pytest.raises(BadInput, match="twice"):
        WitnessPolicy.of(1, [key, key])
    with pytest.raises(BadInput, match="own witness"):
        verify_witnessed(NOTE, ORIGIN, LOG.public_bytes, WitnessPolicy(1, {"log": LOG.public_bytes}))
    assert witness_name(LOG.did) == f"sls-jupyter.witness/{LOG.did}"


# --- ML-DSA-44 ------------------------------------------------------------------------------------

POST_QUANTUM = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
POST_QUANTUM_KEY = witness_key("pq.example", POST_QUANTUM.public_key().public_bytes_raw())


def test_a_witness_of_ml_dsa_counts_beside_the_others():
    """A log whose witnesses move to the newer signature stays as believable as it was."""
    policy = WitnessPolicy.of(2, [POST_QUANTUM_KEY, witness_key("w0.example", KEYS["w0.example"].public_bytes)])
    note = add_signatures(cosigned("w0.example"), [cosign_mldsa(TEXT, "pq.example", POST_QUANTUM, at=NOW)])
    assert {one.witness for one in policy.require(note, now=NOW)} == {"pq.example", "w0.example"}
    assert SignedNote.parse(note).encode() == note


def test_what_an_ml_dsa_witness_signs_is_the_structure_of_the_specification():
    """Another program's verifier reads the same bytes: label, name, time, origin, from 0 to the size, root."""
    signed = (
        b"subtree/v1\n\0" + b"\x0apq.example" + NOW.to_bytes(8, "big") + b"\x14hospital.example/log"
        + bytes(8) + (17).to_bytes(8, "big") + bytes(range(32))
    )  # fmt: skip
    line = cosign_mldsa(TEXT, "pq.example", POST_QUANTUM, at=NOW)
    POST_QUANTUM.public_key().verify(line.signature[8:], signed)
    assert parse_witness_key(POST_QUANTUM_KEY) == ("pq.example", POST_QUANTUM.public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "change",
    [
        lambda line: replace(line, signature=(NOW + 1).to_bytes(8, "big") + line.signature[8:]),
        lambda line: replace(line, signature=line.signature[:-1] + bytes([line.signature[-1] ^ 1])),
        lambda line: replace(line, signature=line.signature[:-1]),
        lambda line: replace(line, name="other.example"),
    ],
)
def test_an_altered_ml_dsa_line_does_not_count(change):
    """Time, name and every byte of the signature are signed."""
    line = change(cosign_mldsa(TEXT, "pq.example", POST_QUANTUM, at=NOW))
    with pytest.raises(SignatureInvalid):
        verify_cosignature(SignedNote.parse(add_signatures(NOTE, [line])), *parse_witness_key(POST_QUANTUM_KEY))


def test_an_ml_dsa_line_without_a_time_says_nothing_about_the_newest_tree():
    """The specification lets a witness sign any subtree with a time of zero; an old tree would be taken for the newest."""
    signature = POST_QUANTUM.sign(mldsa_message(CHECKPOINT, "pq.example", 0))
    line = replace(cosign_mldsa(TEXT, "pq.example", POST_QUANTUM, at=NOW), signature=bytes(8) + signature)
    with pytest.raises(SignatureInvalid, match="newest"):
        verify_cosignature(SignedNote.parse(add_signatures(NOTE, [line])), *parse_witness_key(POST_QUANTUM_KEY))
    with pytest.raises(BadInput, match="this time"):
        cosign_mldsa(TEXT, "pq.example", POST_QUANTUM, at=0)

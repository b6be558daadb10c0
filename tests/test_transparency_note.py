"""Notes and checkpoints: what others signed verifies here, what is not exactly signed does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import LogInconsistent, MalformedDocument, SignatureInvalid, SlsError
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from sls_jupyter.transparency.merkle import EMPTY_ROOT
from sls_jupyter.transparency.note import (
    MAX_SIGNATURES,
    NoteSignature,
    SignedNote,
    key_id,
    parse_verifier_key,
    sign_note,
    verifier_key,
    verify_note,
)

NOTES = json.loads((Path(__file__).parent / "vectors/log/notes.json").read_text())["notes"]
ORIGIN = "hospital.example/log"


def key_of(number):
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


KEY, OTHER = key_of(1), key_of(2)
CHECKPOINT = Checkpoint(ORIGIN, 17, bytes(range(32)))


@pytest.mark.parametrize("case", NOTES, ids=lambda case: case["name"])
def test_notes_of_others_verify(case):
    """Notes of the specification, of Go's tools and of a public log would be refused."""
    name, public_key = parse_verifier_key(case["key"])
    note = SignedNote.parse(case["note"].encode())
    assert note.encode() == case["note"].encode()
    assert verify_note(note, name, public_key) == note.text
    assert verifier_key(name, public_key) == case["key"]


def test_our_signature_is_byte_for_byte_that_of_go():
    """Other people's clients would refuse notes that we sign."""
    (case,) = [case for case in NOTES if case["seed"]]
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"])))
    text = case["note"].rpartition("\n\n")[0] + "\n"
    assert sign_note(text, "PeterNeumann", key).encode() == case["note"].encode()


def test_checkpoint_of_a_public_log_parses():
    """Checkpoints of other logs would be refused."""
    checkpoint = Checkpoint.parse(SignedNote.parse(NOTES[2]["note"].encode()).text.encode())
    assert (checkpoint.origin, checkpoint.tree_size) == ("go.sum database tree", 6476701)


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="+"), min_size=1, max_size=9)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n"), max_size=40)


@settings(deadline=None)
@given(TEXTS, NAMES)
def test_any_note_round_trips(text, name):
    """A name or a text outside of ASCII, or with empty lines, would break the note."""
    data = sign_note(text + "\n", name, KEY).encode()
    assert SignedNote.parse(data).encode() == data
    assert verify_note(SignedNote.parse(data), name, KEY.public_bytes) == text + "\n"


@settings(max_examples=200)
@given(st.text("\n— +abAB=/0\t ", max_size=60))
def test_no_text_breaks_the_parser(text):
    """Bytes from a stranger would end in a foreign traceback, or have two encodings."""
    try:
        note = SignedNote.parse(text.encode())
    except MalformedDocument:
        return
    assert note.encode() == text.encode()


def test_every_flipped_bit_in_a_checkpoint_is_refused():
    """Somebody between log and client could change a checkpoint."""
    data = sign_checkpoint(CHECKPOINT, KEY)
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(SlsError):
            verify_checkpoint(bytes(changed), ORIGIN, KEY.public_bytes)


def test_every_cut_or_longer_checkpoint_is_refused():
    """A note with something missing or appended would have the meaning of the whole one."""
    data = sign_checkpoint(CHECKPOINT, KEY)
    for changed in (*(data[:at] for at in range(len(data))), data + b"\n", data + b" ", b"\n" + data, data * 2):
        with pytest.raises(SlsError):
            verify_checkpoint(changed, ORIGIN, KEY.public_bytes)


def test_wrong_key_name_and_origin_are_told_apart():
    """A user could not tell a wrong pin from a key that signs for several logs."""
    data = sign_checkpoint(CHECKPOINT, KEY)
    for name, key in ((ORIGIN, OTHER), ("bank.example/log", KEY)):
        with pytest.raises(SignatureInvalid, match="expected"):
            verify_checkpoint(data, name, key.public_bytes)
    elsewhere = sign_note(CHECKPOINT.encode().decode(), "bank.example/log", KEY).encode()
    with pytest.raises(LogInconsistent, match="another log"):
        verify_checkpoint(elsewhere, "bank.example/log", KEY.public_bytes)


def test_signatures_of_strangers_are_kept_and_ignored():
    """A witness's cosignature would make a checkpoint unreadable, or stand in for the log's own."""
    note = SignedNote.parse(sign_checkpoint(CHECKPOINT, KEY))
    strangers = tuple(NoteSignature(f"witness{n}.example", b"abcd", b"x" * (1 + n)) for n in range(20))
    signed = replace(note, signatures=(*strangers, *note.signatures)).encode()
    assert verify_checkpoint(signed, ORIGIN, KEY.public_bytes) == CHECKPOINT
    with pytest.raises(SignatureInvalid):
        verify_checkpoint(replace(note, signatures=strangers).encode(), ORIGIN, KEY.public_bytes)


def test_a_second_bad_signature_of_the_log_spoils_the_note():
    """A forged line under the log's own key would be overlooked beside a good one."""
    note = SignedNote.parse(sign_checkpoint(CHECKPOINT, KEY))
    forged = NoteSignature(ORIGIN, key_id(ORIGIN, KEY.public_bytes), bytes(64))
    with pytest.raises(SignatureInvalid, match="does not verify"):
        verify_checkpoint(replace(note, signatures=(*note.signatures, forged)).encode(), ORIGIN, KEY.public_bytes)


BODIES = {
    "leading zero": b"a\n01\n" + b"A" * 43 + b"=\n",
    "signed size": b"a\n+1\n" + b"A" * 43 + b"=\n",
    "other digits": "a\n١\n".encode() + b"A" * 43 + b"=\n",
    "huge size": b"a\n9223372036854775808\n" + b"A" * 43 + b"=\n",
    "no origin": b"\n1\n" + b"A" * 43 + b"=\n",
    "root of 31 bytes": b"a\n1\n" + b"A" * 42 + b"==\n",
    "root spelt otherwise": b"a\n1\n" + b"A" * 42 + b"B=\n",
    "no final newline": b"a\n1\n" + b"A" * 43 + b"=",
    "empty extension": b"a\n1\n" + b"A" * 43 + b"=\n\n",
    "empty tree with a root": b"a\n0\n" + b"A" * 43 + b"=\n",
    "two lines": b"a\n1\n",
    "not UTF-8": b"\xff\n1\n" + b"A" * 43 + b"=\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_malformed_checkpoint_is_refused(body):
    """One tree head would have several spellings, or an impossible one would be believed."""
    with pytest.raises(MalformedDocument):
        Checkpoint.parse(body)


@given(NAMES, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(NAMES, max_size=2))
def test_checkpoint_round_trips(origin, size, root, extensions):
    """Writing and reading a checkpoint would not give the same one."""
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.encode()) == checkpoint
    assert Checkpoint.parse(Checkpoint(origin, 0, EMPTY_ROOT).encode()).tree_size == 0


def test_impossible_notes_cannot_be_made():
    """We would write what nobody can read."""
    makers = (
        lambda: sign_note("no newline", "name", KEY),
        lambda: sign_note("tab\there\n", "name", KEY),
        lambda: sign_note("lone \ud800\n", "name", KEY),
        lambda: sign_note("text\n", "with space", KEY),
        lambda: sign_note("text\n", "with+plus", KEY),
        lambda: sign_note("text\n", "", KEY),
        lambda: SignedNote("text\n", ()),
        lambda: SignedNote("text\n", (NoteSignature("n", b"abcd", b"x"),) * (MAX_SIGNATURES + 1)),
        lambda: NoteSignature("n", b"abc", b"x"),
        lambda: sign_checkpoint(replace(CHECKPOINT, origin="two words"), KEY),
        lambda: replace(CHECKPOINT, origin="two\nlines"),
    )
    for make in makers:
        with pytest.raises(MalformedDocument):
            make()


@pytest.mark.parametrize("key", ["", "a", "a+b", "a+00000000+AQ==", "PeterNeumann+c74f20a4+" + NOTES[1]["key"][22:]])
def test_malformed_verifier_keys_are_refused(key):
    """A mistyped key would be pinned."""
    with pytest.raises(MalformedDocument):
        parse_verifier_key(key)


@pytest.mark.parametrize("signature_type", [1, 4])
def test_a_log_or_witness_whose_key_nobody_holds_is_none(signature_type):
    """A verifier key of small order would let anybody sign for the log."""
    for key in (bytes([1]) + bytes(31), bytes(32)):
        with pytest.raises(MalformedDocument):
            parse_verifier_key(verifier_key("log.example", key, signature_type), signature_type)

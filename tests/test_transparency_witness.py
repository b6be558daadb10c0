"""Witnesses: each sees one history of a log, and a log with two faces finds no quorum for either."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.documents import b64encode
from sls_jupyter.errors import (
    BadInput,
    LogInconsistent,
    MalformedDocument,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.cosignature import WitnessPolicy, add_signatures, verify_witnessed
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.note import SignedNote, sign_note
from sls_jupyter.transparency.witness import (
    MAX_REQUEST_BYTES,
    AddCheckpoint,
    Witness,
    ask_witness,
    consider,
    parse_signature_lines,
)

PUBLIC = json.loads((Path(__file__).parent / "vectors/log/cosignatures.json").read_text())
ORIGIN, NOW = "hospital.example/log", 1_790_000_000


def key_of(number):
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


LOG = key_of(1)


class Face:
    """One history that a log tells: ``common`` entries that all faces share, then its own."""

    def __init__(self, common=0, own=0, word="a"):
        entries = [b"common %d" % n for n in range(common)] + [f"{word} {n}".encode() for n in range(own)]
        self.store, self.size = tree.MemoryTileStore(), len(entries)
        tree.append(self.store, 0, map(leaf_hash, entries))

    def note(self, size=None, key=LOG, origin=ORIGIN):
        size = self.size if size is None else size
        return sign_checkpoint(Checkpoint(origin, size, tree.root(self.store, size)), key)

    def proof(self, old, new):
        return tree.consistency_proof(self.store, old, new)

    def request(self, old, new=None):
        new = self.size if new is None else new
        return AddCheckpoint(old, self.proof(old, new) if 0 < old < new else (), self.note(new))


@pytest.fixture
def witness(tmp_path):
    return make_witness(tmp_path, 10)


def make_witness(folder, number):
    memory = CheckpointMemory(folder / f"memory{number}")
    return Witness(f"w{number}.example", key_of(number), {ORIGIN: LOG.public_bytes}, memory)


def finding(witness, request):
    before = witness.memory.last(ORIGIN)
    with pytest.raises(LogInconsistent) as error:
        witness.add_checkpoint(request, now=NOW)
    assert witness.memory.last(ORIGIN) == before
    return error.value.detail


# --- requests -------------------------------------------------------------------------------------


def test_request_of_the_specification():
    """Other people's logs could not ask us."""
    request = AddCheckpoint.parse(PUBLIC["request"].encode())
    assert (request.old_size, len(request.proof)) == (20852014, 4)
    assert request.encode() == PUBLIC["request"].encode()
    assert SignedNote.parse(request.note).text.startswith("example.com/behind-the-sofa\n20852163\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 1",
        b"old 01\n\nx",
        b"old -1\n\nx",
        b"old \xd9\xa1\n\nx",
        b"old 1\n\xff\n\nx",
        b"new 1\n\nx",
        b"old 1 \n\nx",
        b"old 1\nAAAA\n\nx",
        b"old 1\nnot base64\n\nx",
        b"old 1\n" + (b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 64) + b"\nx",
        b"old 1\n\n" + b"x" * MAX_REQUEST_BYTES,
    ],
)
def test_other_requests_are_refused(data):
    """A stranger's bytes would end in a foreign traceback, or be read in two ways."""
    with pytest.raises(MalformedDocument):
        AddCheckpoint.parse(data)


@settings(max_examples=200)
@given(st.text("old 01\n=A/—", max_size=60))
def test_no_text_breaks_the_parser(text):
    """Bytes from a stranger would have two encodings."""
    try:
        request = AddCheckpoint.parse(text.encode())
    except MalformedDocument:
        return
    assert request.encode() == text.encode()


# --- one witness ----------------------------------------------------------------------------------


def test_a_log_that_grows_is_cosigned(witness):
    """An honest log would not get its cosignatures, or the witness forget what it saw."""
    face, seen = Face(600), 0
    for size in (0, 0, 1, 1, 2, 255, 256, 600):
        line = witness.add_checkpoint(face.request(seen, size), now=NOW)
        note = add_signatures(face.note(size), [line])
        policy = WitnessPolicy(1, {witness.name: key_of(10).public_bytes})
        assert verify_witnessed(note, ORIGIN, LOG.public_bytes, policy, now=NOW)[0].tree_size == size
        assert witness.memory.last(ORIGIN).tree_size == size
        seen = size


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.data())
def test_a_witness_only_ever_sees_one_history(tmp_path_factory, sizes, data):
    """Whatever order of faces a log shows, the witness's own checkpoints extend each other."""
    witness = make_witness(tmp_path_factory.mktemp("w"), 10)
    faces, accepted = [Face(100, 200, "a"), Face(100, 200, "b")], []
    for size in sizes:
        face, last = data.draw(st.sampled_from(faces)), witness.memory.last(ORIGIN)
        try:
            witness.add_checkpoint(face.request(min(last.tree_size if last else 0, size), size), now=NOW)
        except SlsError:
            continue
        accepted.append((size, tree.root(face.store, size)))
    assert accepted == sorted(accepted, key=lambda pair: pair[0])
    assert any(all(tree.root(face.store, size) == root for size, root in accepted) for face in faces)


def test_each_refusal_is_told_apart(witness):
    """A log's owner could not tell what the witness objects to."""
    witness.add_checkpoint(Face(5).request(0), now=NOW)
    assert finding(witness, Face(9).request(4)) == {"finding": "stale", "tree_size": 5}
    assert finding(witness, Face(9).request(0)) == {"finding": "stale", "tree_size": 5}
    assert finding(witness, Face(0, 5).request(5))["finding"] == "forked"
    assert finding(witness, Face(0, 9).request(5))["finding"] == "unproven"
    assert finding(witness, AddCheckpoint(5, (), Face(9).note()))["finding"] == "unproven"
    assert finding(witness, AddCheckpoint(5, (bytes(32),), Face(5).note()))["finding"] == "unproven"
    with pytest.raises(BadInput, match="smaller"):
        witness.add_checkpoint(AddCheckpoint(5, (), Face(3).note()), now=NOW)
    with pytest.raises(SignatureInvalid):
        witness.add_checkpoint(AddCheckpoint(5, (), Face(5).note(key=key_of(2))), now=NOW)
    with pytest.raises(UnknownName):
        witness.add_checkpoint(AddCheckpoint(0, (), Face(5).note(origin="bank.example/log")), now=NOW)
    with pytest.raises(MalformedDocument):
        witness.add_checkpoint(AddCheckpoint(0, (), b"no note"), now=NOW)
    assert witness.memory.last(ORIGIN).tree_size == 5


def test_an_empty_tree_with_another_root_is_judged_in_the_order_of_the_specification(witness):
    """A log that asks for the size with such a checkpoint would not be told it."""
    rootless = sign_note(f"{ORIGIN}\n0\n{b64encode(bytes(32))}\n", ORIGIN, LOG).encode()
    assert finding(witness, AddCheckpoint(0, (), rootless))["finding"] == "unproven"
    with pytest.raises(BadInput, match="smaller"):
        witness.add_checkpoint(AddCheckpoint(1, (), rootless), now=NOW)
    witness.add_checkpoint(Face(5).request(0), now=NOW)
    assert finding(witness, AddCheckpoint(0, (), rootless)) == {"finding": "stale", "tree_size": 5}


def test_a_proof_from_nothing_is_empty():
    """Bytes that mean nothing would be taken along."""
    with pytest.raises(LogInconsistent):
        consider(AddCheckpoint(0, (bytes(32),), Face(3).note()), {ORIGIN: LOG.public_bytes}, lambda _: None)


def test_several_at_once_never_roll_the_memory_back(tmp_path):
    """Two requests that race could leave the smaller checkpoint behind, and the log could fork from there."""
    witnesses, face = [make_witness(tmp_path, 10) for _ in range(4)], Face(40)

    def work(witness):
        seen = []
        for size in range(1, 41):
            last = witness.memory.last(ORIGIN)
            try:
                witness.add_checkpoint(face.request(last.tree_size if last else 0, size), now=NOW)
            except (LogInconsistent, BadInput, Unavailable):
                continue
            seen.append((size, witness.memory.last(ORIGIN).tree_size))
        return seen

    with ThreadPoolExecutor(4) as pool:
        results = [pair for result in pool.map(work, witnesses) for pair in result]
    assert results
    assert all(after >= size for size, after in results)
    assert witnesses[0].memory.last(ORIGIN).tree_size == 40


# --- a log that asks ------------------------------------------------------------------------------


def sender(witness):
    return lambda data: witness.add_checkpoint(AddCheckpoint.parse(data), now=NOW).encode().encode()


def ask(witness, face, send=None):
    send = send or sender(witness)
    return ask_witness(send, face.note(), face.proof, name=witness.name, public_key=key_of(10).public_bytes)


def test_a_log_finds_out_what_the_witness_saw(witness):
    """A log that lost track of its witness would never be cosigned again."""
    for size in (3, 3, 40, 300):
        ask(witness, Face(size))
        assert witness.memory.last(ORIGIN).tree_size == size


def test_a_log_that_was_rolled_back_is_told_so(witness):
    """An operator who restored an old backup would go on with it."""
    ask(witness, Face(40))
    with pytest.raises(LogInconsistent, match="larger tree") as error:
        ask(witness, Face(39))
    assert "rolled back" in error.value.hint


def test_answers_of_others_are_worth_nothing(witness):
    """A stranger, or a witness of something else, could stand in for the witness."""
    face = Face(5)
    good = sender(witness)(face.request(0).encode())
    strangers = Witness("s.example", key_of(20), witness.logs, witness.memory)
    line = strangers.add_checkpoint(face.request(5), now=NOW).encode().encode()
    renamed = Witness(witness.name, key_of(20), witness.logs, witness.memory)
    wrong = renamed.add_checkpoint(face.request(5), now=NOW).encode().encode()
    assert ask(witness, face, lambda _: line + wrong + good) == parse_signature_lines(good)[0]
    for answer in (line, wrong, line + wrong):
        with pytest.raises(SignatureInvalid, match="without a valid cosignature"):
            ask(witness, face, lambda _, answer=answer: answer)
    for answer in (b"", b"nonsense", b"x" * (MAX_REQUEST_BYTES + 1), "— w10.example AA==\n".encode()):
        with pytest.raises(MalformedDocument):
            ask(witness, face, lambda _, answer=answer: answer)


def test_a_witness_that_makes_up_sizes_does_not_hold_us_for_ever(witness):
    """A broken witness could keep a log busy without end."""
    sizes = iter(range(1, 100))

    def stale(_):
        raise LogInconsistent("No.", detail={"finding": "stale", "tree_size": next(sizes)})

    with pytest.raises(Unavailable):
        ask(witness, Face(50), stale)
    for size in (-1, 51, "x", None):
        with pytest.raises(LogInconsistent):
            ask(witness, Face(50), lambda _, size=size: (_ for _ in ()).throw(
                LogInconsistent("No.", detail={"finding": "stale", "tree_size": size})
            ))  # fmt: skip


def test_a_witness_with_a_key_of_ml_dsa_cosigns_by_it(tmp_path):
    """A log that demands such a witness could not be served by this project's own."""
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
    public_key, face = key.public_key().public_bytes_raw(), Face(5)
    witness = Witness("pq.example", key, {ORIGIN: LOG.public_bytes}, CheckpointMemory(tmp_path / "pq"))
    line = ask_witness(sender(witness), face.note(), face.proof, name=witness.name, public_key=public_key)
    policy = WitnessPolicy(1, {witness.name: public_key})
    checkpoint, _ = verify_witnessed(add_signatures(face.note(), [line]), ORIGIN, LOG.public_bytes, policy, now=NOW)
    assert checkpoint.tree_size == 5


# --- two faces ------------------------------------------------------------------------------------


def test_a_log_with_two_faces_finds_no_quorum(tmp_path):
    """A log could show the analyst one history and the auditor another, each with all its witnesses."""
    witnesses = [make_witness(tmp_path, number) for number in (10, 11, 12)]
    policy = WitnessPolicy(2, {w.name: key_of(10 + n).public_bytes for n, w in enumerate(witnesses)})
    faces = [Face(7, 3, "for the analyst"), Face(7, 3, "for the auditor")]
    for witness in witnesses:
        witness.add_checkpoint(faces[0].request(0, 7), now=NOW)
    lines = [[], []]
    for number, witness in enumerate(witnesses):  # the first sees one face, the others the other one
        lines[min(number, 1)].append(witness.add_checkpoint(faces[min(number, 1)].request(7), now=NOW + 1))
    for number, witness in enumerate(witnesses):
        with pytest.raises(LogInconsistent, match="two faces") as error:
            witness.add_checkpoint(faces[1 - min(number, 1)].request(10), now=NOW + 2)
        assert error.value.detail["finding"] == "forked"
    notes = [add_signatures(face.note(), own) for face, own in zip(faces, lines, strict=True)]
    with pytest.raises(SignatureInvalid, match="Too few") as refused:
        verify_witnessed(notes[0], ORIGIN, LOG.public_bytes, policy)
    assert set(refused.value.detail["witnesses"]) == {"w11.example", "w12.example"}
    assert verify_witnessed(notes[1], ORIGIN, LOG.public_bytes, policy)

    reader = CheckpointMemory(tmp_path / "reader")  # who compares the two witnesses has the proof
    reader.accept(notes[0], ORIGIN, LOG.public_bytes, faces[0].proof)
    with pytest.raises(LogInconsistent, match="contradicts") as fork:
        reader.accept(notes[1], ORIGIN, LOG.public_bytes, faces[1].proof)
    assert fork.value.detail["finding"] == "forked"
    assert {path.read_bytes() for path in reader.evidence(ORIGIN)} == set(notes)

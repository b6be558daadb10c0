"""Reading a log back: whatever is done to an entry or to the whole is found, and said as what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import LogInconsistent, MalformedDocument, SignatureInvalid, SlsError
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.publish import publish
from sls_jupyter.transparency.reader import read_log, require_same
from sls_jupyter.transparency.tiles import encode_bundle

ORIGIN, KEY = "hospital.example/log", SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


class Log:
    """A log in memory (a ``LogSource``) whose owner has the key and may rewrite it."""

    def __init__(self, entries):
        self.entries, self.store = list(entries), tree.MemoryTileStore()
        tree.append(self.store, 0, map(leaf_hash, self.entries))
        self.read_tile, self.write_tile = self.store.read_tile, self.store.write_tile

    def read_entries(self, start, end):
        return self.entries[start:end]

    def note(self, size=None):
        size = len(self.entries) if size is None else size
        return sign_checkpoint(Checkpoint(ORIGIN, size, tree.root(self.store, size)), KEY)

    def files(self):
        files = {}
        publish(self, self.note(), files, origin=ORIGIN, public_key=KEY.public_bytes)
        return files

    def proof(self, old, new):
        return tree.consistency_proof(self.store, old, new)


def entries_of(count):
    return [b"entry %d" % number for number in range(count)]


def read(files):
    return read_log(files.__getitem__, verify_checkpoint(files["checkpoint"], ORIGIN, KEY.public_bytes))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
def test_every_entry_comes_back(count):
    """An honest log could not be read, or lacked its last entries."""
    assert read(Log(entries_of(count)).files()) == tuple(entries_of(count))


REMOVED, CHANGED, MOVED = "was removed", "was changed", "were moved"
DOUBLED, ADDED = "more often than it was logged", "was added to a log"
BUNDLE = [b"entry %d" % number for number in range(512, 522)]  # the third one of 522 entries
ATTACKS = {
    "remove the first": (BUNDLE[1:], REMOVED, 512),
    "remove one": (BUNDLE[:4] + BUNDLE[5:], REMOVED, 516),
    "remove the last": (BUNDLE[:-1], REMOVED, 521),
    "change one": ([*BUNDLE[:4], b"another", *BUNDLE[5:]], CHANGED, 516),
    "empty one": ([*BUNDLE[:4], b"", *BUNDLE[5:]], CHANGED, 516),
    "swap two": ([BUNDLE[1], BUNDLE[0], *BUNDLE[2:]], MOVED, 512),
    "reverse": (BUNDLE[::-1], MOVED, 512),
    "double one": ([*BUNDLE[:4], BUNDLE[3], *BUNDLE[4:]], DOUBLED, 516),
    "double the last": ([*BUNDLE, BUNDLE[-1]], DOUBLED, 522),
    "double one over another": ([*BUNDLE[:4], BUNDLE[3], *BUNDLE[5:]], DOUBLED, 516),
    "add one": ([*BUNDLE[:4], b"another", *BUNDLE[4:]], ADDED, 516),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_was_done_to_an_entry_is_said(name):
    """Whoever serves a copy of the log could remove, change, move or double an entry."""
    entries, message, index = ATTACKS[name]
    files = Log(entries_of(522)).files()
    files["tile/entries/002.p/10"] = encode_bundle(entries)
    with pytest.raises(LogInconsistent, match=f"{message}, at index {index}\\."):
        read(files)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.data())
def test_no_byte_of_a_copy_can_be_changed(count, data):
    """A single bit in any file of a copy could be changed unseen."""
    files = Log(entries_of(count)).files()
    path = data.draw(st.sampled_from(sorted(path for path in files if not path.startswith("tile/1"))))
    at = data.draw(st.integers(0, len(files[path]) * 8 - 1))
    changed = bytearray(files[path])
    changed[at // 8] ^= 1 << at % 8
    files[path] = bytes(changed)
    with pytest.raises((SlsError, KeyError)):
        read(files)


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/4"])
def test_a_copy_that_agrees_with_itself_is_not_enough(path):
    """Whoever serves a copy could change an entry together with its tile."""
    files, forged = Log(entries_of(260)).files(), Log([*entries_of(3), b"forged", *entries_of(260)[4:]]).files()
    files |= {name: data for name, data in forged.items() if name != "checkpoint"}
    with pytest.raises(LogInconsistent, match="do not lead to the root that was signed"):
        read(files)
    files = Log(entries_of(260)).files()
    files[path] = files[path][:-32]
    with pytest.raises(MalformedDocument, match="wrong length"):
        read(files)


def test_a_later_reading_is_compared_with_an_earlier_one():
    """An owner with the key could rewrite an old entry and sign everything anew."""
    before = [leaf_hash(entry) for entry in read(Log(entries_of(300)).files())]
    rewritten = [*entries_of(7), b"another", *entries_of(300)[8:], b"new"]
    after = [leaf_hash(entry) for entry in read(Log(rewritten).files())]
    with pytest.raises(LogInconsistent, match="was changed, at index 7"):
        require_same(after[: len(before)], before)


# --- the owner of the key as the attacker ---------------------------------------------------------


@pytest.fixture
def memory(tmp_path):
    memory = CheckpointMemory(tmp_path / "logs")
    log = Log(entries_of(40))
    memory.accept(log.note(), ORIGIN, KEY.public_bytes, log.proof)
    return memory


OWNER = {
    "remove an entry": [*entries_of(7), *entries_of(60)[8:]],
    "change an entry": [*entries_of(7), b"another", *entries_of(60)[8:]],
    "swap two entries": [*entries_of(7), b"entry 8", b"entry 7", *entries_of(60)[9:]],
    "double an entry": [*entries_of(8), b"entry 7", *entries_of(60)[8:]],
}


@pytest.mark.parametrize("name", OWNER)
def test_a_log_that_was_rewritten_is_a_fork(memory, name):
    """The owner of a log could rewrite what an auditor has seen, and sign it anew."""
    log = Log(OWNER[name])
    with pytest.raises(LogInconsistent, match=r"^A log contradicts what it said before\.") as error:
        memory.accept(log.note(), ORIGIN, KEY.public_bytes, log.proof)
    assert error.value.detail["finding"] == "forked"
    assert len(memory.evidence(ORIGIN)) == 2


def test_rollback_fork_and_replay_are_told_apart(memory):
    """A rolled back database, a second history and an old checkpoint look the same to nobody."""
    shorter, other, same = Log(entries_of(30)), Log([*entries_of(39), b"other"]), Log(entries_of(40))

    def message(log, note):
        with pytest.raises(LogInconsistent) as error:
            memory.accept(note, ORIGIN, KEY.public_bytes, log.proof)
        return error.value.message

    assert message(shorter, shorter.note()) == "A log was rolled back."
    assert message(other, other.note()) == "A log contradicts what it said before."
    assert message(same, same.note(20)) == "This is an older checkpoint than the last one seen of this log."
    assert memory.last(ORIGIN).tree_size == 40


def test_checkpoints_of_other_logs_and_keys_are_told_apart(memory):
    """A checkpoint could be shown for another log's, or be signed by somebody else."""
    log = Log(entries_of(50))
    with pytest.raises(SignatureInvalid, match="not signed by the key"):
        verify_checkpoint(log.note(), "bank.example/log", KEY.public_bytes)
    changed = replace(verify_checkpoint(log.note(), ORIGIN, KEY.public_bytes), tree_size=51)
    forged = changed.encode() + log.note()[len(changed.encode()) :]
    with pytest.raises(SignatureInvalid, match="does not verify"):
        verify_checkpoint(forged, ORIGIN, KEY.public_bytes)

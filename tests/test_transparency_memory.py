"""A client that remembers: it follows an honest log and keeps the evidence against another one."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.errors import BadInput, LogInconsistent, SignatureInvalid, Unavailable
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import leaf_hash

ORIGIN = "hospital.example/log"
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x05" * 32))


class FakeLog:
    """A log in memory; ``entries`` may be rewritten, as a dishonest owner would."""

    def __init__(self, count=0, word="entry"):
        self.entries = [f"{word} {index}".encode() for index in range(count)]
        self.asked = []

    def store(self):
        store = tree.MemoryTileStore()
        tree.append(store, 0, [leaf_hash(entry) for entry in self.entries])
        return store

    def note(self, size=None, key=KEY):
        size = len(self.entries) if size is None else size
        return sign_checkpoint(Checkpoint(ORIGIN, size, tree.root(self.store(), size)), key)

    def consistency(self, old, new):
        self.asked.append((old, new))
        if new > len(self.entries):
            raise BadInput("The log is not that large.")
        return tree.consistency_proof(self.store(), old, new)

    def offer(self, memory, note=None):
        return memory.accept(note or self.note(), ORIGIN, KEY.public_bytes, self.consistency)


@pytest.fixture
def memory(tmp_path):
    return CheckpointMemory(tmp_path / "logs")


def refused(memory, log, note=None):
    """Offer, expect a refusal, and check that the memory did not move."""
    before = memory.last(ORIGIN)
    with pytest.raises(LogInconsistent) as error:
        log.offer(memory, note)
    assert memory.last(ORIGIN) == before
    return error.value


def test_follows_a_log_that_grows(memory, tmp_path):
    """A client would lose sight of an honest log, or forget it when it is restarted."""
    for size in (0, 0, 1, 1, 5, 300):
        assert FakeLog(size).offer(memory).tree_size == size
    assert CheckpointMemory(tmp_path / "logs").last(ORIGIN).tree_size == 300
    assert memory.evidence(ORIGIN) == ()


def test_same_checkpoint_needs_no_proof(memory):
    """Every look at a quiet log would cost a request."""
    log = FakeLog(7)
    log.offer(memory)
    log.offer(memory)
    assert log.asked == []


@pytest.mark.parametrize("size", [7, 12])
def test_fork_is_refused_and_kept(memory, size):
    """A log could show this client one history and others another."""
    FakeLog(7).offer(memory)
    fork = FakeLog(size, word="forged")
    error = refused(memory, fork)
    assert error.detail["finding"] == "forked"
    assert "contradicts" in error.message
    kept = [path.read_bytes() for path in memory.evidence(ORIGIN)]
    assert sorted(kept) == sorted([FakeLog(7).note(), fork.note()])
    assert all(verify_checkpoint(data, ORIGIN, KEY.public_bytes) for data in kept)


def test_rewritten_entry_is_refused(memory):
    """An owner could change one old entry and go on."""
    log = FakeLog(7)
    log.offer(memory)
    log.entries = [*log.entries[:3], b"changed", *log.entries[4:], b"new"]
    assert refused(memory, log).detail["finding"] == "forked"


@pytest.mark.parametrize("size", [0, 1, 5])
def test_roll_back_is_refused_and_kept(memory, size):
    """An owner could drop the last entries."""
    FakeLog(7).offer(memory)
    error = refused(memory, FakeLog(size))
    assert (error.detail["finding"], error.message) == ("rolled-back", "A log was rolled back.")
    assert len(memory.evidence(ORIGIN)) == 2


def test_replayed_checkpoint_is_refused_but_no_evidence(memory):
    """Somebody could hide new entries by replaying an old checkpoint; that is not the log's guilt."""
    log = FakeLog(9)
    log.offer(memory)
    error = refused(memory, log, log.note(size=4))
    assert error.detail["finding"] == "older"
    assert memory.evidence(ORIGIN) == ()


def test_follow_fetches_again_when_another_process_was_faster(memory):
    """Two notebooks of one user would accuse an honest log."""
    log = FakeLog(9)
    log.offer(memory)
    notes = [log.note(size=4), log.note()]
    assert memory.follow(lambda: notes.pop(0), ORIGIN, KEY.public_bytes, log.consistency).tree_size == 9
    with pytest.raises(LogInconsistent, match="older"):
        memory.follow(lambda: log.note(size=4), ORIGIN, KEY.public_bytes, log.consistency)


def test_unsigned_checkpoint_is_neither_kept_nor_evidence(memory):
    """A stranger could frame a log, or make a client believe a false one first."""
    stranger = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x06" * 32))
    with pytest.raises(SignatureInvalid):
        FakeLog(3).offer(memory, FakeLog(3).note(key=stranger))
    assert memory.last(ORIGIN) is None


def test_unreachable_log_is_no_fork(memory):
    """A broken network would be reported as a dishonest owner."""
    FakeLog(3).offer(memory)

    def unreachable(old, new):
        raise Unavailable("No answer.")

    with pytest.raises(Unavailable):
        memory.accept(FakeLog(5).note(), ORIGIN, KEY.public_bytes, unreachable)
    assert memory.evidence(ORIGIN) == ()
    assert memory.last(ORIGIN).tree_size == 3


def test_damaged_memory_is_said_and_not_overwritten(memory):
    """A broken file would make a client silently trust a log anew."""
    FakeLog(3).offer(memory)
    (path,) = memory.folder.glob("*.checkpoint")
    path.write_bytes(b"garbage")
    with pytest.raises(Unavailable, match="damaged"):
        FakeLog(5).offer(memory)
    assert path.read_bytes() == b"garbage"


def test_unwritable_folder_is_unavailable(tmp_path):
    """A full or read-only disk would end in a foreign traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        CheckpointMemory(tmp_path / "file" / "logs")


def test_logs_are_remembered_apart(memory):
    """A log would be judged by another one's checkpoints."""
    FakeLog(3).offer(memory)
    assert memory.last("bank.example/log") is None


def test_faster_process_between_check_and_write_is_not_overwritten(memory):
    """Of two processes the slower one could put back an older checkpoint, unseen."""
    log = FakeLog(9)
    log.offer(memory, log.note(size=2))

    def slow(old, new):
        if (old, new) == (2, 5):
            log.offer(memory)  # the other process, meanwhile
        return log.consistency(old, new)

    with pytest.raises(LogInconsistent, match="older"):
        memory.accept(log.note(size=5), ORIGIN, KEY.public_bytes, slow)
    assert memory.last(ORIGIN).tree_size == 9


def climb(folder, sizes, failures):
    memory, log = CheckpointMemory(folder), FakeLog(24)
    for size in sizes:
        try:
            log.offer(memory, log.note(size=size))
        except LogInconsistent as error:
            if error.detail["finding"] != "older":
                failures.put(str(error))
        except Exception as error:
            failures.put(repr(error))
        if memory.last(ORIGIN).tree_size < size:
            failures.put(f"went back below {size}")


def test_two_processes_share_the_memory(tmp_path):
    """Two notebooks of one user would damage the memory or move it backwards."""
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    workers = [context.Process(target=climb, args=(tmp_path, range(1 + n, 24, 2), failures)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert failures.empty()
    assert CheckpointMemory(tmp_path).last(ORIGIN).tree_size == 23
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    failures.close()
    failures.join_thread()

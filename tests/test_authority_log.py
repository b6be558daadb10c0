"""The authority's log: proofs through the door, several servers on one database, crashes and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from builders import World

from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.release import release
from sls_jupyter.authority.store import Store
from sls_jupyter.errors import BadInput, LogInconsistent, SlsError, Unavailable
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.entries import open_commitment
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import verify_consistency
from sls_jupyter.transparency.proofs import verify_log_proof


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def append(world: World, text: str = "x") -> int:
    event = ledger.Event("request.received", "sha256:" + "0" * 64, {"text": text})
    with world.authority.store.write() as connection:
        return ledger.append(connection, world.authority, [event])


def checkpoint(world: World) -> Checkpoint:
    with world.authority.store.read() as connection:
        note = ledger.checkpoint(connection, world.authority)
    return verify_checkpoint(note, world.authority.origin, world.authority.identity.signing.public_bytes)


def require_extension(world: World, old: Checkpoint, new: Checkpoint) -> None:
    with world.authority.store.read() as connection:
        proof = ledger.consistency(connection, world.authority, old.tree_size, new.tree_size)
    verify_consistency(old.tree_size, old.root_hash, new.tree_size, new.root_hash, proof)


# --- one server -----------------------------------------------------------------------------------


def test_empty_log_has_a_checkpoint(world):
    """A client that comes first finds a signed log of size 0, not an error."""
    assert checkpoint(world).tree_size == 0
    with pytest.raises(BadInput):
        world.proof(0)


def test_every_entry_is_proven_and_every_state_extends_the_last(world):
    """Across tile boundaries, each entry has its proof and no state of the log contradicts another."""
    seen = []
    for number in range(260):
        append(world, str(number))
        if number % 50 == 0 or number > 253:
            seen.append(checkpoint(world))
    for index in (0, 1, 127, 254, 255, 256, 259):
        assert verify_log_proof(world.proof(index), expected_log=world.authority.did).kind == "request.received"
    for old in seen:
        require_extension(world, old, seen[-1])


@pytest.mark.parametrize("index", [-1, 1, 2**63, 10**30])
def test_no_proof_of_what_is_not_there(world, index):
    """An impossible index is the caller's mistake, however large."""
    append(world)
    with pytest.raises(BadInput):
        world.proof(index)
    with pytest.raises(BadInput), world.authority.store.read() as connection:
        ledger.consistency(connection, world.authority, 0, index if index != 1 else 2)


def test_parties_can_open_what_the_public_cannot(world):
    """With its salt an entry shows what it meant, and without it nobody knows."""
    append(world, "meaning")
    ((_, salt, meaning),) = [(i, s, m) for i, s, m in about(world)]
    assert meaning == b'{"text":"meaning"}'
    open_commitment(world.entry(0), {"text": "meaning"}, salt)


def about(world: World):
    with world.authority.store.read() as connection:
        return ledger.about(connection, "sha256:" + "0" * 64)


def test_client_follows_the_log_and_finds_a_rollback(tmp_path):
    """A client that has seen the log grow notices when the operator restores an older database."""
    world = World(tmp_path / "a")
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    client, memory = AuthorityClient(server.url), CheckpointMemory(tmp_path / "memory")
    for size in (0, 1, 2, 3):
        assert client.follow_log(memory).tree_size == size
        append(world, str(size))
    assert verify_log_proof(client.proof(2), expected_log=world.authority.did)
    with world.authority.store.write() as connection:
        for table in ("log_entries", "log_tiles", "log_checkpoint"):
            connection.exec_driver_sql(f"delete from {table}")
    for text in "abcd":
        append(world, text)
    with pytest.raises(LogInconsistent):
        client.follow_log(memory)
    client.close()
    server.stop()
    world.close()


# --- several servers on one database --------------------------------------------------------------


def test_two_servers_on_one_database_never_fork(tmp_path):
    """Two notebooks of one owner append at once: one history, every acknowledged entry in it."""
    worlds = [World(tmp_path) for _ in range(3)]

    def work(world: World) -> list[tuple[int, Checkpoint]]:
        return [(append(world, str(number)), checkpoint(world)) for number in range(12)]

    with ThreadPoolExecutor(6) as pool:
        results = [item for result in pool.map(work, worlds * 2) for item in result]
    assert sorted(index for index, _ in results) == list(range(72))
    final = checkpoint(worlds[0])
    assert final.tree_size == 72
    for _, seen in results:
        require_extension(worlds[0], seen, final)
    for world in worlds:
        world.close()


def test_a_stale_checkpoint_is_never_overwritten(world):
    """A server that lost the lock in between writes nothing, instead of a second history."""
    append(world)
    with pytest.raises(Unavailable), world.authority.store.write() as connection:
        ledger._advance(connection, world.authority, 5, Checkpoint(world.authority.origin, 6, bytes(32)))
    assert checkpoint(world).tree_size == 1


def test_two_guests_at_once_get_one_release(tmp_path):
    """Two groups that race with one spec: one gets keys, the other is refused by check 6."""
    worlds = [World(tmp_path) for _ in range(2)]
    sealed, spec = worlds[0].granted()
    attempts = [world.attempt(sealed, spec) for world in worlds]

    def work(pair) -> int:
        world, attempt = pair
        try:
            release(world.authority, attempt.request)
        except Exception as error:
            return error.check
        return 0

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(work, zip(worlds, attempts, strict=True))) == [0, 6]
    assert len(worlds[0].rows("releases")) == 1
    for world in worlds:
        world.close()


def test_first_start_of_several_processes(tmp_path):
    """Notebooks that start together on a new home all find their database."""
    code = (
        "import sys; from pathlib import Path; from sls_jupyter.authority.store import Store; Store(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "authority.db")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0


# --- crashes --------------------------------------------------------------------------------------


def appender(folder: Path, seed: bytes) -> subprocess.Popen[bytes]:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_authority_log import append_for_ever\n"
        "append_for_ever(Path(sys.argv[2]), bytes.fromhex(sys.argv[3]))\n"
    )
    here = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", code, here, str(folder), seed.hex()], stdout=subprocess.PIPE)


def append_for_ever(folder: Path, seed: bytes) -> None:
    """Runs in another process: append, and say so after each commit."""
    import builders
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = builders.SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
    who = builders.Identity("authority", key, builders.HpkeKey.generate())
    builders.person = lambda _: who
    world = World(folder, owner=who, analyst=who)
    while True:
        os.write(1, b"%d\n" % append(world))


def test_killing_a_server_loses_no_acknowledged_entry(tmp_path):
    """Whoever was told that something is in the log finds it there, however often the server is killed."""
    world = World(tmp_path)
    seed = world.authority.identity.signing.private_key.private_bytes_raw()
    previous = checkpoint(world)
    for number in range(4):
        process = appender(tmp_path, seed)
        first = process.stdout.readline()
        assert first
        time.sleep(0.03 * number + 0.01)
        process.send_signal(signal.SIGKILL)
        told = [int(line) for line in (first + process.stdout.read()).split(b"\n")[:-1]]
        process.stdout.close()
        process.wait()
        now = checkpoint(world)
        assert now.tree_size >= told[-1] + 1
        require_extension(world, previous, now)
        assert world.entry(told[-1]).kind == world.entry(now.tree_size - 1).kind == "request.received"
        previous = now
    assert append(world) == previous.tree_size
    world.close()


def limit_pages(store: Store, pages: int) -> None:
    """From now on the database cannot grow beyond this (never below what it has): the disk is full."""
    store.engine.dispose()
    sa.event.listen(store.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}"))


def until_full(world: World, calls: list[Callable[[], object]]) -> tuple[int, SlsError]:
    """How many calls succeeded on a disk that is full, and the error of the next one."""
    limit_pages(world.authority.store, 1)
    for number, call in enumerate(calls):
        try:
            call()
        except SlsError as error:
            limit_pages(world.authority.store, 1 << 30)
            return number, error
    raise AssertionError("The disk was never full.")


def test_full_disk_publishes_nothing_by_half(world):
    """On a full disk the owner is told so, and after making room the same asset can be published."""
    policy = world.policy()
    submissions = [world.submission(world.seal(policy, f"asset{number}"), policy) for number in range(12)]
    calls = [partial(catalogue.publish, world.authority, *submission) for submission in submissions]
    done, error = until_full(world, calls)
    assert isinstance(error, Unavailable)
    assert "full" in str(error)
    assert [len(world.rows(table)) for table in ("assets", "keys", "log_entries")] == [done, 5 * done, done]
    assert calls[done]()[1] == done


def test_key_release_on_a_full_disk(world):
    """On a full disk no key leaves, because its log entry could not be written; later the same guest can try again."""
    sealed = world.publish()
    specs = [world.spec(world.input(sealed), nonce=number) for number in range(16)]
    assert all(world.submit(spec).grants for spec in specs)
    attempts = [world.attempt(sealed, spec) for spec in specs]
    calls = [partial(release, world.authority, attempt.request) for attempt in attempts]
    done, error = until_full(world, calls)
    assert error.check == 8
    assert len(world.rows("releases")) == world.log().count("key.released") == done
    assert calls[done]().sealed_keys


@pytest.mark.parametrize("data", [b"this is no database" * 300, b"SQLite format 3\0" + b"x" * 5000])
def test_damaged_database_is_told_as_such(tmp_path, data):
    """A damaged file ends in a sentence with the file's trouble, not in a traceback of another library."""
    (tmp_path / "authority.db").write_bytes(data)
    with pytest.raises(Unavailable):
        Store(tmp_path / "authority.db")


def test_database_that_cannot_be_made(tmp_path):
    """A folder that is not there is told as such."""
    with pytest.raises(Unavailable):
        Store(tmp_path / "nowhere" / "authority.db")
    for url in ("nonsense://x", "no url", "postgresql+nothing://x"):
        with pytest.raises(BadInput):
            Store(url)

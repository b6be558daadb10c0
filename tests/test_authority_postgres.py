"""The authority on PostgreSQL: the same contract as on SQLite, on a private cluster made for this test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import World, chain, person
from cells_kit import CELLS, Notebook, session_spec
from test_authority_log import append, checkpoint, require_extension

from sls_jupyter.authority import catalogue, inbox, verdicts
from sls_jupyter.authority.release import release
from sls_jupyter.authority.store import Store
from sls_jupyter.errors import AccessDenied, DigestMismatch, KeyRefused, NotAuthorised, Unavailable

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
RUNUSER = ["runuser", "-u", "nobody", "--"]


def run(*command: str) -> None:
    """As an unprivileged user if we are root, because PostgreSQL refuses to be."""
    prefix = RUNUSER if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, capture_output=True, timeout=60, cwd="/")


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[str]:
    """The URL of an empty database, reached through a socket in a folder of its own."""
    if not BINARIES:
        pytest.skip("PostgreSQL's server is not installed here")
    pytest.importorskip("psycopg", reason="PostgreSQL's driver psycopg is not installed here")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("we are root, and there is no runuser to become somebody else")
    binaries = BINARIES[-1].parent
    folder = Path("/tmp") / f"sls-pg-{os.getpid()}"  # short: a socket's path has 107 bytes
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    data, log = str(folder / "data"), str(folder / "log")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    try:
        run(str(binaries / "initdb"), "-D", data, "-U", "owner", "-A", "trust", "--no-sync")
        run(str(binaries / "pg_ctl"), "-D", data, "-l", log, "-o", options, "-w", "start")
        yield f"postgresql+psycopg://owner@/postgres?host={folder}"
        run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def worlds(tmp_path, database) -> Iterator[list[World]]:
    """Two servers of one authority, on an empty database."""
    store = Store(database)
    with store.write() as connection:
        connection.exec_driver_sql("drop schema public cascade")
        connection.exec_driver_sql("create schema public")
    store.close()
    for name in ("hospital", "analyst", "authority"):
        person(name)
    chain()
    with ThreadPoolExecutor(2) as pool:  # they start together
        worlds = list(pool.map(lambda _: World(tmp_path, database=database), range(2)))
    yield worlds
    for world in worlds:
        world.close()


def test_publish_submit_approve_release(worlds):
    """What works in a notebook's own database works on the server of an organisation, on either of its servers."""
    here, there = worlds
    sealed = here.publish(code="reviewed")
    spec = there.spec(there.input(sealed))
    assert there.submit(spec).verdict == "ask"
    verdicts.record_verdict(here.authority, here.owner.did, here.approval(spec), approved=True)
    assert there.submit(spec).verdict == "allow"
    attempt = there.attempt(sealed, spec)
    assert release(here.authority, attempt.request).columns == ("age", "outcome", "sex")
    with pytest.raises(KeyRefused) as caught:
        release(there.authority, attempt.request)
    assert caught.value.check == 1
    assert here.log()[-3:] == ["evidence.accepted", "run.started", "key.released"]


def test_refused_release_is_undone_but_logged(worlds):
    """The undoing of a refused release works there too: the refusal stays, the release does not."""
    world, _ = worlds
    attempt = world.attempt(*world.granted())
    with pytest.raises(KeyRefused):
        release(world.authority, attempt.changed(hpke_public_key=b"short").request)
    assert world.log()[-1] == "key.refused"
    assert world.rows("releases") == []


def test_no_key_without_its_log_entry(worlds):
    """When that database takes no entry, no key leaves."""
    world, _ = worlds
    attempt = world.attempt(*world.granted())
    with world.authority.store.write() as connection:
        connection.exec_driver_sql("alter table log_entries add constraint broken check (position < 0) not valid")
    with pytest.raises(KeyRefused) as caught:
        release(world.authority, attempt.request)
    assert caught.value.check == 8
    assert world.rows("releases") == []


def test_two_servers_never_fork(worlds):
    """Several servers append at once: one history, every acknowledged entry in it, and proofs that hold meanwhile."""

    def work(world: World):
        found = []
        for number in range(8):
            index = append(world, str(number))
            found.append((index, checkpoint(world), world.entry(index)))
        return found

    with ThreadPoolExecutor(4) as pool:
        results = [item for result in pool.map(work, worlds * 2) for item in result]
    assert sorted(index for index, _, _ in results) == list(range(32))
    for _, seen, _ in results:
        require_extension(worlds[0], seen, checkpoint(worlds[1]))


def test_shredding(worlds):
    """Shredded keys are rows no more."""
    world, _ = worlds
    sealed = world.publish()
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=True)
    assert world.rows("keys") == []


def test_versions_pages_and_mutes(worlds):
    """The rules of names and inboxes are the same there: one active version, bounded pages, a mute that holds."""
    here, there = worlds
    first, second = here.publish(code="reviewed"), there.publish(code="reviewed")
    specs = [here.spec(here.input(second), purpose=f"study {number}") for number in range(3)]
    for spec in specs:
        assert there.submit(spec).verdict == "ask"
    with pytest.raises(AccessDenied, match="newer version"):
        here.submit(here.spec(here.input(first)))
    page = inbox.page(here.authority, here.owner.did, limit=2, state="open")
    assert [one.id for one in page.requests] == [specs[2].terms, specs[1].terms]
    assert inbox.one(there.authority, there.owner.did, specs[0].terms[:30]).id == specs[0].terms
    assert inbox.mute(here.authority, here.owner.did, here.analyst.did) == 3
    with pytest.raises(NotAuthorised):
        there.submit(specs[0])
    done = catalogue.withdraw(there.authority, there.owner.did, "patients", shred=False, all_versions=True)
    assert (done.closed, done.versions) == (2, 2)


def test_server_that_does_not_answer(database):
    """A database server that is down is told as such."""
    with pytest.raises(Unavailable):
        Store(database.replace("host=", "host=/nowhere"))


def test_a_session_on_two_servers(worlds):
    """Cells that one server granted are the chain of the other, and an approval there holds for beginnings here."""
    here, there = worlds
    notebook = Notebook(here, session_spec(here, here.input(here.publish(code="reviewed"))))
    for code in CELLS[:3]:
        notebook.add(code)
    assert notebook.ask().verdict == "ask"
    verdicts.record_verdict(there.authority, there.owner.did, there.approval(notebook.proposal), approved=True)
    first, second = Notebook(here, notebook.spec), Notebook(there, notebook.spec)
    assert first.verdicts(CELLS[0]) == ["allow"]
    second.orders, second.texts = list(first.orders), list(first.texts)
    assert second.verdicts(*CELLS[1:3]) == ["allow", "allow"]
    fork = Notebook(here, notebook.spec, first.orders[:], first.texts[:])
    fork.add(CELLS[3])
    with pytest.raises(DigestMismatch, match="granted other cells"):
        fork.ask()


def test_one_place_of_a_session_is_granted_once(worlds):
    """Two servers that are asked for the same cell at one time count it once and give one grant."""
    here, there = worlds
    sealed = here.publish(max_runs=5)
    notebook = Notebook(here, session_spec(here, here.input(sealed)))
    notebook.run(CELLS[0])
    notebook.add(CELLS[1])
    both = [Notebook(world, notebook.spec, notebook.orders, notebook.texts) for world in worlds]

    def ask(one: Notebook) -> bytes | None:
        for _ in range(10):
            try:
                return one.ask().cell_grant
            except Unavailable:  # the other one was first
                continue
        return None

    with ThreadPoolExecutor(2) as pool:
        grants = set(pool.map(ask, both))
    assert len(grants - {None}) == 1
    with there.authority.store.read() as connection:
        assert catalogue.find(connection, sealed.digest).runs == 1

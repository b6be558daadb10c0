"""The authority's log in other people's hands: over HTTP, published, witnessed, checked on start, forgotten."""

from __future__ import annotations

import gzip
import http.server
import threading
from base64 import b64encode
from functools import partial
from pathlib import Path

import fsspec
import httpx
import pytest
from builders import NOW, World, person
from tlog_reader import Reader

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority import ledger, witnessing
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.http_log import FOR_EVER
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.authority.publishing import FolderSink, publish_log
from sls_jupyter.authority.witness_client import post_checkpoint
from sls_jupyter.errors import (
    BadInput,
    LogInconsistent,
    MalformedDocument,
    NotAuthorised,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.identity import Home
from sls_jupyter.transparency.cosignature import WitnessPolicy, verify_witnessed, witness_key, witness_name
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.note import sign_note, verifier_key
from sls_jupyter.transparency.proofs import verify_log_proof
from sls_jupyter.transparency.reader import read_log

SUBJECT = "sha256:" + "0" * 64


def append(world: World, count: int) -> None:
    events = [ledger.Event("request.received", SUBJECT, {"number": n}, {"assets": n}) for n in range(count)]
    with world.authority.store.write() as connection:
        ledger.append(connection, world.authority, events)


def public_key(world: World) -> bytes:
    return world.authority.identity.signing.public_bytes


def rows(world: World) -> list[bytes]:
    with world.authority.store.read() as connection:
        return ledger.entries_between(connection, 0, 1 << 40)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "hospital")
    yield world
    world.close()


@pytest.fixture
def url(world):
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    yield server.url
    server.stop()


def over_http(url: str, world: World) -> Reader:
    return Reader(
        lambda path: httpx.get(f"{url}/{path}").raise_for_status().content, world.authority.origin, public_key(world)
    )


# --- files over HTTP ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 256, 700])
def test_other_peoples_clients_read_the_log(world, url, count):
    """A client written from the C2SP texts could not read an authority's log."""
    if count:
        append(world, count)
    assert over_http(url + "/log", world).entries() == rows(world)
    assert len(rows(world)) == count


def test_headers_are_those_of_the_specification(world, url):
    """A cache would keep an old checkpoint, or fetch every tile again and again."""
    append(world, 300)
    checkpoint = httpx.get(url + "/log/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "no-cache"
    for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"):
        tile = httpx.get(f"{url}/log/{path}")
        assert tile.headers["content-type"] == "application/octet-stream"
        assert tile.headers["cache-control"] == FOR_EVER


def test_an_authority_tells_its_keys_as_others_write_them(world, url):
    """Nobody could configure another client, or another witness, for this log."""
    told = httpx.get(url + "/v1/authority").json()
    assert told["log_key"] == log_key(world)
    assert told["witness_key"] == witnessing.own_witness_key(world.authority)


def test_bundles_are_compressed_for_those_who_ask(world, url):
    """Bundles would be sent at full length, or as gzip to a client that cannot read it."""
    append(world, 20)
    path = url + "/log/tile/entries/000.p/20"
    for accepted, encoding in (("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("identity", None), ("gzip;q=0", None)):
        with httpx.stream("GET", path, headers={"Accept-Encoding": accepted}) as response:
            data = b"".join(response.iter_raw())
            assert response.headers.get("content-encoding") == encoding
            assert response.headers["vary"] == "Accept-Encoding"
        plain = gzip.decompress(data) if encoding else data
        assert plain == httpx.get(path).content
        assert (len(data) < len(plain) * 0.6) == (encoding == "gzip")


def test_partial_tiles_of_older_checkpoints_stay(world, url):
    """A client that works on a checkpoint of a minute ago would lose the tiles below its feet."""
    append(world, 10)
    old = {path: httpx.get(f"{url}/log/{path}").content for path in ("tile/0/000.p/10", "tile/entries/000.p/10")}
    append(world, 300)
    for path, data in old.items():
        assert httpx.get(f"{url}/log/{path}").content == data
        assert len(data) > 0


@pytest.mark.parametrize(
    "path", ["tile/0/001", "tile/0/000.p/11", "tile/entries/001.p/1", "tile/1/000.p/1", "tile/63/000"]
)
def test_tiles_that_are_not_there_yet(world, url, path):
    """A reader could take hashes of entries that no checkpoint commits to."""
    append(world, 10)
    assert httpx.get(f"{url}/log/{path}").status_code == 404


@pytest.mark.parametrize(
    "path", ["tile/0/0", "tile/0/000.p/0", "tile/-1/000", "tile/0/x000/001", "tile", "..%2fv1", "x"]
)
def test_other_paths_are_refused(url, path):
    """A tile could be reached by a second name, or a bad name end in a failure of ours."""
    response = httpx.get(f"{url}/log/{path}")
    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"


def test_our_own_client_reads_all(world, url, tmp_path):
    """An auditor with this package alone could not check every entry of a log."""
    append(world, 300)
    client = AuthorityClient(url)
    checkpoint = client.follow_log(CheckpointMemory(tmp_path / "memory"))
    assert list(read_log(client.log_file, checkpoint)) == rows(world)
    client.close()


# --- publishing -----------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_published_folder_is_a_log(world, tmp_path):
    """A plain web server over the published folder would not be a log that others can read."""
    folder = tmp_path / "www"
    for count, written in ((3, 3), (300, 6), (1, 3)):
        append(world, count)
        assert publish_log(world.authority, str(folder)).written == written
    assert publish_log(world.authority, folder.as_uri()).written == 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert over_http(f"http://127.0.0.1:{server.server_port}", world).entries() == rows(world)
        server.shutdown()
    reader = Reader(lambda path: (folder / path).read_bytes(), world.authority.origin, public_key(world))
    assert reader.entries() == rows(world)
    assert not list(folder.rglob(".*"))


def test_publishing_to_an_object_store(world):
    """A log could be published to a folder only."""
    append(world, 300)
    url = f"memory://log-{id(world)}"
    publish_log(world.authority, url)
    store = fsspec.filesystem("memory")
    reader = Reader(lambda path: store.cat_file(f"/log-{id(world)}/{path}"), world.authority.origin, public_key(world))
    assert reader.entries() == rows(world)


def test_a_database_from_a_backup_does_not_overwrite_the_published_log(world, tmp_path):
    """The published copy, the only witness of what was lost, would be destroyed."""
    append(world, 5)
    publish_log(world.authority, str(tmp_path / "www"))
    other = World(tmp_path / "restored")
    append(other, 9)
    before = {path: path.read_bytes() for path in (tmp_path / "www").rglob("*") if path.is_file()}
    with pytest.raises(LogInconsistent, match="does not extend its published copy"):
        publish_log(other.authority, str(tmp_path / "www"))
    assert {path: path.read_bytes() for path in (tmp_path / "www").rglob("*") if path.is_file()} == before
    other.close()


def test_places_where_nothing_can_be_published(world, tmp_path):
    """A wrong URL would end in a foreign traceback."""
    append(world, 1)
    for url in ("https://example.com/log", "ftp://example.com/x", "simplecache::file:///x", "file:///a\nb"):
        with pytest.raises(BadInput):
            FolderSink(url)
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable):
        publish_log(world.authority, str(tmp_path / "file"))


# --- witnesses ------------------------------------------------------------------------------------


@pytest.fixture
def bank(tmp_path):
    world = World(tmp_path / "bank", authority_name="bank's authority")
    yield world
    world.close()


@pytest.fixture
def bank_url(bank):
    server = AuthorityServer(bank.authority, listen(0))
    server.start()
    yield server.url
    server.stop()


def log_key(world: World) -> str:
    return verifier_key(world.authority.origin, public_key(world))


def collect(world: World) -> list[SlsError | None]:
    return list(witnessing.collect(world.authority, post_checkpoint).values())


def test_authorities_witness_each_other(world, bank, bank_url, url, tmp_path):
    """An auditor who demands a witness could never rely on an authority's log."""
    witnessing.watch(bank.authority, log_key(world))
    name = witnessing.trust_witness(world.authority, witnessing.own_witness_key(bank.authority), bank_url)
    policy = WitnessPolicy.of(1, [witnessing.own_witness_key(bank.authority)])
    for size in (3, 303):
        append(world, 3 if size == 3 else 300)
        assert collect(world) == [None]
        note = httpx.get(url + "/log/checkpoint").content
        checkpoint, good = verify_witnessed(note, world.authority.origin, public_key(world), policy, now=NOW)
        assert (checkpoint.tree_size, good[0].witness, good[0].at) == (size, name, NOW)
    append(world, 1)
    assert httpx.get(url + "/log/checkpoint?witnesses=1").content == note
    proof = httpx.get(url + "/v1/log/proof/302?witnesses=1").json()
    assert policy.require(proof["checkpoint"].encode())
    assert httpx.get(url + "/v1/log/proof/303?witnesses=1").status_code == 400
    assert httpx.get(url + "/log/checkpoint?witnesses=2").status_code == 404
    assert publish_log(world.authority, str(tmp_path / "www"), witnesses=1).tree_size == 303


def test_a_witness_answers_as_the_specification_says(world, bank, bank_url):
    """Other people's logs would not understand our witness."""
    witnessing.watch(bank.authority, log_key(world))
    append(world, 3)
    with world.authority.store.read() as connection:
        note = ledger.checkpoint(connection, world.authority)

    def post(body: bytes) -> httpx.Response:
        return httpx.post(bank_url + "/add-checkpoint", content=body)

    assert post(b"old 0\n" + b64encode(bytes(32)) + b"\n\n" + note).status_code == 422  # a proof from nothing is empty
    origin = world.authority.origin
    rootless = sign_note(f"{origin}\n0\n{b64encode(bytes(32)).decode()}\n", origin, world.authority.identity.signing)
    assert post(b"old 0\n\n" + rootless.encode()).status_code == 422
    good = post(b"old 0\n\n" + note)
    assert good.status_code == 200
    assert good.text.startswith(f"— {witness_name(bank.authority.did)} ")
    assert good.text.endswith("\n")
    stale = post(b"old 1\n\n" + note)
    assert (stale.status_code, stale.text, stale.headers["content-type"]) == (409, "3\n", "text/x.tlog.size")
    stale = post(b"old 0\n\n" + rootless.encode())  # which size was seen comes before what is wrong with the tree
    assert (stale.status_code, stale.text, stale.headers["content-type"]) == (409, "3\n", "text/x.tlog.size")
    assert post(b"old 3\n\n" + note).status_code == 200
    assert post(b"old 4\n\n" + note).status_code == 400
    assert post(b"nonsense").status_code == 400
    stranger = World(world.folder / "stranger", authority_name="stranger")
    with stranger.authority.store.read() as connection:
        assert post(b"old 0\n\n" + ledger.checkpoint(connection, stranger.authority)).status_code == 404
    assert post(b"old 3\n\n" + note.replace(b"\n3\n", b"\n4\n")).status_code == 403
    other_root = sign_note(f"{origin}\n3\n{b64encode(bytes(32)).decode()}\n", origin, world.authority.identity.signing)
    forked = post(b"old 3\n\n" + other_root.encode())
    assert (forked.status_code, forked.text, forked.headers["content-type"]) == (409, "3\n", "text/x.tlog.size")
    append(world, 1)
    with world.authority.store.read() as connection:
        assert post(b"old 3\n\n" + ledger.checkpoint(connection, world.authority)).status_code == 422
    stranger.close()


def test_a_log_with_two_faces_is_caught_by_its_witnesses(world, bank, bank_url, tmp_path):
    """An authority could show its two witnesses two logs, and each reader the one it likes."""
    clinic = World(tmp_path / "clinic", authority_name="clinic's authority")
    server = AuthorityServer(clinic.authority, listen(0))
    server.start()
    double = World(tmp_path / "double")  # the same authority with a second database
    keys = [witnessing.own_witness_key(bank.authority), witnessing.own_witness_key(clinic.authority)]
    for witness in (bank, clinic):
        witnessing.watch(witness.authority, log_key(world))
    for face in (world, double):
        witnessing.trust_witness(face.authority, keys[0], bank_url)
        witnessing.trust_witness(face.authority, keys[1], server.url)
    append(world, 4)
    append(double, 4)
    witnessing.collect(world.authority, lambda u, r: post_checkpoint(u, r) if u.startswith(bank_url) else no(u))
    witnessing.collect(double.authority, lambda u, r: post_checkpoint(u, r) if u.startswith(server.url) else no(u))
    assert [type(error) for error in collect(world)].count(LogInconsistent) == 1  # the clinic has seen the other face
    assert [type(error) for error in collect(double)].count(LogInconsistent) == 1
    policy = WitnessPolicy.of(2, keys)
    for face in (world, double):
        with face.authority.store.read() as connection:
            note = ledger.checkpoint(connection, face.authority)
        with pytest.raises(SignatureInvalid, match="Too few"):
            verify_witnessed(note, face.authority.origin, public_key(face), policy)
    held, contradiction = witnessing.evidence(bank.authority, world.authority.origin)
    for note in (held, contradiction):
        assert note.startswith(world.authority.origin.encode() + b"\n4\n")
    assert held.split(b"\n")[2] != contradiction.split(b"\n")[2]
    server.stop()
    clinic.close()
    double.close()


def no(url: str) -> bytes:
    raise Unavailable("Not reached.", found=url)


def test_a_notebook_can_cosign(world, url, tmp_path):
    """Whoever has no server could not be a witness."""
    append(world, 3)
    analyst, memory = world.analyst, CheckpointMemory(tmp_path / "memory")
    client = AuthorityClient(url, analyst, now=world.clock)
    with pytest.raises(SignatureInvalid, match="No cosignature is by a witness"):
        client.cosign(memory)
    key = witness_key(witness_name(analyst.did), analyst.signing.public_bytes)
    witnessing.trust_witness(world.authority, key)
    assert client.cosign(memory).tree_size == 3
    note = httpx.get(url + "/log/checkpoint?witnesses=1").content
    assert verify_witnessed(note, world.authority.origin, public_key(world), WitnessPolicy.of(1, [key]))
    assert collect(world) == []  # nobody to call
    client.close()


def test_strangers_cannot_put_signatures_into_a_checkpoint(world, url):
    """Anybody could fill a checkpoint with signatures until nobody reads it."""
    append(world, 1)
    analyst = world.analyst
    witnessing.trust_witness(world.authority, witness_key("w.example", analyst.signing.public_bytes))
    before = httpx.get(url + "/log/checkpoint").content
    for size, body in (
        (1, "— w.example AAAAAAA=\n"),
        (1, "— x.example AAAAAAA=\n"),
        (1, ""),
        (1, "x"),
        (2, "— w.example AAAAAAA=\n"),
    ):
        response = httpx.post(f"{url}/v1/log/cosignatures/{size}", content=body.encode())
        assert 400 <= response.status_code < 500
    assert httpx.get(url + "/log/checkpoint").content == before


def test_two_servers_of_one_witness_keep_the_newer_checkpoint(world, bank):
    """Of two requests that race, the one with the smaller tree could be stored last, and the log fork from there."""
    origin, notes = witnessing.watch(bank.authority, log_key(world)), []
    for _ in range(2):
        append(world, 2)
        with world.authority.store.read() as connection:
            notes.append(ledger.checkpoint(connection, world.authority))
    memory = witnessing._SqlMemory(bank.authority.store)
    assert memory.replace(origin, None, notes[1])
    assert not memory.replace(origin, None, notes[0])
    assert memory.last(origin).tree_size == 4


def test_a_log_is_not_its_own_witness_and_keys_do_not_change(world, bank):
    """One party could be log and quorum at once, or replace a witness's key."""
    for call in (
        lambda: witnessing.watch(world.authority, log_key(world)),
        lambda: witnessing.trust_witness(world.authority, witnessing.own_witness_key(world.authority)),
    ):
        with pytest.raises(BadInput, match="own witness"):
            call()
    other = person("other").signing.public_bytes
    witnessing.watch(bank.authority, log_key(world))
    assert witnessing.watch(bank.authority, log_key(world)) == world.authority.origin
    with pytest.raises(BadInput, match="another key"):
        witnessing.watch(bank.authority, verifier_key(world.authority.origin, other))
    name = witnessing.trust_witness(world.authority, witnessing.own_witness_key(bank.authority))
    with pytest.raises(BadInput, match="another key"):
        witnessing.trust_witness(world.authority, witness_key(name, other))


def test_a_witness_that_does_not_answer_does_not_stop_the_others(world, bank, bank_url, url):
    """One witness that is down would keep a log from all its cosignatures."""
    append(world, 1)
    witnessing.watch(bank.authority, log_key(world))
    witnessing.trust_witness(world.authority, witnessing.own_witness_key(bank.authority), bank_url)
    for number, place in enumerate(("http://127.0.0.1:1", "http://example.com", url)):
        key = witness_key(f"a{number}.example", person(f"witness {number}").signing.public_bytes)
        witnessing.trust_witness(world.authority, key, place)
    results = collect(world)
    assert [type(result) for result in results] == [Unavailable, BadInput, UnknownName, type(None)]


# --- the database on start ------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path, "hospital")
    home.path.mkdir(parents=True)
    return home


def started(home: Home):
    return open_authority(home, anchors=TrustAnchors())


DAMAGE = {
    "a changed tile": (
        "update log_tiles set hashes = zeroblob(length(hashes)) where level = 0 and position = 1",
        "tiles",
    ),
    "a lost tile": ("delete from log_tiles where level = 1", "missing or too short"),
    "a lost entry": ("delete from log_entries where position = 299", "as many entries"),
    "an entry too many": ("update log_entries set position = 300 where position = 299", "as many entries"),
    "a changed entry": ("update log_entries set entry = x'00' where position = 299", "last entries"),
    "swapped entries": (
        "update log_entries set position = case position when 298 then -1 else 298 end where position in (298, 299);"
        "update log_entries set position = 299 where position = -1",
        "last entries",
    ),
    "another size": ("update log_checkpoint set tree_size = 299", "size of the log"),
    "another note": (
        "update log_checkpoint set note = cast(replace(cast(note as text), char(10) || '300', char(10) || '299') as blob)",
        "does not verify",
    ),
    "another log": ("update log_checkpoint set origin = 'sls-jupyter.log/other'", "another authority"),
    "no checkpoint": ("delete from log_checkpoint", "as many entries"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_log_is_not_served(home, name):
    """An authority would go on from a damaged database and contradict what it signed before."""
    authority = started(home)
    events = [ledger.Event("request.received", SUBJECT, {"number": n}) for n in range(300)]
    with authority.store.write() as connection:
        ledger.append(connection, authority, events)
    authority.store.close()
    started(home).store.close()
    statements, message = DAMAGE[name]
    with authority.store.write() as connection:
        for statement in statements.split(";"):
            connection.exec_driver_sql(statement)
    authority.store.close()
    with pytest.raises((LogInconsistent, SignatureInvalid), match=message) as error:
        started(home)
    assert error.value.found is not None or error.value.expected is not None


# --- forgetting -----------------------------------------------------------------------------------


def test_an_entry_is_proven_after_it_was_forgotten(world, url):
    """The log would have to be rewritten, or what was forgotten could be read from the database's files."""
    event = ledger.Event("request.received", SUBJECT, {"requester": "the secret name"}, {"assets": 1})
    with world.authority.store.write() as connection:
        ledger.append(connection, world.authority, [event, event])
    before = world.proof(0)
    owner = AuthorityClient(url, world.owner, now=world.clock)
    analyst = AuthorityClient(url, world.analyst, now=world.clock)
    with pytest.raises(NotAuthorised):
        analyst.forget(0)
    for index in (2, -1, 2**70):
        with pytest.raises(BadInput):
            owner.forget(index)
    owner.forget(0)
    owner.forget(0)
    with world.authority.store.read() as connection:
        kept = ledger.about(connection, SUBJECT)
    assert kept[0] == (0, None, None)
    assert kept[1][2] == b'{"requester":"the secret name"}'
    assert world.proof(0) == before
    assert verify_log_proof(before, expected_log=world.authority.did).kind == "request.received"
    owner.forget(1)
    owner.close()
    analyst.close()
    files = [path for path in Path(world.folder).glob("authority.db*") if path.is_file()]
    assert files
    assert not any(b"the secret name" in path.read_bytes() for path in files)


def test_entries_written_fast_are_the_canonical_ones():
    """An entry would hash to other bytes than a reader of the specification computes."""
    from sls_jupyter.documents import canonical_json

    facts = {"tee": "sev-snp", "measurement": "0" * 96, "keys": 2**53 - 1, "columns": 0}
    entry = Entry.from_json({"kind": "key.released", "at": NOW, "facts": facts, "commitment": SUBJECT})
    assert entry.payload() == canonical_json(entry.model_dump(mode="json"))
    assert Entry.parse(entry.payload()) == entry
    with pytest.raises(MalformedDocument):
        Entry.from_json({"kind": "key.released", "at": NOW, "facts": {"keys": 2**53}, "commitment": SUBJECT})

"""``sls log``: what a person can do with a log from the command line, over real databases and real servers."""

from __future__ import annotations

import argparse
import contextlib
import http.server
import logging
import re
import shutil
import sys
import threading
import time
from functools import partial

import fsspec
import pytest
from tlog_reader import Reader

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority import ledger, witnessing
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.authority.witness_client import post_checkpoint
from sls_jupyter.authority.witness_loop import collecting, due
from sls_jupyter.cli.log import Working, add_log_commands, log_command
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import LogInconsistent, SlsError, Unavailable
from sls_jupyter.identity import Home
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.session import Session
from sls_jupyter.transparency.cosignature import parse_witness_key, witness_key_of
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.note import parse_verifier_key

SUBJECT = "sha256:" + "0" * 64
ACTIONS = ("publish", "keys", "watch", "trust", "witnesses", "collect", "cosign", "forget", "check")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLS_PERSONA", raising=False)
    return tmp_path / "home"


def run(*arguments: str) -> int:
    """As ``sls log`` will run it."""
    parser = argparse.ArgumentParser(prog="sls")
    parser.add_argument("--persona")
    add_log_commands(parser.add_subparsers(dest="command", required=True))
    try:
        return log_command(parser.parse_args(["log", *arguments]))
    except SlsError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1


@pytest.fixture
def sls(capsys):
    def call(*arguments):
        code = run(*arguments)
        return code, *capsys.readouterr()

    return call


class Owner:
    """A persona whose authority is served."""

    def __init__(self, root, name):
        self.name = name
        self.authority = open_authority(Home(root, name), anchors=TrustAnchors())
        self.server = AuthorityServer(self.authority, listen(0))
        self.server.start()
        self.url = self.server.url

    def append(self, count=1, word="n"):
        events = [ledger.Event("request.received", SUBJECT, {word: n}, {"assets": n}) for n in range(count)]
        with self.authority.store.write() as connection:
            ledger.append(connection, self.authority, events)

    def note(self):
        with self.authority.store.read() as connection:
            return ledger.checkpoint(connection, self.authority)

    def close(self):
        self.server.stop()
        self.authority.store.close()


@pytest.fixture
def owner(root):
    with contextlib.ExitStack() as stack:

        def make(name):
            (root / "personas" / name).mkdir(parents=True, exist_ok=True)
            return stack.enter_context(contextlib.closing(Owner(root, name)))

        yield make


def keys(sls, name):
    """Log, authority's witness key, own witness key."""
    code, out, err = sls("keys", "--persona", name)
    assert (code, err) == (0, "")
    return re.findall(r"^  (sls-jupyter\.\S+)$", out, re.M)


def witness_one_another(sls, log, witness):
    """``witness`` cosigns the log of ``log``, who can ask it."""
    assert sls("watch", keys(sls, log.name)[0], "--persona", witness.name)[0] == 0
    assert sls("trust", keys(sls, witness.name)[1], "--url", witness.url, "--persona", log.name)[0] == 0


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_explains_itself(action, capsys):
    """Somebody who does not know an action would have to read the code."""
    with pytest.raises(SystemExit) as ended:
        run(action, "--help")
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [(), ("nothing",), ("publish",), ("publish", "x", "--witnesses", "-1"), ("publish", "x", "--witnesses", "65"),
     ("trust",), ("check", "x", "--witnesses", "two"), ("cosign",)],
)  # fmt: skip
def test_bad_usage_is_2(arguments, capsys):
    """A script could not tell a wrong call from a failed one."""
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "https://example.com/log"),
        ("publish", "x", "--witnesses", "1"),
        ("watch", "nonsense"),
        ("trust", "nonsense"),
        ("trust", "nonsense", "--url", "http://example.com"),
        ("collect",),
        ("cosign", "http://127.0.0.1:1"),
        ("cosign", "nonsense"),
        ("check", "http://127.0.0.1:1"),
        ("check", "http://example.com/log"),
        ("check", "ftp://example.com/log"),
        ("check", "no-such-folder"),
        ("check", "did:key:z6Mk"),
        ("check", "x", "--witnesses", "1"),
        ("check", "x", "--witness", "a", "--witnesses", "0"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(arguments, sls, monkeypatch, tmp_path):
    """A wrong URL or key would end in a foreign traceback."""
    monkeypatch.chdir(tmp_path)
    code, out, err = sls(*arguments)
    assert (code, out) == (1, "")
    assert "found " in err or "→" in err
    assert "Traceback" not in err


def test_a_slow_step_shows_that_it_goes_on(capsys):
    """A person would interrupt a step that only takes long."""
    with Working() as working:
        working("reading the log: 256 of 1,000 entries")
        time.sleep(1.1)
    assert capsys.readouterr().err == "reading the log: 256 of 1,000 entries, 1 s\n"


# --- publish and check ----------------------------------------------------------------------------


def test_a_log_is_published_and_read_by_others(owner, sls, tmp_path):
    """The copy would not be a log for other people's clients, or a second call would write it all again."""
    hospital, copy = owner("hospital"), tmp_path / "www"
    hospital.append(300)
    code, out, err = sls("publish", str(copy), "--persona", "hospital")
    assert (code, err) == (0, "")
    assert "300, of which 300 are new" in out
    origin, key = parse_verifier_key(keys(sls, "hospital")[0])
    reader = Reader(lambda path: (copy / path).read_bytes(), origin, key)
    assert len(reader.entries()) == 300
    assert "up to date" in sls("publish", str(copy), "--persona", "hospital")[1]
    hospital.append(2)
    assert "302, of which 2 are new" in sls("publish", str(copy), "--persona", "hospital")[1]


def test_a_log_is_checked_wherever_it_lies(owner, sls, tmp_path):
    """An auditor could not read the log of an authority, of a folder, of a bucket or of a web server."""
    hospital = owner("hospital")
    hospital.append(300)
    log = keys(sls, "hospital")[0]
    fsspec.filesystem("memory").store.clear()
    for place in (str(tmp_path / "www"), "memory://bucket/log"):
        assert sls("publish", place, "--persona", "hospital")[0] == 0
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        web = f"http://127.0.0.1:{server.server_address[1]}"
        for place in (str(tmp_path / "www"), "memory://bucket/log", web, hospital.url, f"{hospital.url}/log/"):
            code, out, err = sls("check", place, "--log", log)
            assert (code, err) == (0, ""), place
            assert "every check passed" in out
            assert "size  300" in out
            assert "all 300 entries" in out
            assert "taken from its own name" not in out
        server.shutdown()
    assert "taken from its own name" in sls("check", hospital.url)[1]
    assert sls("check", hospital.url, "--log", hospital.authority.did)[0] == 0
    assert "A note is not signed by the key" in sls("check", hospital.url, "--log", Home.find("x").identity().did)[2]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_an_authority_that_is_connected_is_checked_by_its_did(owner, sls, root):
    """Whoever is connected to an authority would have to type its key, or believe the one in the log."""
    hospital = owner("hospital")
    hospital.append(1)
    did = hospital.authority.did
    (Home.find("me").path / "authorities.json").write_bytes(canonical_json({hospital.url: did}))
    for place in (did, hospital.url, hospital.url + "/"):
        code, out, _ = sls("check", place)
        assert code == 0
        assert "taken from its own name" not in out
    other = Home.find("me").identity().did
    (Home.find("me").path / "authorities.json").write_bytes(canonical_json({hospital.url: other}))
    assert "not signed by the key" in sls("check", hospital.url)[2]
    assert "Another authority answers" in sls("cosign", hospital.url)[2]


@pytest.mark.parametrize("file", ["tile/entries/000.p/20", "tile/0/000.p/20", "checkpoint"])
def test_a_changed_copy_is_not_accepted(owner, sls, tmp_path, file):
    """Somebody who stores the copy could change what happened."""
    owner("hospital").append(20)
    sls("publish", str(tmp_path), "--persona", "hospital")
    data = bytearray((tmp_path / file).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / file).write_bytes(data)
    code, out, err = sls("check", str(tmp_path))
    assert (code, out) == (1, "")
    assert err


def test_a_log_that_was_rolled_back_is_caught(owner, sls, tmp_path):
    """An auditor who checks today would not notice that yesterday's entries are gone."""
    hospital, old = owner("hospital"), tmp_path / "old"
    hospital.append(5)
    sls("publish", str(old), "--persona", "hospital")
    assert "never seen before" in sls("check", str(old))[1]
    hospital.append(4)
    assert "consistent with tree size 5" in sls("check", hospital.url)[1]
    code, out, err = sls("check", str(old))
    assert (code, out) == (1, "")
    assert "ends before the last checkpoint" in err
    assert "found tree size 5; expected tree size 9 or more" in err


def test_a_copy_with_another_face_is_caught_and_kept_as_evidence(owner, sls, root, tmp_path):
    """A log could show one history to its auditor and publish another."""
    hospital = owner("hospital")
    hospital.append(3)
    double = _double(owner, hospital, root)
    hospital.append(2, "a")
    double.append(2, "b")
    sls("publish", str(tmp_path / "www"), "--persona", "double")
    assert sls("check", hospital.url)[0] == 0
    code, _, err = sls("check", str(tmp_path / "www"))
    assert code == 1
    assert "contradicts what it said before" in err
    memory = CheckpointMemory(Home.find("me").folder("checkpoints"))
    assert len(memory.evidence(hospital.authority.origin)) == 2


def _double(owner, one, root):
    """The same authority, keys and log so far, with a database of its own from here on."""
    one.authority.store.forget()
    shutil.copytree(root / "personas" / one.name, root / "personas" / "double")
    return owner("double")


# --- witnesses ------------------------------------------------------------------------------------


def test_the_keys_are_those_that_others_need(owner, sls):
    """A log would be watched, or a witness trusted, under a key that it does not have."""
    hospital = owner("hospital")
    log, witness, own = keys(sls, "hospital")
    public = hospital.authority.identity.signing.public_bytes
    assert parse_verifier_key(log) == (hospital.authority.origin, public)
    assert witness == witnessing.own_witness_key(hospital.authority)
    assert parse_witness_key(own)[1] == Home.find("hospital").identity().signing.public_bytes


def test_two_authorities_witness_one_another(owner, sls, tmp_path):
    """Two owners with nothing but a command line could not vouch for each other."""
    hospital, bank = owner("hospital"), owner("bank")
    for log, witness in ((hospital, bank), (bank, hospital)):
        log.append(4)
        witness_one_another(sls, log, witness)
        code, out, err = sls("collect", "--persona", log.name)
        assert (code, err) == (0, "")
        assert out.count("\n") == 1
        assert out.startswith(f"✓ sls-jupyter.witness/{witness.authority.did}")
        assert "cosigned tree size 4" in out
    trusted = ["--witness", keys(sls, "bank")[1]]
    code, out, err = sls("check", hospital.url, *trusted)
    assert (code, err) == (0, "")
    assert "cosigned by 1 of 1 witnesses, 1 demanded" in out
    hospital.append(2)
    assert sls("check", hospital.url)[0] == 0  # six entries are seen
    assert "consistent with tree size 6" in sls("check", hospital.url, *trusted)[1]  # of which four are witnessed
    assert sls("publish", str(tmp_path), "--witnesses", "1", "--persona", "hospital")[0] == 0
    assert "Too few witnesses" in sls("check", str(tmp_path), "--witness", keys(sls, "hospital")[2])[2]
    out = sls("witnesses", "--persona", "hospital")[1]
    assert "6 entries" in out
    assert re.search(rf"witness/{bank.authority.did} +4 +{bank.url}", out)
    assert re.search(rf"log/{bank.authority.did} +4$", out, re.M)


def test_a_log_with_two_faces_is_caught_by_its_witnesses(owner, sls, root):
    """An authority could show its two witnesses two logs, and each reader the one it likes."""
    hospital, bank, clinic = owner("hospital"), owner("bank"), owner("clinic")
    double = _double(owner, hospital, root)
    hospital.append(4, "a")
    double.append(4, "b")
    witness_one_another(sls, hospital, bank)
    witness_one_another(sls, double, clinic)
    for face in ("hospital", "double"):
        assert sls("collect", "--persona", face)[0] == 0
    assert "FORKED" not in sls("witnesses", "--persona", "clinic")[1]
    witness_one_another(sls, hospital, clinic)
    code, out, err = sls("collect", "--persona", "hospital")
    assert (code, err) == (1, "")
    assert f"✗ sls-jupyter.witness/{clinic.authority.did}\n  LogInconsistent: " in out
    assert f"✓ sls-jupyter.witness/{bank.authority.did}" in out
    code, out, _ = sls("witnesses", "--persona", "clinic")
    assert code == 0
    assert "FORKED" in out
    told = out.partition("shows two faces")[2]
    for face in (hospital, double):
        text = face.note().decode().partition("\n\n")[0]
        assert all(f"    {line}\n" in told for line in text.splitlines())


def test_a_notebook_brings_its_cosignature(owner, sls):
    """Whoever has no server could not be a witness, or would not know why it is not one."""
    hospital = owner("hospital")
    hospital.append(3)
    own = keys(sls, "analyst")[2]
    code, out, err = sls("cosign", hospital.url, "--persona", "analyst")
    assert (code, out) == (1, "")
    assert f"sls log trust {own}" in err
    assert "it brings them" in sls("trust", own, "--persona", "hospital")[1]
    code, out, err = sls("cosign", hospital.url, "--persona", "analyst")
    assert (code, err) == (0, "")
    assert out == f"You cosigned tree size 3 of {hospital.authority.origin}\n"
    assert sls("check", hospital.url, "--witness", own, "--witnesses", "1")[0] == 0
    assert re.search(r" +3 +brings them itself", sls("witnesses", "--persona", "hospital")[1])
    assert "No witness of this log can be asked" in sls("collect", "--persona", "hospital")[2]


def test_a_notebook_cosigns_by_a_magic(owner, sls, root):
    """Who works in a notebook need not open a terminal to be a witness."""
    hospital = owner("hospital")
    hospital.append(2)
    session = Session(Home(root, "analyst"))
    with contextlib.closing(session):
        sls("trust", session.witness_key(), "--persona", "hospital")
        options = command_parsers()["cosign"].parse([hospital.url])
        card = str(COMMANDS["cosign"](Context(session, options)))
    assert hospital.authority.origin in card
    assert sls("check", hospital.url, "--witness", witness_key_of(session.did))[0] == 0


def test_a_meaning_is_forgotten_and_its_entry_is_not(owner, sls):
    """An owner who has to forget somebody cannot, or breaks the log by it."""
    hospital = owner("hospital")
    hospital.append(2)
    code, out, err = sls("forget", "1", "--persona", "hospital")
    assert (code, err) == (0, "")
    assert "Entry 1 stays in the log" in out
    with hospital.authority.store.read() as connection:
        assert [salt is None for _, salt, _ in ledger.about(connection, SUBJECT)] == [False, True]
    assert sls("check", hospital.url)[0] == 0
    assert "no such entry" in sls("forget", "2", "--persona", "hospital")[2]
    code, out, err = sls("forget", "0", "2", "--persona", "hospital")
    assert (code, err) == (1, "")
    assert out.startswith("Entry 0 stays in the log")  # what was done is told, though another could not be
    assert "no such entry" in out


def test_a_notebook_does_not_cosign_two_faces(owner, sls, root):
    """A log could collect one notebook's word for two histories."""
    hospital = owner("hospital")
    sls("trust", keys(sls, "analyst")[2], "--persona", "hospital")
    double = _double(owner, hospital, root)
    hospital.append(3, "a")
    double.append(3, "b")
    assert sls("cosign", hospital.url, "--persona", "analyst")[0] == 0
    code, out, err = sls("cosign", double.url, "--persona", "analyst")
    assert (code, out) == (1, "")
    assert "contradicts what it said before" in err


def test_one_witness_that_fails_does_not_stop_the_others(owner, sls):
    """One witness that is down would keep a log from all its cosignatures, or nobody would notice."""
    hospital, bank = owner("hospital"), owner("bank")
    hospital.append(1)
    witness_one_another(sls, hospital, bank)
    assert sls("trust", keys(sls, "clinic")[1], "--url", "http://127.0.0.1:1", "--persona", "hospital")[0] == 0
    code, out, _ = sls("collect", "--persona", "hospital")
    assert code == 1
    assert sorted(re.findall(r"^[✓✗]", out, re.M)) == ["✓", "✗"]
    assert "Unavailable: A witness does not answer." in out


def test_views_work_while_the_authority_is_busy(owner, sls, tmp_path):
    """An owner would have to stop the authority to look at its log."""
    hospital, ending = owner("hospital"), threading.Event()
    witness_one_another(sls, hospital, owner("bank"))

    def load():
        while not ending.wait(0.02):
            hospital.append(20)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(3):
            for arguments in (("witnesses",), ("keys",), ("collect",), ("publish", str(tmp_path / "www"))):
                assert sls(*arguments, "--persona", "hospital")[0] == 0
            assert sls("check", hospital.url)[0] == 0
    finally:
        ending.set()
        thread.join()


# --- by itself, while an authority is served ------------------------------------------------------


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_served_authority_collects_by_itself(owner, sls):
    """A log would stay unwitnessed until its owner thinks of it, or ask its witnesses without end."""
    hospital, bank, asked = owner("hospital"), owner("bank"), []
    witness_one_another(sls, hospital, bank)
    before = {thread for thread in threading.enumerate() if thread.name == "sls-witnesses"}

    def post(url, request):
        asked.append(url)
        return post_checkpoint(url, request)

    with collecting(hospital.authority, every=0.01, post=post) as collector:
        time.sleep(0.1)
        assert asked == []  # an empty log has nothing to cosign
        for size in (3, 6):
            hospital.append(3)
            until(lambda: not due(hospital.authority))
            assert hospital.note().count(b"sls-jupyter.witness/") == 1
            assert hospital.note().split(b"\n")[1] == str(size).encode()
        calls = len(asked)
        time.sleep(0.1)
        assert len(asked) == calls
        assert collector.rounds == 2
        assert not collector.failures
    hospital.append(1)
    time.sleep(0.05)
    assert due(hospital.authority) == {f"{bank.url}/add-checkpoint"}
    assert {thread for thread in threading.enumerate() if thread.name == "sls-witnesses"} == before


def test_witnesses_that_fail_do_not_end_the_server(owner, sls, caplog):
    """A witness could stop an authority, fill its log, or write into it what it likes."""
    hospital, bank, asked = owner("hospital"), owner("bank"), []
    witness_one_another(sls, hospital, bank)
    sls("trust", keys(sls, "clinic")[1], "--url", "http://127.0.0.1:1", "--persona", "hospital")
    hospital.append(1)
    errors = [Unavailable("SECRET"), ValueError("SECRET"), LogInconsistent("SECRET")]

    def post(url, request):
        asked.append(url)
        if url.startswith(bank.url):
            return post_checkpoint(url, request)
        raise errors[min(asked.count(url) - 1, 2)]

    with caplog.at_level(logging.DEBUG), collecting(hospital.authority, every=0.01, post=post) as collector:
        until(lambda: collector.rounds > 20)
    assert asked.count(f"{bank.url}/add-checkpoint") == 1  # what it cosigned, it is not asked for again
    assert hospital.note().count(b"sls-jupyter.witness/") == 1
    assert collector.failures["Unavailable"] == collector.failures["ValueError"] == 1
    assert collector.failures["LogInconsistent"] >= 10
    told = [record.getMessage() for record in caplog.records if record.name.endswith("witness_loop")]
    assert [text.rpartition(": ")[2] for text in told] == ["Unavailable (1)", "ValueError (1)", "LogInconsistent (1)"]
    assert "SECRET" not in caplog.text


def test_the_end_of_a_server_does_not_wait_for_all_witnesses(owner, sls):
    """Closing a notebook would hang as long as every witness takes to time out."""
    hospital, asked, entered = owner("hospital"), [], threading.Event()
    for name in ("bank", "clinic"):
        sls("trust", keys(sls, name)[1], "--url", f"http://127.0.0.1:1/{name}", "--persona", "hospital")
    hospital.append(1)

    def slow(url, _):
        asked.append(url)
        entered.set()
        time.sleep(0.3)
        raise Unavailable("slow")

    start = time.monotonic()
    with collecting(hospital.authority, post=slow):
        assert entered.wait(5)
    assert time.monotonic() - start < 2
    assert len(asked) == 1


def test_a_log_s_key_is_told_from_a_witness_s(sls, owner):
    """The two look alike; the mistake is named before anybody is asked."""
    owner("hospital")
    log = keys(sls, "hospital")[0]
    for arguments in (("trust", log, "--persona", "hospital"), ("check", "http://127.0.0.1:1", "--witness", log)):
        code, out, err = sls(*arguments)
        assert (code, out) == (1, "")
        assert "This is a log's key; a witness's key begins with sls-jupyter.witness/" in err
    assert "not the verifier key" in sls("check", "http://127.0.0.1:1", "--witness", "x+y+eA==")[2]


def test_a_misspelt_persona_gets_no_authority(sls, owner, root):
    """A slip of the pen does not publish, or trust for, an empty log of its own."""
    owner("hospital")
    for arguments in (("witnesses",), ("forget", "1"), ("collect",)):
        code, out, err = sls(*arguments, "--persona", "hosptal")
        assert (code, out) == (1, "")
        assert "Did you mean hospital?" in err
    assert not (root / "personas" / "hosptal").exists()

"""The command line: the same cards as text, errors in three lines, an authority that refuses to be overheard."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
from notebook_kit import frame
from receipt_kit import signed_run, worlds_at

import sls_jupyter
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.cli import main
from sls_jupyter.errors import AccessDenied
from sls_jupyter.identity import Home
from sls_jupyter.notebook import commands
from sls_jupyter.notebook.cards import Card
from sls_jupyter.safestream.request import ask_all
from sls_jupyter.session import Session
from tests.builders import IMAGE


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    monkeypatch.delenv("SLS_PERSONA", raising=False)
    return tmp_path


def sls(capsys, *arguments):
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_version(capsys):
    """--version names the installed version."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert sls_jupyter.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nothing"], ["approve"], ["deny", "x"], ["authority"], ["runs", "--x"]])
def test_bad_usage_is_2(arguments, capsys):
    """A script can tell a wrong call from a failed one."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_whoami_of_a_persona(capsys):
    """--persona says whose folder is meant."""
    code, out, _ = sls(capsys, "--persona", "hospital", "whoami")
    assert code == 0
    assert out.startswith("You are hospital\n  There is no agent (SLS_AGENT=0 switches it off)")
    assert "\n  DID     did:key:z6Mk" in out


@pytest.mark.parametrize(
    "command", [["assets"], ["requests"], ["requests", "--waiting", "--mine"], ["requests", "--from", "me"], ["runs"]]
)
def test_lists(command, capsys):
    """An empty list is a card too."""
    code, out, err = sls(capsys, *command)
    assert (code, err) == (0, "")
    assert out.strip()


@pytest.mark.parametrize(
    "arguments",
    [["show", "1"], ["approve", "1"], ["deny", "1", "--reason", "x"], ["audit", "1"], ["--persona", "A B", "runs"]],
)
def test_failures_are_1_with_our_lines(arguments, capsys):
    """What was found and what to do next, on standard error, without a traceback."""
    code, out, err = sls(capsys, *arguments)
    assert (code, out) == (1, "")
    assert "→" in err
    assert "Traceback" not in err


def test_a_misspelt_persona_makes_no_keys(home, capsys):
    """Whoever mistypes a name gets the right one, and not a second self without assets; the first persona is made."""
    assert sls(capsys, "whoami", "--persona", "hospital")[0] == 0
    for command in (["assets"], ["runs"], ["connect", "http://127.0.0.1:1"], ["log", "witnesses"]):
        code, out, err = sls(capsys, *command, "--persona", "hosptal")
        assert (code, out) == (1, "")
        assert "There is no persona hosptal." in err
        assert "Did you mean hospital?" in err
    for command in (["whoami"], ["authority", "serve"]):
        code, out, err = sls(capsys, *command, "--persona", "hosptal")
        assert (code, out) == (1, "")
        assert "Did you mean hospital?" in err
        assert "sls whoami --persona hosptal --new" in err
    assert not (home / "personas" / "hosptal").exists()
    assert sls(capsys, "whoami", "--persona", "analyst")[0] == 0
    assert sls(capsys, "whoami", "--persona", "hosptal", "--new")[0] == 0
    assert sls(capsys, "whoami", "--persona", "hosptal")[0] == 0
    assert sls(capsys, "assets", "--persona", "hospital")[0] == 0


@pytest.mark.parametrize("command", [["whoami"], ["assets"], ["requests"], ["runs"], ["log", "keys"]])
def test_the_persona_is_taken_before_and_after_the_command(command, capsys):
    """Nobody has to remember on which side of the command the option stands; the later one holds."""
    sls(capsys, "whoami", "--persona", "hospital")
    before, after = sls(capsys, "--persona", "hospital", *command), sls(capsys, *command, "--persona", "hospital")
    assert before == after
    assert before[0] == 0
    assert sls(capsys, "--persona", "x", *command, "--persona", "hospital") == after


def test_every_command_takes_a_persona(capsys):
    """The help of each command lists it, so that it can be written behind any of them."""
    for command in (["approve"], ["audit"], ["audit", "report"], ["receipt"], ["verify"], ["attest", "export"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert "--persona" in capsys.readouterr().out


def test_connecting_shows_the_did(home, capsys):
    """An owner's authority is made known without a notebook, with the DID to compare."""
    owner = Session(Home(home, "hospital"))
    client = owner.own_authority()
    code, out, _ = sls(capsys, "connect", client.url)
    assert code == 1  # there is a persona hospital, and none of the name me
    sls(capsys, "whoami")
    code, out, _ = sls(capsys, "connect", client.url)
    assert code == 0
    assert client.did in out
    owner.close()


def test_a_hint_can_be_pasted_where_it_stands(capsys, monkeypatch, tmp_path):
    """In a shell it is a shell's command, of the persona that was named; a notebook's are for notebooks."""
    sls(capsys, "whoami", "--persona", "hospital")
    assert "  sls --persona hospital mute WHO takes" in sls(capsys, "mute", "--persona", "hospital")[1]
    assert "→ sls --persona hospital requests lists" in sls(capsys, "--persona", "hospital", "show", "00")[2]
    monkeypatch.chdir(tmp_path)  # where the contact is saved
    said = sls(capsys, "contact", "--persona", "hospital")[1]
    assert ": sls contact add FILE" in " ".join(said.split())
    monkeypatch.setenv("SLS_PERSONA", "hospital")
    assert "  sls mute WHO takes" in sls(capsys, "mute")[1]


def test_an_incomplete_audit_is_1(monkeypatch, capsys):
    """A script sees that a log was not there, though the card has what is known."""
    monkeypatch.setitem(commands.COMMANDS, "audit", lambda _: Card("Audit", incomplete=True))
    assert sls(capsys, "audit", "1")[:2] == (1, "Audit\n")


def test_an_audit_without_its_authority_says_who_has_to_start_it(home, capsys):
    """A run of another persona, and an owner who is away, are told apart from a run that never was."""
    owner, analyst = Session(Home(home, "hospital")), Session(Home(home, "analyst"))
    owner.seal(frame(), "patients", tee="simulated-snp")
    run = analyst.run(analyst.prepare("risk = 1\n", ["patients"]))
    run._thread.join()
    analyst.close()
    owner.close()
    code, out, err = sls(capsys, "audit", run.id, "--persona", "analyst")
    assert (code, out) == (1, "")
    assert "hospital's log could not be reached" in err
    assert "→ Start it: sls agent start, or sls authority serve --persona hospital" in err
    assert (
        f"Persona analyst has it: sls --persona analyst audit {run.id}"
        in sls(capsys, "audit", run.id, "--persona", "hospital")[2]
    )


def command(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "sls_jupyter.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("arguments", [["assets"], ["--help"]])
def test_a_pipe_that_nobody_reads_any_more_is_no_error(arguments):
    """ "sls … | head" shows what head shows, and no traceback."""
    process = command(arguments)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(20) == (0 if arguments == ["--help"] else 141)  # argparse looks away by itself


def test_a_terminal_without_our_signs_shows_their_numbers(home):
    """On an ASCII terminal every character is told apart, and the command does what it does elsewhere."""
    (home / "no-receipt").write_bytes(b"{}")
    process = command(["verify", str(home / "no-receipt")], PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"")
    assert rb"\u2717 FAIL" in out


def test_a_request_is_denied_from_the_command_line(home, capsys):
    """An owner without a notebook reads the code and answers."""
    owner, analyst = Session(Home(home, "me")), Session(Home(home, "analyst"))
    owner.seal(frame(), "patients", tee="simulated-snp")
    run = analyst.run(analyst.prepare("risk = 1\n", ["patients"]))
    run._thread.join()
    (request,) = owner.requests()
    assert "1  │ risk = 1" in sls(capsys, "show", request.id)[1]
    assert "Denied request" in sls(capsys, "deny", request.id, "--reason", "no")[1]
    analyst.close()
    owner.close()


def test_people_have_names_on_the_command_line(home, tmp_path, capsys):
    """A contact goes from one person to another as a file, and names are given and listed."""
    board, mine = Session(Home(tmp_path / "elsewhere", "board")), Session(Home(home, "me"))
    board.save_contact(tmp_path / "board.json")
    assert "Kept the contact of board" in sls(capsys, "contact", "add", str(tmp_path / "board.json"))[1]
    assert "You call them the board" in sls(capsys, "name", "board", "the board")[1]
    code, out, _ = sls(capsys, "contacts")
    assert (code, "the board" in out, board.did in out) == (0, True, True)
    assert "Saved your contact" in sls(capsys, "contact", str(tmp_path / "me.json"))[1]
    assert board.recipient(str(tmp_path / "me.json")).did == mine.did
    code, _, err = sls(capsys, "contact", "add", str(tmp_path / "me.json"), "--as", "me")
    assert code == 0
    code, _, err = sls(capsys, "name", mine.did, "boss")
    assert (code, "folder" in err) == (1, True)
    board.close()
    mine.close()


FORGED = "Dr. Weber\n  state    … open\n  Code, exactly as it will run\n\n  1  │ risk = 1\x1b[2J\x9b\u202e" + "\n" * 60


def test_a_stranger_s_name_and_purpose_forge_no_line_in_a_terminal(home, tmp_path, capsys):
    """What sls prints about a stranger's request has the lines that it would have anyway, and steers nothing."""
    owner, stranger = Session(Home(home, "me")), Session(Home(tmp_path / "elsewhere", "stranger"))
    stranger.identity = replace(stranger.identity, name=FORGED.split("\n")[0] + " │ state … open")
    owner.seal(frame(), "patients", tee="simulated-snp")
    stranger.connect(owner.own_authority().url, name="the hospital")
    request = stranger.prepare("risk = patients\n", ["patients"], purpose=FORGED)
    ask_all(request, stranger._run_clients(request))  # whatever evidence their machine makes
    (request,) = owner.requests()
    for words in (["requests"], ["show", request.id]):
        code, out, _ = sls(capsys, *words)
        assert code == 0
        assert not set("\x1b\x9b\u202e") & set(out)
        assert "⟦U+000A⟧" in out
        assert not [line for line in out.splitlines() if line.strip() in ("state    … open", "1  │ risk = 1")]
    assert "\n  1  │ risk = patients\n" in out
    stranger.close()
    owner.close()


def test_a_refusal_says_whose_words_it_is(home, capsys):
    """Reasons and advice come from the owner's authority, and are not printed as if they were ours."""
    owner, analyst = Session(Home(home, "me")), Session(Home(home, "analyst"))
    owner.seal(frame(), "patients", tee="simulated-snp", requester=[owner.did])
    with pytest.raises(AccessDenied) as caught:
        analyst.run(analyst.prepare("risk = 1\n", ["patients"])).wait()
    assert "authority says: " in caught.value.lines()[0]
    assert all("authority advises: " in line for line in caught.value.lines() if "→" in line)
    analyst.close()
    owner.close()


# --- sls verify, sls audit report, sls receipt ------------------------------------------------------


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A run whose receipt verifies, and the file."""
    folder = tmp_path_factory.mktemp("signed")
    run = signed_run(worlds_at(folder))
    return run, run.receipt().save(folder / "receipt.json")


ACCEPT = ("--accept-simulated", "--image", IMAGE.digest)


def test_a_receipt_is_verified_without_a_folder(signed, home, monkeypatch, capsys):
    """An auditor needs the file and nothing else; what nobody pinned is listed; 0 is accepted, 1 refused."""
    monkeypatch.setenv("SLS_HOME", str(home / "none"))
    run, path = signed
    code, out, err = sls(capsys, "verify", str(path), *ACCEPT)
    assert (code, err) == (0, "")
    assert out.startswith("ACCEPTED · SIMULATED")
    assert "Taken from the receipt itself" in out
    owners = [word for item in run.spec.inputs for word in ("--owner", item.owner)]
    logs = [word for item in run.spec.inputs for word in ("--log", item.authority)]
    code, out, _ = sls(capsys, "verify", str(path), *ACCEPT, *owners, *logs)
    assert (code, "--owner did" in out) == (0, False)
    assert sls(capsys, "verify", str(path), *ACCEPT, *owners[:2])[0] == 1
    assert sls(capsys, "verify", str(path), "--image", IMAGE.digest)[0] == 1
    assert list(home.iterdir()) == []


def test_the_verdict_for_programs(signed, capsys):
    """--json has the word, every check with its number, and what was taken on trust."""
    code, out, _ = sls(capsys, "verify", str(signed[1]), "--json", *ACCEPT)
    found = json.loads(out)
    assert (code, found["verdict"]) == (0, "ACCEPTED, SIMULATED")
    assert [one["number"] for one in found["checks"]] == list(range(1, len(found["checks"]) + 1))
    assert {one["what"] for one in found["taken_from_the_receipt"]} == {"owner", "log", "simulated root"}
    code, out, _ = sls(capsys, "verify", str(signed[1]), "--json")
    assert (code, json.loads(out)["accepted"]) == (1, False)


def test_a_changed_byte_and_another_file_are_refused(signed, home, capsys):
    """1 for whatever was read and is no good receipt, with the reason; evidence is sent to its own command."""
    data = signed[1].read_bytes()
    (home / "changed").write_bytes(data.replace(b"recorded", b"recordee", 1))
    (home / "half").write_bytes(data[: data.index(b'"statement"') // 2])
    (home / "empty").write_bytes(b"")
    (home / "evidence").write_bytes(signed[0].receipt().stated().evidence.encode())
    for name, says in (
        ("changed", "changed or cut off"),
        ("half", "changed or cut off"),
        ("empty", "not a receipt"),
        ("evidence", "sls attest verify"),
    ):
        code, out, err = sls(capsys, "verify", str(home / name), *ACCEPT)
        assert (code, err) == (1, "")
        assert out.startswith("REFUSED\n")
        assert says in out
    assert "sls attest verify" in json.loads(sls(capsys, "verify", "--json", str(home / "evidence"))[1])["advice"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere.json"],
        ["."],
        ["--owner", "me"],
        ["--log", "x"],
        ["--image", "x"],
        ["--witness", "x"],
        ["--witnesses", "2"],
    ],
)
def test_what_cannot_be_used_is_2(arguments, signed, capsys):
    """A script can tell a bad receipt from a bad call."""
    file = [] if len(arguments) == 1 else [str(signed[1])]
    code, out, err = sls(capsys, "verify", *file, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_audit_report_is_one_command(home, monkeypatch, capsys):
    """Both words are read, wherever the options stand; an unknown run is an error and writes nothing."""
    monkeypatch.chdir(home)
    for words in (["report", "1"], ["report", "--output", "x.html", "1"], ["report", "1", "--output", "x.html"]):
        code, out, err = sls(capsys, "audit", *words)
        assert (code, out) == (1, "")
        assert "no such run" in err
    assert sls(capsys, "receipt", "1")[0] == 1
    assert not list(home.glob("*.html")) + list(home.glob("*.json"))


def test_log_is_a_command(capsys):
    """sls log hangs on the same command line."""
    code, out, err = sls(capsys, "log", "witnesses")
    assert (code, err) == (0, "")
    assert out


# --- sls authority serve --------------------------------------------------------------------------


def serve(*arguments, lines=3):
    """The command in a process of its own, and the lines it printed when it was ready."""
    command = [sys.executable, "-m", "sls_jupyter.cli", "authority", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    return process, [process.stdout.readline().strip() for _ in range(lines)]


def stop(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_serving_prints_did_and_url_and_answers_there(capsys):
    """An organisation's authority runs until it is interrupted, and ends in good order."""
    process, (name, did, url, warning) = serve(
        "--persona", "hospital", "--port", "0", "--accept-simulated", "self", lines=4
    )
    try:
        assert name == "hospital's authority"
        client = AuthorityClient(url.split()[-1])
        facts = client.about()
        client.close()
        assert facts.did == did.split()[-1]
        assert "simulated-snp" in facts.tees
        assert facts.simulated_roots == (sls(capsys, "attest", "root")[1].strip(),)
    finally:
        code, _, err = stop(process)
    assert (code, err) == (0, "")
    assert "SIMULATED" in warning


def test_a_root_pin_that_was_printed_is_what_another_authority_can_believe(home, monkeypatch, capsys):
    """`sls attest root > FILE` on one side is `--accept-simulated FILE` on the other."""
    code, pin, err = sls(capsys, "attest", "root")
    assert (code, len(pin), err) == (0, 65, "")
    (home / "root.txt").write_text(pin)
    monkeypatch.setenv("SLS_HOME", str(home / "another"))
    assert sls(capsys, "attest", "root")[1] != pin
    process, (*_, url, _) = serve("--port", "0", "--accept-simulated", str(home / "root.txt"), lines=4)
    try:
        client = AuthorityClient(url.split()[-1])
        assert client.about().simulated_roots == (pin.strip(),)
        client.close()
    finally:
        assert stop(process)[0] == 0


def test_without_asking_no_simulated_evidence_is_believed():
    """A service believes hardware only, unless its operator says otherwise."""
    process, (_, _, url) = serve("--port", "0")
    try:
        client = AuthorityClient(url.split()[-1])
        facts = client.about()
        assert [kind for kind in facts.tees if kind.startswith("simulated")] == []
        assert facts.simulated_roots == ()
        client.close()
    finally:
        assert stop(process)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "needs TLS"),
        (["--host", "example.org"], "needs TLS"),
        (["--tls-cert", "x.pem"], "certificate and its key"),
        (["--tls-cert", "x.pem", "--tls-key", "y.pem"], "no such file"),
        (["--accept-simulated", "nowhere"], "root pin"),
        (["--port", "99999"], "no such port"),
    ],
)
def test_what_cannot_be_served(arguments, says, capsys):
    """It refuses to listen beyond this machine without TLS, and says what is wrong with the rest."""
    code, out, err = sls(capsys, "authority", "serve", *arguments)
    assert (code, out) == (1, "")
    assert says in err


def test_a_port_that_is_taken_is_named(capsys):
    """A second server on one port says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = sls(capsys, "authority", "serve", "--port", port)
    assert (code, out) == (1, "")
    assert f"127.0.0.1 port {port}" in err


def test_a_certificate_that_is_none_is_named(home, capsys):
    """Bad PEM is found before anything is announced."""
    for name in ("x.pem", "y.pem"):
        (home / name).write_text("not PEM")
    arguments = (
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--tls-cert",
        str(home / "x.pem"),
        "--tls-key",
        str(home / "y.pem"),
    )
    code, out, err = sls(capsys, "authority", "serve", *arguments)
    assert (code, out) == (1, "")
    assert "cannot be used" in err

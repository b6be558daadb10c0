"""The command line: the same cards as text, errors in three lines, an authority that refuses to be overheard."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from notebook_kit import frame

import sls_jupyter
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.cli import main
from sls_jupyter.identity import Home
from sls_jupyter.session import Session


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


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["approve"], ["deny", "x"], ["authority"], ["runs", "--x"]])
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
    assert out.startswith("You are hospital\n  DID     did:key:z6Mk")


@pytest.mark.parametrize("command", ["assets", "requests", "runs"])
def test_lists(command, capsys):
    """An empty list is a card too."""
    code, out, err = sls(capsys, command)
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


def test_a_request_is_denied_from_the_command_line(home, capsys):
    """An owner without a notebook reads the code and answers."""
    owner, analyst = Session(Home(home, "me")), Session(Home(home, "analyst"))
    owner.seal(frame(), "patients", tee="simulated-snp")
    run = analyst.run(analyst.prepare("risk = 1\n", ["patients"]))
    run._thread.join()
    (request,) = owner.requests()
    assert "    risk = 1" in sls(capsys, "show", request.id)[1]
    assert "Denied request" in sls(capsys, "deny", request.id, "--reason", "no")[1]
    analyst.close()
    owner.close()


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


def test_serving_prints_did_and_url_and_answers_there():
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
        assert facts.tees == ("simulated-snp",)
    finally:
        code, _, err = stop(process)
    assert (code, err) == (0, "")
    assert "SIMULATED" in warning


def test_without_asking_no_simulated_evidence_is_believed():
    """A service believes hardware only, unless its operator says otherwise."""
    process, (_, _, url) = serve("--port", "0")
    try:
        client = AuthorityClient(url.split()[-1])
        assert client.about().tees == ()
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
    arguments = ("--host", "0.0.0.0", "--tls-cert", str(home / "x.pem"), "--tls-key", str(home / "y.pem"))
    code, out, err = sls(capsys, "authority", "serve", *arguments)
    assert (code, out) == (1, "")
    assert "cannot be used" in err

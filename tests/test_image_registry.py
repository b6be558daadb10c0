"""Registries: what is pushed is what is pulled, byte for byte; strangers' answers are bounded; secrets stay where they belong."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.server
import json
import logging
import logging.config
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from image_kit import digest, vector, vectors, write_layout

from sls_jupyter.cli import main
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    MalformedDocument,
    NotAuthorised,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.image.distribution.calls import Calls
from sls_jupyter.image.distribution.credentials import Credential, find
from sls_jupyter.image.distribution.reference import Reference
from sls_jupyter.image.distribution.registry import Registry
from sls_jupyter.image.distribution.token import Tokens
from sls_jupyter.image.finding import roots

CASES = vectors()[:2]
PLAIN = [vector(case["file"]) for case in CASES]
ROOTS = [case["root"] for case in CASES]


@pytest.fixture
def layout(tmp_path):
    write_layout(tmp_path / "oci", [(PLAIN[0], PLAIN[0], ""), (PLAIN[1], gzip.compress(PLAIN[1]), "+gzip")])
    return tmp_path / "oci"


@pytest.fixture
def docker_registry(tmp_path):
    """Debian's docker-registry on this machine: its HOST:PORT."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed: apt-get install docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "config.yml").write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(tmp_path / "store")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    log = (tmp_path / "registry.log").open("wb")
    process = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "config.yml")], stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_an_image_comes_back_as_it_was_pushed(docker_registry, layout, capsys, monkeypatch):
    """The digest that is deployed is the one that was built; what was there is not sent again; pieces work as one."""
    monkeypatch.setattr("sls_jupyter.image.distribution.registry.WHOLE", 5000)
    name = f"{docker_registry}/sls/guest"
    assert main(["image", "push", str(layout), f"{name}:1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said[:-1]] == ["sent"] * 3
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    assert said[-1] == f"{name}@{manifest}"
    assert [root for root, _ in roots(f"{name}:1")] == ROOTS
    assert [root for root, _ in roots(said[-1])] == ROOTS
    assert main(["image", "push", str(layout), f"{name}:2"]) == 0
    assert capsys.readouterr().out.count("there already") == 3
    with pytest.raises(UnknownName):
        roots(f"{name}:none")


def test_a_blob_that_changed_is_not_pushed(docker_registry, layout):
    """A digest in a registry stands for its bytes, also when it is ours that lie."""
    blob = layout / "blobs" / "sha256" / digest(PLAIN[0])[7:]
    blob.write_bytes(b"x" * len(PLAIN[0]))
    with pytest.raises(SlsError):
        main_push(layout, docker_registry)


def test_nothing_is_asked_about_a_blob_that_lies_or_is_a_link(standin, layout, tmp_path):
    """A layout from elsewhere must not send a private file, byte for byte, to a registry."""
    blob = layout / "blobs" / "sha256" / digest(PLAIN[0])[7:]
    blob.write_bytes(b"x" * len(PLAIN[0]))
    with pytest.raises(DigestMismatch, match="nothing was sent"):
        main_push(layout, standin)
    (tmp_path / "private").write_bytes(PLAIN[0])
    blob.unlink()
    blob.symlink_to(tmp_path / "private")
    with pytest.raises(MalformedDocument, match="link"):
        main_push(layout, standin)
    assert Standin.seen == []


def main_push(layout: Path, host: str) -> None:
    from sls_jupyter.image.distribution.push import push

    reference = Reference.parse(f"{host}/sls/guest:1")
    with Registry(reference) as registry:
        push(layout, reference, registry, lambda _: None)


class Standin(http.server.BaseHTTPRequestHandler):
    """A registry that asks for a token, and a token service; `behave` says how."""

    behave = ""
    seen: list[tuple[str, str]] = []  # noqa: RUF012
    blobs: dict[str, bytes] = {}  # noqa: RUF012

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "200000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" ")
                time.sleep(0.02)

    def do_GET(self):
        if self.behave == "drip":
            return self.drip()
        return self.usual()

    def usual(self):
        if self.behave.startswith("realm ") and not self.path.startswith("/token"):
            return self.answer(401, WWW_Authenticate=f'Bearer realm="{self.behave[6:]}"')
        authorization = self.headers.get("Authorization", "")
        self.seen.append((self.path.split("?")[0], authorization))
        host = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.startswith("/token"):
            wanted = "Basic " + base64.b64encode(b"me:secret").decode()
            if authorization != wanted:
                return self.answer(401)
            return self.answer(200, json.dumps({"token": "T1"}).encode())
        if self.path.startswith("/elsewhere/"):
            return self.answer(200, self.blobs["sha256:" + self.path.split("?")[0].rsplit("/", 1)[1]])
        if authorization != "Bearer T1":
            realm = "http://token.example/token" if self.behave == "plain realm" else f"{host}/token"
            return self.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s",scope="repository:a/b:pull"')
        which = self.path.rsplit("/", 1)[1]
        if "/manifests/" in self.path:
            return self.answer(200, self.blobs["manifest"], Content_Type="application/vnd.oci.image.manifest.v1+json")
        if self.behave == "redirect":
            target = f"http://localhost:{self.server.server_address[1]}/elsewhere/{which[7:]}?sig=SIGNED"
            return self.answer(307, Location=target)
        if self.behave.startswith("location "):
            return self.answer(307, Location=self.behave[9:])
        if self.behave == "round":
            return self.answer(307, Location=self.path)
        data = self.blobs[which] + (b"more" if self.behave == "more" else b"")
        return self.answer(200, data)


@pytest.fixture
def standin(layout, tmp_path, monkeypatch):
    folder = tmp_path / "auth"
    folder.mkdir()
    monkeypatch.setattr(Standin, "behave", "")
    monkeypatch.setattr(Standin, "seen", [])
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    monkeypatch.setattr(Standin, "blobs", {**blobs, "manifest": blobs[manifest]})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Standin) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        host = f"127.0.0.1:{server.server_address[1]}"
        auths = {"auths": {host: {"auth": base64.b64encode(b"me:secret").decode()}}}
        (folder / "auth.json").write_text(json.dumps(auths))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(folder / "auth.json"))
        yield host
        server.shutdown()
        thread.join()


def test_a_token_is_fetched_with_the_credential_and_used(standin):
    """Private registries work with the credentials that podman or docker keep."""
    assert [root for root, _ in roots(f"{standin}/a/b:1")] == ROOTS
    assert ("/token", "Basic " + base64.b64encode(b"me:secret").decode()) in Standin.seen


def test_no_token_follows_a_redirect(standin, monkeypatch):
    """Blobs lie at a storage service that must not see the registry's token."""
    monkeypatch.setattr(Standin, "behave", "redirect")
    assert [root for root, _ in roots(f"{standin}/a/b:1")] == ROOTS
    elsewhere = [authorization for path, authorization in Standin.seen if path.startswith("/elsewhere/")]
    assert elsewhere == [""] * len(elsewhere) != []


@pytest.mark.parametrize(
    ("behave", "error"), [("round", Unavailable), ("more", SlsError), ("plain realm", Unavailable)]
)
def test_a_registry_that_misbehaves_is_left(standin, monkeypatch, behave, error):
    """No endless redirect, no answer without bound, no password over plain HTTP."""
    monkeypatch.setattr(Standin, "behave", behave)
    with pytest.raises(error) as caught:
        roots(f"{standin}/a/b:1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("word", ["https://[", "https://a b\x01c/", "https://a:99999999/", "https://xn--/", ""])
@pytest.mark.parametrize("where", ["realm", "location"])
def test_a_url_that_is_none_is_said_as_such(standin, monkeypatch, where, word):
    """A hostile registry ends a call with a sentence, not with a traceback of the HTTP library."""
    monkeypatch.setattr(Standin, "behave", f"{where} {word}")
    with pytest.raises(Unavailable):
        roots(f"{standin}/a/b:1")


def test_an_answer_that_drips_ends(standin, monkeypatch):
    """A byte now and then keeps no notebook waiting: not for a token, a manifest or a layer."""
    monkeypatch.setattr("sls_jupyter.image.distribution.calls.SECONDS", 0.5)
    monkeypatch.setattr(Standin, "behave", "drip")
    with pytest.raises(Unavailable, match="or stopped"):
        roots(f"{standin}/a/b:1")
    challenge = f'Bearer realm="http://{standin}/token"'
    with Calls(f"http://{standin}") as calls, pytest.raises(Unavailable, match="or stopped"):
        Tokens(calls, Reference.parse(f"{standin}/a/b"), None).renew(challenge)
    monkeypatch.setattr(Standin, "behave", "")
    monkeypatch.setattr("sls_jupyter.image.distribution.calls.SECONDS", 30.0)
    monkeypatch.setattr("sls_jupyter.image.distribution.registry.BLOB_SECONDS", -1.0)
    with pytest.raises(Unavailable, match="or stopped"):
        roots(f"{standin}/a/b:1")


def test_a_public_registry_sends_us_to_no_service_of_this_machine(standin):
    """Neither to a token service over plain HTTP nor, with TLS, to an address that is not public."""
    reference = Reference.parse("registry.example/a/b")
    with Calls(reference.origin) as calls:
        for realm in (f"http://{standin}/token", f"http://localhost:{standin.split(':')[1]}/token"):
            with pytest.raises(Unavailable, match="without TLS"):
                Tokens(calls, reference, None).renew(f'Bearer realm="{realm}"')
        for host in (standin, f"localhost:{standin.split(':')[1]}"):
            with pytest.raises(Unavailable):
                calls.send("GET", f"http://{host}/token", most=1000, what="it")
    assert Standin.seen == []


def test_signed_urls_are_in_no_log(standin, monkeypatch, caplog):
    """A storage service's URL is a right to read; logs are kept and shared. Other clients' logs are theirs."""
    monkeypatch.setattr(Standin, "behave", "redirect")
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpcore")  # so that the level is what it was, when this test is over
    with Registry(Reference.parse(f"{standin}/a/b:1")) as registry:
        logging.config.dictConfig(
            {"version": 1, "disable_existing_loggers": False, "loggers": {"httpcore": {"level": "DEBUG"}}}
        )
        for layer in registry.image().layers:
            layer.root()
    assert "SIGNED" not in caplog.text
    httpx.get(f"http://{standin}/token", trust_env=False)
    assert "receive_response_headers.complete" in caplog.text


def test_a_wrong_password_is_said_without_it(standin, monkeypatch, tmp_path):
    """The fix is to log in; the password is in no message."""
    auths = {"auths": {standin: {"auth": base64.b64encode(b"me:wrongword").decode()}}}
    (tmp_path / "auth" / "auth.json").write_text(json.dumps(auths))
    with pytest.raises(NotAuthorised, match="token") as caught:
        roots(f"{standin}/a/b:1")
    assert "podman login" in caught.value.hint
    assert "wrongword" not in repr(caught.value) + str(caught.value)


def test_another_manifest_than_the_one_named_is_refused(standin):
    """Deployed by digest means just that."""
    wrong = "sha256:" + hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DigestMismatch):
        roots(f"{standin}/a/b@{wrong}")


@pytest.mark.parametrize(
    "name", ["python:3.11", "a/b", "host.example/UPPER", "host.example/a/../b", "host.example/a@sha256:1"]
)
def test_names_without_registry_or_sense_are_refused(name):
    """Nothing is fetched from a registry that nobody named."""
    with pytest.raises(BadInput):
        Reference.parse(name)


def test_names_of_images():
    """As podman and docker write them; TLS but on this machine."""
    found = Reference.parse("docker.io/python:3.11")
    assert (str(found), found.origin) == ("docker.io/library/python:3.11", "https://registry-1.docker.io")
    assert Reference.parse("localhost:5000/a").origin == "http://localhost:5000"
    assert Reference.parse("localhost.example/a").origin == "https://localhost.example"
    assert Reference.parse("127.0.0.1.example/a").origin == "https://127.0.0.1.example"
    assert Reference.parse("r.example/a/b@sha256:" + "0" * 64).version == "sha256:" + "0" * 64


def test_credentials_are_found_where_podman_and_docker_keep_them(tmp_path):
    """The most special name counts; a helper is asked; none is made up."""
    basic = lambda words: {"auth": base64.b64encode(words.encode()).decode()}  # noqa: E731
    docker = tmp_path / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(
        json.dumps({"auths": {"https://r.example/v1/": basic("a:1"), "r.example/team": basic("b:2"), "z.example": {}}})
    )
    assert find("r.example", "other/x", {}, tmp_path) == Credential("a", "1")
    assert find("r.example", "team/x", {}, tmp_path) == Credential("b", "2")
    assert find("s.example", "x", {}, tmp_path) is None
    assert "1" not in repr(Credential("a", "1", "1")).replace("user='a'", "")
    (docker / "config.json").write_text("[]")
    with pytest.raises(BadInput):
        find("r.example", "x", {}, tmp_path)

"""Before the routes: whose names an authority answers to, what it takes in, and that its answers are signed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from builders import NOW, World

from sls_jupyter import errors
from sls_jupyter.authority import guard
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.guard import MAX_BODY_BYTES, SMALL_BODY_BYTES
from sls_jupyter.authority.http import create_app
from sls_jupyter.authority.protocol import ANSWER_SIGNATURE, AUTHORITY, NONCE, answer_message
from sls_jupyter.documents import b64decode
from sls_jupyter.identity import make_token, verify_signature

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[World, str]]:
    world = World(tmp_path_factory.mktemp("authority"))
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    yield world, server.url
    server.stop()
    world.close()


@pytest.fixture
def url(served) -> str:
    return served[1]


def ask(url: str, method: str = "GET", path: str = "/v1/authority", **options: Any) -> httpx.Response:
    return httpx.request(method, url + path, trust_env=False, timeout=60, **options)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.2", "localhost.", "::1", "", "127.0.0.1.nip.io", "[::1]:x", "localhost:"]
)  # fmt: skip
def test_a_name_that_is_not_ours_is_not_answered(url, host):
    """A page whose name was bound to this address reads nothing."""
    found = ask(url, headers={"Host": host})
    assert (found.status_code, found.json()["title"]) == (421, "BadInput")
    assert "did" not in found.json()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_our_own_names_are(url, name):
    """Loopback names with the port are this authority's."""
    assert ask(url, headers={"Host": f"{name}:{url.rpartition(':')[2]}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:8888"}, {"Sec-Fetch-Site": "none, cross-site"},
     {"Origin": "http://["}, {"Origin": "http://[::1]evil"}, {"Origin": ""}],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/assets"), ("POST", "/v1/release"), ("OPTIONS", "/v1/release")]
)
def test_pages_of_others_are_not_answered(url, headers, method, path):
    """A web page in the owner's browser is not the owner."""
    assert ask(url, method, path, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_a_body_says_that_it_is_json(url, kind):  # fmt: skip
    """What a web page may send without asking first is not taken."""
    headers = {} if kind is None else {"Content-Type": kind}
    assert ask(url, "POST", "/v1/release", headers=headers, content=b"{}").status_code == 415
    assert (
        ask(
            url, "POST", "/v1/release", headers={"Content-Type": "application/json; charset=utf-8"}, content=b"{}"
        ).status_code
        == 400
    )


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_no_page_loads_scripts(url, path):
    """There is no page at all."""
    assert ask(url, path=path).status_code == 404


BOMBS = {
    "empty lists": b'{"x":[' + b"[]," * 2_000_000 + b"[]]}",
    "objects": b'{"x":[' + b"{}," * 2_000_000 + b"{}]}",
    "numbers": b'{"x":[' + b"1," * 3_000_000 + b"1]}",
    "members": b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}",
    "depth": b'{"x":' + b"[" * 3_000_000,
    "one number": b'{"x":' + b"9" * 3_000_000 + b"}",
    "escapes": b'{"x":"' + b"\\u0041" * 500_000 + b'"',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("path", ["/v1/release", "/v1/runs/x/records", "/v1/requests", "/v1/assets"])
def test_a_body_that_costs_much_is_refused(url, bomb, path):
    """Depth and number are bounded before anything is built from a body."""
    found = ask(url, "POST", path, headers=JSON, content=BOMBS[bomb])
    assert found.status_code in (400, 413)
    assert found.headers["content-type"] == "application/problem+json"


def test_what_a_refused_body_costs(url):
    """Nothing is built from a body of millions of values: the parser never sees it."""
    with pytest.raises(errors.MalformedDocument, match="too many values"):
        guard.parse_json(BOMBS["empty lists"], max_bytes=MAX_BODY_BYTES, max_values=guard.MAX_BODY_VALUES)


@pytest.mark.parametrize(
    "path", ["/v1/approvals", "/v1/denials", "/v1/runs/x/end", "/v1/challenges/x", "/nowhere", "/v1/authority"]
)
def test_small_calls_have_small_bodies(url, path):  # fmt: skip
    """Only calls that carry a document of size may be large."""
    content = b'{"a":"' + b"x" * SMALL_BODY_BYTES + b'"}'
    assert ask(url, "POST", path, headers=JSON, content=content).status_code == 413


def test_large_bodies_are_held_within_a_bound(url, monkeypatch):
    """Many callers with large bodies do not fill the memory; small calls go on."""
    monkeypatch.setattr(guard, "MAX_HELD_BYTES", SMALL_BODY_BYTES + 1)
    large = b'{"a":"' + b"x" * (2 * SMALL_BODY_BYTES) + b'"}'
    assert ask(url, "POST", "/v1/release", headers=JSON, content=large).status_code == 503
    assert ask(url).status_code == 200
    monkeypatch.undo()
    for _ in range(3):  # what was refused is not counted for ever
        assert ask(url, "POST", "/v1/release", headers=JSON, content=large).status_code == 400


def _require_signed(world: World, found: httpx.Response, method: str, target: str, question: bytes, nonce: str) -> None:
    did, signature = found.headers[AUTHORITY], b64decode(found.headers[ANSWER_SIGNATURE])
    assert did == world.authority.did
    verify_signature(
        did, signature, answer_message(did, nonce, method, target, question, found.status_code, found.content)
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/authority", b""),
        ("GET", "/v1/assets", b""),
        ("GET", "/v1/nothing", b""),
        ("GET", "/v1/requests", b""),
        ("GET", "/v1/log/proof/0?witnesses=1", b""),
        ("GET", "/v1/assets/%41%2F?x=%20y&z", b""),
        ("GET", "/log/checkpoint", b""),
        ("GET", "/openapi.json", b""),
        ("POST", "/v1/release", b"{}"),
        ("POST", "/v1/challenges/x", b""),
        ("PUT", "/v1/assets", b""),
    ],
)
def test_every_answer_is_signed(served, method, path, body):
    """Answers and errors alike, over question, nonce, path with query, status and body."""
    world, url = served
    nonce = "ab" * 32
    found = ask(url, method, path, headers={NONCE: nonce, **(JSON if body else {})}, content=body)
    _require_signed(world, found, method, path, body, nonce)


def test_refusals_of_the_guard_are_signed_without_the_body(served):
    """What was refused unread is refused by the authority all the same."""
    world, url = served
    nonce = "cd" * 32
    for headers, content in (({"Host": "x"}, b""), (JSON, b"{" + b" " * SMALL_BODY_BYTES + b"}"), ({}, b"x")):
        found = ask(url, "POST", "/v1/approvals", headers={NONCE: nonce, **headers}, content=content)
        assert found.status_code >= 400
        _require_signed(world, found, "POST", "/v1/approvals", b"", nonce)


def test_a_failure_nobody_foresaw_is_signed(served, monkeypatch):
    """A 500 of ours is told apart from that of whoever stands between."""
    world, url = served
    monkeypatch.setattr("sls_jupyter.authority.catalogue.newest", lambda *_: 1 / 0)
    found = ask(url, path="/v1/assets", headers={NONCE: "ef" * 32})
    assert found.status_code == 500
    _require_signed(world, found, "GET", "/v1/assets", b"", "ef" * 32)


def test_so_is_one_before_the_routes(served, monkeypatch):
    """The guard itself may fail: the caller gets an answer of ours, and the log no word of theirs."""
    world, url = served
    monkeypatch.setattr("sls_jupyter.authority.guard._is_cross_site", lambda *_: 1 / 0)
    found = ask(url, path="/v1/assets", headers={NONCE: "ef" * 32})
    assert found.status_code == 500
    _require_signed(world, found, "GET", "/v1/assets", b"", "ef" * 32)


def test_headers_that_come_in_one_piece_are_bounded_too(url):
    """What a server reads at once is no way around its bound."""
    assert ask(url, path="/v1/assets/" + "a" * 20_000).status_code == 431
    assert ask(url, headers={"X-Long": "a" * 20_000}).status_code == 431


@pytest.mark.parametrize("nonce", ["", "ab", "AB" * 32, "zz" * 32, "ab" * 33, "ab" * 31 + " a"])
def test_a_nonce_is_32_bytes(url, nonce):
    """The authority signs nothing of a caller's own making but 32 bytes."""
    found = ask(url, headers={NONCE: nonce})
    assert found.status_code == 400
    assert ANSWER_SIGNATURE not in found.headers


def test_without_a_nonce_nothing_is_signed(url):
    """Other people's clients of the log need no signature, and cost none."""
    assert ANSWER_SIGNATURE not in ask(url, path="/log/checkpoint").headers


def test_limits_by_address(tmp_path):
    """Where its operator limits addresses, a caller beyond the limit is refused before the routes."""
    world, asked = World(tmp_path), list[tuple[str, str, str]]()

    def admit(address: str, method: str, path: str) -> None:
        asked.append((address, method, path))
        if len(asked) > 2:
            raise errors.Unavailable("Too many calls.")

    app = create_app(world.authority, ["authority.example"], admit=admit)
    answers: list[int] = []

    def call() -> None:
        import asyncio

        async def run() -> None:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="https://authority.example"
            ) as one:
                answers.extend([(await one.get("/v1/authority")).status_code for _ in range(4)])

        asyncio.run(run())

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    assert answers == [200, 200, 429, 429]
    assert asked[0][1:] == ("GET", "/v1/authority")
    world.close()


def test_a_token_with_a_query_is_for_that_query(served):
    """The path with its query is what the caller signed."""
    world, url = served

    def token(path: str) -> dict[str, str]:
        made = make_token(
            world.analyst.signing, audience=world.authority.did, method="GET", path=path, body=b"", now=NOW
        )
        return {"Authorization": f"Bearer {made}"}

    path = "/v1/runs/sha256:" + "0" * 64
    for signed, called, status in (
        (path + "?witnesses=1", path + "?witnesses=1", 404),
        (path + "?witnesses=1", path + "?witnesses=2", 401),
        (path, path + "?witnesses=1", 401),
        (path + "?witnesses=1", path, 401),
        (path + "?witnesses=%31", path + "?witnesses=1", 401),
    ):
        found = ask(url, path=called, headers=token(signed))
        assert (found.status_code == 401) == (status == 401), (signed, called, json.loads(found.content))

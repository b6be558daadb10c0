"""The authority's HTTP door: who may call, what comes back, and one shape for everything that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from builders import CODE, NOW, URL, World, person

from sls_jupyter import errors
from sls_jupyter.authority import catalogue
from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.authority.embedded import AuthorityServer, ensure_running, listen, port_is_taken, socket_of
from sls_jupyter.authority.http import MAX_BODY_BYTES
from sls_jupyter.documents import sign
from sls_jupyter.errors import SlsError
from sls_jupyter.identity import make_token

ERRORS = sorted((code, cls) for code, cls in errors._tree(SlsError).items() if cls.__module__ == errors.__name__)
HOSTILE = ["", "x", "9" * 400, "%00", "..%2f..%2fetc", "%ff", "sha256:" + "0" * 64, "-1", "١"]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[World, str]]:
    """One authority behind its real server, with one asset, shared by these tests."""
    world = World(tmp_path_factory.mktemp("authority"))
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    world.published = world.publish()
    yield world, server.url
    server.stop()
    world.close()


@pytest.fixture
def world(served) -> World:
    return served[0]


@pytest.fixture
def url(served) -> str:
    return served[1]


@pytest.fixture
def client(served) -> Iterator[AuthorityClient]:
    world, url = served
    client = AuthorityClient(url, world.analyst, world.authority.did, now=world.clock)
    yield client
    client.close()


def require_problem(response: httpx.Response, status: int) -> SlsError:
    """The one shape of every error."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "detail"} <= set(problem)
    assert problem["status"] == status
    assert problem["type"].startswith("urn:sls-jupyter:problem:")
    assert "Traceback" not in response.text
    error = errors.from_problem(problem)
    assert type(error).__name__ == problem["title"]
    return error


def signed(world: World, method: str, path: str, body: bytes = b"", /, **changes) -> dict[str, str]:
    call = {"audience": world.authority.did, "method": method, "path": path, "body": body, "now": NOW}
    return {"Authorization": "Bearer " + make_token(world.analyst.signing, **(call | changes))}


# --- one shape of errors --------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "cls"), ERRORS, ids=[code for code, _ in ERRORS])
def test_every_error_has_one_shape(world, url, monkeypatch, code, cls):
    """Whatever class of error a function raises, the caller gets the same class with the same words."""
    fields = {"found": "this", "expected": "that", "hint": "do so", "detail": {"n": 1}}
    raised = cls(4, "It failed.", **fields) if cls is errors.KeyRefused else cls("It failed.", **fields)

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(catalogue, "newest", fail)
    found = require_problem(httpx.get(url + "/v1/assets"), cls.status)
    assert type(found) is cls
    assert (found.message, found.found, found.expected, found.hint) == ("It failed.", "this", "that", "do so")
    assert found.detail == raised.detail


@pytest.mark.parametrize("name", ["found-first", "authority", "v1", "v1/nothing", "v1/assets/x/y/z", "docs/x"])
def test_unknown_path(url, name):
    """A wrong path is told as such, in the same shape."""
    assert "openapi" in require_problem(httpx.get(f"{url}/{name}"), 404).hint


def test_wrong_method(url):
    """A wrong method is told as such, in the same shape."""
    require_problem(httpx.put(url + "/v1/assets"), 405)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"spec":1}', b"\xff\xfe", b"[" * 100_000, b'{"a":NaN}', b"9" * 5000]
)
@pytest.mark.parametrize("path", ["/v1/release", "/v1/runs/x/records"])
def test_malformed_json(url, path, body):
    """A body that is not what the call takes is the caller's mistake, whatever bytes it is made of."""
    response = httpx.post(url + path, content=body, headers={"Content-Type": "application/json"})
    require_problem(response, 400)


def test_half_a_character_is_refused(url):
    """Text that cannot be written as UTF-8 does not get past the door."""
    body = b'{"records":"\\ud800","receipt":""}'
    headers = {"Content-Type": "application/json"}
    require_problem(httpx.post(url + "/v1/runs/x/records", content=body, headers=headers), 400)


@pytest.mark.parametrize("path", ["/v1/release", "/v1/requests"])
def test_body_too_large(world, url, path):
    """Nobody makes the authority hold more than it is willing to."""
    body = b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}'
    response = httpx.post(url + path, content=body, headers=signed(world, "POST", path, body))
    require_problem(response, 413)


def test_endless_body_is_cut(url):
    """A body without a length is counted as it comes."""

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * (1 << 18)

    try:
        response = httpx.post(url + "/v1/release", content=endless())
    except httpx.TransportError:
        return  # the door closed while we were still talking
    require_problem(response, 413)


def test_unexpected_failure_tells_nothing(url, monkeypatch, caplog, capfd):
    """A bug of ours is a 500 in the same shape, and what it choked on is neither sent nor logged."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the master key is 42")

    monkeypatch.setattr(catalogue, "newest", fail)
    response = httpx.get(url + "/v1/assets")
    require_problem(response, 500)
    httpx.get(url + "/v1/authority")  # by now the failure was logged, if anywhere
    output = capfd.readouterr()
    for text in (response.text, caplog.text, output.out, output.err):
        assert "master key" not in text


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_in_paths(url, value):
    """Whatever stands in a path, the answer is ours and never a traceback."""
    for path in (
        f"/v1/assets/{value}",
        f"/v1/assets/{value}/parts/{value}",
        f"/v1/log/proof/{value}",
        f"/v1/log/consistency/{value}/{value}",
    ):
        response = httpx.get(url + path)
        if response.status_code != 200:
            assert 400 <= response.status_code < 500
            require_problem(response, response.status_code)


# --- tokens ---------------------------------------------------------------------------------------

SIGNED_CALLS = [
    ("POST", "/v1/assets"),
    ("DELETE", "/v1/assets/x"),
    ("POST", "/v1/requests"),
    ("POST", "/v1/cells"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/x"),
    ("GET", "/v1/assets/x/files"),
    ("GET", "/v1/mutes"),
    ("POST", "/v1/mutes"),
    ("DELETE", "/v1/mutes/x"),
    ("POST", "/v1/approvals"),
    ("POST", "/v1/denials"),
    ("POST", "/v1/runs/x/end"),
    ("GET", "/v1/runs/x"),
    ("DELETE", "/v1/log/entries/0/meaning"),
]


@pytest.mark.parametrize(("method", "path"), SIGNED_CALLS)
@pytest.mark.parametrize("header", [None, "Basic eDp5", "Bearer", "Bearer x.y.z", "Bearer " + "W1tb" * 1000])
def test_calls_of_persons_need_a_token(url, method, path, header):
    """Without a valid token nothing that is a person's to do can be done."""
    headers = {} if header is None else {"Authorization": header}
    body = {} if method in ("GET", "DELETE") else {"json": {}}
    response = httpx.request(method, url + path, headers=headers, **body)
    assert response.status_code in (400, 401)
    require_problem(response, response.status_code)


def test_every_other_call_needs_none(url):
    """The list above is complete: all other calls are a guest's or everybody's."""
    paths = httpx.get(url + "/openapi.json").json()["paths"]
    open_calls = {
        ("get", "/v1/authority"),
        ("get", "/v1/assets"),
        ("get", "/v1/assets/{asset}"),
        ("get", "/v1/assets/{asset}/parts/{name}"),
        ("post", "/v1/challenges/{spec}"),
        ("post", "/v1/release"),
        ("post", "/v1/runs/{spec}/records"),
        ("get", "/v1/log/checkpoint"),
        ("get", "/v1/log/proof/{index}"),
        ("get", "/v1/log/consistency/{old}/{new}"),
        ("get", "/log/checkpoint"),
        ("get", "/log/{path}"),
        ("post", "/add-checkpoint"),
        ("post", "/v1/log/cosignatures/{tree_size}"),
    }
    assert len({(m, p) for p, calls in paths.items() for m in calls} - open_calls) == len(SIGNED_CALLS)


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": person("another authority").did},
        {"method": "POST"},
        {"path": "/v1/assets"},
        {"body": b"x"},
        {"now": NOW - 200},
        {"now": NOW + 200},
    ],
)
def test_token_is_for_one_call(world, url, changes):
    """A token that somebody recorded is worth nothing for another call, place or time."""
    assert httpx.get(url + "/v1/requests", headers=signed(world, "GET", "/v1/requests")).status_code == 200
    response = httpx.get(url + "/v1/requests", headers=signed(world, "GET", "/v1/requests", **changes))
    assert isinstance(require_problem(response, 401), errors.NotAuthorised)


def test_only_the_owner_publishes_and_withdraws(world, client):
    """An analyst with a good token still is not the owner."""
    with pytest.raises(errors.NotAuthorised):
        client.publish(b"{}", b"{}", None, b"")
    with pytest.raises(errors.NotAuthorised):
        client.withdraw(world.published.digest, shred=True)


def test_body_is_bound_by_the_token(world, url):
    """Somebody in the middle who changes the body of a signed call is refused."""
    body = json.dumps({"spec": "{}", "code": "", "dry_run": False}).encode()
    headers = signed(world, "POST", "/v1/requests", body) | {"Content-Type": "application/json"}
    response = httpx.post(url + "/v1/requests", content=body.replace(b"false", b"true"), headers=headers)
    require_problem(response, 401)


# --- calls that work ------------------------------------------------------------------------------


def test_whole_request_through_the_door(tmp_path):
    """Publish, ask, approve, grant: the client gets what the functions give."""
    world = World(tmp_path)
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    owner, analyst = (AuthorityClient(server.url, who, now=world.clock) for who in (world.owner, world.analyst))
    policy = world.policy(code="reviewed")
    sealed = world.seal(policy)
    assert owner.publish(*world.submission(sealed, policy)) == (sealed.digest, 0)
    assert [asset.id for asset in analyst.assets()] == [sealed.digest]
    assert analyst.asset(sealed.digest).manifest == json.loads(sealed.envelope)
    spec = world.spec(world.input(sealed))
    envelope, contact = sign(spec, world.analyst), sign(world.analyst.contact(), world.analyst)
    assert analyst.submit(envelope, CODE, contact, dry_run=True).verdict == "ask"
    assert analyst.submit(envelope, CODE, contact, b"").verdict == "ask"
    (summary,) = owner.requests().requests
    request = owner.request(spec.terms[:20])
    assert (summary.id, request.id, request.code, request.parameters) == (spec.terms, spec.terms, CODE, "")
    assert request.spec.encode() == envelope
    assert analyst.proof(owner.approve(world.approval(spec))).log == world.authority.did
    answer = analyst.submit(envelope, CODE, contact)
    assert (answer.verdict, len(answer.grants)) == ("allow", 1)
    assert analyst.report_end(spec.digest, "ended", "done") == world.size() - 1
    assert len(analyst.history(spec.digest).entries) == world.size()
    for client in (owner, analyst):
        client.close()
    server.stop()
    world.close()


def test_denial_through_the_door(world, url, client):
    """A no travels like a yes."""
    owner = AuthorityClient(url, world.owner, now=world.clock)
    spec = world.spec(world.input(world.publish("denied", code="reviewed"), "denied"))
    client.submit(sign(spec, world.analyst), CODE, None)
    owner.deny(world.denial(spec))
    assert client.submit(sign(spec, world.analyst), CODE, None).verdict == "deny"
    assert owner.requests(state="denied").requests[0].id == spec.terms
    owner.close()


def test_withdraw_through_the_door(world, url):
    """The owner takes an asset back from far away."""
    owner = AuthorityClient(url, world.owner, now=world.clock)
    asset = world.publish("short-lived").digest
    entries = [owner.withdraw(asset, shred=shred).entry for shred in (False, True)]
    assert [world.entry(entry).kind for entry in entries] == ["asset.withdrawn", "asset.shredded"]
    owner.close()


def test_parts_are_ciphertext_in_ranges(world, url, client):
    """A guest reads any range of a sealed part, byte for byte what is on the disk."""
    (part,) = world.published.manifest.parts
    asset, name, size = world.published.digest, part.name, part.size
    whole = httpx.get(f"{url}/v1/assets/{asset}/parts/{name}").content
    assert len(whole) == size
    assert whole.startswith(b"PARE")
    assert client.read_part(asset, name, 0, 3) == b"PARE"
    assert client.read_part(asset, name, size - 8, size - 1) == whole[-8:]
    assert client.read_part(asset, name, 0, size - 1) == whole


@pytest.mark.parametrize(
    "header",
    ["bytes=0-9999999", "bytes=5-2", "bytes=-5", "bytes=5-", "bytes=0-1,3-4", "items=0-1", "bytes=²-³", "bytes=0-" + "9" * 5000],
)  # fmt: skip
def test_impossible_ranges(world, url, header):
    """A range that is not within the part is refused in the same shape."""
    (part,) = world.published.manifest.parts
    where = f"{url}/v1/assets/{world.published.digest}/parts/{part.name}"
    require_problem(httpx.get(where, headers={"Range": header.encode("latin-1")}), 416)


def test_client_answers_a_stranger_with_our_errors(url):
    """Whatever listens at a URL, a wrong one ends in a sentence with the fix."""
    dead = listen(0)
    port = dead.getsockname()[1]
    dead.close()
    for client, error in (
        (AuthorityClient(f"http://127.0.0.1:{port}"), errors.Unavailable),
        (AuthorityClient(url, did=person("another authority").did), errors.VerificationError),
    ):
        with pytest.raises(error):
            client.about()
        client.close()


@pytest.mark.parametrize(
    "wrong", ["http://authority.example", "ftp://127.0.0.1", "authority", "", "http://", "https://a.example/?x=1", "http://[::",
     "http://127.0.0.1:99999", "http://127.0.0.1:x", "http://127.0.0.1/\0"],
)  # fmt: skip
def test_urls_that_are_refused(wrong):
    """Plain HTTP crosses no network, and what is not a URL is told as such."""
    with pytest.raises(errors.BadInput):
        check_url(wrong)
    assert check_url(URL + "/") == URL


def test_second_process_uses_the_first_ones_server(tmp_path):
    """Two notebooks of one person share one authority, on the port that its assets name."""
    world = World(tmp_path)
    url, server = ensure_running(world.authority, tmp_path)
    assert ensure_running(world.authority, tmp_path) == (url, None)
    server.stop()
    again, second = ensure_running(world.authority, tmp_path)
    assert again == url
    second.stop()
    world.close()


def test_port_taken_by_something_else(tmp_path):
    """When another program has the port, sessions of the owner work, and the owner learns who holds it."""
    first, other = World(tmp_path / "a"), World(tmp_path / "b", authority_name="another authority")
    for world in (first, other):
        world.folder.chmod(0o700)
    _, squatting = ensure_running(first.authority, first.folder)
    (other.folder / "port").write_bytes((first.folder / "port").read_bytes())
    url, server = ensure_running(other.authority, other.folder)
    assert not server.reachable
    client = AuthorityClient(url, did=other.authority.did, private=socket_of(other.folder))
    assert client.about().did == other.authority.did
    assert first.authority.did in port_is_taken(url).message
    stranger = AuthorityClient(url, did=other.authority.did)
    with pytest.raises(errors.VerificationError, match="Another authority"):
        stranger.about()
    for one in (client, stranger, server, squatting, first, other):
        getattr(one, "stop", getattr(one, "close", None))()

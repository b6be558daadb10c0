"""The client's half of a call: nothing is believed that the expected authority did not sign for this very call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from builders import World, person
from hostile_kit import Call, Hostile, says

from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.protocol import ANSWER_SIGNATURE, AUTHORITY, NONCE
from sls_jupyter.errors import (
    BadInput,
    LimitExceeded,
    MalformedDocument,
    NotAuthorised,
    SlsError,
    Unavailable,
    UnknownName,
    VerificationError,
)


class Owner:
    """What the kit wants of a session."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        place = world.folder / "authority"
        place.mkdir(exist_ok=True)
        (place / "ed25519").write_bytes(world.authority.identity.signing.private_key.private_bytes_raw())
        self.home = type("Home", (), {"path": world.folder})()

    def own_authority(self) -> Any:
        return type("Client", (), {"url": self.url})()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("authority"))
    world.published = world.publish()
    yield world
    world.close()


@pytest.fixture(scope="module")
def honest(world) -> Iterator[str]:
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def relay(world, honest) -> Iterator[Hostile]:
    """Somebody between the client and the authority; with the key for what a test lets the authority say."""
    relay = Hostile(Owner(world, honest))
    yield relay
    relay.close()


@pytest.fixture
def client(world, relay) -> Iterator[AuthorityClient]:
    client = AuthorityClient(relay.url, world.analyst, world.authority.did, now=world.clock, timeout=20)
    yield client
    client.close()


def fetched(call: Call) -> httpx.Response:
    head = {NONCE: call.headers[NONCE]} if NONCE in call.headers else {}
    return httpx.request(call.command, call.server.outer.real + call.path, headers=head, trust_env=False)


def sent(call: Call, found: httpx.Response, **changes: Any) -> None:
    head = {name: found.headers[name] for name in (AUTHORITY, ANSWER_SIGNATURE)}
    content = changes.pop("content", found.content)
    status = changes.pop("status", found.status_code)
    head = {name: value for name, value in (head | changes.pop("headers", {})).items() if value is not None}
    call.send(status, content, **head)


def changed(**changes: Any) -> Any:
    return lambda call: sent(call, fetched(call), **changes)


def of_another_call(path: str) -> Any:
    """The authority's own signed answer, to another question."""

    def behave(call: Call) -> None:
        call.path = path
        sent(call, fetched(call))

    return behave


def of_an_earlier_call(call: Call) -> None:
    found = httpx.get(call.server.outer.real + call.path, headers={NONCE: "00" * 32}, trust_env=False)
    sent(call, found)


LIES = {
    "another body": changed(content=b'{"id": 1}'),
    "another status": changed(status=201),
    "an error made a success": changed(status=404),
    "no signature": changed(headers={ANSWER_SIGNATURE: None}),
    "no name": changed(headers={AUTHORITY: None}),
    "another signature": changed(headers={ANSWER_SIGNATURE: "AAAA"}),
    "no base64": changed(headers={ANSWER_SIGNATURE: "?"}),
    "another name": changed(headers={AUTHORITY: person("mallory").did}),
    "no DID": changed(headers={AUTHORITY: "did:web:example.org"}),
    "the answer to another path": of_another_call("/v1/authority"),
    "the answer to another query": of_another_call("/v1/log/checkpoint?x=1"),
    "an earlier answer": of_an_earlier_call,
    "an unsigned error": lambda call: call.send(403, b'{"type":"urn:sls-jupyter:problem:access-denied","detail":"no"}'),
    "an unsigned redirect": lambda call: call.send(302, b"", Location="/v1/authority"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_the_authority_did_not_sign_is_not_believed(client, relay, lie):
    """Whoever stands between changes nothing: not a byte, not a status, not which question was answered."""
    assert client.follow_log  # the honest way works in the next test
    relay.behave = {"/v1/log/checkpoint": LIES[lie]}
    with pytest.raises((VerificationError, Unavailable)) as raised:
        client._bytes("GET", "/v1/log/checkpoint")
    assert relay.url in f"{raised.value.found}" or "DID" in raised.value.hint


def test_what_it_signed_is(client, world):
    """A relay that changes nothing is not noticed, errors included; parts are verified by their manifest."""
    assert client.about().did == world.authority.did
    (part,) = world.published.manifest.parts
    assert client.read_part(world.published.digest, part.name, 0, 3) == b"PARE"
    with pytest.raises(UnknownName):
        client.asset("sha256:" + "0" * 64)
    with pytest.raises(UnknownName):
        client.read_part(world.published.digest, "part-99999.parquet", 0, 3)


def test_an_unsigned_error_of_a_part_is_not_believed(client, world, relay):
    """A part that is not given is not given by the authority's own word."""
    name = world.published.manifest.parts[0].name
    relay.behave = {name: lambda call: call.send(403, b'{"type":"urn:sls-jupyter:problem:access-denied"}')}
    with pytest.raises(Unavailable, match="Something else"):
        client.read_part(world.published.digest, name, 0, 3)
    relay.behave = {name: lambda call: call.send(206, b"PAREPARE")}
    with pytest.raises(Unavailable):
        client.read_part(world.published.digest, name, 0, 3)


def test_the_first_to_prove_itself_is_the_one_from_then_on(world, relay):
    """A client that expects nobody in particular keeps to the one that it met; a claim alone is not enough."""
    client = AuthorityClient(relay.url, world.analyst, now=world.clock)
    assert client.did == world.authority.did
    relay.key = person("mallory").signing
    relay.behave = {"/v1/assets": says([])}
    with pytest.raises(VerificationError, match="Another authority") as raised:
        client.assets()
    assert (raised.value.found, raised.value.expected) == (relay.key.did, world.authority.did)
    client.close()


def test_a_refusal_before_the_body_was_read_is_signed_too(client):
    """A body that is too large is refused by the authority, not by whoever stands between."""
    with pytest.raises(BadInput, match="too large"):
        client._call("POST", "/v1/approvals", {"verdict": "x" * 400_000}, signed=True)
    with pytest.raises(MalformedDocument):
        client._call("POST", "/v1/approvals", {"verdict": [[]] * 2000}, signed=True)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 1000, b"[1," * 1_100_000 + b"1" + b"]" * 1_100_000, b'{"a":1,"a":2}', b"\xff"]
)
def test_an_answer_that_is_no_bounded_json_names_its_authority(client, relay, body):  # fmt: skip
    """What a proven authority sends is still a stranger's bytes."""
    relay.behave = {"/v1/assets": says(body)}
    with pytest.raises(MalformedDocument) as raised:
        client.assets()
    assert relay.url in str(raised.value.found)


def test_the_query_is_signed(client, world, relay):
    """A token that somebody saw is worth nothing for the same path with another query."""
    tokens: list[str] = []

    def overheard(call: Call) -> None:
        tokens.append(call.headers["Authorization"])
        call.send(500, b"")

    relay.behave = {f"/v1/assets/{world.published.digest}": overheard}
    with pytest.raises(SlsError):
        client.withdraw(world.published.digest, shred=False)
    for query in ("?shred=true", "?shred=false", "?x"):
        url = f"{relay.real}/v1/assets/{world.published.digest}{query}"
        found = httpx.delete(url, headers={"Authorization": tokens[0]}, trust_env=False)
        assert (found.status_code, json.loads(found.content)["title"]) == (401, NotAuthorised.__name__)


@pytest.mark.parametrize(
    "url",
    ["https://user@a.example", "https://user:secret@a.example", "https://a.example#x", "https://a.example/#",
     "https://a.example/?", "https://a.example:0", "https://a.example\\@b.example", "https://a.example/\u202e",
     "https://a.example//b", "file:///etc", "https://" + "a" * 600, "https://a.example/ b", "http://127.0.0.1.nip.io",
     "http://0.0.0.0:80", "zip::https://a.example"],
)  # fmt: skip
def test_urls_with_more_than_a_place_in_them(url):
    """What could carry a secret, hide a host or mean two things is no URL of an authority."""
    with pytest.raises(BadInput):
        check_url(url)


def test_of_a_place_that_others_chose_nothing_is_told(world, honest):
    """Refused, closed, answered by something else: one text, so that nobody learns what listens here."""
    dead = listen(0)
    port = dead.getsockname()[1]
    dead.close()
    texts = set()
    for url in (honest, f"http://127.0.0.1:{port}", "https://nobody.invalid", "https://10.0.0.1"):
        client = AuthorityClient(url, did=world.authority.did, chosen=False, timeout=3)
        with pytest.raises(Unavailable) as raised:
            client.about()
        texts.add(str(raised.value).replace(url, "URL"))
        client.close()
    assert len(texts) == 1
    assert LimitExceeded.__name__ not in texts.pop()

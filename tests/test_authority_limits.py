"""How often somebody may ask: what a bucket holds, what comes back, and that nobody pays for others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from builders import World, person

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.limits import Buckets, network_of
from sls_jupyter.errors import TooManyRequests
from sls_jupyter.identity import make_token

REAL_SLEEP = time.sleep


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_bucket_is_emptied_and_fills_again() -> None:
    """So many at once, then as many as come back; the refusal says when."""
    clock = Clock()
    buckets = Buckets(0.5, 3, clock=clock)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooManyRequests) as caught:
        buckets.take("a")
    assert caught.value.retry_after == 2
    buckets.take("b")  # somebody else
    clock.seconds += 2
    buckets.take("a")
    with pytest.raises(TooManyRequests):
        buckets.take("a")


def test_buckets_are_bounded_in_number() -> None:
    """Whoever makes keys up does not fill the memory; the one that asks is remembered."""
    buckets = Buckets(0.001, 2, at_most=10)
    for number in range(1000):
        buckets.take(f"key {number}")
        if number < 2:
            buckets.take("loud")
        else:
            with pytest.raises(TooManyRequests):
                buckets.take("loud")
    assert len(buckets) == 10


def test_one_caller_is_one_network() -> None:
    """Whoever has a network of IPv6 has no bucket for each of its addresses, and IPv4 is IPv4 however it is written."""
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1%eth0") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("testclient") == "testclient"


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[tuple[World, str]]:
    monkeypatch.setattr("sls_jupyter.authority.http.DID_LIMIT", (0.001, 2))
    world = World(tmp_path)
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    yield world, server.url
    server.stop()
    world.close()


def test_a_persons_calls_are_counted_and_the_owners_are_not(served) -> None:
    """429 with the seconds to wait, as our error; another person and the owner are still answered."""
    world, url = served
    loud, quiet, owner = (
        AuthorityClient(url, who, world.authority.did, now=world.clock)
        for who in (person("loud"), person("quiet"), world.owner)
    )
    for _ in range(2):
        loud.requests()
    call = {"audience": world.authority.did, "method": "GET", "path": "/v1/requests", "body": b"", "now": world.clock()}
    header = "Bearer " + make_token(person("loud").signing, **call)
    response = httpx.get(url + "/v1/requests", headers={"Authorization": header})
    assert (response.status_code, response.json()["title"]) == (429, "TooManyRequests")
    assert int(response.headers["retry-after"]) >= 1
    quiet.requests()
    for _ in range(5):
        owner.requests()
    for client in (loud, quiet, owner):
        client.close()


def test_calls_of_an_address_are_counted(tmp_path, monkeypatch) -> None:
    """Also those that nobody signed; the answer says when to try again."""
    monkeypatch.setattr("sls_jupyter.authority.limits.ADDRESS_LIMIT", (0.001, 3))
    world = World(tmp_path)
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    answers = [httpx.get(server.url + "/v1/authority") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["title"] == "TooManyRequests"
    server.stop()
    world.close()


@pytest.mark.parametrize(("rate", "waits"), [(1.0, True), (0.001, False)])
def test_a_client_waits_for_a_moment_and_not_for_an_hour(tmp_path, monkeypatch, rate, waits) -> None:
    """A short refusal is no error for a person; a long one is told at once."""
    monkeypatch.setattr("sls_jupyter.authority.http.DID_LIMIT", (rate, 1))
    waited: list[float] = []
    monkeypatch.setattr("sls_jupyter.authority.transport.time.sleep", lambda s: (waited.append(s), REAL_SLEEP(s)))
    world = World(tmp_path)
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    client = AuthorityClient(server.url, world.analyst, world.authority.did, now=world.clock)
    client.requests()
    if waits:
        client.requests()
    else:
        with pytest.raises(TooManyRequests):
            client.requests()
        assert max(waited, default=0) < 1  # the server itself sleeps for moments
    client.close()
    server.stop()
    world.close()

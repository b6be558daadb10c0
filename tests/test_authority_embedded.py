"""The embedded authority: found by its key, reached over its own socket, whoever holds its port."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import World, _home, patients
from hostile_kit import Call, Hostile
from hostile_kit import Server as Impostor

from sls_jupyter.authority.embedded import did_in, is_served, socket_of, url_in
from sls_jupyter.errors import BadInput, SlsError, Unavailable, VerificationError
from sls_jupyter.session import Session


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def folder_of(session: Session) -> Path:
    return session.home.path / "authority"


@contextlib.contextmanager
def squatting(port: int, relayed: Hostile | None = None) -> Iterator[list[tuple[str, str]]]:
    """Another program on a port: it answers like an authority, signed by another's key if there is one."""
    seen: list[tuple[str, str]] = []

    class Handler(Call):
        def _go(self) -> None:
            seen.append((self.command, self.path))
            if relayed is None:
                self.send(200, b'{"did":"did:key:z6Mk"}')
            else:
                super()._go()

        do_GET = do_POST = do_DELETE = _go  # noqa: N815

    server = Impostor(("127.0.0.1", port), Handler)
    server.outer = relayed  # type: ignore[assignment]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield seen
    server.shutdown()
    server.server_close()


def port_of(session: Session) -> int:
    return int((folder_of(session) / "port").read_text())


def again(world: World, session: Session) -> Session:
    """The same persona's next notebook."""
    name = session.name
    session.close()
    del world.sessions[name]
    return world.session(name)


def test_keys_are_given_to_the_proven_authority_alone(world):
    """Somebody else on the port gets nothing of a sealing, and the owner learns how to end that."""
    hospital = world.hospital
    hospital.own_authority()
    port = port_of(hospital)
    hospital.close()
    with squatting(port) as seen:
        hospital = again(world, hospital)
        hospital.seal(patients(5), "patients", tee="simulated-snp")
        assert [one.name for one in hospital.assets()] == ["patients"]
        assert f"Port {port}" in hospital.unreachable()
        assert "another program" in hospital.unreachable()
        assert all(method == "GET" and path == "/v1/authority" for method, path in seen)
    again(world, hospital).own_authority()
    assert world.hospital.unreachable() == ""


def test_the_port_of_a_persona_that_is_not_served_is_not_believed(world, tmp_path_factory):
    """Another user's authority on that port shows nobody anything, though it proves its own name."""
    hospital, analyst = world.hospital, world.analyst
    world.seal("patients")
    analyst.own_authority()
    port = port_of(analyst)
    analyst.close()
    mallory = Session(_home(tmp_path_factory.mktemp("elsewhere"), "mallory"))
    mallory.seal(patients(5), "patients", tee="simulated-snp")
    relay = Hostile(mallory)
    with squatting(port, relay):
        hospital._reachable = (-3600.0, [])
        assert [one.owner_name for one in hospital.assets()] == ["hospital"]
        assert mallory.did not in hospital.names()
        assert [one.persona for one in hospital.silent()] == ["analyst"]
        with pytest.raises((Unavailable, VerificationError)):
            hospital.connect(f"http://127.0.0.1:{port}")
    relay.close()
    mallory.close()


def test_sealing_to_a_url_asks_for_a_connection_first(world, tmp_path_factory):
    """Master keys go to an authority that this owner met, and whose owner they are; the DID that is shown is proven."""
    mallory = Session(_home(tmp_path_factory.mktemp("elsewhere"), "mallory"))
    url, did = mallory.own_authority().url, mallory.own_authority().did
    with pytest.raises(BadInput, match="never connected") as raised:
        world.hospital.seal(patients(5), "secrets", authority=url, tee="simulated-snp")
    assert did in str(raised.value.found)
    assert raised.value.hint.endswith(f"%sls connect {url}#{did}")
    world.hospital.connect(f"{url}#{did}")
    with pytest.raises(BadInput, match="somebody else") as raised:
        world.hospital.seal(patients(5), "secrets", authority=url, tee="simulated-snp")
    assert (raised.value.found, raised.value.expected) == (mallory.did, world.hospital.did)
    assert mallory.assets() == []
    mallory.close()


@pytest.mark.parametrize("claim", ["wrong", "right"])
def test_connecting_with_a_did_takes_that_authority_only(world, tmp_path_factory, claim):
    """What an operator reads out is compared by the machine."""
    mallory = Session(_home(tmp_path_factory.mktemp("elsewhere"), "mallory"))
    client = mallory.own_authority()
    if claim == "right":
        assert world.analyst.connect(f"{client.url}#{client.did}") == "mallory"
    else:
        with pytest.raises(VerificationError, match="Another authority"):
            world.analyst.connect(f"{client.url}#{world.hospital.own_authority().did}")
        assert not (world.analyst.home.path / "authorities.json").exists()
    mallory.close()


def test_a_contract_names_no_other_authority_at_a_known_place(world):
    """A URL that is known belongs to the authority that is known there, whatever a manifest says."""
    url = world.hospital.own_authority().url
    with pytest.raises(VerificationError, match="the one that you know") as raised:
        world.analyst._client(url, "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
    assert world.hospital.own_authority().did == raised.value.expected


def test_another_notebook_takes_over(world):
    """When the notebook that served ends, the next call of another one serves."""
    first = world.hospital
    first.own_authority()
    second = Session(_home(world.root, "hospital"))
    assert second.own_authority().about().did == first.own_authority().did
    assert second._server is None
    first.close()
    assert second.own_authority().about().did
    assert second._server is not None
    second.close()


def test_a_socket_that_a_dead_server_left_is_replaced(world):
    """A crash leaves a socket behind, and no lock."""
    hospital = world.hospital
    hospital.own_authority()
    hospital.close()
    assert socket_of(folder_of(hospital)).is_socket()
    assert not is_served(folder_of(hospital))
    assert again(world, hospital).own_authority().about()


def test_where_it_is_is_told_without_starting_it(world):
    """A persona's DID is that of its key; asking for it makes nothing."""
    folder = world.analyst.home.folder("authority")
    assert (did_in(folder), url_in(folder), list(folder.iterdir())) == (None, None, [])
    did = world.analyst.own_authority().did
    world.analyst.close()
    assert did_in(folder) == did


def test_a_service_of_the_command_line_is_reached_over_the_socket_too(world):
    """``sls authority serve`` on any port serves this user's sessions, though another program has the persona's own."""
    hospital = world.hospital
    hospital.seal(patients(5), "patients", tee="simulated-snp")
    port = port_of(hospital)
    hospital.close()
    command = [sys.executable, "-m", "sls_jupyter.cli", "authority", "serve", "--persona", "hospital", "--port", "0"]
    environment: Any = {**os.environ, "SLS_HOME": str(world.root)}
    with squatting(port), subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for _ in range(3):
            process.stdout.readline()  # type: ignore[union-attr]
        assert [one.name for one in world.analyst.assets()] == ["patients"]
        process.terminate()
        process.wait(60)


def test_a_lock_without_an_answer_is_told(world, monkeypatch):
    """A process of this user that holds the authority and hangs is named, with what to do."""
    from sls_jupyter.authority import embedded

    monkeypatch.setattr(embedded, "START_SECONDS", 0.2)
    folder = world.hospital.home.folder("authority")
    lock = embedded.take_lock(folder)
    with pytest.raises(SlsError, match="does not answer"):
        world.hospital.own_authority()
    os.close(lock)

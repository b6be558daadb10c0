"""Taking back, through sessions and real authorities: which versions it closes, whose, and what the cards say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e import World, patients

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import AccessDenied, BadInput, LogInconsistent, NotAuthorised, UnknownName
from sls_jupyter.notebook import owning, render
from sls_jupyter.safestream.request import ask_all


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


def names(world: World) -> list[str]:
    return [f"{one.owner_name}/{one.name}" for one in world.analyst.assets()]


@pytest.mark.parametrize("shred", [False, True])
def test_a_name_is_closed_whole(world: World, shred: bool) -> None:
    """No older, looser version comes up; each sentence of the card is so."""
    name = f"whole{shred}"
    world.seal(name, patients(20))
    second = world.hospital.seal(patients(20), name, tee="simulated-snp", requester=world.analyst.did)
    assert "2: the earlier one is closed" in str(render.sealed_card(second))
    first = second.info.manifest.previous
    done = world.hospital.withdraw(name, shred=shred)
    assert (done.closed, done.versions, done.shredded) == (2, 2, 2 if shred else 0)
    assert f"hospital/{name}" not in names(world)
    client = world.hospital.own_authority()
    assert {client.asset(one).state for one in (first, second.info.id)} == {"shredded" if shred else "withdrawn"}
    card = str(owning.withdrawn_card(done))
    assert f"2 versions of {name}" in card
    assert ("destroyed its keys" in card, "keeps its keys" in card) == (shred, not shred)
    assert "Results that left stay" in card
    with pytest.raises(UnknownName):
        world.analyst.prepare("x = 1", [name])


def test_a_digest_means_one_version(world: World) -> None:
    """The others are as they were, and the card says so."""
    world.seal("versions", patients(20))
    second = world.hospital.seal(patients(20), "versions", tee="simulated-snp", requester=world.analyst.did).info
    done = world.hospital.withdraw(str(second.manifest.previous), shred=True)
    assert (done.closed, done.id) == (1, second.manifest.previous)
    assert world.analyst.asset("versions").id == second.id
    assert "Other versions of versions are as they were" in str(owning.withdrawn_card(done))
    with pytest.raises(BadInput, match="more digits"):
        world.hospital.withdraw("sha256:")


def test_withdrawn_first_and_shredded_later(world: World) -> None:
    """What is closed can still be destroyed by its name."""
    world.seal("later", patients(20))
    world.hospital.withdraw("later")
    assert world.hospital.withdraw("later", shred=True).closed == 1
    again = world.hospital.withdraw("later")
    card = str(owning.withdrawn_card(again))
    assert (again.closed, again.shredded) == (0, 1)
    assert ("Was shredded before" in card, "keeps its keys" in card) == (True, False)


def test_a_card_tells_the_versions_apart(world: World) -> None:
    """Of a name with a shredded version it says of how many the keys are gone and of how many they are kept."""
    world.seal("mixed", patients(20))
    second = world.hospital.seal(patients(20), "mixed", tee="simulated-snp").info
    world.hospital.withdraw(str(second.manifest.previous), shred=True)
    card = str(owning.withdrawn_card(world.hospital.withdraw("mixed")))
    assert "2 versions of mixed, 1 by this call" in card
    assert "destroyed its keys of 1 of them" in card
    assert "keeps its keys of the other 1" in card


def test_somebody_elses_asset_of_the_name_stands_in_nobodys_way(world: World) -> None:
    """An owner withdraws their own without naming themselves, and nobody else's."""
    world.seal("shared", patients(20))
    world.seal("shared", patients(20), owner="clinic")
    world.hospital._reachable = world.analyst._reachable = (-3600.0, [])
    assert world.hospital.withdraw("shared").closed == 1
    assert world.analyst.asset("shared").owner_name == "clinic"
    with pytest.raises(UnknownName, match="You have no asset"):
        world.analyst.withdraw("shared")


def test_a_request_from_before_a_stricter_seal_is_refused(world: World) -> None:
    """It is told that there is a newer version and what to do; the cell that is run again asks for that one."""
    world.seal("strict", patients(20))
    old = world.analyst.prepare("x = strict.age.mean()", ["strict"], outputs=["x"])
    clients = world.analyst._run_clients(old)
    assert ask_all(old, clients).grants
    newer = world.hospital.seal(patients(20), "strict", tee="simulated-snp", requester=world.analyst.did, columns="sex")
    with pytest.raises(AccessDenied, match="newer version") as caught:
        ask_all(old, clients)
    assert "Run the cell again" in caught.value.hint
    assert world.analyst.prepare("x = 1", ["strict"]).spec.inputs[0].asset == newer.info.id


def test_muting(world: World) -> None:
    """Who is muted is told so when they ask; the owner sees whom they muted, and can undo it."""
    world.seal("noisy", patients(20), allow_code="reviewed")
    request = world.analyst.prepare("x = noisy.age.mean()", ["noisy"], outputs=["x"])
    clients = world.analyst._run_clients(request)
    ask_all(request, clients)
    did, dropped = world.hospital.mute(world.analyst.did)
    assert (did, dropped) == (world.analyst.did, 1)
    assert world.hospital.muted() == (world.analyst.did,)
    with pytest.raises(NotAuthorised, match="takes no requests"):
        ask_all(request, clients)
    assert "1" in str(owning.muted_card(did, dropped))
    assert world.analyst.did in str(owning.mutes_card(world.hospital.muted(), {}))
    world.hospital.unmute(world.analyst.did)
    ask_all(request, clients)


def test_looking_up_a_name_reads_one_asset(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing a run does not list what everybody has."""
    world.seal("alone", patients(20))
    monkeypatch.setattr(type(world.analyst), "_assets_of", lambda *_: pytest.fail("the catalogue was listed"))
    assert world.analyst.asset("alone").name == "alone"
    assert world.analyst.prepare("x = 1", ["hospital/alone"]).spec.inputs[0].alias == "alone"
    world.hospital.seal(patients(20), "alone", tee="simulated-snp")


@pytest.mark.parametrize("shred", [False, True])
def test_a_withdrawal_that_is_not_in_the_log_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch, shred: bool
) -> None:
    """The entry on the card is proven, and is about a withdrawal."""
    world.seal("gone", patients(3))
    withdraw = AuthorityClient.withdraw
    monkeypatch.setattr(
        AuthorityClient, "withdraw", lambda *given, **how: withdraw(*given, **how).model_copy(update={"entry": 0})
    )
    with pytest.raises(LogInconsistent, match="something else"):
        world.hospital.withdraw("gone", shred=shred)
    monkeypatch.undo()
    assert world.hospital.withdraw("gone", shred=shred).closed == 0  # it was closed by the first call

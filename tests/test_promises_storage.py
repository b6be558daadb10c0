"""Whole runs over assets in Azure's storage, tried on Azurite: read by a pass that nobody but the group sees."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from azurite_kit import ACCOUNT, KEY, Azurite, azurite, needs_azurite
from e2e import TappedHost, World, files, needs_sandbox, patients, sightings, world

from sls_jupyter.assets.azure.minting import Minter
from sls_jupyter.assets.azure.read_pass import ReadPass
from sls_jupyter.documents import digest
from sls_jupyter.errors import BadInput, KeyRefused, VerificationError
from sls_jupyter.hosts.local import LocalHost

__all__ = ["azurite", "world"]
pytestmark = [needs_azurite, needs_sandbox]
CELL = "got = stored.age.sum()"


class Spy:
    """Every pass that authorities make here; ``change`` makes another one of it."""

    def __init__(self) -> None:
        self.made: list[ReadPass] = []
        self.change: Any = lambda given: given

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Spy:
        mint = Minter.mint

        def spied(minter: Minter, *args: Any, **options: Any) -> Any:
            given = mint(minter, *args, **options)
            if given is not None:
                self.made.append(given)
            return self.change(given)

        monkeypatch.setattr(Minter, "mint", spied)
        return self


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy().install(monkeypatch)


@pytest.fixture
def stored(world: World, azurite: Azurite) -> str:
    """The container of an asset ``stored``, sealed anew."""
    container = azurite.container()
    world.seal("stored", patients(), storage=f"az://{container}/patients", full_errors=True)
    return container


def test_a_group_reads_what_its_owner_stored(world: World, stored: str, spy: Spy) -> None:
    """The owner's container is private, the group has no credential, and the requester never had one."""
    ended = world.do(CELL, ["stored"], outputs=["got"])
    assert ended.outputs["got"] == patients().age.sum()
    assert ended.run.receipt is not None
    assert len(spy.made) == 1


def test_no_signature_is_found_anywhere_outside_the_group(
    world: World,
    azurite: Azurite,
    stored: str,
    spy: Spy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Disk, doors, containers' logs, authority's answers, receipt, records, results in the storage: none has the pass.

    On the wire between group and storage there is TLS; with the emulator there is none, and its log shows that the
    search finds what is there.
    """
    caplog.set_level(logging.DEBUG)
    host = TappedHost(LocalHost(world.analyst.machine))
    monkeypatch.setitem(world.analyst.hosts, "local", host)
    session = world.analyst
    request = session.prepare(CELL, ["stored"], outputs=["got"])
    run = session.run(request, results_to=f"az://{stored}/results").wait(60)
    audit = session.audit(run.id)
    secrets = {f"signature {part}": text for one in spy.made for part, text in one.signatures.items()}
    places = [
        ("doors and logs", bytes(host.seen)),
        ("what was logged", caplog.text.encode()),
        ("audit", repr(audit).encode()),
    ]
    places += [("run", repr((run, run.summary, list(run.steps))).encode()), *files(world.root)]
    places += [(f"blob {name}", azurite.blob(stored, name)) for name in azurite.names(stored)]
    assert len(secrets) == len(spy.made[0].signatures) > 0
    assert sightings({**secrets, "the account's key": KEY}, places) == set()
    assert sightings({"run": run.spec_digest[7:]}, places)
    log = azurite.log.read_bytes()
    assert any(text[:20].replace("+", "%2B").replace("/", "%2F").encode() in log for text in secrets.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given.model_copy(update={"endpoint": "http://127.0.0.1:9/other"}),
        lambda given: given.model_copy(update={"signatures": {}}),
    ],
)
def test_a_pass_for_something_else_ends_the_run(world: World, stored: str, spy: Spy, change: Any) -> None:
    """A hostile authority cannot make a group fetch from elsewhere, and the requester reads why the run ended."""
    spy.change = change
    error = world.do(CELL, ["stored"], outputs=["got"]).error
    assert isinstance(error, VerificationError)
    assert "not for this asset alone" in str(error)
    assert not any(text in f"{error} {error.detail}" for one in spy.made for text in one.signatures.values())


def test_without_a_pass_nothing_is_read(world: World, stored: str, spy: Spy) -> None:
    """What makes these runs work is the pass, and not a container that is open."""
    spy.change = lambda given: None
    error = world.do(CELL, ["stored"], outputs=["got"]).error
    assert "not read from there" in str(error)


def test_an_authority_without_a_credential_releases_nothing(
    world: World, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner's mistake is a refusal with its fix, before keys leave and before the spec is used up."""
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    error = world.do(CELL, ["stored"], outputs=["got"]).error
    assert isinstance(error, KeyRefused)
    assert error.detail["check"] == 9
    assert "AZURE_STORAGE_CONNECTION_STRING" in error.hint


def test_what_no_group_could_read_is_not_published(
    world: World, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner whose authority cannot let groups read learns it while sealing, and nothing is left behind."""
    container = azurite.container()

    def nobody(*_: Any, **__: Any) -> None:
        raise BadInput("A SAS cannot make read passes for others.")

    monkeypatch.setattr(Minter, "mint", nobody)
    with pytest.raises(BadInput, match="read passes"):
        world.seal("unreadable", patients(), storage=f"az://{container}/patients")
    assert azurite.names(container) == []
    assert "unreadable" not in [one.name for one in world.hospital.assets()]


def test_results_are_put_where_they_were_asked_for(world: World, azurite: Azurite, stored: str) -> None:
    """Ciphertext alone, whole, under the run's name, named in the run's record; a recipient opens it from there."""
    session = world.analyst
    run = session.run(session.prepare(CELL, ["stored"], outputs=["got"]), results_to=f"az://{stored}/results").wait(60)
    where = f"az://{stored}@{ACCOUNT}.blob.localhost/results/{run.id}"
    assert run.summary["stored"] == where
    assert next(one for one in session.runs() if one.id == run.id).stored == where
    names = [name for name in azurite.names(stored) if name.startswith("results/")]
    assert names == [f"results/{run.id}/{name}" for name in ("index.json", "receipt.json", "result.sealed")]
    kept = {name.rpartition("/")[2]: azurite.blob(stored, name) for name in names}
    index = json.loads(kept["index.json"])
    assert {name: one["sha256"] for name, one in index.items()} == {
        name: digest(kept[name]) for name in ("receipt.json", "result.sealed")
    }
    assert run.receipt is not None
    assert digest(kept["result.sealed"]) == dict(run.receipt.verdict.subjects)[f"sealed/{session.did}"]


def test_a_place_that_cannot_be_used_is_told_before_anything_is_asked(
    world: World, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits half an hour for a run whose result goes nowhere."""
    session = world.analyst
    request = session.prepare(CELL, ["stored"], outputs=["got"])
    before = len(session.runs())
    for place in ("az://c-1@acct.blob.core.windows.net/x", f"az://{stored}/x?sig=CANARY", "ftp://host/x"):
        with pytest.raises(BadInput) as raised:
            session.run(request, results_to=place)
        assert "CANARY" not in str(raised.value)
    (tmp_path / request.spec.digest[7:19]).mkdir()
    with pytest.raises(BadInput, match="something at the place"):
        session.run(request, results_to=str(tmp_path))
    assert len(session.runs()) == before


def test_a_result_that_cannot_be_stored_is_not_lost(world: World, azurite: Azurite, stored: str) -> None:
    """The container is gone when the run ends: the run says so, and the result can be stored again."""
    session, target = world.analyst, azurite.container()
    request = session.prepare(CELL, ["stored"], outputs=["got"])
    run = session.run(request, results_to=f"az://{target}/results")
    azurite.blob(target, f"results/{run.id}/result.sealed", b"somebody else's")
    with pytest.raises(BadInput, match="something at the place") as raised:
        run.wait(60)
    assert f"%sls result {run.id}" in raised.value.hint
    assert run.outputs["got"] == patients().age.sum() == session.result(run.id)["got"]
    assert azurite.blob(target, f"results/{run.id}/result.sealed") == b"somebody else's"
    where = session.store_results(run.id, f"az://{target}/again")
    assert next(one for one in session.runs() if one.id == run.id).stored == where
    assert f"again/{run.id}/index.json" in azurite.names(target)

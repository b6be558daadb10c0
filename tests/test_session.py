"""A persona's session without a run: reading what users write, and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from e2e import World, patients

from sls_jupyter.errors import BadInput, SlsError, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.session import Session
from sls_jupyter.session.preparing import parse_input


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    made.seal("patients", patients(20), columns="age,sex")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", ("a", None, None)),
        ("a=b", ("a", "b", None)),
        ("a:x,y", ("a", None, ["x", "y"])),
        ("north/a=b:x", ("north/a", "b", ["x"])),
        ("sha256:" + "0" * 64 + "=b:x", ("sha256:" + "0" * 64, "b", ["x"])),
    ],
)
def test_an_input_is_asset_alias_and_columns(text: str, found: object) -> None:
    """What stands after -i means one thing."""
    assert parse_input(text) == found


@pytest.mark.parametrize("text", ["", "=a", "a=", "a=1x", "a:", "a:x,,y", ":x"])
def test_an_input_that_cannot_be_read_is_told_the_form(text: str) -> None:
    """A slip of the pen costs a sentence."""
    with pytest.raises(BadInput) as raised:
        parse_input(text)
    assert "ASSET" in str(raised.value)


def test_a_sealed_asset_is_seen_by_another_persona_with_its_owner(world: World) -> None:
    """The catalogue is one list over all authorities that are known."""
    info = world.analyst.asset("hospital/patients")
    assert (info.owner_name, info.mine, world.hospital.asset("patients").mine) == ("hospital", False, True)
    assert world.analyst.asset(info.id).id == info.id


def test_two_owners_assets_of_one_name_have_to_be_told_apart(world: World) -> None:
    """The name alone must not choose whose data is read."""
    world.seal("patients", patients(10), owner="clinic")
    with pytest.raises(BadInput, match="clinic/patients"):
        world.analyst.asset("patients")
    assert world.analyst.asset("clinic/patients").owner_name == "clinic"


def test_a_frame_that_cannot_be_sealed_publishes_nothing(world: World) -> None:
    """A refused seal leaves no asset and no file."""
    folder = world.hospital.home.folder("assets")
    before = sorted(folder.iterdir())
    with pytest.raises(SlsError, match="age"):
        world.seal("broken", patients(3).assign(age=[object(), object(), object()]))
    for wrong in ({"tee": "no-such"}, {"min_group": 0}):
        with pytest.raises(SlsError):
            world.seal("broken", patients(3), **wrong)
    assert sorted(folder.iterdir()) == before
    with pytest.raises(UnknownName):
        world.hospital.asset("broken")


def test_what_nobody_has_is_an_unknown_name(world: World) -> None:
    """Runs, requests and results that are not there are told as such."""
    session = world.analyst
    for call in (session.result, session.audit, session.cancel, session.approve):
        with pytest.raises(UnknownName):
            call("0" * 12)
    with pytest.raises(BadInput):
        session.deny("0" * 12, "  ")


def test_a_policy_is_exported_for_key_vault_and_says_what_it_leaves_out(tmp_path, monkeypatch):
    """An owner who moves keys to Azure gets the same conditions there, and is told what Azure cannot attest."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    session = Session(Home.find("exporter"))
    try:
        session.seal(pd.DataFrame({"a": [1]}), "table", allow_code="any", tee="sev-snp,tdx")
        exported = session.export_release("table", "https://x.neu.attest.azure.net", [b"\x11" * 32])
        assert "11" * 32 in exported["key_vault"]
        assert exported["left_out"] == "tdx"
    finally:
        session.close()

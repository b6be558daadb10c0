"""Look-ups for who is typing: used again for a moment, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e import World

from sls_jupyter.errors import UnknownName
from sls_jupyter.session import lately


def test_a_look_up_stands_for_a_moment_and_is_made_anew_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who types is not made to wait for each key; what an owner changed is seen with the next pause."""
    world = World(tmp_path / "home")
    try:
        world.seal("patients", columns="age")
        first = world.analyst.asset("patients")
        monkeypatch.setattr(lately, "FRESH_SECONDS", 3600.0)
        assert world.analyst.asset_lately("patients").id == first.id
        world.seal("patients", columns="age,sex")
        second = world.analyst.asset("patients")
        assert second.id != first.id
        assert world.analyst.asset_lately("patients").id == first.id
        monkeypatch.setattr(lately, "FRESH_SECONDS", 0.0)
        assert world.analyst.asset_lately("patients").id == second.id
    finally:
        world.close()


def test_a_name_that_is_not_there_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asset that was sealed a second ago is found, though its name was typed before."""
    world = World(tmp_path / "home")
    try:
        monkeypatch.setattr(lately, "FRESH_SECONDS", 3600.0)
        with pytest.raises(UnknownName):
            world.analyst.asset_lately("later")
        world.seal("later", columns="age")
        assert world.analyst.asset_lately("later").id == world.analyst.asset("later").id
    finally:
        world.close()

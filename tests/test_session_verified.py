"""What was verified once is not verified again, and nothing else is believed for that."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import World

from sls_jupyter.authority import catalogue
from sls_jupyter.errors import DigestMismatch, SlsError
from sls_jupyter.session import verified
from sls_jupyter.session.verified import VerifiedAssets, verify_asset


def envelopes(world: World, asset: str) -> tuple[str, bytes, bytes]:
    """An asset's id, and the envelopes of its manifest and policy."""
    with world.authority.store.read() as connection:
        found = catalogue.find(connection, asset)
    return found.id, found.manifest_envelope, found.policy_envelope


def signed(folder: Path, name: str = "patients") -> tuple[str, bytes, bytes]:
    """The same of an asset in a world of its own."""
    world = World(folder)
    return envelopes(world, world.publish(name).digest)


def test_the_same_bytes_are_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of hundreds of assets is read anew without their signatures being computed anew."""
    asset, known = signed(tmp_path), VerifiedAssets()
    first = known.verify(*asset)
    monkeypatch.setattr(verified, "verify_asset", lambda *_: pytest.fail("verified again"))
    assert known.verify(*asset) == first


def test_other_bytes_are_verified_whatever_is_known(tmp_path: Path) -> None:
    """A good asset vouches for no other id, no other manifest and no other policy."""
    world, known = World(tmp_path), VerifiedAssets()
    id_, manifest, policy = envelopes(world, world.publish("patients").digest)
    known.verify(id_, manifest, policy)
    _, _, other = envelopes(world, world.publish("visits", min_group=9).digest)
    bad = [("sha256:" + "0" * 64, manifest, policy), (id_, manifest[:-9] + b"x" + manifest[-8:], policy)]
    bad += [(id_, manifest, other), (id_, manifest + b" ", policy)]
    for one in bad:
        for _ in range(2):  # a refusal is not remembered as good
            with pytest.raises(SlsError):
                known.verify(*one)


def test_only_so_much_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's catalogue fills no memory: what was not used for longest goes."""
    one, other = signed(tmp_path / "a"), signed(tmp_path / "b", "visits")
    known = VerifiedAssets(max_bytes=len(one[1]) + len(one[2]) + 10)
    known.verify(*one)
    known.verify(*other)
    calls = list[str]()
    monkeypatch.setattr(verified, "verify_asset", lambda id_, *rest: calls.append(id_) or verify_asset(id_, *rest))
    known.verify(*other)
    known.verify(*one)
    assert calls == [one[0]]
    assert VerifiedAssets(max_bytes=1).verify(*one)[0].name == "patients"


def test_a_policy_of_another_asset_is_refused(tmp_path: Path) -> None:
    """Both are signed by one owner, and do not belong together."""
    world = World(tmp_path)
    asset = envelopes(world, world.publish("patients").digest)
    other = envelopes(world, world.publish("visits", min_group=9).digest)
    with pytest.raises(DigestMismatch, match="not the one that its manifest names"):
        VerifiedAssets().verify(asset[0], asset[1], other[2])

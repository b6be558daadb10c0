"""Which guest images a persona accepts: what its authority gives keys to, and plans runs with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority.images import AcceptedImages, distrust, planned, trust, trusted, words
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.cli import main
from sls_jupyter.contract.image import GuestImage, installed_image, simulated_measurement
from sls_jupyter.errors import BadInput, MalformedDocument, UnknownName
from sls_jupyter.identity import Home


def image(letter: str) -> GuestImage:
    layers = (letter * 64, "0" * 64)
    return GuestImage(f"r.example/guest@sha256:{letter * 64}", layers, simulated_measurement(layers))


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path, "me")
    home.folder("keys")
    return home


def test_old_and_new_are_accepted_at_once_and_distrust_holds_at_once(home):
    """An owner changes images without a moment in which nothing runs; what is not trusted gets no key any more."""
    accepted = AcceptedImages(home)
    assert list(accepted) == [installed_image()]
    trust(home, image("a"), "old", 10)
    trust(home, image("b"), "new", 20)
    assert list(accepted) == [installed_image(), image("a"), image("b")]
    assert trust(home, image("a"), "", 30) == trusted(home)[0]  # nothing new is said of it
    renamed = trust(home, image("a"), "older", 40)
    assert (renamed.name, renamed.since) == ("older", 10)
    assert planned(home) == image("b")
    assert planned(home, "older") == image("a")
    distrust(home, image("a").digest[:20])
    assert list(accepted) == [installed_image(), image("b")]
    with pytest.raises(UnknownName):
        distrust(home, "older")


def test_the_same_layers_from_a_registry_are_trusted_already(home):
    """Who trusts what they built trusts what was pushed and mirrored of it: one entry, which says where it was last."""
    before = trust(home, image("a"), "autumn", 10)
    pushed = replace(image("a"), reference="mirror.example/copy@sha256:" + "9" * 64)
    assert pushed.digest in {one.digest for one in AcceptedImages(home)}
    after = trust(home, pushed, "", 20)
    assert (after.name, after.since, after.guest) == ("autumn", before.since, pushed)
    assert trusted(home) == (after,)


def test_distrust_leaves_no_other_name_of_the_same_layers(home):
    """A list from before images were known by their layers may name one twice; neither may stay."""
    trust(home, image("a"), "built", 1)
    path = home.path / "images.json"
    (built,) = json.loads(path.read_text())
    pushed = {**built, "name": "pushed", "image": {**built["image"], "reference": "m.example/x@sha256:" + "9" * 64}}
    path.write_text(json.dumps([built, pushed]))
    assert planned(home, image("a").digest).reference.startswith("m.example")
    distrust(home, "built")
    assert trusted(home) == ()


def test_an_authority_takes_them(home):
    """What `sls image trust` says is what keys are released to."""
    authority = open_authority(home, anchors=TrustAnchors())
    trust(home, image("c"), "c", 1)
    assert image("c") in list(authority.images)


def test_a_damaged_list_accepts_nothing(home):
    """Fail closed: not even the installed code, until the owner has looked."""
    trust(home, image("a"), "a", 1)
    (home.path / "images.json").write_text('[{"name": "x"}]')
    with pytest.raises(MalformedDocument):
        list(AcceptedImages(home))


def test_a_measurement_that_is_not_the_layers_is_refused(home):
    """A file from somebody else cannot make another code's evidence accepted under these layers' name."""
    with pytest.raises(BadInput, match="measurement"):
        trust(home, GuestImage("x@sha256:1", ("a" * 64,), bytes(48)), "x", 1)
    with pytest.raises(BadInput, match="layers"):
        trust(home, GuestImage("x@sha256:1", (), simulated_measurement(())), "x", 1)
    with pytest.raises(UnknownName, match="No guest image"):
        planned(home)


def test_owners_read_it_in_words(home):
    """Name, digest, layers, since when."""
    one = trust(home, image("a"), "autumn", 1_790_000_000)
    assert words(trusted(home))[1] == (
        f"Keys go to the image autumn ({one.digest[7:19]}, 2 layers), trusted since 2026-09-21 14:13:20 UTC."
    )


def test_the_commands(tmp_path, monkeypatch, capsys):
    """Trust by a file, the list, distrust."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    Home.find("me").folder("keys")
    a = image("a")
    record = {"reference": a.reference, "layers": a.layers, "measurement": a.measurement.hex()}
    (tmp_path / "image.json").write_text(json.dumps(record))
    assert main(["image", "trust", str(tmp_path / "image.json"), "--as", "autumn"]) == 0
    assert main(["image", "trusted"]) == 0
    assert a.digest in capsys.readouterr().out
    assert main(["image", "distrust", "autumn"]) == 0
    capsys.readouterr()
    assert main(["image", "trusted"]) == 0
    assert a.digest not in capsys.readouterr().out
    (tmp_path / "image.json").write_text("{}")
    assert main(["image", "trust", str(tmp_path / "image.json")]) == 1
    assert "reference: Field required" in capsys.readouterr().err
    twice = json.dumps(record).replace("{", f'{{"measurement": "{"00" * 48}", ')
    (tmp_path / "image.json").write_text(twice)
    assert main(["image", "trust", str(tmp_path / "image.json")]) == 1
    assert "names one member twice. 'measurement'" in capsys.readouterr().err

"""Beliefs: nobody reviews, and nothing is launched, for a run whose evidence an authority says it will not believe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from e2e import World, patients

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority import answers
from sls_jupyter.errors import ApprovalPending, HostUnsuitable
from sls_jupyter.notebook.commands import Context, find
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.safestream.belief import Belief, believed_hosts
from sls_jupyter.safestream.host import HostCapabilities

OURS, THEIRS = "aa" * 32, "bb" * 32
CELL = "x = patients.age.mean()\n"


class Place:
    """A host that only says what it can."""

    def __init__(self, tee: str = "simulated-snp", root: str = OURS) -> None:
        self._can = HostCapabilities("host", tee, 2, 2**33, root=root if tee.startswith("simulated") else "")

    def capabilities(self) -> HostCapabilities:
        return self._can

    def launch(self, group: Any, cce_policy: bytes, tell: Any = None) -> Any:
        raise AssertionError


HARDWARE = Belief("the clinic's authority", ("sev-snp",), ())
OTHERS = Belief("the hospital's authority", ("sev-snp", "simulated-snp"), (THEIRS,))
BOTH = Belief("the lab's authority", ("sev-snp", "simulated-snp"), (OURS, THEIRS))
OLD = Belief("an old authority", (), None)


@pytest.mark.parametrize(
    ("place", "belief"),
    [(Place(), BOTH), (Place(), OLD), (Place("sev-snp"), HARDWARE), (Place("tdx"), OLD)],
)
def test_what_is_believed_is_not_held_up(place: Place, belief: Belief) -> None:
    """An authority that believes this host, or is too old to say, gets the request."""
    assert list(believed_hosts({"here": place}, None, [belief])) == ["here"]


@pytest.mark.parametrize(
    ("place", "belief", "words"),
    [
        (Place(), HARDWARE, ("the clinic's authority", "believes sev-snp", OURS, "--accept-simulated FILE")),
        (Place(), OTHERS, ("the hospital's authority", THEIRS, OURS, "--accept-simulated FILE")),
        (Place("tdx"), BOTH, ("the lab's authority", "tdx", "another --host")),
        (Place(), Belief("x", ("simulated-snp",), ()), ("believes nothing",)),
    ],
)
def test_what_is_not_believed_is_told_with_the_way_out(place: Place, belief: Belief, words: tuple[str, ...]) -> None:
    """The analyst can send the message to the operator: who, what they believe, what is made here, what to do."""
    with pytest.raises(HostUnsuitable) as raised:
        believed_hosts({"here": place}, None, [belief])
    told = "\n".join(raised.value.lines())
    for word in words:
        assert word in told


def test_one_host_that_everybody_believes_is_enough_unless_another_is_named() -> None:
    """Where a run may go anywhere, it goes where it is believed."""
    hosts = {"here": Place(), "cloud": Place("sev-snp")}
    assert list(believed_hosts(hosts, None, [HARDWARE, OTHERS])) == ["cloud"]
    with pytest.raises(HostUnsuitable, match="clinic's authority"):
        believed_hosts(hosts, "here", [BOTH, HARDWARE])


def test_every_doubting_authority_is_named() -> None:
    """One message is enough for all operators."""
    with pytest.raises(HostUnsuitable, match=r"the clinic's authority and the hospital's authority"):
        believed_hosts({"here": Place()}, None, [HARDWARE, BOTH, OTHERS])


# --- two homes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """A hospital and an analyst, each with a home and so with a simulated processor of its own."""
    theirs, ours = World(tmp_path_factory.mktemp("hospital")), World(tmp_path_factory.mktemp("analyst"))
    theirs.hospital.seal(patients(), "patients", tee="simulated-snp")
    own = theirs.hospital.own_authority()
    ours.analyst.connect(f"{own.url}#{own.did}", name="hospital")
    yield theirs, ours
    ours.close()
    theirs.close()


def start(ours: World) -> Any:
    session = ours.analyst
    return session.run(session.prepare(CELL, ["patients"], outputs=["x"]))


def test_nobody_is_asked_to_review_a_run_that_would_get_no_key(homes: tuple[World, World]) -> None:
    """The run ends with the reason, and the hospital's inbox stays empty."""
    theirs, ours = homes
    with pytest.raises(HostUnsuitable, match="hospital's authority would not believe") as raised:
        start(ours).wait()
    assert ours.analyst.hosts["local"].capabilities().root in raised.value.hint
    assert theirs.hospital.requests() == []


def test_preflight_says_it_and_what_the_owner_would_decide(homes: tuple[World, World]) -> None:
    """Before a run is even tried, both are on the card: no key for this evidence, and an approval that is needed."""
    _, ours = homes
    options = command_parsers()["preflight"].parse_args(["-i", "patients", "-o", "x"])
    card = str(find("preflight")(Context(ours.analyst, options, CELL)))
    assert "this run would get no key" in card
    assert "--accept-simulated FILE" in card
    assert "needs approval" in card


def test_no_host_is_offered_for_an_asset_whose_authority_does_not_believe_it(homes: tuple[World, World]) -> None:
    """`%sls can-run` names hosts that would do, and none where keys would not come."""
    theirs, ours = homes
    cards = {}
    for world, persona in ((ours, ours.analyst), (theirs, theirs.hospital)):
        options = command_parsers()["can-run"].parse_args([])
        cards[world.root] = str(find("can-run")(Context(persona, options)))
    assert "local" not in cards[ours.root]
    assert "local" in cards[theirs.root]


def test_an_older_authority_that_does_not_say_is_asked(
    homes: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The field is left out by authorities of before; their runs are not refused for it."""
    theirs, ours = homes
    value = {name: "" for name in answers.About.model_fields if name != "simulated_roots"}
    assert "simulated_roots" not in answers.About.model_construct(**value).model_fields_set
    assert not answers.About.model_fields["simulated_roots"].is_required()
    client_type, about = type(theirs.hospital.own_authority()), type(theirs.hospital.own_authority()).about
    monkeypatch.setattr(client_type, "about", lambda self: replace(about(self), simulated_roots=None, tees=()))
    with pytest.raises(ApprovalPending):
        start(ours).wait()
    assert len(theirs.hospital.requests()) == 1


def test_an_authority_says_what_it_believes_in_what_it_signs(homes: tuple[World, World]) -> None:
    """Its own roots by their pins, and every kind that it has a root for."""
    theirs, _ = homes
    told = theirs.hospital.own_authority().about()
    assert told.simulated_roots == (theirs.hospital.hosts["local"].capabilities().root,)
    assert {"sev-snp", "simulated-snp"} <= set(told.tees)


def test_no_simulated_root_is_known_by_default() -> None:
    """An authority that was told nothing announces hardware only."""
    assert not [kind for kind in TrustAnchors().kinds if kind.startswith("simulated")]
    assert "sev-snp" in TrustAnchors().kinds

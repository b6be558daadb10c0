"""The panel's people: names are those that this user gave; what others call themselves stands beside them as their word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import World, patients

from sls_jupyter.documents import sign
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, UnknownName
from sls_jupyter.identity import Home, Identity
from sls_jupyter.lab import card_messages, messages, people
from sls_jupyter.lab.asking import Asked
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import short_did


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    made.seal("patients", patients(5))
    yield made
    made.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Session]:
    """Somebody with a home and an authority of their own."""
    session = Session(Home(tmp_path / "far", "north"))
    session.own_authority()
    yield session
    session.close()


def listed(session: Session) -> messages.People:
    return people.listed(Asked(session))


def call(session: Session, did: str, name: str) -> messages.CardAnswer:
    return people.name(Asked(session, body=messages.CallThem(did=did, name=name)))


def connect(session: Session, url: str, name: str = "") -> messages.CardAnswer:
    return people.connect(Asked(session, body=messages.Connect(url=url, name=name)))


def add(session: Session, who: Identity, name: str = "") -> messages.CardAnswer:
    text = sign(who.contact(), who).decode()
    return people.contact(Asked(session, body=messages.AddContact(text=text, name=name)))


def words(card: card_messages.CardData) -> str:
    return card.model_dump_json()


def test_personas_and_their_authorities_are_mine(world: World) -> None:
    """All of one laptop: who I am, who else is me, whose authority is where."""
    found = listed(world.analyst)
    assert {(one.name, one.did) for one in found.personas} == {
        ("analyst", world.analyst.did),
        ("hospital", world.hospital.did),
    }
    assert [(one.person.words, one.me) for one in found.contacts] == [("analyst", True), ("hospital", False)]
    assert all(one.key.startswith("sha256:") for one in found.contacts)
    (authority,) = found.authorities
    assert (authority.mine, authority.owner.words, authority.trouble) == (True, "hospital", "")
    assert found.silent == ()


def test_whom_i_connect_to_is_called_as_i_say(world: World, far: Session) -> None:
    """The card says what was proven and what was not; the list has the name that I gave, theirs beside it."""
    url = far.own_authority().url
    card = connect(world.analyst, url, "Clinic North").card
    assert card.title == "Connected to Clinic North"
    assert "Not proven: that this is whom you mean" in words(card)
    assert "It is the DID that you gave" in words(connect(world.analyst, f"{url}#{far.own_authority().did}").card)
    row = next(one for one in listed(world.analyst).authorities if one.url == url)
    assert (row.mine, row.owner.petname, row.owner.words, row.owner.said) == (
        False,
        "Clinic North",
        "Clinic North",
        "north",
    )
    assert row.did == far.own_authority().did
    with pytest.raises(BadInput, match="not the URL"):
        connect(world.analyst, "ftp://x")


def test_a_name_that_looks_like_one_that_is_known_is_not_taken_over(world: World, tmp_path: Path) -> None:
    """A stranger who calls themselves like my hospital is nobody until I choose a name."""
    stranger = Session(Home(tmp_path / "stranger", "hospital"))
    url = stranger.own_authority().url
    try:
        with pytest.raises(BadInput, match="like hospital, which you know"):
            connect(world.analyst, url)
        assert [one.owner.did for one in listed(world.analyst).authorities] == [world.hospital.did]
        connect(world.analyst, url, "other one")
    finally:
        stranger.close()
    row = next(one for one in listed(world.analyst).authorities if one.url == url)
    assert row.owner.petname == "other one"


def test_an_authority_that_does_not_answer_keeps_its_owners_name(world: World, far: Session) -> None:
    """Who is not there is named as before, with what to do."""
    url = far.own_authority().url
    connect(world.analyst, url, "north")
    far.stop_serving()
    world.analyst._reachable = (-3600.0, [])
    found = listed(world.analyst)
    row = next(one for one in found.authorities if one.url == url)
    assert (row.owner.words, row.trouble) == ("north", "does not answer: ask its owner to start it")
    assert [one.words for one in found.silent] == [f"north ({url}) does not answer"]


def test_a_name_is_given_and_another_one(world: World, far: Session) -> None:
    """By DID, so that nobody's own word decides who is meant."""
    assert call(world.analyst, far.did, "Weber").card.title == "You call them Weber"
    assert call(world.analyst, far.did, "Dr. Weber").card.title == "You call them Dr. Weber"
    row = next(one for one in listed(world.analyst).contacts if one.person.did == far.did)
    assert (row.person.words, row.person.short, row.key) == ("Dr. Weber", short_did(far.did), "")
    for name in ("", "me", "a\u202eb", "<b>", "hospital"):
        with pytest.raises(BadInput):
            call(world.analyst, far.did, name)
    with pytest.raises(BadInput):
        call(world.analyst, world.hospital.did, "other")
    for who in ("north", "did:key:zzz"):
        with pytest.raises(BadInput):
            call(world.analyst, who, "x")


def test_a_contact_is_kept_from_its_text(world: World, far: Session) -> None:
    """Dropped onto the panel: its key is known from then on, under a name that is plain or mine."""
    card = add(world.analyst, far.identity).card
    assert card.title == "Kept the contact of north"
    row = next(one for one in listed(world.analyst).contacts if one.person.did == far.did)
    assert (row.person.words, row.key) == ("north", world.analyst.recipient("north").key_digest)
    with pytest.raises(UnknownName):
        world.hospital.recipient("north")


@pytest.mark.parametrize("said", ["<img src=x>", "a\u202eb", "me", "hospital", "hοspital"])
def test_a_contact_with_a_strange_name_needs_one_of_mine(world: World, far: Session, said: str) -> None:
    """What somebody calls themselves never becomes a petname unless it is plain and looks like nobody's."""
    strange = Identity(said, far.identity.signing, far.identity.hpke)
    with pytest.raises(BadInput, match="The name is"):
        add(world.analyst, strange)
    assert all(one.person.did != far.did for one in listed(world.analyst).contacts)
    assert add(world.analyst, strange, "Far Away").card.title == "Kept the contact of Far Away"


@pytest.mark.parametrize("text", ["", "{}", "x" * 1000])
def test_what_is_no_contact_is_refused(world: World, text: str) -> None:
    """Any file can be dropped."""
    with pytest.raises(MalformedDocument):
        people.contact(Asked(world.analyst, body=messages.AddContact(text=text)))


def test_a_forged_contact_is_refused(world: World, far: Session) -> None:
    """Nobody's key is put beside another one's DID."""
    text = sign(far.identity.contact(), world.analyst.identity).decode()
    with pytest.raises(SlsError):
        people.contact(Asked(world.analyst, body=messages.AddContact(text=text)))

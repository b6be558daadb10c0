"""Names: who is called what by whom, and what a contact file can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from builders import person
from e2e import World, patients
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.contract.spec import Recipient
from sls_jupyter.documents import b64encode, sign
from sls_jupyter.errors import BadInput, MalformedDocument, SignatureInvalid, SlsError, UnknownName, VerificationError
from sls_jupyter.identity import Contact, Home, Identity
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import People, Who, fold, look


@pytest.fixture
def me(tmp_path: Path) -> People:
    Home(tmp_path, "clinic").identity()
    return People(Home(tmp_path, "hospital"))


def called(who: Identity, name: str) -> Identity:
    """The same person under another self-chosen name."""
    return Identity(name, who.signing, who.hpke)


def file_of(folder: Path, who: Identity, **changes: str) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.json"
    contact = who.contact().model_copy(update=changes)
    path.write_bytes(sign(contact, who))
    return path


BOARD, MALLORY = person("board"), person("mallory")


# --- what a card calls somebody -------------------------------------------------------------------


def test_my_personas_go_by_their_folders(me: People, tmp_path: Path) -> None:
    """Notebooks with several personas on one laptop read as before."""
    assert str(me.who(me.did)) == "hospital"
    assert str(me.who(Home(tmp_path, "clinic").identity().did)) == "clinic"


def test_a_stranger_is_unknown_whatever_they_call_themselves(me: People) -> None:
    """A self-chosen name stands in quotation marks behind the key."""
    who = me.who(MALLORY.did, "Dr. Weber")
    assert who.petname is None
    assert str(who) == f'unknown · {MALLORY.did[8:12]}…{MALLORY.did[-4:]} "Dr. Weber"'
    assert str(me.who(MALLORY.did)) == f"unknown · {MALLORY.did[8:12]}…{MALLORY.did[-4:]}"


@pytest.mark.parametrize(
    "said",
    [
        "hospital",
        "Hospital",
        "ｈｏｓｐｉｔａｌ",
        "hospital ",
        "hosp\u200bital",
        "hospitаl",
        "hospitaI",
        "hóspital",
        "cl1nic",
    ],
)
def test_a_name_like_one_that_is_known_has_a_warning(me: People, said: str) -> None:
    """Who takes over the name of somebody known, in any look-alike spelling, is told apart in words."""
    who = me.who(MALLORY.did, said)
    assert who.warning in ("not the hospital that you know", "not the clinic that you know")
    assert str(who).endswith(f"({who.warning})")


def test_nobody_else_is_me(me: People) -> None:
    """The default persona of a stranger is not this user."""
    assert me.who(MALLORY.did, "me").warning == "not you"


@given(st.text(max_size=200))
def test_any_self_chosen_name_is_one_short_line(said: str) -> None:
    """No name breaks out of its quotation marks or its line."""
    text = str(Who(MALLORY.did, None, said))
    assert text.isprintable()
    assert len(text) < 100
    assert text.count('"') in (0, 2)


# --- giving names ---------------------------------------------------------------------------------


def test_a_given_name_is_what_cards_say(me: People) -> None:
    """A name given once holds in the next session, and can be changed."""
    me.call(MALLORY.did, "Dr. Weber")
    again = People(me.home)
    assert str(again.who(MALLORY.did, "somebody else")) == "Dr. Weber"
    again.call("dr. weber", "the auditor")
    assert str(me.who(MALLORY.did)) == "the auditor"
    assert [str(who) for who, _ in me.contacts()] == ["clinic", "hospital", "the auditor"]


@pytest.mark.parametrize(
    "name", ["", " ", "a" * 41, "a  b", "a/b", "did:key:z", 'a"b', "a\nb", "me", "You", "unknown · x", "Unknown 7"]
)
def test_what_cannot_be_a_name_is_refused(me: People, name: str) -> None:
    """A name that looks like a key, a path, or a word of the cards would mislead its own giver."""
    with pytest.raises(BadInput):
        me.call(MALLORY.did, name)
    assert me.who(MALLORY.did).petname is None


def test_one_name_is_one_person(me: People) -> None:
    """Nobody gets a name that somebody else has here, a persona of one's own included."""
    me.call(MALLORY.did, "Weber")
    for name in ("weber", "WEBER", "ｗｅｂｅｒ", "Clinic", "hospital"):
        with pytest.raises(BadInput, match="somebody else"):
            me.call(BOARD.did, name)
    with pytest.raises(BadInput, match="folder"):
        me.call(me.did, "other")


def test_a_name_that_fits_two_is_refused(me: People, tmp_path: Path) -> None:
    """A persona made later may have the name of somebody known: then neither is meant by it, and cards tell them apart."""
    me.call(MALLORY.did, "board")
    late = Home(tmp_path, "board").identity()
    with pytest.raises(BadInput, match="Two people"):
        me.find("board")
    assert str(me.who(MALLORY.did)) != str(me.who(late.did))
    assert me.find(MALLORY.did) == MALLORY.did


def test_self_chosen_names_mean_nobody(me: People, tmp_path: Path) -> None:
    """Only names that were given here can be written after --to."""
    me.add_contact(file_of(tmp_path, called(MALLORY, "the bank")), "Weber")
    assert me.find("Weber") == MALLORY.did
    with pytest.raises(UnknownName, match="Nobody"):
        me.find("the bank")


# --- contact files --------------------------------------------------------------------------------


def test_a_contact_travels_in_a_file(me: People, tmp_path: Path) -> None:
    """Somebody without an authority can be a recipient: by name, by DID, or by the file itself."""
    theirs = People(Home(tmp_path / "elsewhere", "board"))
    path = theirs.save_contact(tmp_path / "board.json")
    assert me.recipient(str(path)).did == theirs.did
    assert str(me.add_contact(path)) == "board"
    assert me.recipient("board") == me.recipient(theirs.did) == me.recipient(str(path))


def test_a_forged_contact_is_none(me: People, tmp_path: Path) -> None:
    """Another key, name or DID in a contact breaks its signature."""
    for forged in ({"hpke_public_key": MALLORY.contact().hpke_public_key}, {"did": MALLORY.did}, {"name": "x"}):
        contact = sign(BOARD.contact(), BOARD)
        payload = BOARD.contact().model_copy(update=forged).payload()
        value = json.loads(contact) | {"payload": b64encode(payload)}
        path = tmp_path / "forged.json"
        path.write_text(json.dumps(value, separators=(",", ":"), sort_keys=True))
        with pytest.raises(SignatureInvalid):
            me.add_contact(path)
    assert me.who(BOARD.did).petname is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, b"[" * 100_000, b"x" * 70_000])
def test_what_is_no_contact_is_refused(me: People, tmp_path: Path, data: bytes) -> None:
    """Any file may be given."""
    (tmp_path / "some.json").write_bytes(data)
    with pytest.raises((MalformedDocument, BadInput)):
        me.add_contact(tmp_path / "some.json")
    with pytest.raises(BadInput):
        me.add_contact(tmp_path / "none.json")


@pytest.mark.parametrize(
    "said", ["hospital", "C1inic", "me", "the owner", "weber ", "Größe", "-x", "x" * 41, "", "a  b"]
)
def test_a_self_chosen_name_is_taken_over_only_if_it_is_plain_and_free(me: People, tmp_path: Path, said: str) -> None:
    """Whoever looks like somebody known gets no name by themselves; the hint tells how to give one, and nothing is kept."""
    path = file_of(tmp_path, called(MALLORY, said))
    with pytest.raises(BadInput) as raised:
        me.add_contact(path)
    assert "--as NAME" in raised.value.hint
    assert me.who(MALLORY.did).petname is None
    assert str(me.add_contact(path, "Weber")) == "Weber"
    assert str(me.add_contact(path)) == "Weber"  # once they have a name, they keep it


def test_another_key_of_somebody_is_taken_only_when_it_is_meant(me: People, tmp_path: Path) -> None:
    """An old contact is signed too: shown again, by an authority or in a file, it replaces no key by itself."""
    old = Identity("mallory", MALLORY.signing, person("an old key").hpke)
    me.add_contact(file_of(tmp_path, MALLORY), "Weber")
    replayed = file_of(tmp_path, old)
    with pytest.raises(BadInput, match="another key") as raised:
        me.add_contact(replayed)
    assert "--as NAME" in raised.value.hint
    assert me.recipient("Weber").key_digest == Recipient.of(sign(MALLORY.contact(), MALLORY)).key_digest
    assert str(me.add_contact(replayed, "Weber")) == "Weber"
    assert me.recipient("Weber").key_digest == Recipient.of(sign(old.contact(), old)).key_digest


def test_two_notebooks_of_one_persona_forget_no_name(me: People) -> None:
    """Names that are given at the same time are all kept."""
    people = [person(f"somebody {number}") for number in range(24)]
    notebooks = [People(me.home) for _ in range(4)]

    def give(number: int) -> None:
        notebooks[number % 4].call(people[number].did, f"name {number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give, range(len(people))))
    assert [str(me.who(one.did)) for one in people] == [f"name {number}" for number in range(len(people))]


def test_a_bare_word_is_no_file(me: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called ``board`` in a folder that somebody else filled does not become the board."""
    (tmp_path / "board").write_bytes(sign(MALLORY.contact(), MALLORY))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName):
        me.recipient("board")
    assert me.recipient("./board").did == MALLORY.did


def test_a_damaged_book_is_said(me: People) -> None:
    """Names that cannot be read are not silently forgotten."""
    me.call(MALLORY.did, "Weber")
    (me.home.path / "contacts.json").write_text('{"known":{"x":1}}')
    with pytest.raises(MalformedDocument) as raised:
        People(me.home).who(MALLORY.did)
    assert "contacts.json" in raised.value.hint


def test_how_names_are_compared() -> None:
    """Equal names are one name, whatever their spelling; look-alikes are names of their own that are warned of."""
    assert fold("  GRÖßE  nord") == fold("grösse nord")
    assert fold("maiI") != fold("mail")
    assert look("rnai1") == look("mail")
    assert look("north") != look("south")


# --- connecting -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    made.seal("patients", patients(20))
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Session]:
    """Somebody on another machine, whose own persona is called hospital too."""
    made = Session(Home(tmp_path / "other", "hospital"))
    yield made
    made.close()


def test_two_hospitals_are_told_apart(world: World, other: Session) -> None:
    """An owner who is called like oneself needs another name before anything is kept; cards and inputs use it."""
    url, did = world.hospital.own_authority().url, world.hospital.own_authority().did
    with pytest.raises(BadInput, match="like hospital, which you know") as raised:
        other.connect(url)
    assert f"%sls connect {url} --as NAME" in raised.value.hint
    assert not (other.home.path / "authorities.json").exists()
    with pytest.raises(SlsError):
        other.connect(url, name="Hospital")
    assert other.connect(url, name="north", did=did) == "north"
    info = other.asset("north/patients")
    assert (info.owner_name, info.called) == ("north", "north/patients")
    assert other.asset(f"{world.hospital.did}/patients").id == info.id
    assert other.names()[did] == "north's authority"
    assert other.connect(url) == "north"


def test_an_authority_is_somebody_s_only_by_their_word(world: World, other: Session) -> None:
    """An authority of mallory's that shows the hospital's contact, which is public, is not the hospital's."""
    mallory = world.session("mallory")
    victim = world.hospital
    about = open_authority(victim.home, anchors=victim.anchors)
    claims = {"owner": victim.did, "owner_contact": about.owner_contact, "appointment": about.appointment}
    authority = replace(open_authority(mallory.home, anchors=mallory.anchors), **claims)
    server = AuthorityServer(authority, listen(0))
    server.start()
    try:
        with pytest.raises(VerificationError, match="named another one"):
            other.connect(server.url, name="north")
        assert not (other.home.path / "contacts.json").exists()
    finally:
        server.stop()
        about.store.close()
        authority.store.close()


def test_connecting_to_a_did_takes_no_other(world: World, other: Session) -> None:
    """Whoever was given the DID by its owner cannot be led to another authority."""
    url, wrong = world.hospital.own_authority().url, world.hospital.did
    with pytest.raises((VerificationError, SignatureInvalid)):
        other.connect(url, name="north", did=wrong)
    assert not (other.home.path / "contacts.json").exists()


def test_a_contact_of_a_contact_can_be_pinned(world: World, tmp_path: Path) -> None:
    """A recipient named by file or by name is pinned to the key in the contact, and the card says so."""
    board = People(Home(tmp_path / "board", "board"))
    path = board.save_contact(tmp_path / "contact.json")
    hospital = world.hospital
    policy = hospital.seal(patients(3), "pinned", tee="simulated-snp", recipient=[str(path)]).info.policy
    assert policy.recipient_keys == {board.did: board.recipient(board.did).key_digest}
    hospital.add_contact(path)
    assert hospital.seal(patients(3), "named", recipient="board").info.policy.recipient_keys == policy.recipient_keys
    stranger = hospital.seal(patients(3), "stranger", recipient=MALLORY.did).info.policy
    assert (stranger.recipients, stranger.recipient_keys) == ((MALLORY.did,), {})
    with pytest.raises(UnknownName):
        hospital.seal(patients(3), "nobody", recipient="somebody")


def test_contact_documents_have_bounds() -> None:
    """A contact's name is bounded, so that no card is flooded."""
    with pytest.raises(ValueError, match="500"):
        Contact(did=MALLORY.did, name="x" * 501, hpke_public_key="")


def test_an_authority_known_at_two_urls_is_one(tmp_path: Path) -> None:
    """Its assets are listed once and can be named without their owner."""
    world = World(tmp_path / "home")
    world.seal("patients", patients(20))
    forwarded = world.hospital.own_authority().url.replace("127.0.0.1", "localhost")
    world.analyst.connect(forwarded)
    assert [info.name for info in world.analyst.assets()] == ["patients"]
    assert world.analyst.asset("patients").name == "patients"
    world.close()


def test_a_manifest_names_the_url_that_its_owner_gave(tmp_path: Path) -> None:
    """Others reach the authority there; that this persona reaches it by a shorter way is its own business."""
    world = World(tmp_path / "home")
    public = world.hospital.own_authority().url.replace("127.0.0.1", "localhost")
    world.hospital.connect(public)
    world.seal("patients", patients(20), authority=public)
    assert world.hospital.asset("patients").manifest.authority_url == public
    world.close()

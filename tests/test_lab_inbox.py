"""The panel's inbox: what a reviewer is shown is what was signed, and only that is decided on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import World, patients
from test_session_inbox import Change, lying  # noqa: F401  # the fixture
from test_session_inbox_cells import Asking

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import BadInput, DigestMismatch, SlsError, Unavailable
from sls_jupyter.identity import Home
from sls_jupyter.lab import card_messages, inbox, messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.safestream.request import StreamRequest, ask_all
from sls_jupyter.session import Session
from sls_jupyter.session import inbox as inboxes

CELL = "import pandas as pd\nx = patients.age.mean()\ny = x + 1\nz = y\n"
HOSTILE = "<b>study</b> \u202egnihton\u202c " + "long " * 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hospital that reviews code, and an analyst who has a name there."""
    made = World(tmp_path / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None, columns="age,sex", kinds="table")
    yield made
    made.close()


def ask(world: World, code: str = CELL, inputs: tuple[str, ...] = ("patients",), **options: Any) -> StreamRequest:
    request = world.analyst.prepare(code, list(inputs), **{"purpose": "heart study", **options})
    ask_all(request, world.analyst._run_clients(request))
    return request


def ask_as(world: World, folder: Path, said: str, purpose: str) -> StreamRequest:
    """Somebody with a home of their own asks, who calls themselves so."""
    stranger = Session(Home(folder, said))
    stranger.anchors = world.hospital.anchors
    try:
        own = world.hospital.own_authority()
        stranger.connect(own.url, name="north", did=own.did)
        request = stranger.prepare(CELL, ["north/patients"], tees=["simulated-snp"], purpose=purpose)
        ask_all(request, stranger._run_clients(request))
        return request
    finally:
        stranger.close()


def listed(session: Session, **query: str) -> messages.Inbox:
    return inbox.listed(Asked(session, query=query))


def page(session: Session, id_: str) -> messages.RequestPage:
    return inbox.page(Asked(session, path={"id": id_}))


def decide(
    session: Session, shown: messages.RequestPage, *, approve: bool = True, reason: str = ""
) -> messages.Decided:
    body = messages.Decide(approve=approve, reason=reason, seen=shown.seen)
    return inbox.decide(Asked(session, path={"id": shown.row.id}, body=body))


def drawn(rows: tuple[messages.DiffRow, ...]) -> list[str]:
    """Rows as a screen has them."""
    return [f"{row.sign} {row.before} {row.after} {''.join(unit.text for unit in row.units)}" for row in rows]


def texts_of(model: messages.Model) -> Iterator[str]:
    """Every text in a message, whatever field it is in."""

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for one in value.values():
                yield from walk(one)
        elif isinstance(value, (list, tuple)):
            for one in value:
                yield from walk(one)

    yield from walk(model.model_dump())


def test_what_one_persona_was_shown_another_does_not_decide_on(tmp_path: Path) -> None:
    """Two personas of one user may both decide; a page that became the other one meanwhile signs nothing for it."""
    world = World(tmp_path / "home")
    try:
        clinic, own = world.session("clinic"), world.hospital.own_authority()
        clinic.connect(own.url, name="hospital", did=own.did)
        both = [world.hospital.did, clinic.did]
        world.seal("patients", patients(20), allow_code="reviewed", requester=None, kinds="table", approver=both)
        request = ask(world)
        shown, theirs = page(world.hospital, request.spec.terms), page(clinic, request.spec.terms)
        assert (shown.can_decide, theirs.can_decide) == (True, True)
        with pytest.raises(DigestMismatch, match="not what you were shown"):
            decide(clinic, shown)
        assert page(clinic, request.spec.terms).row.state == "open"
        assert decide(clinic, theirs).approved
    finally:
        world.close()


# --- the list -------------------------------------------------------------------------------------


def test_what_waits_for_me_is_first_and_words_pick(world: World) -> None:
    """An owner sees what to decide on at the top, how much there is, and finds one by any word of it."""
    first, second = ask(world, purpose="heart study"), ask(world, CELL + "w = 1\n", purpose="lung study")
    decide(world.hospital, page(world.hospital, second.spec.terms))
    found = listed(world.hospital)
    assert [(row.id, row.state, row.tone) for row in found.rows] == [
        (first.spec.terms, "open", "wait"),
        (second.spec.terms, "approved", "good"),
    ]
    row = found.rows[0]
    assert (row.who.words, row.purpose, row.assets, row.simulated) == ("analyst", "heart study", ("patients",), True)
    assert (found.total, found.waiting, row.mine_to_decide, row.own) == (2, 1, True, False)
    assert [row.id for row in listed(world.hospital, q="LUNG analyst").rows] == [second.spec.terms]
    assert [row.id for row in listed(world.hospital, q="approved").rows] == [second.spec.terms]
    short = listed(world.hospital, most="1")
    assert (len(short.rows), short.total, short.waiting) == (1, 2, 1)
    assert [row.own for row in listed(world.analyst).rows] == [True, True]
    with pytest.raises(BadInput, match="number of rows"):
        listed(world.hospital, most="-1")


def test_a_list_opens_no_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests are listed without fetching the code of one."""
    ask(world)
    monkeypatch.setattr(AuthorityClient, "request", lambda *_: pytest.fail("it was opened"))
    assert listed(world.hospital).waiting == 1


def test_what_an_authority_told_before_it_fell_silent_is_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long inbox on a slow machine shows its beginning, and says that there is more."""
    for number in range(3):
        ask(world, CELL + f"w = {number}\n")
    asked = AuthorityClient.requests
    monkeypatch.setattr(inboxes, "PAGE", 2)

    def tired(client: AuthorityClient, **options: Any) -> Any:
        if options.get("after") is not None:
            raise Unavailable("The authority does not answer.")
        return asked(client, **options)

    monkeypatch.setattr(AuthorityClient, "requests", tired)
    found = listed(world.hospital)
    assert (found.total, found.silent) == (2, ())
    assert found.doubts == ("hospital's authority did not tell of all its requests in time; the newest 2 are listed.",)


def test_a_silent_authority_is_named_beside_what_others_have(world: World) -> None:
    """Nobody takes silence for having nothing."""
    world.seal("notes", patients(5), owner="clinic", allow_code="reviewed", requester=None)
    ask(world)
    world.session("clinic").stop_serving()
    world.analyst._reachable = (-3600.0, [])
    found = listed(world.analyst)
    assert found.total == 1
    (silent,) = found.silent
    assert silent.words.startswith("clinic (http")
    assert silent.words.endswith("does not answer")


# --- one request ----------------------------------------------------------------------------------


def test_a_page_has_all_that_a_decision_rests_on(world: World) -> None:
    """The code row by row, the card without it, what is signed in words, and whether it is mine to decide."""
    request = ask(world)
    shown = page(world.hospital, request.spec.terms)
    kinds = [block.kind for block in shown.card.blocks]
    assert "listing" not in kinds
    assert kinds[0] == "facts"
    (code,) = [block for block in shown.code if isinstance(block, card_messages.ListingData)]
    assert ["".join(unit.text for unit in row.units) for row in code.rows] == CELL.splitlines()
    assert (shown.can_decide, shown.difference, shown.earlier) == (True, None, ())
    assert shown.signs.startswith(f"You sign the terms {shown.row.short} with your key. It lets run: Every run that")
    assert "For 90 days" in shown.signs
    theirs = page(world.analyst, request.spec.terms)
    assert (theirs.can_decide, theirs.row.own, theirs.row.who.words) == (False, True, "analyst")


def test_a_doubt_stands_first(world: World, lying: Any) -> None:  # noqa: F811
    """Whoever has not read the doubts has not read the page."""
    world.seal("notes", patients(5), owner="clinic", allow_code="reviewed", requester=None)
    request = ask(world, inputs=("patients", "notes"))
    world.session("clinic").stop_serving()
    world.hospital._known_authority = lambda did: None  # type: ignore[method-assign, assignment]
    world.hospital._owned.clear()
    shown = page(world.hospital, request.spec.terms)
    assert [block.kind for block in shown.card.blocks][:2] == ["warn", "warn"]
    assert shown.card.tone == "bad"


@pytest.mark.parametrize(
    ("options", "summary", "signs"),
    [
        ({"code": CELL.replace("+ 1", "+ 2")}, "one line", "  -+ "),
        ({"code": CELL.replace("+ 1", "+ 2").replace("z = y", "z = x")}, "2 lines", "  --++"),
        ({"code": CELL.replace(" + ", "  + ")}, "only white space", "  -+ "),
        ({"code": CELL.replace("y = x", "if x:\n  y = x").replace("z", "  z")}, "3 lines", ""),
        ({"code": CELL + "w = 1\n", "limits": Limits(wall_seconds=60)}, "one line, limits lower", "   +"),
        ({"limits": Limits(wall_seconds=6000, cpus=2)}, "limits higher", ""),
        ({"inputs": ("patients:age",)}, "fewer columns", ""),
        ({"purpose": "lung study"}, "purpose", ""),
    ],
)
def test_what_differs_from_an_approved_one_is_said_in_few_words(
    world: World, options: dict[str, Any], summary: str, signs: str
) -> None:
    """A reviewer who knows the request before sees at once what is new, and each line of it."""
    before = ask(world)
    decide(world.hospital, page(world.hospital, before.spec.terms), reason="fine")
    shown = page(world.hospital, ask(world, **options).spec.terms)
    difference = shown.difference
    assert difference is not None
    assert (difference.id, difference.state, difference.summary) == (before.spec.terms[7:19], "approved", summary)
    rows = [row for row in difference.rows if not row.heading]
    if signs:
        assert "".join(row.sign for row in rows) == signs
    elif "code" not in options:
        assert rows == []
        assert len(difference.changes) >= 1
    assert [(one.id, one.state, one.who) for one in shown.earlier] == [(before.spec.terms[7:19], "approved", "analyst")]


def test_decisions_on_other_assets_are_not_earlier_ones(world: World) -> None:
    """Earlier answers are about what is asked for now."""
    world.seal("mock", patients(5), allow_code="reviewed", requester=None)
    other, same = ask(world, "x = mock.age\n", ("mock",)), ask(world)
    decide(world.hospital, page(world.hospital, other.spec.terms))
    decide(world.hospital, page(world.hospital, same.spec.terms), approve=False, reason="too much")
    shown = page(world.hospital, ask(world, CELL + "w = 2\n").spec.terms)
    assert [(one.id, one.state, one.tone) for one in shown.earlier] == [(same.spec.terms[7:19], "denied", "bad")]


def test_a_requester_who_is_new_is_told_from_one_who_asked_before(world: World) -> None:
    """Whoever decides sees whether a name is one that never asked for anything here."""
    before = ask(world)
    new = page(world.hospital, before.spec.terms).met
    assert new is not None
    assert (new.decided, new.first_at) == (0, 0), "what only waits was not decided"
    decide(world.hospital, page(world.hospital, before.spec.terms), reason="fine")
    known = page(world.hospital, ask(world, CELL + "w = 3\n").spec.terms)
    assert known.met is not None
    assert known.met.decided == 1
    assert 0 < known.met.first_at <= known.row.created_at


def test_what_cannot_be_had_is_not_taken_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is called new because an authority took too long to say what it decided before."""
    terms = ask(world).spec.terms
    monkeypatch.setattr("sls_jupyter.session.inbox.ASIDE_SECONDS", -1.0)
    shown = page(world.hospital, terms)
    assert (shown.met, shown.earlier) == (None, ())
    assert shown.can_decide


def test_cells_that_came_and_changed_are_shown_under_their_numbers(world: World) -> None:
    """A whole notebook is compared cell by cell."""
    asking = Asking(world)
    for code in ("total = len(patients)\n", "mean = patients.age.mean()\n"):
        asking.cell(code)
    decide(world.hospital, page(world.hospital, asking.terms))
    anew = Asking(world)
    for code in ("total = len(patients)\n", "mean = patients.age.median()\n"):
        anew.cell(code)
    shown = page(world.hospital, anew.terms)
    assert shown.row.session == "cell 2 of at most 20"
    assert shown.difference is not None
    assert shown.difference.summary == "one line"
    assert drawn(shown.difference.rows) == [
        "  0 0 cell 2",
        "- 1 0 mean = patients.age.mean()",
        "+ 0 1 mean = patients.age.median()",
    ]
    anew.cell("print(mean)\n")
    longer = page(world.hospital, anew.terms).difference
    assert longer is not None
    assert longer.summary == "2 cells new, one cell gone"


# --- deciding -------------------------------------------------------------------------------------


def entries(world: World) -> int:
    return world.hospital.own_authority().follow_log(world.hospital.memory).tree_size


def test_a_decision_is_signed_logged_and_shown(world: World) -> None:
    """Approve with a reason: the log has it, the card says where, the list shows it, nothing is left to decide."""
    shown = page(world.hospital, ask(world).spec.terms)
    done = decide(world.hospital, shown, reason="read and fine")
    assert (done.id, done.approved, done.card.tone) == (shown.row.id, True, "good")
    assert done.entry == entries(world) - 1
    again = page(world.hospital, shown.row.id)
    assert (again.row.state, again.can_decide) == ("approved", False)


def test_a_denial_needs_a_reason(world: World) -> None:
    """The requester reads it."""
    shown = page(world.hospital, ask(world).spec.terms)
    with pytest.raises(BadInput, match="needs a reason"):
        decide(world.hospital, shown, approve=False, reason=" ")
    assert decide(world.hospital, shown, approve=False, reason="too much").card.title.startswith("Denied")


def test_what_was_decided_elsewhere_is_not_decided_again(world: World) -> None:
    """One inbox is open twice: the second decision is refused, and says why."""
    shown = page(world.hospital, ask(world).spec.terms)
    elsewhere = Session(world.hospital.home)
    elsewhere.deny(elsewhere.request(shown.row.id).id, "no")
    before = entries(world)
    with pytest.raises(DigestMismatch, match="not what you were shown any more") as refused:
        decide(world.hospital, shown)
    assert (refused.value.found, entries(world)) == ("it is denied now, as its authority says", before)
    assert "Open it anew" in refused.value.hint
    elsewhere.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda _: {"state": "granted"},
        lambda _: {"contact": None},
        lambda _: {"code": "x = patients\n"},
    ],
)
def test_an_authority_that_shows_another_request_later_gets_no_signature(
    world: World,
    lying: Any,  # noqa: F811
    change: Change,
) -> None:
    """What is signed is what was read, whatever an authority makes of it in between."""
    folder = world.root.parent / "upstate"
    shown = page(world.hospital, ask_as(world, folder, "upstate", "study").spec.terms)
    before = entries(world)
    lying(change)
    with pytest.raises(SlsError):
        decide(world.hospital, shown)
    assert entries(world) == before


def test_another_name_for_the_requester_is_another_page(world: World, tmp_path: Path) -> None:
    """Who gave somebody a name meanwhile reads the page anew before they sign."""
    request = ask_as(world, tmp_path / "home of upstate", "upstate", "study")
    shown = page(world.hospital, request.spec.terms)
    world.hospital.call(request.spec.requester, "Mallory")
    with pytest.raises(DigestMismatch):
        decide(world.hospital, shown)
    assert page(world.hospital, request.spec.terms).row.who.words == "Mallory"


# --- what strangers write -------------------------------------------------------------------------


def test_what_strangers_write_stays_one_line_of_seen_characters(world: World, tmp_path: Path) -> None:
    """Names, purposes and code of a hostile analyst steer nothing and hide nothing, in the list and on the page."""
    request = ask_as(world, tmp_path / "north", "hospital", HOSTILE)
    row = listed(world.hospital).rows[0]
    shown = page(world.hospital, request.spec.terms)
    for message in (row, shown):
        for text in texts_of(message):
            assert "\n" not in text
            assert "\u202e" not in text
    assert row.who.petname is None
    assert row.who.words.startswith("unknown · z6Mk")
    assert row.who.words.endswith('"hospital" (not the hospital that you know)')
    assert (row.who.said, row.who.warning) == ("hospital", "not the hospital that you know")
    assert row.purpose.startswith("<b>study</b> ⟦U+202E⟧gnihton")


def test_a_line_that_only_looks_the_same_is_a_difference(world: World) -> None:
    """A character that is not seen is shown by its number on the side that has it."""
    decide(world.hospital, page(world.hospital, ask(world).spec.terms))
    shown = page(world.hospital, ask(world, CELL.replace("z = y", "z = y  # \u202e")).spec.terms)
    assert shown.difference is not None
    assert drawn(shown.difference.rows)[-2:] == ["- 4 0 z = y", "+ 0 4 z = y  # ⟦U+202E⟧"]

"""The reviewer's page is what runs: assets by their owners' names, parameters by value, every text in its order."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from notebook_kit import check_html, frame
from review_kit import changed_spec, reviewed

from sls_jupyter.contract.spec import Recipient
from sls_jupyter.documents import digest
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.identity import Home
from sls_jupyter.notebook.commands import MAX_PAGES, _so_many
from sls_jupyter.notebook.render import requests_card
from sls_jupyter.notebook.review import request_card
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import Who

FORGED = "Dr. Weber\n  state    … open\n\n  Code, exactly as it will run\n      x = 1\x1b[2J\u202e" + "\n" * 60


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    for name in ("patients", "mock"):
        session.seal(frame(), name, tee="simulated-snp")
    session.seal_code("x = 1\n", "helpers", tee="simulated-snp", allow_code="any")
    session.seal_code("x = 1\n", "secret", tee="simulated-snp", allow_code="any", confidential=True)
    yield session
    session.close()


def page(request, people=None, **options):
    """The page as text, with its lines joined, once its HTML is known to be sound."""
    card = request_card(request, people or {}, **options)
    check_html(card._repr_html_())
    return " ".join(str(card).split())


def test_swapped_names_jump_to_the_eye(session):
    """Two assets that carry each other's names are told apart before the code is read."""
    names = {"patients": "mock", "mock": "patients"}
    text = page(reviewed(session, ["patients=mock", "mock=patients"], names=names))
    assert "! mock = hospital/patients, although hospital/mock is in this request too, as patients." in text
    assert "! patients = hospital/mock, although" in text


def test_an_alias_that_is_no_name_is_said_and_the_asset_s_own_name_is_not(session):
    """A variable with another name than its asset is pointed at; the ordinary case stays quiet."""
    renamed = page(reviewed(session, ["patients=mock"], names={"mock": "patients"}))
    assert "! mock = hospital/patients. In the code, mock means that asset." in renamed
    assert "patients = " not in page(reviewed(session, ["patients"], "x = 1"))
    request = reviewed(session, ["patients"])
    nameless = replace(request, inputs=(replace(request.inputs[0], name=None),))
    assert "whose name is not known" in page(nameless)


def test_parameters_are_on_the_page_with_their_values(session):
    """What a cell is given is read before it is approved: JSON as it is, tables by shape, types and first rows."""
    table = pd.DataFrame({"sex": ["f", "m"] * 20, "weight": [0.5, 1.5] * 20})
    request = reviewed(session, ["patients"], parameters={"by": ["name", "a\u202eb"], "how": "first", "weights": table})
    text = page(request)
    for part in ('by = ["name", "a⟦U+202E⟧b"]', 'how = "first"', "weights = a table, 40 rows × 2 columns", "(float64)"):
        assert part in text
    assert "10 rows and 2 columns are shown." in text
    assert page(request, everything=True).count(" 1.5") == 20


def test_a_long_parameter_is_cut_only_with_a_sentence(session):
    """What is not shown is counted, and one option shows it."""
    request = reviewed(session, ["patients"], parameters={"big": "ä" * 30_003})
    assert "20,000 of 30,005 characters are shown. %sls show" in page(request)
    assert page(request).count("ä") < 20_100
    assert page(request, everything=True).count("ä") >= 30_003


def test_an_asset_that_replaces_a_name_of_python_is_pointed_at(session):
    """A table called len is not what a reader takes it for."""
    text = page(reviewed(session, ["patients=len"], names={"len": "patients"}))
    assert "The asset len takes the place of what Python means by that name." in text


def test_a_table_among_the_parameters_shows_its_index(session):
    """What a frame carries beside its columns reaches the code, so it is on the page."""
    table = pd.DataFrame({"weight": [0.5, 1.5]}, index=pd.Index(["patient 1", "patient 2"], name="who"))
    text = page(reviewed(session, ["patients"], parameters={"weights": table}))
    assert "patient 2 1.5" in text
    assert "who" in text


def test_a_parameter_that_replaces_something_is_pointed_at(session):
    """The guest puts parameters over built-in names: a reader has to know."""
    assert "what Python means" in page(reviewed(session, ["patients"], parameters={"len": 1}))


def test_a_parameter_in_the_place_of_a_table_is_pointed_at(session):
    """This version makes no such request; a requester's own program can."""
    request = reviewed(session, ["patients"], parameters={"weights": 1})
    packed = pack_parameters({"patients": 1})
    spec = request.spec.model_copy(update={"parameters": digest(packed)})
    assert "takes the place of the asset" in page(replace(request, spec=spec, id=spec.terms, parameters=packed))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": b"{}"}, "parameters are not those that the requester signed"),
        ({"parameters": b""}, "parameters were not handed over"),
        ({"code": "x = 2"}, "code below is not the code that the requester signed"),
        ({"inputs": ()}, "assets below are not those"),
        ({"id": "sha256:" + "0" * 64}, "number is not that of its terms"),
        ({"doubts": ("Its policy\ncould not be read.",)}, "Its policy⟦U+000A⟧could not be read."),
    ],
)
def test_doubts_come_first(session, change, words):
    """What does not fit the signed request is the first thing that its approver reads."""
    card = request_card(replace(reviewed(session, ["patients"]), **change))
    doubts = str(card).partition("  state ")[0]
    assert words in " ".join(doubts.split())
    assert "Clear up these doubts" in doubts
    assert card.tone == "bad"


def test_every_text_that_runs_stands_there_in_its_order(session):
    """Code assets come before the cell, file by file as the guest puts them together; confidential ones are said."""
    texts = {"helpers": {"b.py": "second = 2\n", "a.py": "first = 1\n"}}
    text = page(
        reviewed(
            *(session, ["patients"]),
            code_assets=["secret", "helpers"],
            texts=texts,
            confidential=("secret",),
        )
    )
    places = [text.index(part) for part in ("first = 1", "second = 2", "Confidential: not shown", "risk = patients")]
    assert places == sorted(places)
    assert "its owner, hospital, vouches for it" in text
    assert "Approve nothing that you cannot read" in page(reviewed(session, ["patients"], code_assets=["helpers"]))


def test_what_can_leave_is_what_every_owner_lets_out(session):
    """The strictest owner decides for the whole request, and each one's word is there."""
    request = reviewed(session, ["patients:age", "mock"], kinds={"patients": ("table",), "mock": ("table", "text")})
    text = page(request)
    assert "can leave tables (what every owner lets out, of tables, text, figures asked for)" in text
    assert "patients hospital/patients table age tables" in text
    assert "can leave nothing" in page(reviewed(session, ["patients"], kinds={"patients": ()}))


def test_recipients_are_known_or_said_to_be_unknown(session):
    """Who would read the results is a name that the approver gave, or a stranger."""
    other = Home(session.home.root, "board").identity().contact()
    request = reviewed(session, ["patients"])
    board = request.spec.recipients[0].model_copy(update={"did": other.did})
    assert isinstance(board, Recipient)
    both = changed_spec(request, recipients=tuple(sorted((board, *request.spec.recipients), key=lambda one: one.did)))
    assert f"unknown (unknown to you: ask who this is), {other.did}" in page(both)
    assert f"the board (known to you by this name), {other.did}" in page(both, {other.did: "the board"})
    assert "the requester: unknown" in page(both)


def test_what_an_approval_holds_for_and_until_when(session):
    """Whoever signs knows for how long, and that it is for these terms only."""
    text = page(reviewed(session, ["patients"]), now=0)
    assert "until 1970-04-01 00:00:00 UTC if you sign now" in text
    assert "Anything else is a new request." in text


def test_a_requester_s_name_forges_no_card(session):
    """A name, a purpose and a state of several lines are one line, and steer nothing."""
    request = reviewed(session, ["patients"], requester=Who(session.did, None, FORGED), purpose=FORGED[:200])
    request = replace(request, state=f"open\n{FORGED}", inputs=(replace(request.inputs[0], name=FORGED),))
    for card in (request_card(request), requests_card([request], doubts=[FORGED])):
        text = str(card)
        assert not {"\x1b", "\u202e", "\r"} & set(text)
        assert not [line for line in text.splitlines() if line.strip() in ("x = 1", "state    … open")]
        assert sum(line.strip() == "Code, exactly as it will run" for line in text.splitlines()) < 2
        check_html(card._repr_html_())


def test_a_state_and_a_purpose_are_said_to_be_somebody_s_word(session):
    """What no signature proves is not shown as a fact."""
    request = reviewed(session, ["patients"], purpose="heart study")
    assert "open (as its authority says)" in page(request)
    assert "“heart study” (the requester's words)" in page(request)
    assert "state (said)" in str(requests_card([request]))


def test_the_page_fits_a_narrow_terminal(session, monkeypatch):
    """On 60 columns no line of code, fact or sentence is broken by the terminal itself."""
    monkeypatch.setenv("COLUMNS", "60")
    request = reviewed(session, ["patients"], "x = '" + "a" * 300 + "'\n", purpose="word " * 60)
    lines = [line for line in str(request_card(request)).splitlines() if "│" in line or "word" in line]
    assert lines
    assert max(map(len, lines)) <= 62


def test_a_strangers_megabytes_open_few_pages():
    """The inbox opens as much code as a screen takes, one request at least; the rest is named by its number."""
    long, short = SimpleNamespace(code="x" * 150_000), SimpleNamespace(code="x")
    assert _so_many([long, long, short]) == [long]
    assert _so_many([SimpleNamespace(code="x" * 2**20)])
    assert len(_so_many([short] * 20)) == MAX_PAGES

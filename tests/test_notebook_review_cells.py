"""The reviewer's page of a session: every cell stands there in full, and only what this persona signed is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from notebook_kit import check_html, frame
from review_kit import reviewed_session

from sls_jupyter.contract.proposal import CellText
from sls_jupyter.identity import Home
from sls_jupyter.notebook.review import request_card
from sls_jupyter.session import Session
from sls_jupyter.session.reviewing import Earlier

CELLS = ["total = len(patients)", "mean = patients.age.mean()", "risk = patients.outcome.mean()"]


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Iterator[Session]:
    made = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    made.seal(frame(), "patients", tee="simulated-snp")
    yield made
    made.close()


def shown(request) -> tuple[str, str]:
    card = request_card(request)
    return card._repr_mimebundle_()["text/plain"], card.html()


def test_every_cell_stands_on_the_page_in_order(session):
    """A reviewer reads the notebook as it will run."""
    plain, html = shown(reviewed_session(session, ["patients"], CELLS))
    places = [plain.index(code) for code in CELLS]
    assert places == sorted(places)
    assert "cell 3 of at most 20" in " ".join(plain.split())
    assert "! " not in plain.split("purpose")[0]
    check_html(html)


def test_only_what_this_persona_approved_is_folded(session):
    """An authority that says that cells were approved cannot hide them."""
    request = reviewed_session(session, ["patients"], CELLS, own_cells=1, approved_cells=2)
    plain, html = shown(request)
    folded = html.split("<details>")[1].split("</details>")[0]
    assert "which you approved before" in folded
    assert html.split("Evidence")[0].count("which you approved before") == 1
    assert "cell 2 of 3: approved before, as the authority says" in plain
    assert "cell 3 of 3: new" in plain


def test_a_changed_cell_shows_its_lines(session):
    """What changed since a notebook was let run is read first, and the whole cell after it."""
    earlier = Earlier("sha256:" + "e" * 64, "approved", ("cell 2: changed",), {2: ("− 1: old", "+ 1: new")})
    plain, _ = shown(reviewed_session(session, ["patients"], CELLS, earlier=earlier))
    assert "cell 2 of 3: changed" in plain
    assert plain.index("+ 1: new") < plain.index(CELLS[1])


def test_parameters_of_a_folded_cell_stand_open(session):
    """A cell whose code was approved may be given something else."""
    request = reviewed_session(session, ["patients"], CELLS, given={1: {"by": "name"}}, own_cells=2)
    _, html = shown(request)
    opened = html.split("</details>")
    assert "by = " in "".join(part.split("<details>")[0] for part in opened)


@pytest.mark.parametrize("place", [0, 1])
def test_another_text_than_the_order_names_is_a_doubt(session, place):
    """A page that was made of other texts says so above everything."""
    request = reviewed_session(session, ["patients"], CELLS)
    texts = list(request.before)
    texts[place] = CellText("print(patients)", texts[place].parameters)
    plain, _ = shown(replace(request, before=tuple(texts)))
    assert "not the code that the requester signed" in plain


def test_the_page_says_what_an_approval_of_cells_holds_for(session):
    """Whoever signs knows that a beginning of the notebook may run too."""
    plain, _ = shown(reviewed_session(session, ["patients"], CELLS))
    assert "runs these 3 cells, or the first of them, in this order" in " ".join(plain.split())

"""A hostile notebook, and a switch at a bad moment, in a real browser: nobody is made to act as somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from agent_kit import start
from lab_kit import Place, Tab, needs_lab, two_people, until
from playwright.sync_api import Route

from sls_jupyter.session import RequestInfo

pytestmark = [needs_lab, pytest.mark.timeout(600)]
RUN = "application/vnd.sls-jupyter.run.v1+json"
CODE = "ages = open.groupby('sex').age.agg(['mean', 'count'])"
CELL = "%%safestream -i open -o ages --purpose 'risk study'\n"
LINK = (
    """<button data-commandlinker-command="sls:become" data-commandlinker-args='{"persona":"analyst"}'>More</button>"""
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with two_people(tmp_path_factory.mktemp("lab")) as made:
        made.home.seal(made.hospital, made.analyst, "open", purpose=["risk study"])
        yield made


def write(place: Place, name: str, *cells: Any, persona: str = "") -> str:
    """A notebook as somebody else made it."""
    found = nbformat.v4.new_notebook(cells=list(cells))
    found.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    if persona:
        found.metadata["sls"] = {"persona": persona}
    nbformat.write(found, place.server.root / name)
    return name


def cell(text: str, **card: str) -> Any:
    """A cell, and beneath it what may be the card of a run."""
    made = nbformat.v4.new_code_cell(text)
    if card:
        data = {RUN: {"run": "", "state": "done", "version": "", **card}, "text/plain": "SafeStream"}
        made.outputs = [nbformat.v4.new_output("display_data", data=data)]
    return made


def waiting(place: Place) -> list[RequestInfo]:
    return place.hospital.requests(waiting=True)


def status(tab: Tab) -> str:
    return tab.page.locator(".sls-status").inner_text()


def test_a_foreign_notebook_does_not_choose_who_somebody_is(place: Place) -> None:
    """Whoever opens a file that came by mail and then decides in the inbox decides as who they were."""
    name = write(place, "mail.ipynb", cell("1"), persona="analyst")
    tab = place.window("hospital")
    tab.command("docmanager:open", {"path": name})
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_text("You are hospital.").wait_for()
    assert tab.axe(".jp-Dialog") == []
    dialog.get_by_role("button", name="Cancel").click()
    assert status(tab).startswith("hospital")
    dialog.wait_for(state="detached")
    tab.close()


def test_a_press_on_a_link_in_a_notebook_is_no_choice_of_a_persona(place: Place) -> None:
    """JupyterLab runs the commands that buttons of a notebook name; where it is not trusted a new one asks, an old one does not."""
    name = write(place, "link.ipynb", nbformat.v4.new_markdown_cell(LINK))
    tab = place.window("hospital")
    tab.command("docmanager:open", {"path": name})
    tab.page.locator(".jp-RenderedMarkdown button", has_text="More").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Run Once").click()
    dialog.get_by_text("Somebody or something asks").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    assert status(tab).startswith("hospital")
    tab.become("analyst")  # in the menu it is one
    tab.close()


def test_a_changed_cell_does_not_verify_by_the_receipt_of_another(place: Place) -> None:
    """Two cells may name one run; each is held against it by its own code. A card without this home finds no run."""
    run = start(place.analyst, CODE, inputs=["open"], outputs=["ages"], purpose="risk study")
    run.wait()
    record = place.analyst.runs()[0]
    card = {"run": record.id, "persona": "analyst"}
    name = write(
        place,
        "twice.ipynb",
        cell(CELL + CODE + "  # changed", **card),
        cell(CELL + CODE, **card),
        cell("1", run=record.id, persona="analyst", home="", state="running"),
    )
    tab = place.window("analyst", name)
    tab.page.locator(".sls-verified").get_by_text("1 of 2 remote cells verified").wait_for()
    assert not [path for path in tab.sent_to_us() if path.startswith("runs/")]
    tab.close()


def test_what_one_persona_was_asked_another_does_not_sign(place: Place) -> None:
    """A notebook that is loaded while the question is open may make the page somebody else: then nothing is signed."""
    mine = write(place, "slow.ipynb", cell("1"))
    first = place.window("hospital", mine)
    first.become("analyst")
    first.command("docmanager:save")
    path = place.server.root / mine
    until(lambda: '"persona": "analyst"' in path.read_text(), "the name is saved")
    first.close()
    start(place.analyst, "ages = patients.age.max()", wait=True, outputs=["ages"], purpose="risk study")
    until(lambda: len(waiting(place)) == 1, "it was asked")

    held: list[Route] = []
    going: list[bool] = []

    def hold(route: Route) -> None:
        if going:
            route.continue_()
        else:
            held.append(route)

    tab = place.window("hospital")
    tab.page.route("**/api/contents/slow.ipynb?*", hold)
    tab.command("docmanager:open", {"path": mine})
    inbox = tab.panel("Inbox")
    inbox.locator(".sls-row-button").first.click()
    inbox.get_by_role("button", name="Approve…").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_text("You decide as hospital.").wait_for()
    until(lambda: bool(held), "the notebook is asked for")
    going.append(True)
    for one in held:
        one.continue_()
    until(lambda: status(tab).startswith("analyst"), "the notebook of the analyst is in front")
    dialog.get_by_role("button", name="Sign and approve").click()
    dialog.get_by_text("Nothing was done").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    assert inbox.get_by_role("button", name="Approve…").count() == 0
    assert len(waiting(place)) == 1
    tab.close()


def test_a_hidden_page_leaves_its_connection_to_others(place: Place) -> None:
    """A browser has six for all pages of one server: six hidden ones would keep the one that is seen from asking."""
    tab = Tab.open(place.browser, place.server)
    tab.page.clock.install()
    listens = re.compile(r"/v1/events\b")
    with tab.page.expect_request(listens):
        tab.page.goto(f"{place.server.url}sls_jupyter/page?persona=hospital&token={place.server.token}")
    tab.page.locator(".sls-none, .sls-row-button").first.wait_for()
    look = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    look += " document.dispatchEvent(new Event('visibilitychange')); }"
    with tab.page.expect_event("requestfailed", lambda one: listens.search(one.url)):
        tab.page.evaluate(look, True)
        tab.page.clock.fast_forward(30_000)
    with tab.page.expect_request(listens):
        tab.page.evaluate(look, False)
    tab.close()

"""Where the two halves do not fit: one is missing, another version, restarted, or of another home; and an authority is silent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from lab_kit import CELL, LabServer, Place, Tab, needs_lab, two_people, until
from lab_server_kit import silent_authority

from sls_jupyter.identity import SigningKey

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [needs_lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with two_people(tmp_path_factory.mktemp("halves")) as made:
        made.home.seal(made.hospital, made.analyst, "visits", purpose=["risk study"])
        yield made


def test_a_server_without_our_half_is_told_calmly(place: Place, tmp_path: Path) -> None:
    """Only the front end is installed: the panel says which command installs the rest, and JupyterLab works."""
    server = LabServer(tmp_path / "notebooks", place.home.environment(), half=False).start()
    try:
        tab = Tab.open(place.browser, server).lab()
        tab.quiet = ("404",)
        panel = tab.panel()
        panel.get_by_text('pip install "sls-jupyter[lab]"').wait_for()
        assert tab.axe() == []
        tab.shot("half")
        tab.close()
    finally:
        server.stop()


def test_the_server_is_restarted_while_the_panel_is_open(place: Place, tmp_path: Path) -> None:
    """What changed meanwhile is shown afterwards; nobody reloads the page."""
    server = LabServer(tmp_path / "notebooks", place.home.environment()).start()
    tab = Tab.open(place.browser, server).lab()
    tab.become("analyst")
    tab.quiet = ("Failed to load resource", "WebSocket", "ERR_", "NetworkError", "Failed to fetch")
    assets = tab.panel("Assets")
    assets.get_by_text("visits").first.wait_for()
    server.stop()
    place.home.seal(place.hospital, place.analyst, "labs", purpose=["risk study"])
    server.start()
    assets.get_by_text("labs").first.wait_for()
    tab.close()
    server.stop()


def test_halves_of_different_versions_say_what_to_do(place: Place) -> None:
    """The browser still has the page of before: nothing is asked of a server that may mean something else."""
    tab = Tab.open(place.browser, place.server)

    def older(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps({**answer.json(), "version": "0.0.9"}))

    tab.page.route("**/sls_jupyter/v1/about*", older)
    tab.lab()
    panel = tab.panel()
    panel.get_by_text("different versions").wait_for()
    panel.get_by_text("Reload the page").wait_for()
    assert set(tab.sent_to_us()) == {"about"}
    tab.close()


def test_a_notebook_whose_kernel_has_another_home_is_told_apart(place: Place) -> None:
    """What ran there is not listed here, and the panel says why."""
    name = place.server.notebook("elsewhere.ipynb", CELL)
    found = nbformat.read(place.server.root / name, as_version=4)
    card = {
        "run": "ab" * 6,
        "state": "done",
        "persona": "analyst",
        "home": "sha256:" + "0" * 64,
        "version": "0.1.0",
        "receipt": "",
    }
    data = {"application/vnd.sls-jupyter.run.v1+json": card, "text/plain": "a run", "text/html": "<p>a run</p>"}
    found.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(found, place.server.root / name)
    tab = place.window("analyst", name)
    tab.panel()
    tab.page.locator("#sls-panel").get_by_text("another home").wait_for()
    tab.close()


def test_a_silent_authority_costs_its_own_part_of_a_section_only(place: Place) -> None:
    """What others have is there, who is silent is named, and what nobody else is asked for is there at once."""
    with silent_authority() as url:
        place.analyst._keep("authorities.json", {url: SigningKey.generate().did})
        try:
            tab = place.window("analyst")
            tab.panel("Runs").get_by_text("You have no runs yet").wait_for()
            assets = tab.panel("Assets")
            assets.get_by_text("hospital/visits").first.wait_for()
            assets.get_by_text("does not answer").first.wait_for()
            assert tab.axe() == []
            tab.close()
        finally:
            (place.analyst.home.path / "authorities.json").unlink()


def test_an_answer_about_another_persona_that_comes_late_is_not_shown(place: Place) -> None:
    """Whose page it is stands in the status bar, and nothing of theirs comes under somebody else's name."""
    tab = place.window("analyst")
    tab.panel("People").get_by_text("Known to analyst").wait_for()
    status, held = tab.page.locator(".sls-status"), list[Any]()
    tab.page.route(re.compile(r"/v1/(status|people)\?persona=hospital"), lambda route: held.append(route))
    status.click()
    tab.page.get_by_role("menuitem", name="hospital").first.click()
    until(lambda: {one.request.url.partition("/v1/")[2][:6] for one in held} == {"status", "people"}, "both are asked")
    status.click()
    tab.page.get_by_role("menuitem", name="analyst").first.click()
    until(lambda: "analyst" in status.inner_text() and "SIMULATED" in status.inner_text(), "it is the analyst's again")
    late = len(held)
    for one in held:
        with tab.page.expect_response(one.request.url):
            one.continue_()
    tab.panel("People").get_by_text("Known to analyst").wait_for()
    assert late == len(held)
    assert "analyst" in status.inner_text()
    assert tab.page.get_by_text("Known to hospital").count() == 0
    tab.close()

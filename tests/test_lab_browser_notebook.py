"""Remote cells in a notebook, in a real browser: what they would do, their cards while they run, what of them verifies."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab_kit import ANALYST, Place, Tab, needs_lab, two_people, until

pytestmark = [needs_lab, pytest.mark.timeout(600)]

OPEN = "%%safestream -i open -o ages --purpose 'risk study'\nages = open.groupby('sex').age.agg(['mean', 'count'])"
LONG = "%%safestream --no-wait -i open -o n --purpose 'risk study'\nimport time\ntime.sleep(12)\nn = len(open)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with two_people(tmp_path_factory.mktemp("lab")) as made:
        made.home.seal(made.hospital, made.analyst, "open", purpose=["risk study"])
        yield made


def lines(tab: Tab) -> str:
    return tab.page.locator(".sls-cell-line").first.inner_text()


def write(tab: Tab, cell: int, text: str) -> None:
    """Put other text into a cell, as somebody who types does."""
    editor = tab.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".cm-content")
    editor.click()
    tab.page.keyboard.press("ControlOrMeta+a")
    tab.page.keyboard.insert_text(text)


def test_a_remote_cell_says_beforehand_what_would_happen_and_asks_nobody(place: Place) -> None:
    """From typing alone: which columns, what leaves, whether somebody is asked, why not; nothing reaches an inbox."""
    tab = place.window("analyst", place.server.notebook("line.ipynb", ANALYST, OPEN))
    until(lambda: "hospital/open" in lines(tab), "the line names the asset")
    assert "leave to you" in lines(tab)
    write(tab, 1, "%%safestream -i patients:age -o n --purpose 'risk study'\nn = patients.age.mean()")
    until(lambda: "would ask hospital" in lines(tab), "the line says who is asked")
    assert "age" in lines(tab)
    write(tab, 1, "%%safestream -i patients:age -o n --purpose marketing\nn = patients.age.mean()")
    until(lambda: "would be denied" in lines(tab), "the line says why not")
    write(tab, 1, "%%safestream -i patients:agee -o n\nn = patients")
    until(lambda: "agee" in lines(tab), "the line names the slip")
    assert tab.axe(".jp-NotebookPanel .sls-cell-line") == []
    assert place.hospital.requests() == []
    assert place.analyst.runs() == []
    tab.close()


def test_what_ran_verifies_and_what_was_changed_since_does_not(place: Place) -> None:
    """The toolbar counts remote cells whose receipt, code and results belong together."""
    notebook = place.server.notebook("verified.ipynb", ANALYST, OPEN)
    tab = place.window("analyst", notebook)
    tab.run_all()
    badge = tab.page.locator(".sls-verified")
    badge.get_by_text("1 of 1 remote cell verified").wait_for()
    tab.panel("Runs").locator(".sls-row-button").first.wait_for()
    tab.shot("notebook")
    write(tab, 1, OPEN + "  # changed")
    badge.get_by_text("0 of 1 remote cell verified").wait_for()
    tab.close()


def test_a_card_is_right_after_the_page_was_loaded_anew_during_the_run(place: Place) -> None:
    """The card in the saved notebook is drawn from the run as it is, not as it was when it was saved."""
    notebook = place.server.notebook("reload.ipynb", ANALYST, LONG)
    tab = place.window("analyst", notebook)
    tab.run_all()
    card = tab.page.locator(".sls-run-card").first
    card.locator(".sls-live").get_by_text("launched").first.wait_for()
    tab.command("docmanager:save")
    path = place.server.root / notebook
    until(lambda: "application/vnd.sls-jupyter.run.v1+json" in path.read_text(), "the notebook is saved with its card")
    tab.page.reload()
    tab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    tab.ready()
    card = tab.page.locator(".sls-run-card").first
    card.locator(".sls-live").get_by_text("running").first.wait_for()
    card.locator(".sls-live").get_by_text("done").locator("visible=true").first.wait_for()
    tab.close()


def test_a_kernel_that_is_restarted_during_a_run_takes_nothing_with_it(place: Place) -> None:
    """The run goes on, the panel shows its end, and its result comes into the notebook by a cell that one can read."""
    tab = place.window("analyst", place.server.notebook("restart.ipynb", ANALYST, LONG))
    tab.run_all()
    tab.page.locator(".sls-run-card .sls-live").get_by_text("launched").first.wait_for()
    tab.page.evaluate("() => { void window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    runs = tab.panel("Runs")
    runs.locator(".sls-row-button", has_text="open").first.click()
    runs.get_by_text("checks passed").first.wait_for()
    runs.get_by_role("button", name="Insert result cell").click()
    tab.page.locator(".jp-Notebook .cm-content").get_by_text("%sls result").first.wait_for()
    tab.close()


def test_a_cell_is_put_into_the_notebook_from_an_asset(place: Place) -> None:
    """The command is visible: the panel writes a cell, and a person runs it."""
    tab = place.window("analyst", place.server.notebook("insert.ipynb", ANALYST))
    assets = tab.panel("Assets")
    assets.locator(".sls-row-button", has_text="hospital/open").click()
    assets.get_by_text("You may run on it now").locator("visible=true").first.wait_for()
    assert tab.axe() == []
    assets.get_by_role("button", name="Insert").first.click()
    tab.page.locator(".jp-Notebook .cm-content").get_by_text("%%safestream").first.wait_for()
    tab.close()


def test_a_notebook_remembers_its_persona_by_name(place: Place) -> None:
    """Somebody who opens it again is who they were; no key and nothing else is in the file."""
    notebook = place.server.notebook("whose.ipynb", ANALYST)
    tab = place.window("hospital", notebook)
    tab.become("analyst")
    tab.command("docmanager:save")
    path = place.server.root / notebook
    until(lambda: '"sls"' in path.read_text() and path.read_text().rstrip().endswith("}"), "the name is saved")
    assert json.loads(path.read_text())["metadata"]["sls"] == {"persona": "analyst"}
    tab.close()
    again = Tab.open(place.browser, place.server).lab(notebook)
    until(lambda: again.page.locator(".sls-status").inner_text().startswith("analyst"), "the panel is of the analyst")
    again.close()

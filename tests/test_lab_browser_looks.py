"""Every section as somebody sees it: light and dark, narrow, wide and enlarged, in JupyterLab and in Notebook 7.

Pictures of all of it come to ``build/screens``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_kit import ended, start
from lab_kit import LabServer, Place, Tab, needs_lab, two_people, until

pytestmark = [needs_lab, pytest.mark.timeout(600)]
SECTIONS = ("Inbox", "Runs", "Assets", "Receipts", "People")
ASKED = "risk = patients.groupby('sex').outcome.agg(['mean', 'count']).reset_index()\nrisk"
# what reaches beyond the panel or a pane of it; code scrolls within itself
WIDER = """() => [...document.querySelectorAll('.sls-panel, .sls-pane, .sls-master, .sls-detail, .jp-Dialog-content')]
  .filter(one => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1).map(one => `${one.tagName} ${one.className}`)"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A run that is done, one that was approved and changed since, and one that waits."""
    with two_people(tmp_path_factory.mktemp("looks")) as made:
        made.home.seal(made.hospital, made.analyst, "visits", purpose=["risk study"])
        ended(start(made.analyst, "n = len(visits)", inputs=("visits",), outputs=["n"], purpose="risk study"))
        first = start(made.analyst, ASKED, wait=True, outputs=["risk"], purpose="risk study")
        until(lambda: bool(waiting(made)), "it was asked")
        made.hospital.approve(waiting(made)[0], "group sizes are large")
        ended(first)
        start(made.analyst, ASKED.replace("'sex'", "['sex', 'age']"), wait=True, outputs=["risk"], purpose="risk study")
        until(lambda: bool(waiting(made)), "it was asked")
        yield made


def waiting(place: Place) -> list[str]:
    return [one.id for one in place.hospital.requests(waiting=True)]


def look(tab: Tab, name: str) -> None:
    """Each section's list and what opens in it: a picture, nothing that axe or the page's edge finds."""
    for section in SECTIONS:
        pane = tab.panel(section)
        pane.locator(".sls-row-button, .sls-person, .sls-drop, .sls-none").first.wait_for()
        tab.shot(f"{name}-{section.lower()}")
        assert tab.axe() == [], section
        assert tab.page.evaluate(WIDER) == [], section
        rows = pane.locator(".sls-row-button")
        if section != "People" and rows.count():
            rows.first.click()
            pane.locator("h3:visible, h4:visible").first.wait_for()
            pane.get_by_text("Asking …").wait_for(state="detached")
            tab.shot(f"{name}-{section.lower()}-open")
            assert tab.axe() == [], f"{section}, opened"
            assert tab.page.evaluate(WIDER) == [], f"{section}, opened"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_section_is_readable_in_both_themes(place: Place, tmp_path: Path, dark: bool) -> None:
    """The side bar of JupyterLab, as it is when it is opened first; axe measures the contrast of what is shown."""
    server = place.server
    if dark:
        server = LabServer(tmp_path / "notebooks", place.home.environment(), dark=True).start()
    try:
        for persona in ("hospital", "analyst"):
            tab = Tab.open(place.browser, server).lab()
            tab.become(persona)
            look(tab, f"{'dark' if dark else 'light'}-{persona}")
            tab.close()
    finally:
        if dark:
            server.stop()


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (640, 450)], ids=["wide", "enlarged"])
def test_the_panel_fits_where_it_is_put(place: Place, width: int, height: int) -> None:
    """In the main area, and at twice the size, where 1280 by 900 pixels have room for half of that."""
    tab = Tab.open(place.browser, place.server, width=width, height=height).lab()
    tab.become("hospital")
    if width > 1000:
        tab.command("sls:open-main")
        tab.page.locator("#sls-panel-main .sls-panel").wait_for()
        tab.main = True
    look(tab, f"{width}")
    tab.close()


def test_a_dialog_is_readable_and_its_cell_is_shown(place: Place) -> None:
    """Sealing from a form: the command stands there before anything happens."""
    tab = place.window("hospital", place.server.notebook("seal.ipynb", "%load_ext sls_jupyter", "visits = None"))
    assets = tab.panel("Assets")
    assets.get_by_role("button", name="Seal…").click()
    dialog = tab.page.locator(".jp-Dialog")
    dialog.get_by_label("Variable or file").fill("visits")
    dialog.get_by_text("%seal visits").first.wait_for()
    assert tab.axe(".jp-Dialog") == []
    assert tab.page.evaluate(WIDER) == []
    tab.shot("dialog-seal")
    dialog.get_by_role("button", name="Insert cell").click()
    tab.page.locator(".jp-Notebook .cm-content").get_by_text("%seal visits").first.wait_for()
    tab.close()


def test_a_receipt_opens_as_what_it_proves_and_a_changed_byte_shows(place: Place) -> None:
    """By double click: the verdict first; a file that only has the name of one is opened as the text that it is."""
    run = next(one for one in place.analyst.runs() if one.inputs == ("visits",))
    good = place.analyst.receipt(run.id).save(place.server.root / "receipt-good.json")
    data = Path(good).read_bytes()
    at = data.index(b'"payload":"') + 400
    (place.server.root / "receipt-bad.json").write_bytes(
        data[:at] + (b"A" if data[at] != 65 else b"B") + data[at + 1 :]
    )
    (place.server.root / "receipt-of-lunch.json").write_text(json.dumps({"soup": 4.5}))
    tab = place.window("analyst")
    tab.command("docmanager:open", {"path": "receipt-good.json"})
    view = tab.page.locator(".sls-receipt:visible", has_text="receipt-good.json")
    view.get_by_text("REFUSED").first.wait_for()  # nobody said that simulated evidence is believed
    view.get_by_role("checkbox", name=re.compile("simulated", re.IGNORECASE)).check()
    view.get_by_text("ACCEPTED").first.wait_for()
    tab.shot("receipt-good")
    tab.command("docmanager:open", {"path": "receipt-bad.json"})
    view = tab.page.locator(".sls-receipt:visible", has_text="receipt-bad.json")
    view.get_by_text("REFUSED").first.wait_for()
    view.get_by_text("FAIL").first.wait_for()
    tab.shot("receipt-bad")
    tab.command("docmanager:open", {"path": "receipt-of-lunch.json"})
    tab.page.get_by_text("soup").first.wait_for()
    tab.close()


def test_notebook_7_has_the_panel_and_the_line(place: Place, tmp_path: Path) -> None:
    """Without JupyterLab's shell: its own side bar, the same sections."""
    server = LabServer(tmp_path / "notebooks", place.home.environment(), front="notebook").start()
    try:
        name = server.notebook("seven.ipynb", "%load_ext sls_jupyter", "%%safestream -i visits\nlen(visits)")
        tab = Tab.open(place.browser, server)
        tab.quiet = ("reading 'schema'",)  # Notebook 7.6 says so by itself, without any extension
        tab.page.goto(f"{server.url}notebooks/{name}?token={server.token}")
        tab.page.locator(".sls-cell-line").get_by_text("visits").first.wait_for()
        tab.page.wait_for_function("() => window.jupyterapp !== undefined")
        tab.command("sls:open")
        panel = tab.page.locator(".sls-panel").first
        panel.wait_for()
        panel.get_by_role("tab", name="Assets").click()
        panel.get_by_role("tabpanel", name="Assets").get_by_text("visits").first.wait_for()
        tab.shot("notebook-7")
        tab.close()
    finally:
        server.stop()


def test_a_section_asks_nothing_while_nobody_sees_it(place: Place) -> None:
    """A request that comes rings in the status bar; the list is asked for when somebody looks."""
    tab = place.window("hospital")
    tab.panel("Assets").get_by_text("visits").first.wait_for()
    tab.page.locator('li.lm-TabBar-tab[data-id="filebrowser"]').click()
    tab.sent.clear()
    start(place.analyst, "n = patients.age.mean()", wait=True, outputs=["n"], purpose="risk study")
    tab.page.locator(".sls-status").get_by_text("2 waiting").wait_for()
    assert set(tab.sent_to_us()) <= {"status", "events", "about"}
    tab.close()

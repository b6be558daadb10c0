"""The panel in JupyterLab, used start to end in a real browser: two people in two windows, real authorities, real runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from agent_kit import ended, start
from lab_kit import ANALYST, CELL, Place, needs_lab, two_people, until

pytestmark = [needs_lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with two_people(tmp_path_factory.mktemp("lab")) as made:
        yield made


def test_what_one_asks_rises_in_the_other_window_is_approved_there_and_comes_back(place: Place) -> None:
    """The whole way through two windows: ask, badge, read, approve, run, receipt."""
    notebook = place.server.notebook("ask.ipynb", ANALYST, CELL)
    owner = place.window("hospital")
    owner.panel("Runs")  # the inbox is not in front
    asker = place.window("analyst", notebook)
    asker.run_all()
    owner.page.locator(".sls-status").get_by_text("1 waiting").wait_for()
    inbox = owner.panel("Inbox")
    inbox.get_by_text("risk study").first.click()
    inbox.get_by_text("patients.groupby('sex')").first.wait_for()
    assert owner.axe() == []
    inbox.get_by_role("button", name="Approve…").click()
    assert owner.axe(".jp-Dialog") == []
    owner.page.get_by_role("button", name="Sign and approve").click()
    inbox.get_by_text("Approved request").wait_for()
    runs = asker.panel("Runs")
    runs.get_by_text("risk study").first.click()
    runs.get_by_text("checks passed").first.wait_for()
    assert asker.axe() == []
    runs.get_by_role("button", name="Verify receipt").click()
    receipts = asker.panel("Receipts")
    receipts.get_by_text("REFUSED").first.wait_for()  # nobody said that simulated evidence is believed
    receipts.get_by_role("checkbox", name=re.compile("simulated", re.IGNORECASE)).check()
    receipts.get_by_text("ACCEPTED").first.wait_for()
    owner.close()
    asker.close()


def test_an_approval_that_comes_when_no_kernel_lives_starts_the_run(place: Place) -> None:
    """A run belongs to its persona: the panel shows it to its end, whoever began it."""
    code = "ages = patients.groupby('sex').age.agg(['min', 'count'])"
    run = start(place.analyst, code, wait=True, outputs=["ages"], purpose="risk study")
    until(lambda: "waiting for" in run.status(), "it waits")
    asker, owner = place.window("analyst"), place.window("hospital")
    runs = asker.panel("Runs")
    runs.locator(".sls-row-button").first.click()
    runs.get_by_text(re.compile("waits for hospital since")).wait_for()
    runs.get_by_text("Please decide on request").wait_for()
    inbox = owner.panel("Inbox")
    inbox.get_by_text("risk study").first.click()
    inbox.get_by_text("one line").first.wait_for()  # what is other than in the cell that was approved before
    inbox.get_by_role("button", name="Approve…").click()
    owner.page.get_by_role("button", name="Sign and approve").click()
    ended(run)
    runs.get_by_text("checks passed").first.wait_for()
    owner.close()
    asker.close()


def test_an_inbox_that_is_open_twice_shows_one_decision(place: Place) -> None:
    """Two tabs of one owner: what is denied in one is denied in the other, and nothing is signed twice."""
    run = start(place.analyst, "ages = patients.age.max()", wait=True, outputs=["ages"], purpose="risk study")
    one, two = place.window("hospital"), place.window("hospital")
    first, second = one.panel("Inbox"), two.panel("Inbox")
    for inbox in (first, second):
        inbox.get_by_text("risk study").first.click()
        inbox.get_by_role("button", name="Deny").wait_for()
    first.get_by_role("button", name="Deny").click()
    first.get_by_text("✗ Say why").wait_for()
    first.get_by_label("Reason").fill("a maximum is one person's value")
    first.get_by_role("button", name="Deny").click()
    first.get_by_text("Denied request").wait_for()
    second.get_by_role("button", name="Deny").wait_for(state="detached")
    ended(run)
    one.close()
    two.close()


def test_a_run_is_cancelled_from_a_window_that_did_not_start_it(place: Place) -> None:
    """Cancel asks first, and ends the group, whichever process drives it."""
    place.home.seal(place.hospital, place.analyst, "open", purpose=["risk study"])
    run = start(place.analyst, "import time\ntime.sleep(60)", inputs=("open",), purpose="risk study")
    tab = place.window("analyst")
    runs = tab.panel("Runs")
    runs.locator(".sls-row-button", has_text="open").first.click()
    runs.get_by_role("button", name="Cancel").click()
    tab.page.locator(".jp-Dialog").get_by_role("button", name="Yes, cancel the run").click()
    runs.get_by_text("cancelled").locator("visible=true").first.wait_for()
    ended(run)
    tab.close()

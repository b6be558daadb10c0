"""The panel as a page of its own in a real browser: the inbox by keyboard, what hostile people wrote, every width, people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agent_kit import start
from lab_kit import Place, Tab, needs_lab, two_people, until

from sls_jupyter.safestream.run import Run

pytestmark = [needs_lab, pytest.mark.timeout(600)]
MARKUP = "<img src=x onerror=\"document.title='taken'\"> \u202e risk"
# what reaches beyond the page or beyond a pane that scrolls; code scrolls within itself
WIDER = """() => [document.documentElement, ...document.querySelectorAll('.sls-pane, .sls-master, .sls-detail, dialog')]
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => `${one.tagName} ${one.className}`)"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with two_people(tmp_path_factory.mktemp("page")) as made:
        yield made


def page_of(place: Place, persona: str, **options: int) -> Tab:
    tab = Tab.open(place.browser, place.server, **options)  # type: ignore[arg-type]
    tab.page.goto(f"{place.server.url}sls_jupyter/page?persona={persona}&token={place.server.token}")
    tab.page.locator(".sls-person, .sls-row-button, .sls-none").first.wait_for()
    return tab


def asked(place: Place, code: str) -> Run:
    """A request that waits for the hospital."""
    before = len(place.hospital.requests())
    run = start(place.analyst, code, wait=True, outputs=["ages"], purpose="risk study")
    until(lambda: len(place.hospital.requests()) > before, "it was asked")
    return run


def test_a_request_is_read_and_denied_by_keyboard_alone(place: Place) -> None:
    """Somebody who uses no mouse decides too, and approves nothing by a key that is held down."""
    asked(place, "ages = patients.age.max()")
    tab = page_of(place, "hospital")
    keys = tab.page.keyboard
    tab.page.get_by_role("tab", name="Inbox").focus()
    keys.press("j")
    keys.press("o")
    tab.page.get_by_text("patients.age.max()").first.wait_for()
    keys.press("a")
    for _ in range(5):  # the same key, held: it opens the question and does not answer it
        keys.down("Enter")
    tab.page.get_by_text("Let go of the key").wait_for()
    keys.up("Enter")
    assert tab.axe("dialog") == []
    keys.press("Escape")
    keys.press("d")
    keys.type("a joke: j k a d ?")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    tab.page.get_by_text("Denied request").wait_for()
    assert tab.page.get_by_text("a joke: j k a d ?").count() > 0
    keys.press("Escape")
    until(lambda: tab.page.evaluate("document.activeElement.className") == "sls-row-button", "the focus is on the row")
    tab.close()


def test_what_others_wrote_stays_text_at_every_width(place: Place) -> None:
    """Markup and controls in code do nothing, and no width or zoom makes the page scroll sideways."""
    asked(place, f"ages = patients.age.max()  # {MARKUP} {'x' * 300}")
    for width in (280, 420, 700, 900, 1400):
        for dark in (False, True):
            tab = page_of(place, "hospital", width=width, height=450, dark=dark)
            tab.page.locator(".sls-row-button").first.click()
            tab.page.get_by_text("U+202E").first.wait_for()
            assert tab.page.evaluate(WIDER) == []
            assert tab.page.title() != "taken"
            assert tab.page.locator(".sls-panel img").count() == 0
            assert tab.axe("body") == []
            tab.shot(f"page-request-{width}-{'dark' if dark else 'light'}")
            tab.close()


def test_a_reason_that_was_begun_outlives_what_happens_meanwhile(place: Place) -> None:
    """Whoever writes while others ask loses neither a letter nor the focus."""
    asked(place, "ages = patients.age.min()")
    tab = page_of(place, "hospital")
    tab.page.locator(".sls-row-button").first.click()
    tab.page.get_by_label("Reason").fill("because ")
    asked(place, "ages = patients.age.mean()")
    tab.page.get_by_text("Waiting for you").wait_for()
    tab.page.keyboard.type("so")
    assert tab.page.get_by_label("Reason").input_value() == "because so"
    tab.close()


def test_people_are_named_and_compared(place: Place) -> None:
    """A DID is there in full and in groups to read aloud; a refused name says why in its dialog; a persona can be changed."""
    tab = page_of(place, "hospital")
    tab.quiet = ("503",)
    tab.page.get_by_role("tab", name="People").click()
    tab.page.get_by_text("Compare").nth(1).click()
    tab.page.get_by_text(place.hospital.did).first.wait_for()
    tab.page.get_by_role("button", name="Connect…").click()
    tab.page.get_by_label("URL").fill("http://127.0.0.1:9/")
    tab.page.get_by_role("button", name="Connect", exact=True).click()
    tab.page.get_by_role("dialog").get_by_text("does not answer").wait_for()
    assert tab.axe("body") == []
    tab.page.keyboard.press("Escape")
    assert tab.page.evaluate("document.activeElement.textContent") == "Connect…"
    tab.page.get_by_role("button", name="Be this persona: analyst").click()
    tab.page.get_by_text("Known to analyst").wait_for()
    tab.close()

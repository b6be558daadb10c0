"""What can be named: read in the background, within the budget of a key, and only harmless words."""

import threading
import time

from sls_jupyter.errors import Unavailable
from sls_jupyter.notebook.known import Catalogue, Names, is_word


def test_names_in_other_scripts_are_words_too():
    """A column may be called as people call things."""
    assert all(map(is_word, ("größe", "年齢", "clinic/visits", "risk-model.v2", "_x")))


class Slow:
    """A session whose authority takes its time, and counts how often it is asked."""

    def __init__(self):
        self.asked, self.go = 0, threading.Event()

    def assets(self):
        self.asked += 1
        self.go.wait(120)
        raise Unavailable("no answer")


def test_a_slow_authority_does_not_hold_the_tab_key():
    """The budget holds, and one refresh at a time is under way."""
    session = Slow()
    catalogue = Catalogue(lambda: session)
    start = time.monotonic()
    assert [catalogue.names() for _ in range(3)] == [Names()] * 3
    assert time.monotonic() - start < 60, "who waits for the authority waits twice as long"
    assert session.asked == 1
    session.go.set()


def test_the_session_itself_is_made_in_the_background():
    """The first key that is pressed does not wait for a session to be loaded, and one that cannot be made is no error."""
    made_by, made = [], threading.Event()

    def find():
        made_by.append(threading.current_thread())
        made.set()
        raise Unavailable("no home")

    assert Catalogue(find).names() == Names()
    assert made.wait(5)
    assert made_by[0] is not threading.current_thread()


def test_a_name_is_found_by_its_other_spellings():
    """With its owner, and by its digest."""
    names = Names(spelled={"hospital/patients": "patients"})
    assert (names.asset("hospital/patients"), names.asset("patients")) == ("patients", "patients")

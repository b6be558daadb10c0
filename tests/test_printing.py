"""Others' text stays one line of seen characters, wherever Unicode hides what is not."""

import ast
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sls_jupyter
from sls_jupyter.printing import is_unseen, one_line, released, row, visible

HIDDEN = [
    *("\u3164", "\u115f", "\u1160", "\uffa0", "\u034f", "\ufe00", "\ufe0f", "\U000e0100", "\U000e01ef", "\U000e0041"),
    *("\u180b", "\u180e", "\u2800", "\u200b", "\u202e", "\u2066", "\u200f", "\u061c", "\u00a0", "\u2003", "\u1680"),
    *("\u3000", "\u2028", "\u2029", "\x85", "\x9b", "\x1b", "\r", "\x07", "\ue000", "\u0378", "\ufeff", "\u00ad"),
    *("\u17b4", "\u2065", "\U0001d159", "\ufffc", "\U00016fe4", "\ud800"),
]


def test_printed_text_keeps_colours_and_loses_what_steers():
    """A cell's output may be coloured and hold any letter; it moves no cursor and turns nothing around."""
    assert released("a\x1b[1;31mred\x1b[0m\te\u0301\r\n👩\u200d🔬") == "a\x1b[1;31mred\x1b[0m\te\u0301\r\n👩\u200d🔬"
    for one in ("\x1b]52;c;eA==\x07", "\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\x08", "\u2028"):
        assert f"⟦U+{ord(one[0]):04X}⟧" in released(one)
        assert one[0] not in released(one)


@pytest.mark.parametrize("one", HIDDEN, ids=lambda one: f"{ord(one):04X}")
def test_what_is_not_seen_stands_there_by_its_number(one):
    """A name cannot hold a character that a person does not see, whatever its category."""
    assert visible(f"a{one}b") == f"a⟦U+{ord(one):04X}⟧b"


def test_the_rule_is_unicode_s_and_no_list_of_examples():
    """Every control, format, private, unassigned and separating character of all of Unicode is unseen."""
    kinds = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs")
    wrong = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)) in kinds and not is_unseen(chr(n))]
    assert wrong == [0x20]
    assert all(map(is_unseen, HIDDEN))  # among them marks and letters that Unicode calls ignorable
    assert not any(map(is_unseen, "aé漢あק1+-⟦”€😀"))


def test_marks_without_a_letter_are_shown():
    """A combining mark at the start, after a space or on an ASCII sign would be drawn over something else."""
    assert visible("\u0338x") == "⟦U+0338⟧x"
    assert visible("a\u0338b") == "a⟦U+0338⟧b"
    assert visible("\u0915\u093f") == "\u0915\u093f"  # Devanagari needs its marks
    assert "⟦U+0301⟧" in visible("\u0915" + "\u0301" * 4)


@settings(deadline=None)
@given(text=st.text(max_size=80))
def test_cleaning_twice_is_cleaning_once(text):
    """A text may be made clean where it comes in and again where it is printed."""
    for clean in (visible, one_line, row):
        assert clean(clean(text)) == clean(text)
    assert len(one_line(text).splitlines()) <= 1


def test_a_long_run_of_spaces_does_not_move_what_follows():
    """A name cannot push its end to where a terminal begins a new line."""
    assert one_line("Dr. Weber" + " " * 70 + "state approved") == "Dr. Weber⟦70 spaces⟧state approved"
    assert row("x" + " " * 70 + "y") == "x" + " " * 70 + "y"


def test_what_is_cut_is_counted():
    """A text that is too long says how much of it is missing."""
    assert one_line("a" * 1500, 100) == "a" * 100 + "… (1,400 more characters)"


PACKAGE = Path(sls_jupyter.__file__).parent
SINKS = {
    *("cli.words.say", "cli.words.tell", "cli.log._tell", "cli.log.__exit__"),
    *("notebook.follow.say", "notebook.follow._stream", "notebook.follow._error"),
    *("notebook.follow._display", "notebook.follow._table"),  # of a terminal
}
"""The functions that write to a screen, each through :mod:`sls_jupyter.printing`, or a card, which did."""


def writers(path):
    """Functions of a file that print, or write to a standard stream."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            calls = [ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)]
            streams = "sys.stdout" in ast.unparse(function) or "sys.stderr" in ast.unparse(function)
            if "print" in calls or (streams and any(name.endswith((".write", ".writelines")) for name in calls)):
                yield f"{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}.{function.name}"


def test_there_is_one_way_to_each_screen():
    """Whoever prints in another place finds this test: a stranger's text has to go through one of the known ones."""
    files = [
        *PACKAGE.glob("*.py"),
        *(path for room in ("notebook", "session", "cli") for path in (PACKAGE / room).glob("*.py")),
    ]
    assert {name for path in files for name in writers(path)} == SINKS

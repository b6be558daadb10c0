"""A listing hides nothing: each character of the code can be read back from what is shown."""

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from notebook_kit import check_html
from test_printing import HIDDEN

from sls_jupyter.notebook.letters import odd_names, odd_texts
from sls_jupyter.notebook.listing import MAX_CHARACTERS, MAX_ROWS, PART_ROWS, Listing, rows_of

MARK = re.compile(r"⟦(?:(\d+) spaces?|(tab)|U\+([0-9A-F]{4,6}))⟧")
CODE = st.text(st.characters() | st.sampled_from(" \t\r\n⟦⟧#'\"{}\u202e\u3164\u0301é“"), max_size=120)


def meant(found):
    spaces, tab, number = found.groups()
    return " " * int(spaces) if spaces else "\t" if tab else chr(int(number, 16))


def read_back(code):
    """The code, from the rows that stand for it; ``\\n`` between lines is what the numbers tell."""
    lines = []
    for row in rows_of(code):
        text = ""
        for unit in row.units:
            doubled = unit.mark and not unit.text.startswith("⟦")
            text += unit.text[0] if doubled else MARK.sub(meant, unit.text) if unit.mark else unit.text
        lines = [*lines, text] if row.number else [*lines[:-1], lines[-1] + text]
    return "".join(line if line.endswith("\r") else line + "\n" for line in lines)


@settings(deadline=None)
@given(code=CODE)
@example(code="a" * 300 + " " * 400 + "; b\n\r\r\n")
@example(code=" " * 100 + "\n" + " " * 24 + "x \n")
def test_every_character_can_be_read_back(code):
    """Whatever the code holds, what is shown determines it: nothing is dropped, and no mark can be forged."""
    ends = code.replace("\r\n", "\r")
    assert read_back(code) == (ends if not ends or ends[-1] in "\r\n" else ends + "\n")


@settings(deadline=None)
@given(code=CODE)
def test_text_and_html_say_the_same(code):
    """Colours and folds change no character, and no code adds a tag."""
    shown = Listing(code).html()
    check_html(shown)
    rows = re.findall(r'<span class="sls-row[^"]*">(.*?)\n</span>', shown, re.DOTALL)
    plain = [html.unescape(re.sub(r"<[^>]*>", "", row)).partition("│ ")[2] for row in rows]
    assert plain == ["".join(unit.text for unit in row.units) for row in rows_of(code)]


@pytest.mark.parametrize("one", [*HIDDEN, "\u05d0", "\u0660", "\t", "“", "\uff02", "\u2212"], ids=ascii)
def test_what_hides_moves_or_imitates_is_named(one):
    """Unseen characters, letters that run backwards, and signs that look like ASCII ones stand there by number."""
    if one in "\t":
        assert "⟦tab⟧" in "\n".join(Listing(f"a = '{one}b'\n").text())
        return
    text = "\n".join(Listing(f"a = '{one}b'\n").text())
    assert f"⟦U+{ord(one):04X}⟧" in text
    if one not in "“\uff02\u2212":
        assert one not in text


def test_no_code_can_pretend_to_a_mark_of_ours():
    """What looks like a mark in the code is told from one."""
    assert Listing("x = '⟦U+202E⟧'").text()[-2].endswith("│ x = '⟦U+27E6⟧U+202E⟦U+27E7⟧'")


def test_a_line_that_is_too_long_goes_on_below():
    """What stands far to the right is on the page, in rows that carry a sign and no number."""
    text = Listing("x = '" + "a" * 200 + "'; risk = patients\ny = 1").text()
    assert [line[:2] for line in text if "│" in line] == ["1 ", "↪ ", "↪ ", "2 "]
    assert any("; risk = patients" in line for line in text)


def test_a_lone_carriage_return_ends_a_line_as_it_does_for_python():
    """A comment cannot swallow, for the reader alone, a statement that runs."""
    namespace = {}
    exec(compile("# harmless \rrisk = 1", "cell", "exec"), namespace)  # that Python does so is the point
    assert namespace["risk"] == 1
    assert Listing("# harmless \rrisk = 1").text()[-2].endswith("│ risk = 1")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("a = 1\nраtients = 2", 2),
        ("def f(\u3164): pass", 1),
        ("x = f'{раtients}'", 1),
        ("x = f'''\n{'}' + раtients}'''", 2),
        ("ﬁle = 1", 1),
        ("if (:\n  раtients", 2),
    ],
)
def test_names_with_letters_outside_ascii_are_named(code, line):
    """A name that only looks like another is pointed at, also within a formatted string and in code that is no Python."""
    assert odd_names(code)[-1][0] == line
    text = "\n".join(Listing(code).text())
    assert "Letters outside ASCII in names" in text
    assert re.search(rf"^{line}! │", text, re.MULTILINE)


def test_foreign_letters_in_strings_are_told_apart_from_accents():
    """Accents are nothing to wonder at; a Cyrillic letter in a column's name is."""
    assert odd_names("x = 'größe é' # ä") == []
    assert odd_texts("x = 'café' # ä") == []
    assert odd_texts("x = row['nаme']") == [(1, "nаme")]


def test_a_lot_of_code_is_folded_and_all_there():
    """Twenty thousand lines are on the page, in parts with their numbers; the text form has every one."""
    code = "\n".join(f"x{number} = {number}" for number in range(20_000))
    shown = Listing(code).html()
    check_html(shown)
    assert "20,000 lines, folded into 50 parts" in shown
    assert shown.count("<details") == 20_000 // PART_ROWS
    assert shown.count(" open") == 2  # the first, and the word in the sentence
    assert "x19999" in shown
    assert any("x12345 = 12345" in line for line in Listing(code).text())


@pytest.mark.parametrize(
    "code", ["\r" * 2**17, "\u0301\u202e" * 2**18, "x = 1\n" * 100_000, "x=1\n" + "y=2;" * 2**18, "é" * 2**19]
)
def test_more_than_a_screen_can_take_is_said_and_can_be_had(code):
    """A megabyte of line ends freezes nobody; what is not shown is counted, with where it is."""
    bounded = Listing(code, "%sls show abc --all shows everything.")
    text = " ".join(" ".join(bounded.text()[:8]).split())
    rows = [line for line in bounded.text() if "│" in line]
    assert "NOT ALL OF IT" in text
    assert f"{len(code):,} characters, of which the first {len(rows):,} rows are shown. %sls show abc --all" in text
    assert "NOT ALL OF IT" in bounded.html()
    shown = sum(len(line.partition("│ ")[2]) for line in rows)
    assert len(rows) == MAX_ROWS or MAX_CHARACTERS - 200 < shown < MAX_CHARACTERS + 200
    assert len(list(rows_of(code))) > len(rows)


def test_twenty_thousand_lines_are_no_reason_to_leave_one_out():
    """Code that is merely long is whole on every page."""
    assert any(
        "x19999 = 1" in line for line in Listing("\n".join(f"x{n} = 1" for n in range(20_000)), "elsewhere").text()
    )

"""Code beside the code of an earlier request: every line that came or went, as it is, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.contract.proposal import CellText
from sls_jupyter.lab.messages import DiffRow as Message
from sls_jupyter.notebook import diffing
from sls_jupyter.notebook.diffing import CONTEXT, Diff, DiffRow, diff_of, rows_data
from sls_jupyter.session.lines import whole_lines
from sls_jupyter.session.reviewing import CellStep


def texts(*codes: str) -> tuple[CellText, ...]:
    return tuple(CellText(code, b"") for code in codes)


def diff(after: str, before: str) -> Diff:
    return diff_of(texts(after), texts(before))


def drawn(rows: Iterable[DiffRow]) -> list[str]:
    return [f"{row.sign}{row.before or '':>3}{row.after or '':>3} {_text(row)}".rstrip() for row in rows]


def _text(row: DiffRow) -> str:
    return "".join(unit["text"] for unit in row.units)


LINES = "".join(f"x{number} = {number}\n" for number in range(1, 31))


def test_a_change_stands_among_the_lines_around_it() -> None:
    """Three lines on each side, with both sides' numbers; what is left out is counted."""
    found = diff(LINES.replace("x10 = 10\n", "x10 = 11\nnew = 1\n"), LINES)
    assert drawn(found.rows) == [
        "        6 lines the same",
        "   7  7 x7 = 7",
        "   8  8 x8 = 8",
        "   9  9 x9 = 9",
        "- 10    x10 = 10",
        "+    10 x10 = 11",
        "+    11 new = 1",
        "  11 12 x11 = 11",
        "  12 13 x12 = 12",
        "  13 14 x13 = 13",
        "        17 lines the same",
    ]
    assert found.left_out == 0
    assert [row.heading for row in found.rows] == [True, *([False] * 9), True]


def test_the_same_code_has_no_rows() -> None:
    """Nothing is shown where nothing differs."""
    assert diff(LINES, LINES) == Diff((), 0)
    assert diff(LINES, LINES[:-1]).rows[1:] == ()  # the end of the last line is not seen


def test_changes_that_are_near_share_the_lines_between_them() -> None:
    """No line is shown twice."""
    changed = LINES.replace("x10 ", "y10 ").replace("x16 ", "y16 ").replace("x25 ", "y25 ")
    found = diff(changed, LINES).rows
    numbers = [row.after for row in found if row.after]
    assert numbers == [*range(7, 20), *range(22, 29)]
    assert [_text(row) for row in found if row.heading] == ["6 lines the same", "2 lines the same", "2 lines the same"]


@given(
    st.lists(st.sampled_from(["a", "b", "", " "]), max_size=30), st.lists(st.sampled_from(["a", "b", ""]), max_size=30)
)
def test_no_line_is_lost_or_made_up(after: list[str], before: list[str]) -> None:
    """What stands in the rows and what is counted are both texts, whole."""
    one, other = "".join(f"{line}\n" for line in after), "".join(f"{line}\n" for line in before)
    found = diff(one, other)
    same = sum(int(_text(row).split()[0].replace(",", "")) for row in found.rows if row.heading)
    came, went = ([row for row in found.rows if row.sign == sign] for sign in "+-")
    kept = [row for row in found.rows if row.sign == " " and not row.heading]
    if one != other:
        assert len(came) + len(kept) + same == len(whole_lines(one))
        assert len(went) + len(kept) + same == len(whole_lines(other))
    for row in (*came, *kept):
        assert _text(row) in (after[row.after - 1], "⟦1 space⟧")
    for row in kept:
        assert after[row.after - 1] == before[row.before - 1]


@pytest.mark.parametrize(
    ("new", "shown"),
    [
        ("x = 1\u202e", "x = 1⟦U+202E⟧"),
        ("x = 1\u200b", "x = 1⟦U+200B⟧"),
        ("x = 1 ", "x = 1⟦1 space⟧"),
        ("x = 1\r", "x = 1⟦U+000D⟧"),
        ("x\t= 1", "x⟦tab⟧= 1"),
        ("<b>x</b>", "<b>x</b>"),
    ],
)
def test_what_is_not_seen_is_shown(new: str, shown: str) -> None:
    """Two lines that would look alike do not."""
    rows = diff(f"{new}\ny", "x = 1\ny").rows
    assert [_text(row) for row in rows if row.sign == "+"] == [shown]
    assert [_text(row) for row in rows if row.sign == "-"] == ["x = 1"]


def test_a_long_line_goes_on_below_without_a_number() -> None:
    """As in a listing."""
    rows = diff("x = '" + "a" * 200 + "'", "x = 1").rows
    assert [(row.sign, row.before, row.after) for row in rows] == [("-", 1, 0), ("+", 0, 1), ("+", 0, 0), ("+", 0, 0)]
    assert "".join(_text(row) for row in rows[1:]) == "x = '" + "a" * 200 + "'"


def test_pieces_have_the_looks_of_a_listing() -> None:
    """Keywords and marks, so that both are read alike; they fit the message."""
    (went, came) = diff("import pandas\u202e", "x").rows
    assert (came.units[0]["text"], came.units[0]["look"]) == ("import", "keyword")
    assert ("⟦U+202E⟧", "mark") in [(unit["text"], unit["look"]) for unit in came.units]
    assert [Message.from_json(row).sign for row in rows_data((went, came))] == ["-", "+"]


def test_cells_of_a_session_stand_under_headings() -> None:
    """Those that changed, came or went; the others are not there."""
    before, after = texts("a", "b", "c", "d"), texts("a", "B", "e", "d")
    steps = (CellStep(pairs=((1, 1),)), CellStep(came=(2,), gone=(2,)))
    assert drawn(diff_of(after, before, steps).rows) == [
        "        cell 2",
        "-  1    b",
        "+     1 B",
        "        cell 3 before, not there any more",
        "-  1    c",
        "        cell 3, new",
        "+     1 e",
    ]
    moved = (CellStep(pairs=((1, 2),)),)
    assert drawn(diff_of(after, before, moved).rows)[0].strip() == "cell 2, cell 3 before"


def test_a_cell_with_other_parameters_only_has_no_rows() -> None:
    """Its code is the same, and what it is given is said elsewhere."""
    assert diff_of(texts("a", "b"), texts("a", "b"), (CellStep(pairs=((0, 0),)),)) == Diff((), 0)


def test_a_lot_of_code_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's megabyte does not freeze a reviewer's screen, and is not passed over in silence."""
    monkeypatch.setattr(diffing, "MAX_ROWS", 10)
    found = diff("".join(f"y{number}\n" for number in range(100)), LINES)
    assert (len(found.rows), found.left_out) == (10, 120)
    monkeypatch.setattr(diffing, "MAX_ROWS", 1000)
    monkeypatch.setattr(diffing, "MAX_CHARACTERS", 50)
    assert diff("".join(f"y{number}\n" for number in range(100)), LINES).left_out > 100


def test_hostile_code_makes_a_bounded_page() -> None:
    """A hundred thousand equal lines, half a megabyte in one, nothing but marks."""
    for one, other in (
        ("pass\n" * 100_000, "pass \n" * 100_000),
        ("x" * 500_000, "y" * 500_000),
        ("\u202e" * 100_000, "a" * 10),
        ("\n" * 300_000, ""),
    ):
        found = diff(one, other)
        assert found.rows
        assert len(found.rows) <= diffing.MAX_ROWS
        assert found.left_out > 0


def test_the_number_of_lines_around_is_what_the_words_say() -> None:
    """CONTEXT is used on both sides."""
    rows = diff(LINES.replace("x15 ", "y15 "), LINES).rows
    assert sum(row.sign == " " and not row.heading for row in rows) == 2 * CONTEXT

"""The look of HTML: colours and borders stay, what fetches, moves or covers does not."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.guest.markup import plain_html
from sls_jupyter.guest.styles import PROPERTIES, inlined, safe_style

words = st.sampled_from(
    ["red", "#fff", "url(//x)", "1px", "expression(1)", "rgb(1, 2, 3)", "\\75rl(x)", "var(--x)", "-9px"]
)
names = st.sampled_from([*sorted(PROPERTIES)[:9], "position", "behavior", "content", "z-index"])


@given(
    st.lists(st.tuples(names, st.lists(words, min_size=1, max_size=3)), max_size=5),
    st.text("a:;(url)/*\\\"'", max_size=20),
)
def test_no_style_fetches_moves_or_escapes(declarations: list[tuple[str, list[str]]], noise: str) -> None:
    """What leaves is of the closed lists, and leaves again as it is."""
    kept = safe_style("; ".join(f"{name}: {' '.join(values)}" for name, values in declarations) + noise)
    assert safe_style(kept) == kept
    assert not any(
        word in kept for word in ("url", "//", "expression", "\\", "position", "behavior", "var", '"', "'", "-9")
    )


@pytest.mark.parametrize(
    "style",
    [
        "color: red",
        "background-color: #eee",
        "border-top: 1px solid #000080",
        "text-align: right",
        "width: 10em",
        "background: linear-gradient(90deg, #d65f5f 71.4%, transparent 71.4%)",
        "color: rgba(1, 2, 3, 0.5)",
        "font-size: 12px",
    ],
)
def test_the_usual_look_stays(style: str) -> None:
    """What Styler and great_tables say is kept to the letter."""
    assert plain_html(f'<p style="{style}">x</p>') == f'<p style="{style}">x</p>'


@pytest.mark.parametrize(
    "style", ["font-size: 1px", "font-size: 900px", "display: none", "opacity: 0", "position: fixed"]
)
def test_a_style_that_hides_or_covers_is_gone(style: str) -> None:
    """Nobody reads what is one pixel high."""
    assert plain_html(f'<p style="{style}">x</p>') == "<p>x</p>"


def test_a_styled_frame_keeps_its_look() -> None:
    """Its sheet is written into its cells."""
    frame = pd.DataFrame({"a": [1, -2], "b": [0.5, 0.7]})
    styler = frame.style.map(lambda value: "color: red" if value < 0 else "").set_table_styles(
        [
            {"selector": "th", "props": "background-color: #eee"},
            {"selector": "tbody td.col1", "props": "font-weight: bold"},
        ]
    )
    page = plain_html(styler.to_html())
    assert '<td style="color: red">-2</td>' in page
    assert '<th style="background-color: #eee">b</th>' in page
    assert page.count("font-weight: bold") == 2
    assert "<style" not in page


def test_rules_apply_by_weight_and_order() -> None:
    """An id beats a class, a class a tag, the later the earlier, and an element's own style all."""
    sheet = "<style>#i td {color: red} td.c {color: blue} td {color: green} td {width: 1px}</style>"
    cells = '<table id="i"><tr><td class="c">a</td><td style="color: black">b</td></tr></table><td>c</td>'
    page = inlined(sheet + cells)
    assert 'style="width: 1px; color: red">a' in page
    assert 'style="width: 1px; color: black">b' in page
    assert 'style="color: green; width: 1px">c' in page

"""A cell before anybody is asked about it: its one spelling, which means what was written."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sls_jupyter.session.cell import one_spelling

PIECES = st.sampled_from(
    [
        "x = 1",
        "'''",
        '"""',
        "'",
        "a  ",
        " ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\\",
        "\\\n",
        "#",
        "if x:",
        "\n    y",
        "f'{x = }'",
        "\f",
    ]
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\n", "x = 1"),
        ("x = 1  \n\n \n", "x = 1"),
        ("x = 1\r\ny = 2\r\n", "x = 1\ny = 2"),
        ("if x:  \n    y\n\n    z\t\n", "if x:\n    y\n\n    z"),
        ("\n\nx", "\n\nx"),
        ("# only a comment \n", "# only a comment"),
        (" \n\t\n", ""),
        ("\r \nx = 1", "\n\nx = 1"),
        ("x\n\r", "x"),
        ("", ""),
    ],
)
def test_what_nobody_reads_goes(code: str, expected: str) -> None:
    """Line ends, blanks at them and blank lines at the end are no reason to ask again."""
    assert one_spelling(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('x = """a  \nb"""  \n\n', 'x = """a  \nb"""  '),  # all blanks at line ends stay, not only those of the text
        ('x = """a\n\n"""\n', 'x = """a\n\n"""'),
        ("x = 1 + \\\n2\n", "x = 1 + \\\n2"),
        ("%%bash\necho a  \n\n", "%%bash\necho a  "),
        ("%matplotlib inline  \nx\n", "%matplotlib inline  \nx"),
        ("x = !ls \\\n\n", "x = !ls \\\n\n"),
    ],
)
def test_text_within_quotes_and_magics_stay(code: str, expected: str) -> None:
    """What the program would see is what was written."""
    assert one_spelling(code) == expected


@given(code=st.lists(PIECES, max_size=12).map("".join))
@example(code="'''\r\r\n'''")
@example(code="%%bash\r\r\nx\ry")
def test_it_means_the_same_and_is_one(code: str) -> None:
    """Whatever Python reads in the cell, it reads in its one spelling, which has no other."""
    spelled = one_spelling(code)
    assert one_spelling(spelled) == spelled
    try:
        meant = ast.dump(ast.parse(code))
    except (SyntaxError, ValueError):
        return
    if re.search(r"\\\r\n\Z", code):
        return  # a backslash at the very end: Python takes it before \r\n, and before \n it does not
    assert ast.dump(ast.parse(spelled)) == meant

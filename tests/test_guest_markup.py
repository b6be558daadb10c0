"""Markup leaves without what runs, fetches or hides, whatever cleaning joins; formulas with known commands only."""

from __future__ import annotations

import re

import nh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mistune import html as rendered

from sls_jupyter.guest.latex import _COMMANDS, plain_formula, plain_latex
from sls_jupyter.guest.markup import NeverAtRest, plain_html, plain_markdown

FETCHED = re.compile(
    r"<(?:img|a|link|iframe|object|embed|video|audio|source|svg|style|script|base|meta|input|form)[\s>/]", re.I
)
ADDRESS = "http://bad.example/x?d=secret"
MARKDOWN_PIECES = st.sampled_from(
    [
        *(
            "!",
            "[",
            "]",
            "(",
            ")",
            "<",
            ">",
            "<!--",
            "-->",
            "<b>",
            "</b>",
            "<br>",
            "<img src=",
            "&#33;",
            "&#8206;",
            "&lsqb;",
        ),
        *(
            "\\",
            "\n",
            "\n\n",
            "`",
            "```",
            "```mermaid\n",
            "~~~",
            ":::",
            "[1]",
            ": ",
            f"({ADDRESS})",
            f"]({ADDRESS})",
            " ",
            "a",
        ),
        *(
            f"[1]: {ADDRESS}",
            f"<{ADDRESS}>",
            "$",
            "$$",
            "\\(",
            "\\style{",
            "\\href{",
            "\u202e",
            "\x1b[",
            "| ",
            "> ",
            "- ",
        ),
    ]
)


@settings(deadline=None, max_examples=600)
@given(st.lists(MARKDOWN_PIECES, max_size=14).map("".join))
def test_no_markdown_fetches_when_it_is_rendered(text: str) -> None:
    """A renderer that fetches a picture tells its server what stands in the address."""
    try:
        clean = plain_markdown(text)
    except NeverAtRest:
        return
    assert plain_markdown(clean) == clean
    for again in (clean, nh3.clean(clean) if "<" in clean else clean, re.sub("<[^>]*>", "", clean)):
        page = str(rendered(again))
        assert not FETCHED.search(re.sub(rf'<a href="{re.escape(ADDRESS)}">', "", page)), (clean, page)
    assert "![" not in clean
    assert "](" not in clean
    assert "language-mermaid" not in str(rendered(clean))


@pytest.mark.parametrize(
    "text",
    [
        "ok !<!-- -->[plot](http://bad)",
        "ok !<b\n>[plot](http://bad)",
        "ok ![a](<http://bad>) ![b](http://bad 'title') [![c](http://bad)](http://bad)",
        "ok <img src=//bad.example/x> <IMG\nSRC=bad>",
        "ok <<!-- -->img src=bad>",
        "ok <picture><source srcset='bad'></picture><style>@import 'bad'</style>",
        "ok <p style='background:url(bad)'>x</p>",
    ],
)
def test_addresses_go_with_what_fetches_them(text: str) -> None:
    """What is taken away is taken whole."""
    clean = plain_markdown(text)
    assert "ok" in clean
    assert "bad" not in re.sub("<style>.*", "", clean) or "@import" in clean


def test_honest_markdown_stays() -> None:
    """Headings, lists, tables, code, bare tags and formulas are what people show."""
    text = "# T\n\n- *a* **b** `x < y` a < b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = a[0]\n```\n\nH<sub>2</sub>O &lt; $\\frac{1}{2}$\n"
    assert plain_markdown(text) == text
    assert plain_markdown("\\d+ and \\n and 1\\. and \\alpha") == "\\d+ and \\n and 1\\. and \\alpha"


@pytest.mark.parametrize(
    "text",
    [
        r"ok \input{bad}",
        r"ok \immediate\write18{bad}",
        r"ok \in\put{bad}",
        r"`ok \input{bad}`{=latex}",
        "ok {eval}`bad`",
        "[ok]{style='background:url(bad)'}",
        r"ok \emph{^^5cinput{bad}}",
    ],
)
def test_markdown_is_no_program_of_other_dialects(text: str) -> None:
    """A notebook that becomes a paper is read by TeX, and other readers know roles and attributes."""
    clean = plain_markdown(text)
    assert "ok" in clean
    assert not set(re.findall(r"\\([A-Za-z]{2,})", clean)) - {"emph", "in"}
    for joined in ("`{", "}`", "]{", "^^"):
        assert joined not in clean


@pytest.mark.parametrize(
    "text",
    [
        "<p>ok</p><script>bad()</script>",
        "<p onclick=bad()>ok</p>",
        "<p style='background:url(bad)' class=bad id=bad title=bad lang=bad dir=rtl>ok</p>",
        "<img src='//bad.example/x' srcset=bad onerror=bad()>ok<picture><source srcset=bad></picture>",
        "<a href='javascript:bad()'>ok</a><a href='/bad' ping=/bad>ok</a><area href=bad>",
        "<iframe src=/bad></iframe><object data=bad></object><embed src=bad>ok",
        "<base href=bad><meta http-equiv=refresh content='0;url=bad'><link rel=stylesheet href=bad>ok",
        "<q cite='https://bad.example'>ok</q><table background=bad><td>ok",
        "<svg><image href=bad /><style>@import url(bad)</style></svg>ok",
        "<math><mtext><style><img src=bad></style></mtext></math>ok",
        "ok<!-- bad --><?bad bad?><![CDATA[bad]]>",
        "ok $\\href{bad}{x}$".replace("bad}{x}", "}{x}"),
    ],
)
def test_html_is_text_lists_and_tables(text: str) -> None:
    """A display must not run in the analyst's browser, nor carry data to an address it names."""
    clean = plain_html(text)
    assert "ok" in clean
    assert "bad" not in clean
    assert "\\href" not in clean
    assert plain_html(clean) == clean


def test_html_hides_nothing_in_entities() -> None:
    """An entity is a character, and so is a control."""
    assert plain_html("a&#x202e;b&#27;[31mc&#x200b;") == "abc"


@pytest.mark.parametrize(
    "text",
    [
        r"\includegraphics{http://bad}",
        r"\style{background:url(http://bad)}{x}",
        r"\href{javascript:bad}{x} \url{bad} \require{bad}",
        r"\input{/etc/passwd} \write18{bad} \catcode`\@=0 \def\a{bad} \csname input\endcsname",
        r"\begin{filecontents}{bad}\end{filecontents}",
        "^^5cinput{bad}",
        r"\\\input{bad}",
        "x % a comment that nobody sees",
        r"\in\put{bad} \wr\ite18{bad} \ne\wcommand{\x}{bad} \h\ref{bad} \in\in\in\put\put\put{bad}",
        r"\end{document} bad",
    ],
)
def test_a_formula_has_known_commands_only(text: str) -> None:
    """A formula is a program of whatever typesets it."""
    clean = plain_formula(text)
    assert set(re.findall(r"(?<!\\)(?:\\\\)*\\([A-Za-z]{2,})", clean)) <= {"in", "wr", "ne"}
    assert "^^" not in clean
    assert "comment" not in clean
    assert plain_formula(clean) == clean


@settings(deadline=None, max_examples=400)
@given(
    st.lists(
        st.sampled_from(["\\", "in", "put", "wr", "ite", "begin", "{", "}", "^", "%\n", "x", "$", " "]), max_size=12
    )
)
def test_what_is_taken_away_joins_no_command(pieces: list[str]) -> None:
    """``\\in`` is known and ``\\put`` is not; together they would read a file."""
    for clean in (plain_formula("".join(pieces)), plain_latex("".join(pieces))):
        commands = {found[1] for found in re.finditer(r"(?<!\\)(?:\\\\)*\\([A-Za-z]{2,})", clean)}
        assert commands <= {"in", "wr", "begin"} | _COMMANDS
        assert plain_latex(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        r"$\displaystyle \frac{x^{2}}{\sqrt{1 - y}} + \sum_{i=0}^{n} \alpha_i \, dx \{z\}$",
        r"\begin{matrix}1 & 2\\3 & 4\end{matrix}",
        r"\left(\mathbf{a} \cdot \hat{b}\right) \le \infty",
    ],
)
def test_honest_formulas_stay(text: str) -> None:
    """What sympy and people write comes through as it is."""
    assert plain_formula(text) == text
    assert plain_latex(r"a \\bc") == r"a \\ bc"  # the end of a line, not a command


@pytest.mark.parametrize(
    "piece", ["<!--", "<a", "[", "[a](", "![", "](", "`", "```a", "\\", "&#", "\x1b]", ":::", "$\\begin{"]
)
def test_cost_grows_with_the_length_only(piece: str) -> None:
    """A text of one piece, again and again, is the worst of every pattern; quadratic cost would not end here."""
    plain_markdown("$" + piece * (200_000 // len(piece)))

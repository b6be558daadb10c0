"""A whole notebook, read before anybody is asked: its cells, what each returns, what it asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput, SlsError, UnknownName
from sls_jupyter.notebook import executed
from sls_jupyter.session.notebooks import cells_of, options_of, read_notebook, require_form

KNOWN = ("patients", "pd", "np")


def notebook(*codes: str | dict[str, Any], **metadata: Any) -> dict[str, Any]:
    cells = [{"cell_type": "code", "metadata": {}, "source": one, "outputs": []} if isinstance(one, str) else one
             for one in codes]  # fmt: skip
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


TEXT = {"cell_type": "markdown", "metadata": {}, "source": ["# A title\n", "patients = none"]}


def test_code_cells_come_in_order_and_the_last_maker_returns(tmp_path):
    """Markdown and empty cells are no part of it; places are those of the file, so outputs find their way back."""
    book = notebook(TEXT, "a = patients  \n\n", "", "risk = a", TEXT, "x = risk + 1", "risk = risk * 2\nx")
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(book))
    found = cells_of(read_notebook(path), KNOWN, ["risk", "x"])
    assert [(one.place, one.code, one.outputs) for one in found] == [
        (1, "a = patients", ()),
        (3, "risk = a", ()),
        (5, "x = risk + 1", ("x",)),
        (6, "risk = risk * 2\nx", ("risk",)),
    ]


def test_sources_in_lines_are_one_text():
    """As nbformat writes them."""
    cell = {"cell_type": "code", "metadata": {}, "source": ["a = 1\n", "b = 2"]}
    assert cells_of(notebook(cell), KNOWN, [])[0].code == "a = 1\nb = 2"


def test_what_reading_cannot_tell_is_left_to_the_run():
    """A cell that can make any name returns from the end of the notebook, and nothing after it is judged."""
    found = cells_of(notebook("exec('risk = 1')", "y = risk"), KNOWN, ["risk"])
    assert [one.outputs for one in found] == [(), ("risk",)]


@pytest.mark.parametrize(
    ("codes", "outputs", "words"),
    [
        ((), [], "no code"),
        (("", TEXT), [], "no code"),
        (("x = (",), [], "no valid Python"),
        (("a = 1", "b = patient"), [], "patient, which nothing makes"),
        (("a = 1",), ["risk"], "No cell of the notebook makes risk"),
        (("%%safestream -i patients\nx",), [], "runs SafeStreams itself"),
        (("a = 1\n%seal a",), [], "runs SafeStreams itself"),
        (({"cell_type": "code", "source": [1]},), [], "malformed"),
        (("a",) * 501, [], "too many cells"),
    ],
)
def test_what_cannot_run_is_said_before_anybody_is_asked(codes, outputs, words):
    """With the cell's number, as the notebook counts it."""
    with pytest.raises(BadInput, match=words) as caught:
        cells_of(notebook(*codes), {*KNOWN, "a"}, outputs)
    if isinstance(caught.value, UnknownName):
        assert caught.value.found.startswith("cell 2: patient in line 1")


def test_another_language_is_refused():
    """An R notebook is not sent to owners for review."""
    book = notebook("x <- 1", kernelspec={"language": "R", "name": "ir", "display_name": "R"})
    with pytest.raises(BadInput, match="Python kernel"):
        cells_of(book, KNOWN, [])


def test_the_metadata_says_what_is_asked_for():
    """Inputs, purpose and outputs travel with the notebook; a slip is named with what could stand there."""
    options = options_of(notebook("a", sls={"input": ["patients:age"], "purpose": "risk study", "output": ["risk"]}))
    assert (options.input, options.purpose, options.output) == (("patients:age",), "risk study", ("risk",))
    assert options_of(notebook("a")).input == ()
    for wrong in (
        {"inputs": ["a"]},
        {"input": "patients"},
        {"cpu": 99},
        {"output": ["not a name"]},
        {"input": ["--"]},
        ["a"],
        3,
    ):
        with pytest.raises(BadInput, match="metadata") as caught:
            options_of(notebook("a", sls=wrong))
        assert "purpose" in str(caught.value.expected)


def test_whoever_wrote_a_notebook_brings_no_recipient_along():
    """A contact file that lies beside the notebook would get the results of whoever runs it."""
    assert options_of(notebook("a", sls={"to": ["carol"]})).to == ("carol",)
    for one in ("./carol.json", "carol.json", "file:///tmp/x", "a\\b"):
        with pytest.raises(BadInput, match="by a file"):
            options_of(notebook("a", sls={"to": [one]}))


@pytest.mark.parametrize(
    "odd",
    [{"metadata": "x"}, {"metadata": None}, {"metadata": [1]}, {"metadata": {"tags": 5}}, {"metadata": {"tags": None}}],
)
def test_cells_that_cannot_be_filled_are_refused_before_anything_runs(odd: dict[str, Any]):
    """A cell without a place for its receipt is told at once, not after it ran."""
    cell = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}
    require_form(notebook(cell))
    with pytest.raises(BadInput, match="malformed"):
        require_form(notebook({**cell, **odd}))
    for minor in ("5", [], True, -1):
        with pytest.raises(BadInput, match="malformed"):
            require_form({**notebook(cell), "nbformat_minor": minor})


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"nbformat": 3, "cells": []}', '{"nbformat": 4}', "\0", "[" * 10_000]
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str):
    """Whatever was named, there is a sentence and no traceback."""
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(BadInput, match="notebook"):
        read_notebook(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_notebook(tmp_path / "none.ipynb")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"cell_type": JSON | st.just("code"), "source": JSON, "metadata": JSON})
    ),
    JSON,
)
def test_any_notebook_is_read_or_refused(cells: list[Any], metadata: Any) -> None:
    """Somebody else wrote it: what is odd in it ends in one of our own errors."""
    book = {"nbformat": 4, "cells": cells, "metadata": metadata}
    for call in (lambda: cells_of(book, KNOWN, ["x"]), lambda: options_of(book), lambda: _cleared(book)):
        try:
            call()
        except SlsError:
            continue


def _cleared(book: dict[str, Any]) -> None:
    require_form(book)
    executed.clear(book)

"""Completion as IPython asks for it: in the right cells, and never an error."""

from types import SimpleNamespace

import pandas as pd
import pytest
from names_kit import NAMES

from sls_jupyter.errors import Unavailable
from sls_jupyter.notebook.complete import Matcher

CELL = "\n%%safestream -i patients=p:age,sex\nrisk = "


def context(before, after=""):
    *lines, line = before.split("\n")
    return SimpleNamespace(full_text=before + after, cursor_line=len(lines), cursor_position=len(line))


class Knowing(Matcher):
    """It knows what can be named, and counts how often it is asked."""

    asked = 0

    def _names(self):
        self.asked += 1
        return NAMES


def offered(before, after="", **variables):
    answer = Knowing(SimpleNamespace(user_ns=variables), SimpleNamespace())(context(before, after))
    if answer["completions"]:
        assert before.endswith(answer["matched_fragment"])
        assert answer["suppress"] is True
    return {one.text: one.type for one in answer["completions"]}


def test_the_body_has_the_columns_of_its_inputs():
    """Those that the first line asks for, with their types, by attribute and by key."""
    assert offered(CELL + "p.") == {"age": "int64", "sex": "category"}
    assert offered(CELL + "p[['age', 's") == {"sex": "category"}
    assert offered(CELL + "p.a", "\np.sex") == {"age": "int64"}
    assert offered(CELL + "patients.") == {}


def test_a_local_frame_of_that_name_gives_its_methods_behind_the_columns():
    """Ours come first; its own columns are not those of the group."""
    found = offered(CELL + "p.", p=pd.DataFrame({"outcome": [1]}))
    assert list(found)[:2] == ["age", "sex"]
    assert found["groupby"] == "function"
    assert "outcome" not in found
    assert offered(CELL + "p['", p=pd.DataFrame({"outcome": [1]})) == {"age": "int64", "sex": "category"}


def test_the_line_knows_the_cell_and_the_notebook():
    """``-o`` offers what the body makes, ``-p`` what can be sent, ``%seal`` what can be sealed."""
    assert offered("%%safestream -o ", "\nrisk = 1\n") == {"risk": "instance"}
    space = {"frame": pd.DataFrame({"age": [1]}), "limit": 3, "pd": pd, "run": offered, "_x": 1, "In": []}
    assert set(offered("%%safestream -p ", **space)) == {"frame", "limit"}
    assert set(offered("x = 1\n%seal ", **space)) == {"frame"}
    assert set(offered("%seal frame --columns ", **space)) == {"age"}
    assert offered("%%safestream -i patients --purpose 'risk", "'") == {"'risk study": "purpose"}


@pytest.mark.parametrize(
    "before",
    [
        "patients.gro",
        "p['",
        "%%safestreams -i p\np.",
        "x = 1\n%%safestream -i patients\npatients.",
        CELL + "p.age",
        CELL + "f(",
        "",
    ],
)
def test_other_code_is_none_of_our_business(before):
    """It has no answer, and where no column can stand nobody is asked."""
    matcher = Knowing(SimpleNamespace(user_ns={}), SimpleNamespace())
    found = matcher(context(before))["completions"]
    assert [one.text for one in found] == (["age"] if before.endswith("p.age") else [])
    assert matcher.asked == before.startswith(CELL) * (not before.endswith("f("))


def test_no_property_of_a_variable_is_computed():
    """A lazy frame, whose columns cost a query, is a table by its type."""

    class Lazy:
        @property
        def columns(self):
            raise AssertionError("computed")

    assert offered("%seal ", lazy=Lazy()) == {"lazy": "instance"}


def test_a_broken_session_is_no_answer_and_no_error():
    """A stopped authority does not make the tab key print a traceback."""
    matcher = Matcher(SimpleNamespace(user_ns={}), SimpleNamespace())  # has no session at all
    assert matcher(context("%sls audit ")) == {"completions": []}


class Magics:
    """Their session cannot be made."""

    persona = "a"

    @property
    def session(self):
        raise Unavailable("no home")


def test_another_persona_has_other_names():
    """After ``%sls as`` the names of the one before are gone."""
    magics = Magics()
    matcher = Matcher(SimpleNamespace(user_ns={}), magics)
    matcher._names()
    first = matcher._catalogue
    matcher._names()
    assert matcher._catalogue is first
    magics.persona = "b"
    matcher._names()
    assert matcher._catalogue is not first

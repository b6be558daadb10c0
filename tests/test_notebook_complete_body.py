"""Completion in a remote cell's body: the columns of its own inputs, where a column can stand, as Python writes them."""

import ast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from names_kit import NAMES, PATIENTS

from sls_jupyter.notebook.complete_body import (
    MAX_BODY,
    Place,
    attributes_of,
    columns_of,
    fitting_columns,
    made_in,
    place_at,
)
from sls_jupyter.session.column_types import ColumnType


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ("patients.", Place("patients", "")),
        ("x = 1\nrisk = patients.ag", Place("patients", "ag")),
        ("f(patients.ag", Place("patients", "ag")),
        ("(patients\n  .ag", Place("patients", "ag")),
        ("a = 'it'; patients.ag", Place("patients", "ag")),
        ("# don't\npatients.ag", Place("patients", "ag")),
        ("!echo don't\npatients.ag", Place("patients", "ag")),
        ('"""don\'t"""\npatients.ag', Place("patients", "ag")),
        ('patients["', Place("patients", "", '"')),
        ("patients['a", Place("patients", "a", "'")),
        ("patients[\"it's", Place("patients", "it's", '"')),
        ('patients [ "a', Place("patients", "a", '"')),
        ("patients[['age', 's", Place("patients", "s", "'")),
        ('patients[["age", "it\'s", "', Place("patients", "", '"')),
        ('patients.groupby("', Place("patients", "", '"')),
        ("patients.groupby(['sex', '", Place("patients", "", "'")),
    ],
)
def test_where_a_column_can_stand(before, place):
    """Behind the point and within quotation marks of the variable itself, whatever texts and comments stand before."""
    assert place_at(before) == place


@pytest.mark.parametrize(
    "before",
    [
        *("", "patients", "patients ", "x.patients.", "patients.sex.", "patients().", "patients['sex'].", "3.", "1.5"),
        *("# patients.", "'patients.", '"patients["', '"""\npatients.', "'''patients[\"", 'print(\'a "b" patients.'),
        *(
            'patients("',
            'other(patients, "',
            'patients.sex["',
            'patients.loc["',
            'patients[r"',
            "patients['age\n",
            "x['\\",
        ),
        "patients." + " " * MAX_BODY,
    ],
)
def test_where_none_can_stand(before):
    """In texts, in comments, behind anything but the variable: there the other completions are right."""
    assert place_at(before) is None


@given(st.text(alphabet="patients.[]()'\"#\\\n ,=", max_size=60))
def test_whatever_is_typed_has_a_place_or_none(before):
    """No text is too odd, and what would be replaced is what stands before the cursor."""
    place = place_at(before)
    assert place is None or before.endswith(place.mark + place.typed)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("-i patients", {"patients": list(PATIENTS)}),
        ("-i patients:age,sex -o risk", {"patients": ["age", "sex"]}),
        ("-i 'patients=p:sex,weight, kg'", {"p": ["sex", "weight, kg"]}),
        ("-i hospital/patients=p:age", {"p": ["age"]}),
        ("-i clinic/day-visits", {"day_visits": ["day"]}),
        ("--input=$asset:age", {"patients": ["age"]}),
        ("-i patients:age -i clinic/day-visits=v", {"patients": ["age"], "v": ["day"]}),
        ("-i nobody_knows:age", {"nobody_knows": []}),
        ("--session study", {"p": list(PATIENTS)}),
        ("-c risk_model --purpose '-i patients'", {}),
        ("-i 'patients", {}),
        ("-i $nothing", {}),
        ("-i patients=1", {}),
        ("", {}),
    ],
)
def test_the_inputs_are_those_that_the_first_line_names(line, found):
    """By their aliases and with the columns that are asked for; a session's are those of its contract."""
    columns = columns_of(line, {"asset": "patients"}, NAMES)
    assert {alias: list(one) for alias, one in columns.items()} == found


def texts(place, columns=PATIENTS):
    return [text for text, _ in fitting_columns(place, columns)]


def test_as_an_attribute_only_what_means_the_column():
    """``patients.count`` is pandas' own, a level of the index is no column, and a blank ends a name."""
    assert texts(Place("patients", "")) == ["age", "sex", "smoker"]
    assert fitting_columns(Place("patients", "s"), PATIENTS) == [("sex", "category"), ("smoker", "bool")]
    odd = dict.fromkeys(("class", "ﬁle", "a-b", "a.b", "1st", "größe", "a\u200bb", "x" * 200, ""), ColumnType("int64"))
    assert texts(Place("p", ""), odd) == ["größe"]


def test_within_quotation_marks_as_python_writes_it():
    """Each column of the frame that can be seen, under the mark that is open."""
    assert texts(Place("p", "", '"')) == ["age", "sex", "smoker", "weight, kg", "it's", "count"]
    assert texts(Place("p", "it", "'")) == ["it\\'s"]
    hidden = dict.fromkeys(("a\u202eb", "a\nb", "\x1b[2J", "x" * 500, "", "fine one"), ColumnType("int64"))
    assert texts(Place("p", "", "'"), hidden) == ["fine one"]


@given(st.text(min_size=1, max_size=20), st.sampled_from("'\""))
def test_no_name_ends_the_text_that_it_is_put_into(name, mark):
    """Whatever somebody called a column: between the marks stands a text that is the name, and nothing else."""
    for text in texts(Place("p", "", mark), {name: ColumnType("int64")}):
        assert ast.literal_eval(mark + text + mark) == name


def test_what_a_cell_can_return():
    """The variables that it sets in lines of their own; not what stands in texts, comments and calls."""
    body = "risk = 1\n# no = 2\nx: int = 3\nif a == b:\n    inner = 4\nrisk = 5\nf(\nkey=6)\n'''\nalso = 7\n'''\n"
    assert made_in(body) == ["risk", "x", "key"]  # what looks like one is offered, too
    assert made_in("x = 1\n" * MAX_BODY) == []


def test_what_belongs_to_a_frame_is_offered_without_the_columns_of_this_one():
    """A local frame of the same name may have columns that the group's has not."""
    frame = pd.DataFrame({"groceries": [1]})
    assert ("groupby", "function") in attributes_of(type(frame), "gro")
    assert "groceries" not in dict(attributes_of(type(frame), "gro"))
    assert not [name for name, _ in attributes_of(pd.DataFrame, "") if name.startswith("_")]

"""Names of columns on a line: with commas, quotes and brackets, one way to read them or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput
from sls_jupyter.naming import among, quoted, split_names

NAMES = st.lists(st.text(st.sampled_from("ab ,'\"(:="), min_size=1, max_size=6), min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ["a", "b"]),
        (" a , b ", ["a", "b"]),
        ("age,'weight, kg'", ["age", "weight, kg"]),
        ('"a,b" , c', ["a,b", "c"]),
        ("'it''s','say \"x\"'", ["it's", 'say "x"']),
        ("it's,b", ["it's", "b"]),
        ("' a '", [" a "]),
        ("a,,b,", ["a", "", "b", ""]),
        ("", [""]),
        ("('a', 'x')", ["('a'", "'x')"]),
    ],
)
def test_names_are_split_at_commas_outside_of_quotes(text, names):
    """What is quoted is one name; a quotation mark within a word is a sign like others."""
    assert split_names(text) == names


@given(names=NAMES)
def test_what_is_quoted_is_read_back(names):
    """Any names at all can be written on one line."""
    line = ",".join(map(quoted, names))
    assert split_names(line) == names


@given(names=NAMES)
def test_quoted_names_are_never_unclear(names):
    """A line on which every name is quoted has one reading, whatever else there is."""
    line = ",".join("'" + name.replace("'", "''") + "'" for name in names)
    assert among(line, names) == names


def test_a_name_with_a_comma_is_found_by_the_names_that_there_are():
    """A shell's line takes the quotes away; the table's own names say what was meant."""
    assert among("age,weight, kg", ["age", "weight, kg", "sex"]) == ["age", "weight, kg"]
    assert among("('a', 'x'),('b', '')", ["('a', 'x')", "('b', '')"]) == ["('a', 'x')", "('b', '')"]
    assert among("agee,sex", ["age", "sex"]) == ["agee", "sex"]


def test_two_readings_are_refused():
    """No column is granted that may not have been meant."""
    with pytest.raises(BadInput, match="two ways") as caught:
        among("a,b", ["a", "b", "a,b"])
    assert "'a,b'" in str(caught.value)
    assert among("'a','b'", ["a", "b", "a,b"]) == ["a", "b"]


def test_a_line_has_an_end():
    """A long line costs no more than its length."""
    assert len(among(",".join(["a"] * 10_000), ["a"])) == 10_000
    with pytest.raises(BadInput, match="too many"):
        split_names("," * 30_000)

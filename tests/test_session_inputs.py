"""Names of a run: what cannot be a variable, or would be two things, is refused by name before anybody is asked."""

import pytest

from sls_jupyter.errors import BadInput
from sls_jupyter.session.inputs import parse_input, picked_columns, require_separate_names


@pytest.mark.parametrize("alias", ["größe", "a" * 120, "class", "1x", "a b", "x-y", "None"])
def test_an_alias_that_cannot_be_a_variable_is_named(alias):
    """It is our error, with the alias in it."""
    with pytest.raises(BadInput, match="alias") as caught:
        parse_input(f"patients={alias}")
    assert alias[:60] in str(caught.value)


@pytest.mark.parametrize("text", ["patients=x:'a,b',c", 'patients=x:"a,b",c', "patients=x:a,b,c"])
def test_columns_with_commas(text):
    """Quoted, or found by the names that the table has."""
    assert picked_columns(text, ["a,b", "c", "d"]) == ["a,b", "c"]
    assert picked_columns("patients", ["a"]) is None


def test_columns_with_colons_and_signs():
    """Only the first colon and the first sign of equality mean something."""
    assert parse_input("t=x:a:b,c=d") == ("t", "x", ["a:b", "c=d"])


def test_a_parameter_does_not_take_the_place_of_a_table():
    """The cell would see one of the two, and nobody could say which."""
    with pytest.raises(BadInput, match="parameter p has the name of a table"):
        require_separate_names(["p", "q"], ["p"], [])
    require_separate_names(["p", "q"], ["r"], ["p", "r"])


@pytest.mark.parametrize("name", ["größe", "a b", "for", "x" * 101, 7])
def test_parameters_and_results_are_variables(name):
    """Each is named as what it is."""
    with pytest.raises(BadInput, match="parameter"):
        require_separate_names([], [name], [])
    with pytest.raises(BadInput, match="result"):
        require_separate_names([], [], [name])

"""A cell that seals says all of a policy: read as the magic reads it, it gives the same policy again."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from policy_cases import NOW, OWNER
from policy_strategies import policies

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.parsers import POLICY_FIELDS, seal_parser
from sls_jupyter.notebook.policy_forms import options_from
from sls_jupyter.notebook.seal_cells import BODY, default_name, seal_cell
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import policy_from_options, policy_from_yaml
from sls_jupyter.policy.written import options_of

PURPOSES = st.text(min_size=1, max_size=40).map(str.strip).filter(bool)


def said(line: str, *, code: bool = False) -> tuple[Any, OwnerPolicy | None]:
    """The options of a line as the magic reads them, and their policy; ``None`` where a file has it."""
    magic, _, rest = line.partition(" ")
    assert magic == ("%%seal" if code else "%seal")
    options = seal_parser(code).parse(split(rest, {}))
    fields = {name: getattr(options, name) for name in POLICY_FIELDS}
    return options, None if options.policy else policy_from_options(OWNER, now=NOW, **fields)


def meant(cell: str, *, code: bool = False) -> OwnerPolicy:
    """The policy that a cell would seal under, whether a line has it or a file that the cell writes."""
    if cell.startswith("%"):
        found = said(cell.partition("\n")[0] if code else cell, code=code)[1]
        assert found is not None
        return found
    tree = ast.parse(cell if code else cell.rpartition("\n")[0])  # the rest is one line of IPython
    written = next(one for one in ast.walk(tree) if isinstance(one, ast.Attribute) and one.attr == "write_text")
    call = next(one for one in ast.walk(tree) if isinstance(one, ast.Call) and one.func is written)
    return policy_from_yaml(ast.literal_eval(call.args[0]), OWNER, NOW)


@given(policies(), st.booleans())
def test_a_cell_seals_under_the_policy_that_it_was_made_of(policy: OwnerPolicy, code: bool) -> None:
    """Whoever edits one option loses no other, also of those that no line can say."""
    assert meant(seal_cell("patients", "patients", options_of(policy), code=code), code=code) == policy


@given(st.lists(PURPOSES, min_size=1, max_size=3), st.booleans())
@example(["-x", "--", "a\nb", "'''", "50 $x {y} \\", "why?"], False)
def test_a_purpose_stays_what_somebody_wrote(purposes: list[str], code: bool) -> None:
    """Quotes, signs of the line, line ends and what looks like an option are one purpose each."""
    cell = seal_cell("t", "t", {"allow_code": "reviewed", "purpose": purposes}, code=code)
    assert set(meant(cell, code=code).purposes) == set(purposes)


@given(policies())
def test_a_form_that_is_sent_back_as_it_came_changes_nothing(policy: OwnerPolicy) -> None:
    """Opening the form and pressing Seal gives the policy in force, with the fields that only a file has."""
    from sls_jupyter.notebook.policy_forms import fields_of

    texts = {one.name: one.value for one in fields_of(options_of(policy), ())}
    options, confidential = options_from(texts)
    assert policy_from_options(OWNER, now=NOW, **options) == policy
    assert not confidential


def test_a_cell_names_what_it_seals() -> None:
    """A file's name with blanks is one word, and the asset is called as the form says."""
    options, _ = said(seal_cell("my data/x $1.csv", "patients", {}))
    assert (options.frame, options.name) == ("my data/x $1.csv", "patients")
    assert seal_cell("patients", "patients", {}) == "%seal patients"
    assert seal_cell("-x.csv", "x", {}) == "%seal ./-x.csv --as x"
    assert default_name("data/visits.csv.gz") == "visits"
    assert seal_cell("", "clean", {}, code=True) == f"%%seal clean\n{BODY}"
    with pytest.raises(BadInput, match="cannot stand on a line"):
        seal_cell("a\nb", "x", {})


def test_a_form_takes_no_field_that_no_policy_has() -> None:
    """A misspelled field restricts nothing, so it is refused."""
    with pytest.raises(BadInput, match="no such field"):
        options_from({"min-grup": "10"})
    with pytest.raises(BadInput, match="yes or no"):
        options_from({"full-errors": "maybe"})

"""A policy as options: what an editor begins with gives the same policy again, so nothing is lost by opening it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import ANALYST, CELL, COLLEAGUE, MODEL, NOW, OWNER, STRANGER

from sls_jupyter.errors import BadInput
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import policy_from_options, policy_from_yaml
from sls_jupyter.policy.written import options_of

PEOPLE = st.sets(st.sampled_from([ANALYST, COLLEAGUE, STRANGER])).map(lambda found: tuple(sorted(found)))
NAMES = st.sampled_from(["age", "weight, kg", "it's", 'a"b', " a", "größe"])
CODES = st.sampled_from(
    [
        {"code": "any"},
        {"code": "reviewed"},
        {"code": "reviewed", "code_digests": (CELL,)},
        {"code": "listed", "code_digests": (CELL, MODEL)},
    ]
)
COUNTS = st.none() | st.integers(1, 10**14)
SIZES = st.none() | st.integers(0, 10**14)


@st.composite
def policies(draw: st.DrawFn) -> OwnerPolicy:
    approvers = draw(PEOPLE)
    fields: dict[str, Any] = {
        **draw(CODES),
        "requesters": draw(PEOPLE),
        "recipients": draw(PEOPLE),
        "approvers": approvers,
        "required_approvals": draw(st.integers(1, max(1, len(approvers)))),
        "columns": draw(st.none() | st.sets(NAMES, min_size=1).map(lambda found: tuple(sorted(found)))),
        "purposes": tuple(sorted(draw(st.sets(st.sampled_from(["risk study", "a, b", "50 $", "{x}"]))))),
        "kinds": draw(st.sampled_from([("table",), ("table", "figure"), ("table", "text", "figure"), ("text",)])),
        "tees": tuple(sorted(draw(st.sets(st.sampled_from(["sev-snp", "tdx", "sgx", "simulated-snp"]), min_size=1)))),
        "minimum_tcb": draw(st.sampled_from([{}, {"sev-snp": {"snp": 20}}, {"sev-snp/Milan": {"snp": 24}}])),
        "bulletins": draw(st.sampled_from([(), ("AMD-SB-3016", "AMD-SB-3019")])),
        "mitigations": draw(st.sampled_from([(), (2, 4)])),
        "fragments": draw(st.sampled_from([(), ("aci-infrastructure",)])),
        "registers": draw(st.sampled_from([{}, {"rtmr1": ("ab" * 48, "cd" * 48)}])),
        "min_group": draw(COUNTS),
        "max_runs": draw(COUNTS),
        "max_rows": draw(SIZES),
        "max_bytes": draw(SIZES),
        "expires_at": draw(st.none() | st.integers(NOW + 1, 10**10)),
        "full_errors": draw(st.booleans()),
    }
    fields |= draw(st.sampled_from([{}, {"sessions": False}, {"max_cells": 40}]))
    return OwnerPolicy(owner=OWNER, **fields)


@given(policies())
def test_what_is_in_force_comes_back_as_it_was(policy: OwnerPolicy) -> None:
    """Opening the form and pressing Seal changes nothing: no restriction is lost, also those that no control shows."""
    assert policy_from_options(OWNER, now=NOW, **options_of(policy)) == policy


def test_the_careful_default_says_no_more_than_its_code() -> None:
    """A policy of defaults is a short line."""
    assert options_of(OwnerPolicy(owner=OWNER)) == {"allow_code": "reviewed"}


def test_a_module_is_no_options() -> None:
    """An owner's own module is edited where it was written."""
    with pytest.raises(BadInput, match=r"--policy FILE.rego"):
        options_of(OwnerPolicy(owner=OWNER, module=CELL))


@pytest.mark.parametrize("text", ["expires: 2027-01-16T08:00:00Z", "expires: '2027-01-16T08:00:00Z'", "expires: 1d"])
def test_a_moment_is_taken_as_a_duration_is(text: str) -> None:
    """Until when is as good as how long, in a file with quotes and without."""
    assert policy_from_yaml(text, OWNER, NOW).expires_at == NOW + 86400


@pytest.mark.parametrize(
    ("value", "says"),
    [("2027-01-15T08:00:00Z", "is over"), ("2027-13-15T08:00:00Z", "duration"), ("2027-01-16", "duration")],
)
def test_a_moment_that_is_over_or_none_is_refused(value: str, says: str) -> None:
    """No asset is published that nobody could ever use."""
    with pytest.raises(BadInput, match=says):
        policy_from_options(OWNER, now=NOW, expires=value)

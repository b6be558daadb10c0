"""A policy as options: what an editor begins with gives the same policy again, so nothing is lost by opening it."""

from __future__ import annotations

import pytest
from hypothesis import given
from policy_cases import CELL, NOW, OWNER
from policy_strategies import policies

from sls_jupyter.errors import BadInput
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import policy_from_options, policy_from_yaml
from sls_jupyter.policy.written import options_of


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

"""One container of a policy against one start: variables, users, capabilities, command and the rest."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import ANYBODY, asked, container, machine, policy, start

from sls_jupyter.hosts.judge.machine import PRIVILEGED_CAPABILITIES, UNPRIVILEGED_CAPABILITIES


def rules(*found: dict[str, Any]) -> dict[str, Any]:
    return container(env_rules=list(found))


ONE = {"pattern": "A=1", "strategy": "string"}
NAMED = {"name": "[A-C]", "name_strategy": "re2", "value": "x=.", "value_strategy": "re2"}


@pytest.mark.parametrize(
    ("rule", "variable", "allowed"),
    [
        (ONE, "A=1", True),
        (ONE, "A=12", False),
        ({"pattern": "A=.", "strategy": "re2"}, "A=1", True),
        ({"pattern": "A=.", "strategy": "re2"}, "A=11", False),
        ({"pattern": "A=.", "strategy": "string"}, "A=1", False),
        ({"pattern": "A=.", "strategy": "other"}, "A=.", False),
        ({"pattern": None, "strategy": "string"}, "A=1", False),
        (NAMED, "B=x=1", True),
        (NAMED, "B=1", False),
        (NAMED, "BB=x=1", False),
        (NAMED, "B", False),
        (NAMED | {"name_strategy": "string"}, "B=x=1", False),
        (NAMED | ONE, "A=1", True),
    ],
)
def test_a_variable_needs_a_rule(rule: dict[str, Any], variable: str, allowed: bool) -> None:
    """Both forms of rules, literal and by expression; the text names the variable and never its value."""
    verdict = start(policy(rules(rule)), envList=[variable])
    assert verdict.allowed is allowed
    if not allowed:
        name = variable.partition("=")[0]
        assert verdict.errors == ("invalid env list", f"invalid env list: {name}")


def test_a_required_variable_has_to_be_there() -> None:
    """What the policy insists on cannot be left away."""
    source = policy(rules(ONE | {"required": True}))
    assert start(source, envList=["A=1"]).allowed
    assert start(source).errors == ("missing required environment variable",)


def test_dropping_keeps_what_most_rules_admit() -> None:
    """The container gets what the policy names; what is unknown is taken away, not fatal."""
    source = policy(
        container(), rules(ONE, {"pattern": "B=2", "strategy": "string"}), allow_environment_variable_dropping=True
    )
    verdict = start(source, envList=["LD_PRELOAD=/x", "B=2", "A=1", "A=1"])
    assert (verdict.allowed, verdict.env_list) == (True, ("A=1", "B=2"))


def test_dropping_between_two_equals_is_not_decided() -> None:
    """Two containers that would keep different variables, as many: denied, as there."""
    source = policy(
        rules(ONE), rules({"pattern": "B=2", "strategy": "string"}), allow_environment_variable_dropping=True
    )
    assert start(source, envList=["A=1"]).allowed
    assert not start(source, envList=["A=1", "B=2"]).allowed


def test_no_variable_at_all_is_not_an_empty_list() -> None:
    """An input without envList is not one that the utility VM makes, and is denied."""
    without = asked()
    del without["envList"]
    assert not machine(policy(container())).decide("create_container", without).allowed


# --- users ----------------------------------------------------------------------------------------


def by(strategy: str, pattern: str) -> dict[str, str]:
    return {"pattern": pattern, "strategy": strategy}


WHO = {"id": "1002", "name": "program"}


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (ANYBODY, True),
        (by("id", "1002"), True),
        (by("id", "program"), False),
        (by("name", "program"), True),
        (by("name", "1002"), False),
        (by("re2", "pro.+"), True),
        (by("re2", "pro"), False),
        (by("other", "1002"), False),
        ({"strategy": "any"}, False),
    ],
)
def test_a_user_or_group_is_named_by_a_strategy(rule: dict[str, str], allowed: bool) -> None:
    """A policy by id is one by id; a rule without a pattern is none, even for anybody."""
    user = {"user_idname": rule, "group_idnames": [ANYBODY], "umask": "0022"}
    assert start(policy(container(user=user)), user=WHO).allowed is allowed
    group = {"user_idname": ANYBODY, "group_idnames": [by("id", "9"), rule], "umask": "0022"}
    verdict = start(policy(container(user=group)), groups=[WHO])
    assert (verdict.allowed, verdict.errors) == (allowed, () if allowed else ("invalid user",))


def test_every_group_counts_and_the_umask_too() -> None:
    """A second group opens other doors; another umask makes files that others read."""
    user = {"user_idname": ANYBODY, "group_idnames": [by("id", "5")], "umask": "0022"}
    source, five, six = policy(container(user=user)), {"id": "5", "name": ""}, {"id": "6", "name": ""}
    assert start(source, groups=[]).allowed
    assert start(source, groups=[five, five]).allowed
    assert start(source, groups=[five, six]).errors == ("invalid user",)
    assert start(source, groups=[five], umask="0000").errors == ("invalid user",)


# --- capabilities ---------------------------------------------------------------------------------


def sets(*names: str, **more: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {
        "ambient": [],
        "bounding": list(names),
        "effective": list(names),
        "inheritable": [],
        "permitted": list(names),
    }
    return found | more


@pytest.mark.parametrize(
    ("capabilities", "allowed"),
    [
        (sets("CAP_A", "CAP_B"), True),
        (sets("CAP_B", "CAP_A"), True),
        (sets("CAP_A"), False),
        (sets("CAP_A", "CAP_B", "CAP_C"), False),
        (sets("CAP_A", "CAP_B", ambient=["CAP_A"]), False),
        (sets("CAP_A", "CAP_A"), False),
    ],
)
def test_capabilities_are_compared_set_by_set(capabilities: dict[str, list[str]], allowed: bool) -> None:
    """In any order, but all five, and neither more nor fewer."""
    verdict = start(policy(container(capabilities=sets("CAP_A", "CAP_B"))), capabilities=capabilities)
    assert (verdict.allowed, verdict.errors) == (allowed, () if allowed else ("capabilities don't match",))


def test_dropping_capabilities_keeps_those_of_the_policy() -> None:
    """More than the policy gives is taken away; fewer is still denied."""
    source = policy(container(capabilities=sets("CAP_A")), allow_capability_dropping=True)
    verdict = start(source, capabilities=sets("CAP_A", "CAP_B"))
    assert (verdict.allowed, verdict.caps_list) == (True, sets("CAP_A"))
    assert start(source, capabilities=sets("CAP_B")).errors == ("capabilities don't match",)


def test_dropping_capabilities_between_two_equals_is_not_decided() -> None:
    """Two containers that would keep different capabilities, as many."""
    both = [container(capabilities=sets("CAP_A")), container(capabilities=sets("CAP_B"))]
    verdict = start(policy(*both, allow_capability_dropping=True), capabilities=sets("CAP_A", "CAP_B"))
    assert verdict.errors == ("containers only distinguishable by capabilties",)


def test_a_policy_from_before_capabilities_gets_the_usual_ones() -> None:
    """Framework 0.2.1 names none: the platform's 14, and for privileged containers all."""
    old = {"framework_version": "0.2.1"}
    usual = sets(*UNPRIVILEGED_CAPABILITIES)
    everything = sets(*PRIVILEGED_CAPABILITIES, inheritable=list(PRIVILEGED_CAPABILITIES))
    elevated = policy(container(allow_elevated=True), **old)
    assert start(policy(container(), **old), capabilities=usual).allowed
    assert not start(policy(container(), **old), capabilities=sets()).allowed
    assert start(elevated, capabilities=usual).allowed
    assert start(elevated, capabilities=everything, privileged=True).allowed
    assert not start(elevated, capabilities=everything).allowed


# --- one value each -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"argList": ["run"]}, "invalid command"),
        ({"argList": ["run", "--fast", "--more"]}, "invalid command"),
        ({"argList": "run"}, "invalid command"),
        ({"workingDir": "/tmp"}, "invalid working directory"),
        ({"privileged": True}, "privileged escalation not allowed"),
        ({"seccompProfileSHA256": "00"}, "invalid seccomp"),
        ({"devices": [{"path": "/dev/sda"}]}, "devices not supported"),
        ({"devices": None}, "devices not supported"),
    ],
)
def test_one_change_is_one_text(changes: dict[str, Any], text: str) -> None:
    """The reader learns what was changed."""
    assert start(policy(container())).allowed
    assert start(policy(container()), **changes).errors == (text,)


def test_new_privileges_are_only_refused_where_the_policy_forbids_them() -> None:
    """A container that may gain privileges may also run without."""
    strict = policy(container(no_new_privileges=True))
    assert start(strict, noNewPrivileges=True).allowed
    assert start(strict, noNewPrivileges=False).errors == ("invalid noNewPrivileges",)
    assert start(policy(container()), noNewPrivileges=False).allowed


def test_a_container_without_a_command_never_starts() -> None:
    """confcom writes null for an image whose command it does not know."""
    assert start(policy(container(command=None)), argList=[]).errors == ("invalid command",)

"""Whether one container of the policy agrees with what is asked: one function for each thing that is compared.

Each is ``False`` where it cannot be compared, as a rule of Rego is that has no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sls_jupyter.hosts.judge.case import Case
from sls_jupyter.hosts.judge.machine import CAPABILITY_SETS
from sls_jupyter.hosts.judge.values import (
    Undefined,
    anchored,
    at,
    count,
    distinct,
    each,
    every,
    holds,
    matches,
    member,
    same,
    text,
    true_at,
)


@holds
def command_fits(case: Case, holder: Any) -> bool:
    """Element by element; ``holder`` is a container or a process."""
    command, asked = at(holder, "command"), case.of("argList")
    return count(asked) == count(command) and isinstance(asked, list) and same(asked, command)


@holds
def working_directory_fits(case: Case, holder: Any) -> bool:
    return same(case.of("workingDir"), at(holder, "working_dir"))


@holds
def privilege_fits(case: Case, container: Any) -> bool:
    allowed = at(container, "allow_elevated")
    return not case.is_set("privileged") or same(case.of("privileged"), allowed)


@holds
def no_new_privileges_fits(case: Case, holder: Any) -> bool:
    return at(holder, "no_new_privileges") is False or case.is_set("noNewPrivileges")


@holds
def seccomp_fits(case: Case, container: Any) -> bool:
    return same(case.of("seccompProfileSHA256"), at(container, "seccomp_profile_sha256"))


def no_devices(case: Case) -> bool:
    """No policy can name a device node, so none is allowed."""
    try:
        return count(case.of("devices")) == 0
    except Undefined:
        return False


# --- users ----------------------------------------------------------------------------------------


@holds
def _id_fits(rule: Any, who: Any) -> bool:
    pattern, strategy = at(rule, "pattern"), at(rule, "strategy")
    if same(strategy, "any"):
        return True
    if same(strategy, "id") or same(strategy, "name"):
        return same(pattern, at(who, strategy))
    return same(strategy, "re2") and matches(anchored(pattern), at(who, "name"))


@holds
def user_fits(case: Case, holder: Any) -> bool:
    """The user, every group and the umask."""
    user = at(holder, "user")
    return (
        same(at(user, "umask"), case.of("umask"))
        and _id_fits(at(user, "user_idname"), case.of("user"))
        and every(
            case.of("groups"), lambda group: any(_id_fits(rule, group) for rule in each(at(user, "group_idnames")))
        )
    )


# --- variables ------------------------------------------------------------------------------------


@holds
def _pattern_fits(pattern: Any, strategy: Any, value: Any) -> bool:
    if same(strategy, "string"):
        return same(pattern, value)
    return same(strategy, "re2") and matches(anchored(pattern), value)


@holds
def _whole_rule_fits(rule: Any, assignment: Any) -> bool:
    return _pattern_fits(_stated(rule, "pattern"), _stated(rule, "strategy"), assignment)


@holds
def _split_rule_fits(rule: Any, assignment: Any) -> bool:
    left, right = ([_stated(rule, side), _stated(rule, f"{side}_strategy")] for side in ("name", "value"))
    name, equals, value = text(assignment).partition("=")
    return bool(equals) and _pattern_fits(left[0], left[1], name) and _pattern_fits(right[0], right[1], value)


def _stated(rule: Any, name: str) -> Any:
    found = at(rule, name)
    if found is None:
        raise Undefined
    return found


def variable_fits(rule: Any, assignment: Any) -> bool:
    """Whether a rule admits ``NAME=value``: by one pattern for all of it, or one for each side."""
    return _whole_rule_fits(rule, assignment) or _split_rule_fits(rule, assignment)


def lacks_required(holder: Any, assignments: Any) -> bool:
    """Whether a rule that is required has no variable."""
    rules = [rule for rule in each(_rules(holder)) if true_at(rule, "required")]
    return any(not any(variable_fits(rule, one) for one in each(assignments)) for rule in rules)


def _rules(holder: Any) -> Any:
    return holder.get("env_rules") if isinstance(holder, dict) else None


def admitted(holder: Any, assignment: Any) -> bool:
    return any(variable_fits(rule, assignment) for rule in each(_rules(holder)))


@holds
def variables_fit(holder: Any, assignments: Any) -> bool:
    """Whether every variable is admitted, and every required rule has one."""
    at(holder, "env_rules")
    return (
        isinstance(_rules(holder), list | dict)
        and not lacks_required(holder, assignments)
        and every(assignments, lambda one: admitted(holder, one))
    )


def kept_variables(case: Case, holders: Iterable[Any]) -> Any:
    """The variables that a container is started with: all, or with dropping those that most rules admit.

    Raises:
        Undefined: no variables were given, or two containers admit different ones, of equal number.
    """
    if not case.stated.drops_variables:
        return case.of("envList")
    given = distinct(each(case.asked.get("envList")))
    kept = [
        [one for one in given if admitted(holder, one)]
        for holder in holders
        if isinstance(holder, dict) and "env_rules" in holder
    ]
    return sorted(_only_largest(kept, len))


def _only_largest(sets: list[Any], size: Any) -> Any:
    if not sets:
        raise Undefined
    most = max(map(size, sets))
    largest = [one for one in sets if size(one) == most]
    if any(not same(one, largest[0]) for one in largest):
        raise Undefined
    return largest[0]


# --- capabilities ---------------------------------------------------------------------------------


def _of_container(case: Case, container: Any, privileged: Any) -> Any:
    """The five sets that a container may have; from before framework 0.2.2 the platform's usual ones."""
    stated = at(container, "capabilities")
    if stated is not None:
        return stated
    usual, inheritable = list(case.machine.unprivileged_capabilities), []
    if true_at(container, "allow_elevated") and privileged is not False:
        if privileged is not True:
            raise Undefined
        usual = inheritable = list(case.machine.privileged_capabilities)
    return {**dict.fromkeys(CAPABILITY_SETS, usual), "inheritable": inheritable, "ambient": []}


@holds
def _set_fits(allowed: Any, asked: Any) -> bool:
    return (
        count(allowed) == count(asked)
        and every(asked, lambda one: member(one, allowed))
        and every(allowed, lambda one: member(one, asked))
    )


@holds
def capabilities_fit(case: Case, container: Any, privileged: Any, asked: Any) -> bool:
    allowed = _of_container(case, container, privileged)
    return all(_set_fits(at(allowed, name), at(asked, name)) for name in CAPABILITY_SETS)


def _filtered(case: Case, containers: Iterable[Any], privileged: Any) -> list[dict[str, list[Any]]]:
    found = []
    for container in containers:
        try:
            allowed = _of_container(case, container, privileged)
            pairs = [(name, at(allowed, name), case.of("capabilities", name)) for name in CAPABILITY_SETS]
        except Undefined:
            continue
        found.append({name: _common(given, wanted) for name, given, wanted in pairs})
    return found


def _common(given: Any, wanted: Any) -> list[Any]:
    return sorted(distinct(one for one in each(wanted) if isinstance(one, str) and member(one, given)))


def kept_capabilities(case: Case, containers: list[Any], privileged: Any) -> Any:
    """The five sets that a container is started with: those asked, or with dropping those that most rules allow.

    Raises:
        Undefined: none were given, or two containers allow different ones, of equal number.
    """
    if not case.stated.drops_capabilities():
        return case.of("capabilities")
    return _only_largest(_filtered(case, containers, privileged), lambda sets: sum(map(len, sets.values())))


def capabilities_ambiguous(case: Case, containers: list[Any], privileged: Any) -> bool:
    """Whether dropping cannot decide between containers."""
    try:
        _only_largest(found := _filtered(case, containers, privileged), lambda sets: sum(map(len, sets.values())))
    except Undefined:
        return bool(found)
    return False

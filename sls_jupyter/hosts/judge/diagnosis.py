"""In what one container's start differs from what the policy says of it: what was found, what was expected.

The framework's texts are about all containers that are possible, and there may be none. This compares with one
container, the one that was meant, so that an error can say what to look at. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sls_jupyter.hosts.judge.case import Case
from sls_jupyter.hosts.judge.rules import matching
from sls_jupyter.hosts.judge.rules.containers import is_started, matched
from sls_jupyter.hosts.judge.rules.mounts import mount_fits
from sls_jupyter.hosts.judge.values import each, same


@dataclass(frozen=True, slots=True)
class Difference:
    rule: str  # as in hosts/judge/words.py
    found: str  # names and digests, never the value of a variable
    expected: str


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value in ("", None) else str(value)


def _names(assignments: Any) -> str:
    return ", ".join(str(one).partition("=")[0] for one in each(assignments)) or "none"


def _rules(container: Any) -> str:
    patterns = [rule.get("pattern", rule.get("name", "")) for rule in each(container.get("env_rules"))]
    return _names(patterns)


def _mounts(mounts: Any) -> str:
    shown = [f"{one.get('destination')} ({','.join(map(str, each(one.get('options'))))})" for one in each(mounts)]
    return ", ".join(shown) or "none"


def _ids(user: Any, groups: Any, umask: Any) -> str:
    return f"user {user}, group {', '.join(map(str, groups))}, umask {umask}"


def _user_asked(case: Case) -> str:
    asked = case.asked
    return _ids(
        asked.get("user", {}).get("id"), [one.get("id") for one in each(asked.get("groups"))], asked.get("umask")
    )


def _id(rule: Any) -> str:
    return "any" if rule.get("strategy") == "any" else str(rule.get("pattern"))


def _user_stated(container: Any) -> str:
    user = container.get("user") or {}
    groups = [_id(rule) for rule in each(user.get("group_idnames"))]
    return _ids(_id(user.get("user_idname") or {}), groups, user.get("umask"))


def _capabilities(sets: Any) -> str:
    names = {str(one) for items in each(sets) for one in each(items)}
    return ", ".join(sorted(names)) or "none"


def _about_variables(case: Case, container: Any) -> Iterator[Difference]:
    given = list(each(case.asked.get("envList")))
    bad = [one for one in given if not matching.admitted(container, one)]
    if bad and not case.stated.drops_variables:
        yield Difference("environment", _names(bad), _rules(container))
    if matching.lacks_required(container, given):
        yield Difference("required_environment", _names(given), _rules(container))


def _about_capabilities(case: Case, container: Any) -> Iterator[Difference]:
    asked = case.asked.get("capabilities")
    privileged = case.asked.get("privileged")
    if not case.stated.drops_capabilities() and not matching.capabilities_fit(case, container, privileged, asked):
        yield Difference("capabilities", _capabilities(asked), _capabilities(container.get("capabilities")))


def differences(case: Case, container: Any) -> list[Difference]:
    """Everything in which a ``create_container`` differs from this container of the policy."""
    asked = case.asked
    bad = [one for one in each(asked.get("mounts")) if not mount_fits(case, container, one)]

    def stated(name: str) -> str:
        return _shown(container.get(name))

    pairs = (
        (
            any(same(container, one) for one in matched(case)),
            Difference("layers", "other layers", stated("layers")),
        ),
        (not is_started(case), Difference("started_twice", "a second start", "one start")),
        (
            matching.command_fits(case, container),
            Difference("command", _shown(asked.get("argList")), stated("command")),
        ),
        (not bad, Difference("mounts", _mounts(bad), _mounts(container.get("mounts")))),
        (
            matching.working_directory_fits(case, container),
            Difference("working_directory", _shown(asked.get("workingDir")), stated("working_dir")),
        ),
        (matching.user_fits(case, container), Difference("user", _user_asked(case), _user_stated(container))),
        (
            matching.no_new_privileges_fits(case, container),
            Difference("no_new_privileges", "new privileges allowed", "no new privileges"),
        ),
        (
            matching.seccomp_fits(case, container),
            Difference("seccomp", _shown(asked.get("seccompProfileSHA256")), stated("seccomp_profile_sha256")),
        ),
        (matching.privilege_fits(case, container), Difference("privileged", "a privileged container", "none")),
        (matching.no_devices(case), Difference("devices", f"{len(list(each(asked.get('devices'))))} devices", "none")),
    )
    found = [difference for agrees, difference in pairs if not agrees]
    return [*found, *_about_variables(case, container), *_about_capabilities(case, container)]


def nearest(case: Case, candidates: list[Any], name: str | None) -> list[Difference]:
    """The differences from the container of this name; without one, from the container that differs least."""
    named = [differences(case, one) for given, one in candidates if name is not None and given == name]
    compared = named or [differences(case, one) for _, one in candidates]
    return min(compared, key=len, default=[])

"""Why the start of a container or a process is denied: the framework's texts about it.

A text is about *all* containers that are still possible: "invalid command" means that none of them has this command.
When each question has some container that fits and no container fits all of them, there may be no text at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sls_jupyter.hosts.judge.case import Case
from sls_jupyter.hosts.judge.rules import containers, matching
from sls_jupyter.hosts.judge.rules.containers import fitting, fitting_for_exec, fitting_processes, is_started, matched
from sls_jupyter.hosts.judge.rules.mounts import mount_fits
from sls_jupyter.hosts.judge.values import Undefined, each, holds, same

Texts = Iterator[str]


def say(texts: dict[str, bool]) -> Texts:
    """The texts whose condition holds."""
    yield from (text for text, applies in texts.items() if applies)


def _bad_variables(case: Case, holders: list[Any]) -> Texts:
    given = [one for one in each(case.asked.get("envList")) if isinstance(one, str)]
    bad = [one.partition("=")[0] for one in given if not any(matching.admitted(holder, one) for holder in holders)]
    if bad:
        yield f"invalid env list: {','.join(bad)}"


def _bad_mounts(case: Case, possible: list[Any]) -> Texts:
    bad = [
        mount["destination"]
        for mount in each(case.asked.get("mounts"))
        if isinstance(mount, dict)
        and isinstance(mount.get("destination"), str)
        and not any(mount_fits(case, container, mount) for container in possible)
    ]
    if bad:
        yield f"invalid mount list: {','.join(bad)}"


def _no_container_admits_all(case: Case, possible: list[Any]) -> bool:
    """Every container fits in all else, and each has a variable that it does not admit."""
    given = list(each(case.asked.get("envList")))
    agreeing = fitting(case, seccomp=False, devices=False)
    return (
        bool(possible)
        and len(agreeing) == len(possible)
        and all(any(not matching.admitted(container, one) for one in given) for container in possible)
    )


def _missing_variable(case: Case, holders: list[Any]) -> bool:
    return any(matching.lacks_required(holder, case.asked.get("envList")) for holder in holders)


@holds
def _no_capabilities_fit(case: Case, holders: list[Any], *, started: bool) -> bool:
    privileged = containers.was_privileged(case) if started else case.of("privileged")
    _, left = containers.with_variables(case, holders)
    _, left = containers.with_capabilities(case, left, privileged)
    return not left


@holds
def _stdio_differs(case: Case) -> bool:
    _, left = containers.with_variables(case, fitting(case, devices=False))
    _, left = containers.with_capabilities(case, left, case.of("privileged"))
    return _differs(left)


def _differs(holders: list[Any]) -> bool:
    values = [holder["allow_stdio_access"] for holder in holders if "allow_stdio_access" in holder]
    return bool(holders) and "allow_stdio_access" in holders[0] and any(not same(one, values[0]) for one in values)


@holds
def _capabilities_ambiguous(case: Case) -> bool:
    if not case.stated.drops_capabilities():
        return False
    _, left = containers.with_variables(case, fitting(case, seccomp=False, devices=False))
    return matching.capabilities_ambiguous(case, left, case.of("privileged"))


def _create_container(case: Case) -> Texts:
    possible, started = matched(case), is_started(case)
    yield from _bad_variables(case, possible)
    yield from _bad_mounts(case, possible)
    yield from say(
        {
            "container already started": started,
            "privileged escalation not allowed": not any(matching.privilege_fits(case, one) for one in possible),
            "invalid command": not any(matching.command_fits(case, one) for one in possible),
            "invalid env list": _no_container_admits_all(case, possible),
            "invalid working directory": not any(matching.working_directory_fits(case, one) for one in possible),
            "invalid noNewPrivileges": not any(matching.no_new_privileges_fits(case, one) for one in possible),
            "invalid user": not any(matching.user_fits(case, one) for one in possible),
            "invalid seccomp": not any(matching.seccomp_fits(case, one) for one in possible),
            "devices not supported": not matching.no_devices(case),
        }
    )
    if started:
        return
    yield from say(
        {
            "missing required environment variable": _missing_variable(
                case, fitting(case, seccomp=False, devices=False)
            ),
            "capabilities don't match": _no_capabilities_fit(case, fitting(case, devices=False), started=False),
            "containers only distinguishable by allow_stdio_access": _stdio_differs(case),
            "containers only distinguishable by capabilties": _capabilities_ambiguous(case),
        }
    )


def _exec_in_container(case: Case) -> Texts:
    possible, started = matched(case), is_started(case)
    processes = [process for container in possible for process in containers.processes_of(container)]
    meant = [one for one in processes if matching.command_fits(case, one)]
    inside = [one for one in meant if matching.working_directory_fits(case, one)]
    yield from _bad_variables(case, possible)
    yield from say(
        {
            "container not started": not started,
            "invalid command": not meant,
            "invalid working directory": not any(matching.working_directory_fits(case, one) for one in possible),
            "invalid noNewPrivileges": not any(matching.no_new_privileges_fits(case, one) for one in inside),
            "invalid user": not any(matching.user_fits(case, one) for one in inside),
            "missing required environment variable": started and _missing_variable(case, fitting_for_exec(case)),
            "capabilities don't match": started and _no_capabilities_fit(case, fitting_for_exec(case), started=True),
        }
    )


@holds
def _process_stdio_differs(case: Case) -> bool:
    return _differs(containers.with_variables(case, fitting_processes(case))[1])


def _exec_external(case: Case) -> Texts:
    possible = case.stated.external_processes()
    yield from _bad_variables(case, possible)
    yield from say(
        {
            "invalid command": not any(matching.command_fits(case, one) for one in possible),
            "invalid working directory": not any(matching.working_directory_fits(case, one) for one in possible),
            "missing required environment variable": _missing_variable(case, fitting_processes(case)),
            "external processes only distinguishable by allow_stdio_access": _process_stdio_differs(case),
        }
    )


def _shutdown_container(case: Case) -> Texts:
    yield from say({"container not started": not is_started(case)})


def _signal_container_process(case: Case) -> Texts:
    yield from _shutdown_container(case)
    yield from say({"target isn't allowed to receive the signal": not _receivers(case)})


def _receivers(case: Case) -> list[Any]:
    try:
        return containers.receivers(case)
    except Undefined:
        return []


TEXTS: dict[str, Callable[[Case], Texts]] = {
    "create_container": _create_container,
    "exec_in_container": _exec_in_container,
    "exec_external": _exec_external,
    "shutdown_container": _shutdown_container,
    "signal_container_process": _signal_container_process,
}

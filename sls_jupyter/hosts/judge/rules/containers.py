"""The start of a container and of processes: the framework narrows down which container of the policy it can be.

``mount_overlay`` leaves those with these layers; each later question about the container id leaves fewer, and the
question is denied when none is left. A container of the policy may be started under any number of ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sls_jupyter.hosts.judge.case import Allowed, Case
from sls_jupyter.hosts.judge.rules.matching import (
    capabilities_fit,
    command_fits,
    kept_capabilities,
    kept_variables,
    no_devices,
    no_new_privileges_fits,
    privilege_fits,
    seccomp_fits,
    user_fits,
    variables_fit,
    working_directory_fits,
)
from sls_jupyter.hosts.judge.rules.mounts import mounts_fit
from sls_jupyter.hosts.judge.state import Change
from sls_jupyter.hosts.judge.values import Undefined, at, each, member, same, true_at


def some(found: list[Any]) -> list[Any]:
    """The list, if there is something in it."""
    if not found:
        raise Undefined
    return found


def matched(case: Case) -> list[Any]:
    """The containers of the policy that the container in question can be."""
    try:
        return list(each(case.state.get("matches", case.asked.get("containerID"))))
    except Undefined:
        return []


def is_started(case: Case) -> bool:
    return case.state.has("started", case.asked.get("containerID"))


def fitting(case: Case, *, seccomp: bool = True, devices: bool = True) -> list[Any]:
    """Those that agree in all but variables and capabilities."""
    return [
        container
        for container in matched(case)
        if no_new_privileges_fits(case, container)
        and user_fits(case, container)
        and privilege_fits(case, container)
        and working_directory_fits(case, container)
        and command_fits(case, container)
        and mounts_fit(case, container)
        and (not seccomp or seccomp_fits(case, container))
        and (not devices or no_devices(case))
    ]


def processes_of(container: Any) -> list[Any]:
    return list(each(container.get("exec_processes"))) if isinstance(container, dict) else []


def fitting_for_exec(case: Case) -> list[Any]:
    """Those in which this process may be started; once for each process of the policy that it is."""
    return [
        container
        for container in matched(case)
        if working_directory_fits(case, container)
        and no_new_privileges_fits(case, container)
        and user_fits(case, container)
        for process in processes_of(container)
        if command_fits(case, process)
    ]


def with_variables(case: Case, holders: list[Any]) -> tuple[Any, list[Any]]:
    """Which variables are kept, and which containers admit them.

    Raises:
        Undefined: it cannot be decided.
    """
    kept = kept_variables(case, some(holders))
    return kept, [holder for holder in holders if variables_fit(holder, kept)]


def with_capabilities(case: Case, containers: list[Any], privileged: Any) -> tuple[Any, list[Any]]:
    """Which capabilities are kept, and which containers allow them.

    Raises:
        Undefined: it cannot be decided.
    """
    kept = kept_capabilities(case, some(containers), privileged)
    return kept, [container for container in containers if capabilities_fit(case, container, privileged, kept)]


def was_privileged(case: Case) -> bool:
    """Whether the started container is a privileged one."""
    return is_started(case) and true_at(case.state.started[case.of("containerID")], "privileged")


def common_stdio(holders: list[Any]) -> Any:
    """Whether output may be read, if all that are left agree on it."""
    first = at(some(holders)[0], "allow_stdio_access")
    if not all(same(at(holder, "allow_stdio_access"), first) for holder in holders):
        raise Undefined
    return first


def _narrowed(case: Case, containers: list[Any]) -> Change:
    return Change("update", "matches", case.of("containerID"), some(containers))


def create_container(case: Case) -> Allowed:
    if is_started(case):
        raise Undefined
    env_list, left = with_variables(case, fitting(case))
    caps_list, left = with_capabilities(case, left, case.of("privileged"))
    stdio = common_stdio(left)
    started = {"privileged": case.of("privileged")}
    changes = (_narrowed(case, left), Change("add", "started", case.of("containerID"), started))
    return Allowed(changes, env_list, caps_list, stdio)


def exec_in_container(case: Case) -> Allowed:
    if not is_started(case):
        raise Undefined
    env_list, left = with_variables(case, fitting_for_exec(case))
    caps_list, left = with_capabilities(case, left, was_privileged(case))
    return Allowed((_narrowed(case, left),), env_list, caps_list)


def exec_external(case: Case) -> Allowed:
    env_list, left = with_variables(case, fitting_processes(case))
    return Allowed((), env_list, None, common_stdio(left))


def fitting_processes(case: Case) -> list[Any]:
    return [
        process
        for process in case.stated.external_processes()
        if working_directory_fits(case, process) and command_fits(case, process)
    ]


def shutdown_container(case: Case) -> Allowed:
    """What the container could be is forgotten; that it was started is not."""
    if not is_started(case):
        raise Undefined
    return Allowed((Change("remove", "matches", case.of("containerID")),))


def receivers(case: Case) -> list[Any]:
    """Those that may be sent this signal; once for each process of the policy that it is."""
    signal = case.of("signal")

    def takes(holder: Any) -> bool:
        return isinstance(holder, dict) and member(signal, holder.get("signals"))

    if case.is_set("isInitProcess"):
        return [container for container in matched(case) if takes(container)]
    return [
        container
        for container in matched(case)
        for process in processes_of(container)
        if command_fits(case, process) and takes(process)
    ]


def signal_container_process(case: Case) -> Allowed:
    if not is_started(case):
        raise Undefined
    return Allowed((_narrowed(case, receivers(case)),))


RULES: dict[str, Callable[[Case], Allowed]] = {
    rule.__name__: rule
    for rule in (create_container, exec_in_container, exec_external, shutdown_container, signal_container_process)
}

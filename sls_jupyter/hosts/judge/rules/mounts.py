"""Whether what is mounted into a container is what the policy, or the machine, names.

A source that begins with ``sandbox://`` or ``hugepages://`` is an expression below the group's own folder: any
emptyDir fits ``sandbox:///tmp/atlas/emptydir/.+``. Options are compared as sets of equal size. Fewer mounts than
the policy names are allowed.
"""

from __future__ import annotations

from typing import Any

from sls_jupyter.hosts.judge.case import Case
from sls_jupyter.hosts.judge.values import anchored, at, count, each, every, holds, matches, member, same, text


@holds
def _below(case: Case, constraint: Any, source: Any, prefix: str, folder: str) -> bool:
    constraint = text(constraint)
    if not constraint.startswith(prefix):
        return False
    return matches(anchored(constraint.replace(prefix, text(case.of(folder)))), source)


@holds
def _plan9(case: Case, constraint: Any, source: Any) -> bool:
    if not text(constraint).startswith(case.machine.plan9_prefix):
        return False
    owner = case.state.get("plan9_mounts", source)
    return same(case.of("containerID"), owner)


def _source_fits(case: Case, constraint: Any, source: Any) -> bool:
    return (
        _below(case, constraint, source, case.machine.sandbox_prefix, "sandboxDir")
        or _below(case, constraint, source, case.machine.huge_pages_prefix, "hugePagesDir")
        or _plan9(case, constraint, source)
        or same(constraint, source)
    )


@holds
def _fits(case: Case, constraint: Any, mount: Any) -> bool:
    options, wanted = at(mount, "options"), at(constraint, "options")
    return (
        same(at(mount, "type"), at(constraint, "type"))
        and _source_fits(case, at(constraint, "source"), at(mount, "source"))
        and not same(at(mount, "destination"), "")
        and same(at(mount, "destination"), at(constraint, "destination"))
        and count(options) == count(wanted)
        and every(options, lambda option: member(option, wanted))
        and every(wanted, lambda option: member(option, options))
    )


@holds
def _sandbox_sysfs(case: Case, mount: Any) -> bool:
    """The pause container of a privileged group has a writable ``/sys``, whether or not it is privileged itself."""
    options = at(mount, "options")
    return (
        case.is_set("isSandboxContainer")
        and same(at(mount, "type"), "sysfs")
        and same(at(mount, "source"), "sysfs")
        and same(at(mount, "destination"), "/sys")
        and count(options) == 4
        and all(member(option, options) for option in ("nosuid", "noexec", "nodev", "rw"))
    )


@holds
def mount_fits(case: Case, container: Any, mount: Any) -> bool:
    """Whether one mount is admitted into this container of the policy."""
    named, elevated = at(container, "mounts"), at(container, "allow_elevated")
    constraints = [*each(named), *case.machine.default_mounts]
    if elevated is not False:
        constraints += case.machine.privileged_mounts
    return any(_fits(case, constraint, mount) for constraint in constraints) or _sandbox_sysfs(case, mount)


@holds
def mounts_fit(case: Case, container: Any) -> bool:
    for name in ("mounts", "allow_elevated"):
        at(container, name)  # without them no mount list fits, an empty one neither
    return every(case.of("mounts"), lambda mount: mount_fits(case, container, mount))

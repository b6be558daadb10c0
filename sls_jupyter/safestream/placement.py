"""Placement: a host that meets the spec and every owner's conditions, or whose condition no host meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import HostUnsuitable
from sls_jupyter.safestream.host import Host, HostCapabilities


def _objections(host: HostCapabilities, spec: StreamSpec, grants: Sequence[Grant]) -> list[str]:
    """Why this host does not do; empty if it does."""
    found = []
    if host.tee not in spec.tees:
        found.append(f"the request accepts {', '.join(spec.tees)} and it offers {host.tee}")
    aliases = {item.asset: item.alias for item in spec.inputs}
    for grant in grants:
        if host.tee not in grant.tees:
            alias = aliases.get(grant.asset, grant.asset)
            found.append(f"the owner of {alias} accepts {', '.join(grant.tees)} and it offers {host.tee}")
    if spec.limits.cpus > host.max_cpus:
        found.append(f"{spec.limits.cpus} CPUs are asked for and it has {host.max_cpus}")
    if spec.limits.memory_bytes > host.max_memory_bytes:
        asked, has = spec.limits.memory_bytes / 2**30, host.max_memory_bytes / 2**30
        found.append(f"{asked:.1f} GiB are asked for and it has {has:.1f} GiB")
    return found


def require_host(hosts: Mapping[str, Host], wanted: str | None) -> None:
    """Nobody is asked to approve a run that has nowhere to go.

    Raises:
        HostUnsuitable: there is no host of that name.
    """
    if not hosts or (wanted is not None and wanted not in hosts):
        raise HostUnsuitable(
            "There is no such host.",
            found=wanted,
            expected=", ".join(hosts),
            hint="%sls hosts lists them, %sls hosts add writes one down.",
        )


def place(hosts: Mapping[str, Host], wanted: str | None, spec: StreamSpec, grants: Sequence[Grant]) -> tuple[str, Host]:
    """The wanted host, or the first that does.

    Raises:
        HostUnsuitable: with each host's reasons.
    """
    require_host(hosts, wanted)
    reasons = []
    for name, host in hosts.items():
        if wanted not in (None, name):
            continue
        objections = _objections(host.capabilities(), spec, grants)
        if not objections:
            return name, host
        reasons += [f"{name}: {objection}" for objection in objections]
    raise HostUnsuitable(
        "No host meets all conditions.",
        found="; ".join(reasons),
        hint="Lower the request (--memory, --cpu, --tee), name another --host, or ask that owner to accept this TEE.",
    )

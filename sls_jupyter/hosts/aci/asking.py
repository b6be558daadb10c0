"""What Azure itself tells of a host before a group is made: credentials, region, quota, limits, price; a line each."""

from __future__ import annotations

from collections.abc import Sequence

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.errors import SlsError, printable
from sls_jupyter.hosts.aci.arm import Use
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.settings import LIMIT_CPUS, LIMIT_GIGABYTES, LIMIT_SOURCE
from sls_jupyter.hosts.aci.template import Deployment, RenderedPolicy, group_name, resource, spec_digest_of, totals
from sls_jupyter.hosts.doctor import Finding


def not_ok(what: str, error: SlsError | OSError) -> Finding:
    if isinstance(error, SlsError):
        found = f"{error.sentence} {error.found or ''}".strip()
        return Finding(what, ok=False, found=found, fix=error.hint or "Try again; it could not be checked.")
    return Finding(what, ok=False, found=type(error).__name__, fix="Try again; it could not be checked.")


def not_checked(what: str, found: str, fix: str) -> Finding:
    return Finding(what, ok=False, found=f"not checked: {found}", fix=fix)


def _size(host: AciHost, group: ContainerGroup) -> tuple[float, float]:
    spec = spec_digest_of(group)
    body = resource(RenderedPolicy.of(group), Deployment(group_name(spec), host.settings.region, spec))
    return totals(body)


def ask_azure(host: AciHost, group: ContainerGroup, elsewhere: str = "") -> list[Finding]:
    """Credentials, resource group, region, quota; where one fails, those behind it are not checked.

    Args:
        elsewhere: a sentence about other regions, for fixes.
    """
    findings: list[Finding] = []
    try:
        running = host.arm.ours()
        findings.append(Finding("credentials", ok=True, found=f"resource group {host.settings.resource_group} answers"))
        findings.append(_leftovers(host, len(running)))
    except SlsError as error:
        later = not_checked("region, quota", "Azure does not answer", "Repair the line above first.")
        return [not_ok("credentials", error), later]
    try:
        largest = host.arm.largest(host.settings.region)
        uses = host.arm.usage(host.settings.region)
    except SlsError as error:
        return [*findings, not_ok("region, quota", error)]
    return [*findings, _region(host, group, largest, elsewhere), *_quota(host, group, uses)]


def _leftovers(host: AciHost, count: int) -> Finding:
    if count:
        return Finding("left behind", ok=False, found=f"{count} groups of ours are there, and are billed",
                       fix=f"If none of them is a run that goes on: sls host sweep {host.name}.")  # fmt: skip
    return Finding("left behind", ok=True, found="no group of ours is there")


def _region(host: AciHost, group: ContainerGroup, largest: tuple[float, float] | None, elsewhere: str) -> Finding:
    if largest is None:
        return Finding("region", ok=False, found=f"{host.settings.region} lists no Linux groups",
                       fix="Add a host in a region that has them: az account list-locations.")  # fmt: skip
    cpus, memory = largest
    said = f"{host.settings.region} has Linux groups, ordinary ones up to {cpus:g} vCPU, {memory:g} GB"
    wanted_cpus, wanted_memory = _size(host, group)
    if wanted_cpus <= cpus and wanted_memory <= memory:
        return Finding("region", ok=True, found=said)
    return not_checked(
        "region",
        f"{said}; whether it has room for {wanted_cpus:g} vCPU, {wanted_memory:g} GB, no list says, only a group does",
        f"Ask for less (--cpu, --memory): larger groups find no room in some regions. {elsewhere}".strip(),
    )


def identity(host: AciHost) -> Finding:
    """Whether the group has an identity of Azure's; nothing of ours needs one, but a private registry does."""
    if not host.settings.pull_identity:
        return Finding("identity", ok=True, found="the group has none, so it has no endpoint that gives out tokens")
    return Finding(
        "identity",
        ok=True,
        found="the group has one, to pull its image; its endpoint's variables reach containers, and the platform changes"
        " them now and then (September 2026)",
        fix="Give it AcrPull on this one repository and no other role, or push the image where nobody needs a login.",
    )


def _quota(host: AciHost, group: ContainerGroup, uses: Sequence[Use]) -> list[Finding]:
    cpus, _ = _size(host, group)
    wanted = {"cores": cpus, "containergroups": 1.0}
    findings = []
    for kind, needed in wanted.items():
        fitting = [one for one in uses if _counts(one.name, kind)]
        what = "quota of vCPUs" if kind == "cores" else "quota of groups"
        if not fitting:
            findings.append(not_checked(what, "the region lists no such quota", "The Azure portal shows it: Quotas."))
            continue
        short = [one for one in fitting if one.limit - one.used < needed]
        said = "; ".join(f"{printable(one.name, 60)}: {one.used} of {one.limit} used" for one in fitting)
        findings.append(
            Finding(what, ok=not short, found=said, fix="" if not short else
                    f"This run needs {needed:g}. End other groups, ask for more (Azure portal, Quotas), or use another region.")
        )  # fmt: skip
    return findings


def _counts(name: str, kind: str) -> bool:
    """Whether a quota bounds confidential groups: those of spot and GPU cores do not."""
    plain = name.lower()
    return plain.endswith(kind) and "spot" not in plain and not plain.startswith(("k80", "p100", "v100"))


def limits(host: AciHost, group: ContainerGroup) -> Finding:
    cpus, memory = _size(host, group)
    ok = cpus <= LIMIT_CPUS and memory <= LIMIT_GIGABYTES
    found = f"{cpus:g} vCPU and {memory:g} GB of {LIMIT_CPUS:g} and {LIMIT_GIGABYTES:g}, all containers together"
    fix = "" if ok else f"Ask for less: --cpu, --memory ({LIMIT_SOURCE})."
    return Finding("size of the group", ok=ok, found=found, fix=fix)


def cost(host: AciHost, group: ContainerGroup) -> Finding:
    """What it costs; a price is optional, so that none is known stops no run."""
    return Finding("cost", ok=True, found=host.settings.cost_words(*_size(host, group)))

"""All that a run on ACI rests on, tried without starting one: a line each, ok or the fix.

What could not be checked counts as not ok. Nothing here makes a group; what only a group can tell (whether the region
has the Confidential SKU, what the platform brings to a container) is known from a record of
:mod:`sls_jupyter.hosts.aci.probe`, which is believed for :data:`FRESH_DAYS` days.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sls_jupyter.attestation.amd.bulletins import bulletin_table
from sls_jupyter.attestation.azure.facts import UVM_MINIMUM_SVN, UVM_MINIMUM_SVN_DATE
from sls_jupyter.contract.differing import differing_layers
from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.errors import SlsError, printable
from sls_jupyter.hosts.aci.asking import ask_azure, cost, identity, limits, not_checked, not_ok
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.probe import Seen
from sls_jupyter.hosts.aci.template import (
    MAX_POLICY_BYTES,
    RenderedPolicy,
)
from sls_jupyter.hosts.doctor import Finding
from sls_jupyter.network import is_public

FRESH_DAYS = 30

ReadLayers = Callable[[str], Sequence[str]]
"""An image's reference by digest -> root hashes of what its registry serves, the lowest layer first."""
Reachable = Callable[[], object]
"""Raises :class:`SlsError` or OSError where something cannot be read."""


@dataclass(frozen=True, slots=True)
class Rests:
    """What else a run rests on, beside its host."""

    read_layers: ReadLayers | None = None
    authorities: tuple[tuple[str, str, Reachable], ...] = ()  # whose, URL, a call to it
    storage: tuple[tuple[str, str, Reachable], ...] = ()  # whose, URL, a read of it without this user's credentials
    tees: tuple[tuple[str, tuple[str, ...]], ...] = ()  # whose, kinds of TEE that they accept
    bulletins: tuple[tuple[str, tuple[str, ...]], ...] = ()  # whose, AMD's bulletins that they demand
    demands: tuple[str, ...] = ()  # what owners demand of a machine beside bulletins, in words
    seen: Seen | None = None  # the last record of this host
    elsewhere: tuple[tuple[str, Seen], ...] = ()  # the user's other hosts on Azure that have a record, by name
    resolve: Callable[[str], list[str]] = field(default=lambda name: _addresses(name))


def preflight(host: AciHost, group: ContainerGroup, rests: Rests, now: datetime) -> tuple[Finding, ...]:
    """Try everything for this group on this host.

    Args:
        now: with a time zone.
    """
    seen = rests.seen
    fresh = seen if seen is not None and _is_fresh(seen, now) and seen.region == host.settings.region else None
    elsewhere = _elsewhere(host, rests, now)
    return (
        *ask_azure(host, group, elsewhere),
        _sku(host, fresh, elsewhere),
        identity(host),
        limits(host, group),
        _policy(group),
        _image(host, rests.read_layers),
        *_platform(host, fresh),
        _fragments(group),
        *(_owner_tee(who, tees) for who, tees in rests.tees),
        _minimums(rests, now),
        *(_storage(*one) for one in rests.storage),
        *(_authority(*one, rests.resolve) for one in rests.authorities),
        cost(host, group),
    )


def _record(host: AciHost) -> str:
    return f"sls host doctor {host.name} --record FILE makes a group that is refused on purpose, and deletes it."


def _is_fresh(seen: Seen, now: datetime) -> bool:
    at = datetime.strptime(seen.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (now - at).days < FRESH_DAYS


def _elsewhere(host: AciHost, rests: Rests, now: datetime) -> str:
    """The other regions of which a record says that they took a confidential group; "" where none does."""
    known = [
        f"{seen.region} took one on {seen.at[:10]} (--host {name})"
        for name, seen in rests.elsewhere
        if seen.region != host.settings.region and _is_fresh(seen, now)
    ]
    return f"Another region: {'; '.join(known)}." if known else ""


# --- policy, image, platform ----------------------------------------------------------------------


def _sku(host: AciHost, seen: Seen | None, elsewhere: str) -> Finding:
    if seen is None:
        return not_checked(
            "Confidential SKU",
            f"no list says whether {host.settings.region} has it, only a group does",
            f"{_record(host)} {elsewhere}".strip(),
        )
    return Finding("Confidential SKU", ok=True, found=f"{seen.region} took a confidential group on {seen.at[:10]}")


def _policy(group: ContainerGroup) -> Finding:
    try:
        policy = RenderedPolicy.of(group)
    except SlsError as error:
        return not_ok("policy", error)
    return Finding(
        "policy", ok=True, found=f"{len(policy.text)} of {MAX_POLICY_BYTES} bytes, HOST_DATA {policy.host_data.hex()}"
    )


def _image(host: AciHost, read: ReadLayers | None) -> Finding:
    image = host.settings.image
    if read is None:
        return not_checked("image", "its registry was not asked", f"sls host doctor {host.name} asks it.")
    try:
        layers = tuple(read(image.reference))
    except (SlsError, OSError) as error:
        return not_ok("image", error)
    differing = differing_layers(layers, image.layers)
    if differing:
        fix = "It is not the image that was measured: add the host again with the right digest, and have owners trust that one."
        return Finding("image", ok=False, found=f"the registry serves another one: {differing}", fix=fix)
    return Finding("image", ok=True, found=f"{image.reference} has the {len(layers)} layers that were measured")


def _platform(host: AciHost, seen: Seen | None) -> list[Finding]:
    date = aci_platform().date
    if seen is None:
        return [not_checked("platform", f"what it brings to a container today; known as of {date}", _record(host))]
    if not seen.complete:
        return [not_checked("platform", f"the refusal of {seen.at[:10]} did not say what was asked", _record(host))]
    variables, mounts = seen.unknown_variables(), seen.unknown_mounts()
    said = (
        f"{', '.join(variables)} is new since {date}; the policy drops it, so nothing changes"
        if variables
        else f"as of {date}"
    )
    findings = [Finding("platform's variables", ok=True, found=said)]
    if mounts:
        findings.append(Finding("platform's mounts", ok=False, found=f"{', '.join(mounts)} is new since {date}: groups are refused",
                                fix="Update sls-jupyter; owners then see and accept the new policy."))  # fmt: skip
    else:
        findings.append(Finding("platform's mounts", ok=True, found=f"as of {date}"))
    return findings


def _fragments(group: ContainerGroup) -> Finding:
    if not group.fragments:
        return Finding("fragments", ok=True, found="none may join; names of the group's network may then be missing")
    known = [(name, aci_platform().fragments[name]) for name in group.fragments]
    said = "; ".join(f"{name} of at least version {one.minimum_svn}" for name, one in known)
    return not_checked(
        "fragments",
        f"whether the region brings {said} (as of {aci_platform().date}), only a group shows",
        "Start a run: a fragment that is too old is refused, and the denial names it.",
    )


# --- owners ---------------------------------------------------------------------------------------


def _owner_tee(who: str, tees: Sequence[str]) -> Finding:
    ok = "sev-snp" in tees
    return Finding(f"{who}: TEE", ok=ok, found=f"accepts {', '.join(tees)}; this host offers sev-snp",
                   fix="" if ok else "Ask that owner to accept sev-snp (--tee sev-snp).")  # fmt: skip


def _minimums(rests: Rests, now: datetime) -> Finding:
    """Which machine it will be is not known before; only whether what is demanded can be judged at all."""
    table = bulletin_table()
    known = {one.id for one in table.bulletins}
    strange = sorted({name for _, names in rests.bulletins for name in names if name not in known})
    asked = sorted({name for _, names in rests.bulletins for name in names})
    said = ", ".join((f"UVM ≥ {UVM_MINIMUM_SVN} (as of {UVM_MINIMUM_SVN_DATE})", *asked, *rests.demands))
    if strange:
        return Finding(
            "owners' minimums",
            ok=False,
            found=f"{', '.join(strange)} is not known to this version",
            fix="Update sls-jupyter.",
        )
    if table.age_note(now):
        return Finding("owners' minimums", ok=False, found=table.age_note(now), fix="Update sls-jupyter.")
    if asked or rests.demands:
        return not_checked(
            "owners' minimums",
            f"{said}: which machine it will be is known once the group has started; it is judged then, before any key leaves",
            "Start a run: a machine that is too old gets no key, and the refusal says what it lacks.",
        )
    return Finding("owners' minimums", ok=True, found=f"none beyond this version's own: {said}")


def _storage(who: str, url: str, read: Reachable) -> Finding:
    what = f"{who}: storage"
    try:
        read()
    except (SlsError, OSError) as error:
        return not_ok(what, error)
    return Finding(what, ok=True, found=f"{printable(url, 120)} can be read from outside")


def _authority(who: str, url: str, call: Reachable, resolve: Callable[[str], list[str]]) -> Finding:
    """A group in Azure reaches public addresses only; whoever serves on a loopback serves nobody there."""
    what, host = f"{who}: authority", urlsplit(url).hostname or ""
    fix = "Its owner serves it where a group can reach it: sls authority serve --host ADDRESS --tls-cert FILE, under a public name."
    try:
        addresses = resolve(host)
        hidden = [one for one in addresses if not is_public(one)]
        if hidden or not addresses or urlsplit(url).scheme != "https":
            why = "no address" if not addresses else "not HTTPS" if not hidden else f"{hidden[0]} is no public address"
            return Finding(what, ok=False, found=f"{printable(url, 120)}: {why}", fix=fix)
        call()
    except (SlsError, OSError) as error:
        return not_ok(what, error)
    return Finding(what, ok=True, found=f"{printable(url, 120)} answers at {addresses[0]}")


def _addresses(name: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(one[4][0]) for one in found))

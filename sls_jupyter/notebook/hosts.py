"""Hosts on the screen: what is written down, added and forgotten."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook import reports
from sls_jupyter.notebook.cards import Card, Chip, Facts, Line, Mono, Table
from sls_jupyter.notebook.host_options import HOST_FIELDS
from sls_jupyter.safestream.placement import require_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sls_jupyter.hosts.aci.launch import AciHost
    from sls_jupyter.hosts.doctor import Finding
    from sls_jupyter.safestream.request import StreamRequest
    from sls_jupyter.session import Session

_NO_IMAGE = {"reference": "none@sha256:" + "0" * 64, "layers": ("0" * 64,), "measurement": ""}  # never kept
_USAGE = "hosts, hosts add aci …, hosts add podman --image FOLDER, or hosts remove NAME"


def hosts(session: Session, options: argparse.Namespace) -> Card:
    """``hosts``, ``hosts add KIND`` and ``hosts remove NAME``."""
    words = options.words
    if not words:
        return reports.hosts_card(session.hosts)
    if words[0] == "add" and len(words) == 2:
        return add(session, words[1], options)
    if words[0] == "remove" and len(words) == 2:
        return remove(session, words[1])
    raise BadInput("Hosts are listed, added or removed.", found=" ".join(words)[:80], expected=_USAGE)


def add(session: Session, kind: str, options: argparse.Namespace) -> Card:
    """Write a host down; its image is read now, from the registry or from this machine."""
    if kind == "podman":
        return _add_podman(session, options)
    if kind != "aci":
        raise BadInput(
            "There is no such kind of host.",
            found=kind[:60],
            expected="aci or podman",
            hint="This machine needs no adding.",
        )
    missing = [name for name in HOST_FIELDS if not getattr(options, name)]
    if missing:
        names = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise BadInput("A host on Azure needs more.", found=f"no {names}", hint="az account show, az group list.")
    from sls_jupyter.contract.image import WrittenImage
    from sls_jupyter.session.hosting import aci_settings
    from sls_jupyter.session.images import image_for_azure

    fields: dict[str, Any] = {
        **{name: getattr(options, name) for name in ("subscription", "resource_group", "region", "pull_identity")},
        "prices": _prices(options),
    }
    fields["subscription"] = fields["subscription"].lower()
    fields["region"] = fields["region"].lower().replace(" ", "")
    aci_settings(**fields, image=_NO_IMAGE)  # a slip costs no reading of a registry
    image = image_for_azure(session.home, options.image)
    name = options.name or kind
    session.add_host(name, aci_settings(**fields, image=WrittenImage.of(image)))
    return added_card(session.aci_host(name))


def _add_podman(session: Session, options: argparse.Namespace) -> Card:
    if not options.image:
        raise BadInput("A host on podman needs an image.", found="no --image", hint="sls image build makes one.")
    name = options.name or "podman"
    settings = session.podman_settings(options.image)
    session.add_host(name, settings)
    layers = [("layers" if number == 0 else "", Mono(one)) for number, one in enumerate(settings.image.layers)]
    facts = [("image", Mono(settings.image.reference)), ("lies in", settings.layout), *layers]
    lines = [
        Line("Its evidence is SIMULATED: a rehearsal, which convinces nobody else."),
        Line(f"sls host doctor {name} tries podman; owners have to trust the image by these layers."),
    ]
    return Card(f"Host {name} is added", [Facts(facts), *lines], tone="good")


def _prices(options: argparse.Namespace) -> dict[str, Any] | None:
    if options.price is None:
        return None
    currency, vcpu, gigabyte = options.price
    try:
        numbers = {"vcpu_hour": float(vcpu), "gigabyte_hour": float(gigabyte)}
    except ValueError:
        raise BadInput(
            "A price is a number.", found=f"{vcpu} {gigabyte}"[:60], expected="--price EUR 0.05 0.006"
        ) from None
    if not options.price_source:
        raise BadInput("A price has a source.", hint="--price-source 'where you read it'")
    return {
        "currency": currency,
        **numbers,
        "as_of": datetime.now(UTC).strftime("%Y-%m-%d"),
        "source": options.price_source,
    }


def remove(session: Session, name: str) -> Card:
    """Forget a host."""
    session.remove_host(name)
    return Card(f"{name} is forgotten", [Line("What runs there goes on until its end.")])


def added_card(host: AciHost) -> Card:
    """What was written down, and what to do before the first run."""
    image = host.settings.image
    facts = [(name, value) for name, value in host.capabilities().facts]
    layers = [("layers" if number == 0 else "", Mono(layer)) for number, layer in enumerate(image.layers)]
    lines = [
        Line("No secret was written down: az login, or the environment, says who you are."),
        Line(f"%sls preflight --host {host.name} … tries everything; owners have to trust the image by these layers."),
    ]
    return Card(f"Host {host.name} is added", [Facts([*facts, *layers]), *lines], tone="good")


def preflight_card(session: Session, name: str, request: StreamRequest) -> Card:
    """All that a request rests on, on one host."""
    from sls_jupyter.hosts.aci.launch import AciHost
    from sls_jupyter.hosts.podman.doctor import examine_podman
    from sls_jupyter.hosts.podman.host import PodmanHost

    host = session.hosts.get(name)
    if isinstance(host, PodmanHost):
        return findings_card(f"Host {name}", examine_podman(host))
    if not isinstance(host, AciHost):
        require_host(session.hosts, name)
        return Card(f"Host {name}", [Line("It is this machine: sls host doctor tries it.")])
    from sls_jupyter.session.host_checks import check_host

    return findings_card(f"Host {name}", check_host(session, name, request))


def _chip(one: Finding) -> Chip:
    if not one.ok:
        return Chip("not ok", "bad")
    return Chip("ok, but", "note") if one.fix else Chip("ok", "good")


def findings_card(title: str, findings: Sequence[Finding]) -> Card:
    """What was tried, a row each, and below them what to do about those that are not ok, or have a warning."""
    wrong = [one for one in findings if not one.ok]
    rows = [(_chip(one), one.what, one.found) for one in findings]
    fixes = [Line(f"→ {one.what}: {one.fix}") for one in findings if one.fix or not one.ok]
    subtitle = f"{len(wrong)} of {len(findings)} not ok" if wrong else "all ok"
    table = Table(("state", "what", "found"), rows, "Nothing was looked at.")
    return Card(title, [table, *fixes], subtitle, tone="bad" if wrong else "good")

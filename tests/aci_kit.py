"""A host on the stand-in, and a group for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from azure.core.pipeline.policies import RetryPolicy, SansIOHTTPPolicy
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from sls_jupyter.contract.group import ContainerGroup, group_for
from sls_jupyter.contract.spec import fresh_nonce
from sls_jupyter.hosts.aci.arm import Arm
from sls_jupyter.hosts.aci.launch import AciHost, Pace
from sls_jupyter.hosts.aci.template import RenderedPolicy
from tests.aci_kit_plain import GROUP, SUBSCRIPTION, settings
from tests.aci_standin import Azure
from tests.contract_kit import IMAGE, SPEC

FAST = 0.01  # seconds
NAME = "azure-eu"  # what its user calls it: no hint may guess


def client(azure: Azure) -> ContainerInstanceManagementClient:
    """Microsoft's client, unmodified, with nobody's credential: the stand-in asks for none."""
    return ContainerInstanceManagementClient(
        object(),
        SUBSCRIPTION,
        azure.url,
        authentication_policy=SansIOHTTPPolicy(),
        retry_policy=RetryPolicy.no_retries(),
    )


def arm(azure: Azure, patience: float = 5.0) -> Arm:
    return Arm(client(azure), GROUP, patience=patience, pause=FAST, host=NAME)


def host(azure: Azure, *, start: float = 20.0, patience: float = 5.0, **changes: Any) -> AciHost:
    given = settings(**changes)
    calls = Arm(client(azure), given.resource_group, patience=patience, pause=FAST, host=NAME)
    return AciHost(NAME, given, arm=calls, pace=Pace(start, FAST))


def group(**changes: Any) -> ContainerGroup:
    """The group of a run of its own."""
    return group_for(SPEC.model_copy(update={"nonce": fresh_nonce(), **changes}), IMAGE)


def policy(of: ContainerGroup | None = None) -> RenderedPolicy:
    return RenderedPolicy.of(of or group())


def without_layers() -> ContainerGroup:
    made = group()
    return replace(made, image=replace(made.image, layers=()))

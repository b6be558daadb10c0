"""A host on ACI without a client, for tests that must not import Azure's packages."""

from __future__ import annotations

from typing import Any

from sls_jupyter.contract.image import WrittenImage
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.settings import AciSettings
from tests.contract_kit import IMAGE

SUBSCRIPTION, GROUP, REGION = "00000000-0000-0000-0000-000000000000", "research", "northeurope"


def settings(**changes: Any) -> AciSettings:
    fields = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "region": REGION, "image": WrittenImage.of(IMAGE)}
    return AciSettings(**{**fields, **changes})


def host() -> AciHost:
    return AciHost("aci", settings())

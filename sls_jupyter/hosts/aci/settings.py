"""What is written down of a host on ACI: where groups go and which image they run. No secret is in it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sls_jupyter.contract.image import WrittenImage
from sls_jupyter.documents import Model, OneLine

LIMIT_CPUS, LIMIT_GIGABYTES = 31.0, 180.0  # of one confidential group
LIMIT_SOURCE = "Microsoft, container-instances-resource-and-quota-limits, 2025-11-17"
PRICE_PAGE = "https://azure.microsoft.com/pricing/details/container-instances/"


class Prices(Model):
    """What a group costs, as its user read it: prices differ by region, time and contract, so none are built in."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}\Z")]
    vcpu_hour: Annotated[float, Field(ge=0, le=1000)]
    gigabyte_hour: Annotated[float, Field(ge=0, le=1000)]
    as_of: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
    source: OneLine


class AciSettings(Model):
    """One host."""

    kind: Literal["aci"] = "aci"
    subscription: Annotated[str, Field(pattern=r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\Z")]
    resource_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]\Z")]
    region: Annotated[str, Field(pattern=r"^[a-z0-9]{2,40}\Z")]
    image: WrittenImage
    pull_identity: Annotated[
        str,
        Field(
            pattern=r"^(/subscriptions/[0-9a-f-]{36}/resource[gG]roups/[A-Za-z0-9_().-]{1,90}"
            r"/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[A-Za-z0-9_-]{3,128})?\Z"
        ),
    ] = ""
    prices: Prices | None = None

    def cost_words(self, cpus: float, gigabytes: float) -> str:
        """What an hour of so many vCPUs and gigabytes costs, with date and source; or that it is not known."""
        prices = self.prices
        if prices is None:
            return f"not known (give --price): prices are at {PRICE_PAGE}"
        hour = cpus * prices.vcpu_hour + gigabytes * prices.gigabyte_hour
        return f"{hour:.2f} {prices.currency} an hour for {cpus:g} vCPU, {gigabytes:g} GB ({prices.source}, {prices.as_of})"

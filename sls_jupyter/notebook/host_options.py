"""Options of ``%sls hosts`` and ``sls host`` that describe a host; nothing is imported for them."""

from __future__ import annotations

import argparse

HOST_FIELDS = ("subscription", "resource_group", "region", "image")


def add_aci_options(parser: argparse.ArgumentParser) -> None:
    """What a host on Azure Container Instances is described by; of these, podman takes --name and --image."""
    add = parser.add_argument
    add("--name", default="", metavar="NAME", help="what you call the host; its kind by default")
    add("--subscription", metavar="ID", help="id of the Azure subscription: az account show")
    add("--resource-group", metavar="GROUP", help="resource group that its container groups go into")
    add("--region", metavar="REGION", help="such as northeurope: az account list-locations")
    add(
        "--image",
        metavar="IMAGE",
        help="aci: a trusted one's name or digest, or HOST/REPOSITORY:TAG; podman: an OCI layout's folder",
    )
    add("--pull-identity", default="", metavar="ID", help="resource id of the managed identity that may pull the image")
    add(
        "--price", nargs=3, metavar=("CURRENCY", "VCPU", "GB"),
        help="price of an hour of one confidential vCPU, and of one GB, as you read it",
    )  # fmt: skip
    add("--price-source", default="", metavar="TEXT", help="where you read it")

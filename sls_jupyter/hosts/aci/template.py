"""From a container group to its ARM resource: one function, for launching and for exporting.

The policy comes in as :class:`RenderedPolicy`, which can only be made from the same group, so template and policy
cannot disagree: what the policy compares (commands, mounts, users, capabilities, the seccomp profile) is written here
from the same :class:`~sls_jupyter.contract.group.Container`.

Source: ``Microsoft.ContainerInstance/containerGroups`` of API version 2023-05-01.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import Container, ContainerGroup
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.contract.seccomp import program_profile_bytes
from sls_jupyter.errors import BadInput, DigestMismatch

API_VERSION = "2023-05-01"
RESOURCE_TYPE = "Microsoft.ContainerInstance/containerGroups"
SKU = "Confidential"
MARKER = "sls-jupyter"  # a tag that every group of ours has, and nobody else's
MARKER_VALUE = "container-group"
SPEC_TAG, LAUNCH_TAG, CREATED_TAG = "sls-spec", "sls-launch", "sls-created"
MAX_POLICY_BYTES = 120_000  # of the text; what the service takes is not published
_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9.:/_-]{0,254}@sha256:[0-9a-f]{64}")
_LAYER = re.compile(r"[0-9a-f]{64}")
_SPEC = re.compile(r"sha256:[0-9a-f]{64}")
_EVERYWHERE = "0.0.0.0"  # noqa: S104  # inside the group; what reaches it is the group's public address


@dataclass(frozen=True, slots=True)
class RenderedPolicy:
    """The CCE policy of a group, as text. Never empty, and never one that names no layers.

    Make it with :meth:`of`; there is no other source of one.
    """

    text: bytes
    group: ContainerGroup

    def __post_init__(self) -> None:
        require_layers(self.group)
        if not self.text.strip() or self.text != cce.render(self.group):
            raise DigestMismatch(
                "This is not the policy of this group.",
                found=f"HOST_DATA {cce.host_data(self.text).hex()}",
                expected=cce.host_data(cce.render(self.group)).hex(),
                hint="Render it anew: the policy and the template are made from one group.",
            )
        if len(self.text) > MAX_POLICY_BYTES:
            raise BadInput(
                "The policy of this group is too long.",
                found=f"{len(self.text)} bytes",
                expected=f"at most {MAX_POLICY_BYTES}",
                hint="An image of fewer layers makes a shorter policy.",
            )

    @classmethod
    def of(cls, group: ContainerGroup) -> RenderedPolicy:
        """Render it.

        Raises:
            BadInput: the group's image has no layers, or one that is no dm-verity root hash.
        """
        require_layers(group)
        return cls(cce.render(group), group)

    @property
    def base64(self) -> str:
        """As ``confidentialComputeProperties.ccePolicy`` carries it."""
        return base64.b64encode(self.text).decode()

    @property
    def host_data(self) -> bytes:
        return cce.host_data(self.text)


def require_layers(group: ContainerGroup) -> None:
    """A policy without layers would admit no image, or say nothing about which.

    Raises:
        BadInput: the group has no containers, or its image no layers, or a layer that is no root hash.
    """
    layers = group.image.layers
    wrong = next((layer for layer in layers if not _LAYER.fullmatch(layer)), None)
    if not group.containers or not layers or wrong is not None:
        raise BadInput(
            "This group names no image by its layers.",
            found=f"layer {wrong[:80]!r}" if wrong else f"{len(group.containers)} containers, {len(layers)} layers",
            expected="dm-verity root hashes, 64 hex digits each",
            hint="sls image hash IMAGE prints them.",
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a resource is called and where it is put; nothing here is measured, and nothing trusts it."""

    name: str
    region: str
    spec: str  # digest of the run's spec
    launch: str = ""  # a random id of this very launch, hex; "" in a file that is exported
    created: str = ""  # ISO 8601 UTC
    pull_identity: str = ""  # resource id of the managed identity that may pull the image; "": anybody may

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadInput(
                "A container group cannot have this name.",
                found=self.name[:80],
                expected="lower-case letters, digits and single hyphens, 2 to 63",
            )

    def tags(self) -> dict[str, str]:
        tags = {MARKER: MARKER_VALUE, SPEC_TAG: self.spec, LAUNCH_TAG: self.launch, CREATED_TAG: self.created}
        return {name: value for name, value in tags.items() if value}


def spec_digest_of(group: ContainerGroup) -> str:
    """The digest of the spec that the group's commands carry.

    Raises:
        BadInput: they carry none, or several.
    """
    found = {
        word
        for container in group.containers
        for before, word in zip(container.command, container.command[1:], strict=False)
        if before == "--spec"
    }
    if len(found) != 1 or not _SPEC.fullmatch(next(iter(found))):
        raise BadInput("This group is not of one spec.", found=", ".join(sorted(found))[:200] or "none")
    return next(iter(found))


def group_name(spec: str) -> str:
    """The name of a spec's group: 160 bits of its digest. Every run has a spec of its own, hence a name of its own."""
    return f"sls-{spec.removeprefix('sha256:')[:40]}"


def resource(policy: RenderedPolicy, deployment: Deployment) -> dict[str, Any]:
    """The resource's JSON object, as ARM's PUT takes it, for the group that the policy was rendered from.

    Returns:
        ``location``, ``tags`` and ``properties``; all containers of the group in its order, one image by digest.

    Raises:
        BadInput: the image is not named by its digest.
    """
    group = policy.group
    if not _REFERENCE.fullmatch(group.image.reference):
        raise BadInput(
            "The image is not named by its digest.",
            found=group.image.reference[:200],
            expected="registry/name@sha256:… (64 hex digits)",
            hint="A tag can be moved; sls image show IMAGE says the digest.",
        )
    ports = [one.port for one in group.containers if one.port is not None]
    properties: dict[str, Any] = {
        "sku": SKU,
        "osType": "Linux",
        "restartPolicy": "Never",
        "confidentialComputeProperties": {"ccePolicy": policy.base64},
        "containers": [_container(one, group.image.reference) for one in group.containers],
        "volumes": [{"name": volume, "emptyDir": {}} for volume in group.volumes()],
    }
    if ports:
        properties["ipAddress"] = {"type": "Public", "ports": [_port(port) for port in ports]}
    found: dict[str, Any] = {"location": deployment.region, "tags": deployment.tags(), "properties": properties}
    if deployment.pull_identity:
        server = group.image.reference.partition("/")[0]
        properties["imageRegistryCredentials"] = [{"server": server, "identity": deployment.pull_identity}]
        found["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {deployment.pull_identity: {}}}
    return found


def _port(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}


def gigabytes(count: int) -> float:
    """Bytes as ``memoryInGB``: rounded up to a tenth of 10⁹ bytes, so that whichever gigabyte is meant, it is enough."""
    return -(-count // 10**8) / 10


def _environment(container: Container) -> list[dict[str, str]]:
    """The variables that the policy admits with one value, and where a door listens. Nothing trusts any of them."""
    plain = [rule.pattern for rule in container.env_rules if rule.strategy == "string"]
    given = [one for one in plain if not one.startswith("SLS_")]  # SLS_TEE_DEVICE selects a simulated processor
    if container.port is not None:
        given.append(f"SLS_LISTEN={_EVERYWHERE}:{container.port}")
    return [{"name": name, "value": value} for name, _, value in (one.partition("=") for one in given)]


def _container(container: Container, image: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "image": image,
        "command": list(container.command),
        "environmentVariables": _environment(container),
        "resources": {"requests": {"cpu": float(container.cpus), "memoryInGB": gigabytes(container.memory_bytes)}},
        "securityContext": _security(container),
        "volumeMounts": [
            {"name": one.volume, "mountPath": one.destination, "readOnly": one.read_only} for one in container.mounts
        ],
    }
    if container.port is not None:
        properties["ports"] = [_port(container.port)]
    return {"name": container.name, "properties": properties}


def _security(container: Container) -> dict[str, Any]:
    context: dict[str, Any] = {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": [], "drop": list(aci_platform().capabilities)},
        "runAsUser": container.user,
        "runAsGroup": container.group,
    }
    if container.seccomp_sha256:
        context["seccompProfile"] = base64.b64encode(program_profile_bytes()).decode()
    return context


def totals(body: Mapping[str, Any]) -> tuple[float, float]:
    """vCPUs and gigabytes that a resource asks for, summed over its containers: limits are for the group."""
    requests = [one["properties"]["resources"]["requests"] for one in body["properties"]["containers"]]
    return sum(one["cpu"] for one in requests), round(sum(one["memoryInGB"] for one in requests), 1)

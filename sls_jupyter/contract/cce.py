"""The confidential computing enforcement (CCE) policy of a group, as Rego text.

SHA-256 of these bytes is HOST_DATA on SEV-SNP (MRCONFIGID on TDX, CONFIGID on SGX). The text is made
from data and plain assignments only, which OPA's v0 and v1 parsers read alike; every enforcement point
is written out, because a point that a policy leaves away takes a default, and several defaults allow.

Source: hcsshim ``pkg/securitypolicy`` (``api.rego``, ``framework.rego``, API 0.11.0, framework 0.2.3).
Not checked against a running utility VM: that needs Azure.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sls_jupyter.contract.group import Container, ContainerGroup

API_VERSION = "0.11.0"
FRAMEWORK_VERSION = "0.2.3"
PAUSE_LAYER = "16b514057a06ad665f92c02863aca074fd5976c755d26bff16365299169e8415"

ENFORCEMENT_POINTS = (
    "mount_device",
    "rw_mount_device",
    "unmount_device",
    "rw_unmount_device",
    "mount_overlay",
    "unmount_overlay",
    "create_container",
    "exec_in_container",
    "exec_external",
    "shutdown_container",
    "signal_container_process",
    "plan9_mount",
    "plan9_unmount",
    "get_properties",
    "dump_stacks",
    "runtime_logging",
    "load_fragment",
    "scratch_mount",
    "scratch_unmount",
)

SWITCHES = (
    "allow_properties_access",
    "allow_dump_stacks",
    "allow_runtime_logging",
    "allow_environment_variable_dropping",
    "allow_unencrypted_scratch",
    "allow_capability_dropping",
)

_NO_CAPABILITIES: dict[str, list[str]] = {
    name: [] for name in ("ambient", "bounding", "effective", "inheritable", "permitted")
}
_ANY_USER = {
    "group_idnames": [{"pattern": "", "strategy": "any"}],
    "umask": "0022",
    "user_idname": {"pattern": "", "strategy": "any"},
}


def _container_object(container: Container, image_layers: tuple[str, ...], image_id: str) -> dict[str, Any]:
    return {
        "allow_elevated": False,
        "allow_stdio_access": False,
        "capabilities": _NO_CAPABILITIES,
        "command": list(container.command),
        "env_rules": [
            {"pattern": rule.pattern, "required": rule.required, "strategy": rule.strategy}
            for rule in sorted(container.env_rules, key=lambda rule: rule.pattern)
        ],
        "exec_processes": [],
        "id": image_id,
        "layers": list(image_layers),
        "mounts": [
            {
                "destination": mount.destination,
                "options": ["rbind", "rshared", "ro" if mount.read_only else "rw"],
                "source": "sandbox:///tmp/atlas/emptydir/.+",
                "type": "bind",
            }
            for mount in container.mounts
        ],
        "name": container.name,
        "no_new_privileges": True,
        "seccomp_profile_sha256": container.seccomp_sha256,
        "signals": [9, 15],
        "user": _ANY_USER,
        "working_dir": "/",
    }


def _pause() -> dict[str, Any]:
    return {
        "allow_elevated": False,
        "allow_stdio_access": False,
        "capabilities": _NO_CAPABILITIES,
        "command": ["/pause"],
        "env_rules": [
            {
                "pattern": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "required": True,
                "strategy": "string",
            },
            {"pattern": "TERM=xterm", "required": False, "strategy": "string"},
        ],
        "exec_processes": [],
        "layers": [PAUSE_LAYER],
        "mounts": [],
        "name": "pause-container",
        "no_new_privileges": True,
        "seccomp_profile_sha256": "",
        "signals": [9, 15],
        "user": _ANY_USER,
        "working_dir": "/",
    }


def containers_of(group: ContainerGroup) -> list[dict[str, Any]]:
    """The policy's container objects: the four of the group, then the pause container."""
    layers, image = group.image.layers, group.image.reference
    return [*(_container_object(item, layers, image) for item in group.containers), _pause()]


def render(group: ContainerGroup) -> bytes:
    """The policy's UTF-8 bytes. Hash and transport exactly these; never serialise them again."""

    def assign(name: str, value: Any) -> str:
        return f"{name} := {json.dumps(value, sort_keys=True, ensure_ascii=True)}"

    lines = [
        "package policy",
        "",
        assign("api_version", API_VERSION),
        assign("framework_version", FRAMEWORK_VERSION),
        "",
        assign("fragments", []),
        "",
        assign("containers", containers_of(group)),
        "",
        *(assign(switch, False) for switch in SWITCHES),
        "",
        *(f"{point} := data.framework.{point}" for point in ENFORCEMENT_POINTS),
        "",
        'reason := {"errors": data.framework.errors}',
        "",
    ]
    return "\n".join(lines).encode()


def host_data(policy: bytes) -> bytes:
    """SHA-256 of a policy's bytes (32)."""
    return hashlib.sha256(policy).digest()

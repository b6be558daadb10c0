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
from functools import lru_cache
from typing import Any

from sls_jupyter.contract.group import PATH, Container, ContainerGroup, group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.places import UMASK
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MalformedDocument

HEAD = "package policy"
API_VERSION = "0.11.0"
FRAMEWORK_VERSION = "0.2.3"

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
ALLOWED = {"allow_environment_variable_dropping"}
"""Unknown variables never reach a container, and do not stop it: the platform adds some from time to time."""

_CAPABILITY_SETS = ("ambient", "bounding", "effective", "inheritable", "permitted")
_NO_CAPABILITIES: dict[str, list[str]] = {name: [] for name in _CAPABILITY_SETS}
_DEFAULT_SETS = ("bounding", "effective", "permitted")  # where the platform puts the capabilities of who drops none
_UMASK = f"{UMASK:04o}"


def _by_id(number: int) -> dict[str, str]:
    return {"pattern": str(number), "strategy": "id"}


def _any() -> dict[str, str]:
    return {"pattern": "", "strategy": "any"}


def _env_rules(container: Container) -> list[dict[str, Any]]:
    """The container's own variables, then those of the platform that it may have; the others are dropped.

    Expressions are anchored here: not every version of the framework in use is known to do so by itself.
    """
    own = [(rule.pattern, rule.required, rule.strategy) for rule in container.env_rules]
    platform = [(one.pattern, False, one.strategy) for one in aci_platform().variables if one.admitted]
    return [
        {
            "pattern": f"^(?:{pattern})$" if strategy == "re2" else pattern,
            "required": required,
            "strategy": strategy,
        }
        for pattern, required, strategy in sorted([*own, *platform])
    ]


def _mounts(container: Container) -> list[dict[str, Any]]:
    source = aci_platform().empty_dir
    own = [
        {
            "destination": mount.destination,
            "options": ["rbind", "rshared", "ro" if mount.read_only else "rw"],
            "source": source,
            "type": "bind",
        }
        for mount in container.mounts
    ]
    return [*own, *aci_platform().mounts]


def _container_object(container: Container, image: GuestImage) -> dict[str, Any]:
    """One of the four. No rule of the framework reads ``id`` or ``name``; the layers are what is enforced."""
    return {
        "allow_elevated": False,
        "allow_stdio_access": False,
        "capabilities": _NO_CAPABILITIES,
        "command": list(container.command),
        "env_rules": _env_rules(container),
        "exec_processes": [],
        "id": image.layers_id,
        "layers": list(image.layers),
        "mounts": _mounts(container),
        "name": container.name,
        "no_new_privileges": True,
        "seccomp_profile_sha256": container.seccomp_sha256,
        "signals": [9, 15],
        "user": {
            "group_idnames": [_by_id(container.group)],
            "umask": _UMASK,
            "user_idname": _by_id(container.user),
        },
        "working_dir": "/",
    }


def _pause() -> dict[str, Any]:
    """The container that holds a group's namespaces, as the platform starts it."""
    capabilities = {name: list(aci_platform().capabilities) for name in _DEFAULT_SETS}
    return {
        "allow_elevated": False,
        "allow_stdio_access": False,
        "capabilities": _NO_CAPABILITIES | capabilities,
        "command": list(aci_platform().pause_command),
        "env_rules": [
            {"pattern": "PATH=" + PATH, "required": True, "strategy": "string"},
            {"pattern": "TERM=xterm", "required": False, "strategy": "string"},
        ],
        "exec_processes": [],
        "layers": list(aci_platform().pause_layers),
        "mounts": [],
        "name": "pause-container",
        "no_new_privileges": False,
        "seccomp_profile_sha256": "",
        "signals": [9, 15],
        "user": {"group_idnames": [_any()], "umask": _UMASK, "user_idname": _any()},
        "working_dir": "/",
    }


def _fragments(group: ContainerGroup) -> list[dict[str, Any]]:
    """Whose signed fragments may be loaded: nobody's, unless the group names one."""
    found = (aci_platform().fragments[name] for name in group.fragments)
    return [
        {"feed": one.feed, "includes": list(one.includes), "issuer": one.issuer, "minimum_svn": one.minimum_svn}
        for one in found
    ]


def containers_of(group: ContainerGroup) -> list[dict[str, Any]]:
    """The policy's container objects: the four of the group, then the pause container."""
    return [*(_container_object(item, group.image) for item in group.containers), _pause()]


def render(group: ContainerGroup) -> bytes:
    """The policy's UTF-8 bytes. Hash and transport exactly these; never serialise them again."""

    def assign(name: str, value: Any) -> str:
        return f"{name} := {json.dumps(value, sort_keys=True, ensure_ascii=True)}"

    lines = [
        HEAD,
        "",
        assign("api_version", API_VERSION),
        assign("framework_version", FRAMEWORK_VERSION),
        "",
        assign("fragments", _fragments(group)),
        "",
        assign("containers", containers_of(group)),
        "",
        *(assign(switch, switch in ALLOWED) for switch in SWITCHES),
        "",
        *(f"{point} := data.framework.{point}" for point in ENFORCEMENT_POINTS),
        "",
        'reason := {"errors": data.framework.errors}',
        "",
    ]
    return "\n".join(lines).encode()


@lru_cache(16)
def policy_for(spec: StreamSpec, image: GuestImage) -> bytes:
    """The policy of the group that a spec and an image give. One session asks for the same one with each cell."""
    return render(group_for(spec, image))


def parse(policy: bytes) -> dict[str, Any]:
    """What each name stands for in a policy of the form that :func:`render` writes; a reference as its text.

    Nothing is trusted for it: policies are compared by their bytes, and this says in words where two differ.

    Raises:
        MalformedDocument: it has another form, or a value that is too large, too deep or no JSON.
    """
    try:
        head, *lines = policy.decode().split("\n")
    except UnicodeDecodeError:
        head, lines = "", []
    if head != HEAD:
        raise MalformedDocument("This is not a policy as this package writes them.", found=head[:60], expected=HEAD)
    pairs = [line.partition(" := ")[::2] for line in lines if line]
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedDocument("A policy says what a name stands for twice.", expected="each name once")
    return {name: value if "data.framework." in value else parse_json(value.encode()) for name, value in pairs}


def host_data(policy: bytes) -> bytes:
    """SHA-256 of a policy's bytes (32)."""
    return hashlib.sha256(policy).digest()

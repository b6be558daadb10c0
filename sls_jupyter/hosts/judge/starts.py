"""The questions with which a platform starts a container: its layers, its root file system, then the container.

:func:`create_input` has the shape of what the utility VM asks its policy (hcsshim ``securitypolicyenforcer_rego.go``);
:func:`platform_start` fills it as Azure Container Instances does for a container of ours whose template was followed.
What the platform adds comes from public sources (``contract/data/aci_platform.json``), none of it was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sls_jupyter.contract.group import Container, ContainerGroup
from sls_jupyter.contract.places import UMASK
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.hosts.judge.machine import CAPABILITY_SETS, LAYER_MOUNTS, mount

Step = tuple[str, dict[str, Any]]  # point and input

SANDBOX = "/run/gcs/c/sandbox"  # where the utility VM keeps a group's own files
SANDBOX_FOLDER, HUGE_PAGES_FOLDER = f"{SANDBOX}/sandboxMounts", f"{SANDBOX}/hugepages"
EMPTY_DIRS = f"{SANDBOX_FOLDER}/tmp/atlas/emptydir"  # noqa: S108
SYSTEM_MOUNTS = (
    mount("proc", "proc", "/proc", "nosuid,noexec,nodev"),
    mount("tmpfs", "tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
    mount("sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,ro"),
)
PLATFORM_VARIABLES = (  # one of each kind that is known; the values are made up
    "TERM=xterm",
    "Fabric_NodeIPOrFQDN=10.92.0.4",
    "Fabric_Id=0123456789",
    "FabricPackageFileName=package.1.0",
    "HostedServiceName=service",
    "IDENTITY_API_VERSION=2020-05-01",
    "IDENTITY_HEADER=header",
    "IDENTITY_SERVER_THUMBPRINT=thumbprint",
    "APP_IDENTITY_ENDPOINT=http://10.92.0.4:2377/identity",
    "IDENTITY_ENDPOINT=http://10.92.0.4:2377/identity",
    "IMDS_ENDPOINT=http://169.254.169.254",
    "TMP=/var/tmp",
)
_DEFAULT_SETS = ("bounding", "effective", "permitted")


def bind(source: str, destination: str, access: str) -> dict[str, Any]:
    """A volume in a container, read-only or not (``ro``, ``rw``)."""
    return mount("bind", source, destination, f"rbind,rshared,{access}")


def no_capabilities() -> dict[str, list[str]]:
    return {name: [] for name in CAPABILITY_SETS}


def usual_capabilities() -> dict[str, list[str]]:
    """What a container has whose template drops none."""
    return no_capabilities() | {name: list(aci_platform().capabilities) for name in _DEFAULT_SETS}


def create_input(
    container_id: str,
    command: Iterable[str],
    *,
    environment: Iterable[str],
    mounts: Iterable[Mapping[str, Any]],
    user: int,
    group: int,
    no_new_privileges: bool = True,
    capabilities: Mapping[str, Sequence[str]] | None = None,
    seccomp_sha256: str = "",
    privileged: bool = False,
    working_directory: str = "/",
    sandbox: bool = False,
) -> dict[str, Any]:
    """The input of ``create_container``. Names of users and groups are left empty: policies here go by id."""
    return {
        "containerID": container_id,
        "argList": list(command),
        "envList": list(environment),
        "workingDir": working_directory,
        "sandboxDir": SANDBOX_FOLDER,
        "hugePagesDir": HUGE_PAGES_FOLDER,
        "mounts": [dict(one) for one in mounts],
        "devices": [],
        "privileged": privileged,
        "noNewPrivileges": no_new_privileges,
        "user": {"id": str(user), "name": ""},
        "groups": [{"id": str(group), "name": ""}],
        "umask": f"{UMASK:04o}",
        "capabilities": {name: list(items) for name, items in (capabilities or no_capabilities()).items()},
        "seccompProfileSHA256": seccomp_sha256,
        "isSandboxContainer": sandbox,
    }


def layer_steps(layers: Sequence[str], first: int = 0) -> list[Step]:
    """Mount the layers of an image, at ``m<first>`` and on."""
    place = LAYER_MOUNTS.removesuffix("[0-9]+")
    return [
        ("mount_device", {"target": f"{place}{number}", "deviceHash": layer, "mountPathRegex": LAYER_MOUNTS})
        for number, layer in enumerate(layers, first)
    ]


def overlay_step(container_id: str, paths: Sequence[str]) -> Step:
    """Lay mounted layers, bottom layer first, over each other."""
    layers = list(reversed(paths))
    return "mount_overlay", {
        "target": f"/run/gcs/c/{container_id}/rootfs",
        "containerID": container_id,
        "layerPaths": layers,
    }


def own_variables(container: Container) -> tuple[str, ...]:
    """The variables that a template sets for a container, with a plausible value where its rule leaves one open."""
    opened = {"HOSTNAME": "SandboxHost-638", "SLS_LISTEN": f"0.0.0.0:{container.port}"}
    names = [(rule, rule.pattern.partition("=")[0]) for rule in container.env_rules]
    return tuple(rule.pattern if rule.strategy == "string" else f"{name}={opened[name]}" for rule, name in names)


def platform_start(container: Container, group: ContainerGroup, container_id: str = "c0") -> dict[str, Any]:
    """The input of ``create_container`` for a container of ``group`` on Azure Container Instances."""
    volumes = [
        bind(f"{EMPTY_DIRS}/{group.volumes().index(one.volume)}", one.destination, "ro" if one.read_only else "rw")
        for one in container.mounts
    ]
    return create_input(
        container_id,
        container.command,
        environment=(*own_variables(container), *PLATFORM_VARIABLES),
        mounts=(*SYSTEM_MOUNTS, *volumes, *_platform_mounts()),
        user=container.user,
        group=container.group,
        seccomp_sha256=container.seccomp_sha256,
    )


def _platform_mounts() -> list[dict[str, Any]]:
    """What the platform mounts into every container, at one place that its rule admits."""
    return [
        {**one, "source": one["source"].replace("sandbox://", SANDBOX_FOLDER).replace(".+", "0123")}
        for one in aci_platform().mounts
    ]


def platform_steps(container: Container, group: ContainerGroup, container_id: str = "c0") -> list[Step]:
    """All questions about one container, on a machine where no layer is mounted yet."""
    layers = layer_steps(group.image.layers)
    overlay = overlay_step(container_id, [asked["target"] for _, asked in layers])
    return [*layers, overlay, ("create_container", platform_start(container, group, container_id))]


def pause_steps(container_id: str = "pause") -> list[Step]:
    """All questions about the container that holds a group's namespaces."""
    layers = layer_steps(aci_platform().pause_layers, 100)
    asked = create_input(
        container_id,
        aci_platform().pause_command,
        environment=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"),
        mounts=SYSTEM_MOUNTS,
        user=0,
        group=0,
        no_new_privileges=False,
        capabilities=usual_capabilities(),
        sandbox=True,
    )
    overlay = overlay_step(container_id, [asked["target"] for _, asked in layers])
    return [*layers, overlay, ("create_container", asked)]

"""What podman is told about one container, from the group's description. Pure: nothing here starts anything.

As the group says and as the platform would start it: the container's own ids and no capability, no new privileges, its
variables and no others, its seccomp profile, its emptyDirs at their paths and read-only where the group says so.

Stricter than on Azure, where nothing forbids it: the root is read-only (a program writes to file systems in memory, which
count as its memory), services have podman's own seccomp profile, and the program has a network namespace of its own, in
which there is nothing. On Azure it shares the group's, and its profile alone keeps it from it; the same profile is applied
here. A service shares this machine's network, as on the local host: an authority may listen on the loopback.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.contract.group import Container
from sls_jupyter.contract.places import UMASK
from sls_jupyter.hosts.starting import DEVICE_FOLDER, TEE, VOLUMES

LABEL = "sls-jupyter.folder"  # of every pod: the folder whose lock says whether its host lives
LOGS, PROFILE = "l", "seccomp.json"  # in the group's folder
LOG_BYTES = 128 << 10  # of one container's log on its way; the end of it stays
MEMORY_SLACK = 256 << 20  # bytes above a program's limit, so that its supervisor sees the limit crossed and says so
TASKS = 256 + 32  # above a program's processes: threads, which its own RLIMIT_NPROC counts, and a little more
SERVICE_TASKS = 512
DESCRIPTORS = 1024
ROOTS_PROCESSES = 2048  # RLIMIT_NPROC, where root starts the containers: podman's default may be above root's own
_HARDENING = (
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--security-opt=label=disable",  # the volumes are the group's own folders, which SELinux does not know
    "--read-only",
    "--read-only-tmpfs=false",
    "--unsetenv-all",
    "--http-proxy=false",
    "--image-volume=ignore",
    "--no-healthcheck",
    "--systemd=false",
    "--sdnotify=ignore",
    "--pull=never",
    "--restart=no",
    "--workdir=/",
    f"--umask={UMASK:04o}",
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the containers of one group have in common."""

    pod: str  # name; a container's is ``POD-ROLE``
    image_id: str  # sha256, 64 hex digits
    folder: Path  # of the group
    rootless: bool
    cpu_limits: bool

    def name(self, role: str) -> str:
        return f"{self.pod}-{role}"


def hardening(rootless: bool) -> list[str]:
    """Options of every container, whatever runs in it."""
    descriptors = min(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    limits = [f"--ulimit=nofile={descriptors}:{descriptors}", "--ulimit=core=0:0"]
    if not rootless:  # without root, podman takes what its user has
        limits.append(f"--ulimit=nproc={ROOTS_PROCESSES}:{ROOTS_PROCESSES}")
    return [*_HARDENING, *limits]


def pod_arguments(setting: Setting) -> list[str]:
    """``podman pod create …``: without a container of its own, for each container says itself which network it has."""
    label = f"--label={LABEL}={setting.folder}"
    return ["pod", "create", f"--name={setting.pod}", "--infra=false", label]


def create_arguments(
    setting: Setting, container: Container, environment: Sequence[str], *, keep_log: bool
) -> list[str]:
    """``podman create …`` of one container.

    Args:
        environment: NAME=value, as the policy admitted them; there are no others.
        keep_log: otherwise what it writes goes nowhere.
    """
    return [
        "create",
        f"--pod={setting.pod}",
        f"--name={setting.name(container.name)}",
        f"--hostname={container.name}",
        f"--user={container.user}:{container.group}",
        *hardening(setting.rootless),
        *_network(container),
        *_bounds(setting, container),
        *_profile(setting, container),
        *_log(setting, container, keep_log),
        *(f"--env={assignment}" for assignment in environment),
        *_mounts(setting, container, environment),
        "--entrypoint=",
        setting.image_id,
        *container.command,
    ]


def _network(container: Container) -> list[str]:
    return ["--network=host"] if container.network else ["--network=none", "--no-hosts"]


def _bounds(setting: Setting, container: Container) -> Iterator[str]:
    """What the kernel's control groups hold, whatever runs inside."""
    limits = container.limits
    memory = container.memory_bytes + (MEMORY_SLACK if limits else 0)
    yield f"--memory={memory}b"
    yield f"--memory-swap={memory}b"  # together: nothing goes to the disk
    yield f"--pids-limit={limits.processes + TASKS if limits else SERVICE_TASKS}"
    if setting.cpu_limits:
        yield f"--cpus={container.cpus}"
    scratch = container.memory_bytes // 2
    yield f"--shm-size={scratch}b"
    yield f"--tmpfs=/tmp:rw,nosuid,nodev,size={scratch},mode=1777"


def _profile(setting: Setting, container: Container) -> list[str]:
    return [f"--security-opt=seccomp={setting.folder / PROFILE}"] if container.seccomp_sha256 else []


def _log(setting: Setting, container: Container, keep: bool) -> list[str]:
    if not keep:
        return ["--log-driver=none"]
    path = setting.folder / LOGS / container.name
    return ["--log-driver=k8s-file", f"--log-opt=path={path}", f"--log-opt=max-size={LOG_BYTES}"]


def _mounts(setting: Setting, container: Container, environment: Sequence[str]) -> Iterator[str]:
    for mount in container.mounts:
        yield _bind(setting.folder / VOLUMES / mount.volume, mount.destination, mount.read_only)
    if any(assignment.startswith("SLS_TEE_DEVICE=") for assignment in environment):
        yield _bind(setting.folder / TEE, DEVICE_FOLDER, True)


def _bind(source: Path, destination: str, read_only: bool) -> str:
    return f"--mount=type=bind,source={source},destination={destination},ro={str(read_only).lower()}"

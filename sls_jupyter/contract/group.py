"""The container group of one execution, as the ACI model of a container group, derived and nothing else.

Four containers of one image, each under its own ids. Their commands carry the spec's digest and the program's limits, so that
the policy over this group, hence HOST_DATA, names everything the spec names. An emptyDir lies between
neighbours only: input ↔ program (*feed*), program ↔ output (*result*), input and output with the audit
sidecar. The program has no line to it: what a cell could write there would leave past the gate. It sees its
two without the right to make anything in them: no neighbour ever opens what a cell has put somewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.places import AUDIT, FEED, IDS, INPUT_PORT, OUTPUT_PORT, RESULT, ROLES, Role
from sls_jupyter.contract.seccomp import program_profile_bytes
from sls_jupyter.contract.spec import Limits, StreamSpec


@dataclass(frozen=True, slots=True)
class EnvRule:
    """An environment variable the container may be started with: ``NAME=value``."""

    pattern: str
    strategy: Literal["string", "re2"] = "string"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """An emptyDir of the group at a path of one container."""

    volume: str
    destination: str
    read_only: bool = False  # its sockets can be connected to, nothing in it can be made or changed


@dataclass(frozen=True, slots=True)
class Container:
    name: Role
    command: tuple[str, ...]
    env_rules: tuple[EnvRule, ...]
    mounts: tuple[Mount, ...]
    port: int | None  # opened to the notebook
    cpus: int
    memory_bytes: int
    network: bool  # False: the seccomp profile refuses every socket family but AF_UNIX
    seccomp_sha256: str  # "" without a profile
    user: int  # uid, and it has no capability and gets no new privileges
    group: int  # gid, its only one
    limits: Limits | None = None  # the program's; a host enforces them from outside as well


@dataclass(frozen=True, slots=True)
class ContainerGroup:
    image: GuestImage
    containers: tuple[Container, ...]
    fragments: tuple[str, ...] = ()  # names of policy fragments whose signers may bring further containers

    def container(self, name: str) -> Container:
        return next(item for item in self.containers if item.name == name)

    def volumes(self) -> tuple[str, ...]:
        """Names of the emptyDirs, sorted."""
        return tuple(sorted({mount.volume for item in self.containers for mount in item.mounts}))


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENV = (
    EnvRule("PATH=" + PATH),
    EnvRule("HOME=/tmp"),
    EnvRule("LANG=C.UTF-8"),
    EnvRule("HOSTNAME=[A-Za-z0-9.-]{1,253}", "re2"),
)
_LISTEN = EnvRule(r"SLS_LISTEN=[0-9.]{7,15}:[0-9]{1,5}", "re2")  # where a door listens; nothing trusts it
_DEVICE = EnvRule("SLS_TEE_DEVICE=/run/sls/tee/device.sock")  # simulated processor; evidence says so
_SERVICE_MEMORY = 1 << 30  # bytes for each container that is not the program


def _mounts(role: Role) -> tuple[Mount, ...]:
    found = {"input": [("feed", FEED)], "program": [("feed", FEED), ("result", RESULT)], "output": [("result", RESULT)]}
    mounts = [Mount(volume, path, read_only=role == "program") for volume, path in found.get(role, [])]
    audits = AUDIT if role == "audit" else {name: path for name, path in AUDIT.items() if name == role}
    return tuple(mounts + [Mount(f"audit-{name}", path) for name, path in audits.items()])


def program_limits(spec: StreamSpec) -> Limits:
    """What the supervisor inside and a host outside hold the program to.

    A session's program lives as long as the session and may wait for its first cell before that; the output holds each
    cell to the wall time of the spec's own limits.
    """
    if spec.session is None:
        return spec.limits
    wall = spec.session.idle_seconds + spec.session.wall_seconds
    return spec.limits.model_copy(update={"wall_seconds": wall})


def _command(role: Role, spec: StreamSpec) -> tuple[str, ...]:
    command = ("python3", "-I", "-m", f"sls_jupyter.guest.{role}", "--spec", spec.digest)
    if role != "program":
        return command
    limits = program_limits(spec)
    return (
        *command,
        *("--cpu-seconds", str(limits.cpu_seconds)),
        *("--wall-seconds", str(limits.wall_seconds)),
        *("--memory-bytes", str(limits.memory_bytes)),
        *("--processes", str(limits.processes)),
    )


def _container(role: Role, spec: StreamSpec) -> Container:
    program = role == "program"
    door = {"input": INPUT_PORT, "output": OUTPUT_PORT}.get(role)
    return Container(
        name=role,
        command=_command(role, spec),
        env_rules=_ENV + (() if program else (_DEVICE,)) + ((_LISTEN,) if door else ()),
        mounts=_mounts(role),
        port=door,
        cpus=spec.limits.cpus if program else 1,
        memory_bytes=spec.limits.memory_bytes if program else _SERVICE_MEMORY,
        network=not program,
        seccomp_sha256=hashlib.sha256(program_profile_bytes()).hexdigest() if program else "",
        user=IDS[role][0],
        group=IDS[role][1],
        limits=program_limits(spec) if program else None,
    )


def group_for(spec: StreamSpec, image: GuestImage) -> ContainerGroup:
    """The one group that executes ``spec`` with ``image``. Pure: equal input gives an equal group."""
    return ContainerGroup(image, tuple(_container(role, spec) for role in ROLES), spec.fragments)

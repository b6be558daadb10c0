"""One container of a local group: from the group's description to a process, with a sandbox or without."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.contract.group import Container
from sls_jupyter.contract.places import PRIVATE_FOLDERS
from sls_jupyter.contract.seccomp import program_profile, program_profile_bytes
from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts import entry, sandbox
from sls_jupyter.hosts.interpreter import plain
from sls_jupyter.hosts.ports import LOOPBACK
from sls_jupyter.hosts.process import ContainerProcess, start
from sls_jupyter.hosts.running import Remains
from sls_jupyter.hosts.sandbox import Box, Bubblewrap
from sls_jupyter.hosts.seccomp import compile_profile

DEVICE_FOLDER, DEVICE_SOCKET = "/run/sls/tee", "device.sock"
VOLUMES, TEE = "v", "t"  # in the group's folder; short, because socket paths are


@dataclass(frozen=True, slots=True)
class Start:
    """What is decided about one container before it runs."""

    container: Container
    environment: tuple[str, ...]  # NAME=value, as the policy admitted them
    bpf: bytes  # seccomp program, or empty
    keep_log: bool
    hidden: tuple[Path, ...]

    @property
    def attests(self) -> bool:
        return any(assignment.startswith("SLS_TEE_DEVICE=") for assignment in self.environment)


def environment_of(container: Container, port: int | None) -> tuple[str, ...]:
    """The variables that a container's own rules name, with this machine's values for the open ones."""
    values = {"HOSTNAME": container.name, "SLS_LISTEN": f"{LOOPBACK}:{port}" if port else None}
    assignments = []
    for rule in container.env_rules:
        name = rule.pattern.partition("=")[0]
        if rule.strategy == "string":
            assignments.append(rule.pattern)
        elif values.get(name):
            assignments.append(f"{name}={values[name]}")
    return tuple(assignments)


def bpf_of(container: Container) -> bytes:
    """The compiled profile that a container's digest names; empty for a container without one.

    Raises:
        Unavailable: this host has no such profile, or none for this processor.
    """
    if not container.seccomp_sha256:
        return b""
    known = hashlib.sha256(program_profile_bytes()).hexdigest()
    if container.seccomp_sha256 != known:
        raise Unavailable(
            f"This host has no such seccomp profile for the container {container.name}.",
            found=container.seccomp_sha256,
            expected=known,
            hint="Use the same version of sls-jupyter to plan and to run.",
        )
    return compile_profile(program_profile()) if sys.platform.startswith("linux") else b""


def hidden_folders(machine_folder: Path) -> tuple[Path, ...]:
    """Folders of the user that no container may see, even where they lie below something visible."""
    names = [machine_folder, Path(os.environ.get("SLS_HOME") or machine_folder)]
    for find in (Path.home, Path.cwd):
        with suppress(RuntimeError, OSError):  # a user without a home, a working directory that was removed
            names.append(find())
    return tuple(dict.fromkeys(name.absolute() for name in names))


def _keeper(container: Container) -> list[str]:
    """What watches a container with limits from outside; nothing for one without."""
    limits = container.limits
    if limits is None:
        return []
    values = (limits.cpu_seconds, limits.wall_seconds, limits.memory_bytes, limits.processes)
    return [sys.executable, "-I", "-m", "sls_jupyter.hosts.watch", str(os.getpid()), *map(str, values)]


def _run(
    remains: Remains, item: Start, arguments: list[str], environment: dict[str, str], descriptors: list[int]
) -> ContainerProcess:
    def register(process: ContainerProcess) -> None:
        remains.processes[item.container.name] = process

    kept = item.container.limits is not None
    return start(
        [*_keeper(item.container), *arguments],
        environment=environment,
        descriptors=descriptors,
        keep_log=item.keep_log,
        kept=kept,
        register=register,
    )


# --- with a sandbox -------------------------------------------------------------------------------


def _box(remains: Remains, item: Start) -> Box:
    container, root = item.container, remains.folder.path
    volumes = [((root / VOLUMES / one.volume, one.destination), one.read_only) for one in container.mounts]
    device = [(root / TEE, DEVICE_FOLDER)] if item.attests else []
    return Box(
        name=container.name,
        command=container.command,
        environment=item.environment,
        writable=tuple(pair for pair, read_only in volumes if not read_only),
        readable=(*(pair for pair, read_only in volumes if read_only), *device),
        network=container.network,
        scratch_bytes=container.memory_bytes // 2,
        hidden=item.hidden,
    )


def start_box(remains: Remains, item: Start, wrap: Bubblewrap) -> tuple[ContainerProcess, int]:
    """Start a container in its sandbox; returns also where bubblewrap will say which process it is.

    Raises:
        OSError: it cannot be started.
    """
    reading, writing = os.pipe()
    try:
        prepared = sandbox.prepare(wrap, _box(remains, item), bpf=item.bpf, info_descriptor=writing)
        try:
            process = _run(remains, item, prepared.arguments, {}, [*prepared.descriptors, writing])
        finally:
            prepared.close()
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, reading


def start_boxes(remains: Remains, items: list[Start], wrap: Bubblewrap) -> None:
    """Start containers side by side, then learn the process of each.

    Raises:
        OSError: one cannot be started; the others run on and are in ``remains``.
    """
    waiting: list[tuple[ContainerProcess, int]] = []
    try:
        for item in items:
            waiting.append(start_box(remains, item, wrap))
    finally:
        for process, descriptor in waiting:
            process.learn_init(descriptor)


# --- without a sandbox ----------------------------------------------------------------------------


def _own_root(remains: Remains, item: Start) -> Path:
    """A folder with the container's paths below it: links to the volumes, and scratch space."""
    root = remains.folder.sub(item.container.name)
    (root / "tmp").mkdir(mode=0o700)
    links = [(mount.destination, remains.folder.path / VOLUMES / mount.volume) for mount in item.container.mounts]
    if item.attests:
        links.append((DEVICE_FOLDER, remains.folder.path / TEE))
    for destination, target in links:
        link = root / destination.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return root


def _parent(item: Start) -> str:
    """Whose end is the container's end: its keeper's, or this process's."""
    return str(os.getpid()) if item.container.limits is None else "@keeper"


def start_plain(remains: Remains, item: Start) -> ContainerProcess:
    """Start a container as an ordinary process of this user, with its mounts below ``SLS_ROOT``.

    Raises:
        OSError: it cannot be started.
    """
    root = _own_root(remains, item)
    environment = dict(assignment.split("=", 1) for assignment in item.environment)
    private = str(root / "tmp")
    environment |= {"SLS_ROOT": str(root), "TMPDIR": private, "PYTHONNOUSERSITE": "1"}
    environment |= dict.fromkeys(PRIVATE_FOLDERS, private)
    filters = [sandbox.pipe_with(item.bpf)] if item.bpf else []
    head = [sys.executable, "-I", "-S", entry.__file__, _parent(item), str(filters[0] if filters else -1)]
    try:
        return _run(
            remains,
            item,
            [*head, *sandbox.interpreted(item.container.command, str(plain(sys.executable)))],
            environment,
            filters,
        )
    finally:
        for descriptor in filters:
            os.close(descriptor)


def start_all(remains: Remains, items: list[Start], wrap: Bubblewrap | None) -> None:
    """Start every container; all of them run when this returns.

    Raises:
        OSError: one cannot be started; the others run on and are in ``remains``.
    """
    if wrap is not None:
        start_boxes(remains, items, wrap)
        return
    for item in items:
        start_plain(remains, item)

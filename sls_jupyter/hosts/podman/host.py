"""A group as a pod of podman: the rehearsal before Azure, with the image that runs there.

The four containers of the real guest image, under the same policy and the same judge, with the same ids, mounts, variables and
seccomp profile, and limits that the kernel's control groups hold. What is simulated is the secure processor: it listens
on a Unix socket that the three services have and the program has not, and its evidence says what it is.

The host plays the same three parts as the local one (:mod:`sls_jupyter.hosts.local`). Where containers differ from those
on Azure is written down in :mod:`sls_jupyter.hosts.podman.arguments`.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from sls_jupyter.attestation.device.simulated import DevelopmentChain
from sls_jupyter.contract.group import Container, ContainerGroup
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.seccomp import program_profile_bytes
from sls_jupyter.contract.usage import Stat
from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts import starting
from sls_jupyter.hosts.firmware import Firmware, Stoppable, start_request
from sls_jupyter.hosts.folders import RunFolder
from sls_jupyter.hosts.podman import arguments
from sls_jupyter.hosts.podman.arguments import Setting, create_arguments, hardening, pod_arguments
from sls_jupyter.hosts.podman.command import Found, Podman, find_podman
from sls_jupyter.hosts.podman.image import guest_image, load, open_layout
from sls_jupyter.hosts.podman.keeper import WIDER_CPU, WIDER_WALL, Watch
from sls_jupyter.hosts.podman.leftovers import sweep
from sls_jupyter.hosts.podman.running import PodmanGroup, Remains, Seen
from sls_jupyter.hosts.podman.settings import PodmanSettings
from sls_jupyter.hosts.ports import LOOPBACK, free_ports
from sls_jupyter.safestream.host import HostCapabilities

TEE = "simulated-snp"
START_SECONDS = 120.0  # of making or starting the containers of one group

DeviceServer = Callable[[Firmware, Path, Path], Stoppable]  # firmware, socket, machine folder


class PodmanHost:
    """Podman on this machine.

    Args:
        layout: the guest image: an OCI layout, a folder or a tar.
        machine_folder: where this machine's development chain is kept.
        name: what its user calls it.
        tag: which image of the layout, where there are several.
        image: what groups are planned with, where that was found out before; by default the layout is read.
        keep_program_log: keep what the program writes to standard error, which may be data. For developers.
        device: serves evidence; an argument for tests.
        find: looks for podman; an argument for tests.
    """

    def __init__(
        self,
        layout: Path,
        machine_folder: Path,
        *,
        name: str = "podman",
        tag: str = "",
        image: GuestImage | None = None,
        keep_program_log: bool = False,
        device: DeviceServer = Firmware.serve_device,
        find: Callable[[], Found] = find_podman,
    ) -> None:
        self.name, self._layout, self._tag, self._planned = name, layout, tag, image
        self._machine_folder = machine_folder
        self._keep_program_log = keep_program_log
        self._device, self._find = device, find
        self._lock = threading.Lock()  # two runs at once load and try the image once

    @classmethod
    def of(cls, name: str, settings: PodmanSettings, machine_folder: Path) -> PodmanHost:
        """The host that is written down."""
        layout, image = Path(settings.layout), settings.image.image()
        return cls(layout, machine_folder, name=name, tag=settings.tag, image=image)

    # --- what this machine can do

    @cached_property
    def found(self) -> Found:
        """What is known of podman on this machine."""
        return self._find()

    @cached_property
    def _measured(self) -> GuestImage:
        return guest_image(open_layout(self._layout, self._tag), self._machine_folder)

    def measured(self) -> GuestImage:
        """The image as it lies in the layout. The first call on a machine reads all of it.

        Raises:
            Unavailable, MalformedDocument, UnknownName, DigestMismatch: it cannot be read, or contradicts itself.
        """
        return self._measured

    @cached_property
    def _root_pin(self) -> str:
        return DevelopmentChain.load_or_create(self._machine_folder).root_pin.hex()

    def capabilities(self) -> HostCapabilities:
        """What placement compares; where the image is not known yet, what :meth:`measured` raises."""
        found, warnings = self.found, tuple[str, ...]()
        if found.problem:
            warnings = (f"podman: {found.problem}. {found.fix}",)
        elif not found.cpu_limits:
            warnings = ("podman cannot bound the CPUs of a container here: no control group for that.",)
        return HostCapabilities(
            self.name,
            TEE,
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            warnings,
            self._root_pin,
            isolated=True,
            image=self._planned or self.measured(),
        )

    # --- what is needed before anything is launched

    def _require_podman(self) -> tuple[Podman, Found]:
        found = self.found
        if found.podman is None:
            del self.__dict__["found"]  # it may be there the next time
            raise Unavailable("Podman cannot be used on this machine.", found=found.problem, hint=found.fix)
        return found.podman, found

    @cached_property
    def _ready(self) -> tuple[Podman, str]:
        """Podman with the runtime that works here, and the image's id in its storage."""
        podman, found = self._require_podman()
        image_id = load(podman, self._layout, self._tag, open_layout(self._layout, self._tag).layers)
        return _working(podman, found, image_id), image_id

    def prepared(self) -> tuple[Podman, str]:
        """Podman with what makes it work here, and the image's id in its storage; loads the image where it is not there.

        Raises:
            Unavailable, DigestMismatch: with podman's reason.
        """
        with self._lock:
            return self._ready

    # --- launching

    def launch(
        self, group: ContainerGroup, cce_policy: bytes, tell: Callable[[str], None] = lambda _: None
    ) -> PodmanGroup:
        """Start a group; nothing starts unless the policy admits every container of it.

        Raises:
            MalformedDocument: the policy is not one that this package renders.
            Refused: the policy does not admit a container; says which and why.
            Unavailable: podman is not there or cannot start it; nothing is left running.
        """
        firmware = Firmware(cce_policy, measure=self.measured)
        self._require_podman()
        with ExitStack() as held:
            ports = free_ports(group, held)
            environments = self._admit(group, ports, firmware)
            podman, image_id = self.prepared()
            tell("the guest image is in podman's storage")
            sweep(podman)
            try:
                folder = RunFolder.make()
                setting = self._setting(folder, image_id)
                remains = Remains(replace(podman, folder=str(folder.path)), setting, folder)
                remains.ports = held.pop_all()
                with _ended_on_failure(remains):
                    self._prepare(remains, group, firmware)
                    self._create(remains, group, environments)
                    self._start(remains, group)
            except OSError as error:
                raise Unavailable(
                    "This machine cannot start the container group.",
                    found=error.strerror or type(error).__name__,
                    hint="Free memory, processes or temporary space, then run again.",
                ) from None
        return PodmanGroup(remains, {name: (LOOPBACK, port) for name, port in ports.items()})

    def _setting(self, folder: RunFolder, image_id: str) -> Setting:
        if "," in str(folder.path):
            folder.remove()
            raise Unavailable("podman mounts no folder with a comma in its name.", found=str(folder.path.parent))
        found = self.found
        return Setting(f"sls-{secrets.token_hex(8)}", image_id, folder.path, found.rootless, found.cpu_limits)

    def _admit(self, group: ContainerGroup, ports: Mapping[str, int], firmware: Firmware) -> dict[str, tuple[str, ...]]:
        environments: dict[str, tuple[str, ...]] = {}
        for container in group.containers:
            starting.bpf_of(container)  # a profile that this package does not have is refused
            wanted = starting.environment_of(container, ports.get(container.name))
            environments[container.name] = firmware.admit(start_request(container, wanted))
        return environments

    def _prepare(self, remains: Remains, group: ContainerGroup, firmware: Firmware) -> None:
        """The group's emptyDirs, its profile and its simulated processor; and who ends it."""
        root = remains.folder
        for name in (starting.VOLUMES, arguments.LOGS, *(f"{starting.VOLUMES}/{one}" for one in group.volumes())):
            root.sub(name)
        for volume in group.volumes():  # a neighbour of another user id may look; who may write is the mount's to say
            (root.path / starting.VOLUMES / volume).chmod(0o755)
        (root.path / arguments.PROFILE).write_bytes(program_profile_bytes())
        path = root.sub(starting.TEE) / starting.DEVICE_SOCKET
        remains.device = self._device(firmware, path, self._machine_folder)
        remains.start_keeper()

    def _create(self, remains: Remains, group: ContainerGroup, environments: Mapping[str, tuple[str, ...]]) -> None:
        """The pod with its containers, side by side; none runs yet."""
        remains.podman.run(*pod_arguments(remains.setting))

        def create(container: Container) -> None:
            keep_log = container.network or self._keep_program_log
            line = create_arguments(remains.setting, container, environments[container.name], keep_log=keep_log)
            remains.podman.run(*line, seconds=START_SECONDS)

        with ThreadPoolExecutor(len(group.containers)) as pool:
            list(pool.map(create, group.containers))

    def _start(self, remains: Remains, group: ContainerGroup) -> None:
        remains.podman.run("pod", "start", remains.setting.pod, seconds=START_SECONDS)
        names = [remains.setting.name(container.name) for container in group.containers]
        found = remains.podman.json("inspect", "--type=container", "--format=json", *names)
        for container, name, about in zip(group.containers, names, found, strict=True):
            if (about["Name"], about["Image"]) != (name, remains.setting.image_id):
                raise Unavailable("podman started another container than was asked for.", found=about["Image"])
            pid = int(about["State"]["Pid"])
            stat = Stat.read(pid) if pid else None
            remains.seen[container.name] = Seen(name, pid, stat.started if stat else -1)
            if container.limits is not None and stat is not None:
                limits = container.limits
                remains.watch(Watch(pid, limits.cpu_seconds + WIDER_CPU, limits.wall_seconds + WIDER_WALL))


@contextmanager
def _ended_on_failure(remains: Remains) -> Iterator[None]:
    """Leave nothing behind when the block raises, be it an interrupt."""
    try:
        yield
    except BaseException:
        remains.end()
        raise


def _working(podman: Podman, found: Found, image_id: str) -> Podman:
    """Podman with the first runtime that starts a container of the image here, as containers of a group are started.

    Raises:
        Unavailable: none does; with the default one's reason.
    """
    reasons = []
    for runtime in ("", *found.runtimes[1:]):
        tried = Podman(podman.path, (*podman.options, f"--runtime={runtime}")) if runtime else podman
        trial = ["run", "--rm", "--network=none", "--memory=256m", "--memory-swap=256m", "--pids-limit=64"]
        trial += [*hardening(found.rootless), "--user=1002:1002", "--env=PATH=/usr/local/bin:/usr/bin:/bin"]
        try:
            tried.run(*trial, "--entrypoint=", image_id, "python3", "-I", "-c", "pass", seconds=START_SECONDS)
            return tried
        except Unavailable as error:
            reasons.append(f"{runtime or 'default runtime'}: {error.found}")
    raise Unavailable(
        "podman starts no container of the guest image here.",
        found="; ".join(reasons),
        hint="Try `podman run --rm IMAGE true` by hand; another runtime (sudo apt-get install runc) often helps.",
    )

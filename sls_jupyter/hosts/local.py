"""This machine as a host: every container a process in its own sandbox, with simulated evidence.

The host plays three parts that are apart on Azure: it starts the group, it is the firmware that enforces
the group's policy (:mod:`sls_jupyter.hosts.firmware`), and it is the simulated processor that the group
asks for evidence. Containers with a door listen on the loopback of this machine.

Where no sandbox can be made, containers are ordinary processes of this user, and the host says so (it is not
``isolated``). Each then finds its mounts below the folder that ``SLS_ROOT`` names (``$SLS_ROOT/run/sls/feed``); no
policy admits that variable, so no confidential group is ever started with it. What a program keeps for itself
lies in a private folder of the run, and goes with it.

A program is watched from outside as well (:mod:`sls_jupyter.hosts.watch`); the other containers bound their own
memory. A program's standard error is dropped unless a developer asks for it, because the cell can write to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from sls_jupyter.attestation.device.simulated import DevelopmentChain
from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts import probing, starting
from sls_jupyter.hosts.compiled import compile_guest
from sls_jupyter.hosts.firmware import Firmware, Stoppable, start_request
from sls_jupyter.hosts.folders import RunFolder
from sls_jupyter.hosts.ports import LOOPBACK, free_ports
from sls_jupyter.hosts.process import spawner
from sls_jupyter.hosts.running import LocalGroup, Remains
from sls_jupyter.hosts.sandbox import NOBODY, Bubblewrap
from sls_jupyter.hosts.starting import Start
from sls_jupyter.safestream.host import HostCapabilities

TEE = "simulated-snp"
_INSTALL = "Install bubblewrap for a sandbox: pip install 'sls-jupyter[sandbox]', or sudo apt-get install bubblewrap."

DeviceServer = Callable[[Firmware, Path, Path], Stoppable]  # firmware, socket, machine folder


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(
        "This machine cannot start the container group.",
        found=error.strerror or type(error).__name__,
        hint="Free memory, processes or temporary space, then run again.",
    )


@contextmanager
def _ended_on_failure(remains: Remains) -> Iterator[None]:
    """Leave nothing behind when the block raises, be it an interrupt."""
    try:
        yield
    except BaseException:
        spawner().call(lambda: None)  # what was still being started is registered after this
        remains.end()
        raise


class LocalHost:
    """The embedded host of this machine.

    Args:
        machine_folder: where this machine's development chain is kept.
        sandbox: ``None`` takes a sandbox where one works, ``True`` insists on it, ``False`` does without.
        keep_program_log: keep what the program writes to standard error, which may be data. For developers.
        device: serves evidence; an argument for tests.
        measure: measures the guest code; an argument for tests.
    """

    def __init__(
        self,
        machine_folder: Path,
        *,
        sandbox: bool | None = None,
        keep_program_log: bool = False,
        device: DeviceServer = Firmware.serve_device,
        measure: Callable[[], GuestImage] = measure_installed,
    ) -> None:
        self._machine_folder = machine_folder
        self._sandbox = sandbox
        self._keep_program_log = keep_program_log
        self._device = device
        self._measure = measure

    # --- what this machine can do

    def _bubblewrap(self) -> tuple[Bubblewrap | None, str]:
        return (None, "it is switched off") if self._sandbox is False else probing.find_bubblewrap()

    def _warnings(self) -> tuple[str, ...]:
        wrap, reason = self._bubblewrap()
        if wrap is None:
            network = "has no network" if sys.platform.startswith("linux") else "is not kept from the network"
            return (
                f"No sandbox ({reason}): containers run as ordinary processes of this user and can read this "
                f"user's files. The program {network}. {_INSTALL}",
            )
        if os.geteuid() == 0 and not wrap.as_nobody:
            return ("Root starts the containers: the kernel does not limit how many processes a program starts.",)
        return ()

    @cached_property
    def _root_pin(self) -> str:
        return DevelopmentChain.load_or_create(self._machine_folder).root_pin.hex()

    def capabilities(self) -> HostCapabilities:
        affinity = getattr(os, "sched_getaffinity", None)
        cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        isolated = self._bubblewrap()[0] is not None
        return HostCapabilities("local", TEE, cpus, memory, self._warnings(), self._root_pin, isolated)

    def _isolation(self) -> tuple[Bubblewrap | None, int | None]:
        """The sandbox maker, and who owns what the containers share if that is not this user."""
        wrap, reason = self._bubblewrap()
        if wrap is None and self._sandbox:
            raise Unavailable("This machine cannot make sandboxes.", found=reason, hint=_INSTALL)
        problem = probing.interpreter_problem() if wrap is None else ""
        if problem:
            raise Unavailable(
                "The interpreter in isolated mode does not run this copy of sls_jupyter.",
                found=problem,
                hint="Install sls-jupyter into a virtual environment, without --user and without PYTHONPATH.",
            )
        return wrap, NOBODY if wrap is not None and wrap.as_nobody else None

    # --- launching

    def launch(
        self, group: ContainerGroup, cce_policy: bytes, tell: Callable[[str], None] = lambda _: None
    ) -> LocalGroup:
        """Start a group; nothing starts unless the policy admits every container of it.

        A door's port is held for it. A program that asks for that very port may still take it before the container
        does, and the container then ends and says so in its log.

        Raises:
            MalformedDocument: the policy is not data that can be judged.
            Refused: the policy does not admit a container; says which and why.
            Unavailable: this machine cannot start it; nothing is left running.
        """
        compile_guest()
        firmware = Firmware(cce_policy, measure=self._measure)
        wrap, owner = self._isolation()
        try:
            with ExitStack() as held:
                ports = free_ports(group, held)
                starts = self._admit(group, ports, firmware)
                remains = Remains(RunFolder.make(owner))
                remains.polite |= {container.name for container in group.containers if container.network}
                remains.ports = held.pop_all()
                with _ended_on_failure(remains):
                    self._prepare(remains, group, firmware, owner)
                    starting.start_all(remains, starts, wrap)
        except OSError as error:
            raise _unavailable(error) from None
        return LocalGroup(remains, {name: (LOOPBACK, port) for name, port in ports.items()})

    def _admit(self, group: ContainerGroup, ports: Mapping[str, int], firmware: Firmware) -> list[Start]:
        starts, hidden = [], starting.hidden_folders(self._machine_folder)
        for container in group.containers:
            wanted = starting.environment_of(container, ports.get(container.name))
            environment = firmware.admit(start_request(container, wanted))
            keep_log = container.network or self._keep_program_log
            starts.append(Start(container, environment, starting.bpf_of(container), keep_log, hidden))
        return starts

    def _prepare(self, remains: Remains, group: ContainerGroup, firmware: Firmware, owner: int | None) -> None:
        """The group's emptyDirs and its simulated processor."""
        remains.folder.sub(starting.VOLUMES, owner)
        for volume in group.volumes():
            remains.folder.sub(f"{starting.VOLUMES}/{volume}", owner)
        path = remains.folder.sub(starting.TEE, owner) / starting.DEVICE_SOCKET
        remains.device = self._device(firmware, path, self._machine_folder)
        if owner is not None and path.exists():
            os.chown(path, owner, owner)

"""A group that runs on this machine, and how it ends whatever happens."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import MappingProxyType

from sls_jupyter.hosts.firmware import Stoppable
from sls_jupyter.hosts.folders import RunFolder
from sls_jupyter.hosts.process import ContainerProcess
from sls_jupyter.safestream.host import ContainerState

STOP_SECONDS = 12.0  # at most between asking a container to end and ending it; the sidecar posts its receipt then


@dataclass(slots=True)
class Remains:
    """All that a group leaves to clean up; knows nothing of the object the user holds."""

    folder: RunFolder
    owner: int = field(default_factory=os.getpid)  # the process that launched it
    processes: dict[str, ContainerProcess] = field(default_factory=dict)
    polite: set[str] = field(default_factory=set)  # containers that are asked before they are ended
    device: Stoppable | None = None
    ports: ExitStack = field(default_factory=ExitStack)  # of the doors, held so that nobody else is given one
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self) -> None:
        """End every process, then the device, then the folder. A forked child of the host ends nothing."""
        if os.getpid() != self.owner:
            return
        with self.lock:
            asked = [name for name in self.polite if name in self.processes and self.processes[name].terminate()]
            for name, process in self.processes.items():
                if name not in asked:
                    process.kill()
            deadline = time.monotonic() + STOP_SECONDS
            for name in asked:
                self.processes[name].wait_until(deadline)
                self.processes[name].kill()
            if self.device is not None:
                self.device.stop()
                self.device = None
            self.ports.close()
            self.folder.remove()


class LocalGroup:
    """A running group. It ends with :meth:`stop`, when nobody holds this object any more, or with Python.

    When the launching process is killed, the kernel ends every container; the folder of their sockets is
    removed by the next launch.
    """

    def __init__(self, remains: Remains, endpoints: Mapping[str, tuple[str, int]]) -> None:
        self._remains = remains
        self._endpoints = MappingProxyType(dict(endpoints))
        self._finalizer = weakref.finalize(self, remains.end)

    @property
    def endpoints(self) -> Mapping[str, tuple[str, int]]:
        return self._endpoints

    def states(self) -> Mapping[str, ContainerState]:
        return {name: process.state() for name, process in self._remains.processes.items()}

    def logs(self, container: str) -> str:
        """At most the last 64 KiB; empty for the program unless the host keeps its log."""
        process = self._remains.processes.get(container)
        return process.log() if process else ""

    def stop(self) -> None:
        self._remains.end()
        self._finalizer.detach()

"""A group that runs as a pod, and how it ends whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sls_jupyter.contract.usage import Stat
from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts.firmware import Stoppable
from sls_jupyter.hosts.folders import RunFolder
from sls_jupyter.hosts.podman import logs
from sls_jupyter.hosts.podman.arguments import LOGS, Setting
from sls_jupyter.hosts.podman.command import Podman
from sls_jupyter.hosts.podman.keeper import POLITE_SECONDS, Orders, Watch
from sls_jupyter.hosts.process import describe
from sls_jupyter.safestream.host import ContainerState

END_SECONDS = POLITE_SECONDS + 60.0  # for the keeper to end and remove a pod
_ASK_SECONDS = 0.05  # between two questions to podman about a container that has just ended
_OVER = {"exited", "stopped", "dead"}


def ended(state: Mapping[str, Any]) -> ContainerState:
    """A container that is over, in our words, from podman's ``State``."""
    code = int(state.get("ExitCode", -1))
    detail = "out of memory" if state.get("OOMKilled") else describe(code)
    return ContainerState(running=False, exit_code=code, detail=detail)


@dataclass(slots=True)
class Seen:
    """One container: its process 1 as this machine counts, and how it ended once that is known."""

    name: str  # podman's
    pid: int
    started: int  # ticks since the machine's start: with the number, one process for ever
    end: ContainerState | None = None

    def alive(self) -> bool:
        stat = Stat.read(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX"


@dataclass(slots=True)
class Remains:
    """All that a group leaves to clean up; knows nothing of the object the user holds."""

    podman: Podman
    setting: Setting
    folder: RunFolder
    owner: int = field(default_factory=os.getpid)  # the process that launched it
    seen: dict[str, Seen] = field(default_factory=dict)
    kept_logs: dict[str, str] = field(default_factory=dict)  # of a group that is over
    keeper: subprocess.Popen[bytes] | None = None
    device: Stoppable | None = None
    ports: ExitStack = field(default_factory=ExitStack)  # of the doors, held so that nobody else is given one
    over: bool = False
    asked: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    # --- the keeper

    def start_keeper(self) -> None:
        """From here on the pod ends with this process.

        Raises:
            OSError: it cannot be started.
        """
        command = [sys.executable, "-I", "-m", "sls_jupyter.hosts.podman.keeper", str(os.getpid())]
        self.keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        line = [self.podman.path, *self.podman.options]
        self._tell(Orders(line, self.setting.pod, str(self.folder.path)).line())

    def watch(self, watch: Watch) -> None:
        self._tell(watch.line())

    def _tell(self, line: bytes) -> None:
        if self.keeper is not None and self.keeper.stdin is not None:
            self.keeper.stdin.write(line)
            self.keeper.stdin.flush()

    # --- what there is to see

    def states(self) -> dict[str, ContainerState]:
        with self.lock:
            gone = [one for one in self.seen.values() if one.end is None and not one.alive()]
            if gone and not self.over and time.monotonic() - self.asked > _ASK_SECONDS:
                self._ask(gone)
                self.asked = time.monotonic()
            running = ContainerState(running=True, detail="running")
            return {role: one.end or running for role, one in self.seen.items()}

    def _ask(self, gone: list[Seen]) -> None:
        """How containers ended whose process 1 is gone. One that podman does not know was removed by somebody else."""
        for one in gone:
            try:
                (about,) = self.podman.json("inspect", "--type=container", "--format=json", one.name)
            except Unavailable:
                one.end = ContainerState(running=False, detail="removed by somebody else")
                continue
            if about["State"]["Status"] in _OVER:
                one.end = ended(about["State"])

    def log(self, role: str) -> str:
        with self.lock:
            return self.kept_logs[role] if self.over else logs.read(self.folder.path / LOGS / role)

    # --- the end

    def end(self) -> None:
        """End and remove the pod, then the device, then the folder. A forked child of the host ends nothing."""
        if os.getpid() != self.owner:
            return
        with self.lock:
            if self.over:
                return
            told = self._dismiss_keeper()
            for role, one in self.seen.items():
                if one.end is None:
                    state = told.get(role)
                    one.end = ended(state) if state else ContainerState(running=False, detail="ended")
            self.kept_logs = {role: logs.read(self.folder.path / LOGS / role) for role in self.seen}
            self.over = True
            if self.device is not None:
                self.device.stop()
                self.device = None
            self.ports.close()
            self.folder.remove()

    def _dismiss_keeper(self) -> dict[str, Any]:
        """Let the keeper end the pod; what it tells of the containers. Where there is none, the pod is removed here."""
        answer = b""
        if self.keeper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired, ValueError, OSError):
                answer, _ = self.keeper.communicate(timeout=END_SECONDS)
            if self.keeper.poll() == 0:
                with contextlib.suppress(ValueError, RecursionError):
                    return dict(json.loads(answer))
                return {}
            self.keeper.kill()
            self.keeper.wait()
        with contextlib.suppress(Unavailable):
            self.podman.run("pod", "rm", "--force", "--ignore", "--time=0", self.setting.pod)
        return {}


class PodmanGroup:
    """A running pod. It ends with :meth:`stop`, when nobody holds this object any more, with Python, or with its kill."""

    def __init__(self, remains: Remains, endpoints: Mapping[str, tuple[str, int]]) -> None:
        self._remains = remains
        self._endpoints = MappingProxyType(dict(endpoints))
        self._finalizer = weakref.finalize(self, remains.end)

    @property
    def endpoints(self) -> Mapping[str, tuple[str, int]]:
        return self._endpoints

    @property
    def folder(self) -> Path:
        """The group's own folder on this machine."""
        return self._remains.folder.path

    def states(self) -> Mapping[str, ContainerState]:
        return self._remains.states()

    def logs(self, container: str) -> str:
        """At most the last 64 KiB; empty for the program unless the host keeps its log."""
        return self._remains.log(container) if container in self._remains.seen else ""

    def stop(self) -> None:
        self._remains.end()
        self._finalizer.detach()

"""The keeper of one pod: ends it when its host ends, in whatever way, and looks at the program from outside.

Usage: ``python -I -m sls_jupyter.hosts.podman.keeper PARENT``. It reads :class:`Orders` as a line of JSON from standard
input, later a line of :class:`Watch` once the program runs. The end of standard input is the end of the pod, and so is the
end of PARENT: nobody has to call anything for it. In the end it says in one line of JSON how each container ended, as
podman has it, and removes the pod.

The services are asked before they are ended (the sidecar posts its receipt then); the program is not.

The kernel holds the program's memory and its number of tasks. CPU time and the time altogether are looked at here, a little
wider than the supervisor inside, so that an honest one speaks first; what has not ended after that is ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sls_jupyter.contract.places import ROLES
from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts import folders
from sls_jupyter.hosts.podman.cgroup import ControlGroup
from sls_jupyter.hosts.podman.command import Podman

POLL_SECONDS = 0.2
POLITE_SECONDS = 4  # at most between asking a service to end and ending it
WORD_SECONDS = 10.0  # on a busy machine, too, for the supervisor to say which limit was crossed
REMOVALS = 4  # tries; a call of a host that was killed may still be under way and make a container
WIDER_CPU, WIDER_WALL = 1, 5  # seconds above the supervisor's limits
MAX_LINE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Orders:
    """What a keeper keeps."""

    podman: list[str]  # the command and its options
    pod: str
    folder: str  # the group's; removed here when its host could not

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Watch:
    """What the program may use. ``pid`` is the process 1 of its container, as this machine counts."""

    pid: int
    cpu_seconds: float
    wall_seconds: float

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class Lines:
    """Lines of standard input, without waiting for them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._data = descriptor, b""
        self.over = False

    def wait(self, seconds: float) -> list[bytes]:
        """Whole lines that are there within so many seconds; sets :attr:`over` at the end of the input."""
        if select.select([self._descriptor], [], [], seconds)[0]:
            chunk = os.read(self._descriptor, 4096)
            self._data += chunk
            self.over = not chunk or len(self._data) > MAX_LINE_BYTES
        *lines, self._data = self._data.split(b"\n")
        return lines


class ProgramWatch:
    """Looks at the program's CPU time and its time altogether."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._group = ControlGroup.of(watch.pid)
        self._started = time.monotonic()
        self._crossed: float | None = None

    def look(self) -> bool:
        """Whether it has to be ended now. From when a limit is crossed, all but the supervisor are stopped."""
        if self._crossed is None and not self._over():
            return False
        self._crossed = self._crossed or time.monotonic()
        self._stop_all_but_first()
        return time.monotonic() - self._crossed > WORD_SECONDS

    def _over(self) -> bool:
        wall = time.monotonic() - self._started
        return wall > self._watch.wall_seconds or self._group.cpu_seconds() > self._watch.cpu_seconds

    def _stop_all_but_first(self) -> None:
        """As far as this user may: without root, a program's processes have other ids, and run on until they are ended."""
        for pid in self._group.processes():
            if pid != self._watch.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)


class Keeper:
    def __init__(self, orders: Orders, parent: int) -> None:
        self._orders, self._parent = orders, parent
        self._podman = Podman(orders.podman[0], tuple(orders.podman[1:]))
        self._watching: ProgramWatch | None = None

    def _name(self, role: str) -> str:
        return f"{self._orders.pod}-{role}"

    def keep(self, lines: Lines) -> None:
        """Return when the pod has to end."""
        while not lines.over and os.getppid() == self._parent:
            for line in lines.wait(POLL_SECONDS):
                with contextlib.suppress(OSError):  # the program has ended already
                    self._watching = ProgramWatch(Watch(**json.loads(line)))
            self._look()

    def _look(self) -> None:
        if self._watching is None:
            return
        try:
            if not self._watching.look():
                return
        except (OSError, ValueError):  # its control group is gone, and everything in it
            self._watching = None
            return
        with contextlib.suppress(Unavailable):
            self._podman.run("kill", "--signal=KILL", self._name("program"))

    def end(self) -> dict[str, Any]:
        """End every container; how each ended, by its name."""
        self._stop()
        names = {self._name(role): str(role) for role in ROLES}
        with contextlib.suppress(Unavailable):
            return {names[one["Name"]]: one["State"] for one in self._inspect(*names)}
        found: dict[str, Any] = {}
        for name, role in names.items():  # one of them was never made, or was removed by somebody else
            with contextlib.suppress(Unavailable):
                found[role] = self._inspect(name)[0]["State"]
        return found

    def _inspect(self, *names: str) -> Any:
        return self._podman.json("inspect", "--type=container", "--format=json", *names)

    def _stop(self) -> None:
        """The program at once, the services within :data:`POLITE_SECONDS`; both side by side."""
        services = [self._name(role) for role in ROLES if role != "program"]
        calls = (
            ("stop", "--ignore", "--time=0", self._name("program")),
            ("stop", "--ignore", f"--time={POLITE_SECONDS}", *services),
        )
        null = subprocess.DEVNULL
        running = [subprocess.Popen(self._podman.line(*call), stdin=null, stdout=null, stderr=null) for call in calls]
        for one in running:
            try:
                one.wait(POLITE_SECONDS + 20)
            except subprocess.TimeoutExpired:
                one.kill()

    def remove(self) -> None:
        """Remove the pod with all that is in it; once more while something of it is there."""
        for _ in range(REMOVALS):
            with contextlib.suppress(Unavailable):
                self._podman.run("pod", "rm", "--force", "--ignore", "--time=0", self._orders.pod)
            if self._gone() and os.getppid() == self._parent:
                return  # a living host makes nothing more in it
            time.sleep(POLL_SECONDS)

    def _gone(self) -> bool:
        with contextlib.suppress(Unavailable):
            names = self._podman.json("pod", "ps", f"--filter=name=^{self._orders.pod}$", "--format=json")
            return not names
        return False

    def remove_folder(self) -> None:
        """The group's folder, when the host is gone that holds its lock."""
        folder = Path(self._orders.folder)
        lock = folders.try_lock(folder) if folder.name.startswith(folders.PREFIX) and folder.is_dir() else None
        if lock is not None:
            folders.remove_tree(folder)
            os.close(lock)


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its host and with nothing else
    parent, lines = int(arguments[0]), Lines(0)
    first: list[bytes] = []
    while not first and not lines.over:
        first = lines.wait(POLL_SECONDS)
        lines.over = lines.over or os.getppid() != parent
    if not first:
        return 1  # nothing was started yet
    keeper = Keeper(Orders(**json.loads(first[0])), parent)
    keeper.keep(lines)
    told = json.dumps(keeper.end())
    with contextlib.suppress(OSError):
        print(told, flush=True)  # noqa: T201 - its host reads it
    keeper.remove()
    keeper.remove_folder()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

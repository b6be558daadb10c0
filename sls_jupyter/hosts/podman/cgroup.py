"""A container's control group, read from outside: CPU time, and who is in it.

Both hierarchies of the kernel: v2, and v1 with a folder for each controller. What cannot be read is an error; nobody
takes an absent figure for zero.

Source: Linux ``Documentation/admin-guide/cgroup-v2.rst`` (``cpu.stat``, ``cgroup.procs``), ``cgroup-v1/cpuacct.rst``.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def paths_of(pid: int, proc: Path = Path("/proc")) -> dict[str, str]:
    """In which group a process is, by controller; of v2 under the name ``""``.

    Raises:
        OSError: it has ended.
    """
    found: dict[str, str] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


class ControlGroup:
    """Of one container."""

    def __init__(self, paths: dict[str, str], root: Path = ROOT) -> None:
        v2 = root / paths.get("", "/").lstrip("/")
        self._v2 = (v2 / "cpu.stat").exists()
        v1 = root / "cpuacct" / paths.get("cpuacct", "/").lstrip("/")
        self._folder = v2 if self._v2 else v1

    @classmethod
    def of(cls, pid: int) -> ControlGroup:
        """The one of a process.

        Raises:
            OSError: it has ended.
        """
        return cls(paths_of(pid))

    def cpu_seconds(self) -> float:
        """CPU time of all that ever ran in it.

        Raises:
            OSError: it is gone. ValueError: it does not say.
        """
        if not self._v2:
            return int((self._folder / "cpuacct.usage").read_text()) / 1e9
        for line in (self._folder / "cpu.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                return int(value) / 1e6
        raise ValueError("no usage_usec")

    def processes(self) -> list[int]:
        """Numbers of the processes in it, as this machine counts them.

        Raises:
            OSError: it is gone.
        """
        return [int(line) for line in (self._folder / "cgroup.procs").read_text().split()]

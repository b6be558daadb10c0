"""People, authorities and runs on this machine, for the tests of whole runs; and a search for canaries.

One :class:`World` serves all tests of a process: personas in one folder, each with its embedded authority,
and a few sealed assets. Run as a script, this is a persona in a process of its own: see :func:`main`.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import SlsError
from sls_jupyter.hosts import probing
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.identity import Home
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session

needs_sandbox = pytest.mark.skipif(probing.find_bubblewrap()[0] is None, reason=probing.find_bubblewrap()[1])
RUN_SECONDS = 60.0  # no run of these tests may take longer, whatever its cell does
LIMITS = Limits(cpu_seconds=30, wall_seconds=40, memory_bytes=768 * 2**20, processes=24, output_bytes=4 * 2**20)


def patients(rows: int = 300) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [20 + i % 60 for i in range(rows)],
            "name": [f"patient {i}" for i in range(rows)],
            "sex": ["f" if i % 2 else "m" for i in range(rows)],
            "outcome": [i % 3 == 0 for i in range(rows)],
        }
    )


# --- a world --------------------------------------------------------------------------------------


@dataclass
class Ended:
    """A run that is over, with all that was shown."""

    run: Run
    events: list[dict[str, Any]]
    seconds: float

    @property
    def error(self) -> SlsError:
        assert self.run.error is not None, f"the run did not fail: {self.run.outputs}"
        return self.run.error

    @property
    def outputs(self) -> dict[str, Any]:
        if self.run.error is not None:
            raise self.run.error
        return self.run.outputs

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@dataclass
class World:
    """Personas of one folder. ``free`` lets everything out; ``guarded`` is what a careful owner seals."""

    root: Path
    sessions: dict[str, Session] = field(default_factory=dict)
    hosts: Callable[[Path], Mapping[str, Host]] | None = None  # of each persona, from the machine's folder
    seconds: float = RUN_SECONDS  # no run may take longer

    def session(self, name: str) -> Session:
        if name not in self.sessions:
            hosts = None if self.hosts is None else self.hosts(self.root / "machine")
            self.sessions[name] = Session(_home(self.root, name), hosts)
        return self.sessions[name]

    @property
    def hospital(self) -> Session:
        return self.session("hospital")

    @property
    def analyst(self) -> Session:
        return self.session("analyst")

    def seal(self, name: str, data: pd.DataFrame | None = None, owner: str = "hospital", **options: Any) -> str:
        """Seal for the analyst, any code, simulated hardware; what else holds is in ``options``."""
        defaults = {"allow_code": "any", "requester": self.analyst.did, "tee": "simulated-snp"}
        given = {**defaults, **options}
        self.session(owner).seal(patients() if data is None else data, name, **given)
        for session in self.sessions.values():
            session._reachable = (-3600.0, [])  # look for authorities anew
        return name

    def start(self, code: str, inputs: Iterable[str] = ("free",), by: str = "analyst", **options: Any) -> Run:
        options.setdefault("limits", LIMITS)
        waiting = options.pop("wait_for_approval", False)
        session = self.session(by)
        return session.run(session.prepare(code, list(inputs), **options), wait_for_approval=waiting)

    def do(self, code: str, inputs: Iterable[str] = ("free",), **options: Any) -> Ended:
        """Run a cell to its end; a run that does not end in time fails the test."""
        return finish(self.start(code, inputs, **options), self.seconds)

    def close(self) -> None:
        for session in self.sessions.values():
            session.close()
        shutil.rmtree(self.root, ignore_errors=True)


def _home(root: Path, name: str) -> Home:
    home = Home(root, name)
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def finish(run: Run, seconds: float = RUN_SECONDS) -> Ended:
    start, events = time.monotonic(), []
    for event in run.follow():
        if event["type"] not in ("tick", "status", "summary", "ended"):
            events.append(event)
        if time.monotonic() - start > seconds:
            stood = run.status()
            run.cancel(5)
            raise AssertionError(f"the run did not end in {seconds} s; it was {stood}, then {run.status()}")
    return Ended(run, events, time.monotonic() - start)


def until(condition: Any, what: str, seconds: float = 30.0) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not in {seconds} s: {what}")


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def running(run: Run) -> bool:
    """Whether the cell itself runs; a run that ended before is a failure at once."""
    assert run.state == "running", run.error
    return run.steps["running"].state == "active"


@functools.cache
def shared_world() -> World:
    return furnished(World(Path(tempfile.mkdtemp(prefix="sls-world-"))))


def furnished(world: World) -> World:
    """With the two assets that most tests use; closed at the end of this process."""
    atexit.register(world.close)
    world.seal("free", kinds="table,text,figure", full_errors=True)
    world.seal("guarded", columns="age,sex,outcome", min_group=10)
    return world


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The shared world; afterwards no container and no folder of one may be left."""
    folder = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"e{os.getpid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("SLS_HOME", str(shared_world().root))
    yield shared_world()
    with contextlib.suppress(AssertionError):
        until(lambda: not containers() and not list(folder.iterdir()), "containers end", 10)
    left, folders = containers(), list(folder.iterdir())
    shutil.rmtree(folder)
    assert left == {}
    assert folders == []


# --- what runs on this machine --------------------------------------------------------------------


def _processes() -> dict[int, tuple[int, str]]:
    """Every process: its parent and its command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found[int(path.name)] = (parent, command)
    return found


def containers(root: int | None = None) -> dict[int, str]:
    """Processes of containers below ``root``, by default this process: number -> command line."""
    known, family = _processes(), {root or os.getpid()}
    while more := {pid for pid, (parent, _) in known.items() if parent in family} - family:
        family |= more
    return {pid: known[pid][1] for pid in family if pid in known and "sls_jupyter.guest." in known[pid][1]}


def container(role: str, root: int | None = None) -> int:
    """The number of the process that is a container's command."""

    def find() -> int | None:
        return next((pid for pid, line in containers(root).items() if f"guest.{role} --spec" in line), None)

    return int(until(find, f"the {role} container"))


# --- canaries -------------------------------------------------------------------------------------


def forms(canary: str) -> dict[str, bytes]:
    """How a text can lie in bytes: plain, wide, in hex, and in base64 at each of three offsets."""
    plain = canary.encode()
    found = {"plain": plain, "utf-16": canary.encode("utf-16-le"), "hex": plain.hex().encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + plain + b"\0" * ((-len(plain) - offset) % 3))
        found[f"base64+{offset}"] = text[4 if offset else 0 : -4]
    return found


def sightings(canaries: Mapping[str, str], places: Iterable[tuple[str, bytes]]) -> set[str]:
    """Where canaries are: ``"name as form in place"``."""
    wanted = [(name, how, text) for name, canary in canaries.items() for how, text in forms(canary).items()]
    return {f"{name} as {how} in {place}" for place, data in places for name, how, text in wanted if text in data}


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def memory(process: int) -> Iterator[tuple[str, bytes]]:
    """The writable memory of a process that is there, in runs of pages."""
    page, present = os.sysconf("SC_PAGE_SIZE"), np.uint64(1 << 63 | 1 << 62)
    with open(f"/proc/{process}/mem", "rb", 0) as source, open(f"/proc/{process}/pagemap", "rb", 0) as pages:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            start, end = (int(part, 16) // page for part in line.split()[0].split("-"))
            while line.split()[1].startswith("rw") and start < end:
                pages.seek(8 * start)
                entries = np.frombuffer(pages.read(8 * min(end - start, 1 << 16)) or bytes(8), np.uint64)
                edges = np.flatnonzero(np.diff(np.concatenate(([False], (entries & present) != 0, [False]))))
                for first, last in edges.reshape(-1, 2):
                    with contextlib.suppress(OSError):
                        source.seek((start + int(first)) * page)
                        yield f"memory of {process}", source.read(int(last - first) * page)
                start += len(entries)


class Tap:
    """A TCP proxy on the loopback that keeps every byte that passes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.seen = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = self._connect()
                if far is None:
                    near.close()
                    continue
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            return None

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


# --- a host that is listened to -------------------------------------------------------------------


class TappedGroup:
    """A running group whose doors are reached through taps; keeps the containers' logs."""

    def __init__(self, group: Any, host: TappedHost) -> None:
        self._group, self._host = group, host
        self._taps = {name: Tap(port) for name, (_, port) in group.endpoints.items()}
        self.endpoints = {name: ("127.0.0.1", tap.port) for name, tap in self._taps.items()}
        self.states, self.logs = group.states, group.logs

    def stop(self) -> None:
        for name in ("input", "program", "output", "audit"):
            self._host.seen += self._group.logs(name).encode()
        self._group.stop()
        for tap in self._taps.values():
            tap.close()
            self._host.seen += tap.seen
            tap.seen.clear()


class TappedHost:
    """A host, with all that an operator of it could record."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.capabilities = host.capabilities
        self.seen = bytearray()

    def launch(self, group: Any, cce_policy: bytes, tell: Any = lambda _: None) -> TappedGroup:
        return TappedGroup(self._host.launch(group, cce_policy, tell), self)


# --- a persona in a process of its own ------------------------------------------------------------


@contextlib.contextmanager
def process(what: str, root: Path, persona: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """``serve``, ``launch`` or ``seal`` as a persona in a child process; killed in the end."""
    command = [sys.executable, __file__, what, str(root), persona, json.dumps(options)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def told(child: subprocess.Popen[str]) -> Any:
    """The next line that a child says."""
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, f"the child ended: {child.poll()}"
    return json.loads(line)


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def _serve(session: Session, _: dict[str, Any]) -> None:
    _say(session.own_authority().url)


def _host_called(name: str, machine: Path) -> Host:
    if name == "local":
        return LocalHost(machine)
    from podman_kit import host

    return host(machine)


def _launch(session: Session, options: dict[str, Any]) -> None:
    record = options.pop("record", None)
    host = TappedHost(_host_called(options.pop("host", "local"), session.home.root / "machine"))
    session.hosts = {"tapped": host}
    options["limits"] = LIMITS
    run = session.run(session.prepare(**options))
    _say(run.id)
    for _ in run.follow():
        pass
    if record:
        Path(record).write_bytes(bytes(host.seen))
    host.seen.clear()
    _say({"state": run.state, "error": None if run.error is None else run.error.message})


def _seal_again_and_again(session: Session, options: dict[str, Any]) -> None:
    for number in range(1000):
        session.seal(patients(20_000), f"try{number}", tee="simulated-snp")
        _say(number)


def main() -> None:
    what, root, persona, options = sys.argv[1:]
    session = Session(_home(Path(root), persona))
    {"serve": _serve, "launch": _launch, "seal": _seal_again_and_again}[what](session, json.loads(options))
    sys.stdin.read()  # until the test has looked, or is gone
    os._exit(0)


if __name__ == "__main__":
    main()

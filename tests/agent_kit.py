"""A home with a real agent, for the tests of what outlives a kernel: its processes, kernels that are killed, its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from e2e import containers, patients, until
from notebook_kit import Kernel

from sls_jupyter.agent import starting
from sls_jupyter.agent.background import AgentBackground
from sls_jupyter.agent.messages import About
from sls_jupyter.contract.spec import Limits
from sls_jupyter.identity import Home
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session

LIMITS = Limits(cpu_seconds=60, wall_seconds=90, memory_bytes=768 * 2**20, processes=24, output_bytes=4 * 2**20)
END_SECONDS = 60.0


@dataclass
class AgentHome:
    """Personas whose sessions use an agent."""

    root: Path
    runtime: Path
    sessions: list[Session] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)

    def session(self, name: str) -> Session:
        """A new session, as another process would have it."""
        home = Home(self.root, name)
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        session = Session(home)
        session.background = AgentBackground(home)
        self.sessions.append(session)
        return session

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLS_HOME": str(self.root), "IPYTHONDIR": str(self.root / "ipython")}

    def kernel(self, persona: str = "analyst") -> Kernel:
        """A kernel of its own process with the magics."""
        kernel = Kernel(self.environment())
        self.kernels.append(kernel)
        assert kernel.run(f"%load_ext sls_jupyter\n%sls as {persona} --new", timeout=120).error == ""
        return kernel

    def kill(self, kernel: Kernel) -> None:
        """As the system does when memory ends: without a word."""
        os.kill(kernel.pid, signal.SIGKILL)
        kernel.stop()
        self.kernels.remove(kernel)

    def seal(self, owner: Session, analyst: Session, name: str = "patients", **options: Any) -> None:
        given = {"requester": analyst.did, "tee": "simulated-snp", "kinds": "table,text,figure", "allow_code": "any"}
        owner.seal(patients(), name, **{**given, **options})

    def containers(self) -> list[str]:
        """Command lines of containers of this home's runs, whoever their parent is by now."""
        runs = [path.name for path in self.root.glob("personas/*/runs/*")]
        return [line for line in containers(1).values() if any(run in line for run in runs)]

    def agent(self) -> About | None:
        return starting.find(self.root)

    def kill_agent(self) -> int:
        found = self.agent()
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        until(lambda: not lives(found.pid), "the agent is gone")
        return found.pid

    def close(self) -> None:
        while self.kernels:
            self.kernels.pop().stop()
        for session in self.sessions:
            session.close()
        starting.stop(self.root, force=True)


def lives(pid: int) -> bool:
    """Whether the process is there, and not only its entry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(
    session: Session, code: str, *, wait: bool = False, inputs: tuple[str, ...] = ("patients",), **options: Any
) -> Run:
    options.setdefault("limits", LIMITS)
    session._reachable = (-3600.0, [])
    return session.run(session.prepare(code, list(inputs), **options), wait_for_approval=wait)


def ended(run: Run, seconds: float = END_SECONDS) -> Run:
    """The run, when its handle knows its end."""
    until(lambda: run.state != "running", f"run {run.id} ends", seconds)
    return run


@contextlib.contextmanager
def agent_home(monkeypatch: pytest.MonkeyPatch, idle: float = 600.0) -> Iterator[AgentHome]:
    """A home with an agent that is there when something asks for it; afterwards nothing of it is left."""
    root = Path(tempfile.mkdtemp(prefix="sls-agent-"))
    runtime = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"a{os.getpid()}"
    runtime.mkdir(mode=0o711, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("SLS_HOME", str(root))
    monkeypatch.setenv("SLS_AGENT_IDLE", str(idle))
    monkeypatch.delenv("SLS_AGENT")
    home = AgentHome(root, runtime)
    try:
        yield home
        home.close()
        until(lambda: not home.containers(), "containers end", 15)
        assert home.agent() is None
    finally:
        with contextlib.suppress(Exception):
            home.close()
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(runtime, ignore_errors=True)

"""The podman command: how it is called, and what is said where it is missing or does not work.

Arguments are lists, never a line for a shell. What podman answers is its own JSON, bounded in bytes; what it says
about a failure is one line, cleaned, and never output of a container.

Source: podman(1) and the pages of its subcommands; podman 4.3 is the oldest that has all the options used here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.errors import Unavailable
from sls_jupyter.printing import one_line

OLDEST = (4, 3)
INSTALL = "Install it: sudo apt-get install podman (Debian, Ubuntu) or sudo dnf install podman (Fedora); 4.3 or newer."
SECONDS = 60.0  # of one call that neither copies an image nor waits for a container
MAX_ANSWER_BYTES = 4 << 20
_SAID = 300  # characters of what podman says about a failure
_NEEDED_CONTROLLERS = ("memory", "pids")


@dataclass(frozen=True, slots=True)
class Podman:
    """The command, with the options that come before every subcommand."""

    path: str
    options: tuple[str, ...] = ()
    folder: str = "/"  # where it is called: podman's monitor leaves a file there when a container is out of memory

    def line(self, *arguments: str) -> list[str]:
        """The whole list of arguments of one call."""
        return [self.path, "--log-level=error", *self.options, *arguments]

    def run(self, *arguments: str, seconds: float = SECONDS, hint: str = "") -> bytes:
        """Call podman and return what it answers.

        In a session of its own: an interrupt of the notebook does not end it half-way.

        Raises:
            Unavailable: it failed, took too long or said too much; with its own last words.
        """
        try:
            done = subprocess.run(
                self.line(*arguments),
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                capture_output=True,
                timeout=seconds,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            found = f"no answer within {seconds:.0f} seconds" if isinstance(error, subprocess.TimeoutExpired) else error
            raise _failure(arguments, str(found), hint) from None
        if done.returncode != 0:
            raise _failure(arguments, last_words(done.stderr), hint)
        if len(done.stdout) > MAX_ANSWER_BYTES:
            raise _failure(arguments, f"an answer of {len(done.stdout)} bytes", hint)
        return done.stdout

    def json(self, *arguments: str, seconds: float = SECONDS) -> Any:
        """The same for a call that answers in JSON.

        Raises:
            Unavailable: as above, or the answer is none.
        """
        answer = self.run(*arguments, seconds=seconds)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise _failure(arguments, "an answer that is not JSON", "") from None


def last_words(said: bytes) -> str:
    """The error that podman wrote to its standard error, or its last line, as one line that is safe to show."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("Error:").strip() for line in lines if line.startswith("Error:")]
    return one_line((errors or lines)[-1], _SAID) if lines else "no reason given"


def _failure(arguments: tuple[str, ...], found: str, hint: str) -> Unavailable:
    what = " ".join(word for word in arguments[:2] if not word.startswith("-"))
    hint = hint or "Try it by hand, and `sls host doctor`; what podman itself says is the reason."
    return Unavailable(f"podman {what} did not work.", found=found, hint=hint)


# --- is there one that does -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about podman on this machine. It works if there is no problem."""

    podman: Podman | None
    version: str = ""
    rootless: bool = False
    cpu_limits: bool = False  # whether it can bound the CPUs of a container
    runtimes: tuple[str, ...] = ()  # names of what can be tried, its own default first
    problem: str = ""
    fix: str = ""


def find_podman() -> Found:
    """Look for podman and ask it about itself. Starts no container.

    What is asked: its version, whether it runs without root and has ids for that, and whether control groups can
    bound memory and processes: without them a cell would be held by its supervisor alone.
    """
    path = shutil.which("podman")
    if path is None:
        return Found(None, problem="podman is not installed", fix=INSTALL)
    podman = Podman(path)
    try:
        return _examined(podman, podman.json("info", "--format", "json"))
    except Unavailable as error:
        return Found(None, problem=f"podman does not work: {error.found}", fix=error.hint or INSTALL)


def _examined(podman: Podman, info: Mapping[str, Any]) -> Found:
    host = info.get("host") or {}
    version = str((info.get("version") or {}).get("Version", ""))
    rootless = bool((host.get("security") or {}).get("rootless"))
    controllers = host.get("cgroupControllers") or []
    problem, fix = _problem(version, host, rootless, controllers)
    return Found(
        podman=None if problem else podman,
        version=version,
        rootless=rootless,
        cpu_limits="cpu" in controllers,
        runtimes=_runtimes(host),
        problem=problem,
        fix=fix,
    )


def _problem(version: str, host: Mapping[str, Any], rootless: bool, controllers: list[str]) -> tuple[str, str]:
    """What is wrong, and what to do; twice nothing if nothing is."""
    words = version.split(".")
    numbers = tuple(int(word) for word in words[:2] if word.isdigit())
    if len(numbers) < 2 or numbers < OLDEST:
        return f"podman {version or 'of an unknown version'} is too old", INSTALL
    if rootless and host.get("cgroupVersion") != "v2":
        fix = "Boot with control groups v2 (systemd.unified_cgroup_hierarchy=1), or start the notebook as root."
        return "without root, podman can bound no container under control groups v1", fix
    missing = [name for name in _NEEDED_CONTROLLERS if name not in controllers]
    if missing:
        fix = "Let systemd delegate them to your session (Delegate=memory pids cpu), or start the notebook as root."
        return f"the control groups of {' and '.join(missing)} are not there for podman", fix
    if rootless and len((host.get("idMappings") or {}).get("uidmap") or []) < 2:
        fix = "Give your user ids for its containers: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER; podman system migrate"
        return "your user has no ids for containers (/etc/subuid, /etc/subgid)", fix
    return "", ""


def _runtimes(host: Mapping[str, Any]) -> tuple[str, ...]:
    own = str((host.get("ociRuntime") or {}).get("name", ""))
    others = [name for name in ("crun", "runc") if name != own and shutil.which(name)]
    return (*([own] if own else []), *others)

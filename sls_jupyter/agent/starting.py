"""Reaching the agent of a home, which is started when there is none and replaced when it runs other code."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from sls_jupyter.agent.client import AgentClient
from sls_jupyter.agent.exits import TAKEN
from sls_jupyter.agent.messages import About
from sls_jupyter.agent.place import LOG, code_here, code_on_disk, folder_of, last_lines, version
from sls_jupyter.authority.embedded import is_served, socket_of
from sls_jupyter.errors import SlsError, Unavailable, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.network import NotReached

START_SECONDS = 90.0  # on a machine that is busy with other things
STOP_SECONDS = 30.0
_RETRY_SECONDS = 0.1
_NOT_HANDED_ON = ("SLS_PERSONA", "JPY_PARENT_PID", "JPY_SESSION_NAME", "PYTHONSTARTUP")


class NoBackground(Exception):  # internal; its text says why nothing can be started here
    """This machine lets nothing be started in the background."""


def find(root: Path) -> About | None:
    """What the agent of a home says of itself; ``None`` where none answers. Nothing is started."""
    if not socket_of(root / "agent").exists():
        return None
    with contextlib.closing(AgentClient(root / "agent")) as client:
        try:
            return client.about()
        except (NotReached, SlsError):
            return None


def ensure(root: Path) -> About:
    """See that an agent with this very code answers.

    Raises:
        NoBackground: nothing can be started in the background here.
        Unavailable: it does not start, or one with other code is busy; with the way out.
    """
    found = find(root)
    if found is not None and found.code != code_here():
        _replace(root, found)
        found = None
    found = found or _start(root)
    if found.code != code_here():
        raise _other_code(found)
    return found


def _replace(root: Path, found: About) -> None:
    """Stop an agent that runs other code than is installed, unless that would end runs."""
    if code_on_disk() != code_here():
        raise Unavailable(
            "This process runs older code than is installed; the agent has the new one.",
            found=f"version {version()} here, {found.version} in the agent",
            hint="Restart this kernel or shell.",
        )
    if found.bound:
        raise _other_code(found)
    stop(root, force=False, replaced=True)


def _other_code(found: About) -> Unavailable:
    return Unavailable(
        "The agent runs another version of this package.",
        found=f"version {found.version}, process {found.pid}, {'; '.join(found.keeps) or 'idle'}",
        expected=f"version {version()} as it is installed now",
        hint="Wait for its runs, then: sls agent stop. The next call starts one with this version.",
    )


def stop(root: Path, *, force: bool, replaced: bool = False) -> bool:
    """Stop the agent of a home; false if there is none.

    Args:
        replaced: another one is started next, so what waits for approval goes on.

    Raises:
        BadInput: runs go on. Unavailable: it does not end in time.
    """
    with contextlib.closing(AgentClient(root / "agent")) as client:
        try:
            client.stop(force=force, replaced=replaced)
        except NotReached:
            return False
    deadline = time.monotonic() + STOP_SECONDS
    while is_served(root / "agent"):
        if time.monotonic() > deadline:
            raise Unavailable("The agent does not end.", hint="Try again, or end its process: sls agent status.")
        time.sleep(_RETRY_SECONDS)
    return True


def leave_authority(home: Home) -> None:
    """Have the agent, if there is one, let go of a persona's authority that this process is about to serve."""
    if find(home.root) is not None:
        with (
            contextlib.closing(AgentClient(home.root / "agent")) as client,
            contextlib.suppress(NotReached, UnknownName),
        ):
            client.leave(home.persona)


def _start(root: Path) -> About:
    """Start an agent, or wait for the one that somebody else starts."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        code = _spawn(root, deadline)
        if code not in (0, TAKEN):
            raise Unavailable(
                "The agent cannot be started.",
                found=last_lines(root / "agent" / LOG),
                hint=f"{root / 'agent' / LOG} has more. SLS_AGENT=0 does without one: runs end with their kernel then.",
            )
        found = find(root)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise Unavailable(
                "The agent does not answer.",
                found=last_lines(root / "agent" / LOG),
                hint="sls agent stop ends it. SLS_AGENT=0 does without one.",
            )
        time.sleep(_RETRY_SECONDS)  # another one is starting, or ending


def _spawn(root: Path, deadline: float) -> int:
    """Run the starter; its exit code."""
    try:
        folder = folder_of(root)
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NoBackground(f"its folder cannot be made: {error.strerror}") from None
    try:
        # our own interpreter and module; -P: no folder of the caller's is searched for code
        return subprocess.run(
            [sys.executable, "-P", "-m", "sls_jupyter.agent"],
            env=_environment(root),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        raise Unavailable("The agent does not start in time.", found=last_lines(folder / LOG)) from None
    except OSError as error:
        raise NoBackground(f"no process can be started: {error.strerror}") from None
    finally:
        os.close(log)


def _environment(root: Path) -> dict[str, str]:
    """The caller's environment as the agent may have it: paths of code are absolute, and nothing is of one notebook."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    places = environment.get("PYTHONPATH", "").split(os.pathsep)
    if places != [""]:
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(one or ".").absolute()) for one in places)
    return environment | {"SLS_HOME": str(root)}

"""Who somebody is here, and what waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from sls_jupyter.agent import starting
from sls_jupyter.agent.place import version, why_switched_off
from sls_jupyter.attestation.profile import HARDWARE_TEES, PROFILES, SIMULATED_TEES
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.identity import Home
from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked, AskedByAnybody
from sls_jupyter.lab.desk import first_persona
from sls_jupyter.notebook.cards import marks
from sls_jupyter.printing import one_line
from sls_jupyter.session import Session, glance
from sls_jupyter.session.contacts import short_did

AGENT_SECONDS = 3.0  # that a page waits for an agent which is being started; it starts all the same
_starting: dict[Path, tuple[threading.Thread, list[str]]] = {}
_lock = threading.Lock()


def about(asked: AskedByAnybody) -> messages.About:
    """The handshake. The agent is started where nobody did and there is a persona that it can work for."""
    known = Home.with_keys(asked.root)
    return messages.About(
        api=messages.API,
        version=version(),
        home=Home(asked.root, "").mark,
        personas=tuple(known),
        persona=asked.persona if asked.persona in known else first_persona(asked.root),
        agent=_agent(asked.root, start=bool(known)),
    )


def _agent(root: Path, *, start: bool) -> messages.AgentState:
    why_not = why_switched_off()
    found = None if why_not else starting.find(root)
    if start and not why_not and found is None:
        why_not = _started(root)
        found = starting.find(root)
    if found is None:
        return messages.AgentState(answers=False, version="", why_not=one_line(why_not), keeps=())
    return messages.AgentState(
        answers=True,
        version=found.version,
        why_not=one_line(why_not),
        keeps=tuple(one_line(one) for one in found.keeps),
    )


def _started(root: Path) -> str:
    """Start the agent, in a thread that goes on; why there can be none, as far as that is known in time."""
    with _lock:
        thread, why_not = _starting.get(root, (None, []))
        if thread is None or not thread.is_alive():
            why_not = []
            thread = threading.Thread(target=_start, args=(root, why_not), name="sls-agent-start", daemon=True)
            _starting[root] = thread, why_not
            thread.start()
    thread.join(AGENT_SECONDS)
    return why_not[0] if why_not else ""


def _start(root: Path, why_not: list[str]) -> None:
    try:
        starting.ensure(root)
    except starting.NoBackground as reason:
        why_not.append(str(reason))
    except SlsError as error:
        why_not.append(f"{error.sentence} {error.hint}".strip())


def status(asked: Asked) -> messages.Status:
    """The status bar. This user's own authorities are asked; what others' show is as it was seen last."""
    session = asked.session
    trouble = _trouble(session)
    session.lookout.look_here()
    session.reread_hosts()
    tees = tuple(dict.fromkeys(host.capabilities().tee for host in session.hosts.values()))
    only_simulated = bool(tees) and all(one in SIMULATED_TEES for one in tees)
    return messages.Status(
        persona=session.name,
        did=session.did,
        short=short_did(session.did),
        tees=tees,
        marks=marks(only_simulated, not session.isolated()),
        label=_label(tees),
        waiting=session.lookout.waiting(),
        running=sum(one.driven for one in glance.runs(session.home).values()),
        trouble=one_line(trouble),
    )


def _label(tees: Iterable[str]) -> str:
    """Every kind of TEE at hand in words, hardware first."""
    hardware = [PROFILES[one].label for one in tees if one in HARDWARE_TEES]
    return ", ".join([*hardware, *(["SIMULATED"] if any(one in SIMULATED_TEES for one in tees) else [])]) or "no TEE"


def _trouble(session: Session) -> str:
    """Why others cannot reach this persona's authority, if it has one; it is served from now on."""
    try:
        if (session.home.path / "authority" / "authority.db").exists():
            session.own_authority()
        return session.unreachable()
    except SlsError as error:
        return f"{error.sentence} {error.hint}".strip()


def new_persona(asked: AskedByAnybody) -> messages.PersonaRow:
    """Make a persona: keys of its own in a folder of its own.

    Raises:
        BadInput: its name cannot be one, or there is one of that name.
    """
    from sls_jupyter.notebook.sessions import session_for

    name = cast(messages.NewPersona, asked.body).name
    if not name or name in Home.with_keys(asked.root):
        raise BadInput("There is a persona of that name." if name else "A persona needs a name.", found=name)
    session = session_for(name, new=True)
    return messages.PersonaRow(name=session.name, did=session.did)

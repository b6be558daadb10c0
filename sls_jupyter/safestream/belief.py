"""What each authority of a run believes, asked before anybody reviews and before anything is launched.

An authority's answer is its own word and decides nothing: it judges the evidence again when keys are asked for. It
spares a person the reading of a run that cannot get keys where it would be placed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sls_jupyter.attestation.profile import SIMULATED_TEES
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import MAX_SAID, HostUnsuitable, SlsError, printable
from sls_jupyter.network import side_by_side
from sls_jupyter.safestream.host import Host, HostCapabilities

BELIEF_SECONDS = 30.0
_MAX_ROOTS = 4  # of one authority that a message names


@dataclass(frozen=True, slots=True)
class Belief:
    """What one authority says that it believes."""

    who: str  # the authority, as the reader knows it
    tees: tuple[str, ...]
    simulated_roots: tuple[str, ...] | None  # pins, hex; None: its version does not say what it believes

    def believes(self, host: HostCapabilities) -> bool:
        """Whether evidence of that host has a chance; an authority that says nothing gets the benefit of the doubt."""
        if self.simulated_roots is None:
            return True
        return host.tee in self.tees and (host.tee not in SIMULATED_TEES or host.root in self.simulated_roots)

    def __str__(self) -> str:
        roots = self.simulated_roots or ()
        more = f" and {len(roots) - _MAX_ROOTS} more" if len(roots) > _MAX_ROOTS else ""
        simulated = f"SIMULATED evidence of root {', '.join(roots[:_MAX_ROOTS])}{more}" if roots else ""
        hardware = printable(", ".join(tee for tee in self.tees if tee not in SIMULATED_TEES), MAX_SAID)
        return f"{self.who} says that it believes {' and '.join(filter(None, (hardware, simulated))) or 'nothing'}"


def ask_beliefs(clients: Mapping[str, AuthorityClient], names: Mapping[str, str]) -> tuple[Belief, ...]:
    """Ask every authority anew, side by side: one may have been started again with other roots.

    Args:
        clients: authority's DID -> client.
        names: DID -> name, for messages.

    Raises:
        what an authority raises; its DID is in the error's detail.
    """
    asking = [partial(_ask, client, did, names.get(did, did)) for did, client in clients.items()]
    return tuple(side_by_side(asking, BELIEF_SECONDS))


def _ask(client: AuthorityClient, did: str, who: str) -> Belief:
    try:
        told = client.about()
    except SlsError as error:
        error.detail.setdefault("authority", did)
        raise
    return Belief(who, told.tees, told.simulated_roots)


def believed_hosts(hosts: Mapping[str, Host], wanted: str | None, beliefs: Sequence[Belief]) -> dict[str, Host]:
    """The hosts that may be taken and whose evidence every authority says that it believes.

    Args:
        wanted: the host that is named; ``None`` for any.

    Raises:
        HostUnsuitable: there is none; with who does not believe, what they believe, what is made here, and the way out.
    """
    possible = {name: host.capabilities() for name, host in hosts.items() if wanted in (None, name)}
    doubts = {name: [one for one in beliefs if not one.believes(host)] for name, host in possible.items()}
    believed = {name: hosts[name] for name, found in doubts.items() if not found}
    if believed or not possible:
        return believed
    doubting = list(dict.fromkeys(one for found in doubts.values() for one in found))
    who = " and ".join(one.who for one in doubting)
    raise HostUnsuitable(
        f"This run would get no key: {who} would not believe the evidence that is made here.",
        found="; ".join(f"{name} makes {_made(host)}" for name, host in possible.items()),
        expected="; ".join(map(str, doubting)),
        hint=_way_out(list(possible.values())),
    )


def _made(host: HostCapabilities) -> str:
    return f"{host.tee} evidence of root {host.root}" if host.root else f"{host.tee} evidence"


def _way_out(hosts: Sequence[HostCapabilities]) -> str:
    pins = list(dict.fromkeys(host.root for host in hosts if host.root))
    if not pins:
        return "Name another --host, or ask its operator what it believes."
    return (
        f"For a trial with invented data its operator can put the root {' or '.join(pins)} into a FILE and start it"
        " with --accept-simulated FILE; if it is your own and has your SLS_HOME: --accept-simulated self."
    )

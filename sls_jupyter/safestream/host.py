"""The interface of a host: a place that can run a container group under a CCE policy.

A host is not trusted. What it starts proves itself by evidence; a host that lies about its TEE gets a
group whose evidence nobody accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.image import GuestImage


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """What placement compares with the spec and with every owner's conditions."""

    name: str
    tee: str  # kind of TEE, as attestation/profile.py names it
    max_cpus: int
    max_memory_bytes: int
    warnings: tuple[str, ...] = ()  # what this host cannot isolate, in words for the user
    root: str = (
        ""  # of simulated evidence: SHA-256 of its root's public key, hex; "" where a vendor's root stands behind it
    )
    isolated: bool = True  # a program is kept from its user's files and processes; said on every card where it is not
    image: GuestImage | None = None  # that its groups run; None: the code that is installed here
    facts: tuple[tuple[str, str], ...] = ()  # what else a person wants to know of it (region, cost), in words


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What the host sees of one container."""

    running: bool
    exit_code: int | None = None
    detail: str = ""  # in words; never output of the program


class RunningGroup(Protocol):
    """A launched group. Its life ends with :meth:`stop`, whatever happened before."""

    @property
    def endpoints(self) -> Mapping[str, tuple[str, int]]:
        """Address and port of each door, by container name (``input``, ``output``)."""
        ...

    def states(self) -> Mapping[str, ContainerState]:
        """The state of each container, by name."""
        ...

    def logs(self, container: str) -> str:
        """The end of what our own guest code wrote to its log; it never writes data."""
        ...

    def stop(self) -> None:
        """End all containers and remove what they shared. Safe to call twice."""
        ...


class Host(Protocol):
    def capabilities(self) -> HostCapabilities: ...

    def launch(
        self, group: ContainerGroup, cce_policy: bytes, tell: Callable[[str], None] = lambda _: None
    ) -> RunningGroup:
        """Start every container of ``group`` under ``cce_policy``; returns when all are started.

        Args:
            tell: told what happens on the way, one line each, from this thread. A host that takes long calls it often:
                it may raise, which is how a cancelled run ends a launch.

        Raises:
            MalformedDocument: the policy is not one that this host understands.
            Refused: the policy does not admit what was to be started.
            Unavailable: the host cannot start it. Nothing is left running in any of these cases.
        """
        ...

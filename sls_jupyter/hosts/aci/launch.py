"""Azure Container Instances as a host: one confidential group for a run, deleted in every ending.

A launch is: look that no group has this name → create it, once → follow its operation and its events → read it back
and compare its policy byte for byte → hand out the doors' addresses. The name is made from the spec's digest, so
whatever was lost on the way is found again by it, and no second group is made. Containers' output is read by nobody.

What is *not* checked here: whether the group is what its template says. Its evidence shows that, at its doors.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.hosts.aci.arm import Arm, default_client
from sls_jupyter.hosts.aci.running import AciGroup, Remains
from sls_jupyter.hosts.aci.settings import LIMIT_CPUS, LIMIT_GIGABYTES, AciSettings
from sls_jupyter.hosts.aci.starting import Launch, Pace
from sls_jupyter.hosts.aci.template import (
    Deployment,
    RenderedPolicy,
    gigabytes,
    group_name,
    resource,
    spec_digest_of,
    totals,
)
from sls_jupyter.safestream.host import HostCapabilities

TEE = "sev-snp"
SERVICES = 3  # containers beside the program, of one vCPU and 2**30 bytes each


class AciHost:
    """A resource group of a subscription, in one region.

    Args:
        client: makes Microsoft's client for a subscription; an argument for tests.
        arm: the calls; made from ``client`` when the first one is needed, so that a session starts without Azure.
    """

    def __init__(
        self,
        name: str,
        settings: AciSettings,
        *,
        client: Callable[[str], Any] | None = None,
        arm: Arm | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.name, self.settings = name, settings
        self._client, self._arm, self._pace = client or default_client, arm, pace or Pace()

    @property
    def arm(self) -> Arm:
        """The calls on this host's resource group.

        Raises:
            Unavailable: the Azure packages are not installed.
        """
        if self._arm is None:
            self._arm = Arm(self._client(self.settings.subscription), self.settings.resource_group, host=self.name)
        return self._arm

    @property
    def pace(self) -> Pace:
        return self._pace

    def capabilities(self) -> HostCapabilities:
        """What a program can have: the limits of a group without what the three services take. Nothing is asked."""
        service = gigabytes(1 << 30)
        cpus, memory = LIMIT_CPUS - SERVICES, LIMIT_GIGABYTES - SERVICES * service
        small = (1.0 + SERVICES, round(gigabytes(2 << 30) + SERVICES * service, 1))
        return HostCapabilities(
            self.name,
            TEE,
            int(cpus),
            int(memory * 10**9),
            image=self.settings.image.image(),
            facts=(
                ("region", self.settings.region),
                ("resource group", f"{self.settings.resource_group} of {self.settings.subscription}"),
                ("image", self.settings.image.reference),
                ("cost", self.settings.cost_words(*small)),
                ("TCB, UVM", "which machine it will be is known once it has started; owners' minimums are judged then"),
            ),
        )

    def launch(
        self, group: ContainerGroup, cce_policy: bytes, tell: Callable[[str], None] = lambda _: None
    ) -> AciGroup:
        """Start a group, and return when all its containers have started.

        Args:
            tell: told what happens, a line each; what it raises ends the launch.

        Raises:
            BadInput, DigestMismatch: the group has no image by layers and digest, or the policy is another one than the group's.
            Refused: the utility VM denied something; with container, rule and fix.
            Unavailable and others of :mod:`~sls_jupyter.hosts.aci.faults`: Azure did not do it.
            Whatever is raised, the group is deleted before, or the error says that it may still run.
        """
        policy = RenderedPolicy(cce_policy, group)
        spec = spec_digest_of(group)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        place = Deployment(
            group_name(spec), self.settings.region, spec, secrets.token_hex(16), created, self.settings.pull_identity
        )
        body = resource(policy, place)
        self._require_within_limits(body)
        ports: dict[str, int] = {one.name: one.port for one in group.containers if one.port is not None}
        remains = Remains(self.arm, place.name, self.pace.poll)
        running = AciGroup(remains, ports, tell)
        try:
            Launch(self.arm, policy, place, body, remains, self.pace, tell).work(running)
        except BaseException as error:
            running.stop()
            if remains.trouble and isinstance(error, SlsError):
                left = f"Group {place.name} may still run, and is billed: sls host sweep {self.name}."
                error.hint = f"{error.hint} {left}".strip()
            raise
        return running

    def _require_within_limits(self, body: dict[str, Any]) -> None:
        cpus, memory = totals(body)
        if cpus > LIMIT_CPUS or memory > LIMIT_GIGABYTES:
            raise Unavailable(
                "This group is larger than a confidential group can be.",
                found=f"{cpus:g} vCPU and {memory:g} GB, all containers together",
                expected=f"at most {LIMIT_CPUS:g} vCPU and {LIMIT_GIGABYTES:g} GB",
                hint="Ask for less: --cpu, --memory. The three services take 3 vCPU and 3.3 GB.",
            )

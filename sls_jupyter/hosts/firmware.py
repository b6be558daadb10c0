"""The local machine's stand-in for what a confidential machine has below the host: firmware and utility VM.

On Azure the utility VM reads the CCE policy from the host, the hardware puts its digest into every
report, and the utility VM admits only what the policy names. Here one object does the same for a local
group: it puts each container to :class:`~sls_jupyter.hosts.judge.deciding.Judge` as the platform would, layer by
layer, and gives out simulated evidence with the policy's digest and the measurement of the code that really is there.

It runs in the operator's own process, so it convinces nobody: that is why its evidence is of another kind.

It admits what Microsoft's framework admits, and is stricter in two places only:

- The guest code is measured again at each start. On Azure dm-verity protects layers while they are mounted; here they
  are files that could change between two starts.
- Each container of the policy starts once. The framework admits any number under different ids, which authorities and
  doors answer there; a local group has one process of each, so a second one is a mistake of this package.

It is less strict where this machine has nothing to enforce: all containers of a local group run under one id of the
kernel, so the user and group in a question are those that the group names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import Container
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.errors import Refused
from sls_jupyter.hosts.judge.deciding import Judge, Verdict
from sls_jupyter.hosts.judge.diagnosis import Difference
from sls_jupyter.hosts.judge.starts import EMPTY_DIRS, bind, create_input, layer_steps, overlay_step
from sls_jupyter.hosts.judge.values import same
from sls_jupyter.hosts.judge.words import explain, meaning

_HINT = "Plan the run again; if the package was updated since, restart the kernel first."


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a host asks to be started. Its words are the host's own; only the policy makes them true."""

    name: str  # for messages, never for a decision
    command: tuple[str, ...]
    environment: tuple[str, ...]  # NAME=value
    mounts: tuple[tuple[str, str, str], ...]  # source, destination, ro or rw
    seccomp_sha256: str  # of the profile that will be applied; "" for none
    user: int
    group: int


def start_request(container: Container, environment: Iterable[str]) -> StartRequest:
    """The request that starts ``container`` of a group with this environment."""
    return StartRequest(
        name=container.name,
        command=container.command,
        environment=tuple(environment),
        mounts=tuple(
            (f"{EMPTY_DIRS}/{mount.volume}", mount.destination, "ro" if mount.read_only else "rw")
            for mount in container.mounts
        ),
        seccomp_sha256=container.seccomp_sha256,
        user=container.user,
        group=container.group,
    )


class Stoppable(Protocol):
    def stop(self) -> None: ...


class Firmware:
    """One group's policy, enforced from the group's launch to its end.

    Args:
        policy: the bytes whose SHA-256 is HOST_DATA.
        measure: measures the guest code as it is now; an argument for tests only.

    Raises:
        MalformedDocument: the policy is not data that can be judged.
    """

    def __init__(self, policy: bytes, *, measure: Callable[[], GuestImage] = measure_installed) -> None:
        self._judge = Judge(policy)
        self._started: list[Any] = []  # containers of the policy
        self._asked = 0
        self._measure = measure
        self.host_data = cce.host_data(policy)  # 32 bytes
        self.measurement = measure().measurement  # 48 bytes, fixed when the group is launched, as in hardware

    def admit(self, request: StartRequest) -> tuple[str, ...]:
        """Let one container start, or say why not.

        Returns:
            The variables it is started with: those asked for, without what the policy drops.

        Raises:
            Refused: the policy has no such container, or it was started before.
        """
        self._asked += 1
        container_id = f"{self._asked:064x}"
        self._lay(request, container_id)
        asked = create_input(
            container_id,
            request.command,
            environment=request.environment,
            mounts=[bind(*mount) for mount in request.mounts],
            user=request.user,
            group=request.group,
            seccomp_sha256=request.seccomp_sha256,
        )
        verdict = self._judge.decide("create_container", asked)
        if not verdict.allowed:
            raise _refusal(request, verdict, self._judge.compare(asked, request.name))
        self._require_first(request, container_id)
        if verdict.env_list is None:
            return request.environment
        return tuple(one for one in dict.fromkeys(request.environment) if one in verdict.env_list)

    def _lay(self, request: StartRequest, container_id: str) -> None:
        """Mount the layers of the code as it is now, and the container's overlay over them."""
        layers = self._measure().layers
        mounted = {root: place for place, root in self._judge.state.devices.items()}
        steps = layer_steps([one for one in layers if one not in mounted], len(mounted))
        for point, asked in steps:
            self._require(request, self._judge.decide(point, asked), asked["deviceHash"])
            mounted[asked["deviceHash"]] = asked["target"]
        point, asked = overlay_step(container_id, [mounted.get(layer, "") for layer in layers])
        self._require(request, self._judge.decide(point, asked), ", ".join(layers))

    def _require_first(self, request: StartRequest, container_id: str) -> None:
        """Take one of the containers of the policy that this start can be, and never again."""
        possible = self._judge.state.matches.get(container_id)
        if possible is None:
            return  # a policy that allows without looking at containers
        waiting = [one for one in possible if not any(same(one, other) for other in self._started)]
        if not waiting:
            raise Refused(
                f"The container {request.name} is started a second time.",
                expected="one start",
                hint=_HINT,
                detail={"container": request.name, "reason": "started_twice"},
            )
        self._started.append(waiting[0])

    def _require(self, request: StartRequest, verdict: Verdict, layers: str) -> None:
        if not verdict.allowed:
            expected = ", ".join(dict.fromkeys(self._judge.layers())) or "nothing: the policy has no layers"
            raise _refusal(
                request, verdict, [Difference(explain(next(iter(verdict.texts), "")).rule, layers, expected)]
            )

    def serve_device(self, path: Path, machine_folder: Path) -> Stoppable:
        """Give out simulated evidence of this group on a Unix socket, until stopped.

        Args:
            path: of the socket; at most 107 bytes.
            machine_folder: where this machine's development chain is kept.

        Raises:
            Unavailable: the chain or the socket cannot be made.
        """
        from sls_jupyter.attestation.device.served import serve_simulated
        from sls_jupyter.attestation.device.simulated import DevelopmentChain, SimulatedProcessor

        processor = SimulatedProcessor(DevelopmentChain.load_or_create(machine_folder))
        return serve_simulated(
            path,
            lambda report_data: processor.evidence(report_data, host_data=self.host_data, measurement=self.measurement),
        )


def _refusal(request: StartRequest, verdict: Verdict, differences: list[Difference]) -> Refused:
    """The refusal: the first difference in words, all of them as found and expected."""
    said = [explain(text) for text in verdict.texts]
    rules = [one.rule for one in differences] or [one.rule for one in said] or ["unknown"]
    several = len(differences) > 1

    def listed(side: str) -> str | None:
        shown = [f"{one.rule}: {getattr(one, side)}" if several else getattr(one, side) for one in differences]
        return "; ".join(shown) or None

    return Refused(
        f"The policy of this group does not admit the container {request.name}. {meaning(rules[0])}",
        found=listed("found") or "; ".join(verdict.texts),
        expected=listed("expected"),
        hint=_HINT,
        detail={"container": request.name, "reason": rules[0], "reasons": rules, "framework": list(verdict.texts)},
    )

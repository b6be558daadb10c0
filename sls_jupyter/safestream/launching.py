"""A launched group: both doors attested, its contract handed over, its records sent. What runs and sessions share."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.profile import profile_of
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import HostDied, SlsError
from sls_jupyter.identity import Identity
from sls_jupyter.receipt.statement import ImageRecord
from sls_jupyter.safestream.doors import CONNECT_SECONDS, AttestedDoor, DoorRole, Expected
from sls_jupyter.safestream.host import Host, HostCapabilities, RunningGroup
from sls_jupyter.safestream.placement import place
from sls_jupyter.safestream.run import Run

AUDIT_SECONDS = 20.0  # how long the sidecar may take to send its records


@dataclass(frozen=True, slots=True)
class Launched:
    """A group that a host has started; nothing is known of it yet."""

    running: RunningGroup
    image: GuestImage
    host_data: bytes  # what its evidence has to show
    place: str  # name of the host
    host: HostCapabilities

    def tell(self, run: Run) -> None:
        """The end of ``launched`` in the run's status; a run that was cancelled meanwhile ends here."""
        run.require_going()
        run.steps.done("launched", f"4 containers on {self.place}")
        run.summary["isolated"] = self.host.isolated
        for warning in self.host.warnings:
            run.steps.note("launched", evidence=warning)


def launch(
    run: Run,
    spec: StreamSpec,
    grants: Sequence[Grant],
    hosts: Mapping[str, Host],
    wanted: str | None,
    placed: Callable[[Run, GuestImage], None],
    image: GuestImage,
) -> Launched:
    """Place a group and have its host start it.

    Args:
        hosts: of these. wanted: the host that is named; ``None`` for any.
        placed: told the image before anything starts.
        image: that is taken where the host has none of its own.

    Raises:
        HostUnsuitable: none of them does. Refused, Unavailable: it cannot start the group. RunCancelled: meanwhile.
    """
    name, host = place(hosts, wanted, spec, grants)
    image = host.capabilities().image or image
    placed(run, image)
    group = group_for(spec, image)
    policy = cce.render(group)
    run.steps.begin("launched", f"on {name}")

    def tell(words: str) -> None:
        run.require_going()
        run.steps.note("launched", words)

    return Launched(host.launch(group, policy, tell), image, cce.host_data(policy), name, host.capabilities())


@dataclass(frozen=True, slots=True)
class Doors:
    """Both doors of one group, each of which has proven itself."""

    into: AttestedDoor
    out: AttestedDoor
    simulated: bool  # no hardware stands behind it

    def close(self) -> None:
        self.into.close()
        self.out.close()


def attest(
    run: Run,
    launched: Launched,
    identity: Identity,
    anchors: TrustAnchors,
    *,
    tees: tuple[str, ...],
) -> Doors:
    """Open both doors of a group that was launched; ``attested`` of the run's status.

    Args:
        identity: the requester's; signs a token for each call.
        tees: kinds of TEE that the spec accepts.

    Raises:
        Unavailable: a door does not open. EvidenceRejected: it is another group.
    """
    run.steps.begin("attested")
    deadline = time.monotonic() + CONNECT_SECONDS

    def door(role: DoorRole, guest: str | None) -> AttestedDoor:
        expected = Expected(anchors, tees, launched.image.measurement, launched.host_data, guest)
        return _open(run, launched.running, identity, role, expected, deadline)

    with contextlib.ExitStack() as stack:
        into = door("input", None)
        stack.callback(into.close)
        out = door("output", into.result.claims.report_id)  # both are of one guest
        stack.pop_all()
    claims, checks = into.result.claims, into.result.checks
    run.steps.note("attested", evidence=f"measurement {claims.measurement}")
    run.steps.note("attested", evidence=f"HOST_DATA {claims.init_data} (the policy of this very run)")
    for check in checks:
        run.steps.note("attested", evidence=f"✓ {check.name}: {check.found}")
    label = profile_of(claims.tee).label
    run.steps.done("attested", f"{label}, {len(checks)} checks at each door")
    return Doors(into, out, claims.simulated)


def facts_of(doors: Doors) -> dict[str, Any]:
    """What a run's last line says of the evidence."""
    claims, checks = doors.into.result.claims, doors.into.result.checks
    label = profile_of(claims.tee).label
    return {"tee": claims.tee, "label": label, "checks": len(checks), "simulated": claims.simulated}


def _open(
    run: Run, running: RunningGroup, identity: Identity, role: DoorRole, expected: Expected, deadline: float
) -> AttestedDoor:
    address, port = running.endpoints[role]

    def alive() -> bool:
        return running.states()[role].running and not run.cancelled.is_set()

    try:
        now = datetime.now(UTC)
        return AttestedDoor.open(
            address, port, identity.signing, expected, role=role, now=now, deadline=deadline, alive=alive
        )
    except SlsError as error:
        state = running.states()[role]
        if not state.running:
            error.detail["container"] = f"{role} ended: {state.exit_code} {state.detail}"
            error.hint = f"The {role} container ended early. {running.logs(role)[-500:]}".strip()
        raise


def hand_over(
    doors: Doors,
    spec: bytes,
    grants: Iterable[bytes],
    chosen: Iterable[str],
    manifests: Mapping[str, bytes],
    image: GuestImage,
    cell: Mapping[str, str],
) -> None:
    """Bring the group its contract; envelopes all, as they were signed.

    Args:
        chosen: URLs of authorities that the requester chose.
        cell: ``code`` and ``parameters``; nothing for a session.
    """
    contract = {
        "spec": spec.decode(),
        "grants": [envelope.decode() for envelope in grants],
        "chosen": sorted(chosen),
    }
    doors.out.post("/v1/contract", contract)
    material = {
        "manifests": {asset: envelope.decode() for asset, envelope in manifests.items()},
        "image": ImageRecord.of(image).model_dump(mode="json"),
    }
    doors.into.post("/v1/contract", {**contract, **material, **cell})


def await_audit(cancelled: threading.Event, running: RunningGroup) -> bool:
    """Whether the sidecar has ended because every authority has its records; who cancels does not wait."""
    deadline = time.monotonic() + AUDIT_SECONDS
    while running.states()["audit"].running and time.monotonic() < deadline:
        if cancelled.wait(0.02):
            return False
    state = running.states()["audit"]
    return not state.running and state.exit_code == 0


def vanished(running: RunningGroup, error: SlsError) -> SlsError:
    """What it means that a group broke off: its doors are gone with it, or only the connection is.

    Args:
        error: what following it ended with.
    """
    states = running.states()
    if all(name in states and states[name].running for name in ("input", "output")):
        return error
    seen = {
        name: "running" if state.running else f"ended: {state.exit_code} {state.detail}".strip()
        for name, state in states.items()
    }
    return HostDied(
        "The container group vanished before its end: its host ended it, or died.",
        found="; ".join(f"{name} {words}" for name, words in seen.items()) or "the host knows no such group",
        expected="an end told by the output",
        hint="The cell is not to blame. Run it again; if it happens again, ask who runs the host what ended the group.",
        detail={"containers": seen},
    )

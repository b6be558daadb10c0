"""An operator and a requester who together start a second output and a second sidecar of one policy, and wire them crosswise.

All containers are real and admitted by the group's own policy: Microsoft's framework counts no starts and takes any emptyDir at
any mount point. The input's sidecar hears a second output, to which no program ever speaks; the output that lets the program's
results go speaks to a second sidecar, which knows no contract. What the second output swears is that nothing left::

    input ──► program ──► output ──► audit-2
      └─────► audit  ◄─── output-2

Both have to be in it: the requester hands the contract to the second output's door as well, and the operator chooses when that output is
stopped, when the program starts, and how long the sidecar's post is under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from e2e import World

from sls_jupyter.authority import runs
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import Container, ContainerGroup, group_for
from sls_jupyter.contract.spec import verify_stream_spec
from sls_jupyter.hosts import local, starting
from sls_jupyter.hosts.firmware import Firmware
from sls_jupyter.safestream import manager
from sls_jupyter.safestream.collecting import Collected
from sls_jupyter.safestream.doors import AttestedDoor, Expected

SECONDS = 30.0  # no step of the attack takes longer


class Uncounted(Firmware):
    """Admits what the policy admits, as often as it is asked: so does the platform."""

    def _require_first(self, request: Any, container_id: str) -> None:
        del request, container_id


def wired(container: Container, name: str, volumes: Mapping[str, str]) -> Container:
    """The same container under another name, with other emptyDirs at its mount points."""
    mounts = tuple(replace(one, volume=volumes.get(one.volume, one.volume)) for one in container.mounts)
    return replace(container, name=name, mounts=mounts)  # type: ignore[arg-type]


def crosswise(group: ContainerGroup) -> ContainerGroup:
    output, audit = group.container("output"), group.container("audit")
    second = {"audit-input": "audit-input-2", "audit-output": "audit-output-2"}
    containers = (
        *(group.container(name) for name in ("input", "program", "audit")),
        wired(output, "output", second),
        wired(output, "output-2", {"result": "result-2"}),
        wired(audit, "audit-2", second),
    )
    return replace(group, containers=containers)


@dataclass
class Operator:
    """The machine's owner, who is in league with the requester.

    Args:
        early: the second output is stopped, and swears, before the program starts; otherwise when it is done.
    """

    host: Any
    early: bool
    group: Any = None
    keys: threading.Event = field(default_factory=threading.Event)  # they were released
    posting: threading.Event = field(default_factory=threading.Event)  # the sidecar's receipt is on its way
    arrive: threading.Event = field(default_factory=threading.Event)  # ... and may arrive
    late: Any = None  # what starts the program
    input_lived: bool | None = None  # when the program was started

    @property
    def capabilities(self) -> Any:
        return self.host.capabilities

    def launch(self, group: ContainerGroup, *rest: Any) -> Any:
        self.group = self.host.launch(crosswise(group), *rest)
        return self.group

    def start_all(self, remains: Any, items: list[Any], wrap: Any) -> None:
        """In place of :func:`starting.start_all`: a program may come later."""
        held = [one for one in items if self.early and one.container.name == "program"]
        starting_all(remains, [one for one in items if one not in held], wrap)
        self.late = lambda: starting_all(remains, held, wrap)

    def stop_second(self) -> None:
        """The second output says its last word: stopped, and nothing was let go."""
        self.group._remains.processes["output-2"].terminate()

    def swear_first(self) -> None:
        """Early: the second output swears, and while the receipt is under way the program runs."""
        self.keys.wait(SECONDS)
        self.stop_second()
        self.posting.wait(SECONDS)
        self.input_lived = self.group.states()["input"].running
        self.late()

    def hold(self, *rest: Any) -> int:
        """In place of :func:`runs.post_records`: a network that takes its time."""
        self.posting.set()
        self.arrive.wait(SECONDS)
        return post_records(*rest)


starting_all, post_records = starting.start_all, runs.post_records


@contextmanager
def attack(world: World, monkeypatch: pytest.MonkeyPatch, *, early: bool) -> Iterator[Operator]:
    """Runs of the analyst are attacked like that within the block."""
    hosts = world.analyst.hosts
    operator = Operator(hosts["local"], early)
    execution, hand_over, collect = manager._Execution, manager.hand_over, Collected.collect
    take_input = execution._take_input

    def hand_over_twice(
        doors: Any, envelope: bytes, grants: Any, chosen: Any, manifests: Any, image: Any, cell: Any
    ) -> None:
        grants = list(grants)
        contract = {
            "spec": envelope.decode(),
            "grants": [one.decode() for one in grants],
            "chosen": sorted(chosen),
        }
        second = second_door(world, operator, envelope, image, doors.into.result.claims.report_id)
        second.post("/v1/contract", contract)
        second.close()
        hand_over(doors, envelope, grants, chosen, manifests, image, cell)
        if early:
            threading.Thread(target=operator.swear_first, daemon=True).start()

    def collect_and_swear(self: Any, *rest: Any) -> None:
        collect(self, *rest)
        operator.arrive.set()
        if not early:
            operator.stop_second()

    def take(self: Any, run: Any, event: dict[str, Any]) -> None:
        if event["type"] == "key":
            operator.keys.set()
        take_input(self, run, event)

    world.analyst.hosts = {"local": operator}
    try:
        with monkeypatch.context() as patch:
            patch.setattr(local, "Firmware", Uncounted)
            patch.setattr(starting, "start_all", operator.start_all)
            patch.setattr(manager, "hand_over", hand_over_twice)
            patch.setattr(Collected, "collect", collect_and_swear)
            patch.setattr(execution, "_take_input", take)
            if early:
                patch.setattr(runs, "post_records", operator.hold)
            yield operator
    finally:
        operator.arrive.set()
        world.analyst.hosts = hosts


def second_door(world: World, operator: Operator, envelope: bytes, image: Any, guest: str) -> AttestedDoor:
    """The second output's door, which proves the same group."""
    spec, analyst = verify_stream_spec(envelope), world.analyst
    host_data = cce.host_data(cce.render(group_for(spec, image)))
    expected = Expected(analyst.anchors, spec.tees, image.measurement, host_data, guest)
    address, port = operator.group.endpoints["output-2"]
    key, deadline = analyst.identity.signing, time.monotonic() + SECONDS
    return AttestedDoor.open(address, port, key, expected, role="output", now=datetime.now(UTC), deadline=deadline)

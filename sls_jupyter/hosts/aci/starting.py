"""One launch on ACI, step by step: free name, creation, following, reading back. Deleting is the caller's."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sls_jupyter.attestation.azure.facts import ALLOW_ALL_POLICIES
from sls_jupyter.contract import cce
from sls_jupyter.errors import BadInput, DigestMismatch, SlsError, Unavailable
from sls_jupyter.hosts.aci import view
from sls_jupyter.hosts.aci.arm import Arm, error_of_operation
from sls_jupyter.hosts.aci.denials import denied, first_denial
from sls_jupyter.hosts.aci.differing import differing_policies
from sls_jupyter.hosts.aci.faults import Fault, error_of, is_passing
from sls_jupyter.hosts.aci.running import AciGroup, Remains
from sls_jupyter.hosts.aci.template import LAUNCH_TAG, SKU, Deployment, RenderedPolicy

START_SECONDS = 900.0  # until all containers have started; a group that waits longer is deleted
POLL_SECONDS = 3.0
_STATES_OF_FAILURE = ("failed", "canceled", "unhealthy")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take; other values are for tests."""

    start: float = START_SECONDS
    poll: float = POLL_SECONDS


@dataclass(slots=True)
class Launch:
    """One launch."""

    arm: Arm
    policy: RenderedPolicy
    place: Deployment
    body: dict[str, Any]
    remains: Remains
    pace: Pace
    tell: Callable[[str], None]
    operation: str = ""
    told: str = ""

    def work(self, running: AciGroup) -> None:
        deadline = time.monotonic() + self.pace.start
        self._say(f"asking {self.place.region} for a confidential group")
        self._require_free()
        self._create(deadline)
        running.take(self._follow(deadline))

    def _say(self, words: str) -> None:
        if words and words != self.told:
            self.told = words
            self.tell(words)

    def _require_free(self) -> None:
        """A group that is there already is another launch's: it is not ours to use, to change or to delete."""
        if self.arm.get(self.place.name) is not None:
            raise BadInput(
                "A group of this very run is there already.",
                found=self.place.name,
                expected="no group of that name",
                hint=f"If no kernel of yours has it, sls host sweep {self.arm.host} deletes it. Run the cell again for a run of its own.",
            )

    def _create(self, deadline: float) -> None:
        """Ask until the service has taken it. After an answer that was lost, the group is looked for first."""
        data, pause = json.dumps(self.body).encode(), self.pace.poll
        while True:
            self.remains.asked = True
            try:
                answer = self.arm.create(self.place.name, data)
                self._require_ours(answer.group)
                self.operation = answer.operation
                return
            except SlsError as error:
                wait = max(pause, float(error.detail.get("retry_after") or 0))
                if not is_passing(error) or time.monotonic() + wait > deadline:
                    raise
                self._say("Azure is busy: waiting to ask again")
            self._wait(wait)
            pause = min(2 * pause, 30.0)
            found = self.arm.get(self.place.name)
            if found is not None:
                self._require_ours(found)
                return  # it was made after all

    def _wait(self, seconds: float) -> None:
        """Sleep in steps, so that a cancelled run is heard."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.pace.poll))
            self.tell(self.told)

    def _follow(self, deadline: float) -> view.Resource:
        """Until every container has started and the group read back is the one that was asked for."""
        while True:
            group = self.arm.get(self.place.name)  # before its operation, which then knows at least as much
            operation = self.arm.operation(self.operation) if self.operation and group is not None else None
            self._raise_failure(group, operation)
            if group is None:
                raise Unavailable(
                    "The group is gone before it started.",
                    found=self.place.name,
                    hint="Somebody deleted it; run again.",
                )
            self._say(view.progress(group, operation))
            if self._has_started(group, operation):
                self._require_ours(group)
                self._require_complete(group)
                return group
            if time.monotonic() > deadline:
                raise Unavailable(
                    "The group did not start in time and is deleted.",
                    found=f"{view.provisioning(group) or 'no state'} after {self.pace.start:.0f} s; {self.told}",
                    hint="Groups stay so now and then. Run again; if it goes on, another region.",
                    detail={"azure": "Waiting"},
                )
            self._wait(self.pace.poll)

    def _has_started(self, group: view.Resource, operation: view.Resource | None) -> bool:
        done = operation is None or str(operation.get("status")).lower() == "succeeded"
        return done and view.provisioning(group).lower() == "succeeded"

    def _raise_failure(self, group: view.Resource | None, operation: view.Resource | None) -> None:
        """The first thing that says why: a denial, an image that is not there, the operation's own error."""
        texts = [(container, message) for container, _, message in view.events(group, operation)]
        error = view.part(operation, "error", "message")
        if isinstance(error, str):
            texts.append(("", error))
        if found := first_denial(texts):
            container, denial = found
            raise denied(denial, container, self.policy.group, self.policy.text, self.arm.host)
        status = str((operation or {}).get("status") or "").lower()
        failed = status in _STATES_OF_FAILURE or view.provisioning(group or {}).lower() in _STATES_OF_FAILURE
        if pulled := view.pull_failure(group, operation):
            raise error_of(Fault("InaccessibleImage", pulled), self.arm.host)
        if status in _STATES_OF_FAILURE and operation is not None:
            raise error_of_operation(operation, self.arm.host)
        if failed:
            raise error_of(Fault("Failed", self.told or "it gives no reason"), self.arm.host)

    def _require_ours(self, group: view.Resource) -> None:
        """What the service has is what this launch asked for: its tag, its SKU, and its policy byte for byte."""
        tag = view.part(group, "tags", LAUNCH_TAG)
        if tag != self.place.launch:
            self.remains.asked = False  # somebody else's: not ours to delete
            raise BadInput(
                "Another launch has made a group of this name.", found=str(tag)[:64], expected=self.place.launch,
                hint="Run the cell again, which makes a run of its own.",
            )  # fmt: skip
        try:
            text = base64.b64decode(view.policy_text(group), validate=True)
        except (binascii.Error, ValueError):
            text = b""
        if text != self.policy.text:
            raise DigestMismatch(
                "Azure has put another policy into the group; it is deleted.",
                found=_about_policy(text, self.policy.text),
                expected=f"the policy that was sent, {len(self.policy.text)} bytes, HOST_DATA {self.policy.host_data.hex()}",
                hint="No owner would release a key to it. Report it to whoever administers the subscription.",
            )
        sku = view.part(group, "properties", "sku")
        if str(sku).lower() != SKU.lower():
            raise DigestMismatch("Azure has made a group of another SKU.", found=str(sku)[:60], expected=SKU,
                                 hint="Use a region that has confidential groups.")  # fmt: skip

    def _require_complete(self, group: view.Resource) -> None:
        """Each container runs the image that was asked for, and there is an address."""
        found = {name: one.get("image") for name, one in view.containers(group).items()}
        wanted = {one.name: self.policy.group.image.reference for one in self.policy.group.containers}
        if found != wanted:
            raise DigestMismatch(
                "Azure has other containers in the group; it is deleted.", found=str(found)[:400], expected=str(wanted)[:400],
                hint="Run again; if it goes on, report it with sls export arm of the run.",
            )  # fmt: skip
        if not view.address(group):
            raise Unavailable("The group has no address.", hint="Run again; a public address may not be to be had.")


def _about_policy(text: bytes, expected: bytes) -> str:
    """A policy that is not ours, in words: what it is called, or where it differs first."""
    if not text.strip():
        return "no policy at all"
    host_data = cce.host_data(text).hex()
    name = ALLOW_ALL_POLICIES.get(host_data)
    size = f"{len(text)} bytes, HOST_DATA {host_data}"
    if name:
        return f"{name}, which allows everything, {size}"
    return f"another one, {size}: {'; '.join(differing_policies(text, expected)[:3])}"

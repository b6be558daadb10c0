"""Groups that a crash left behind: found by our tag, shown with their age, deleted when somebody says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sls_jupyter.errors import printable
from sls_jupyter.hosts.aci.arm import Arm, Listed
from sls_jupyter.hosts.aci.running import Remains
from sls_jupyter.hosts.aci.template import CREATED_TAG, SPEC_TAG


@dataclass(frozen=True, slots=True)
class Leftover:
    """A group of ours that is there now; it may be a run that goes on."""

    name: str
    region: str
    state: str
    spec: str  # digest, as its tag says
    age: timedelta | None  # None: its tag says no time


def leftovers(arm: Arm, now: datetime, older: timedelta = timedelta(0)) -> tuple[Leftover, ...]:
    """The groups with our tag, the oldest first; one without a time counts as old.

    Args:
        older: leave away those younger than this.
    """
    found = [_leftover(one, now) for one in arm.ours()]
    kept = [one for one in found if one.age is None or one.age >= older]
    return tuple(sorted(kept, key=lambda one: -(one.age or timedelta.max).total_seconds()))


def _leftover(one: Listed, now: datetime) -> Leftover:
    created = one.tags.get(CREATED_TAG, "")
    try:
        age = now - datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        age = None
    return Leftover(
        printable(one.name, 63), printable(one.region, 40), printable(one.state, 40),
        printable(one.tags.get(SPEC_TAG, ""), 80), age,
    )  # fmt: skip


def delete(arm: Arm, found: Leftover, poll: float) -> str:
    """Delete one; "" when it is gone, else why it may still run."""
    remains = Remains(arm, found.name, poll, asked=True)
    remains.end()
    return remains.trouble

"""What has happened on one utility VM since it started: the framework's *metadata*.

Read-only and writable disks by mount point, the containers that each overlay can still be (fewer after each
question), overlay mount points, started containers, Plan 9 and scratch mounts, and what signed fragments added.
A change is made only with a decision that allows, and adding what is there already is an error, which denies.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sls_jupyter.hosts.judge.values import Conflict, Undefined, each, same


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the metadata. Its value is taken over, not copied: the judge changes none afterwards."""

    action: Literal["add", "update", "remove"]
    table: str
    key: Any
    value: Any = None


@dataclass(slots=True)
class State:
    devices: dict[str, Any] = field(default_factory=dict)  # mount point → root hash
    rw_devices: dict[str, Any] = field(default_factory=dict)
    matches: dict[str, Any] = field(default_factory=dict)  # container id → containers it can be
    overlays: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)  # container id → {"privileged": …}
    plan9_mounts: dict[str, Any] = field(default_factory=dict)  # mount point → container id
    scratch_mounts: dict[str, Any] = field(default_factory=dict)
    issuers: dict[str, Any] = field(default_factory=dict)  # issuer → {"feeds": {feed: [what was included]}}
    parameters: list[Any] = field(default_factory=list)  # {"issuer", "feed", "parameters"} for nested fragments

    def has(self, table: str, key: Any) -> bool:
        """Whether something is there; a key that is no text names nothing."""
        return isinstance(key, str) and getattr(self, table).get(key, False) is not False

    def get(self, table: str, key: Any) -> Any:
        found = getattr(self, table)
        if not isinstance(key, str) or key not in found:
            raise Undefined
        return found[key]

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Make these changes, all of them or none.

        Raises:
            Conflict: something is added that is there, or under a key that is no text.
        """
        for change in changes:
            if not isinstance(change.key, str):
                raise Conflict(f"unable to load metadata key of {change.table}")
            if change.action == "add" and change.key in getattr(self, change.table):
                raise Conflict(f"cannot add metadata value, key {change.table}[{change.key}] already exists")
        for change in changes:
            if change.action == "remove":
                getattr(self, change.table).pop(change.key, None)
            else:
                getattr(self, change.table)[change.key] = change.value

    def remember(self, parameters: list[Any]) -> None:
        """Parameters for fragments that a fragment brings along; a set."""
        self.parameters += [one for one in parameters if not any(same(one, other) for other in self.parameters)]

    def included(self) -> Iterator[Any]:
        """What each loaded fragment brought in."""
        for issuer in self.issuers.values():
            for feed in each(issuer["feeds"]):
                yield from each(feed)

    def of_fragments(self, name: str) -> list[Any]:
        """One list, over all loaded fragments."""
        return [one for brought in self.included() for one in each(brought.get(name))]

    def snapshot(self) -> dict[str, Any]:
        """A copy of everything, for showing and for tests."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self.__slots__}

"""What Azure Container Instances adds to a group beside what its template says: dated data, ``data/aci_platform.json``.

Variables that are not ``admitted`` are known and dropped all the same: the guest's own programs would follow them
(``TMP`` says where temporary files go). What is not in the list at all is dropped as well; a policy says so
(``allow_environment_variable_dropping``), so that a platform which adds a variable does not stop every run.

What is *not* checked: that Azure does all this today. ``sls host doctor HOST --record FILE`` compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

FragmentName = Literal["aci-infrastructure"]
FRAGMENTS: tuple[FragmentName, ...] = ("aci-infrastructure",)


@dataclass(frozen=True, slots=True)
class PlatformVariable:
    """A variable that the platform may set: ``NAME=value`` or an RE2 expression that matches all of it."""

    pattern: str
    strategy: Literal["string", "re2"]
    admitted: bool  # the container gets it; otherwise the utility VM drops it


@dataclass(frozen=True, slots=True)
class PlatformFragment:
    """A policy fragment that its issuer signs, and that brings further containers into a group."""

    issuer: str  # did:x509
    feed: str
    minimum_svn: str
    includes: tuple[str, ...]
    words: str  # what it means, for an owner


@dataclass(frozen=True, slots=True)
class Platform:
    date: str  # ISO 8601, of the data
    variables: tuple[PlatformVariable, ...]
    mounts: tuple[dict[str, Any], ...]  # as a policy writes them
    empty_dir: str  # RE2: where the platform keeps emptyDirs
    capabilities: tuple[str, ...]  # what a container has that drops none, sorted
    pause_command: tuple[str, ...]
    pause_layers: tuple[str, ...]
    fragments: dict[str, PlatformFragment]


@cache
def aci_platform() -> Platform:
    """The data as it came with this version."""
    data = json.loads(files("sls_jupyter.contract").joinpath("data/aci_platform.json").read_bytes())
    fragments = {
        name: PlatformFragment(**{**one, "includes": tuple(one["includes"])}) for name, one in data["fragments"].items()
    }
    return Platform(
        date=data["date"],
        variables=tuple(PlatformVariable(**one) for one in data["variables"]),
        mounts=tuple(data["mounts"]),
        empty_dir=data["empty_dir"],
        capabilities=tuple(data["capabilities"]),
        pause_command=tuple(data["pause"]["command"]),
        pause_layers=tuple(data["pause"]["layers"]),
        fragments=fragments,
    )


def fragment_words(name: str) -> str:
    """What a fragment means, in words for an owner."""
    return aci_platform().fragments[name].words

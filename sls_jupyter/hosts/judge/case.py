"""One question to the judge: what is asked, of which policy, after what, on which machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.hosts.judge.machine import Machine
from sls_jupyter.hosts.judge.reading import Module
from sls_jupyter.hosts.judge.state import Change, State
from sls_jupyter.hosts.judge.values import at, true_at
from sls_jupyter.hosts.judge.versions import Stated


@dataclass(frozen=True, slots=True)
class Case:
    point: str
    asked: Mapping[str, Any]  # the framework's ``input``
    stated: Stated
    machine: Machine
    fragment: Module | None = None  # the one that is being loaded, in the second of its two questions

    @property
    def state(self) -> State:
        return self.stated.state

    def of(self, *path: Any) -> Any:
        """A member of what is asked.

        Raises:
            Undefined: it is not there.
        """
        return at(self.asked, *path)

    def is_set(self, *path: Any) -> bool:
        """Whether a member of what is asked is there and not ``false``."""
        return true_at(self.asked, *path)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What comes with an allowance. A rule that does not allow raises ``Undefined``."""

    changes: tuple[Change, ...] = ()
    env_list: list[Any] | None = None  # variables that are kept; None where the rule says nothing of them
    caps_list: Mapping[str, Any] | None = None
    allow_stdio_access: Any = None
    parameters: tuple[Any, ...] = ()  # for nested fragments
    ledgers: tuple[Any, ...] = ()

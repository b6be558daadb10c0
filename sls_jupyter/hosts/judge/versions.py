"""What a policy says, with what its versions leave out filled in as the framework does.

``api_version`` decides which questions a policy must answer: a question that is newer than it takes a default, and
several defaults allow. ``framework_version`` decides which members a container must have: those that are newer take
their old meaning, and members that only a newer framework knows are ignored or, where they restrict, obeyed.

Source: hcsshim ``pkg/securitypolicy`` (``api.rego`` 0.12.0, ``framework.rego`` 0.5.0). Read in forks only, and so
not certain: what has come since API 0.11.0 (``host_network`` and ``load_transparency_trust_list``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sls_jupyter.hosts.judge.reading import Module
from sls_jupyter.hosts.judge.state import State
from sls_jupyter.hosts.judge.values import Undefined, at, compare, each, holds, listed

API_VERSION = "0.12.0"
FRAMEWORK_VERSION = "0.5.0"


@dataclass(frozen=True, slots=True)
class Point:
    """A question of the utility VM: since when it is asked, and what holds for policies that are older than it."""

    introduced: str
    allowed: bool | None  # None: the framework's own rule answers


_DENIED, _ALLOWED, _FRAMEWORK = False, True, None
POINTS: dict[str, Point] = {
    "mount_device": Point("0.1.0", _DENIED),
    "rw_mount_device": Point("0.11.0", _FRAMEWORK),
    "mount_blockdev": Point("0.11.0", _FRAMEWORK),
    "mount_overlay": Point("0.1.0", _DENIED),
    "mount_cims": Point("0.11.0", _DENIED),
    "registry_changes": Point("0.10.0", _DENIED),
    "create_container": Point("0.1.0", _DENIED),
    "unmount_device": Point("0.2.0", _ALLOWED),
    "rw_unmount_device": Point("0.11.0", _FRAMEWORK),
    "unmount_blockdev": Point("0.11.0", _FRAMEWORK),
    "unmount_overlay": Point("0.6.0", _ALLOWED),
    "exec_in_container": Point("0.2.0", _ALLOWED),
    "exec_external": Point("0.3.0", _ALLOWED),
    "shutdown_container": Point("0.4.0", _ALLOWED),
    "signal_container_process": Point("0.5.0", _ALLOWED),
    "plan9_mount": Point("0.6.0", _ALLOWED),
    "plan9_unmount": Point("0.6.0", _ALLOWED),
    "get_properties": Point("0.7.0", _ALLOWED),
    "dump_stacks": Point("0.7.0", _ALLOWED),
    "runtime_logging": Point("0.8.0", _ALLOWED),
    "load_fragment": Point("0.9.0", _DENIED),
    "scratch_mount": Point("0.10.0", _ALLOWED),
    "scratch_unmount": Point("0.10.0", _ALLOWED),
    "load_transparency_trust_list": Point("0.12.0", _DENIED),
    "host_network": Point("0.12.0", _DENIED),
    "log_provider": Point("0.12.0", _DENIED),
}

_CONTAINER = (
    "command",
    "env_rules",
    "layers",
    "mounts",
    "allow_elevated",
    "working_dir",
    "exec_processes",
    "allow_stdio_access",
)
_ANY = {"pattern": "", "strategy": "any"}
_OLD_USER = {"umask": "0022", "user_idname": _ANY, "group_idnames": [_ANY]}
_NEWER: tuple[tuple[str, str, Any], ...] = (
    ("no_new_privileges", "0.2.0", False),
    ("user", "0.2.1", _OLD_USER),
    ("capabilities", "0.2.2", None),
    ("seccomp_profile_sha256", "0.2.3", ""),
)
"""Member of a container, the framework that brought it, and its meaning before."""


def _container(raw: Any, version: str) -> dict[str, Any]:
    found = {name: at(raw, name) for name in _CONTAINER}
    for name, since, before in _NEWER:
        found[name] = at(raw, name) if compare(version, since) >= 0 else before
    signals = at(raw, "signals")
    found["signals"] = signals if compare(version, "0.4.1") >= 0 else [*listed(signals), 9, 15]
    return found


def _process(raw: Any, _: str) -> dict[str, Any]:
    return {name: at(raw, name) for name in ("command", "env_rules", "working_dir", "allow_stdio_access")}


def _fragment(raw: Any, _: str) -> dict[str, Any]:
    found = {name: at(raw, name) for name in ("issuer", "feed", "minimum_svn", "includes")}
    return found | {"parameters": raw.get("parameters", {}), "required_receipts": raw.get("required_receipts", [])}


_FILLED = {"containers": _container, "external_processes": _process, "fragments": _fragment}
_SINCE_THIS = ("platform_rules", "transparency_trust_lists")  # ignored in what is written for an older framework
SECTIONS = (*_FILLED, *_SINCE_THIS)


def section(name: str, raw: Any, version: Any) -> Any:
    """One list of a policy or fragment that is written for ``version``, as this framework reads it.

    Raises:
        Undefined: there is no version, or it is newer than this framework.
    """
    age = compare(version, FRAMEWORK_VERSION)
    if age > 0:
        raise Undefined
    if age == 0:
        return raw
    if name in _SINCE_THIS:
        return []
    return list(_readable(name, raw, version))


def _readable(name: str, raw: Any, version: str) -> Iterator[Any]:
    """What has all its members; the rest does not exist for the framework."""
    for one in each(raw):
        try:
            yield _FILLED[name](one, version)
        except Undefined:
            continue


def version_of(module: Module, kind: str) -> Any:
    """``framework_version`` or ``api_version``, by its older name too; ``None`` where there is none."""
    return module.get(f"{kind}_version") if f"{kind}_version" in module.values else module.get(f"{kind}_svn")


@dataclass(frozen=True, slots=True)
class Stated:
    """A policy together with what fragments have added to it so far."""

    policy: Module
    state: State

    @property
    def framework_version(self) -> Any:
        return version_of(self.policy, "framework")

    @property
    def drops_variables(self) -> bool:
        return self._switch("allow_environment_variable_dropping")

    @holds
    def drops_capabilities(self) -> bool:
        return compare(self.framework_version, "0.2.2") >= 0 and self._switch("allow_capability_dropping")

    def allows(self, what: str) -> bool:
        return self._switch(f"allow_{what}")

    def _switch(self, name: str) -> bool:
        return self.policy.values.get(name, False) is not False

    def own(self, name: str) -> list[Any]:
        """A list of the policy itself; empty where it has none, or a version that cannot be read."""
        raw = self.policy.get(name)
        if name == "transparency_trust_lists":  # read whatever the version is
            return raw if isinstance(raw, list) else []
        return self._own(name, raw)

    def _own(self, name: str, raw: Any) -> list[Any]:
        try:
            return listed(section(name, raw, self.framework_version))
        except Undefined:
            return []

    def _joined(self, name: str) -> list[Any]:
        return [*self.own(name), *self.state.of_fragments(name)]

    def external_processes(self) -> list[Any]:
        """Those of fragments count only where the policy itself can be read and has a list, or is of this version."""
        try:
            age = compare(self.framework_version, FRAMEWORK_VERSION)
        except Undefined:
            return []
        if age > 0 or (age < 0 and "external_processes" not in self.policy.values):
            return []
        return self._joined("external_processes")

    def fragments(self) -> list[Any]:
        return self._joined("fragments")

    def trust_lists(self) -> list[Any]:
        return self._joined("transparency_trust_lists")

    def containers(self) -> list[Any]:
        """Every container that may start, once for each rule of a platform where there are any."""
        raw, rules = self._joined("containers"), self._joined("platform_rules")
        if not rules:
            return raw
        return [_on_platform(container, rule) for container in raw for rule in rules]

    def named(self) -> Iterator[tuple[Any, Any]]:
        """The policy's own containers, each with its name, which the framework itself does not look at."""
        for raw in each(self.policy.get("containers")):
            for one in self._own("containers", [raw]):
                yield at({"name": None, **raw}, "name"), one

    def layers(self) -> Iterator[Any]:
        """The layers that may be mounted: of the policy's containers as written, and of fragments'."""
        for container in (*each(self.policy.get("containers")), *self.state.of_fragments("containers")):
            if isinstance(container, dict):
                yield from each(container.get("layers"))


def _on_platform(container: Any, rule: Any) -> Any:
    if not isinstance(container, dict) or not isinstance(rule, dict):
        return container
    return container | {
        name: [*each(container.get(name, [])), *each(rule.get(name, []))] for name in ("env_rules", "mounts")
    }

"""Disks, layers, scratch space, Plan 9 shares, and what is asked of the machine as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sls_jupyter.hosts.judge.case import Allowed, Case
from sls_jupyter.hosts.judge.state import Change
from sls_jupyter.hosts.judge.values import Conflict, Undefined, anchored, at, count, holds, matches, same, text

SCRATCH_FILE_SYSTEMS = ("ext4", "xfs")


def require(*conditions: bool) -> None:
    if not all(conditions):
        raise Undefined


# --- what the reasons ask as well -----------------------------------------------------------------


def device_mounted(case: Case) -> bool:
    target = case.asked.get("target")
    return case.state.has("devices", target) or case.state.has("rw_devices", target)


@holds
def layer_named(case: Case) -> bool:
    wanted = case.of("deviceHash")
    return any(same(wanted, layer) for layer in case.stated.layers())


@holds
def target_fits(case: Case) -> bool:
    return matches(anchored(case.of("mountPathRegex")), case.of("target"))


def file_system_fits(case: Case) -> bool:
    return case.asked.get("filesystem") in SCRATCH_FILE_SYSTEMS


def encrypted_enough(case: Case) -> bool:
    return case.is_set("encrypted") or case.stated.allows("unencrypted_scratch")


@holds
def layers_fit(case: Case, container: Any) -> bool:
    """The overlay's folders hold this container's layers, top layer first."""
    layers, paths = at(container, "layers"), case.of("layerPaths")
    return (
        count(layers) == count(paths)
        and isinstance(paths, list)
        and all(
            same(at(layers, count(layers) - place - 1), case.state.get("devices", path))
            for place, path in enumerate(paths)
        )
    )


def overlay_exists(case: Case) -> bool:
    return case.state.has("matches", case.asked.get("containerID"))


# --- the rules ------------------------------------------------------------------------------------


def mount_device(case: Case) -> Allowed:
    require(not device_mounted(case), layer_named(case), target_fits(case))
    return Allowed((Change("add", "devices", case.of("target"), case.of("deviceHash")),))


def rw_mount_device(case: Case) -> Allowed:
    require(
        not device_mounted(case),
        encrypted_enough(case),
        case.is_set("ensureFilesystem"),
        file_system_fits(case),
        target_fits(case),
    )
    return Allowed((Change("add", "rw_devices", case.of("target"), True),))


def mount_overlay(case: Case) -> Allowed:
    require(not overlay_exists(case), not case.state.has("overlays", case.asked.get("target")))
    fitting = [container for container in case.stated.containers() if layers_fit(case, container)]
    require(bool(fitting))
    return Allowed(
        (
            Change("add", "matches", case.of("containerID"), fitting),
            Change("add", "overlays", case.of("target"), True),
        )
    )


def _unmounting(table: str) -> Callable[[Case], Allowed]:
    def rule(case: Case) -> Allowed:
        target = case.of("unmountTarget")
        require(case.state.has(table, target))
        return Allowed((Change("remove", table, target),))

    return rule


def scratch_mount(case: Case) -> Allowed:
    require(not case.state.has("scratch_mounts", case.asked.get("target")), encrypted_enough(case))
    encrypted = {"encrypted": case.of("encrypted")}
    return Allowed((Change("add", "scratch_mounts", case.of("target"), encrypted),))


def plan9_mount(case: Case) -> Allowed:
    """Whose container the share is for is read from its path; a path that fits two is an error."""
    target = case.of("target")
    require(not case.state.has("plan9_mounts", target))
    prefix, suffix = text(case.of("rootPrefix")), text(case.of("mountPathPrefix"))
    fitting = [owner for owner in case.state.matches if _fits(f"^{prefix}/{owner}{suffix}$", target)]
    require(bool(fitting))
    if len(fitting) > 1:
        raise Conflict("complete rules must not produce multiple outputs: plan9_mount")
    return Allowed((Change("add", "plan9_mounts", target, fitting[0]),))


@holds
def _fits(pattern: str, value: Any) -> bool:
    return matches(pattern, value)


def _switched(what: str) -> Callable[[Case], Allowed]:
    def rule(case: Case) -> Allowed:
        require(case.stated.allows(what))
        return Allowed()

    return rule


def never(_: Case) -> Allowed:
    """Windows, or what the framework denies whatever the policy says."""
    raise Undefined


RULES: dict[str, Callable[[Case], Allowed]] = {
    "mount_device": mount_device,
    "rw_mount_device": rw_mount_device,
    "mount_overlay": mount_overlay,
    "unmount_device": _unmounting("devices"),
    "rw_unmount_device": _unmounting("rw_devices"),
    "unmount_overlay": _unmounting("overlays"),
    "scratch_mount": scratch_mount,
    "scratch_unmount": _unmounting("scratch_mounts"),
    "plan9_mount": plan9_mount,
    "plan9_unmount": _unmounting("plan9_mounts"),
    "get_properties": _switched("properties_access"),
    "dump_stacks": _switched("dump_stacks"),
    "runtime_logging": _switched("runtime_logging"),
    "host_network": _switched("hostnetwork"),
    "mount_blockdev": never,
    "unmount_blockdev": never,
    "mount_cims": never,
    "registry_changes": never,
    "log_provider": never,
}

"""Why the framework denies: its own texts, all that apply, sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sls_jupyter.hosts.judge.case import Case
from sls_jupyter.hosts.judge.rules import devices, fragments, start_reasons
from sls_jupyter.hosts.judge.rules.start_reasons import Texts, say
from sls_jupyter.hosts.judge.values import Undefined, compare, holds, is_version, number
from sls_jupyter.hosts.judge.versions import FRAMEWORK_VERSION, version_of

# --- devices --------------------------------------------------------------------------------------


def _mount_device(case: Case) -> Texts:
    yield from say(
        {
            "deviceHash not found": not devices.layer_named(case),
            "device already mounted at path": devices.device_mounted(case),
            "mountpoint invalid": not devices.target_fits(case),
        }
    )


def _rw_mount_device(case: Case) -> Texts:
    yield from say(
        {
            "device already mounted at path": devices.device_mounted(case),
            "mountpoint invalid": not devices.target_fits(case),
            "unencrypted scratch not allowed, non-readonly mount request for SCSI disk must request encryption": (
                not devices.encrypted_enough(case)
            ),
            "ensureFilesystem must be set on rw device mounts": not case.is_set("ensureFilesystem"),
            "rw device mounts uses a filesystem that is not allowed": not devices.file_system_fits(case),
        }
    )


def _unmount(case: Case, table: str, other: str, mixed: str) -> Texts:
    target = case.asked.get("unmountTarget")
    here, there = case.state.has(table, target), case.state.has(other, target)
    yield from say({"no device at path to unmount": not here and not there, mixed: not here and there})


def _unmount_device(case: Case) -> Texts:
    mixed = "received read-only unmount request, but device provided is read-write"
    yield from _unmount(case, "devices", "rw_devices", mixed)


def _rw_unmount_device(case: Case) -> Texts:
    mixed = "received read-write unmount request, but device provided is read-only"
    yield from _unmount(case, "rw_devices", "devices", mixed)


def _mount_overlay(case: Case) -> Texts:
    fits = any(devices.layers_fit(case, container) for container in case.stated.containers())
    yield from say(
        {
            "overlay has already been mounted": devices.overlay_exists(case),
            "no matching containers for overlay": not fits,
        }
    )


def _absent(table: str, key: str, text: str) -> Callable[[Case], Texts]:
    return lambda case: say({text: not case.state.has(table, case.asked.get(key))})


def _present(table: str, key: str, text: str) -> Callable[[Case], Texts]:
    return lambda case: say({text: case.state.has(table, case.asked.get(key))})


def _scratch_mount(case: Case) -> Texts:
    yield from _present("scratch_mounts", "target", "scratch already mounted at path")(case)
    yield from say({"unencrypted scratch not allowed": not devices.encrypted_enough(case)})


def _blockdev(_: Case) -> Texts:
    yield "blockdev mounts are not supported"


# --- fragments ------------------------------------------------------------------------------------


@holds
def _is_number(value: Any) -> bool:
    number(value)
    return True


def _forms_differ(case: Case, minimum: Any) -> bool:
    """A version of three numbers is compared with a single number."""
    if case.is_set("has_header_svn") and is_version(minimum):
        return True
    try:
        svn = fragments.stated_svn(case)
    except Undefined:
        return False
    return (_is_number(svn) and is_version(minimum)) or (is_version(svn) and _is_number(minimum))


def _loaded_fragment(case: Case) -> Texts:
    meant = fragments.named(case)
    if meant:
        minimums = [one.get("minimum_svn") for one in meant if "minimum_svn" in one]
        header = case.is_set("has_header_svn")
        module = fragments.loading(case)
        svn = module.get("svn") if module else None
        states = fragments.states_svn(case)
        fits = any(states and fragments.svn_fits(svn, minimum) for minimum in minimums) or any(
            header and fragments.svn_fits(case.asked.get("header_svn"), minimum) for minimum in minimums
        )
        differ = any(_forms_differ(case, minimum) for minimum in minimums)
        said = case.asked.get("header_svn")
        apart = header and states and _is_number(svn) and _is_number(said) and number(svn) != number(said)
        yield from say(
            {
                "fragment svn is below the specified minimum": not differ and not fits,
                "fragment svn and the specified minimum are different types": differ,
                f"svn in header {said} does not match svn in fragment rego {svn}": apart,
                "missing fragment svn in either header or rego payload": not header and not states,
            }
        )
    module = fragments.loading(case)
    if case.is_set("namespace"):
        version = version_of(module, "framework") if module else None
        yield from _version_texts("fragment framework_version", version)


def _load_fragment(case: Case) -> Texts:
    known = any(fragments.issued(case, one) for one in case.stated.fragments())
    meant = fragments.named(case)
    yield from say({"invalid fragment issuer": not known, "invalid fragment feed": known and not meant})
    if case.is_set("fragment_loaded"):
        yield from _loaded_fragment(case)
        return
    for fragment in meant:
        for required in fragments.required_receipts(fragment):
            if not fragments.receipt_there(case, required):
                yield f"missing receipt from {required}"


def _load_trust_list(case: Case) -> Texts:
    fits = any(fragments.trust_list_fits(case, entry) for entry in case.stated.trust_lists())
    yield from say(
        {
            "no TTL candidate matches the provided TTL's issuer, subject and svn": not fits,
            "The provided TTL does not contain any ledgers it is allowed to load": (
                fits and not fragments.allowed_ledgers(case)
            ),
        }
    )


# --- all of them ----------------------------------------------------------------------------------


def _version_texts(what: str, version: Any) -> Texts:
    """About a ``framework_version`` that is missing, or newer than this framework."""
    if version is None:
        yield f"{what} is missing. Current version: {FRAMEWORK_VERSION}"
    elif is_version(version) and compare(version, FRAMEWORK_VERSION) > 0:
        yield f"{what} is ahead of the current version: {version} is greater than {FRAMEWORK_VERSION}"


_TEXTS: dict[str, Callable[[Case], Texts]] = start_reasons.TEXTS | {
    "mount_device": _mount_device,
    "rw_mount_device": _rw_mount_device,
    "unmount_device": _unmount_device,
    "rw_unmount_device": _rw_unmount_device,
    "mount_blockdev": _blockdev,
    "unmount_blockdev": _blockdev,
    "mount_overlay": _mount_overlay,
    "unmount_overlay": _absent("overlays", "unmountTarget", "no overlay at path to unmount"),
    "plan9_mount": _present("plan9_mounts", "target", "device already mounted at path"),
    "plan9_unmount": _absent("plan9_mounts", "unmountTarget", "no device at path to unmount"),
    "scratch_mount": _scratch_mount,
    "scratch_unmount": _absent("scratch_mounts", "unmountTarget", "no scratch at path to unmount"),
    "load_fragment": _load_fragment,
    "load_transparency_trust_list": _load_trust_list,
}


def errors(case: Case) -> tuple[str, ...]:
    """The texts for a question that was denied; each once, sorted by their bytes."""
    texts = set(_TEXTS[case.point](case)) if case.point in _TEXTS else set()
    texts |= set(_version_texts("framework_version", case.stated.framework_version))
    return tuple(sorted(texts, key=str.encode))

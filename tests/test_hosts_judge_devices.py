"""Disks and what else is mounted on the machine, and the questions about the machine as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import LAYERS, container, machine, policy

from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.machine import LAYER_MOUNTS

LAYER = {"target": "/run/mounts/scsi/m1", "deviceHash": LAYERS[0], "mountPathRegex": LAYER_MOUNTS}
DISK = {
    "target": "/run/gcs/c/0",
    "mountPathRegex": "/run/gcs/c/[0-9]",
    "encrypted": True,
    "ensureFilesystem": True,
    "filesystem": "ext4",
}
UNENCRYPTED = "unencrypted scratch not allowed, non-readonly mount request for SCSI disk must request encryption"


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, ()),
        ({"deviceHash": "c" * 64}, ("deviceHash not found",)),
        ({"target": "/run/mounts/scsi/m1/x"}, ("mountpoint invalid",)),
        ({"target": "/etc", "deviceHash": ""}, ("deviceHash not found", "mountpoint invalid")),
        ({"target": None}, ("mountpoint invalid",)),
    ],
)
def test_layers_are_those_of_the_policy_in_their_place(changes: dict[str, Any], texts: tuple[str, ...]) -> None:
    """Another image is found out before anything runs."""
    verdict = Judge(policy(container())).decide("mount_device", LAYER | changes)
    assert (verdict.allowed, verdict.errors) == (not texts, texts)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, ()),
        ({"filesystem": "xfs"}, ()),
        ({"filesystem": "btrfs"}, ("rw device mounts uses a filesystem that is not allowed",)),
        ({"encrypted": False}, (UNENCRYPTED,)),
        ({"ensureFilesystem": False}, ("ensureFilesystem must be set on rw device mounts",)),
        ({"target": "/x"}, ("mountpoint invalid",)),
    ],
)
def test_writable_disks_are_encrypted_and_fresh(changes: dict[str, Any], texts: tuple[str, ...]) -> None:
    """The host cannot give a container a disk that it has written before, or will read."""
    verdict = Judge(policy(container())).decide("rw_mount_device", DISK | changes)
    assert (verdict.allowed, verdict.errors) == (not texts, texts)


def test_a_policy_may_allow_unencrypted_scratch() -> None:
    """Then both questions about it are allowed."""
    judging = Judge(policy(container(), allow_unencrypted_scratch=True))
    assert judging.decide("rw_mount_device", DISK | {"encrypted": False}).allowed
    assert judging.decide("scratch_mount", {"target": "/s", "encrypted": False}).allowed


def test_one_place_holds_one_disk() -> None:
    """Nothing is mounted over what was checked, and what is unmounted is of its kind."""
    judging = Judge(policy(container()))
    assert judging.decide("mount_device", LAYER).allowed
    assert judging.decide("rw_mount_device", DISK).allowed
    assert judging.decide("mount_device", LAYER).errors == ("device already mounted at path",)
    over = DISK | {"target": LAYER["target"], "mountPathRegex": LAYER_MOUNTS}
    assert judging.decide("rw_mount_device", over).errors == ("device already mounted at path",)
    layer, disk = {"unmountTarget": LAYER["target"]}, {"unmountTarget": DISK["target"]}
    mixed = judging.decide("rw_unmount_device", layer).errors
    assert mixed == ("received read-write unmount request, but device provided is read-only",)
    mixed = judging.decide("unmount_device", disk).errors
    assert mixed == ("received read-only unmount request, but device provided is read-write",)
    for point, ask in (("unmount_device", layer), ("rw_unmount_device", disk)):
        assert judging.decide(point, ask).allowed
        assert judging.decide(point, ask).errors == ("no device at path to unmount",)


def test_an_overlay_is_unmounted_once() -> None:
    """And its container is known as before: it keeps what it was narrowed down to."""
    judging = machine(policy(container()))
    ask = {"unmountTarget": "/run/gcs/c/c0/rootfs"}
    assert judging.decide("unmount_overlay", ask).allowed
    assert judging.decide("unmount_overlay", ask).errors == ("no overlay at path to unmount",)
    assert judging.state.matches["c0"]


def test_scratch_space() -> None:
    """Encrypted, once at a place."""
    judging = Judge(policy(container()))
    plain = judging.decide("scratch_mount", {"target": "/s", "encrypted": False})
    assert plain.errors == ("unencrypted scratch not allowed",)
    assert judging.decide("scratch_mount", {"target": "/s", "encrypted": True}).allowed
    again = judging.decide("scratch_mount", {"target": "/s", "encrypted": True})
    assert again.errors == ("scratch already mounted at path",)
    assert judging.decide("scratch_unmount", {"unmountTarget": "/s"}).allowed
    assert judging.decide("scratch_unmount", {"unmountTarget": "/s"}).errors == ("no scratch at path to unmount",)


def test_raw_block_devices_are_never_allowed() -> None:
    """Whatever the policy says of containers."""
    judging = Judge(policy(container(allow_elevated=True), api_version="0.12.0"))
    for point in ("mount_blockdev", "unmount_blockdev"):
        assert judging.decide(point, {}).errors == ("blockdev mounts are not supported",)


@pytest.mark.parametrize(
    ("point", "switch"),
    [
        ("get_properties", "allow_properties_access"),
        ("dump_stacks", "allow_dump_stacks"),
        ("runtime_logging", "allow_runtime_logging"),
    ],
)
def test_looking_inside_is_a_switch_of_the_policy(point: str, switch: str) -> None:
    """Denied unless it is on; there is no text for it."""
    for value in (None, False):
        verdict = Judge(policy(container(), **{switch: value})).decide(point, {})
        assert (verdict.allowed, verdict.errors) == (False, ())
    assert Judge(policy(container(), **{switch: True})).decide(point, {}).allowed


def test_two_containers_that_a_share_could_be_for_are_an_error() -> None:
    """A container id that is an expression could take a share that is another's."""
    judging = machine(policy(container()), "c.")
    judging.state.matches["cc"] = judging.state.matches["c."]
    ask = {"rootPrefix": "/r", "mountPathPrefix": "/m", "target": "/r/cc/m"}
    verdict = judging.decide("plan9_mount", ask)
    assert not verdict.allowed
    assert "multiple outputs" in verdict.problem

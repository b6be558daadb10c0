"""What may be mounted into a container: the policy's own, the machine's, and the expressions of sources."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import asked, container, machine, policy, start

from sls_jupyter.hosts.judge.machine import DEFAULT_MOUNTS, PRIVILEGED_MOUNTS, mount
from sls_jupyter.hosts.judge.starts import HUGE_PAGES_FOLDER, SANDBOX_FOLDER, bind

EMPTY_DIR = bind("sandbox:///tmp/atlas/emptydir/.+", "/data", "rw")
GIVEN = bind(f"{SANDBOX_FOLDER}/tmp/atlas/emptydir/7", "/data", "rw")


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"source": f"{SANDBOX_FOLDER}/tmp/atlas/emptydir/8"}, True),  # any emptyDir: the framework does not tell
        ({"source": "/etc"}, False),
        ({"source": f"{SANDBOX_FOLDER}/tmp/atlas/emptydir/"}, False),
        ({"source": f"/x{SANDBOX_FOLDER}/tmp/atlas/emptydir/7"}, False),
        ({"destination": "/other"}, False),
        ({"options": ["rw", "rshared", "rbind"]}, True),
        ({"options": ["rbind", "rshared", "ro"]}, False),
        ({"options": ["rbind", "rshared"]}, False),
        ({"options": ["rbind", "rshared", "rw", "rw"]}, False),
        ({"type": "tmpfs"}, False),
    ],
)
def test_a_mount_needs_a_rule(changes: dict[str, Any], allowed: bool) -> None:
    """Source below the group's folder, destination, kind and options; the text names the destination."""
    given = GIVEN | changes
    verdict = start(policy(container(mounts=[EMPTY_DIR])), mounts=[given])
    assert verdict.allowed is allowed
    assert verdict.errors == (() if allowed else (f"invalid mount list: {given['destination']}",))


def test_fewer_mounts_are_allowed_and_two_at_one_place_too() -> None:
    """A loss for the container, and nothing the framework prevents: the guest has to look itself."""
    source = policy(container(mounts=[EMPTY_DIR]))
    assert start(source, mounts=[]).allowed
    assert start(source, mounts=[GIVEN, GIVEN]).allowed


@pytest.mark.parametrize("given", DEFAULT_MOUNTS, ids=lambda one: one["destination"])
def test_the_machines_own_mounts_need_no_rule(given: dict[str, Any]) -> None:
    """Every container has /proc."""
    assert start(policy(container()), mounts=[given]).allowed


@pytest.mark.parametrize("given", PRIVILEGED_MOUNTS, ids=lambda one: one["type"])
def test_writable_system_mounts_are_for_those_who_may_be_privileged(given: dict[str, Any]) -> None:
    """Whether they are started as privileged or not."""
    assert not start(policy(container()), mounts=[given]).allowed
    assert start(policy(container(allow_elevated=True)), mounts=[given]).allowed


def test_the_pause_container_may_have_a_writable_sys() -> None:
    """containerd 2 mounts it so in a privileged group; only there, and only so."""
    sysfs = mount("sysfs", "sysfs", "/sys", "rw,nosuid,noexec,nodev")
    assert start(policy(container()), mounts=[sysfs], isSandboxContainer=True).allowed
    assert not start(policy(container()), mounts=[sysfs]).allowed
    more = {**sysfs, "options": [*sysfs["options"], "exec"]}
    assert not start(policy(container()), mounts=[more], isSandboxContainer=True).allowed


def test_huge_pages_have_their_own_folder() -> None:
    """A source hugepages://2M/a is below the machine's folder for them."""
    rule = bind("hugepages://2M/a", "/huge", "rw")
    assert start(policy(container(mounts=[rule])), mounts=[bind(f"{HUGE_PAGES_FOLDER}2M/a", "/huge", "rw")]).allowed
    assert not start(policy(container(mounts=[rule])), mounts=[bind("hugepages:2M/b", "/huge", "rw")]).allowed


def test_a_plan9_share_belongs_to_one_container() -> None:
    """What was shared for another container is not mounted."""
    rule = bind("plan9://share", "/share", "rw")
    judging = machine(policy(container(mounts=[rule])))
    share = {"rootPrefix": "/run/gcs/c", "mountPathPrefix": "/mnt[0-9]+"}
    assert not judging.decide("plan9_mount", {**share, "target": "/run/gcs/c/other/mnt1"}).allowed
    assert judging.decide("plan9_mount", {**share, "target": "/run/gcs/c/c0/mnt1"}).allowed
    twice = judging.decide("plan9_mount", {**share, "target": "/run/gcs/c/c0/mnt1"})
    assert twice.errors == ("device already mounted at path",)
    other = asked(mounts=[bind("/run/gcs/c/c0/mnt2", "/share", "rw")])
    assert not judging.decide("create_container", other).allowed
    assert judging.decide("create_container", asked(mounts=[bind("/run/gcs/c/c0/mnt1", "/share", "rw")])).allowed
    assert judging.decide("plan9_unmount", {"unmountTarget": "/run/gcs/c/c0/mnt1"}).allowed
    gone = judging.decide("plan9_unmount", {"unmountTarget": "/run/gcs/c/c0/mnt1"})
    assert gone.errors == ("no device at path to unmount",)

"""What a policy's versions leave out: questions, members of containers, and what only a newer framework knows."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import ANYBODY, asked, container, policy, start

from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.reading import read_module
from sls_jupyter.hosts.judge.state import State
from sls_jupyter.hosts.judge.versions import POINTS, Stated

SANDBOX_MOUNT = {"destination": "/p", "options": ["ro"], "source": "/p", "type": "bind"}


@pytest.mark.parametrize(
    ("member", "since", "strict", "change"),
    [
        ("no_new_privileges", "0.2.0", True, {"noNewPrivileges": False}),
        (
            "user",
            "0.2.1",
            {"user_idname": {"pattern": "9", "strategy": "id"}, "group_idnames": [ANYBODY], "umask": "0022"},
            {},
        ),
        ("seccomp_profile_sha256", "0.2.3", "11", {"seccompProfileSHA256": ""}),
    ],
)
def test_a_member_counts_from_its_framework_on(member: str, since: str, strict: Any, change: dict[str, Any]) -> None:
    """An older policy that has it by accident means nothing by it; one that needs it and lacks it names no container."""
    before = {"0.2.0": "0.1.0", "0.2.1": "0.2.0", "0.2.3": "0.2.2"}[since]
    usual = {"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []}
    if before < "0.2.2":
        usual |= {name: asked_usual() for name in ("bounding", "effective", "permitted")}
    ask = change | {"capabilities": usual}
    assert start(policy(container(**{member: strict}), framework_version=before), **ask).allowed
    assert not start(policy(container(**{member: strict}), framework_version="0.2.3"), **change).allowed
    lacking = container()
    del lacking[member]
    stated = Stated(read_module(policy(lacking, framework_version="0.2.3")), State())
    assert stated.containers() == []


def asked_usual() -> list[str]:
    from sls_jupyter.hosts.judge.machine import UNPRIVILEGED_CAPABILITIES

    return list(UNPRIVILEGED_CAPABILITIES)


def test_platform_rules_multiply_containers() -> None:
    """From framework 0.5.0 on: what one platform adds, or another, but not a mixture of both."""
    one = {"env_rules": [{"pattern": "P=1", "strategy": "string"}], "mounts": [SANDBOX_MOUNT]}
    two = {"env_rules": [{"pattern": "P=2", "strategy": "string"}]}
    source = policy(container(), platform_rules=[one, two], framework_version="0.5.0")
    for env, mounts, allowed in (
        (["P=1"], [SANDBOX_MOUNT], True),
        (["P=2", "A=1"], [], True),
        (["P=1", "P=2"], [], False),
        (["P=2"], [SANDBOX_MOUNT], False),
        (["P=3"], [], False),
    ):
        assert start(source, envList=env, mounts=mounts).allowed is allowed
    older = policy(container(), platform_rules=[one], framework_version="0.4.1")
    assert not start(older, envList=["P=1"]).allowed


def test_external_processes_of_an_old_policy_need_their_list() -> None:
    """Absent is as if there were none."""
    assert not Judge(policy(container())).decide("exec_external", asked()).allowed


@pytest.mark.parametrize("name", ["containers", "fragments"])
def test_a_policy_may_leave_lists_away(name: str) -> None:
    """Such a policy names nothing, and is still a policy."""
    judging = Judge(policy(containers=None, fragments=None))
    assert not judging.decide("mount_device", {}).allowed
    assert judging.layers() == []
    assert name not in read_module(policy(**{name: None})).values


def test_what_allows_by_default_is_known() -> None:
    """A policy that leaves these away for an old api_version opens them; a preflight has to say so."""
    assert {name for name, point in POINTS.items() if point.allowed} == {
        "unmount_device",
        "unmount_overlay",
        "exec_in_container",
        "exec_external",
        "shutdown_container",
        "signal_container_process",
        "plan9_mount",
        "plan9_unmount",
        "get_properties",
        "dump_stacks",
        "runtime_logging",
        "scratch_mount",
        "scratch_unmount",
    }

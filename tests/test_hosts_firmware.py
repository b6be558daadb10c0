"""The stand-in for firmware: it starts what the judge admits, says why not in words, and is stricter in two places only."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from host_contract import group_of

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.errors import MalformedDocument, Refused
from sls_jupyter.hosts.firmware import Firmware, StartRequest, start_request
from sls_jupyter.hosts.judge.starts import EMPTY_DIRS
from sls_jupyter.hosts.starting import environment_of

GROUP = group_of()
POLICY = cce.render(GROUP)


def firmware(policy: bytes = POLICY) -> Firmware:
    return Firmware(policy, measure=lambda: GROUP.image)


def request(name: str = "input") -> StartRequest:
    container = GROUP.container(name)
    return start_request(container, environment_of(container, 4000 if container.port else None))


def test_every_container_of_the_group_is_admitted_once() -> None:
    """An honest launch succeeds; a second program beside the first does not, though the framework would allow it."""
    machine = firmware()
    for container in GROUP.containers:
        assert machine.admit(request(container.name)) == request(container.name).environment
    with pytest.raises(Refused, match="a second time"):
        machine.admit(request("program"))


def test_host_data_and_measurement_are_those_of_policy_and_code() -> None:
    """The evidence of the group names what was enforced."""
    assert firmware().host_data == hashlib.sha256(POLICY).digest()
    assert Firmware(POLICY).measurement == measure_installed().measurement


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("command", {"command": ("python3", "-I", "-c", "import evil")}, "import evil"),
    ("command", {"command": (*GROUP.container("input").command, "--more")}, "--more"),
    ("mounts", {"mounts": (*request().mounts, (f"{EMPTY_DIRS}/result", "/run/sls/result", "rw"))}, "/run/sls/result"),
    (
        "mounts",
        {"mounts": (("/etc", *request().mounts[0][1:]), *request().mounts[1:])},
        "/run/sls/feed (rbind,rshared,rw)",
    ),
    (
        "mounts",
        {"mounts": ((*request().mounts[0][:2], "ro"), *request().mounts[1:])},
        "/run/sls/feed (rbind,rshared,ro)",
    ),
    ("seccomp", {"seccomp_sha256": "00" * 32}, "00" * 32),
    ("user", {"user": 1002}, "user 1002, group 1001"),
    ("user", {"group": 1003}, "user 0, group 1003"),
]


@pytest.mark.parametrize(("rule", "change", "found"), CHANGES)
def test_any_change_is_refused_with_its_reason(rule: str, change: dict[str, Any], found: str) -> None:
    """The operator who changes one word of a container learns which, and gets nothing."""
    with pytest.raises(Refused, match="does not admit the container input") as caught:
        firmware().admit(dataclasses.replace(request(), **change))
    assert caught.value.detail["container"] == "input"
    assert caught.value.detail["reasons"] == [rule]
    assert found in str(caught.value.found)
    assert caught.value.expected
    assert caught.value.hint


def test_several_changes_are_all_named() -> None:
    """One look is enough to repair a template."""
    with pytest.raises(Refused) as caught:
        firmware().admit(dataclasses.replace(request(), command=("sh",), user=9))
    assert caught.value.detail["reasons"] == ["command", "user"]
    assert caught.value.detail["framework"] == ["invalid command", "invalid user"]
    assert "command: sh; user: user 9" in str(caught.value.found)


def test_a_volume_is_not_made_writable_for_the_program() -> None:
    """A cell that could write into a shared volume could put a link where its neighbours look."""
    asked = request("program")
    writable = tuple((source, destination, "rw") for source, destination, _ in asked.mounts)
    assert {access for *_, access in asked.mounts} == {"ro"}
    with pytest.raises(Refused, match="mounted"):
        firmware().admit(dataclasses.replace(asked, mounts=writable))


def test_the_program_does_not_start_without_its_profile() -> None:
    """A host that leaves the seccomp profile away does not get the program."""
    with pytest.raises(Refused, match="seccomp") as caught:
        firmware().admit(dataclasses.replace(request("program"), seccomp_sha256=""))
    assert caught.value.detail["reasons"] == ["seccomp"]
    assert caught.value.detail["framework"] == []  # other containers have none: the framework has no text for this


@pytest.mark.parametrize(
    "more", ["SLS_ROOT=/tmp", "LD_PRELOAD=/tmp/evil.so", "HOSTNAME=a;b", "X=1\nSLS_LISTEN=127.0.0.1:80"]
)
def test_an_unknown_variable_is_dropped(more: str) -> None:
    """As on Azure: the container starts, and the variable does not reach it."""
    asked = request()
    assert firmware().admit(dataclasses.replace(asked, environment=(*asked.environment, more))) == asked.environment


def test_a_policy_that_does_not_drop_names_the_variable_and_not_its_value() -> None:
    """A secret in a variable that is refused does not end in an error message."""
    machine = firmware(POLICY.replace(b"dropping := true", b"dropping := false"))
    with pytest.raises(Refused) as caught:
        machine.admit(dataclasses.replace(request(), environment=("TOKEN=canary",)))
    assert caught.value.detail["reasons"] == ["environment"]
    assert "canary" not in str(caught.value) + str(caught.value.detail)
    assert "TOKEN" in str(caught.value)


def test_a_required_variable_must_be_there() -> None:
    """What the policy requires cannot be left away."""
    rules = tuple(dataclasses.replace(rule, required=True) for rule in GROUP.container("audit").env_rules)
    audit = dataclasses.replace(GROUP.container("audit"), env_rules=rules)
    machine = firmware(cce.render(ContainerGroup(GROUP.image, (audit,))))
    with pytest.raises(Refused, match="variable is missing"):
        machine.admit(start_request(audit, ("HOME=/tmp",)))


def test_code_is_measured_at_every_start() -> None:
    """Guest code that changes between two containers stops the second."""
    images = [GROUP.image, GROUP.image, GuestImage("x", ("11" * 32,), bytes(48))]
    machine = Firmware(POLICY, measure=lambda: images.pop(0))
    machine.admit(request("input"))
    with pytest.raises(Refused, match="another one") as caught:
        machine.admit(request("output"))
    assert caught.value.detail["reasons"] == ["layer"]
    assert (caught.value.found, GROUP.image.layers[0] in str(caught.value.expected)) == ("11" * 32, True)


def test_a_container_without_layers_needs_a_policy_that_says_so() -> None:
    """An image that lost its layers is another image."""
    with pytest.raises(Refused, match="layers in this order"):
        Firmware(POLICY, measure=lambda: GuestImage("x", (), bytes(48))).admit(request())


def test_an_empty_policy_admits_nothing() -> None:
    """Everything that is not named is denied."""
    machine = firmware(cce.render(ContainerGroup(GROUP.image, ())))
    with pytest.raises(Refused):
        machine.admit(request())


def test_a_policy_that_allows_everything_is_enforced_as_it_stands() -> None:
    """It is no stricter here than on Azure; its digest is in the evidence, and no authority derives that one."""
    points = ("mount_device", "mount_overlay", "create_container")
    lines = ["package policy", 'api_version := "0.10.0"', *(f'{point} := {{"allowed": true}}' for point in points), ""]
    asked = dataclasses.replace(request(), command=("sh",))
    assert firmware("\n".join(lines).encode()).admit(asked) == asked.environment


def test_what_is_no_policy_is_not_enforced() -> None:
    """A policy that cannot be read starts nothing."""
    for source in (b"", b"package policy\nallow { true }\n", POLICY.replace(b"package policy", b"package other")):
        with pytest.raises(MalformedDocument):
            firmware(source)

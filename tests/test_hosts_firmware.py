"""The stand-in for firmware: what the policy does not name does not start, and the reason is said."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from host_contract import group_of
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.errors import MalformedDocument, Refused
from sls_jupyter.hosts.firmware import EMPTY_DIR, Firmware, StartRequest, read_policy, start_request
from sls_jupyter.hosts.starting import environment_of

GROUP = group_of()
POLICY = cce.render(GROUP)


def firmware(policy: bytes = POLICY) -> Firmware:
    return Firmware(policy, measure=lambda: GROUP.image)


def request(name: str = "input") -> StartRequest:
    container = GROUP.container(name)
    return start_request(container, environment_of(container, 4000 if container.port else None))


def test_every_container_of_the_group_is_admitted_once() -> None:
    """An honest launch succeeds; a second program beside the first does not."""
    machine = firmware()
    for container in GROUP.containers:
        machine.admit(request(container.name))
    with pytest.raises(Refused, match="a second time"):
        machine.admit(request("program"))


def test_host_data_and_measurement_are_those_of_policy_and_code() -> None:
    """The evidence of the group names what was enforced."""
    assert firmware().host_data == hashlib.sha256(POLICY).digest()
    assert Firmware(POLICY).measurement == measure_installed().measurement


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("command", {"command": ("python3", "-I", "-c", "import evil")}),
    ("command", {"command": (*GROUP.container("input").command, "--more")}),
    ("environment", {"environment": (*request().environment, "SLS_ROOT=/tmp")}),
    ("environment", {"environment": (*request().environment, "LD_PRELOAD=/tmp/evil.so")}),
    ("environment", {"environment": (*request().environment, "HOME=/tmp")}),
    ("environment", {"environment": (*request().environment, "HOSTNAME=a;b")}),
    ("environment", {"environment": ("SLS_LISTEN=127.0.0.1:80\nX=1",)}),
    ("list of mounts", {"mounts": request().mounts[1:]}),
    ("list of mounts", {"mounts": (*request().mounts, (EMPTY_DIR + "result", "/run/sls/result", "rw"))}),
    ("list of mounts", {"mounts": (("/etc", *request().mounts[0][1:]), *request().mounts[1:])}),
    ("list of mounts", {"mounts": ((*request().mounts[0][:2], "ro"), *request().mounts[1:])}),
    ("seccomp profile", {"seccomp_sha256": "00" * 32}),
]


def test_a_volume_is_not_made_writable_for_the_program() -> None:
    """A cell that could write into a shared volume could put a link where its neighbours look."""
    asked = request("program")
    writable = tuple((source, destination, "rw") for source, destination, _ in asked.mounts)
    assert {access for *_, access in asked.mounts} == {"ro"}
    with pytest.raises(Refused, match="another list of mounts"):
        firmware().admit(dataclasses.replace(asked, mounts=writable))


@pytest.mark.parametrize(("reason", "change"), CHANGES)
def test_any_change_is_refused_with_its_reason(reason: str, change: dict[str, Any]) -> None:
    """The operator who changes one word of a container learns which, and gets nothing."""
    with pytest.raises(Refused, match=f"another {reason}") as caught:
        firmware().admit(dataclasses.replace(request(), **change))
    assert caught.value.detail == {"container": "input", "reason": reason}


def test_the_program_does_not_start_without_its_profile() -> None:
    """A host that leaves the seccomp profile away does not get the program."""
    with pytest.raises(Refused, match="seccomp"):
        firmware().admit(dataclasses.replace(request("program"), seccomp_sha256=""))


def test_a_required_variable_must_be_there() -> None:
    """What the policy requires cannot be left away."""
    rules = tuple(dataclasses.replace(rule, required=True) for rule in GROUP.container("audit").env_rules)
    audit = dataclasses.replace(GROUP.container("audit"), env_rules=rules)
    machine = firmware(cce.render(ContainerGroup(GROUP.image, (audit,))))
    with pytest.raises(Refused, match="environment"):
        machine.admit(start_request(audit, ("HOME=/tmp",)))


def test_a_refusal_never_shows_a_value() -> None:
    """A secret in a variable that is refused does not end in an error message."""
    with pytest.raises(Refused) as caught:
        firmware().admit(dataclasses.replace(request(), environment=("TOKEN=canary",)))
    assert "canary" not in str(caught.value)
    assert "TOKEN" in str(caught.value)


def test_code_is_measured_at_every_start() -> None:
    """Guest code that changes between two containers stops the second."""
    images = [GROUP.image, GROUP.image, GuestImage("x", ("11" * 32,), bytes(48))]
    machine = Firmware(POLICY, measure=lambda: images.pop(0))
    machine.admit(request("input"))
    with pytest.raises(Refused, match="another code"):
        machine.admit(request("output"))


def test_an_empty_policy_admits_nothing() -> None:
    """Everything that is not named is denied."""
    machine = firmware(cce.render(ContainerGroup(GROUP.image, ())))
    with pytest.raises(Refused):
        machine.admit(request())


def test_a_policy_is_read_as_it_was_rendered() -> None:
    """The five containers come back: the group's four and the pause container."""
    names = [container.name for container in read_policy(POLICY)]
    assert names == ["input", "program", "output", "audit", "pause-container"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"allow_dump_stacks := false", b"allow_dump_stacks := true"),
        (b"create_container := data.framework.create_container", b'create_container := {"allowed": true}'),
        (b"package policy", b"package policy "),
        (b'"no_new_privileges": true', b'"no_new_privileges": false'),
        (b'"allow_elevated": false', b'"allow_elevated": true'),
        (b'"allow_stdio_access": false', b'"allow_stdio_access": true'),
        (b'"exec_processes": []', b'"exec_processes": [{"command": ["sh"]}]'),
        (b'"bounding": []', b'"bounding": ["CAP_SYS_ADMIN"]'),
        (b'"working_dir": "/"', b'"working_dir": "/tmp"'),
        (b'"name": "input"', b'"name":  "input"'),
        (b'"name": "input"', b'"more": 1, "name": "input"'),
    ],
)
def test_a_policy_that_allows_more_is_not_read(old: bytes, new: bytes) -> None:
    """Nothing is enforced in part: an unknown allowance refuses the whole policy."""
    assert old in POLICY
    with pytest.raises(MalformedDocument):
        read_policy(POLICY.replace(old, new, 1))


@given(place=st.integers(0, len(POLICY) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_another_policy(place: int, value: int) -> None:
    """A changed byte is refused, or read as what it now says; it never ends in a foreign error."""
    changed = POLICY[:place] + bytes([value]) + POLICY[place + 1 :]
    try:
        containers = read_policy(changed)
    except MalformedDocument:
        return
    assert (containers == read_policy(POLICY)) == (changed == POLICY)


@given(st.binary(max_size=300))
def test_noise_is_not_a_policy(noise: bytes) -> None:
    """Any bytes end in our own error."""
    with pytest.raises(MalformedDocument):
        read_policy(noise)

"""What every host must keep, as one reusable class, and builders of small groups whose code is in their commands.

A host's own test file subclasses :class:`HostContract` and gives it a ``host`` fixture.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import (
    _DEVICE,
    _ENV,
    _LISTEN,
    INPUT_PORT,
    OUTPUT_PORT,
    ROLES,
    Container,
    ContainerGroup,
    Role,
    _mounts,
)
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.contract.places import IDS
from sls_jupyter.contract.seccomp import program_profile_bytes
from sls_jupyter.errors import SlsError
from sls_jupyter.safestream.host import Host, RunningGroup

SLEEP = "time.sleep(60)"
PRELUDE = """
import json, os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # process 1 of a PID namespace is not ended by it otherwise
ROOT = os.environ.get("SLS_ROOT", "")
def tell(**facts):
    print(json.dumps(facts), file=sys.stderr, flush=True)
def attempt(function, *arguments):
    try:
        return ["done", repr(function(*arguments))]
    except OSError as error:
        return ["refused", error.strerror]
"""
DOOR = """
host, port = os.environ["SLS_LISTEN"].split(":")
with socket.create_server((host, int(port))) as server:
    tell(listening=True)
    connection, _ = server.accept()
    connection.sendall(b"hello")
    connection.close()
time.sleep(60)
"""


def container(role: Role, code: str) -> Container:
    """A container like the real one of its role, running ``code`` after the prelude."""
    program = role == "program"
    port = {"input": INPUT_PORT, "output": OUTPUT_PORT}.get(role)
    return Container(
        name=role,
        command=("python3", "-I", "-c", PRELUDE + code),
        env_rules=_ENV + (() if program else (_DEVICE,)) + ((_LISTEN,) if port else ()),
        mounts=_mounts(role),
        port=port,
        cpus=1,
        memory_bytes=1 << 28,
        network=not program,
        seccomp_sha256=hashlib.sha256(program_profile_bytes()).hexdigest() if program else "",
        user=IDS[role][0],
        group=IDS[role][1],
    )


def image_of(host: Host) -> GuestImage:
    """What this host runs."""
    return host.capabilities().image or measure_installed()


def group_of(image: GuestImage | None = None, **codes: str) -> ContainerGroup:
    """Four containers of an image, by default the installed code; a role without code sleeps."""
    containers = tuple(container(role, codes.get(role, SLEEP)) for role in ROLES)
    return ContainerGroup(image or measure_installed(), containers)


def launch(host: Host, **codes: str) -> RunningGroup:
    group = group_of(image_of(host), **codes)
    return host.launch(group, cce.render(group))


def told(group: RunningGroup, name: str, seconds: float = 15) -> Mapping[str, Any]:
    """What a container told with ``tell``, as soon as its log has it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in group.logs(name).splitlines(keepends=True):
            if line.startswith("{") and line.endswith("}\n"):
                return dict(json.loads(line))
        if not group.states()[name].running and not group.logs(name):
            time.sleep(0.1)
        time.sleep(0.01)
    raise AssertionError(f"{name} told nothing: {group.states()[name]} {group.logs(name)}")


def settle(group: RunningGroup, name: str, seconds: float = 15) -> int | None:
    """Wait until a container has ended; its exit code."""
    deadline = time.monotonic() + seconds
    while group.states()[name].running and time.monotonic() < deadline:
        time.sleep(0.01)
    return group.states()[name].exit_code


ASK_DEVICE = """
with socket.socket(socket.AF_UNIX) as device:
    device.connect(ROOT + os.environ["SLS_TEE_DEVICE"])
    device.sendall(bytes(range(64)))
    length, answer = int.from_bytes(device.recv(4), "big"), b""
    while len(answer) < length:
        answer += device.recv(length)
tell(**json.loads(answer))
"""


class HostContract:
    """Each test is a promise of :class:`sls_jupyter.safestream.host.Host`."""

    @pytest.fixture
    def host(self) -> Host:
        raise NotImplementedError

    def test_capabilities_name_the_host(self, host: Host) -> None:
        """Placement can compare what a host says of itself."""
        facts = host.capabilities()
        assert facts.name
        assert facts.tee
        assert facts.max_cpus >= 1
        assert facts.max_memory_bytes > 1 << 28

    def test_every_container_runs_and_stop_ends_them(self, host: Host) -> None:
        """A launched group is complete, and a stopped one is gone, however often it is stopped."""
        group = launch(host)
        try:
            assert set(group.states()) == set(ROLES)
            assert all(state.running for state in group.states().values())
        finally:
            group.stop()
        group.stop()
        assert not any(state.running for state in group.states().values())

    def test_doors_are_reached_at_their_endpoints(self, host: Host) -> None:
        """The notebook can talk to the two doors and to nothing else."""
        group = launch(host, input=DOOR, output=DOOR)
        try:
            assert set(group.endpoints) == {"input", "output"}
            for name, endpoint in group.endpoints.items():
                assert told(group, name) == {"listening": True}
                with socket.create_connection(endpoint, 5) as connection:
                    assert connection.recv(5) == b"hello"
        finally:
            group.stop()

    def test_an_ended_container_has_its_exit_code(self, host: Host) -> None:
        """The manager can tell a crash from an end."""
        group = launch(host, audit="sys.exit(3)", output="")
        try:
            assert settle(group, "audit") == 3
            assert settle(group, "output") == 0
            assert group.states()["input"].running
            assert "3" in group.states()["audit"].detail
        finally:
            group.stop()

    def test_neighbours_share_sockets(self, host: Host) -> None:
        """The program reaches input through their common folder."""
        place = "ROOT + '/run/sls/feed/s'"
        listen = f"s = socket.socket(socket.AF_UNIX); s.bind({place}); os.chmod({place}, 0o666); s.listen()\n"
        serve = listen + "c, _ = s.accept(); tell(got=c.recv(3).decode()); time.sleep(60)"
        reach = "c = socket.socket(socket.AF_UNIX)\nwhile c.connect_ex(ROOT + '/run/sls/feed/s'): time.sleep(0.01)\n"
        group = launch(host, input=serve, program=reach + "c.sendall(b'fed'); time.sleep(60)")
        try:
            assert told(group, "input") == {"got": "fed"}
        finally:
            group.stop()

    def test_evidence_names_the_policy(self, host: Host) -> None:
        """What the group shows a key broker is bound to the policy that was enforced."""
        asked = group_of(image_of(host), audit=ASK_DEVICE)
        policy = cce.render(asked)
        group = host.launch(asked, policy)
        try:
            evidence = told(group, "audit")
        finally:
            group.stop()
        report = base64.b64decode(evidence["report"])
        assert evidence["kind"] == host.capabilities().tee
        assert report[0x50:0x90] == bytes(range(64))
        assert report[0x90:0xC0] == image_of(host).measurement
        assert report[0xC0:0xE0] == hashlib.sha256(policy).digest()

    def test_another_group_than_the_policy_is_refused(self, host: Host) -> None:
        """A host does not run code that the evidence would not name."""
        with pytest.raises(SlsError, match="program"):
            host.launch(group_of(image_of(host), program="import evil"), cce.render(group_of(image_of(host))))

    def test_two_groups_run_side_by_side(self, host: Host) -> None:
        """Two cells at once do not share doors."""
        first, second = launch(host), launch(host)
        try:
            assert not set(first.endpoints.values()) & set(second.endpoints.values())
            first.stop()
            assert all(state.running for state in second.states().values())
        finally:
            first.stop()
            second.stop()

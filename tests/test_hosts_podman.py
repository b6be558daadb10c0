"""The host on podman: the contract of hosts, what a program finds in its container, and what is left after each ending."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_contract import HostContract, group_of, image_of, launch, settle, told
from podman_kit import host as podman_host
from podman_kit import layout, machine, needs_podman

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.image import image_of_layers
from sls_jupyter.errors import Refused, Unavailable
from sls_jupyter.hosts import folders
from sls_jupyter.hosts.podman import arguments, leftovers
from sls_jupyter.hosts.podman.command import find_podman
from sls_jupyter.hosts.podman.doctor import examine_podman
from sls_jupyter.hosts.podman.host import PodmanHost

pytestmark = [needs_podman, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Groups keep their folders in one that must be empty after each test, and no pod may be left."""
    parent = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"p{os.getpid()}"
    parent.mkdir(mode=0o711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(parent))
    yield parent
    left = [*parent.glob("sls-*"), *pods_below(parent)]
    folders.remove_tree(parent)  # a runtime of podman's keeps its own state here
    assert left == []


def pods_below(parent: Path) -> list[str]:
    """Pods whose folder is below this one: another test may have others."""
    podman = find_podman().podman
    assert podman is not None
    found = podman.json("pod", "ps", f"--filter=label={arguments.LABEL}", "--format=json") or []
    return [pod["Name"] for pod in found if pod["Labels"][arguments.LABEL].startswith(str(parent))]


@pytest.fixture(scope="module")
def shared() -> PodmanHost:
    return podman_host(keep_program_log=True)


class TestPodmanHost(HostContract):
    """The contract, with pods."""

    @pytest.fixture
    def host(self, shared: PodmanHost) -> PodmanHost:
        return shared


def told_by(host: PodmanHost, role: str, code: str) -> Any:
    group = launch(host, **{role: code})
    try:
        return told(group, role)
    finally:
        group.stop()


def test_a_program_finds_what_its_policy_says_and_nothing_else(shared: PodmanHost, monkeypatch: Any) -> None:
    """A cell with a capability, a privilege, a network, a key or a place to leave something would be no rehearsal."""
    monkeypatch.setenv("CANARY", "canary-value")
    code = """
def read(path):
    try:
        return open(path, errors="replace").read()
    except OSError as error:
        return error.strerror
status = dict(line.split(":\\t", 1) for line in read("/proc/self/status").splitlines() if ":\\t" in line)
families = {"inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38}
def fill():
    with open("/tmp/x", "wb") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
tell(ids=[os.getresuid(), os.getresgid(), os.getgroups()], status={name: status[name].strip() for name in
          ("Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")},
     sockets=[attempt(socket.socket, family, socket.SOCK_STREAM)[0] for family in families.values()],
     interfaces=[line.split(":")[0].strip() for line in read("/proc/net/dev").splitlines()[2:]],
     environment=sorted(os.environ), volumes=sorted(line.split()[4] for line in open("/proc/self/mountinfo") if "/run/sls/" in line.split()[4]), pids=os.listdir("/proc").count("1"),
     writes=[attempt(open, place, "w")[0] for place in ("/x", "/usr/x", "/etc/x", "/run/x", "/run/sls/feed/x", "/dev/x")],
     full=attempt(fill), scratch=attempt(open, "/dev/shm/y", "w")[0], core=__import__("resource").getrlimit(4),
     host=socket.gethostname(), user=read("/proc/1/environ").count("canary"))
"""
    found = told_by(shared, "program", code)
    assert found["ids"] == [[1002] * 3, [1002] * 3, [1002]]
    capabilities = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
    assert found["status"] == {"Umask": "0022", "NoNewPrivs": "1", "Seccomp": "2"} | capabilities
    assert set(found["sockets"]) == {"refused"}
    assert found["interfaces"] == ["lo"]
    assert found["environment"] == ["HOME", "HOSTNAME", "LANG", "PATH"]
    assert found["volumes"] == ["/run/sls/feed", "/run/sls/result"]
    assert set(found["writes"]) == {"refused"}
    assert found["full"] == ["refused", "No space left on device"]
    assert (found["scratch"], found["core"], found["host"], found["user"]) == ("done", [0, 0], "program", 0)


def test_services_have_their_ids_a_network_and_the_processor(shared: PodmanHost) -> None:
    """Neighbours know each other by these ids; input reaches an authority on this machine, and no file of its user."""
    code = f"""
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()[:2]) as client:
        peer = client.getpeername()[0]
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
tell(ids=[os.getuid(), os.getgid(), os.getgroups()], caps=status["CapBnd"].strip(), peer=peer,
     tests=attempt(os.listdir, {str(Path(__file__).parent)!r})[0], volumes=sorted(line.split()[4] for line in open("/proc/self/mountinfo") if "/run/sls/" in line.split()[4]),
     write=attempt(open, "/run/sls/feed/x", "w")[0], device=attempt(open, "/run/sls/tee/x", "w")[0])
"""
    assert told_by(shared, "input", code) == {
        "ids": [0, 1001, [1001]],
        "caps": "0" * 16,
        "peer": "127.0.0.1",
        "tests": "refused",
        "volumes": ["/run/sls/audit-input", "/run/sls/feed", "/run/sls/tee"],
        "write": "done",
        "device": "refused",
    }


def test_the_log_of_the_program_goes_nowhere() -> None:
    """A cell that writes rows to standard error leaves nothing in the operator's hands, also not in podman's."""
    group = launch(
        podman_host(),
        program="tell(row='a-patient' + '-of-the-ward')",
        input="print('x' * 300_000, file=sys.stderr)\ntell(last=1)",
    )
    podman = find_podman().podman
    assert podman is not None
    try:
        assert settle(group, "program") == 0
        assert told(group, "input") == {"last": 1}
        assert len(group.logs("input")) <= 64 << 10
        assert group.logs("program") == ""
        files = subprocess.run(["grep", "-rl", "a-patient-of-the-ward", str(group.folder)], capture_output=True)
        assert files.stdout == b""
    finally:
        group.stop()
    assert "last" in group.logs("input")


def test_a_service_is_asked_before_it_is_ended_and_the_program_is_not(shared: PodmanHost) -> None:
    """The sidecar can post its receipt when a run is interrupted; a cell gets no time for anything."""
    finish = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
tell(ready=True)
signal.sigwait({signal.SIGTERM})
tell(finished=True)
sys.exit(7)
"""
    group = launch(shared, audit=finish, program=finish)
    told(group, "audit"), told(group, "program")
    group.stop()
    assert "finished" in group.logs("audit")
    assert "finished" not in group.logs("program")
    assert group.states()["audit"].exit_code == 7
    assert group.states()["program"].detail == "killed by SIGKILL"


def test_a_group_that_another_removes_is_over(shared: PodmanHost) -> None:
    """A run would wait for ever for a pod that somebody removed by hand."""
    group = launch(shared)
    podman = find_podman().podman
    assert podman is not None
    podman.run("pod", "rm", "--force", "--time=0", group._remains.setting.pod)
    deadline = time.monotonic() + 20
    while any(state.running for state in group.states().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {state.detail for state in group.states().values()} == {"removed by somebody else"}
    group.stop()


# --- endings --------------------------------------------------------------------------------------

LAUNCHER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from host_contract import launch, told
from podman_kit import host
group = launch(host(), input="tell(ready=True)\\ntime.sleep(600)")
told(group, "input")
keeper = group._remains.keeper.pid
print(keeper, flush=True)
{then}
"""


def launcher(then: str) -> subprocess.Popen[bytes]:
    code = LAUNCHER.format(tests=str(Path(__file__).parent), then=then)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def gone(runs: Path, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while (pods_below(runs) or list(runs.glob("sls-*"))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not pods_below(runs) and not list(runs.glob("sls-*"))


@pytest.mark.parametrize("then", ["", "del group\nimport gc; gc.collect()\ntime.sleep(600)"], ids=["exit", "forgotten"])
def test_a_group_ends_with_python_and_with_the_variable(runs: Path, then: str) -> None:
    """A script that forgets to stop leaves neither pods nor folders."""
    with launcher(then) as started:
        assert started.stdout is not None
        assert started.stdout.readline()
        assert gone(runs)
        started.kill()


def test_killing_the_launcher_ends_the_pod(runs: Path) -> None:
    """A notebook kernel that is killed leaves no container and no folder: its keeper sees to that."""
    with launcher("time.sleep(600)") as started:
        assert started.stdout is not None
        assert started.stdout.readline()
        os.kill(started.pid, signal.SIGKILL)
    assert gone(runs)


def test_the_next_launch_removes_what_a_host_left_whose_keeper_died_too(runs: Path) -> None:
    """A machine that ran out of memory may kill both; nobody's pod runs on for ever."""
    podman = find_podman().podman
    assert podman is not None
    with launcher("time.sleep(600)") as started:
        assert started.stdout is not None
        keeper = int(started.stdout.readline())
        alive = pods_below(runs)
        assert leftovers.sweep(podman) == []  # its host lives
        os.kill(keeper, signal.SIGKILL)
        os.kill(started.pid, signal.SIGKILL)
    assert pods_below(runs) == alive
    assert leftovers.sweep(podman) == alive
    for path in runs.glob("sls-*"):
        os.utime(path, (0, 0))
    assert len(folders.sweep(runs, {os.geteuid()})) == 1


def test_a_launch_that_fails_half_way_leaves_nothing(shared: PodmanHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a container cannot be made, the others do not stay."""
    real = arguments.create_arguments

    def broken(setting: Any, container: Any, *rest: Any, **options: Any) -> list[str]:
        line = real(setting, container, *rest, **options)
        return [line[0], "--no-such-option", *line[1:]] if container.name == "output" else line

    monkeypatch.setattr("sls_jupyter.hosts.podman.host.create_arguments", broken)
    with pytest.raises(Unavailable, match="podman create") as caught:
        launch(shared)
    assert "no-such-option" in str(caught.value.found)


# --- what is run is what was measured -------------------------------------------------------------


def test_another_image_than_the_planned_one_is_refused(shared: PodmanHost) -> None:
    """An image that was built anew since the run was planned is not run under the old one's policy."""
    other = image_of_layers(image_of(shared).reference, (*image_of(shared).layers[:-1], "0" * 64))
    path, _ = layout()
    assert path is not None
    group: ContainerGroup = group_of(other)
    with pytest.raises(Refused, match="does not admit"):
        PodmanHost(path, machine(), image=other).launch(group, cce.render(group))


def test_the_doctor_tries_all_of_it(shared: PodmanHost) -> None:
    """A user learns before a run whether podman does what a run needs."""
    findings = examine_podman(shared)
    assert [one.what for one in findings] == ["podman", "limits", "guest image", "a container of it"]
    assert all(one.ok for one in findings), json.dumps([one.found for one in findings])

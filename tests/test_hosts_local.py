"""The local host: what a hostile program reaches, what is left after the end, and what without a sandbox."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from host_contract import HostContract, group_of, launch, settle, told

from sls_jupyter.contract import cce
from sls_jupyter.errors import Refused, SlsError, Unavailable
from sls_jupyter.hosts import folders, local, probing, process
from sls_jupyter.hosts.firmware import Firmware
from sls_jupyter.hosts.interpreter import interpreter
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.hosts.sandbox import Box, Bubblewrap, inner_arguments, prepare

WRAP, REASON = probing.find_bubblewrap()
needs_sandbox = pytest.mark.skipif(WRAP is None, reason=REASON)
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this needs Linux")


@pytest.fixture(autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Groups keep their folders in one that must be empty after each test."""
    parent = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"t{os.getpid()}"
    parent.mkdir(mode=0o700)  # as a runtime folder is
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(parent))
    yield parent
    left = list(parent.iterdir())
    for path in left:
        folders.remove_tree(path)
    parent.rmdir()
    assert left == []


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    return LocalHost(tmp_path / "machine", keep_program_log=True)


@needs_sandbox
class TestSandboxedHost(HostContract):
    """The contract with a sandbox around every container."""

    @pytest.fixture
    def host(self, tmp_path: Path) -> LocalHost:
        return LocalHost(tmp_path / "machine", sandbox=True)


class TestPlainHost(HostContract):
    """The contract where no sandbox can be made."""

    @pytest.fixture
    def host(self, tmp_path: Path) -> LocalHost:
        return LocalHost(tmp_path / "machine", sandbox=False)


def told_by(host: LocalHost, role: str, code: str) -> Any:
    group = launch(host, **{role: code})
    try:
        return told(group, role)
    finally:
        group.stop()


# --- what the program reaches ---------------------------------------------------------------------


@needs_sandbox
def test_the_program_has_no_network(host: LocalHost) -> None:
    """A cell cannot send data away, whatever kind of socket it tries."""
    code = """
families = {"inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38, "bluetooth": 31}
tell(unix=attempt(socket.socket, 1), pair=attempt(socket.socketpair)[0],
     **{name: attempt(socket.socket, family, socket.SOCK_RAW) for name, family in families.items()})
"""
    found = told_by(host, "program", code)
    assert found.pop("unix")[0] == "done"
    assert found.pop("pair") == "done"
    assert all(answer[0] == "refused" for answer in found.values()), found


@needs_sandbox
def test_calls_around_the_sandbox_are_refused(host: LocalHost) -> None:
    """A cell cannot trace, mount, make namespaces or open sockets through io_uring."""
    code = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"io_uring_setup": 425, "ptrace": 101, "unshare": 272, "mount": 165, "bpf": 321, "process_vm_readv": 310,
           "keyctl": 250, "setns": 308, "clone": 56, "clone3": 435}
if platform.machine() == "aarch64":
    numbers |= {"ptrace": 117, "unshare": 97, "mount": 40, "bpf": 280, "process_vm_readv": 270, "keyctl": 219,
                "setns": 268, "clone": 220}
def call(number):
    ctypes.set_errno(0)
    result = libc.syscall(number, 0x10000000, 0, 0, 0, 0, 0)
    return [result, ctypes.get_errno()]
tell(**{name: call(number) for name, number in numbers.items()})
"""
    found = told_by(host, "program", code)
    assert found.pop("clone3") == [-1, 38]
    assert all(answer == [-1, 1] for answer in found.values()), found


@needs_sandbox
def test_the_program_sees_nothing_of_the_user(host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell finds no file, process, path name or variable of the person whose machine it runs on."""
    canary = tmp_path / "canary-folder"
    canary.mkdir()
    monkeypatch.setenv("SLS_HOME", str(canary))
    monkeypatch.setenv("CANARY", "canary-value")
    backwards = ["canary-value"[::-1], str(canary)[::-1]]  # the code itself is on the command line
    code = f"""
def read(path):
    try:
        return open(path, errors="replace").read()
    except OSError as error:
        return error.strerror
pids = [name for name in os.listdir("/proc") if name.isdigit()]
every = "".join(read(f"/proc/{{pid}}/{{name}}") for pid in pids for name in ("environ", "cmdline", "mountinfo"))
tell(home=attempt(os.listdir, {str(Path.home())!r}), canary=attempt(os.listdir, {backwards[1]!r}[::-1]),
     tests=attempt(os.listdir, {str(Path(__file__).parent)!r}), homes=attempt(os.listdir, "/home"),
     volumes=sorted(os.listdir("/run/sls")), root=sorted(os.listdir("/")), pids=len(pids),
     leaks=[word for word in {backwards!r} if word[::-1] in every],
     environment=sorted(os.environ), host=socket.gethostname(), devices=sorted(os.listdir("/dev")),
     uid=os.getuid(), caps=[line for line in read("/proc/self/status").splitlines() if line.startswith("Cap")])
"""
    found = told_by(host, "program", code)
    for name in ("home", "canary", "tests", "homes"):
        assert found[name] == ["refused", "No such file or directory"], name
    assert found["volumes"] == ["feed", "result"]
    assert not set(found["root"]) & {"home", "mnt", "media", "srv", "sys", "boot", "var"}
    assert found["pids"] == 2  # bubblewrap's process 1 and the program
    assert found["leaks"] == []
    assert set(found["environment"]) <= {"HOME", "HOSTNAME", "LANG", "LC_CTYPE", "PATH", "PWD"}
    assert found["host"] == "program"
    assert not [name for name in found["devices"] if name.startswith(("sd", "vd", "kvm", "mem", "fuse"))]
    assert found["uid"] == 1000
    assert all(int(line.split()[1], 16) == 0 for line in found["caps"]), found["caps"]


@needs_sandbox
def test_the_program_does_not_learn_where_it_lies_on_this_machine(host: LocalHost) -> None:
    """A traceback or ``sys.prefix`` that leaves in a result names no folder of the person who runs the group."""
    assert WRAP is not None
    code = """
import json as library, subprocess, sls_jupyter.documents, traceback
from pathlib import Path
trace = ""
for fail in (library.loads, sls_jupyter.documents.sign):
    try:
        fail(fail, fail, fail)
    except Exception:
        trace += traceback.format_exc()
metadata = [path.read_text() for path in Path(sys.prefix).rglob("*sls_jupyter*/direct_url.json")]
paths = [path.read_text() for folder in sys.path if folder.startswith(sys.prefix)
         for path in Path(folder).glob("*sls_jupyter*.pth")]
settings = [path.read_text() for path in Path(sys.prefix).glob("pyvenv.cfg")]
libraries = [line.split()[-1] for line in open("/proc/self/maps") if "/" in line]
own = subprocess.run([sys.executable, "-I", "-c", "import sls_jupyter; print(sls_jupyter.__file__)"], env={},
                     capture_output=True, text=True)
tell(everything=[sys.path, sys.prefix, sys.base_prefix, sys.executable, sls_jupyter.__file__, trace, metadata, paths,
                 settings, sorted(set(libraries)), own.stdout + own.stderr], package=own.stdout.strip(),
     mounts=open("/proc/self/mountinfo").read())
"""
    found = told_by(host, "program", code)
    places = [str(path) for path, inside in interpreter().folders if not inside.startswith(str(path))]
    assert len(places) >= 2
    assert [place for place in places if place in json.dumps(found["everything"])] == []
    assert found["package"] == f"{interpreter().package}/__init__.py"
    if WRAP.layers:
        assert [place for place in places if place in found["mounts"]] == []


def in_a_box(code: str, wrap: Bubblewrap, hidden: tuple[Path, ...] = ()) -> str:
    prepared = prepare(wrap, Box("x", ("python3", "-I", "-c", code), (), hidden=hidden), bpf=b"")
    try:
        done = subprocess.run(prepared.arguments, pass_fds=prepared.descriptors, capture_output=True, text=True)
    finally:
        prepared.close()
    return done.stdout + done.stderr


@needs_sandbox
def test_a_bubblewrap_without_overlays_names_the_same_places() -> None:
    """An older bubblewrap still runs everything, and only the list of mounts says more."""
    assert WRAP is not None
    code = "import sys, sls_jupyter; print(sys.executable, sls_jupyter.__file__)"
    expected = f"{interpreter().executable} {interpreter().package}/__init__.py\n"
    assert in_a_box(code, replace(WRAP, layers=False)) == expected == in_a_box(code, WRAP)


@needs_sandbox
def test_a_shell_waits_for_its_background_jobs(host: LocalHost) -> None:
    """A profile that leaves SIGCHLD alone must not let a script hang for ever."""
    code = """
import subprocess
done = subprocess.run(["sh", "-c", "sleep 0.05 & sleep 0.1 & wait; echo over"], capture_output=True, timeout=50)
tell(said=done.stdout.decode())
"""
    if not Path("/bin/bash").exists():
        pytest.skip("no bash")
    group = launch(host, program=code)
    try:
        assert told(group, "program", 60) == {"said": "over\n"}
    finally:
        group.stop()


@needs_sandbox
def test_nothing_but_scratch_is_writable(host: LocalHost) -> None:
    """A cell cannot change the interpreter, the guest code or the root, and its scratch space is bounded."""
    code = """
import sls_jupyter
places = ["/x", "/usr/x", "/run/x", "/dev/x", "/etc/x", sys.prefix + "/x", sys.base_prefix + "/x",
          os.path.dirname(sls_jupyter.__file__) + "/x"]
def fill():
    with open("/tmp/x", "wb") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
tell(refused=[attempt(open, place, "w") for place in places], scratch=attempt(open, "/tmp/y", "w")[0],
     full=attempt(fill))
"""
    found = told_by(host, "program", code)
    assert {answer[0] for answer in found["refused"]} == {"refused"}, found
    assert found["scratch"] == "done"
    assert found["full"] == ["refused", "No space left on device"]


@needs_sandbox
def test_the_number_of_processes_can_be_limited(host: LocalHost) -> None:
    """A fork bomb ends at the program's own limit, even when root started the notebook."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))
def bomb():
    for count in range(200):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
tell(bomb=attempt(bomb))
"""
    assert told_by(host, "program", code) == {"bomb": ["refused", "Resource temporarily unavailable"]}


@needs_sandbox
def test_a_container_with_network_reaches_loopback_and_still_no_files(host: LocalHost) -> None:
    """Input can talk to an authority on this machine, but not read the user's files."""
    code = f"""
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()[:2]) as client:
        tell(peer=client.getpeername()[0], tests=attempt(os.listdir, {str(Path(__file__).parent)!r})[0],
             volumes=sorted(os.listdir("/run/sls")), resolver=os.path.exists("/etc/resolv.conf"))
"""
    found = told_by(host, "input", code)
    assert found["peer"] == "127.0.0.1"
    assert found["tests"] == "refused"
    assert found["volumes"] == ["audit-input", "feed", "tee"]
    assert found["resolver"] is Path("/etc/resolv.conf").exists()


@needs_sandbox
def test_hidden_folders_are_covered(tmp_path: Path) -> None:
    """A home that lies inside something visible (a user below /usr) stays invisible."""
    assert WRAP is not None
    hidden = (Path("/usr/share"), interpreter().folders[0][0] / "lib", tmp_path)
    code = "import os; print(os.listdir('/usr/share'))"
    assert in_a_box(code, WRAP, hidden[:1]) == "[]\n"
    arguments = inner_arguments(WRAP, Box("x", ("python3",), (), hidden=hidden), feed=lambda _: "9")
    cover = arguments.index(f"{interpreter().folders[0][1]}/lib")
    assert arguments[cover - 1] == "--tmpfs"
    assert arguments.index(interpreter().folders[0][1]) < cover
    assert str(tmp_path) not in arguments


@needs_sandbox
def test_an_interpreter_below_tmp_is_visible(tmp_path: Path) -> None:
    """A repository that was cloned into a temporary folder runs in sandboxes too."""
    venv = tmp_path / "closed" / "venv"
    venv.parent.mkdir(mode=0o700)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    for site in venv.glob("lib/python*/site-packages"):
        (site / "all.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("-packages")))
        (site / "sls.pth").write_text(f"{Path(local.__file__).parents[2]}\n")
    code = "from sls_jupyter.hosts.probing import find_bubblewrap as f; print(f()[1] or 'works')"
    assert subprocess.check_output([venv / "bin/python", "-I", "-c", code]) == b"works\n"


def test_the_log_of_the_program_is_dropped(tmp_path: Path) -> None:
    """A cell that writes rows to standard error leaves nothing in the operator's hands."""
    group = launch(LocalHost(tmp_path / "machine"), program="tell(row='secret')", input="tell(ready=True)")
    try:
        assert settle(group, "program") == 0
        assert told(group, "input") == {"ready": True}
        assert group.logs("program") == ""
    finally:
        group.stop()


# --- what is left ---------------------------------------------------------------------------------


def processes_with(mark: str) -> list[int]:
    """Processes of this machine whose command line holds ``mark``."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def gone(mark: str, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes_with(mark)


STUBBORN = """
import signal
import socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid() if ROOT == "" else None
        time.sleep(600)
tell(ready=True)
time.sleep(600)
"""


@needs_linux
@pytest.mark.parametrize("sandbox", [pytest.param(True, marks=needs_sandbox), False])
def test_stop_leaves_nothing(tmp_path: Path, runs: Path, sandbox: bool) -> None:
    """After stop no process is left, not even children that ignore every request to end, and no folder."""
    mark = f"mark-{os.getpid()}-stop"
    group = launch(LocalHost(tmp_path, sandbox=sandbox), input=f"'{mark}'" + STUBBORN, audit=f"'{mark}'" + STUBBORN)
    told(group, "input"), told(group, "audit")
    assert processes_with(mark)
    group.stop()
    assert processes_with(mark) == []
    assert list(runs.iterdir()) == []


@needs_linux
def test_a_container_is_asked_before_it_is_ended(host: LocalHost) -> None:
    """The audit container can finish a line when the user interrupts a run."""
    code = """
import signal
import socket
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", file=sys.stderr, flush=True)
signal.sigwait({signal.SIGTERM})
tell(finished=True)
sys.exit(7)
"""
    group = launch(host, audit=code)
    while "ready" not in group.logs("audit"):
        time.sleep(0.01)
    group.stop()
    assert "finished" in group.logs("audit")
    assert group.states()["audit"].exit_code == 7


@needs_linux
def test_a_forgotten_group_ends(host: LocalHost) -> None:
    """A notebook variable that is overwritten does not leave a group running for ever."""
    mark = f"mark-{os.getpid()}-forgotten"
    group = launch(host, input=f"'{mark}'\n" + "time.sleep(600)")
    assert processes_with(mark)
    del group
    gc.collect()
    assert gone(mark)


LAUNCHER = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from host_contract import launch, told
from sls_jupyter.hosts.local import LocalHost
groups = []
def work():
    groups.append(launch(LocalHost(Path({machine!r}), sandbox={sandbox}), input="'{mark}'; tell(ready=True)\\n"
                         "time.sleep(600)", program="'{mark}'\\ntime.sleep(600)"))
thread = threading.Thread(target=work)
thread.start()
thread.join()
told(groups[0], "input")
time.sleep(0.3)
assert all(state.running for state in groups[0].states().values()), groups[0].states()
print("ready", flush=True)
{then}
"""


def launcher(tmp_path: Path, mark: str, *, sandbox: bool | None, then: str) -> subprocess.Popen[bytes]:
    values = {"tests": str(Path(__file__).parent), "machine": str(tmp_path), "mark": mark, "sandbox": sandbox}
    code = LAUNCHER.format(**values, then=then)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


@needs_linux
@pytest.mark.parametrize("sandbox", [pytest.param(True, marks=needs_sandbox), False])
def test_killing_the_launcher_ends_the_containers(tmp_path: Path, runs: Path, sandbox: bool) -> None:
    """A notebook kernel that is killed leaves no container; the next launch removes its folder.

    The group is launched from a thread that ends at once, which must not end the group.
    """
    mark = f"mark-{os.getpid()}-killed-{sandbox}"
    with launcher(tmp_path, mark, sandbox=sandbox, then="time.sleep(600)") as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        os.kill(started.pid, signal.SIGKILL)
    assert gone(mark)
    left = list(runs.iterdir())
    assert len(left) == 1
    os.utime(left[0], (0, 0))
    assert folders.sweep(runs, {left[0].stat().st_uid}) == left


@needs_linux
def test_the_end_of_python_ends_the_group(tmp_path: Path, runs: Path) -> None:
    """A script that forgets to stop leaves neither containers nor folders."""
    mark = f"mark-{os.getpid()}-exit"
    with launcher(tmp_path, mark, sandbox=None, then="") as started:
        assert started.wait(30) == 0
    assert gone(mark)
    assert list(runs.iterdir()) == []


@needs_linux
def test_a_forked_child_does_not_end_its_parents_group(tmp_path: Path) -> None:
    """A cell that forks (multiprocessing) does not take running groups with it."""
    then = """
import os
child = os.fork()
if child == 0:
    groups[0].stop()
    os._exit(0)
os.waitpid(child, 0)
assert all(state.running for state in groups[0].states().values())
"""
    with launcher(tmp_path, f"mark-{os.getpid()}-fork", sandbox=None, then=then) as started:
        assert started.wait(30) == 0


def test_the_folder_of_a_living_host_is_not_swept(runs: Path) -> None:
    """Two notebooks on one machine do not remove each other's sockets."""
    folder = folders.RunFolder.make(parent=runs)
    os.utime(folder.path, (0, 0))
    assert folders.sweep(runs, {os.geteuid()}) == []
    folder.remove()
    assert not folder.path.exists()


@needs_linux
def test_a_folder_is_removed_whatever_is_in_it(runs: Path) -> None:
    """What a program without a sandbox left behind: depth, closed folders, links, pipes, names of every kind."""
    folder = folders.RunFolder.make(parent=runs)
    here = os.getcwd()
    os.chdir(folder.path)
    (folder.path / "link").symlink_to("/etc")
    os.mkfifo("pipe")
    Path("1.left").mkdir()
    os.mkdir(b"\xff\n")
    for _ in range(3000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    Path("file").touch()
    os.chmod(".", 0)
    os.chdir(here)
    os.unlink(folder.path / "lock")
    folder.remove()
    assert list(runs.iterdir()) == []
    assert Path("/etc/passwd").exists()


@needs_linux
def test_what_cannot_be_removed_stands_in_nobodys_way(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch sweeps for a bounded time, and a failure of it is not the launch's."""
    left = folders.RunFolder.make(parent=runs)
    os.close(left._lock)
    for number in range(2000):
        (left.path / str(number)).mkdir()
    os.utime(left.path, (0, 0))
    monkeypatch.setattr(folders, "REMOVE_SECONDS", 0.0)
    folders.RunFolder.make(parent=runs).remove()
    assert left.path.exists()
    monkeypatch.undo()
    os.utime(left.path, (0, 0))
    assert folders.sweep(runs, {os.geteuid()}) == [left.path]
    for path in runs.iterdir():
        folders.remove_tree(path)


def test_a_folder_without_its_lock_is_removed(runs: Path) -> None:
    """A program that removes the lock does not make its folder stay for ever."""
    folder = folders.RunFolder.make(parent=runs)
    os.unlink(folder.path / "lock")
    os.utime(folder.path, (0, 0))
    os.close(folder._lock)
    assert folders.sweep(runs, {os.geteuid()}) == [folder.path]


def test_logs_are_bounded(host: LocalHost) -> None:
    """A container that writes without end does not fill the host's memory; the end of its log is kept."""
    code = "print('x' * 1_000_000, file=sys.stderr)\ntell(last=True)\ntime.sleep(60)"
    group = launch(host, audit=code)
    try:
        assert told(group, "audit") == {"last": True}
        assert len(group.logs("audit").encode()) <= process.MAX_LOG_BYTES
    finally:
        group.stop()


# --- errors ---------------------------------------------------------------------------------------


def test_a_launch_that_fails_half_way_leaves_nothing(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the third container cannot be started, the first two do not stay."""
    mark, real, calls = f"mark-{os.getpid()}-half", process.subprocess.Popen, []

    def popen(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(11, "Resource temporarily unavailable")
        return real(*arguments, **options)

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    with pytest.raises(Unavailable, match="temporarily unavailable"):
        launch(host, input=f"'{mark}'\ntime.sleep(600)", program=f"'{mark}'\ntime.sleep(600)")
    assert processes_with(mark) == []


def test_a_device_that_cannot_start_ends_the_launch(tmp_path: Path) -> None:
    """No group runs without the device that would attest it."""

    def device(*_: Any) -> Any:
        raise Unavailable("The simulated processor cannot listen.")

    with pytest.raises(Unavailable, match="processor"):
        launch(LocalHost(tmp_path, device=device))


def test_changed_guest_code_is_refused(tmp_path: Path) -> None:
    """An installation that changed since the run was planned is not run."""
    group = group_of()
    policy = cce.render(group)
    changed = local.GuestImage("x", ("0" * 64,), bytes(48))
    with pytest.raises(Refused, match="A layer of the image is not one") as caught:
        LocalHost(tmp_path, measure=lambda: changed).launch(group, policy)
    assert caught.value.found == "0" * 64


def test_insisting_on_a_sandbox_says_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who wants isolation gets a reason and the fix instead of less isolation."""
    monkeypatch.setattr(probing, "find_bubblewrap", lambda: (None, "bubblewrap (bwrap) is not installed"))
    with pytest.raises(Unavailable, match="not installed") as caught:
        launch(LocalHost(tmp_path, sandbox=True))
    assert "apt-get install bubblewrap" in caught.value.hint


def test_without_bubblewrap_the_host_warns_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop without bubblewrap still runs the tutorial, and the user is told what is missing."""
    monkeypatch.setattr(probing, "find_bubblewrap", lambda: (None, "bubblewrap (bwrap) is not installed"))
    host = LocalHost(tmp_path, keep_program_log=True)
    (warning,) = host.capabilities().warnings
    assert "not installed" in warning
    assert "ordinary processes" in warning
    assert "sls-jupyter[sandbox]" in warning
    assert not host.capabilities().isolated
    found = told_by(host, "program", "tell(root=bool(ROOT), home=os.environ['HOME'].startswith(ROOT))")
    assert found == {"root": True, "home": True}


@needs_linux
def test_without_a_sandbox_the_program_has_no_network_either(tmp_path: Path) -> None:
    """Where namespaces are forbidden the seccomp profile still holds."""
    code = "tell(inet=attempt(socket.socket, 2)[0], unix=attempt(socket.socket, 1)[0])"
    host = LocalHost(tmp_path, sandbox=False, keep_program_log=True)
    assert told_by(host, "program", code) == {"inet": "refused", "unix": "done"}


def test_a_probe_that_fails_gives_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container that forbids namespaces is found once, with bubblewrap's own words."""
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(probing.shutil, "which", lambda name: str(broken) if name == "bwrap" else None)
    monkeypatch.setattr(probing.sys, "platform", "linux")
    monkeypatch.setattr(probing, "packaged_bubblewrap", lambda: None)
    wrap, reason = probing.find_bubblewrap.__wrapped__()
    assert wrap is None
    assert "No permissions to create new namespace" in reason


@needs_sandbox
def test_the_program_that_came_along_is_used_where_the_systems_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A first run is not unprotected because nobody installed bubblewrap, or an old one."""
    working, broken = probing.find_bubblewrap()[0], tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert working is not None
    which = probing.shutil.which
    for system in (str(broken), None):
        monkeypatch.setattr(probing.shutil, "which", lambda name, path=system: path if name == "bwrap" else which(name))
        monkeypatch.setattr(probing, "packaged_bubblewrap", lambda: working.path)
        wrap, reason = probing.find_bubblewrap.__wrapped__()
        assert (wrap and wrap.path, reason) == (working.path, "")


@needs_sandbox
def test_a_packaged_program_makes_sandboxes() -> None:
    """What the extra installs works on this machine."""
    path = probing.packaged_bubblewrap()
    if path is None:
        pytest.skip("the extra sandbox is not installed")
    wrap, reason = probing._find_way(path)
    assert wrap is not None, reason


def test_an_unknown_profile_is_not_replaced(tmp_path: Path) -> None:
    """A host that does not have the measured seccomp profile starts nothing."""
    import dataclasses

    group = group_of()
    odd = dataclasses.replace(group.container("program"), seccomp_sha256="ab" * 32)
    changed = dataclasses.replace(group, containers=(group.containers[0], odd, *group.containers[2:]))
    with pytest.raises(SlsError, match="no such seccomp profile"):
        LocalHost(tmp_path).launch(changed, cce.render(changed))


def test_a_policy_that_means_the_same_in_other_bytes_shows_in_the_evidence(tmp_path: Path) -> None:
    """It is enforced as it is, as on Azure; its digest is another one, and no door or authority believes it."""
    group = group_of()
    policy = cce.render(group)
    other = policy.replace(b'"allow_elevated": false', b'"allow_elevated":  false', 1)
    seen = []

    def device(firmware: Firmware, path: Path, folder: Path) -> Any:
        seen.append(firmware.host_data)
        return firmware.serve_device(path, folder)

    LocalHost(tmp_path, device=device).launch(group, other).stop()
    assert seen == [cce.host_data(other)]
    assert seen != [cce.host_data(policy)]


def test_nobody_else_is_given_the_port_of_a_door(host: LocalHost) -> None:
    """Another run's door on this port would answer for this one, and its evidence would be refused."""
    group = launch(host, input="time.sleep(600)")  # a door that does not listen yet
    endpoint = group.endpoints["input"]
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(endpoint)
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio's servers do
        door.bind(endpoint)
        door.listen()
        socket.create_connection(endpoint, 5).close()
    group.stop()
    with socket.socket() as later:
        later.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        later.bind(endpoint)

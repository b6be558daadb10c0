"""Promise 5: however hostile the cell, it reaches nothing, and the run ends with our own words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from e2e import LIMITS, World, needs_sandbox, running, until, world
from e2e import finish as finished

from sls_jupyter.errors import LimitExceeded, OutputWithheld, ProgramFailed, RunFailed

__all__ = ["world"]
pytestmark = needs_sandbox

PROBES = """
import ctypes, os, socket, subprocess, sys
import pandas as pd
libc = ctypes.CDLL(None, use_errno=True)
found = {}
def probe(name, function, *arguments):
    try:
        found[name] = f"reached: {str(function(*arguments))[:60]}"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        found[name] = "refused"
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "")
def readable(path):
    with open(path, "rb") as file:
        data = file.read(64)
    if not data: raise OSError("empty")
    return data
def listed(path):
    import sls_jupyter
    open_roads = sys.base_prefix, sys.prefix, os.path.dirname(sls_jupyter.__file__)  # what Python itself runs from
    names = [name for name in os.listdir(path)
             if not any(road.startswith(path.rstrip("/") + "/" + name) for road in open_roads)]
    if not names: raise OSError("empty")
    return names
for name, family in {"inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38}.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        probe(f"socket {name} {kind}", socket.socket, family, kind)
probe("socketpair", socket.socketpair, socket.AF_INET)
probe("abstract socket", lambda: socket.socket(socket.AF_UNIX).connect("\\0/tmp/.X11-unix/X0"))
numbers = {"io_uring": 425, "ptrace": 101, "unshare": 272, "mount": 165, "umount": 166, "bpf": 321, "chroot": 161,
           "read memory": 310, "setns": 308, "keyctl": 250, "memfd": 319, "pivot": 155, "userfault": 323}
import platform
for name, number in numbers.items() if platform.machine() == "x86_64" else ():
    probe(f"call {name}", call, number, 0, 0, 0, 0, 0)
for path in (HOME, "/root", "/home", "/etc/shadow", "/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/run/sls/tee",
             "/run/sls/audit-input", "/run/sls/audit-output", "/run/sls/tee/device.sock", "/var", "/opt", "/mnt",
             "/dev/mem", "/dev/kmsg", "/proc/kcore", "/sys/kernel", "/proc/cmdline", "/proc/keys", "/dev/zero", TESTS):
    probe(f"path {path}", listed if os.path.isdir(path) else readable, path)
for path in ("/", "/usr", "/run", "/etc", "/dev", "/proc/sys/kernel/hostname", "/run/sls", "/run/sls/feed",
             "/run/sls/result"):
    probe(f"write {path}", open, path if path.startswith("/proc") else path + "/x", "w")
others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
found["processes"] = "refused" if len(others) < 8 else f"reached: {len(others)}"
probe("folder in a volume", os.mkdir, "/run/sls/result/d")
probe("link in a volume", os.symlink, "/nowhere", "/run/sls/feed/l")
probe("socket in a volume", lambda: socket.socket(socket.AF_UNIX).bind("/run/sls/feed/s"))
for name in ("feed/feed", "result/result"):
    probe(f"second connection to {name}", lambda: socket.socket(socket.AF_UNIX).connect(f"/run/sls/{name}.sock"))
probe("supervisor's memory", open, f"/proc/{os.getppid()}/mem", "r+b")
def quietly(pid, name):
    try: return open(f"/proc/{pid}/{name}", "rb").read()
    except PermissionError: return b""
for pid in others:
    text = quietly(pid, "environ") + quietly(pid, "cmdline")
    if b"guest.input" in text or b"SLS_TEE" in text or HOME.encode() in text or b"SECRET" in text:
        found[f"process {pid}"] = "reached: " + repr(text[:60])
probe("setuid program", lambda: subprocess.run(["/usr/bin/su", "-c", "id"], check=True, capture_output=True,
                                               stdin=subprocess.DEVNULL).stdout)
def ask_for_a_report(request):
    import fcntl
    try: fcntl.ioctl(os.open("/dev/null", os.O_RDWR), request, bytearray(64), True)
    except PermissionError: raise
    except OSError as error: return error  # the call itself went through
for request in (0xC0205300, 0xC0205302, 0xC0285301, 0xC4405401):
    probe(f"report {request:#x}", ask_for_a_report, request)
def interfaces():
    names = [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]]
    if names == ["lo"]: raise OSError("none but the loopback")
    return names
probe("interfaces", interfaces)
# memory and time that would be nobody's
import mmap, signal
def call_c(name, *arguments):
    if getattr(libc, name)(*arguments) == -1: raise OSError(ctypes.get_errno(), "")
probe("shmget", call_c, "shmget", 0, 8192, 0o1600)
probe("semget", call_c, "semget", 0, 1, 0o1600)
probe("msgget", call_c, "msgget", 0, 0o1600)
probe("message queue", call_c, "mq_open", b"/q", os.O_CREAT | os.O_RDWR, 0o600, None)
probe("file events", call_c, "inotify_init1", 0)
probe("all file events", call_c, "fanotify_init", 0x200, 0)
for number in (444, 445, 446): probe(f"Landlock {number}", call, number, 0, 0, 1)
probe("memory without a file", mmap.mmap, -1, 1 << 20)
probe("memory of /dev/zero", lambda: mmap.mmap(os.open("/dev/zero", os.O_RDWR), 1 << 20))
for option in (7, 32): probe(f"buffers {option}", socket.socket(socket.AF_UNIX).setsockopt, 1, option, 1 << 24)
for action in (signal.SIG_IGN, lambda *_: None): probe(f"SIGCHLD {action}", signal.signal, signal.SIGCHLD, action)
reached = pd.DataFrame({"name": list(found), "answer": list(found.values())})
"""


def test_a_cell_reaches_no_network_key_file_or_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that reached any of these could send patients away or take keys."""
    monkeypatch.setenv("SECRET_OF_THE_HOST", "SECRET")
    head = f"HOME, TESTS = {str(world.root)!r}, {str(Path(__file__).parent)!r}\n"
    reached = world.do(head + PROBES, outputs=["reached"]).outputs["reached"]
    assert len(reached) > 50
    assert reached[reached.answer != "refused"].to_dict("records") == []


BOMBS = {
    "processes": """
import os, time
while True:
    try:
        if os.fork() == 0: time.sleep(100)
    except OSError: pass
""",
    "memory, in one": "data = bytearray(8 << 30)",
    "memory, in pieces": "data = []\nwhile True: data.append(bytes(1 << 20))",
    "memory, in children": """
import os, time
for _ in range(8):
    if os.fork() == 0:
        data = bytearray(b"x") * (300 << 20); time.sleep(100)
time.sleep(100)
""",
    "memory, in scratch files": """
import os
for folder in ("/tmp", "/dev/shm"):
    file = open(folder + "/big", "wb"); os.unlink(folder + "/big")
    try:
        while True: file.write(bytes(1 << 20))
    except OSError: pass
    globals()[folder] = file
import time; time.sleep(100)
""",
    "memory, in folders without files": """
import os
os.chdir("/tmp")
while True: os.mkdir("d"); os.chdir("d")
""",
    "memory, below long paths": """
import os, time
os.chdir("/dev/shm")
for _ in range(40): os.mkdir("d" * 200); os.chdir("d" * 200)
try:
    with open("f", "wb") as file:
        while True: file.write(bytes(1 << 20))
except OSError: pass
os.chdir("/tmp")
with open("f", "wb") as file:
    try:
        while True: file.write(bytes(1 << 20))
    except OSError: pass
time.sleep(100)
""",
    "memory, in sockets": """
import os, resource, socket, time
for _ in range(12):
    if os.fork(): continue
    pairs = []
    try:
        while True:
            pairs.append(socket.socketpair())
            for one in pairs[-1]: one.setblocking(False); one.send(bytes(180_000))
    except OSError: time.sleep(100)
time.sleep(100)
""",
    "memory, in record locks": """
import fcntl
files = [open(f"/tmp/{number}", "w") for number in range(200)]
at = 0
while True:
    for file in files: fcntl.lockf(file, fcntl.LOCK_EX, 1, at)
    at += 2
""",
    "memory, in what epoll watches": """
import os, select, time
for _ in range(16):
    if os.fork(): continue
    held = []
    try:
        for _ in range(400): held.append(os.pipe()[0])
        while True:
            held.append(select.epoll())
            for one in held[:400]: held[-1].register(one, 1)
    except OSError: time.sleep(100)
time.sleep(100)
""",
    "memory, in terminals": """
import os, time
for _ in range(12):
    if os.fork() == 0:
        try:
            while True: os.openpty()
        except OSError: time.sleep(100)
time.sleep(100)
""",
    "memory, behind a stopped supervisor": """
import os, signal, time
os.kill(os.getppid(), signal.SIGSTOP)
for _ in range(8):
    if os.fork() == 0:
        data = bytearray(b"x") * (300 << 20); time.sleep(100)
time.sleep(100)
""",
    "cpu": "while True: pass",
    "cpu, of many that end": """
import os, time
while True:
    child = os.fork()
    if child == 0:
        end = time.process_time() + 0.02
        while time.process_time() < end: pass
        os._exit(0)
    os.waitpid(child, 0)
""",
    "cpu, of orphans": """
import os, time
done, tell = os.pipe()
while True:
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.setsid(); end = time.process_time() + 0.02
            while time.process_time() < end: pass
            os.write(tell, b"1")
        os._exit(0)
    os.waitpid(child, 0); os.read(done, 1)
""",
    "cpu, behind a stopped supervisor": """
import os, signal
os.kill(os.getppid(), signal.SIGSTOP)
while True: pass
""",
    "time": "import time; time.sleep(1000)",
    "output, printed": "while True: print('x' * 100_000)",
    "output, displayed": "from IPython.display import display\nwhile True: display({'text/plain': 'x' * 100_000}, raw=True)",
    "output, in one display": "from IPython.display import display\ndisplay({'text/plain': 'x' * (100 << 20)}, raw=True)",
    "output, in one table": "import numpy as np, pandas as pd\nx = pd.DataFrame({'a': np.random.rand(8 << 20)})",
    "output, of nothing": "import pyarrow as pa\nx = pa.table({'a': pa.nulls(1 << 23)})",
    "output, in a schema": "import pyarrow as pa\nx = pa.table({f'{i:04}' + 'y' * 900: [1] for i in range(4900)})",
}


TIGHT = {
    "cpu": {"cpu_seconds": 4},
    "time": {"wall_seconds": 4},
    "memory, in terminals": {"memory_bytes": 280 << 20},  # there are 4,096 on a machine
    "memory, in folders without files": {
        "memory_bytes": 320 << 20
    },  # each takes the kernel some time to make and to forget
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_the_run_and_names_the_limit(world: World, bomb: str) -> None:
    """A cell without an end would hold the machine, and its author would not know why it was stopped."""
    tight = TIGHT.get(bomb) or TIGHT.get(bomb.partition(",")[0], {})
    outputs = ["x"] if "x =" in BOMBS[bomb] else []
    ended = world.do(BOMBS[bomb], outputs=outputs, limits=LIMITS.model_copy(update=tight))
    error = ended.error
    assert isinstance(error, LimitExceeded), error and (error.found, error.detail)
    named = {bomb.partition(",")[0]} | ({"memory"} if "printed" in bomb else set())  # what is printed waits in memory
    assert error.detail["limit"] in named
    assert error.hint
    kinds = {line.entry.kind: line.entry.facts for line in world.analyst.audit(ended.run.id).lines}
    assert kinds["run.killed"]["reason"] == error.detail["limit"]


def test_a_cell_can_have_the_memory_that_was_asked_for(world: World) -> None:
    """What a library only reserves is counted by the kernel's limit, too: a gigabyte of it would be the cell's."""
    for memory, asked in ((800 << 20, 512 << 20), (1280 << 20, 1 << 30)):
        limits = LIMITS.model_copy(update={"memory_bytes": memory})
        code = f"x = free.age.sum() + np.empty({asked}, np.uint8).nbytes"
        assert world.do(code, outputs=["x"], limits=limits).outputs["x"] > asked


def test_output_that_may_not_leave_is_counted_too(world: World) -> None:
    """Printing for ever into a closed gate would fill the output container's memory."""
    error = world.do("while True: print('x' * 10_000)", ["guarded:age"]).error
    assert isinstance(error, LimitExceeded)
    assert error.detail["limit"] in ("output", "memory")


DEATHS = {
    "exit": "import os; os._exit(3)",
    "crash": "import ctypes; ctypes.string_at(0)",
    "killed supervisor": "import os, signal; os.kill(os.getppid(), signal.SIGKILL); import time; time.sleep(100)",
    "killed all": "import os, signal, time; os.kill(-1, signal.SIGKILL); time.sleep(100)",
    "closed descriptors": "import os, time\nos.closerange(0, 1024); time.sleep(100)",
    "stopped supervisor": "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_dead_program_ends_the_run(world: World, death: str) -> None:
    """A notebook would wait for ever for a kernel that is gone or that stopped its supervisor."""
    ended = world.do(DEATHS[death], limits=LIMITS.model_copy(update={"wall_seconds": 12}))
    assert isinstance(ended.error, RunFailed)
    assert ended.error.hint
    assert ended.seconds < 40
    ends = {line.entry.kind for line in world.analyst.audit(ended.run.id).lines}
    assert ends & {"run.ended", "run.killed"}


FORGERIES = {
    "a length without end": "line.sendall(b'\\x7f\\xff\\xff\\xff')",
    "a body of 2**62 bytes": (
        "say(**{'from': 'kernel'}); say(table='x', shape='frame')\n"
        "import pyarrow as pa\nsink = pa.BufferOutputStream()\nt = pa.table({'a': [1]})\n"
        "with pa.ipc.new_stream(sink, t.schema) as w: w.write_table(t)\n"
        "data = bytearray(sink.getvalue().to_pybytes()); at = data.rfind((8).to_bytes(8, 'little'))\n"
        "data[at:at + 8] = (2**62).to_bytes(8, 'little'); line.sendall(data)"
    ),
}
LINE = """
import json, os, socket, time  # and no x
def connected(number):
    try:
        found = socket.socket(fileno=os.dup(number))
        return found if found.getpeername() == "/run/sls/result/result.sock" else None
    except OSError: return None
line = next(filter(None, map(connected, range(3, 200))))  # the kernel's own; nobody can make another
def raw(data): line.sendall(len(data).to_bytes(4, "big") + data)
def say(**message): raw(json.dumps(message).encode())
try:
    FORGERY
except OSError: pass
time.sleep(0.3)
"""


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_message_gives_no_result(world: World, forgery: str) -> None:
    """Bytes of the program's choice could otherwise stop the container that stands between it and the world."""
    code = "if not 1: x = 0\n" + LINE.replace("FORGERY", FORGERIES[forgery].replace("\n", "\n    "))
    ended = world.do(code, ["guarded:age"], outputs=["x"])
    assert isinstance(ended.error, RunFailed)
    assert not ended.run.outputs
    assert ended.seconds < 30


def test_a_forged_end_releases_only_what_the_gate_allows(world: World) -> None:
    """A cell that says itself that it is done gets no way round the rules."""
    forged = "say(**{'from': 'kernel'}); say(end=True, cells=1)"
    ended = world.do("import pandas as pd\nx = 1\n" + LINE.replace("FORGERY", forged), ["guarded:age"], outputs=["x"])
    assert isinstance(ended.error, OutputWithheld | RunFailed)
    assert not ended.run.outputs


NOISE = """
import json, os, struct, sys
import pandas as pd
from IPython.display import display
from ipykernel.kernelapp import IPKernelApp
kernel = IPKernelApp.instance()
pd.DataFrame.mean = lambda *a, **k: 1 / 0
pd.DataFrame.to_pickle = None
deep = []
for _ in range(300): deep = [deep]
def shown(**data): display({name.replace("_", "/", 1): value for name, value in data.items()}, raw=True)
shown(application_json=deep, text_plain="deep")
shown(application_json={"n": 2**70, "f": float(10**300)}, text_plain="wide")
shown(text_html="<b onclick=x()>bold</b><script>s()</script><img src=//evil.example/a onerror=x()>"
      "<a href='//evil.example/b'>link</a><p style='background:url(//evil.example/c)'>p</p><iframe src=/lab></iframe>")
shown(text_markdown="![m](https://other.example/d) <img src='//evil.example/e'>")
display({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><script>s()</script><image href='//evil.example/f'/>"
         "<rect fill='url(//evil.example/g)' onload='x()' width='3'/><style>@import '//evil.example/h'</style></svg>"}, raw=True)
display({"application/javascript": "evil()", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}, raw=True)
socket = kernel.iopub_socket
kernel.iopub_thread.socket.send_multipart([b"garbage"])
kernel.session.send(kernel.iopub_socket, "stream", {"name": 7, "text": ["no"]})
kernel.session.send(kernel.iopub_socket, "display_data", {"data": "no"})
kernel.session.send(kernel.iopub_socket, "error", {"ename": [], "evalue": {}, "traceback": 7})
kernel.session.send(kernel.iopub_socket, "display_data", {"data": {"application/vnd.apache.arrow.stream": "AAAA"}})
get_ipython().user_ns.pop("_oh", None); get_ipython().user_ns.pop("In", None)
x = 7
"""


def test_noise_on_the_displays_is_cleaned_or_dropped(world: World) -> None:
    """A display could run code in the analyst's browser, fetch an address with data in it, or end the run."""
    ended = world.do(NOISE, outputs=["x"])
    assert ended.outputs == {"x": 7}
    shown = repr([event for event in ended.events if event["type"] == "display"])
    assert "bold" in shown
    for word in ("evil", "![", "script", "onclick", "onerror", "iframe", "style", "widget", "1e+300", "[[["):
        assert word not in shown, word
    assert ended.run.summary["withheld"]["malformed"] >= 1


def test_an_endless_representation_is_an_error_or_a_limit(world: World) -> None:
    """The last line of a cell is shown by code that the cell may have written."""
    endless = "class E:\n    def __repr__(self):\n        while True: pass\nE()"
    error = world.do(endless, limits=LIMITS.model_copy(update={"cpu_seconds": 2})).error
    assert isinstance(error, LimitExceeded)


def test_a_secret_class_name_does_not_leave(world: World) -> None:
    """The type of an error and of an output are words that a cell chooses."""
    raised = world.do("raise type('patient_7_is_ill', (Exception,), {})()", ["guarded:age"])
    returned = world.do("x = type('patient_7_is_ill', (), {})()", ["guarded:age"], outputs=["x"])
    assert isinstance(raised.error, ProgramFailed)
    for ended in (raised, returned):
        assert "patient_7" not in str(ended.error) + repr(ended.error.detail) + repr(ended.events)


def test_small_groups_do_not_leave_in_what_surrounds_the_rows(world: World) -> None:
    """A category without rows, a name in the schema, or a list in one row would carry what rows may not."""
    rare = pd.DataFrame({"kind": pd.Categorical(["common"] * 30 + ["rare-patient"] * 2), "v": 1.0})
    world.seal("rare", rare, min_group=10)
    code = "x = rare.groupby('kind', observed=True).v.sum().reset_index()\ny = rare.groupby('kind', observed=True).v.agg(list)"
    ended = world.do(code, ["rare"], outputs=["x", "y"])
    assert isinstance(ended.error, OutputWithheld)
    x = world.do(code, ["rare"], outputs=["x"]).outputs["x"]
    assert list(x.kind) == ["common"]
    assert list(x.kind.cat.categories) == ["common"]


def test_the_machine_outlives_two_hostile_runs_at_once(world: World) -> None:
    """One user's bomb must not end another user's run."""
    bomb = world.start("import os\nwhile True:\n    try:\n        os.fork()\n    except OSError: pass")
    until(lambda: bomb.state != "running" or running(bomb), "the bomb runs")
    honest = world.do("x = free.age.mean()", outputs=["x"])
    assert honest.outputs["x"] > 0
    assert isinstance(finished(bomb).error, LimitExceeded)

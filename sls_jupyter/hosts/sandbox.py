"""The sandbox of one local container: an argument list for bubblewrap.

A sandboxed process sees a read-only root with the system's libraries, the running interpreter and this
package under neutral names (:mod:`sls_jupyter.hosts.interpreter`), empty scratch space in memory, its own
sockets, and nothing else: no home, no notebook folder, no other process, no environment but the one given.
``python3`` in a group's command is the interpreter that runs this code; that is the local stand-in for the
guest image.

Four things that are easily missed, each with a test:

- bubblewrap's own process 1 can be read inside the sandbox (``/proc/1``), so it is started with an empty
  environment and reads its arguments, which name folders of the host, from a pipe.
- The kernel does not apply RLIMIT_NPROC to root. Started by root, bubblewrap is therefore started as
  ``nobody``, inside an outer one that makes the paths it needs reachable.
- Folders that bubblewrap makes on the way to a mount have mode 0700.
- The kernel's list of mounts (``/proc/self/mountinfo``) names what is bound by its path on the host. Where
  bubblewrap can make an overlay, an outer sandbox therefore shows interpreter and package under other names
  first, and the inner one lays them over an empty folder: the list then names a file system of its own.

Containers with network share the host's network, its loopback and abstract sockets included; only our
own guest code runs there. What is *not* limited here: the memory and CPU of containers other than the
program's, which limits itself by its command and is watched from outside (:mod:`sls_jupyter.hosts.watch`).

What remains visible: what files of the interpreter's environment say about their own place, the name of the
group's own folder in the list of mounts, the kernel's version and the machine's processors and memory; and
with a bubblewrap before 0.11, or a kernel without overlays for users, the places of interpreter and package.

Source: bwrap(1), version 0.4 or later; options that an older version lacks are left out. Linux,
Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sls_jupyter.hosts.interpreter import interpreter, own_folders, plain

GUEST_UID = 1000  # inside the sandbox
NOBODY = 65534  # user and group of a sandbox outside, when root starts it
_EMPTY = (  # what tells of the machine and not of the sandbox; memory behind /dev/zero would be nobody's
    "/dev/zero",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/diskstats",
    "/proc/key-users",
    "/proc/keys",
    "/proc/modules",
    "/proc/partitions",
    "/proc/sched_debug",
    "/proc/swaps",
    "/proc/timer_list",
)
_LAYER_PLACES = ("/mnt", "/media", "/srv", "/opt")  # a folder of the outer sandbox that nothing else is needed from
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf")
_ETC_NETWORK = (
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
)


@dataclass(frozen=True, slots=True)
class Box:
    """What one sandbox contains."""

    name: str
    command: tuple[str, ...]
    environment: tuple[str, ...]  # NAME=value, all of it
    writable: tuple[tuple[Path, str], ...] = ()  # folder of the host, path inside
    readable: tuple[tuple[Path, str], ...] = ()
    network: bool = False
    scratch_bytes: int = 1 << 28  # of /tmp and of /dev/shm, in memory
    hidden: tuple[Path, ...] = ()  # covered where they lie below something that is visible


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """What this machine's bubblewrap can do, as :mod:`sls_jupyter.hosts.probing` found it."""

    path: str
    options: frozenset[str] = field(repr=False)
    as_nobody: tuple[str, ...] = ()  # setpriv and its arguments, when root starts sandboxes
    layers: bool = False  # it can lay interpreter and package over an empty folder
    no_core: tuple[str, ...] = ()  # prlimit and its arguments: a core file would hold the program's memory


# --- what is visible ------------------------------------------------------------------------------


def interpreted(command: Sequence[str], executable: str) -> list[str]:
    """A group's command on this machine: ``python3`` is the running interpreter."""
    return [executable if command[0] == "python3" else command[0], *command[1:]]


def _bound(network: bool) -> list[Path]:
    """What has the same name inside."""
    files = (*_ETC, *(_ETC_NETWORK if network else ()))
    return [Path("/usr"), *(path for path in map(Path, files) if path.exists())]


def _needed(wrap: Bubblewrap, box: Box) -> dict[Path, str]:
    """Everything of the host that a sandbox needs, and how it is bound."""
    shown = (*_bound(box.network), *own_folders(), plain(wrap.path).parent)
    needed = {path.resolve(): "--ro-bind" for path in shown}
    return needed | {folder.resolve(): "--bind" for folder, _ in (*box.writable, *box.readable)}


def _layer_place(wrap: Bubblewrap, box: Box) -> Path | None:
    """A folder that the outer sandbox may cover, because nothing that is needed lies in it."""
    needed = _needed(wrap, box)
    for place in map(Path, _LAYER_PLACES if wrap.layers else ()):
        if place.is_dir() and not place.is_symlink() and not any(path.is_relative_to(place) for path in needed):
            return place
    return None


def _shown(box: Box, layers: Path | None) -> list[str]:
    """Mounts from the root downwards: what is visible, and covers over what is hidden inside it."""
    folders = dict.fromkeys((str(path), path) for path in _bound(box.network))
    pairs = [*folders, *((inside, path) for path, inside in interpreter().folders)]
    places = {inside: str(number) for number, (_, inside) in enumerate(interpreter().folders)}
    mounts: dict[str, list[str]] = {}
    for inside, path in pairs:
        mounts[inside] = ["--ro-bind", str(path), inside]
        if layers is not None and inside in places:
            mounts[inside] = ["--overlay-src", str(layers / "empty"), "--overlay-src", str(layers / places[inside])]
            mounts[inside] += ["--ro-overlay", inside]
    covers = {
        str(inside / path.relative_to(folder))
        for path in box.hidden
        for inside, folder in pairs
        if folder in path.parents and path.is_dir()
    } - set(mounts)
    mounts |= {cover: ["--tmpfs", cover] for cover in covers}
    ordered = sorted(mounts, key=lambda inside: (inside.count("/"), inside))
    arguments = [word for inside in ordered for word in mounts[inside]]
    return arguments + [word for cover in sorted(covers) for word in ("--remount-ro", cover)]


def _own_files(wrap: Bubblewrap, feed: Callable[[bytes], str]) -> list[str]:
    """What stands in the interpreter's folders in place of files that name the host's."""
    arguments: list[str] = []
    for folder in interpreter().emptied:
        arguments += ["--tmpfs", folder]
    for path, target in interpreter().links:
        arguments += ["--symlink", target, path]
    for path, data in interpreter().files:
        mode = ["--perms", "0555"] if "--perms" in wrap.options else []
        arguments += [*mode, "--ro-bind-data", feed(data), path]
    for folder in interpreter().emptied:
        arguments += ["--remount-ro", folder]
    return arguments


def _system() -> list[str]:
    arguments: list[str] = []
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            arguments += ["--ro-bind", name, name]
    return arguments


def _shell() -> list[str]:
    """bash in the place of dash, whose ``wait`` needs a handler of SIGCHLD, which the program's profile refuses."""
    shell, bash = Path("/bin/sh").resolve(), Path("/bin/bash").resolve()
    return ["--ro-bind", str(bash), str(shell)] if shell.name == "dash" and bash.is_file() else []


# --- the argument list ----------------------------------------------------------------------------


def _scratch(wrap: Bubblewrap, path: str, size: int) -> list[str]:
    return [*(["--size", str(size)] if "--size" in wrap.options else []), "--tmpfs", path]


def _namespaces(wrap: Bubblewrap, box: Box) -> list[str]:
    arguments = ["--unshare-user", "--unshare-all", *(["--share-net"] if box.network else [])]
    arguments += ["--uid", str(GUEST_UID), "--gid", str(GUEST_UID), "--hostname", box.name]
    if "--disable-userns" in wrap.options:
        arguments.append("--disable-userns")
    return [*arguments, "--cap-drop", "ALL", "--new-session", "--die-with-parent"]


def inner_arguments(
    wrap: Bubblewrap, box: Box, *, feed: Callable[[bytes], str], layers: Path | None = None
) -> list[str]:
    """bubblewrap's options for ``box``, without the filter of calls and without the command.

    Args:
        feed: makes a descriptor that these bytes can be read from.
        layers: where the outer sandbox shows the interpreter's folders, numbered; ``None`` binds them directly.
    """
    # Scratch comes first: the interpreter, too, may lie below /tmp.
    arguments = [*_namespaces(wrap, box), "--proc", "/proc", "--dev", "/dev"]
    for name in filter(os.path.exists, _EMPTY):
        arguments += ["--ro-bind", "/dev/null", name]
    arguments += [*_scratch(wrap, "/dev/shm", box.scratch_bytes), *_scratch(wrap, "/run", 1 << 20)]  # noqa: S108
    arguments += [*_scratch(wrap, "/tmp", box.scratch_bytes)]  # noqa: S108
    arguments += [*_shown(box, layers), *_own_files(wrap, feed), *_system(), *_shell()]
    for folder, inside in box.writable:
        arguments += ["--bind", str(folder), inside]
    for folder, inside in box.readable:
        arguments += ["--ro-bind", str(folder), inside]
    for path in ("/run", "/dev", "/"):
        arguments += ["--remount-ro", path]
    arguments += ["--chdir", "/", "--clearenv"]
    for assignment in box.environment:
        name, _, value = assignment.partition("=")
        arguments += ["--setenv", name, value]
    return arguments


def _closed_above(path: Path) -> Path | None:
    """The topmost folder above ``path`` that not everybody may enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _ways(wrap: Bubblewrap, box: Box) -> list[str]:
    """A way for ``nobody`` to what ``box`` needs, through folders that not everybody may enter."""
    arguments: list[str] = []
    made: set[Path] = set()
    for path, how in sorted(_needed(wrap, box).items(), key=lambda item: len(item[0].parts)):
        closed = _closed_above(path)
        if closed is None:
            continue
        if closed not in made:
            arguments += ["--tmpfs", str(closed)]
            made.add(closed)
        for folder in reversed(path.parents):
            if closed in folder.parents and folder not in made:
                arguments += ["--dir", str(folder)]
                made.add(folder)
        arguments += [how, str(path), str(path)]
    return arguments


def outer_arguments(wrap: Bubblewrap, box: Box, layers: Path | None) -> list[str]:
    """Options of the outer bubblewrap: the whole machine, and what the inner one cannot reach or name by itself.

    It has a PID namespace of its own, because the kernel lets a dying process signal its children only where
    it may: the outer one, root without capabilities, may not signal ``nobody``. The end of its process 1, which
    is root's too, ends the namespace and ``nobody`` with it.
    """
    arguments = ["--die-with-parent", *([] if wrap.as_nobody else ["--unshare-user"]), "--unshare-pid"]
    arguments += ["--dev-bind", "/", "/", "--chdir", "/"]
    numbered: list[str] = []
    if layers is not None:
        numbered = ["--tmpfs", str(layers), "--dir", str(layers / "empty")]
        for number, (path, _) in enumerate(interpreter().folders):
            numbered += ["--ro-bind", str(path), str(layers / str(number))]
    return [*arguments, *numbered, *(_ways(wrap, box) if wrap.as_nobody else [])]


@dataclass(slots=True)
class Prepared:
    """A command line and the descriptors it reads; :meth:`close` them once it runs."""

    arguments: list[str]
    descriptors: list[int]

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())


def pipe_with(data: bytes) -> int:
    """The reading end of a pipe that holds ``data`` (64 KiB at most) and then ends."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        if os.write(writing, data) != len(data):
            raise OSError("the pipe is full")
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return reading


def _nul(arguments: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)


def prepare(wrap: Bubblewrap, box: Box, *, bpf: bytes, info_descriptor: int | None = None) -> Prepared:
    """The command line that runs ``box``.

    Args:
        bpf: of :func:`sls_jupyter.hosts.seccomp.compile_profile`; empty for no filter.
        info_descriptor: where the outermost bubblewrap writes the host's number of its process 1.

    Raises:
        OSError: a pipe cannot be made.
    """
    prepared = Prepared([], [])

    def feed(data: bytes) -> str:
        prepared.descriptors.append(pipe_with(data))
        return str(prepared.descriptors[-1])

    info = [] if info_descriptor is None else ["--info-fd", str(info_descriptor)]
    layers = _layer_place(wrap, box)
    try:
        prepared.arguments += wrap.no_core
        if wrap.as_nobody or layers is not None:
            outer = [*outer_arguments(wrap, box, layers), *info]
            prepared.arguments += [wrap.path, "--args", feed(_nul(outer)), *wrap.as_nobody]
            info = []
        inner = [*inner_arguments(wrap, box, feed=feed, layers=layers), *info]
        if bpf:
            inner += ["--seccomp", feed(bpf)]
        command = interpreted(box.command, interpreter().executable)
        prepared.arguments += [wrap.path, "--args", feed(_nul(inner)), *command]
    except BaseException:
        prepared.close()
        raise
    return prepared

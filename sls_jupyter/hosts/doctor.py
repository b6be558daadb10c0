"""What this machine can do for a run, and what is missing, a line each: ``sls host doctor``.

Everything is tried here and now, as a run would. What cannot be found out counts as not ok.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sls_jupyter.attestation.amd.bulletins import bulletin_table
from sls_jupyter.attestation.device.find import find_device
from sls_jupyter.errors import SlsError
from sls_jupyter.hosts.podman.command import find_podman
from sls_jupyter.hosts.probing import find_bubblewrap, interpreter_problem


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    what: str
    ok: bool
    found: str
    fix: str = ""  # what to do, where it is not ok; where it is, a warning that stops nothing


def examine(environ: Mapping[str, str], now: datetime, root: Path = Path("/")) -> tuple[Finding, ...]:
    """Look at everything that a local run rests on.

    Args:
        now: with a time zone; data that have a date are judged by it.
        root: below which the hardware's devices are looked for.
    """
    return (*_sandbox(), _interpreter(), _tee(environ, root), _podman(), _bulletins(now))


def _sandbox() -> tuple[Finding, ...]:
    wrap, reason = find_bubblewrap()
    if wrap is None:
        fix = "pip install 'sls-jupyter[sandbox]', or let bubblewrap use user namespaces. Runs are NOT ISOLATED until then."
        return (Finding("sandbox", ok=False, found=reason, fix=fix),)
    names = Finding("names of this machine", ok=True, found="hidden from cells")
    if not wrap.layers:
        fix = "pip install 'sls-jupyter[sandbox]' brings a bubblewrap with overlays (0.11)."
        names = Finding("names of this machine", ok=False, found="a cell can read where Python lies here", fix=fix)
    return Finding("sandbox", ok=True, found=f"bubblewrap works ({Path(wrap.path).name})"), names


def _interpreter() -> Finding:
    problem = interpreter_problem()
    if problem:
        fix = "Install the package into this interpreter: what a group runs has to be what was measured."
        return Finding("interpreter", ok=False, found=problem, fix=fix)
    return Finding("interpreter", ok=True, found=f"Python {sys.version.split()[0]} runs the package that is measured")


def _tee(environ: Mapping[str, str], root: Path) -> Finding:
    try:
        device = find_device(environ, root)
    except SlsError:
        return Finding("TEE", ok=True, found="none in this machine: runs here are SIMULATED, for demonstrations only")
    return Finding("TEE", ok=True, found=type(device).__name__)


def _podman() -> Finding:
    """No local run rests on it; ``sls host doctor NAME`` tries a host on podman that is written down."""
    found = find_podman()
    if found.problem:
        return Finding("podman", ok=True, found=f"no rehearsals with the real image: {found.problem}. {found.fix}")
    return Finding("podman", ok=True, found=f"{found.version}: sls host add podman --image FOLDER adds the rehearsal")


def _bulletins(now: datetime) -> Finding:
    table = bulletin_table()
    old = table.age_note(now)
    return Finding(
        "AMD's bulletins",
        ok=not old,
        found=old or f"{len(table.bulletins)} known, as of {table.as_of}",
        fix="Update sls-jupyter." if old else "",
    )

"""Numbers, times and states as a person reads them on a card."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sls_jupyter.contract.spec import Limits, StreamSpec
from sls_jupyter.notebook.cards import Chip, Mono, Tone
from sls_jupyter.policy.model import OwnerPolicy

STATES: Mapping[str, Tone] = {
    "done": "good",
    "granted": "good",
    "approved": "good",
    "failed": "bad",
    "denied": "bad",
    "cancelled": "note",
    "open": "wait",
    "running": "wait",
    "waits for approval": "wait",  # the session's WAITS, not imported: sls verify needs no session
}


def size_words(count: int) -> str:
    """Bytes as a person reads them, in powers of 1024."""
    if count < 1024:
        return f"{count} B"
    value, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def time_words(seconds: int) -> str:
    """A moment in UTC; a number that no calendar has stays a number."""
    try:
        return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"


def count_words(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def state_chip(state: str) -> Chip:
    """The state of a run or a request."""
    return Chip(state, STATES.get(state.partition(":")[0], ""))


def said_state(state: str) -> Chip:
    """The state of a request: its authority's word, which no signature proves."""
    return Chip(f"{state} (as its authority says)", STATES.get(state.partition(":")[0], ""))


def short_id(id_: str) -> Mono:
    """Enough of a digest to name it on a line."""
    return Mono(id_.removeprefix("sha256:")[:12])


def is_simulated(tee: str) -> bool:
    """Whether this kind of TEE proves nothing about hardware."""
    return tee.startswith("simulated")


def asks_simulated(spec: StreamSpec) -> bool:
    """Whether a request would run on a simulated TEE."""
    return any(is_simulated(tee) for tee in spec.tees)


def takes_simulated(policy: OwnerPolicy) -> bool:
    """Whether an owner lets keys go to a simulated TEE."""
    return any(is_simulated(tee) for tee in policy.tees)


def limit_words(limits: Limits) -> str:
    """What a run may use."""
    return (
        f"{count_words(limits.cpus, 'CPU')}, {size_words(limits.memory_bytes)} memory, {limits.wall_seconds} s,"
        f" {size_words(limits.output_bytes)} of output"
    )

"""Numbers, times and states as a person reads them on a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sls_jupyter.notebook.cards import Chip, Mono, Tone
from sls_jupyter.printing import count_words as count_words
from sls_jupyter.printing import short_digest
from sls_jupyter.printing import size_words as size_words
from sls_jupyter.printing import time_words as time_words

if TYPE_CHECKING:
    from sls_jupyter.contract.spec import Limits, StreamSpec
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
    "waiting": "wait",
    "lost": "bad",
    "waits for approval": "wait",  # the session's WAITS, not imported: sls verify needs no session
}


def state_chip(state: str) -> Chip:
    """The state of a run or a request."""
    return Chip(state, STATES.get(state.partition(":")[0], ""))


def said_state(state: str) -> Chip:
    """The state of a request: its authority's word, which no signature proves."""
    return Chip(f"{state} (as its authority says)", STATES.get(state.partition(":")[0], ""))


def short_id(id_: str) -> Mono:
    """Enough of a digest to name it on a line."""
    return Mono(short_digest(id_))


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

"""Who drives a run, told by the system and not by a note that may be old: a lock on a file of the run's folder.

A lock ends with its process, however that ends. So a run without an end whose lock is free is lost, or, if it only
waited for a person, can be taken up by another process. One contract is launched once: the mark of that is made before
the launch, and never again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sls_jupyter.documents import lp
from sls_jupyter.errors import BadInput, Unavailable
from sls_jupyter.hpke import seal
from sls_jupyter.identity import Identity, lock_if_free, write_private, write_whole

DRIVERS = ("agent", "kernel")
WAITING_LABEL = "sls-jupyter/waiting-run/v1"
_LOCK, _LAUNCHED, _WAITING = "driver", "launched", "waiting.sealed"
_PROBE_SECONDS = 1.0  # somebody who only looks holds the lock for a moment


class Claim:
    """The right to drive one run. Made by :meth:`take` only."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder, self._lock = folder, lock

    @classmethod
    def take(cls, folder: Path, driver: str) -> Claim:
        """Claim the run of a folder.

        Args:
            driver: one of :data:`DRIVERS`.

        Raises:
            BadInput: another process drives it, or it was launched already.
        """
        deadline = time.monotonic() + _PROBE_SECONDS
        while (lock := lock_if_free(folder / _LOCK)) is None:
            if time.monotonic() > deadline:
                raise BadInput(
                    "That run goes on already.", found=folder.name, hint=f"%sls attach {folder.name} follows it."
                )
            time.sleep(0.02)
        if was_launched(folder):
            os.close(lock)
            raise _launched(folder)
        os.ftruncate(lock, 0)
        os.pwrite(lock, driver.encode(), 0)
        return cls(folder, lock)

    def launched(self) -> None:
        """Mark the contract as launched; it does not wait any more.

        Raises:
            BadInput: it was launched before.
        """
        try:
            write_private(self._folder / _LAUNCHED, b"")
        except FileExistsError:
            raise _launched(self._folder) from None
        self.forget_waiting()

    def waits(self, posted: bytes, spec: str, persona: Identity) -> None:
        """Keep what another process needs to take the waiting up, sealed to the persona's own key."""
        sealed = seal(persona.hpke.public_bytes, lp(WAITING_LABEL, spec), posted)
        write_whole(self._folder / _WAITING, sealed)

    def forget_waiting(self) -> None:
        (self._folder / _WAITING).unlink(missing_ok=True)

    def release(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _launched(folder: Path) -> BadInput:
    return BadInput(
        "That contract was launched already; one contract is one run.",
        found=folder.name,
        hint=f"%sls attach {folder.name} shows it. Run the cell again for a new one.",
    )


def is_driven(folder: Path) -> bool:
    """Whether some process drives this run at this moment."""
    if not (folder / _LOCK).exists():
        return False
    with contextlib.suppress(OSError):
        lock = lock_if_free(folder / _LOCK)
        if lock is None:
            return True
        os.close(lock)
    return False


def driver_of(folder: Path) -> str:
    """Which kind of process drives a run, or did last; "" if it is not known."""
    try:
        said = (folder / _LOCK).read_text()
    except (OSError, ValueError):
        return ""
    return said if said in DRIVERS else ""


def was_launched(folder: Path) -> bool:
    """Whether the contract of this folder was ever launched."""
    return (folder / _LAUNCHED).exists()


def is_waiting(folder: Path) -> bool:
    """Whether another process can take up the waiting of this run."""
    return (folder / _WAITING).exists() and not was_launched(folder) and not (folder / "end.json").exists()


def waiting_run(folder: Path, spec: str, persona: Identity) -> bytes:
    """What was kept of a run that waits.

    Raises:
        Unavailable: the file cannot be read. VerificationError, MalformedDocument: it was changed.
    """
    try:
        sealed = (folder / _WAITING).read_bytes()
    except OSError as error:
        raise Unavailable("A request that waits cannot be read.", found=error.strerror) from None
    return persona.hpke.open(lp(WAITING_LABEL, spec), sealed)


def fate(folder: Path, known: Mapping[str, Any]) -> str:
    """The state of a run that this process does not drive: as it ended, or what its lock says.

    Args:
        known: what was written down of its end; nothing while there is none.
    """
    if known.get("state"):
        return str(known["state"])
    if is_driven(folder):
        return "running"
    driver = driver_of(folder)
    if is_waiting(folder):
        return f"waiting: its {driver or 'kernel'} ended"
    return f"lost: its {driver} ended" if driver else "unknown: its kernel has told no end"


def advice(state: str) -> str:
    """What to do about a run in a state of :func:`fate`; nothing for one that went its way."""
    kind = state.partition(":")[0]
    if kind == "lost":
        return "its containers ended with it; the owners' logs hold what it did (audit RUN); run the cell again"
    return "the next agent takes it up (agent start)" if kind == "waiting" else ""

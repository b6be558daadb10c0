"""Pods that hosts left behind which died together with their keepers: found by their label, removed by the next launch."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sls_jupyter.errors import Unavailable
from sls_jupyter.hosts import folders
from sls_jupyter.hosts.podman.arguments import LABEL
from sls_jupyter.hosts.podman.command import Podman


def sweep(podman: Podman) -> list[str]:
    """Remove the pods whose host is gone; their names. What cannot be removed now is for the next launch.

    A pod names its group's folder, and a living host holds the lock in it.
    """
    removed = []
    with contextlib.suppress(Unavailable):
        for pod in podman.json("pod", "ps", f"--filter=label={LABEL}", "--format=json") or []:
            if _is_held(Path(pod["Labels"][LABEL])):
                continue
            with contextlib.suppress(Unavailable):
                podman.run("pod", "rm", "--force", "--ignore", "--time=0", pod["Id"])
                removed.append(pod["Name"])
    return removed


def _is_held(folder: Path) -> bool:
    """Whether a living host has this folder."""
    try:
        lock = folders.try_lock(folder)
    except FileNotFoundError:
        return False  # it is gone
    except OSError:
        return True  # nobody knows; a living pod is worth more than a tidy machine
    if lock is not None:
        os.close(lock)
    return lock is None

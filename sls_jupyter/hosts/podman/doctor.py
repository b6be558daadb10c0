"""What a run on podman rests on, a line each: tried here and now, with one container of the image that does nothing."""

from __future__ import annotations

from collections.abc import Callable

from sls_jupyter.errors import SlsError
from sls_jupyter.hosts.doctor import Finding
from sls_jupyter.hosts.podman.host import PodmanHost


def examine_podman(host: PodmanHost) -> tuple[Finding, ...]:
    """Look at podman, then at the image, then start a container of it. What comes after a failure is not tried, and not ok."""
    found = host.found
    if found.problem:
        after = Finding("guest image", ok=False, found="not tried without podman", fix="Mend podman first.")
        return Finding("podman", ok=False, found=found.problem, fix=found.fix), after
    who = "without root" if found.rootless else "as root"
    limits = "memory, processes" + (", CPUs" if found.cpu_limits else "; CPUs cannot be bounded here")
    return (
        Finding("podman", ok=True, found=f"{found.version}, {who}"),
        Finding("limits", ok=True, found=f"control groups bound {limits}"),
        _tried("guest image", lambda: host.measured().reference),
        _tried(
            "a container of it", lambda: f"starts with {' '.join(host.prepared()[0].options) or 'the default runtime'}"
        ),
    )


def _tried(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, ok=True, found=attempt())
    except SlsError as error:
        return Finding(what, ok=False, found=f"{error.message} {error.found or ''}".strip(), fix=error.hint)

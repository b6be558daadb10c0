"""What ACI's answers say about a group: its events and its containers' states, read defensively.

All of it is the service's word. Nothing is trusted for it: evidence decides, later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sls_jupyter.errors import MAX_SAID, printable
from sls_jupyter.safestream.host import ContainerState

MAX_EVENTS = 200
MAX_MESSAGE = 64 * 1024
_PULL_FAILED = ("failedtopull", "errimagepull", "imagepullfailed", "imagepullbackoff")

Resource = Mapping[str, Any]


def part(value: Any, *path: str) -> Any:
    """The value at a path of objects; ``None`` where anything on it is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def items(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in value[:MAX_EVENTS] if isinstance(one, Mapping)] if isinstance(value, list) else []


def containers(group: Resource) -> dict[str, Mapping[str, Any]]:
    """Each container's properties, by name."""
    found = items(part(group, "properties", "containers"))
    return {str(one.get("name")): part(one, "properties") or {} for one in found}


def provisioning(group: Resource) -> str:
    return str(part(group, "properties", "provisioningState") or "")


def events(group: Resource | None, operation: Resource | None = None) -> Iterator[tuple[str, str, str]]:
    """Events as (container or "", name, message): each container's, the group's, and what only the operation tells."""
    sources: list[tuple[str, Any]] = []
    if group is not None:
        sources += [(name, part(one, "instanceView", "events")) for name, one in containers(group).items()]
        sources.append(("", part(group, "properties", "instanceView", "events")))
    sources.append(("", part(operation, "properties", "events")))
    seen = set()
    for container, found in sources:
        for event in items(found):
            name, message = str(event.get("name") or "")[:120], str(event.get("message") or "")[:MAX_MESSAGE]
            if container or (name, message) not in seen:
                seen.add((name, message))
                yield container, name, message


def progress(group: Resource | None, operation: Resource | None) -> str:
    """The newest of what happens, in one line; "" if nothing is told yet."""
    last = ""
    for container, name, message in events(group, operation):
        if "policyDecision<" not in message:
            said = printable(message, 120) or printable(name, 60)
            last = f"{printable(container, 40)}: {said}" if container else said
    return last


def pull_failure(group: Resource | None, operation: Resource | None) -> str:
    """What an event says about an image that could not be pulled; "" if none does."""
    for _, name, message in events(group, operation):
        if name.lower() in _PULL_FAILED or message.lower().startswith(
            ("failed to pull image", "error: failed to pull")
        ):
            return printable(message, MAX_SAID)
    return ""


def states(group: Resource) -> dict[str, ContainerState]:
    """Each container's state. A container that the service says nothing about is not running."""
    found = {}
    for name, properties in containers(group).items():
        current = part(properties, "instanceView", "currentState")
        state, code = str(part(current, "state") or "Unknown"), part(current, "exitCode")
        running = state.lower() == "running"
        code = code if isinstance(code, int) and not isinstance(code, bool) and not running else None
        detail = printable(" ".join(filter(None, (state, str(part(current, "detailStatus") or "")))), MAX_SAID)
        found[name] = ContainerState(running, code, "" if running else detail)
    return found


def address(group: Resource) -> str:
    return str(part(group, "properties", "ipAddress", "ip") or "")


def policy_text(group: Resource) -> str:
    """The ``ccePolicy`` that the service says it has; "" if it says none."""
    found = part(group, "properties", "confidentialComputeProperties", "ccePolicy")
    return found if isinstance(found, str) else ""

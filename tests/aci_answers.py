"""What the stand-in of Azure Resource Manager answers with: errors, events, groups and their states."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import JSONResponse

STATES = ("Pending", "Creating", "Succeeded")


def arm_error(status: int, code: str, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers or None)


def event(name: str, message: str, kind: str = "Normal") -> dict[str, Any]:
    at = "2026-11-25T10:00:00Z"
    return {"count": 1, "firstTimestamp": at, "lastTimestamp": at, "name": name, "message": message, "type": kind}


def decision_text(decision: dict[str, Any]) -> str:
    """A denial as the utility VM's errors carry it."""
    encoded = base64.b64encode(json.dumps(decision).encode()).decode()
    return f"Failed to create containerd task: guest RPC failure: policyDecision< {encoded} >policyDecision: unknown"


def current(running: bool, code: int | None) -> dict[str, Any]:
    started = {"startTime": "2026-11-25T10:00:00Z"}
    if running:
        return {"state": "Running", **started, "detailStatus": ""}
    return {"state": "Terminated", **started, "exitCode": code, "detailStatus": "Completed" if code == 0 else "Error"}


def policy_of(asked: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(asked["properties"]["confidentialComputeProperties"]["ccePolicy"], validate=True)
    except (KeyError, ValueError):
        return b""


class Landed(Protocol):
    """A group that really runs somewhere."""

    address: str

    def states(self) -> Mapping[str, tuple[bool, int | None]]:
        """Of each container whether it runs, and else its exit code."""
        ...

    def stop(self) -> None: ...


@dataclass
class Group:
    """One container group."""

    name: str
    asked: dict[str, Any]
    operation: str = field(default_factory=lambda: str(uuid.uuid4()))
    looks: int = 0  # how often somebody looked; each look is a step further
    failed: dict[str, str] | None = None  # error of the operation
    events: list[dict[str, Any]] = field(default_factory=list)  # of its containers
    denied: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # events, by container
    deleting: int = 0  # looks left until it is gone; 0: it is not being deleted
    landed: Landed | None = None  # where it really runs, if it does

    def state(self, stuck: bool) -> str:
        if stuck:
            return "Creating" if self.looks > 1 else "Pending"
        return STATES[min(self.looks // 2, 2)]

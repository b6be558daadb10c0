"""A small policy whose every word can be changed, and the questions of a container's life in one line each."""

from __future__ import annotations

import copy
import json
from typing import Any

from sls_jupyter.hosts.judge.deciding import Judge, Verdict
from sls_jupyter.hosts.judge.starts import create_input, layer_steps, overlay_step
from sls_jupyter.hosts.judge.versions import POINTS

LAYERS = ["a" * 64, "b" * 64]
ANYBODY = {"pattern": "", "strategy": "any"}
CONTAINER: dict[str, Any] = {
    "allow_elevated": False,
    "allow_stdio_access": False,
    "capabilities": {"ambient": [], "bounding": [], "effective": [], "inheritable": [], "permitted": []},
    "command": ["run", "--fast"],
    "env_rules": [{"pattern": "A=1", "strategy": "string", "required": False}],
    "exec_processes": [{"command": ["sh"], "signals": [15]}],
    "layers": LAYERS,
    "mounts": [],
    "name": "one",
    "no_new_privileges": False,
    "seccomp_profile_sha256": "",
    "signals": [9],
    "user": {"user_idname": ANYBODY, "group_idnames": [ANYBODY], "umask": "0022"},
    "working_dir": "/",
}
FRAGMENT = {"issuer": "did:x509:one", "feed": "feed", "minimum_svn": "2", "includes": ["containers", "fragments"]}


def container(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(CONTAINER) | changes


def policy(*containers: dict[str, Any], **values: Any) -> bytes:
    """A policy with these containers; a value of ``None`` leaves the name away, any other stands in its place."""
    stated: dict[str, Any] = {"api_version": "0.11.0", "framework_version": "0.4.1", "containers": list(containers)}
    stated |= {"allow_environment_variable_dropping": False, "allow_capability_dropping": False}
    lines = [f"{name} := {json.dumps(value)}" for name, value in (stated | values).items() if value is not None]
    lines += [f"{point} := data.framework.{point}" for point in POINTS if point not in values]
    if "reason" not in values:
        lines.append('reason := {"errors": data.framework.errors}')
    return "\n".join(["package policy", *lines, ""]).encode()


def asked(**changes: Any) -> dict[str, Any]:
    """The start that :data:`CONTAINER` admits, with changes in the input's own names."""
    return create_input("c0", ["run", "--fast"], environment=[], mounts=[], user=0, group=0) | changes


def machine(source: bytes, container_id: str = "c0", layers: list[str] | None = None) -> Judge:
    """A machine under this policy on which the layers of a container are mounted."""
    judge = Judge(source)
    steps = layer_steps(LAYERS if layers is None else layers)
    for point, step in steps:
        assert judge.decide(point, step).allowed
    assert judge.decide(*overlay_step(container_id, [step["target"] for _, step in steps])).allowed
    return judge


def start(source: bytes, **changes: Any) -> Verdict:
    """The verdict on a container's start."""
    return machine(source).decide("create_container", asked(**changes))

"""What the utility VM of the stand-in asks its policy, from nothing but the template and the registry's layers.

It does not know our group: a template that says another thing than the policy is denied here, as it would be on Azure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.machine import UNPRIVILEGED_CAPABILITIES, mount
from sls_jupyter.hosts.judge.starts import (
    EMPTY_DIRS,
    PLATFORM_VARIABLES,
    SANDBOX_FOLDER,
    SYSTEM_MOUNTS,
    Step,
    bind,
    create_input,
    layer_steps,
    no_capabilities,
    overlay_step,
    pause_steps,
)

MAX_DECISION = 3 * 1024  # bytes; the input is left away where it is longer
RESOLV_CONF = mount("bind", f"{SANDBOX_FOLDER}/tmp/atlas/resolvconf/0123", "/etc/resolv.conf", "rbind,rshared,rw")


class UtilityVm:
    """A judge for :class:`tests.aci_standin.Azure`.

    Args:
        layers: root hashes of what the registry serves, by reference.
        variables: what the platform sets in every container, beside the template.
        mounts: what it mounts, beside the template.
    """

    def __init__(
        self,
        layers: Mapping[str, Sequence[str]],
        variables: Iterable[str] = PLATFORM_VARIABLES,
        mounts: Iterable[dict[str, Any]] = (RESOLV_CONF,),
    ) -> None:
        self.layers, self.variables, self.mounts = layers, tuple(variables), tuple(mounts)
        self.started: dict[str, tuple[str, ...]] = {}  # variables that each container was started with

    def __call__(self, policy: bytes, asked: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        try:
            judge = Judge(policy)
        except MalformedDocument as error:
            return [("", {"decision": "deny", "reason": {"errors": [error.message]}})]
        found = self._decide(judge, "", pause_steps())
        mounted: dict[str, str] = {}
        for number, container in enumerate(asked["properties"]["containers"]):
            name = container["name"]
            found += self._decide(judge, name, self._steps(asked, container, f"c{number}", mounted))
        return found

    def _decide(self, judge: Judge, container: str, steps: Iterable[Step]) -> list[tuple[str, dict[str, Any]]]:
        for point, asked in steps:
            verdict = judge.decide(point, asked)
            if not verdict.allowed:
                return [(container, decision(point, asked, verdict.texts))]
            if verdict.env_list is not None:
                self.started[container] = verdict.env_list
        return []

    def _steps(
        self, asked: dict[str, Any], container: dict[str, Any], container_id: str, mounted: dict[str, str]
    ) -> list[Step]:
        properties = container["properties"]
        layers = self.layers.get(properties["image"], ())
        fresh = layer_steps([one for one in layers if one not in mounted], len(mounted))
        mounted.update({step["deviceHash"]: step["target"] for _, step in fresh})
        overlay = overlay_step(container_id, [mounted[one] for one in layers])
        return [*fresh, overlay, ("create_container", self._create(asked, properties, container_id))]

    def _create(self, asked: dict[str, Any], properties: dict[str, Any], container_id: str) -> dict[str, Any]:
        volumes = [one["name"] for one in asked["properties"]["volumes"]]
        own = [
            bind(f"{EMPTY_DIRS}/{volumes.index(one['name'])}", one["mountPath"], "ro" if one.get("readOnly") else "rw")
            for one in properties["volumeMounts"]
        ]
        security = properties.get("securityContext", {})
        given = [f"{one['name']}={one['value']}" for one in properties["environmentVariables"]]
        return create_input(
            container_id,
            properties["command"],
            environment=[*given, *self.variables],
            mounts=[*SYSTEM_MOUNTS, *own, *self.mounts],
            user=security.get("runAsUser", 0),
            group=security.get("runAsGroup", 0),
            no_new_privileges=not security.get("allowPrivilegeEscalation", True),
            capabilities=_capabilities(security.get("capabilities", {})),
            seccomp_sha256=_seccomp(security.get("seccompProfile", "")),
            privileged=security.get("privileged", False),
        )


def _capabilities(asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Containerd's set, without those dropped by name; ``ALL`` is no name."""
    left = sorted({*UNPRIVILEGED_CAPABILITIES, *asked.get("add", ())} - set(asked.get("drop", ())))
    return no_capabilities() | dict.fromkeys(("bounding", "effective", "permitted"), left)


def _seccomp(profile: str) -> str:
    """The digest of the profile as Go writes it again: compact, in its own order."""
    if not profile:
        return ""
    written = json.dumps(json.loads(base64.b64decode(profile)), separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def decision(point: str, asked: dict[str, Any], errors: Sequence[str]) -> dict[str, Any]:
    """A decision as the utility VM reports it, cut as it cuts."""
    found = {"decision": "deny", "input": {**asked, "rule": point}, "reason": {"errors": list(errors)}}
    return found if len(json.dumps(found)) <= MAX_DECISION else {**found, "input": {"rule": point}}

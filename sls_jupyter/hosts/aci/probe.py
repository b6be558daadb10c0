"""What the platform brings to a container today, found out with a group that is refused on purpose.

Containers' output can be read by nobody, so a group that runs tells nothing. But a refusal says what was asked: the
template of one run under the policy of another one is denied for its command, and the denial carries variables, mounts
and user. The group is deleted at once; no container of ours ever starts in it, and no key is near.

What is kept has no value of a variable and no address: names, mounts' places and options, ids and the framework's texts.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.documents import Model, OneLine
from sls_jupyter.errors import BadInput, SlsError, Unavailable, printable
from sls_jupyter.hosts.aci import view
from sls_jupyter.hosts.aci.arm import error_of_operation
from sls_jupyter.hosts.aci.denials import Denial, first_denial
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.running import Remains
from sls_jupyter.hosts.aci.template import Deployment, RenderedPolicy, group_name, resource, spec_digest_of

PROBE_SECONDS = 900.0
MAX_SEEN = 256
_HEX = re.compile(r"[0-9a-f]{16,}|[0-9]{6,}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class SeenMount(Model):
    destination: OneLine
    source: OneLine  # long numbers and digests replaced by N
    options: tuple[OneLine, ...]
    type: OneLine


class Seen(Model):
    """What a denial showed of the platform, redacted: a vector for tests."""

    version: Literal[1] = 1
    at: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]
    region: OneLine
    api_version: OneLine
    errors: tuple[OneLine, ...]
    complete: bool  # False: the platform left the input away, so nothing below was seen
    variables: tuple[OneLine, ...]  # names, sorted
    mounts: tuple[SeenMount, ...]
    user: OneLine
    groups: tuple[OneLine, ...]
    capabilities: tuple[OneLine, ...]
    no_new_privileges: bool | None

    def unknown_variables(self) -> tuple[str, ...]:
        """Variables that the data of this version do not know: the policy drops them."""
        rules = [(one.pattern.partition("=")[0], one.strategy) for one in aci_platform().variables]
        known = {name for name, strategy in rules if strategy == "string"} | {
            "PATH",
            "HOME",
            "LANG",
            "HOSTNAME",
            "SLS_LISTEN",
        }
        patterns = [re.compile(name) for name, strategy in rules if strategy == "re2"]
        return tuple(
            name for name in self.variables if name not in known and not any(one.fullmatch(name) for one in patterns)
        )

    def unknown_mounts(self) -> tuple[str, ...]:
        """Mounts that no policy of this version admits, by their place."""
        known = {str(one["destination"]) for one in aci_platform().mounts}
        return tuple(
            one.destination
            for one in self.mounts
            if one.type == "bind" and one.destination not in known and not one.destination.startswith("/run/sls/")
        )


def seen_in(denial: Denial, *, at: datetime, region: str, api_version: str) -> Seen:
    """The redacted record of a denial."""
    asked = denial.asked
    names = {str(one).partition("=")[0] for one in _list(asked.get("envList"))}
    capabilities = asked.get("capabilities")
    sets = capabilities.values() if isinstance(capabilities, Mapping) else ()
    user = asked.get("user")
    privileges = asked.get("noNewPrivileges")
    return Seen(
        at=at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        region=region,
        api_version=api_version,
        errors=tuple(_hidden(one) for one in denial.errors),
        complete=bool(denial.command),
        variables=tuple(sorted(one for one in names if _VARIABLE.fullmatch(one)))[:MAX_SEEN],
        mounts=tuple(_mount(one) for one in _list(asked.get("mounts")) if isinstance(one, Mapping)),
        user=printable(str(user.get("id")), 20) if isinstance(user, Mapping) else "",
        groups=tuple(
            printable(str(one.get("id")), 20) for one in _list(asked.get("groups")) if isinstance(one, Mapping)
        ),
        capabilities=tuple(sorted({printable(str(one), 40) for items in sets for one in _list(items)})),
        no_new_privileges=privileges if isinstance(privileges, bool) else None,
    )


def _list(value: Any) -> list[Any]:
    return value[:MAX_SEEN] if isinstance(value, list) else []


def _mount(one: Mapping[str, Any]) -> SeenMount:
    return SeenMount(
        destination=_hidden(one.get("destination")),
        source=_hidden(one.get("source")),
        options=tuple(_hidden(option) for option in _list(one.get("options"))),
        type=_hidden(one.get("type")),
    )


def _hidden(value: object) -> str:
    """One bounded line without what names a node, a group or a user."""
    return _HEX.sub("N", printable(str(value), 300))


@dataclass(frozen=True, slots=True)
class Probe:
    """A trial on a host."""

    host: AciHost
    seconds: float = PROBE_SECONDS

    def run(self, group: ContainerGroup, other: ContainerGroup, tell: Callable[[str], None] = lambda _: None) -> Seen:
        """Ask for ``group`` under the policy of ``other``, which must refuse it; nothing is left.

        Raises:
            Unavailable: the platform gave no denial in time. Others as a launch.
        """
        policy, spec = RenderedPolicy.of(other), spec_digest_of(group)
        group = replace(group, containers=group.containers[-1:])  # one: a long question is left out of its denial
        place = Deployment(
            group_name(spec),
            self.host.settings.region,
            spec,
            secrets.token_hex(16),
            _now(),
            self.host.settings.pull_identity,
        )
        body = resource(RenderedPolicy.of(group), place)
        body["properties"]["confidentialComputeProperties"] = {"ccePolicy": policy.base64}
        remains = Remains(self.host.arm, place.name, self.host.pace.poll)
        if self.host.arm.get(place.name) is not None:  # without a credential it ends here: nothing was asked for
            raise BadInput("A group of this name is there already.", found=place.name, hint="Run it again.")
        try:
            remains.asked = True
            answer = self.host.arm.create(place.name, json.dumps(body).encode())
            tell(f"{place.name} was taken; waiting for its refusal")
            denial = self._denial(place.name, answer.operation)
        finally:
            remains.end()
            if remains.trouble:
                tell(
                    f"group {place.name} may still run, and is billed ({remains.trouble}): sls host sweep {self.host.name}"
                )
        return seen_in(denial, at=datetime.now(UTC), region=place.region, api_version="2023-05-01")

    def _denial(self, name: str, operation: str) -> Denial:
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            group = self.host.arm.get(name)
            status = self.host.arm.operation(operation) if operation and group is not None else None
            texts = [(container, message) for container, _, message in view.events(group, status)]
            texts.append(("", str(view.part(status, "error", "message") or "")))
            if found := first_denial(texts):
                return found[1]
            if group is None or str((status or {}).get("status")).lower() in ("failed", "canceled"):
                raise _failure(status, self.host.name)
            if view.provisioning(group).lower() == "succeeded":
                raise Unavailable(
                    "The platform started a group that its policy does not admit.",
                    hint="Do not use this region: report it, with the file of sls export arm.",
                )
            time.sleep(self.host.pace.poll)
        raise Unavailable(
            "The platform gave no denial in time.",
            hint=f"Run sls host doctor {self.host.name} --record FILE again later.",
        )


def _failure(status: view.Resource | None, host: str) -> SlsError:
    return (
        error_of_operation(status, host)
        if status is not None
        else Unavailable("The group is gone before it was refused.")
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

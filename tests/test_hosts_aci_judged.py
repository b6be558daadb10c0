"""The utility VM, as far as it is known, admits what we deploy, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract import cce
from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import Refused
from sls_jupyter.hosts.aci.template import Deployment, group_name, resource
from sls_jupyter.hosts.judge.starts import PLATFORM_VARIABLES
from tests.aci_judging import RESOLV_CONF, UtilityVm
from tests.aci_kit import group, host, policy
from tests.aci_standin import Azure, serving
from tests.contract_kit import IMAGE, SPEC

LAYERS = {IMAGE.reference: IMAGE.layers}
DEPLOYMENT = Deployment(group_name(SPEC.digest), "northeurope", SPEC.digest)


@pytest.fixture
def azure() -> Iterator[Azure]:
    with serving(Azure(UtilityVm(LAYERS))) as found:
        yield found


@settings(deadline=None)
@given(st.integers(1, 28), st.integers(64 * 2**20, 170 * 2**30), st.sampled_from([(), ("aci-infrastructure",)]))
def test_every_group_is_admitted(cpus, memory, fragments):
    """Template and policy are for one another, whatever the run asks for."""
    rendered = policy(group(limits=Limits(cpus=cpus, memory_bytes=memory), fragments=fragments))
    vm = UtilityVm(LAYERS)
    assert vm(rendered.text, resource(rendered, DEPLOYMENT)) == []
    assert not any(one.startswith(("TMP=", "SLS_TEE")) for kept in vm.started.values() for one in kept)


def _of(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    number = ("input", "program", "output", "audit").index(name)
    return lambda body: body["properties"]["containers"][number]["properties"]


def _set(place: dict[str, Any], **changes: Any) -> None:
    place |= changes


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "another command": ("command", lambda body: _of("input")(body)["command"].append("--debug")),
    "another spec": ("command", lambda body: _of("program")(body)["command"].__setitem__(5, "sha256:" + "0" * 64)),
    "a higher limit": ("command", lambda body: _of("program")(body)["command"].__setitem__(-1, "4096")),
    "root for the program": ("user", lambda body: _set(_of("program")(body)["securityContext"], runAsUser=0)),
    "another group": ("user", lambda body: _set(_of("audit")(body)["securityContext"], runAsGroup=1001)),
    "privileged": ("privileged", lambda body: _set(_of("output")(body)["securityContext"], privileged=True)),
    "escalation": (
        "no_new_privileges",
        lambda body: _set(_of("output")(body)["securityContext"], allowPrivilegeEscalation=True),
    ),
    "capabilities kept": ("capabilities", lambda body: _of("input")(body)["securityContext"]["capabilities"]["drop"].pop()),
    "drop ALL": (
        "capabilities",
        lambda body: _set(_of("input")(body)["securityContext"]["capabilities"], drop=["ALL"]),
    ),
    "no seccomp": ("seccomp", lambda body: _of("program")(body)["securityContext"].pop("seccompProfile")),
    "a writable feed": ("mounts", lambda body: _of("program")(body)["volumeMounts"][0].update(readOnly=False)),
    "a mount more": (
        "mounts",
        lambda body: _of("program")(body)["volumeMounts"].append({"name": "feed", "mountPath": "/run/sls/audit-input"}),
    ),
    "another image": ("layers", lambda body: _set(_of("audit")(body), image="registry.example/other@sha256:" + "1" * 64)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_single_change_is_denied(azure, change, monkeypatch):
    """Whoever changes the template on the way gets no group, and our error says what was changed."""
    rule, make = CHANGES[change]
    rendered = policy(group())
    changed = json.loads(json.dumps(resource(rendered, DEPLOYMENT)))
    make(changed)

    def tampered(*arguments: Any) -> dict[str, Any]:
        body = resource(*arguments)
        make(body)
        return body

    monkeypatch.setattr("sls_jupyter.hosts.aci.launch.resource", tampered)
    with pytest.raises(Refused) as raised:
        host(azure).launch(rendered.group, rendered.text)
    assert raised.value.detail["rule"] == rule
    assert azure.billed() == []


def test_a_new_variable_of_the_platform_stops_nothing():
    """September 2026 again: the platform sets a variable that nobody knows. It is dropped, the group starts."""
    rendered = policy()
    vm = UtilityVm(LAYERS, variables=(*PLATFORM_VARIABLES, "NEW_ENDPOINT=http://10.0.0.1"))
    assert vm(rendered.text, resource(rendered, DEPLOYMENT)) == []
    assert not any("NEW_ENDPOINT" in one for kept in vm.started.values() for one in kept)


@pytest.mark.parametrize(
    ("vm", "rule"),
    [
        (UtilityVm({IMAGE.reference: (*IMAGE.layers[:-1], "0" * 64)}), "layer"),  # the tag was moved
        (UtilityVm({IMAGE.reference: IMAGE.layers[::-1]}), "layers"),
        (UtilityVm(LAYERS, mounts=(RESOLV_CONF, {**RESOLV_CONF, "destination": "/etc/new"})), "mounts"),
    ],
)
def test_what_the_platform_does_otherwise_is_told(vm, rule):
    """Another image under the same name, layers in another order, a new mount: denied, in words."""
    made = group()
    with serving(Azure(vm)) as azure:
        with pytest.raises(Refused) as raised:
            host(azure).launch(made, cce.render(made))
        assert azure.billed() == []
    assert raised.value.detail["rule"] == rule
    assert raised.value.hint


def test_what_is_right_starts(azure):
    """The same way, unchanged, is admitted: the denials above are for their changes."""
    made = group()
    running = host(azure).launch(made, cce.render(made))
    assert all(state.running for state in running.states().values())
    running.stop()

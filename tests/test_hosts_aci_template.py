"""The ARM resource says what the policy says, in the types that Azure publishes; exported files say the same."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract import cce
from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import BadInput, DigestMismatch
from sls_jupyter.hosts.aci.export import arm_text, bicep_text
from sls_jupyter.hosts.aci.template import (
    Deployment,
    RenderedPolicy,
    gigabytes,
    group_name,
    resource,
    spec_digest_of,
    totals,
)
from tests.aci_kit import group, policy, without_layers
from tests.arm_schema import problems
from tests.contract_kit import SPEC


def deployment(**changes: str) -> Deployment:
    fields = {"name": group_name(SPEC.digest), "region": "northeurope", "spec": SPEC.digest}
    return Deployment(**{**fields, **changes})


@settings(deadline=None)
@given(cpus=st.integers(1, 28), memory=st.integers(64 * 2**20, 170 * 2**30))
def test_template_and_policy_say_the_same(cpus, memory):
    """Whatever a run asks for: each word that the utility VM compares is in the template as the policy has it."""
    rendered = policy(group(limits=Limits(cpus=cpus, memory_bytes=memory)))
    body = resource(rendered, deployment())
    assert problems(body) == []
    carried = base64.b64decode(body["properties"]["confidentialComputeProperties"]["ccePolicy"])
    assert hashlib.sha256(carried).digest() == rendered.host_data
    in_policy = {one["name"]: one for one in cce.containers_of(rendered.group)}
    for container in body["properties"]["containers"]:
        ours, said = container["properties"], in_policy[container["name"]]
        security = ours["securityContext"]
        assert ours["command"] == said["command"]
        assert {one["mountPath"] for one in ours["volumeMounts"]} <= {one["destination"] for one in said["mounts"]}
        assert str(security["runAsUser"]) == said["user"]["user_idname"]["pattern"]
        assert [str(security["runAsGroup"])] == [one["pattern"] for one in said["user"]["group_idnames"]]
        profile = base64.b64decode(security.get("seccompProfile", ""))
        assert (hashlib.sha256(profile).hexdigest() if profile else "") == said["seccomp_profile_sha256"]
        assert (security["privileged"], security["allowPrivilegeEscalation"]) == (False, not said["no_new_privileges"])
        assert len(security["capabilities"]["drop"]) == 14
        rules = [(one["pattern"], one["strategy"]) for one in said["env_rules"]]
        for variable in ours["environmentVariables"]:
            text = f"{variable['name']}={variable['value']}"
            assert any(text == rule if kind == "string" else re.fullmatch(rule, text) for rule, kind in rules)
            assert variable["name"] != "SLS_TEE_DEVICE"


def test_enough_memory_is_asked_for_whichever_gigabyte_is_meant():
    """A program is not killed by the platform below its own limit."""
    assert gigabytes(2**30) == 1.1
    assert gigabytes(10**9) == 1.0
    cpus, memory = totals(resource(policy(), deployment()))
    assert (cpus, memory) == (7.0, 8.6 + 3 * 1.1)


def test_names_and_tags_carry_the_spec_and_nothing_of_a_person():
    """A group can be found by its run; who reads the subscription learns neither purpose nor people."""
    made = group()
    spec = spec_digest_of(made)
    assert group_name(spec) == f"sls-{spec[7:47]}"
    body = resource(policy(made), deployment(spec=spec, launch="ab", created="2026-11-25T10:00:00Z"))
    assert body["tags"] == {
        "sls-jupyter": "container-group", "sls-spec": spec, "sls-launch": "ab", "sls-created": "2026-11-25T10:00:00Z",
    }  # fmt: skip
    assert SPEC.purpose not in json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("name", ["", "a", "A-b", "a--b", "-ab", "ab-", "a" * 64, "a_b"])
def test_a_name_that_azure_refuses_is_refused_here(name):
    """The reason comes before a call is made."""
    with pytest.raises(BadInput):
        deployment(name=name)


def test_no_policy_is_empty_or_without_layers():
    """A tool that failed silently has made groups of an empty policy before; here there is no such thing."""
    for text in (b"", b"  ", b"package policy\n"):
        with pytest.raises(DigestMismatch):
            RenderedPolicy(text, group())
    with pytest.raises(BadInput, match="layers"):
        RenderedPolicy.of(without_layers())
    with pytest.raises(BadInput):
        RenderedPolicy.of(replace(group(), containers=()))


@pytest.mark.parametrize(
    "reference", ["registry.example/guest:1", "registry.example/guest", "x@sha256:12", "A@sha256:" + "d" * 64]
)
def test_an_image_is_deployed_by_digest_only(reference):
    """A tag can be moved between preflight and pull."""
    made = group()
    made = replace(made, image=replace(made.image, reference=reference))
    with pytest.raises(BadInput, match="digest"):
        resource(RenderedPolicy.of(made), deployment())


def test_a_private_registry_is_reached_by_an_identity_not_by_a_password():
    """No secret is in a template."""
    identity = "/subscriptions/x/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pull"
    body = resource(policy(), deployment(pull_identity=identity))
    assert body["properties"]["imageRegistryCredentials"] == [{"server": "registry.example", "identity": identity}]
    assert problems(body) == []
    assert "password" not in json.dumps(body)


def test_the_arm_file_is_the_resource():
    """What is exported is what would be launched, and the same run exports the same bytes."""
    name, body = group_name(SPEC.digest), resource(policy(), deployment())
    template = json.loads(arm_text(name, body))
    found = dict(template["resources"][0])
    assert (found.pop("type"), found.pop("apiVersion"), found.pop("name")) == (
        "Microsoft.ContainerInstance/containerGroups", "2023-05-01", name,
    )  # fmt: skip
    assert found == body
    assert arm_text(name, body) == arm_text(name, body)


def test_no_string_becomes_an_expression():
    """ARM reads a leading bracket as code, Bicep a dollar and a brace."""
    body = {"location": "[evil()]", "properties": {"a": ["[x]", "it's ${x} \\ \n\t\x01"]}}
    assert json.loads(arm_text("ab", body))["resources"][0]["location"] == "[[evil()]"
    assert "'it\\'s \\${x} \\\\ \\n\\t\\u{1}'" in bicep_text("ab", body)


_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'")


def test_the_bicep_file_says_the_same():
    """Read back by the rules of Bicep's strings, it is the resource."""
    name, body = group_name(SPEC.digest), resource(policy(), deployment())
    text = bicep_text(name, body)
    strings = set(_STRING.findall(text))
    for container in body["properties"]["containers"]:
        assert set(container["properties"]["command"]) <= strings
    assert body["properties"]["confidentialComputeProperties"]["ccePolicy"] in strings
    assert text.count("{") == text.count("}")
    assert "memoryInGB: json('8.6')" in text
    assert "@2023-05-01' = {" in text.splitlines()[0]


@pytest.mark.parametrize("sample", ["skr-sidecar", "encfs-sidecar", "fragment-aci"])
def test_the_schema_knows_the_samples_of_others(sample):
    """Others' templates are what the types say, but for their spellings: then a refusal of ours means something."""
    from tests.arm_schema import MAP

    resources = json.loads((MAP.parent / f"{sample}.json").read_text())["resources"]
    body = next(one for one in resources if one["type"] == "Microsoft.ContainerInstance/containerGroups")
    wrong = problems({key: value for key, value in body.items() if key not in ("name", "type", "apiVersion")})
    assert all(
        "onfidential" in one or "tcp" in one or "emoryInG" in one or "[" in one.split(": ", 1)[1] for one in wrong
    ), wrong


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("properties", "sku"), "confidential", "none of"),
        (("properties", "ccePolicy"), "x", "unknown"),
        (("properties", "provisioningState"), "Succeeded", "read-only"),
        (("properties", "containers", 0, "properties", "resources", "requests", "memoryInGb"), 1, "unknown"),
        (("properties", "containers", 0, "properties", "securityContext", "runAsUser"), "0", "int"),
        (("properties", "containers", 0, "properties", "securityContext", "capabilities", "drop"), "ALL", "list"),
    ],
)
def test_the_schema_refuses_what_the_types_do_not_have(path, value, word):
    """The stand-in's check can fail: each of these mistakes is one that somebody has made."""
    body = json.loads(json.dumps(resource(policy(), deployment())))
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(word in one for one in problems(body))


def test_a_session_without_azures_packages_starts_and_says_what_to_install():
    """The extra is needed when a group is launched, not before."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('azure', 'azure.identity', 'azure.core', 'azure.mgmt'), None))\n"
        "from sls_jupyter.errors import Unavailable\n"
        "from tests.aci_kit_plain import host\n"
        "host().capabilities()\n"
        "try:\n    host().arm\nexcept Unavailable as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'sls-jupyter[azure]'\n"

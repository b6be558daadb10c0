"""The group and its enforcement policy: golden bytes, nothing left open, and every changed word in HOST_DATA."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import World
from contract_kit import IMAGE, SPEC, changed_specs
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.authority.release import release
from sls_jupyter.contract import cce, image
from sls_jupyter.contract.group import INPUT_PORT, OUTPUT_PORT, ROLES, group_for
from sls_jupyter.contract.places import IDS
from sls_jupyter.contract.platform import aci_platform
from sls_jupyter.contract.seccomp import program_profile, program_profile_bytes
from sls_jupyter.contract.spec import SessionTerms, StreamSpec
from sls_jupyter.documents import sign
from sls_jupyter.errors import KeyRefused, MalformedDocument

GOLDEN = Path(__file__).parent / "vectors" / "cce"
FACTS = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
GROUP = group_for(SPEC, IMAGE)
POINTS = [
    "create_container",
    "dump_stacks",
    "exec_external",
    "exec_in_container",
    "get_properties",
    "load_fragment",
    "mount_device",
    "mount_overlay",
    "plan9_mount",
    "plan9_unmount",
    "runtime_logging",
    "rw_mount_device",
    "rw_unmount_device",
    "scratch_mount",
    "scratch_unmount",
    "shutdown_container",
    "signal_container_process",
    "unmount_device",
    "unmount_overlay",
]


def host_data(spec: StreamSpec = SPEC, used: image.GuestImage = IMAGE) -> bytes:
    return cce.host_data(cce.render(group_for(spec, used)))


def assignments(policy: bytes) -> dict[str, str]:
    """The policy's lines as name and text; anything that is no plain assignment fails."""
    first, *lines = [line for line in policy.decode("ascii").split("\n") if line]
    assert first == "package policy"
    found = [line.split(" := ", 1) for line in lines]
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


def containers(policy: bytes) -> list[dict[str, Any]]:
    return json.loads(assignments(policy)["containers"])


# --- golden ---------------------------------------------------------------------------------------


def test_golden_policy():
    """The same spec and image give the same policy in every later version: otherwise no key would ever be released."""
    policy = (GOLDEN / "golden.rego").read_bytes()
    assert cce.render(GROUP) == policy
    assert cce.host_data(policy).hex() == FACTS["host_data"] == hashlib.sha256(policy).hexdigest()


def test_golden_seccomp_profile():
    """The profile's digest stands in the policy; a changed profile is a changed group."""
    assert hashlib.sha256(program_profile_bytes()).hexdigest() == FACTS["seccomp_sha256"]
    assert json.loads(program_profile_bytes()) == program_profile()


# --- structure ------------------------------------------------------------------------------------


def test_every_enforcement_point_is_written_out():
    """A point that is left away takes a default, and several defaults allow."""
    found = assignments(cce.render(GROUP))
    assert {name: text for name, text in found.items() if text.startswith("data.framework")} == {
        name: f"data.framework.{name}" for name in POINTS
    }
    assert sorted(cce.ENFORCEMENT_POINTS) == POINTS


def test_nothing_is_switched_on_but_the_dropping_of_unknown_variables():
    """No logs, stacks, properties, unencrypted scratch and no fragment that could add to the policy later."""
    found = assignments(cce.render(GROUP))
    switches = {name: text for name, text in found.items() if name.startswith("allow_")}
    assert len(switches) == 6
    assert {name for name, text in switches.items() if text != "false"} == {"allow_environment_variable_dropping"}
    assert found["fragments"] == "[]"
    assert set(found) == {*POINTS, *switches, "api_version", "framework_version", "fragments", "containers", "reason"}


def test_no_container_can_be_entered_or_overheard():
    """The operator cannot attach, execute something else, raise privileges or read standard output."""
    found = containers(cce.render(GROUP))
    assert [item["name"] for item in found] == [*ROLES, "pause-container"]
    for item in found:
        assert item["exec_processes"] == []
        assert item["allow_stdio_access"] is item["allow_elevated"] is False
        assert "latest" not in json.dumps(item)
        ours = item["name"] in ROLES  # the platform's own runs nothing but a pause
        assert item["no_new_privileges"] is ours
        assert (set(map(tuple, item["capabilities"].values())) == {()}) is ours


def test_each_container_has_ids_of_its_own_which_nobody_can_change():
    """The platform lets a host put any emptyDir anywhere; by its ids alone a neighbour is known."""
    ids = {}
    for item in containers(cce.render(GROUP))[: len(ROLES)]:
        (group,) = item["user"]["group_idnames"]
        assert item["user"]["user_idname"]["strategy"] == group["strategy"] == "id"
        ids[item["name"]] = int(item["user"]["user_idname"]["pattern"]), int(group["pattern"])
    assert ids == IDS
    assert len(set(ids.values())) == len({group for _, group in ids.values()}) == len(ROLES)
    assert [role for role, (user, _) in ids.items() if user] == ["program"]  # the node of the SEV device is root's


def test_a_fragment_is_loaded_only_where_the_spec_names_it():
    """Whoever signs a fragment brings containers into the group: an owner has to have been asked."""
    found = assignments(cce.render(group_for(SPEC.model_copy(update={"fragments": ("aci-infrastructure",)}), IMAGE)))
    (fragment,) = json.loads(found["fragments"])
    assert fragment["feed"] == "mcr.microsoft.com/aci/aci-cc-infra-fragment"
    assert fragment["issuer"].startswith("did:x509:0:sha256:")
    assert int(fragment["minimum_svn"]) >= 4
    assert assignments(cce.render(GROUP))["fragments"] == "[]"


def test_variables_of_the_platform_are_known_and_those_that_steer_a_program_are_dropped():
    """A platform that sets one more variable must not stop every run, nor say where temporary files go."""
    for item in containers(cce.render(GROUP))[: len(ROLES)]:
        rules = [rule["pattern"] for rule in item["env_rules"]]
        admitted = [
            f"^(?:{one.pattern})$" if one.strategy == "re2" else one.pattern
            for one in aci_platform().variables
            if one.admitted
        ]
        assert set(admitted) < set(rules)
        assert not any(re.fullmatch(pattern, "TMP=/somewhere") for pattern in rules)
        assert not any("(?i)" in pattern for pattern in rules)  # engines differ on it


def test_the_digest_of_a_profile_is_the_one_that_the_utility_vm_computes():
    """The profile is compared by its digest: another spelling of the same JSON would stop every program."""
    measured = json.loads((GOLDEN / "seccomp-2026-11-23.json").read_text())
    text = json.dumps(measured["profile"], separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == measured["sha256"]
    assert list(measured["profile"]) == list(program_profile())
    order = ["names", "action", "errnoRet", "args"]
    for rule in program_profile()["syscalls"]:
        assert [name for name in order if name in rule] == list(rule)
        for argument in rule.get("args", ()):
            assert list(argument) == [one for one in ("index", "value", "valueTwo", "op") if one in argument]
            assert argument.get("valueTwo", 1)  # what is empty is left away


def test_commands_carry_the_spec_and_the_limits():
    """Each container starts with the spec's digest, and the program with its limits, so HOST_DATA names both."""
    for role in ROLES:
        assert SPEC.digest in GROUP.container(role).command
    command = GROUP.container("program").command
    limits = SPEC.limits
    for value in (limits.cpu_seconds, limits.wall_seconds, limits.memory_bytes, limits.processes):
        assert str(value) in command
    assert all(item["layers"] == list(IMAGE.layers) for item in containers(cce.render(GROUP))[:4])


def test_a_session_lives_as_long_as_its_terms_say():
    """A program that is ended after the time of one cell would end the session; hosts and supervisor hold it to the same."""
    terms = SessionTerms(cells=3, idle_seconds=50, wall_seconds=4000)
    session = SPEC.model_copy(update={"code": None, "parameters": None, "outputs": (), "session": terms})
    program = group_for(session, IMAGE).container("program")
    assert program.command[program.command.index("--wall-seconds") + 1] == "4050"
    assert program.limits == SPEC.limits.model_copy(update={"wall_seconds": 4050})
    longer = session.model_copy(update={"session": terms.model_copy(update={"cells": 4})})
    assert host_data(session) != host_data(longer)


def test_neighbours_alone_share_a_folder():
    """Input and output have no folder in common: what leaves has gone through the program and the gate."""
    mounts = {role: {mount.volume for mount in GROUP.container(role).mounts} for role in ROLES}
    assert mounts["input"] & mounts["output"] == set()
    assert mounts["input"] & mounts["program"] == {"feed"}
    assert mounts["program"] & mounts["output"] == {"result"}
    assert {role for role in ROLES[:3] if mounts[role] & mounts["audit"]} == {"input", "output"}
    assert set(GROUP.volumes()) == set().union(*mounts.values())


def test_program_has_no_door_and_no_device():
    """The program alone has the profile, and neither a port nor the hardware's device nor a network."""
    program = GROUP.container("program")
    assert program.seccomp_sha256 == FACTS["seccomp_sha256"]
    assert (program.port, program.network) == (None, False)
    assert not any("TEE_DEVICE" in rule.pattern or "LISTEN" in rule.pattern for rule in program.env_rules)
    ports = {role: GROUP.container(role).port for role in ROLES}
    assert ports == {"input": INPUT_PORT, "program": None, "output": OUTPUT_PORT, "audit": None}
    assert program.memory_bytes == SPEC.limits.memory_bytes


def test_environment_is_closed():
    """No variable that a Python, a linker or a proxy listens to can be set from outside."""
    for role in ROLES:
        container = GROUP.container(role)
        names = {rule.pattern.split("=")[0] for rule in container.env_rules}
        assert names <= {"PATH", "HOME", "LANG", "HOSTNAME", "SLS_LISTEN", "SLS_TEE_DEVICE"}
        assert container.command[:2] == ("python3", "-I")
        assert all(".*" not in rule.pattern and ".+" not in rule.pattern for rule in container.env_rules)


# --- every word is in HOST_DATA -------------------------------------------------------------------


def test_every_changed_word_of_a_spec_changes_host_data():
    """Code, columns, parameters, recipients, limits: change the least of it, and the hardware says another value."""
    found = {name: host_data(spec) for name, spec in changed_specs(SPEC)}
    assert {name.split(".")[0] for name in found} == set(StreamSpec.model_fields)
    assert len({host_data(), *found.values()}) == len(found) + 1


def test_the_same_layers_elsewhere_are_the_same_image():
    """An image is its layers: who trusts it, trusts it in every registry, and an auditor pins one digest."""
    elsewhere = replace(IMAGE, reference="mirror.example/copy@sha256:" + "c" * 64)
    assert cce.render(group_for(SPEC, elsewhere)) == cce.render(group_for(SPEC, IMAGE))
    assert elsewhere.digest == IMAGE.digest
    assert {one.get("id") for one in containers(cce.render(GROUP))} == {IMAGE.layers_id, None}
    for change in ({"layers": IMAGE.layers[::-1]}, {"layers": IMAGE.layers[:1]}, {"measurement": bytes(48)}):
        assert replace(IMAGE, **change).digest != IMAGE.digest


@pytest.mark.parametrize("change", [{"layers": ("e" * 64,)}, {"layers": ("f" * 64, "e" * 64)}])
def test_another_image_changes_host_data(change):
    """Other guest code, or the same layers in another order, is another group."""
    assert host_data(used=replace(IMAGE, **change)) != host_data()


@given(
    purpose=st.text(max_size=40),
    outputs=st.sets(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True), max_size=3),
    nonce=st.binary(min_size=16, max_size=16),
    wall=st.integers(1, 7 * 86400),
)
def test_equal_specs_and_no_others_have_equal_host_data(purpose, outputs, nonce, wall):
    """Both sides render the same policy from the same bytes, whatever is in them, and it stays plain assignments."""
    limits = SPEC.limits.model_copy(update={"wall_seconds": wall})
    fields = {"purpose": purpose, "outputs": tuple(sorted(outputs)), "nonce": nonce.hex(), "limits": limits}
    try:
        spec = StreamSpec(**{**dict(SPEC), **fields})
        payload = spec.payload()
    except Exception:
        return
    again = StreamSpec.parse(payload)
    assert host_data(again) == host_data(spec)
    assert (host_data(spec) == host_data()) == (spec == SPEC)
    assert spec.digest in containers(cce.render(group_for(spec, IMAGE)))[1]["command"]


def test_every_changed_word_gets_no_key(tmp_path):
    """A host that runs the least different spec, or a requester who shows it, gets nothing from the authority."""
    world = World(tmp_path)
    sealed, spec = world.granted()
    for name, other in changed_specs(spec):
        attempt = world.attempt(sealed, spec, host_data=world.host_data(other))
        with pytest.raises(KeyRefused) as caught:
            release(world.authority, attempt.request)
        assert caught.value.check == 4, name
        shown = world.attempt(sealed, spec).changed(spec_envelope=sign(other, world.analyst))
        with pytest.raises(KeyRefused) as caught:
            release(world.authority, shown.request)
        assert caught.value.check in (1, 6), name  # 6: somebody else's spec, with our signature
    assert release(world.authority, world.attempt(sealed, spec).request)
    world.close()


# --- the installed guest --------------------------------------------------------------------------


def test_changed_guest_code_is_another_image(tmp_path, monkeypatch):
    """One changed byte in any file that runs inside is another layer and another measurement; outside files are not."""
    package = tmp_path / "sls_jupyter"
    for name in ("guest/program.py", "documents.py", "notebook/magics.py", "policy/owner.rego"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("x = 1\n")
    monkeypatch.setattr(image, "PACKAGE", package)
    before = image.measure_installed()
    assert image.measure_installed() == before
    (package / "notebook" / "magics.py").write_text("x = 2\n")
    assert image.measure_installed() == before
    for name in ("guest/program.py", "documents.py", "policy/owner.rego"):
        (package / name).write_text("x = 2\n")
        after = image.measure_installed()
        assert (after.layers, after.measurement) != (before.layers, before.measurement)
        before = after
    (package / "guest" / "more.py").write_text("")
    assert image.measure_installed().measurement != before.measurement


def test_installed_image_has_the_shape_of_a_real_one():
    """Locally the guest code plays the image: one layer, one SHA-384, and the name carries the digest."""
    found = image.installed_image()
    assert len(found.measurement) == 48
    assert found.reference.endswith(found.layers[0])
    assert all((image.PACKAGE / "guest" / name) in image.guest_files() for name in ("input.py", "output.py"))


def test_a_policy_is_read_back_as_it_was_written():
    """What says in words where two policies differ rests on it; text of another form is refused, not guessed at."""
    found = cce.parse(cce.render(GROUP))
    assert found["containers"] == cce.containers_of(GROUP)
    assert found["allow_dump_stacks"] is False
    assert found["mount_device"] == "data.framework.mount_device"
    for other in (b"", b"\xff", b"package x\n", b"package policy\nx := {", b"package policy\nx := 1\nx := 1\n"):
        with pytest.raises(MalformedDocument):
            cce.parse(other)

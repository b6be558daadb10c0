"""Policies of this package against the platform: every container starts as the platform starts it, and no other way.

This is what a run on Azure stands or falls with: a policy that is too strict stops every run, one that is too wide
lets the operator change what was approved. The judge says what Microsoft's framework would.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract_kit import IMAGE, SPEC
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import Container, ContainerGroup, group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.places import ROLES
from sls_jupyter.contract.platform import FRAGMENTS, aci_platform
from sls_jupyter.contract.spec import Limits, StreamSpec
from sls_jupyter.hosts.judge.deciding import Judge, Verdict
from sls_jupyter.hosts.judge.starts import (
    PLATFORM_VARIABLES,
    SANDBOX_FOLDER,
    Step,
    bind,
    overlay_step,
    pause_steps,
    platform_start,
    platform_steps,
    usual_capabilities,
)
from sls_jupyter.hosts.judge.words import explain_all

ROOTS = st.text("0123456789abcdef", min_size=64, max_size=64)
IMAGES = st.lists(ROOTS, min_size=1, max_size=5, unique=True).map(
    lambda roots: GuestImage(IMAGE.reference, tuple(roots), b"")
)
SPECS = st.builds(
    lambda cpus, memory, processes, seconds, nonce, fragments: SPEC.model_copy(
        update={
            "limits": Limits(
                cpus=cpus, memory_bytes=memory, processes=processes, cpu_seconds=seconds, wall_seconds=seconds
            ),
            "nonce": nonce,
            "fragments": fragments,
        }
    ),
    st.integers(1, 31),
    st.integers(64 * 2**20, 180 * 2**30),
    st.integers(1, 4096),
    st.integers(1, 7 * 86400),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.sampled_from([(), FRAGMENTS]),
)
GROUPS = st.builds(group_for, SPECS, IMAGES)
GROUP = group_for(SPEC, IMAGE)
DROPPED = ("TMP=/var/tmp",)  # known, and taken from every container
FEW = settings(deadline=None, max_examples=40)


def put(judging: Judge, steps: list[Step]) -> Verdict:
    """The first denial in a sequence, or the last verdict."""
    verdict = judging.decide(*steps[0])
    for step in steps[1:]:
        if not verdict.allowed:
            break
        verdict = judging.decide(*step)
    return verdict


# --- as the platform starts them ------------------------------------------------------------------


@FEW
@given(GROUPS)
def test_every_container_of_every_group_is_admitted(group: ContainerGroup) -> None:
    """On one machine, the pause container first, then the four in their order, as Azure does it."""
    judging = Judge(cce.render(group))
    assert put(judging, pause_steps()).allowed
    layers = platform_steps(group.containers[0], group)[: len(group.image.layers)]
    assert put(judging, layers).allowed
    for container in group.containers:
        verdict = put(judging, platform_steps(container, group, container.name)[len(layers) :])
        assert verdict.allowed, verdict
        assert not verdict.allow_stdio_access


@FEW
@given(GROUPS, st.sampled_from(ROLES), st.lists(st.from_regex(r"[A-Z_]{1,12}=[ -~]{0,12}", fullmatch=True), max_size=5))
def test_an_unknown_variable_stops_no_run_and_reaches_no_container(
    group: ContainerGroup, role: str, more: list[str]
) -> None:
    """The platform added three in September 2026; LD_PRELOAD would be another."""
    container = group.container(role)
    *steps, (point, asked) = platform_steps(container, group)
    asked["envList"] += [*more, "LD_PRELOAD=/tmp/x.so", "PATH=/tmp", "PYTHONPATH=/tmp"]
    verdict = put(Judge(cce.render(group)), [*steps, (point, asked)])
    assert verdict.allowed
    kept = {one.partition("=")[0]: one for one in verdict.env_list or ()}
    assert kept["PATH"] == f"PATH={'/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}"
    assert not {"LD_PRELOAD", "PYTHONPATH", "TMP", "TEMP"} & set(kept)


def test_the_platforms_variables_are_one_of_each_that_is_known() -> None:
    """A variable that is added to the data has to be tried here."""
    from sls_jupyter.hosts.judge.rules.matching import variable_fits

    for rule in aci_platform().variables:
        stated = {"pattern": rule.pattern, "strategy": rule.strategy}
        given = "azurecontainerinstance_restarted_by=x" if "restarted" in rule.pattern else None
        assert any(variable_fits(stated, one) for one in (given, *PLATFORM_VARIABLES))


# --- one change each ------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], Container], None]
MOUNT = "invalid mount list: "


def _set(**values: Any) -> Change:
    return lambda asked, _: asked.update(copy.deepcopy(values))


def _volume(asked: dict[str, Any]) -> dict[str, Any]:
    """The container's first emptyDir."""
    return next(one for one in asked["mounts"] if one["destination"].startswith("/run/sls/"))


def _other_access(asked: dict[str, Any], _: Container) -> None:
    options = _volume(asked)["options"]
    options[-1] = {"ro": "rw", "rw": "ro"}[options[-1]]


def _volume_set(**values: Any) -> Change:
    return lambda asked, _: _volume(asked).update(values)


def _add(name: str, value: Any) -> Change:
    return lambda asked, _: asked[name].append(copy.deepcopy(value))


CHANGES: dict[str, tuple[Change, str]] = {
    "one argument more": (_add("argList", "--more"), "invalid command"),
    "another spec": (lambda asked, _: asked["argList"].__setitem__(5, "sha256:" + "0" * 64), "invalid command"),
    "another module": (lambda asked, _: asked["argList"].__setitem__(3, "evil"), "invalid command"),
    "no argument": (_set(argList=["python3"]), "invalid command"),
    "another working directory": (_set(workingDir="/tmp"), "invalid working directory"),
    "a file share": (_add("mounts", bind("/mnt/share", "/data", "rw")), MOUNT + "/data"),
    "a volume over the code": (
        _add("mounts", bind(f"{SANDBOX_FOLDER}/tmp/atlas/secret/1", "/usr/lib/python3", "ro")),
        MOUNT + "/usr/lib/python3",
    ),
    "another source": (_volume_set(source="/mnt/share"), MOUNT + "{volume}"),
    "one option more": (_volume_set(options=["rbind", "rshared", "rw", "suid"]), MOUNT + "{volume}"),
    "no options": (_volume_set(options=[]), MOUNT + "{volume}"),
    "another file system": (_volume_set(type="overlay"), MOUNT + "{volume}"),
    "another user": (_set(user={"id": "65534", "name": "nobody"}), "invalid user"),
    "another group": (_set(groups=[{"id": "65534", "name": "nogroup"}]), "invalid user"),
    "a second group": (_add("groups", {"id": "0", "name": "root"}), "invalid user"),
    "another umask": (_set(umask="0000"), "invalid user"),
    "the usual capabilities": (_set(capabilities=usual_capabilities()), "capabilities don't match"),
    "one capability": (
        lambda asked, _: asked["capabilities"]["ambient"].append("CAP_NET_RAW"),
        "capabilities don't match",
    ),
    "new privileges": (_set(noNewPrivileges=False), "invalid noNewPrivileges"),
    "privileged": (_set(privileged=True), "privileged escalation not allowed"),
    "another seccomp profile": (_set(seccompProfileSHA256="0" * 64), "invalid seccomp"),
    "a device": (_add("devices", {"path": "/dev/sda", "type": "b"}), "devices not supported"),
}


@FEW
@given(GROUPS, st.sampled_from(ROLES))
def test_one_change_is_denied_with_its_reason(group: ContainerGroup, role: str) -> None:
    """Whoever writes the template can change one word, and learns which; nothing starts."""
    container = group.container(role)
    *steps, (point, asked) = platform_steps(container, group)
    judging, volume, wrong = Judge(cce.render(group)), _volume(asked)["destination"], []
    asked["envList"] = [one for one in asked["envList"] if one not in DROPPED]
    assert put(judging, steps).allowed
    for name, (change, text) in CHANGES.items():
        changed = copy.deepcopy(asked)
        change(changed, container)
        verdict = judging.decide(point, changed)
        if (verdict.allowed, verdict.errors) != (False, (text.format(volume=volume),)):
            wrong.append((name, verdict))
    assert wrong == []
    assert judging.decide(point, asked).allowed


@pytest.mark.parametrize("role", ROLES)
def test_a_volume_has_the_access_that_the_policy_says(role: str) -> None:
    """A program that could write into a shared volume could put a link where its neighbours look.

    There may be no text: a neighbour has the same volume with that access.
    """
    *steps, (point, asked) = platform_steps(GROUP.container(role), GROUP)
    _other_access(asked, GROUP.container(role))
    asked["envList"] = []
    verdict = put(Judge(cce.render(GROUP)), [*steps, (point, asked)])
    assert not verdict.allowed
    assert set(verdict.errors) <= {MOUNT + _volume(asked)["destination"]}


def test_a_dropped_variable_is_named_beside_the_reason_of_another_denial() -> None:
    """The framework says so of variables that it would have dropped; the words leave it out again."""
    *steps, (point, asked) = platform_steps(GROUP.container("input"), GROUP)
    asked["argList"].append("--more")
    verdict = put(Judge(cce.render(GROUP)), [*steps, (point, asked)])
    assert verdict.errors == ("invalid command", "invalid env list: TMP")
    assert [one.rule for one in explain_all(verdict.errors, drops_variables=True)] == ["command"]
    assert [one.rule for one in explain_all(verdict.errors, drops_variables=False)] == ["command", "environment"]


@FEW
@given(GROUPS, st.sampled_from(ROLES), st.sampled_from(ROLES))
def test_no_container_starts_as_another(group: ContainerGroup, role: str, other: str) -> None:
    """Ids, profile and volumes of a neighbour: each fits some container, and no container fits all of them."""
    container, neighbour = group.container(role), group.container(other)
    *steps, (point, asked) = platform_steps(container, group)
    theirs = platform_start(neighbour, group)
    judging = Judge(cce.render(group))
    assert put(judging, steps).allowed
    names = [
        name for name in ("user", "groups", "seccompProfileSHA256", "argList", "mounts") if asked[name] != theirs[name]
    ]
    for name in names:
        assert not judging.decide(point, asked | {name: theirs[name]}).allowed


def _layers(steps: list[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Changes of layers, and the text for each."""
    mounts, paths = steps[:-2], [asked["target"] for _, asked in steps[:-2]]
    point, asked = mounts[0]
    yield "deviceHash not found", [(point, asked | {"deviceHash": "0" * 63 + "g"}), *steps[1:]]
    yield "mountpoint invalid", [(point, asked | {"target": "/usr"}), *steps[1:]]
    yield "device already mounted at path", [mounts[0], *steps]
    overlay = "no matching containers for overlay"
    yield overlay, [*mounts, overlay_step("c0", paths[1:]), steps[-1]]
    yield overlay, [*mounts, overlay_step("c0", [*paths, paths[0]]), steps[-1]]
    if len(paths) > 1:
        yield overlay, [*mounts, overlay_step("c0", paths[::-1]), steps[-1]]


@FEW
@given(GROUPS, st.sampled_from(ROLES))
def test_other_layers_are_denied(group: ContainerGroup, role: str) -> None:
    """Another image, a layer less or twice, another order, another place."""
    for text, steps in _layers(platform_steps(group.container(role), group)):
        verdict = put(Judge(cce.render(group)), steps)
        assert (verdict.allowed, verdict.errors) == (False, (text,))


@FEW
@given(GROUPS, st.sampled_from(ROLES))
def test_a_container_id_starts_once(group: ContainerGroup, role: str) -> None:
    """No restart under the same id; under another one the framework allows it, and the guest has to see to that."""
    container = group.container(role)
    steps = platform_steps(container, group)
    judging = Judge(cce.render(group))
    assert put(judging, steps).allowed
    assert "container already started" in judging.decide(*steps[-1]).errors
    again = platform_steps(container, group, "c1")
    assert put(judging, again[-2:]).allowed


def test_without_dropping_each_unknown_variable_is_named() -> None:
    """Policies of others do not drop; the text then names the variable."""
    source = cce.render(GROUP).replace(b"dropping := true", b"dropping := false")
    *steps, (point, asked) = platform_steps(GROUP.container("input"), GROUP)
    asked["envList"] = [one for one in asked["envList"] if not one.startswith("TMP=")]
    assert put(Judge(source), [*steps, (point, asked)]).allowed
    asked["envList"] += ["NEW=1", "LD_PRELOAD=/x"]
    verdict = put(Judge(source), [*steps, (point, asked)])
    assert verdict.errors == ("invalid env list: NEW,LD_PRELOAD",)


@pytest.mark.parametrize(
    ("point", "asked", "texts"),
    [
        ("exec_in_container", {"argList": ["/bin/sh"]}, ("invalid command", "invalid noNewPrivileges", "invalid user")),
        ("exec_external", {"argList": ["/bin/sh"]}, ("invalid command", "invalid working directory")),
        ("get_properties", {}, ()),
        ("dump_stacks", {}, ()),
        ("runtime_logging", {}, ()),
        ("scratch_mount", {"target": "/s", "encrypted": False}, ("unencrypted scratch not allowed",)),
        (
            "signal_container_process",
            {"signal": 10, "isInitProcess": True},
            ("target isn't allowed to receive the signal",),
        ),
        ("plan9_mount", {"target": "/x", "rootPrefix": "/run/gcs/c", "mountPathPrefix": "/m"}, ()),
        (
            "load_fragment",
            {"issuer": "did:x509:other", "feed": "f", "fragment_loaded": False},
            ("invalid fragment issuer",),
        ),
    ],
)
def test_nothing_else_can_be_done_with_a_group(point: str, asked: dict[str, Any], texts: tuple[str, ...]) -> None:
    """No shell, no log, no stack, no share, no signal but those that end it."""
    container = GROUP.container("program")
    judging = Judge(cce.render(GROUP))
    assert put(judging, platform_steps(container, GROUP)).allowed
    verdict = judging.decide(point, platform_start(container, GROUP) | {"envList": []} | asked)
    assert (verdict.allowed, verdict.errors) == (False, texts)


@pytest.mark.parametrize("chosen", [(), FRAGMENTS])
def test_microsofts_fragment_is_taken_where_the_group_says_so(chosen: tuple[str, ...]) -> None:
    """And only from its signer, in its feed, not older than the data of this version says."""
    group = group_for(SPEC.model_copy(update={"fragments": chosen}), IMAGE)
    fragment = aci_platform().fragments["aci-infrastructure"]
    ask = {"issuer": fragment.issuer, "feed": fragment.feed, "namespace": "infra", "fragment_loaded": False}
    judging = Judge(cce.render(group))
    assert judging.decide("load_fragment", ask | {"has_header_svn": False}).allowed is bool(chosen)
    older = {"has_header_svn": True, "header_svn": int(fragment.minimum_svn) - 1}
    assert not judging.decide("load_fragment", ask | older).allowed
    assert not judging.decide("load_fragment", ask | {"feed": "other"}).allowed


def test_specs_of_this_file_are_specs() -> None:
    """What is drawn above passes the checks of a real spec."""
    assert StreamSpec.from_json(SPEC.model_dump(mode="json")) == SPEC

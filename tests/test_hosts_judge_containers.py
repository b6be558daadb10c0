"""The life of a container: narrowing at each question, processes in it and beside it, signals, the end."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import LAYERS, asked, container, machine, policy, start

from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.starts import layer_steps, overlay_step

SHELL = {"argList": ["sh"]}


def started(source: bytes) -> Judge:
    judging = machine(source)
    assert judging.decide("create_container", asked()).allowed
    return judging


def test_a_container_id_starts_once() -> None:
    """The same id again is a restart, which the policy does not allow; another id is another container."""
    judging = started(policy(container()))
    assert "container already started" in judging.decide("create_container", asked()).errors
    paths = sorted(judging.state.devices)
    assert judging.decide(*overlay_step("c1", paths)).allowed
    assert judging.decide("create_container", asked(containerID="c1")).allowed


def test_without_its_layers_no_container_starts() -> None:
    """A container that has no overlay can be none of the policy's."""
    verdict = Judge(policy(container())).decide("create_container", asked())
    assert "invalid command" in verdict.errors


def test_each_question_leaves_fewer_containers() -> None:
    """What a container has turned out to be decides later what may be executed in it."""
    plain = container(command=["other"], exec_processes=[{"command": ["bash"], "signals": []}])
    judging = machine(policy(container(), plain))
    assert len(judging.state.matches["c0"]) == 2
    assert judging.decide("create_container", asked()).allowed
    assert [one["command"] for one in judging.state.matches["c0"]] == [["run", "--fast"]]
    assert judging.decide("exec_in_container", asked(**SHELL)).allowed
    assert not judging.decide("exec_in_container", asked(argList=["bash"])).allowed


def test_each_thing_fits_some_container_and_none_fits_all() -> None:
    """Denied without a text: there is none that is true of all containers."""
    source = policy(container(), container(command=["other"], seccomp_profile_sha256="11"))
    verdict = start(source, seccompProfileSHA256="11")
    assert (verdict.allowed, verdict.errors) == (False, ())


def test_whether_output_may_be_read_must_be_clear() -> None:
    """Two containers that differ in nothing else are no policy."""
    assert start(policy(container(allow_stdio_access=True))).allow_stdio_access
    both = policy(container(), container(allow_stdio_access=True))
    assert start(both).errors == ("containers only distinguishable by allow_stdio_access",)


def test_processes_in_a_container() -> None:
    """Only the policy's, only after the start; the framework's texts about the rest come along with every denial."""
    source = policy(container())
    early = machine(source).decide("exec_in_container", asked(**SHELL))
    assert early.errors == ("container not started", "invalid noNewPrivileges", "invalid user")
    judging = started(source)
    assert judging.decide("exec_in_container", asked(**SHELL)).allowed
    denied = judging.decide("exec_in_container", asked(argList=["python3"], workingDir="/x", envList=["B=1"]))
    assert denied.errors == (
        "invalid command",
        "invalid env list: B",
        "invalid noNewPrivileges",
        "invalid user",
        "invalid working directory",
    )


def test_capabilities_of_a_process_are_those_of_its_container() -> None:
    """A shell cannot be given what its container lacks."""
    judging = started(policy(container()))
    more = {name: ["CAP_SYS_ADMIN"] for name in container()["capabilities"]}
    verdict = judging.decide("exec_in_container", asked(**SHELL, capabilities=more))
    assert "capabilities don't match" in verdict.errors


@pytest.mark.parametrize(
    ("signal", "changes", "allowed"),
    [
        (9, {"isInitProcess": True}, True),
        (15, {"isInitProcess": True}, True),  # added for policies older than framework 0.4.1
        (10, {"isInitProcess": True}, False),
        (15, {"isInitProcess": False, "argList": ["sh"]}, True),
        (9, {"isInitProcess": False, "argList": ["sh"]}, False),
        (15, {"argList": ["bash"]}, False),
        ("9", {"isInitProcess": True}, False),
    ],
)
def test_signals(signal: Any, changes: dict[str, Any], allowed: bool) -> None:
    """A host that may signal anything can stop, and more."""
    judging = started(policy(container(), framework_version="0.2.3"))
    verdict = judging.decide("signal_container_process", {"containerID": "c0", "signal": signal} | changes)
    assert verdict.allowed is allowed
    assert verdict.errors == (() if allowed else ("target isn't allowed to receive the signal",))


def test_newer_policies_name_their_signals_themselves() -> None:
    """From framework 0.4.1 on nothing is added."""
    judging = started(policy(container(), framework_version="0.4.1"))
    ask = {"containerID": "c0", "signal": 15, "isInitProcess": True}
    assert not judging.decide("signal_container_process", ask).allowed


def test_the_end_of_a_container() -> None:
    """After it nothing can be executed, and the id is not free again."""
    judging = started(policy(container()))
    assert judging.decide("shutdown_container", {"containerID": "c1"}).errors == ("container not started",)
    assert judging.decide("shutdown_container", {"containerID": "c0"}).allowed
    assert not judging.decide("exec_in_container", asked(**SHELL)).allowed
    assert "container already started" in judging.decide("create_container", asked()).errors
    assert not judging.decide(*overlay_step("c0", sorted(judging.state.devices))).allowed  # the place is taken


PROCESS = {"command": ["ls"], "env_rules": [], "working_dir": "/", "allow_stdio_access": False}


def test_processes_beside_containers() -> None:
    """A debugger of the host's needs an entry of its own."""
    ask = {"argList": ["ls"], "envList": [], "workingDir": "/"}
    none = Judge(policy(container())).decide("exec_external", ask)
    assert none.errors == ("invalid command", "invalid working directory")
    judging = Judge(policy(container(), external_processes=[PROCESS]))
    assert judging.decide("exec_external", ask).allowed
    assert judging.decide("exec_external", {**ask, "envList": ["A=1"]}).errors == ("invalid env list: A",)
    both = Judge(policy(container(), external_processes=[PROCESS, PROCESS | {"allow_stdio_access": True}]))
    expected = ("external processes only distinguishable by allow_stdio_access",)
    assert both.decide("exec_external", ask).errors == expected


def test_a_start_that_is_denied_changes_nothing() -> None:
    """The next question is judged as if there had been none."""
    judging = machine(policy(container()))
    before = judging.state.snapshot()
    assert not judging.decide("create_container", asked(argList=["sh"])).allowed
    assert judging.state.snapshot() == before


def test_layers_in_their_order_and_number() -> None:
    """The same layers the other way round are another file system."""
    judging = Judge(policy(container()))
    for point, ask in layer_steps(LAYERS):
        assert judging.decide(point, ask).allowed
    first, second = sorted(judging.state.devices)
    for paths in ([second, first], [first], [first, second, second], [], ["/nowhere", second]):
        assert judging.decide(*overlay_step("c0", paths)).errors == ("no matching containers for overlay",)
    assert judging.decide(*overlay_step("c0", [first, second])).allowed
    assert "overlay has already been mounted" in judging.decide(*overlay_step("c0", [first, second])).errors

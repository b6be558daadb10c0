"""What an error can say about one container's start: in what it differs, found and expected, without values."""

from __future__ import annotations

from typing import Any

import pytest
from judge_kit import asked, container, machine, policy

from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.words import WORDS


def compared(source: bytes, name: str | None = "one", **changes: Any) -> dict[str, tuple[str, str]]:
    found = machine(source).compare(asked(**changes), name)
    return {one.rule: (one.found, one.expected) for one in found}


@pytest.mark.parametrize(
    ("changes", "rule", "found", "expected"),
    [
        ({"argList": ["run", "--slow"]}, "command", "run --slow", "run --fast"),
        ({"workingDir": "/tmp"}, "working_directory", "/tmp", "/"),
        ({"envList": ["TOKEN=secret"]}, "environment", "TOKEN", "A"),
        ({"umask": "0000"}, "user", "user 0, group 0, umask 0000", "user any, group any, umask 0022"),
        ({"seccompProfileSHA256": "11"}, "seccomp", "11", "none"),
        ({"privileged": True}, "privileged", "a privileged container", "none"),
        ({"devices": [{}]}, "devices", "1 devices", "none"),
        (
            {"mounts": [{"destination": "/x", "options": ["rw"], "source": "y", "type": "bind"}]},
            "mounts",
            "/x (rw)",
            "none",
        ),
        ({"containerID": "c9"}, "layers", "other layers", " ".join(["a" * 64, "b" * 64])),
    ],
)
def test_a_difference_says_what_was_found_and_expected(
    changes: dict[str, Any], rule: str, found: str, expected: str
) -> None:
    """One change, one difference, under the rule that has the words."""
    assert compared(policy(container()), **changes) == {rule: (found, expected)}
    assert rule in {words.rule for words in WORDS}


def test_nothing_differs_from_what_is_admitted() -> None:
    """And what is dropped is no difference."""
    assert compared(policy(container())) == {}
    assert compared(policy(container(), allow_environment_variable_dropping=True), envList=["X=1"]) == {}


def test_capabilities_are_named() -> None:
    """Those asked for, and those of the policy."""
    more = {name: ["CAP_B", "CAP_A"] for name in container()["capabilities"]}
    assert compared(policy(container()), capabilities=more) == {"capabilities": ("CAP_A, CAP_B", "none")}


def test_the_container_that_was_meant_is_compared() -> None:
    """By its name where there is one, else the nearest."""
    source = policy(container(), container(name="two", command=["other"], working_dir="/x"))
    assert set(compared(source, "two", argList=["run", "--slow"])) == {"command", "working_directory"}
    assert set(compared(source, None, argList=["run", "--slow"])) == {"command"}
    assert set(compared(source, "three")) == set()


def test_a_policy_without_containers_has_nothing_to_compare() -> None:
    """No difference is invented."""
    assert Judge(policy()).compare(asked(), "one") == []


def test_a_comparison_changes_nothing() -> None:
    """It is for words only."""
    judging = machine(policy(container()))
    before = judging.state.snapshot()
    judging.compare(asked(argList=["sh"]), "one")
    assert judging.state.snapshot() == before

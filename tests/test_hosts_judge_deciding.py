"""The judge against Microsoft's own: every recorded verdict and reason, and what it does with a policy that fails it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_kit import asked, container, machine, policy, start

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hosts.judge.deciding import Judge, judge
from sls_jupyter.hosts.judge.versions import POINTS
from sls_jupyter.hosts.judge.words import explain

VECTORS = Path(__file__).parent / "vectors" / "cce" / "judged"
SCENARIOS: list[dict[str, Any]] = json.loads((VECTORS / "scenarios.json").read_bytes())


@cache
def read(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", sorted({scenario["policy"] for scenario in SCENARIOS}))
def test_every_recorded_verdict_and_reason_is_met(name: str) -> None:
    """A rehearsal that says yes where Azure says no, or another reason than Azure's, would be worth nothing."""
    wrong = []
    for scenario in SCENARIOS:
        if scenario["policy"] != name:
            continue
        verdicts = judge(read(name), [(step["point"], step["input"]) for step in scenario["steps"]])
        denied = [f"[{' '.join(one.errors)}]" for one in verdicts if not one.allowed]
        if [one.allowed for one in verdicts] != [step["allowed"] for step in scenario["steps"]]:
            wrong.append((scenario["name"], verdicts))
        if (denied[-1] if denied else None) != scenario["reason"]:
            wrong.append((scenario["name"], denied, scenario["reason"]))
    assert wrong == []


def test_all_recorded_scenarios_are_here() -> None:
    """A file that was cut would test nothing and pass."""
    assert len(SCENARIOS) == 278
    assert sum(len(scenario["steps"]) for scenario in SCENARIOS) == 990


def test_every_text_of_the_recordings_is_in_the_table_of_words() -> None:
    """No denial of Azure's that is known reaches a user without what it means and what to do."""
    verdicts = [
        verdict
        for scenario in SCENARIOS
        if scenario["reason"]
        for verdict in judge(read(scenario["policy"]), [(step["point"], step["input"]) for step in scenario["steps"]])
    ]
    texts = {text for verdict in verdicts for text in verdict.errors}
    assert len(texts) > 20
    assert [text for text in texts if explain(text).rule == "unknown"] == []


# --- a policy that does not answer ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"create_container": None}, "rule for create_container is missing from policy"),
        ({"api_version": None}, "policy does not define api_version"),
        ({"api_version": "eleven"}, "enforcement point rule create_container does not exist"),
        ({"create_container": True}, "create_container is not an object"),
        ({"create_container": {"allowed": "yes"}}, "unable to find value for key 'allowed'"),
    ],
)
def test_a_policy_that_cannot_answer_denies(values: dict[str, Any], problem: str) -> None:
    """What the utility VM cannot evaluate it does not start, and the error says that it is the policy's fault."""
    verdict = Judge(policy(container(), **values)).decide("create_container", asked())
    assert (verdict.allowed, verdict.problem) == (False, problem)
    assert verdict.message.startswith("Security policy is not valid")
    assert explain(verdict.texts[0]).rule in ("missing_rule", "unknown")


def test_a_question_that_nobody_knows_is_denied() -> None:
    """A newer utility VM's question is not answered by guessing."""
    assert not Judge(policy(container())).decide("mapped_directory_mount", {}).allowed


def test_what_is_left_away_takes_the_default_of_its_time() -> None:
    """An old policy lets the host execute and unmount; a test that denied it would hide what Azure allows."""
    old = {"api_version": "0.1.0"} | {point: None for point in POINTS if POINTS[point].introduced != "0.1.0"}
    judging = machine(policy(container(), **old))
    allowed = [point for point in POINTS if judging.decide(point, {}).allowed]
    assert allowed == [point for point, one in POINTS.items() if one.allowed]
    assert "exec_in_container" in allowed
    scratch = {
        "target": "/run/x",
        "encrypted": True,
        "ensureFilesystem": True,
        "filesystem": "xfs",
        "mountPathRegex": ".*",
    }
    assert judging.decide("rw_mount_device", scratch).allowed  # the framework's own rule
    assert not judging.decide("rw_mount_device", scratch | {"target": "/run/y", "filesystem": "btrfs"}).allowed


@pytest.mark.parametrize("reason", [None, {}, "no", {"errors": "no"}])
def test_a_policy_without_reasons_still_denies(reason: Any) -> None:
    """The text is then the utility VM's own."""
    verdict = start(policy(container(), reason=reason), argList=["sh"])
    assert (verdict.allowed, verdict.errors) == (False, ())
    assert "did not provide a reason" in verdict.message


def test_a_policy_may_write_its_own_reasons() -> None:
    """Whatever it says is what is shown."""
    assert start(policy(container(), reason={"errors": ["because"]}), argList=["sh"]).errors == ("because",)


@pytest.mark.parametrize("version", ["0.5.1", "1.0.0", None])
def test_a_framework_that_is_too_new_or_unknown_admits_nothing(version: str | None) -> None:
    """The texts name the version, so that the reader does not search in the template."""
    judging = Judge(policy(container(), framework_version=version))
    verdict = judging.decide("create_container", asked())
    assert not verdict.allowed
    assert "framework_version" in {explain(text).rule for text in verdict.errors}


def test_versions_have_older_names() -> None:
    """Policies of 2023 say api_svn and framework_svn; two names that differ are nobody's policy."""
    old = policy(container(), api_version=None, framework_version=None, api_svn="0.10.0", framework_svn="0.2.3")
    assert start(old).allowed
    with pytest.raises(MalformedDocument, match="framework_version"):
        Judge(policy(container(), framework_svn="0.1.0"))


@pytest.mark.parametrize(
    "line",
    [
        'mount_device := {"allowed": true, "metadata": []}',
        "mount_device := data.framework.nothing",
        "reason := data.framework.mount_device",
        "containers := data.framework.errors",
        'mount_device := {"allowed": data.framework.errors}',
    ],
)
def test_what_would_need_a_whole_interpreter_is_refused(line: str) -> None:
    """Better no verdict than one about another policy than Azure would run."""
    with pytest.raises(MalformedDocument):
        Judge(f'package policy\napi_version := "0.11.0"\n{line}\n'.encode())


def test_another_package_is_no_policy() -> None:
    """The utility VM asks data.policy and nothing else."""
    with pytest.raises(MalformedDocument, match="cannot be judged"):
        Judge(b"package other\n")


# --- nothing from outside breaks it ---------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WHOLE = asked(mounts=[{"destination": "/x", "source": "y", "options": ["rw"], "type": "bind"}])


@settings(deadline=None)
@given(st.sampled_from(sorted(POINTS)), st.dictionaries(st.sampled_from(sorted(WHOLE)) | st.text(max_size=5), JSON))
def test_any_question_gets_a_verdict(point: str, changes: dict[str, Any]) -> None:
    """A host that asks nonsense is answered, never by an exception."""
    judging = machine(policy(container()))
    judging.decide(point, WHOLE | changes)
    judging.decide("exec_in_container", WHOLE | changes)


@settings(deadline=None)
@given(st.sampled_from([*container(), "user.umask", "env_rules.0"]), JSON)
def test_any_container_of_a_policy_gets_a_verdict(name: str, value: Any) -> None:
    """A policy with a wrong type somewhere denies, or allows what Rego would, but never breaks the judge."""
    changed = container()
    holder: Any = changed
    *path, last = (int(part) if part.isdigit() else part for part in name.split("."))
    for part in path:
        holder = holder[part]
    holder[last] = value
    judging = Judge(policy(changed, container()))
    for point in POINTS:
        judging.decide(point, WHOLE)
    for point, step in [("mount_device", {"target": "m", "deviceHash": "a" * 64, "mountPathRegex": "m"})]:
        judging.decide(point, step)
    judging.decide("mount_overlay", {"target": "t", "containerID": "c0", "layerPaths": ["m"]})
    judging.decide("create_container", WHOLE)
    judging.decide("exec_in_container", WHOLE)


@pytest.mark.parametrize(
    "question", [{"a": float("nan")}, {"a": {1: 2}}, {"a": "\ud800"}, {"a": (1,)}, {"a": [[]] * 100_001}, [], None]
)
def test_a_question_that_is_no_json_is_refused(question: Any) -> None:
    """Bounds hold for what a host asks as well."""
    with pytest.raises(MalformedDocument):
        Judge(policy()).decide("get_properties", question)


def test_a_deep_question_is_refused() -> None:
    """No recursion as deep as a stranger likes."""
    value: Any = []
    for _ in range(100):
        value = [value]
    with pytest.raises(MalformedDocument):
        Judge(policy()).decide("get_properties", {"a": value})

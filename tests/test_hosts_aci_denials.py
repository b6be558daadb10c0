"""What Azure and its utility VM say is told in words, whoever wrote it."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import MAX_SAID, TooManyRequests
from sls_jupyter.hosts.aci import faults
from sls_jupyter.hosts.aci.denials import Denial, container_of, denials_in, denied
from sls_jupyter.hosts.aci.faults import Fault, error_of, fault_from, is_passing
from sls_jupyter.hosts.judge.words import WORDS
from tests.aci_kit import group, policy


def wrapped(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"task: policyDecision< {base64.b64encode(data).decode()} >policyDecision: unknown"


MADE = group()
POLICY = policy(MADE).text


def test_the_container_is_told_by_its_command():
    """A decision on the group's own events still says which of the four it is."""
    command = list(MADE.container("output").command)
    asked = {"argList": command, "rule": "create_container", "workingDir": "/tmp"}
    found = denials_in(wrapped({"decision": "deny", "input": asked, "reason": {"errors": ["invalid env list: A=1"]}}))[
        0
    ]
    assert container_of(found, "", MADE) == "output"
    error = denied(found, "", MADE, POLICY)
    assert error.detail["point"] == "create_container"
    assert "container output" in error.message
    assert "working_directory" in str(error.found)


def test_variables_are_not_blamed_for_what_the_framework_does_not_name():
    """The framework complains of variables when a mount is wrong; without the input, we say that we cannot tell."""
    found = denials_in(wrapped({"reason": {"errors": ["invalid env list: TMP"]}}))[0]
    error = denied(found, "program", MADE, POLICY)
    assert error.detail["rule"] == "unnamed"
    assert "--record" in error.hint


_PLAIN = [
    (words, text)
    for words in WORDS
    if "(" not in words.text and words.rule != "environment"
    for text in words.text.split("|")
    if not set(text) & set("()?*[].\\")
]


@pytest.mark.parametrize(("words", "text"), _PLAIN, ids=lambda one: getattr(one, "rule", None))
def test_every_rule_of_the_framework_has_its_words_and_fix(words, text):
    """No denial that the framework can give ends in a shrug, also where a text that nobody knows comes first."""
    assert len(_PLAIN) > 20
    found = denials_in(wrapped({"reason": {"errors": ["something else", text]}}))[0]
    error = denied(found, "input", MADE, POLICY)
    assert error.detail["rule"] == words.rule
    assert error.hint == words.fix


def test_a_cut_or_strange_decision_is_still_a_denial():
    """The platform cuts long decisions; what cannot be read is not taken for an admission."""
    for inner in (b"{", b"[]", b"null", b'{"reason": 3}', b'{"reason": {"errors": {"a": 1}}}', b"\xff\xfe"):
        assert len(denials_in(wrapped(inner))) == 1
        assert denied(denials_in(wrapped(inner))[0], "", MADE, POLICY).hint


def test_no_decision_is_no_denial():
    """An ordinary event ends no launch."""
    assert denials_in("Started container") == ()
    assert denials_in("") == ()


@settings(deadline=None)
@given(st.lists(st.text(max_size=2000), max_size=20), st.text(max_size=200))
def test_hostile_text_stays_in_its_line_and_its_bounds(errors, command):
    """Whoever writes into an event steers no terminal and fills no screen."""
    text = wrapped(
        {"reason": {"errors": errors}, "input": {"argList": [command], "rule": "create_container", "mounts": errors}}
    )
    for found in denials_in(text * 3):
        error = denied(found, "", MADE, POLICY)
        assert len(str(error.found)) <= 200 * MAX_SAID
        assert all("\n" not in line and "\x1b" not in line for line in error.lines())


@given(st.text(max_size=3000), st.text(max_size=3000), st.integers(0, 600))
def test_any_answer_of_arm_becomes_an_error_with_a_next_step(code, message, status):
    """Azure may answer anything; nothing of it breaks the reader, and its words stay bounded."""
    fault = fault_from({"error": {"code": code, "message": message, "details": [{"code": None}, 3]}}, status)
    error = error_of(fault)
    assert error.hint
    assert len(str(error.found)) <= 10 * MAX_SAID  # what is unseen is shown by its number


def test_a_hint_names_the_host_as_its_user_does():
    """A command that is copied from a hint runs: no hint leaves the host away, or calls it aci."""
    named = 0
    for code in (code for row in faults._ROWS for code in (*row.codes, "unknown")):
        hint = error_of(Fault(code, "x", 409), "azure-eu").hint
        named += hint.count("sls host")
        assert hint.count("sls host") == len(re.findall(r"sls host (?:doctor|sweep) azure-eu\b", hint)), hint
    assert named
    told = denied(Denial(("invalid env list: A",)), "program", MADE, POLICY, "azure-eu")
    assert "sls host doctor azure-eu --record FILE" in told.hint


@pytest.mark.parametrize("value", [None, [], "x", {"error": None}, {"error": []}, {"details": 3}])
def test_an_answer_without_an_error_object_is_one_all_the_same(value):
    """A proxy's page, or nothing."""
    assert error_of(fault_from(value, 502)).found


def test_the_code_within_the_details_counts():
    """Deployments wrap the real reason in a general one."""
    inner = {"code": "InaccessibleImage", "message": "The image is not accessible."}
    error = error_of(fault_from({"error": {"code": "Conflict", "message": "Conflict", "details": [inner]}}, 409))
    assert "cannot pull" in error.message


def test_what_passes_and_what_does_not():
    """Only what may succeed a little later is asked again."""
    throttled = error_of(Fault("", "slow down", 429, 17.0))
    assert isinstance(throttled, TooManyRequests)
    assert throttled.retry_after == 17
    assert is_passing(throttled)
    assert is_passing(error_of(Fault("ContainerGroupTransitioning", "x", 409)))
    assert is_passing(error_of(Fault("", "x", 503)))
    assert not is_passing(error_of(Fault("ServiceUnavailable", "is not available in the location", 409)))
    assert not is_passing(error_of(Fault("AuthorizationFailed", "x", 403)))

"""Policies and decisions as people read them; the sentences are golden, because owners rely on them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import OWNER, STRANGER, policy, request

from sls_jupyter.policy.decide import DecisionInput, decide
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.words import describe_changes, describe_decision, describe_policy

GOLDEN = json.loads((Path(__file__).parent / "vectors" / "policy" / "words.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN["policies"], ids=[case["name"] for case in GOLDEN["policies"]])
def test_policy_sentences(case):
    """An owner reads on the card what the policy says, word for word."""
    document = OwnerPolicy.from_json(case["policy"])
    assert list(describe_policy(document, GOLDEN["names"])) == case["sentences"]


@pytest.mark.parametrize("case", GOLDEN["decisions"], ids=[case["name"] for case in GOLDEN["decisions"]])
def test_decision_sentences(case):
    """A requester reads the verdict first, then each reason with its fix."""
    asked = DecisionInput.model_validate_json(json.dumps(case["request"]))
    decision = decide(OwnerPolicy.from_json(case["policy"]), None, asked)
    assert list(describe_decision(decision)) == case["sentences"]


def test_somebody_without_a_name_is_shortened():
    """A DID that the reader has no name for stays recognisable and short."""
    (who, *_) = describe_policy(policy(requesters=(STRANGER,)), {OWNER: "North Hospital"})
    assert who == f"Only {STRANGER[:16]}…{STRANGER[-4:]} may ask."


def test_a_pinned_key_is_said():
    """An owner sees on the card whether a recipient's key was pinned."""
    document = policy(recipients=(OWNER, STRANGER), recipient_keys={STRANGER: "sha256:" + "a" * 64})
    (line,) = [one for one in describe_policy(document, {OWNER: "us", STRANGER: "board"}) if "may leave, to" in one]
    assert line.endswith("to us or board (key pinned) only.")


def test_simulation_is_said_loudly():
    """Nobody may overlook that a policy accepts a TEE without hardware."""
    assert any("SIMULATED" in line for line in describe_policy(policy(tees=("simulated-snp",)), {}))
    assert not any("SIMULATED" in line for line in describe_policy(policy(), {}))


@pytest.mark.parametrize("kinds", [("table",), ("table", "text"), ("table", "figure"), ("figure",)])
def test_what_min_group_does_not_count_is_said(kinds):
    """An owner who asks for groups of ten must not believe that it holds for pictures and prints."""
    sentences = "\n".join(describe_policy(policy(min_group=10, kinds=kinds), {}))
    assert ("Figures are not counted: a picture can show single records." in sentences) == ("figure" in kinds)
    assert ("Text is not counted" in sentences) == ("text" in kinds)
    assert "not counted" not in "\n".join(describe_policy(policy(kinds=kinds), {}))


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_any_text_can_be_described(purpose, column):
    """Odd characters in an owner's words must not break a card."""
    sentences = describe_policy(policy(purposes=(purpose,), columns=(column,)), {})
    assert any(purpose in line for line in sentences)
    assert describe_decision(decide(policy(), None, request(denied=(purpose,))))


@pytest.mark.parametrize("limits", [{}, {"min_group": 5}, {"max_rows": 20}])
def test_any_code_without_limits_says_what_can_leave(limits):
    """Who lets any code run may not know that rows can leave as they are."""
    said = " ".join(describe_policy(policy(code="any", **limits), {}))
    assert ("Whole rows of the data may leave" in said) is (not limits)


def test_changes_of_a_policy_are_the_sentences_that_go_and_come():
    """An owner who changes one rule reads that one, as it was and as it will be."""
    old = policy(min_group=10, recipients=(STRANGER,), recipient_keys={STRANGER: "sha256:" + "1" * 64})
    assert describe_changes(old, old, {}) == ()
    assert describe_changes(old, old.model_copy(update={"min_group": 5}), {}) == (
        "− A row of a result describes at least 10 records.",
        "+ A row of a result describes at least 5 records.",
    )
    other_key = old.model_copy(update={"recipient_keys": {STRANGER: "sha256:" + "2" * 64}})
    assert describe_changes(old, other_key, {STRANGER: "board"}) == ("+ Results for board are sealed to another key.",)
    unpinned = old.model_copy(update={"recipient_keys": {}})
    assert describe_changes(old, unpinned, {STRANGER: "board"}) == (
        "− Of the results, tables and figures may leave, to board (key pinned) only.",
        "+ Of the results, tables and figures may leave, to board only.",
    )


@pytest.mark.parametrize("field", sorted(set(OwnerPolicy.model_fields) - {"owner"}))
def test_no_change_of_a_policy_goes_unsaid(field):
    """Whatever field is another one, there is a sentence."""
    changes = {
        "requesters": (STRANGER,),
        "code": "reviewed",
        "code_digests": ("sha256:" + "3" * 64,),
        "tees": ("sev-snp", "simulated-snp"),
        "fragments": ("aci-infrastructure",),
        "minimum_tcb": {"sev-snp": {"snp": 20}},
        "columns": ("age",),
        "purposes": ("care",),
        "kinds": ("table",),
        "min_group": 3,
        "max_rows": 3,
        "max_bytes": 3,
        "max_runs": 3,
        "sessions": False,
        "max_cells": 40,
        "full_errors": True,
        "recipients": (STRANGER,),
        "recipient_keys": {STRANGER: "sha256:" + "1" * 64},
        "approvers": (STRANGER,),
        "required_approvals": 2,
        "expires_at": 2_000_000_000,
        "module": "sha256:" + "4" * 64,
        "bulletins": ("AMD-SB-3019",),
        "mitigations": (2,),
        "registers": {"rtmr1": ("ab" * 48,)},
    }
    base = {"code": "reviewed", "approvers": (OWNER, STRANGER)} if field in ("approvers", "required_approvals") else {}
    base |= {"recipients": (STRANGER,)} if field == "recipient_keys" else {}
    base |= {"code": "reviewed"} if field == "code_digests" else {}
    old = policy(**{**base, **({"approvers": ()} if field == "approvers" else {})})
    assert describe_changes(old, old.model_copy(update={field: changes[field]}), {})

"""Policies for property tests: whatever options can say, in every combination that goes together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from policy_cases import ANALYST, CELL, COLLEAGUE, MODEL, NOW, OWNER, STRANGER

from sls_jupyter.policy.model import OwnerPolicy

PEOPLE = st.sets(st.sampled_from([ANALYST, COLLEAGUE, STRANGER])).map(lambda found: tuple(sorted(found)))
NAMES = st.sampled_from(["age", "weight, kg", "it's", 'a"b', " a", "größe"])
CODES = st.sampled_from(
    [
        {"code": "any"},
        {"code": "reviewed"},
        {"code": "reviewed", "code_digests": (CELL,)},
        {"code": "listed", "code_digests": (CELL, MODEL)},
    ]
)
COUNTS = st.none() | st.integers(1, 10**14)
SIZES = st.none() | st.integers(0, 10**14)


@st.composite
def policies(draw: st.DrawFn) -> OwnerPolicy:
    approvers = draw(PEOPLE)
    fields: dict[str, Any] = {
        **draw(CODES),
        "requesters": draw(PEOPLE),
        "recipients": draw(PEOPLE),
        "approvers": approvers,
        "required_approvals": draw(st.integers(1, max(1, len(approvers)))),
        "columns": draw(st.none() | st.sets(NAMES, min_size=1).map(lambda found: tuple(sorted(found)))),
        "purposes": tuple(sorted(draw(st.sets(st.sampled_from(["risk study", "a, b", "50 $", "{x}"]))))),
        "kinds": draw(st.sampled_from([("table",), ("table", "figure"), ("table", "text", "figure"), ("text",)])),
        "tees": tuple(sorted(draw(st.sets(st.sampled_from(["sev-snp", "tdx", "sgx", "simulated-snp"]), min_size=1)))),
        "minimum_tcb": draw(st.sampled_from([{}, {"sev-snp": {"snp": 20}}, {"sev-snp/Milan": {"snp": 24}}])),
        "bulletins": draw(st.sampled_from([(), ("AMD-SB-3016", "AMD-SB-3019")])),
        "mitigations": draw(st.sampled_from([(), (2, 4)])),
        "fragments": draw(st.sampled_from([(), ("aci-infrastructure",)])),
        "registers": draw(st.sampled_from([{}, {"rtmr1": ("ab" * 48, "cd" * 48)}])),
        "min_group": draw(COUNTS),
        "max_runs": draw(COUNTS),
        "max_rows": draw(SIZES),
        "max_bytes": draw(SIZES),
        "expires_at": draw(st.none() | st.integers(NOW + 1, 10**10)),
        "full_errors": draw(st.booleans()),
    }
    fields |= draw(st.sampled_from([{}, {"sessions": False}, {"max_cells": 40}]))
    return OwnerPolicy(owner=OWNER, **fields)

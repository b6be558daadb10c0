"""The decision: each rule has a request that it lets through and one that it stops, with a reason and a fix."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import (
    ANALYST,
    ASSET,
    CELL,
    COLLEAGUE,
    COLUMNS,
    MODEL,
    NOW,
    OTHER,
    OWNER,
    STRANGER,
    policy,
    release,
    request,
    session,
)

from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, Limits, Recipient, StreamSpec
from sls_jupyter.policy.decide import InputFacts, RequestFacts, decide

SIMULATED = {"tee": "simulated-snp", "simulated": True}
BOTH_TEES = ("sev-snp", "simulated-snp")
PAIR = tuple(sorted((OWNER, COLLEAGUE)))


def outcome(decision):
    return decision.verdict, tuple(reason.code for reason in decision.reasons)


ALLOWED = {
    "listed requester": (policy(), request()),
    "the owner's own run": (policy(requesters=(COLLEAGUE,)), request(requester=OWNER, recipients=(OWNER,))),
    "the owner approves by asking": (policy(requesters=()), request(requester=OWNER, recipients=(OWNER,))),
    "approved requester": (
        policy(requesters=()),
        request(requester=STRANGER, recipients=(STRANGER,), approvals=(OWNER,)),
    ),
    "approved code": (policy(code="reviewed"), request(approvals=(OWNER,))),
    "code known before": (policy(code="reviewed", code_digests=(CELL,)), request()),
    "listed code": (policy(code="listed", code_digests=(CELL, MODEL)), request(code=(CELL, MODEL))),
    "a code asset need not list itself": (
        policy(code="listed", code_digests=(CELL,)),
        request(code=(CELL, ASSET), asset_kind="code", asset_columns=None),
    ),
    "two approvals": (
        policy(code="reviewed", approvers=PAIR, required_approvals=2),
        request(approvals=(COLLEAGUE, OWNER)),
    ),
    "stated purpose": (policy(purposes=("audit", "risk study")), request()),
    "granted columns": (policy(columns=("age", "sex")), request(columns=("age",))),
    "kind let out": (policy(kinds=("table",)), request()),
    "a fragment that the owner lets in": (
        policy(fragments=("aci-infrastructure",)),
        request(fragments=("aci-infrastructure",)),
    ),
    "common TEE": (policy(tees=("sev-snp",)), request(tees=("sev-snp", "tdx"))),
    "simulated, written down": (policy(tees=("simulated-snp",)), request(tees=("simulated-snp",))),
    "pinned recipient": (policy(recipients=(ANALYST,), recipient_keys={ANALYST: OTHER}), request()),
    "listed recipient": (policy(recipients=(COLLEAGUE,)), request(recipients=(COLLEAGUE,))),
    "last run": (policy(max_runs=3), request(runs=2)),
    "a session": (policy(), request(session=session())),
    "a session of reviewed code": (policy(code="reviewed"), request(approvals=(OWNER,), session=session())),
    "as many cells as allowed": (policy(max_cells=40), request(session=session())),
    "a run where there are no sessions": (policy(sessions=False), request()),
    "last second": (policy(expires_at=NOW + 1), request()),
    "released to hardware": (policy(), release()),
    "TCB at the minimum": (policy(minimum_tcb={"sev-snp": {"snp": 20}, "tdx": {"tdx01": 9}}), release()),
    "TCB of another product": (policy(minimum_tcb={"sev-snp/Turin": {"snp": 99}}), release()),
    "released to the simulated TEE": (policy(tees=BOTH_TEES), release(tees=BOTH_TEES, claims=SIMULATED)),
}

DENIED = {
    "not-the-owner": (policy(), request(asset_owner=STRANGER)),
    "denied": (policy(), request(denied=("The cell prints names.",))),
    "expired": (policy(expires_at=NOW), request()),
    "runs-used-up": (policy(max_runs=3), request(runs=3)),
    "session": (policy(sessions=False), request(session=session())),
    "session-cells": (policy(max_cells=39), request(session=session())),
    "requester": (policy(requesters=(COLLEAGUE,)), request()),
    "purpose": (policy(purposes=("audit",)), request()),
    "recipient": (policy(), request(recipients=(ANALYST, STRANGER))),
    "recipient-key": (policy(recipients=(ANALYST,), recipient_keys={ANALYST: MODEL}), request()),
    "code": (policy(code="listed", code_digests=(CELL,)), request(code=(CELL, MODEL))),
    "columns": (policy(columns=("age",)), request(columns=("age", "name"))),
    "columns-unknown": (policy(), request(columns=("agee",))),
    "kinds": (policy(kinds=("figure",)), request()),
    "tee": (policy(), request(tees=("simulated-snp",))),
    "fragment": (policy(), request(fragments=("aci-infrastructure",))),
    "no-evidence": (policy(), request(phase="release")),
    "tee-of-evidence": (policy(tees=("tdx",)), release(tees=("sev-snp", "tdx"))),
    "tee-not-requested": (policy(), release(tees=("tdx",))),
    "simulated": (policy(), release(claims={"simulated": True})),
    "tcb": (policy(minimum_tcb={"sev-snp": {"snp": 21}}), release()),
}

ASKED = {
    "requester-needs-approval": (policy(requesters=()), request()),
    "code-needs-review": (policy(code="reviewed"), request()),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allows(name):
    """A request within the policy must not be held up."""
    assert outcome(decide(ALLOWED[name][0], None, ALLOWED[name][1])) == ("allow", ())


@pytest.mark.parametrize("code", DENIED)
def test_denies(code):
    """Each rule stops what crosses it, names itself alone, and says what to do."""
    decision = decide(DENIED[code][0], None, DENIED[code][1])
    assert outcome(decision) == ("deny", (code,))
    assert all(reason.text and reason.fix and "{" not in reason.text + reason.fix for reason in decision.reasons)


def test_listed_code_means_no_sessions():
    """A list fixes the code before anything runs, also where every cell so far is on it."""
    decision = decide(policy(code="listed", code_digests=(CELL,)), None, request(session=session()))
    assert outcome(decision) == ("deny", ("session",))
    assert "--allow-code reviewed" in decision.reasons[0].fix


def test_a_pinned_key_that_nobody_tells_is_another():
    """Where the owner pinned a key, a request that says nothing of it is denied."""
    pinned = policy(recipients=(ANALYST,), recipient_keys={ANALYST: OTHER})
    assert outcome(decide(pinned, None, request(recipient_keys={}))) == ("deny", ("recipient-key",))


@pytest.mark.parametrize("code", ASKED)
def test_asks(code):
    """What a person has to decide waits, and names the person."""
    decision = decide(ASKED[code][0], None, ASKED[code][1])
    assert outcome(decision) == ("ask", (code,))
    assert OWNER in decision.reasons[0].fix


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (SIMULATED, "tee-of-evidence"),
        ({"tee": None}, "tee-of-evidence"),
        ({"tee": 7}, "tee-of-evidence"),
        ({"simulated": None}, "simulated"),
        ({"simulated": "false"}, "simulated"),
        ({"tcb": {}}, "tcb"),
        ({"tcb": None}, "tcb"),
        ({"tcb": {"snp": None}}, "tcb"),
        ({"tcb": {"snp": "99"}}, "tcb"),
        ({"tcb": {"snp": 19}}, "tcb"),
    ],
)
def test_release_fails_closed_on_odd_claims(claims, code):
    """A claim that is missing or of another type must never pass for a good one."""
    decision = decide(policy(minimum_tcb={"sev-snp": {"snp": 20}}), None, release(tees=BOTH_TEES, claims=claims))
    assert decision.verdict == "deny"
    assert code in outcome(decision)[1]


def test_simulated_claims_under_a_hardware_name_are_refused():
    """A development chain must not get keys by calling itself sev-snp, nor hardware pass as simulated."""
    for claims in ({"simulated": True}, {"tee": "simulated-snp", "simulated": False}):
        decision = decide(policy(tees=BOTH_TEES), None, release(tees=BOTH_TEES, claims=claims))
        assert outcome(decision) == ("deny", ("simulated",))


def test_product_minimum_holds():
    """A minimum that names one product counts for that product."""
    decision = decide(policy(minimum_tcb={"sev-snp/Milan": {"snp": 21}}), None, release())
    assert outcome(decision) == ("deny", ("tcb",))


def test_every_failing_condition_is_named_at_once():
    """An analyst fixes a request in one round, not in nine."""
    narrow = policy(requesters=(COLLEAGUE,), purposes=("audit",), columns=("age",), kinds=("figure",), max_runs=1,
                    code="listed", code_digests=(MODEL,), tees=("tdx",), expires_at=NOW)  # fmt: skip
    decision = decide(narrow, None, request(columns=("sex",), runs=4, recipients=(STRANGER,), denied=("no",)))
    expected = "code columns denied expired kinds purpose recipient requester runs-used-up tee"
    assert outcome(decision) == ("deny", tuple(expected.split()))


def test_approvals_are_counted_by_distinct_approvers():
    """One person's yes twice, or a stranger's yes, is not a second yes."""
    document = policy(code="reviewed", approvers=PAIR, required_approvals=2)
    decision = decide(document, None, request(approvals=(COLLEAGUE, COLLEAGUE, STRANGER)))
    assert decision.verdict == "ask"
    assert "1 of 2" in decision.reasons[0].text
    assert decision.reasons[0].fix.endswith(f"by: {OWNER}.")


def test_the_owner_is_no_approver_where_others_are_named():
    """Named approvers are the ones who decide; the owner who asks waits for them."""
    document = policy(requesters=(), approvers=(COLLEAGUE,))
    asked = request(requester=OWNER, recipients=(OWNER,), approvals=(OWNER,))
    assert decide(document, None, asked).verdict == "ask"


def test_deny_beats_ask():
    """A person is not asked about a request that cannot run anyway."""
    decision = decide(policy(requesters=(), max_runs=1), None, request(runs=1))
    assert outcome(decision) == ("deny", ("runs-used-up", "requester-needs-approval"))


def test_kinds_beyond_the_policy_are_cut_and_reported():
    """Asking for more kinds than are let out is no denial, and the requester learns what will be missing."""
    decision = decide(policy(), None, request(kinds=("table", "text")))
    assert outcome(decision) == ("allow", ("kinds-withheld",))
    assert decision.obligations.kinds == ("table",)
    assert "withhold: text" in decision.reasons[0].text


@pytest.mark.parametrize(
    ("grantable", "requested", "known", "granted"),
    [
        (None, None, COLUMNS, COLUMNS),
        (("age", "sex"), None, COLUMNS, ("age", "sex")),
        (("age", "sex"), ("sex",), COLUMNS, ("sex",)),
        (("age", "ghost"), None, COLUMNS, ("age",)),
        (None, (), COLUMNS, ()),
        (("age",), None, None, ("age",)),
        (None, None, None, None),
    ],
)
def test_granted_columns(grantable, requested, known, granted):
    """The keys that leave are those of the columns both sides mean, and no other."""
    decision = decide(policy(columns=grantable), None, request(columns=requested, asset_columns=known))
    assert (decision.verdict, decision.columns) == ("allow", granted)


def test_a_wide_table_is_decided_as_quickly():
    """Ten thousand columns or kinds of TEE in a request must not keep an authority busy."""
    wide = tuple(f"column_{number:05d}" for number in range(10_000))
    started = time.monotonic()
    allowed = decide(policy(columns=wide), None, request(columns=wide, asset_columns=wide))
    denied = decide(policy(columns=wide[:30]), None, request(columns=wide[20:], asset_columns=wide, tees=wide))
    assert time.monotonic() - started < 1
    assert allowed.columns == wide
    assert outcome(denied) == ("deny", ("columns", "tee"))
    assert denied.reasons[0].text.endswith("column_00049, and 9950 more.")


def test_a_code_asset_has_no_columns():
    """Column rules of a table must not stop a code asset."""
    decision = decide(policy(columns=("age",)), None, request(asset_kind="code", asset_columns=None))
    assert (decision.verdict, decision.columns) == ("allow", None)


def test_obligations_and_tees_of_the_grant():
    """What the owner wrote down reaches the gate, and keys go only where both sides agree."""
    document = policy(min_group=10, max_rows=5, max_bytes=7, tees=("sev-snp", "tdx"))
    decision = decide(document, None, request(tees=("sev-snp", "sgx")))
    assert decision.obligations.model_dump() == {
        "kinds": ("table",), "min_group": 10, "max_rows": 5, "max_bytes": 7, "full_errors": False,
    }  # fmt: skip
    assert decision.tees == ("sev-snp",)


def test_the_demo_hint_names_the_simulated_tee():
    """A newcomer on a laptop is told how the owner can allow a demonstration."""
    decision = decide(policy(), None, request(tees=("simulated-snp",)))
    assert "--tee simulated-snp" in decision.reasons[0].fix


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), reason=st.text(max_size=40))
def test_any_text_is_compared_and_quoted_as_it_is(text, reason):
    """Quotes, braces, backslashes or emoji in a purpose must neither pass for another nor break the answer."""
    allowed = decide(policy(purposes=(text or "-",)), None, request(purpose=text or "-"))
    assert allowed.verdict == "allow"
    denied = decide(policy(purposes=("risk study",)), None, request(purpose=text + "!", denied=(reason,)))
    assert [item.code for item in denied.reasons] == ["denied", "purpose"]
    assert denied.reasons[0].text.endswith(reason)
    assert f"'{text}!'" in denied.reasons[1].text


def test_text_that_has_no_bytes_is_denied():
    """A lone surrogate cannot be written as JSON; the answer is a denial and no traceback."""
    unreadable = request().model_copy(update={"denied": ("\ud800",)})
    assert outcome(decide(policy(), None, unreadable)) == ("deny", ("no-decision",))


def test_a_missing_engine_denies(monkeypatch):
    """Where the policy engine does not load, nothing is granted and the answer says why."""
    from sls_jupyter.policy import engine

    engine._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "regopy", None)
    decision = decide(policy(), None, request())
    assert outcome(decision) == ("deny", ("no-decision",))
    assert "regopy" in decision.reasons[0].fix


def test_threads_do_not_see_each_other_s_input():
    """An authority decides in several threads; an answer must belong to its own request."""

    def runs(number):
        return decide(policy(max_runs=50), None, request(runs=number)).verdict

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(runs, range(100))) == ["allow"] * 50 + ["deny"] * 50


def test_the_engine_is_loaded_late():
    """Importing the policy room must not load the native engine: a guest with limited addresses could not."""
    code = "import sys, sls_jupyter.policy.decide, sls_jupyter.policy.words; sys.exit('regopy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_facts_of_a_spec():
    """The facts that a policy sees are those of the signed spec."""
    table = AssetInput(alias="p", asset=ASSET, kind="table", columns=("age",), owner=OWNER, authority=OWNER,
                       authority_url="")  # fmt: skip
    model = table.model_copy(update={"alias": "q", "asset": OTHER, "kind": "code", "columns": None})
    spec = StreamSpec(
        requester=ANALYST, purpose="risk study", inputs=(table, model), code=CELL, parameters=MODEL,
        outputs=("risk",), kinds=("table",), recipients=(Recipient(did=COLLEAGUE, name="", hpke_public_key="", signature=""),),
        limits=Limits(), tees=("sev-snp",), nonce="0" * 32, issued_at=NOW, expires_at=NOW + 1,
    )  # fmt: skip
    facts = RequestFacts.of(Proposal(spec), table)
    assert (facts.columns, facts.code, facts.recipients) == (("age",), (CELL, OTHER), (COLLEAGUE,))
    assert facts.inputs[1] == InputFacts(asset=OTHER, kind="code", owner=OWNER, authority=OWNER)


# --- narrowing never opens -------------------------------------------------------------------------

SEVERITY = {"allow": 0, "ask": 1, "deny": 2}
PEOPLE = (ANALYST, COLLEAGUE, OWNER, STRANGER)


def ordered(values):
    return st.sets(st.sampled_from(values), min_size=1).map(lambda chosen: tuple(sorted(chosen)))


def kinds():
    names = ("table", "text", "figure")
    return st.sets(st.sampled_from(names), min_size=1).map(lambda chosen: tuple(k for k in names if k in chosen))


POLICIES = st.fixed_dictionaries(
    {
        "requesters": st.just(()) | ordered(PEOPLE),
        "code": st.sampled_from(["reviewed", "listed"]),
        "code_digests": ordered((CELL, MODEL)),
        "tees": ordered(("sev-snp", "simulated-snp", "tdx")),
        "minimum_tcb": st.sampled_from([{}, {"sev-snp": {"snp": 5}}, {"sev-snp": {"snp": 20}}]),
        "columns": st.none() | ordered(COLUMNS),
        "purposes": st.just(()) | ordered(("audit", "risk study")),
        "kinds": kinds(),
        "max_runs": st.none() | st.integers(1, 4),
        "recipients": ordered(PEOPLE),
        "approvers": ordered(PEOPLE),
        "expires_at": st.none() | st.integers(NOW - 2, NOW + 2),
    }
)
REQUESTS = st.fixed_dictionaries(
    {
        "requester": st.sampled_from(PEOPLE),
        "columns": st.none() | ordered(COLUMNS),
        "code": ordered((CELL, MODEL)),
        "recipients": ordered(PEOPLE),
        "kinds": kinds(),
        "tees": ordered(("sev-snp", "simulated-snp", "tdx")),
        "approvals": ordered(PEOPLE),
        "runs": st.integers(0, 4),
        "claims": st.sampled_from([{}, SIMULATED]),
    }
)


@st.composite
def narrowed(draw, fields):
    """The same policy with one field made stricter."""
    field = draw(st.sampled_from(sorted(fields)))
    value = fields[field]
    if field == "code":
        return {**fields, "code": "listed"}
    if field == "minimum_tcb":
        return {**fields, field: {"sev-snp": {"snp": 21}}}
    if field in ("max_runs", "expires_at"):
        least = 1 if field == "max_runs" else 0
        return {**fields, field: draw(st.integers(least, value if value is not None else NOW + 2))}
    universe = {"columns": COLUMNS, "purposes": ("audit", "risk study")}.get(field, ())
    pool = value or (universe if field in ("columns", "purposes") else ())
    keep = draw(st.sets(st.sampled_from(pool), min_size=1)) if pool else set()
    return {**fields, field: tuple(item for item in pool if item in keep)}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), fields=POLICIES, asked=REQUESTS)
def test_a_stricter_policy_never_says_yes_more_often(data, fields, asked):
    """An owner who adds a restriction must not open anything by it."""
    before = decide(policy(**fields), None, release(**asked))
    after = decide(policy(**data.draw(narrowed(fields))), None, release(**asked))
    assert SEVERITY[after.verdict] >= SEVERITY[before.verdict]
    if before.columns is not None:
        assert set(after.columns) <= set(before.columns)


@settings(max_examples=60, deadline=None)
@given(fields=POLICIES, asked=REQUESTS)
def test_a_denial_by_a_person_always_denies(fields, asked):
    """Nothing in a policy or a request outweighs a no."""
    assert decide(policy(**fields), None, release(**asked, denied=("no",))).verdict == "deny"

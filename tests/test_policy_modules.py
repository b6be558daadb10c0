"""Owners' own modules: what they may say, what they may not, and that none can hang or widen anything."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import COLLEAGUE, NOW, OTHER, STRANGER, policy, request, session

from sls_jupyter.documents import digest
from sls_jupyter.errors import BadInput
from sls_jupyter.policy import engine, worker
from sls_jupyter.policy.decide import check_module, decide
from sls_jupyter.policy.modules import ALLOWED, ENTRYPOINT, MAX_MODULE_BYTES

VECTORS = Path(__file__).parent / "vectors" / "policy"
BUILTINS = json.loads((VECTORS / "builtins.json").read_text(encoding="utf-8"))
REFUSED = json.loads((VECTORS / "refused_modules.json").read_text(encoding="utf-8"))
HEAD = "package sls.owner\nimport rego.v1\n"
MODULE = (
    HEAD
    + """
# Only for studies, with a larger group for everybody but one colleague.
default decision := {
	"verdict": "deny",
	"reasons": [{"code": "not-a-study", "text": "The purpose is no study.", "fix": "State a study."}],
}

decision := {"verdict": "allow", "obligations": {"min_group": group}} if {
	is_study(input.request.purpose)
	every tee in input.request.tees { tee in {"sev-snp", "tdx"} }
}

is_study(text) if endswith(text, " study")

group := 50 if not "DID" in input.request.recipients
else := 5
""".replace("DID", COLLEAGUE)
)


def own(text, **fields):
    return policy(module=digest(text.encode()), **fields)


def evaluate(expression, value=None):
    """The value of one expression in the engine, ``worker.UNDEFINED`` included."""
    text = f"package sls.owner\nimport rego.v1\ndecision := value if {{ value := {expression} }}\n"
    program = worker.compile_module(text, ENTRYPOINT)
    return worker.query(*program, ENTRYPOINT, json.dumps(value, ensure_ascii=False))


def test_a_good_module_decides():
    """An owner's own rule allows, denies with its own reason, and adds its obligations."""
    assert check_module(MODULE) == digest(MODULE.encode())
    allowed = decide(own(MODULE, min_group=10), MODULE, request())
    assert (allowed.verdict, allowed.obligations.min_group) == ("allow", 50)
    denied = decide(own(MODULE), MODULE, request(purpose="curiosity"))
    assert (denied.verdict, [reason.code for reason in denied.reasons]) == ("deny", ["not-a-study"])


SESSIONS = (
    HEAD
    + """
# Short sessions, of which the first ten cells may run.
default decision := {"verdict": "deny", "reasons": [{"code": "too-long", "text": "Too long.", "fix": "Shorter."}]}

decision := {"verdict": "allow"} if not input.request.session

decision := {"verdict": "allow"} if {
	input.request.session.cells <= 40
	input.request.session.cell <= 10
}
"""
)


def test_a_module_sees_which_cell_of_a_session_is_asked_for():
    """An owner's own rule tells a run from a session, and one cell from another; the parameters stay enforced."""
    document = own(SESSIONS)
    for asked, verdict in (
        (None, "allow"),
        (session(), "allow"),
        (session(cell=11), "deny"),
        (session(cells=41), "deny"),
    ):
        assert decide(document, SESSIONS, request(session=asked)).verdict == verdict
    assert decide(own(SESSIONS, sessions=False), SESSIONS, request(session=session())).verdict == "deny"


def test_it_replaces_requester_code_and_approvals():
    """These three are the module's to decide: a stranger with unknown code needs nobody's yes if it allows."""
    document = own(MODULE, requesters=(COLLEAGUE,), code="listed", code_digests=(OTHER,))
    assert decide(document, MODULE, request(requester=STRANGER, recipients=(STRANGER,))).verdict == "allow"


@pytest.mark.parametrize(
    ("fields", "changes", "code"),
    [
        ({"expires_at": NOW}, {}, "expired"),
        ({}, {"denied": ("no",)}, "denied"),
        ({"max_runs": 1}, {"runs": 1}, "runs-used-up"),
        ({"columns": ("age",)}, {"columns": ("sex",)}, "columns"),
        ({"kinds": ("figure",)}, {}, "kinds"),
        ({}, {"recipients": (STRANGER,)}, "recipient"),
        ({"tees": ("tdx",)}, {}, "tee"),
        ({}, {"phase": "release"}, "no-evidence"),
        ({}, {"asset_owner": STRANGER}, "not-the-owner"),
    ],
)
def test_it_cannot_widen(fields, changes, code):
    """Whatever else the owner wrote down holds, also where the module allows everything."""
    text = HEAD + 'decision := {"verdict": "allow"}'
    decision = decide(own(text, **fields), text, request(**changes))
    assert (decision.verdict, [reason.code for reason in decision.reasons]) == ("deny", [code])


def test_its_obligations_only_narrow():
    """An obligation of the module never loosens one of the policy."""
    text = (
        HEAD + 'decision := {"verdict": "allow", "obligations": {"min_group": 2, "max_rows": 9, "full_errors": true}}'
    )
    obligations = decide(own(text, min_group=10, max_rows=5), text, request()).obligations
    assert (obligations.min_group, obligations.max_rows, obligations.full_errors) == (10, 5, False)
    text = HEAD + 'decision := {"verdict": "allow"}'
    assert decide(own(text, full_errors=True), text, request()).obligations.full_errors


@pytest.mark.parametrize(
    "answer",
    [
        "1",
        '"allow"',
        "{}",
        '{"verdict": "yes"}',
        '{"verdict": ["allow"]}',
        '{"verdict": "allow", "columns": []}',
        '{"verdict": "allow", "reasons": 1}',
        '{"verdict": "allow", "reasons": ["because"]}',
        '{"verdict": "allow", "obligations": 1}',
        '{"verdict": "allow", "obligations": {"min_groups": 1}}',
        '{"verdict": "allow", "obligations": {"min_group": "10"}}',
        '{"verdict": "allow", "obligations": {"kinds": ["pickle"]}}',
        '{"verdict": "allow"} if { input.never }',
        "f(1)\nf(x) := f(x)",
    ],
)
def test_an_answer_that_is_none_denies(answer):
    """A module that answers badly, not at all, or without end must never let anything through."""
    text = HEAD + "decision := " + answer
    decision = decide(own(text), text, request())
    assert (decision.verdict, [reason.code for reason in decision.reasons]) == ("deny", ["no-decision"])
    assert decision.reasons[0].fix


def test_a_no_without_a_reason_gets_one():
    """A requester is never refused without a word."""
    text = HEAD + 'decision := {"verdict": "ask"}'
    decision = decide(own(text), text, request())
    assert (decision.verdict, decision.reasons[0].code) == ("ask", "own-module")


@pytest.mark.parametrize("module", [None, HEAD + 'decision := {"verdict": "allow"}'])
def test_only_the_signed_module_counts(module):
    """A module that is lost or exchanged in the store denies."""
    decision = decide(own(MODULE), module, request())
    assert (decision.verdict, decision.reasons[0].code) == ("deny", "module-changed")
    assert decide(policy(), MODULE, request()).reasons[0].code == "module-changed"


def test_absent_values_are_absent():
    """The engine orders null after numbers, OPA before; a module must not see a null at all."""
    text = HEAD + 'decision := {"verdict": verdict}\ndefault verdict := "allow"\n'
    text += 'verdict := "deny" if is_null(input.policy.max_rows)\n'
    assert decide(own(text), text, request()).verdict == "allow"


def test_a_module_that_was_never_checked_is_not_run():
    """Text that got into a store past the check is refused again when it would decide."""
    text = HEAD + 'decision := {"verdict": "allow"} if opa.runtime()'
    decision = decide(own(text), text, request())
    assert (decision.verdict, decision.reasons[0].code) == ("deny", "no-decision")
    assert "opa.runtime" in decision.reasons[0].text


def test_text_that_the_engine_would_misread_is_denied():
    """The engine counts an escaped quote as two letters; an own module is never asked about such text."""
    decision = decide(own(MODULE), MODULE, request(purpose='a "big" study'))
    assert (decision.verdict, decision.reasons[0].code) == ("deny", "odd-text")
    assert "purpose" in decision.reasons[0].text


@pytest.mark.parametrize("case", REFUSED, ids=[case["name"] for case in REFUSED])
def test_refused_when_published(case):
    """What reaches out, reads the clock or is computed differently from OPA is refused, by name."""
    with pytest.raises(BadInput) as caught:
        check_module(case["module"])
    assert case["names"] in caught.value.found
    assert caught.value.hint


def test_every_line_to_change_is_named():
    """An owner repairs a module in one round."""
    with pytest.raises(BadInput) as caught:
        check_module(HEAD + "decision := 1\na := opa.runtime()\nb := time.now_ns()\n")
    assert [problem[:7] for problem in caught.value.detail["problems"]] == ["line 4:", "line 5:"]


def test_a_module_has_a_size():
    """A large text is refused before anything reads it."""
    with pytest.raises(BadInput, match="too large"):
        check_module(MODULE + "#" * MAX_MODULE_BYTES)


LOOPS = "some a in xs; some b in xs; some c in xs; some d in xs; some e in xs"


@pytest.mark.parametrize(
    ("rule", "seconds", "found"),
    [
        (f"1 if {{ {LOOPS}; a + b + c + d + e < 0 }}", 1.0, "more than 1 seconds"),
        (f"count([xs | {LOOPS}])", 60.0, "ended with"),  # its memory ends it long before
    ],
)
def test_a_runaway_module_is_stopped(rule, seconds, found):
    """A rule without end, or one that eats memory, costs its deadline and not the service."""
    text = HEAD + f"xs := {list(range(60))}\ndecision := {rule}\n"
    check_module(text)
    with pytest.raises(BadInput) as caught:
        engine.evaluate_apart(text, ENTRYPOINT, {}, deadline_seconds=seconds)
    assert found in caught.value.found


@pytest.mark.parametrize(("code", "answer"), [(0, b""), (0, b"["), (1, b'{"value": 1}'), (-11, b"")])
def test_a_process_that_dies_denies(monkeypatch, code, answer):
    """A crash of the engine must not look like an answer, nor end in a traceback."""
    died = subprocess.CompletedProcess([], code, answer)
    monkeypatch.setattr(engine.subprocess, "run", lambda *_, **__: died)
    decision = decide(own(MODULE), MODULE, request())
    assert (decision.verdict, decision.reasons[0].code) == ("deny", "no-decision")


def test_the_process_has_nothing_to_steal(monkeypatch):
    """Should a module ever get past the check: its process has an empty environment."""
    monkeypatch.setenv("SLS_CANARY", "canary")
    text = HEAD + "decision := opa.runtime().env\n"
    assert engine.evaluate_apart(text, ENTRYPOINT, {}).keys() <= {"LC_CTYPE"}


def test_what_a_module_prints_is_not_its_answer():
    """The engine's own output must not pass for a decision."""
    text = HEAD + 'decision := 1 if print("{}")\n'
    assert engine.evaluate_apart(text, ENTRYPOINT, {}) == 1


@pytest.mark.parametrize("case", BUILTINS, ids=[case["expression"] for case in BUILTINS])
def test_a_builtin_is_what_opa_documents(case):
    """An owner who tested a module with OPA gets the same decisions here."""
    value = evaluate(case["expression"])
    if case.get("undefined"):
        assert value is worker.UNDEFINED
    else:
        assert value == case["value"]
        assert type(value) is type(case["value"])


def test_every_allowed_builtin_has_a_case():
    """A built-in enters the allow-list together with its cases, or not at all."""
    called = {case["expression"].partition("(")[0] for case in BUILTINS}
    assert called == ALLOWED


PLAIN = st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(text=PLAIN, part=PLAIN)
def test_string_builtins_agree_with_python(text, part):
    """Text in any script is searched and counted by characters."""
    value = {"text": text + part, "part": part or "-"}
    expression = (
        "[count(input.text), startswith(input.text, input.part), endswith(input.text, input.part),"
        " contains(input.text, input.part), split(input.text, input.part), input.text == input.part,"
        " trim_prefix(input.text, input.part), trim_suffix(input.text, input.part)]"
    )
    text, part = value["text"], value["part"]
    assert evaluate(expression, value) == [
        len(text), text.startswith(part), text.endswith(part), part in text, text.split(part), text == part,
        text.removeprefix(part), text.removesuffix(part),
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text('()[]{}."`#$:=,\n abcdot', max_size=60))
def test_any_text_is_checked_without_a_traceback(text):
    """A file that is no module at all gets our error."""
    with pytest.raises(BadInput):
        check_module(text)

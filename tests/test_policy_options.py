"""An owner's words become a policy, or an error that says what would."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import ANALYST, CELL, COLLEAGUE, MODEL, NOW, OTHER, OWNER

from sls_jupyter.errors import BadInput
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import Person, policy_from_options, policy_from_yaml

PAIR = tuple(sorted((ANALYST, COLLEAGUE)))
EVERYTHING = f"""
allow-code: [reviewed, {CELL}]
requester: [{ANALYST}, {COLLEAGUE}]
columns: sex, age
purpose: risk study, northern region
kinds: figure,text
min-group: 10
max-rows: 1000
max-bytes: 2 MiB
max-runs: 5
no-sessions: false
max-cells: 40
expires: 30d
tee: simulated-snp,sev-snp
minimum-tcb: {{sev-snp: {{snp: 20}}, sev-snp/Milan: {{microcode: 213}}}}
recipient: {ANALYST}
approver: [{OWNER}, {COLLEAGUE}]
approvals: 2
full-errors: true
module: {OTHER}
bulletin: [amd-sb-3019, AMD-SB-3016]
mitigations: [4, 2]
fragment: aci-infrastructure
registers: {{rtmr1: {"ab" * 48}}}
"""


def test_nothing_given_is_the_default_policy():
    """No option means the careful defaults, also where a parser passes on its own None."""
    assert policy_from_options(OWNER, now=NOW, columns=None, max_runs=None) == OwnerPolicy(owner=OWNER)
    assert policy_from_yaml("min_group: 3", OWNER, NOW) == OwnerPolicy(owner=OWNER, min_group=3)


def test_no_sessions_and_cells_of_sessions_contradict_each_other():
    """An owner who wants none says nothing of how long they may be."""
    assert not policy_from_options(OWNER, now=NOW, no_sessions=True).sessions
    with pytest.raises(BadInput, match="no meaning"):
        policy_from_options(OWNER, now=NOW, no_sessions=True, max_cells=3)


def test_every_yaml_field():
    """A policy file says all that a policy can."""
    assert policy_from_yaml(EVERYTHING, OWNER, NOW) == OwnerPolicy(
        owner=OWNER,
        requesters=PAIR,
        code="reviewed",
        code_digests=(CELL,),
        tees=("sev-snp", "simulated-snp"),
        minimum_tcb={"sev-snp": {"snp": 20}, "sev-snp/Milan": {"microcode": 213}},
        columns=("age", "sex"),
        purposes=("risk study, northern region",),
        kinds=("text", "figure"),
        min_group=10,
        max_rows=1000,
        max_bytes=2 * 2**20,
        max_runs=5,
        max_cells=40,
        full_errors=True,
        recipients=(ANALYST,),
        approvers=tuple(sorted((OWNER, COLLEAGUE))),
        required_approvals=2,
        expires_at=NOW + 30 * 86400,
        module=OTHER,
        bulletins=("AMD-SB-3016", "AMD-SB-3019"),
        mitigations=(2, 4),
        fragments=("aci-infrastructure",),
        registers={"rtmr1": ("ab" * 48,)},
    )


@pytest.mark.parametrize(
    ("given_code", "mode", "digests"),
    [
        ("any", "any", ()),
        ("reviewed", "reviewed", ()),
        ("approved", "reviewed", ()),
        (CELL, "listed", (CELL,)),
        ([MODEL, CELL, CELL], "listed", (CELL, MODEL)),
        (["reviewed", CELL], "reviewed", (CELL,)),
        (f"reviewed,{CELL}", "reviewed", (CELL,)),
    ],
)
def test_code(given_code, mode, digests):
    """A digest alone means that code and no other; a digest beside `reviewed` needs no review."""
    policy = policy_from_options(OWNER, now=NOW, allow_code=given_code)
    assert (policy.code, policy.code_digests) == (mode, digests)


def test_people_are_whom_the_owner_knows():
    """A name means whom the owner gave it to; a recipient's known key is pinned, a requester's is not."""
    known = {"Ada": Person(ANALYST, OTHER), "Boris": Person(COLLEAGUE)}
    options = {"recipient": ["Ada", "Boris"], "requester": "Ada,Boris", "approver": ["Boris"]}
    policy = policy_from_options(OWNER, now=NOW, people=known.__getitem__, **options)
    assert policy.recipients == policy.requesters == tuple(sorted((ANALYST, COLLEAGUE)))
    assert (policy.recipient_keys, policy.approvers) == ({ANALYST: OTHER}, (COLLEAGUE,))
    assert policy_from_yaml("recipient: Ada", OWNER, NOW, known.__getitem__).recipient_keys == {ANALYST: OTHER}


def test_one_recipient_has_one_key():
    """Two contacts of one person with different keys: the owner has to say which."""
    people = {"old": Person(ANALYST, CELL), "new": Person(ANALYST, OTHER)}
    with pytest.raises(BadInput, match="two keys"):
        policy_from_options(OWNER, now=NOW, people=people.__getitem__, recipient="old,new")


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("12h", 43200), ("30d", 2592000), ("2 w", 1209600)])
def test_durations(text, seconds):
    """A duration counts from the time that the caller names."""
    assert policy_from_options(OWNER, now=NOW, expires=text).expires_at == NOW + seconds


@pytest.mark.parametrize(("size", "count"), [(5, 5), ("500000", 500000), ("10kB", 10000), ("1 GiB", 2**30), (0, 0)])
def test_sizes(size, count):
    """Sizes take the usual units, decimal and binary."""
    assert policy_from_options(OWNER, now=NOW, max_bytes=size).max_bytes == count


def test_a_list_of_columns_may_have_commas():
    """A column whose name has a comma can be granted, as an item of a list."""
    assert policy_from_options(OWNER, now=NOW, columns=["b, c", "a"]).columns == ("a", "b, c")
    assert policy_from_options(OWNER, now=NOW, purpose="a, b").purposes == ("a, b",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bulletin": "AMD-SB-3091"}, "did you mean"),
        ({"mitigations": [64]}, "numbers from 0 to 63"),
        ({"mitigations": True}, "takes bits"),
        ({"registers": {"rtmr4": "ab" * 48}}, "rtmr0 to rtmr3"),
        ({"registers": {"rtmr1": "ab" * 47}}, "96 lower-case hex digits"),
        ({"min_groups": 3}, "min-group"),
        ({"allow_code": "all"}, "any, reviewed"),
        ({"allow_code": "sha256:abc"}, "64 lower-case hex digits"),
        ({"allow_code": ["any", "reviewed"]}, "contradict"),
        ({"allow_code": ["any", CELL]}, "contradict"),
        ({"requester": "alice"}, "whoami"),
        ({"recipient": "did:key:z6Mk"}, "did:key:z6Mk…"),
        ({"columns": "a,,b"}, "extra commas"),
        ({"columns": 3}, "text"),
        ({"purpose": " "}, "text"),
        ({"purpose": "x" * 501}, "purposes"),
        ({"kinds": "tables"}, "Did you mean table?"),
        ({"kinds": []}, "kinds"),
        ({"tee": "snp"}, "sev-snp"),
        ({"tee": "simulated"}, "simulated-snp"),
        ({"min_group": 0}, "1 or more"),
        ({"min_group": "ten"}, "whole number"),
        ({"min_group": True}, "whole number"),
        ({"max_rows": -1}, "0 or more"),
        ({"max_rows": 1.5}, "whole number"),
        ({"max_bytes": "1TB"}, "64MiB"),
        ({"expires": "tomorrow"}, "30d"),
        ({"expires": "0d"}, "30d"),
        ({"expires": "999999w", "max_runs": 10**20}, "whole number"),
        ({"full_errors": "yes"}, "true or false"),
        ({"approvals": 2}, "approvers"),
        ({"minimum_tcb": {"sev-snp": 3}}, "{sev-snp: {snp: 20}}"),
        ({"minimum_tcb": {"snp": {"snp": 3}}}, "sev-snp"),
        ({"minimum_tcb": {"sev-snp": {"snp": "3"}}}, "minimum_tcb"),
        ({"module": "own.rego"}, "sha256:…"),
    ],
)
def test_what_means_nothing_is_refused_with_the_fix(options, words):
    """A slip in an option must not become a policy that the owner did not mean."""
    with pytest.raises(BadInput) as caught:
        policy_from_options(OWNER, now=NOW, **options)
    assert words in "\n".join(caught.value.lines())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "list of fields"),
        ("- any", "list of fields"),
        ("1: any", "list of fields"),
        ("kinds: [table", "line 1"),
        ("kinds: table\n\tmin-group: 3", "line 2"),
        ("kind: table", "Did you mean kinds?"),
        ("owner: me", "Possible are"),
        ("now: 1", "Possible are"),
        ("kinds: table\nkinds: text", "kinds"),
        ("min-group: 3\nmin_group: 5", "min-group"),
        ("minimum-tcb:\n  sev-snp/Milan: {snp: 24}\n  sev-snp/Milan: {snp: 1}", "sev-snp/Milan in line 3"),
        ("minimum-tcb: {sev-snp: {snp: 24, snp: 1}}", "snp in line 1"),
        ('{"minimum-tcb": {"sev-snp": {"snp": 24,\n"s\\u006ep": 1}}}', "snp in line 2"),
        ("minimum-tcb: {sev-snp: &a {snp: 24, snp: 1}, tdx: {<<: *a, pce: 1}}", "gives a field twice"),
        ("kinds: !!python/object/apply:os.system ['true']", "not YAML"),
        ("requester: &a [*a]", "requester"),
        ("max-rows: 0x" + "f" * 9000, "whole number"),
        ("columns: " + "[" * 5000, "not YAML"),
        ("expires: 2027-01-31", "30d"),
        ("#" * 70000, "too large"),
    ],
)
def test_a_bad_policy_file_is_refused(text, words):
    """A policy file with a slip ends in our error and the fix, not in a parser's traceback."""
    with pytest.raises(BadInput) as caught:
        policy_from_yaml(text, OWNER, NOW)
    assert words in "\n".join(caught.value.lines())


def test_a_yaml_bomb_is_refused_quickly():
    """A file that names one list a billion times must not be unfolded for the error message."""
    layers = [f"&{letter} [{', '.join([f'*{chr(ord(letter) - 1)}'] * 9)}]" for letter in "bcdefghij"]
    with pytest.raises(BadInput, match="takes text"):
        policy_from_yaml(f"columns: [&a [x, x], {', '.join(layers)}]", OWNER, NOW)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text("abc-:[]{}&*!|>'\"#, \n\t0123456789", max_size=60))
def test_any_text_ends_in_a_policy_or_our_error(text):
    """Whatever file is named, no foreign error comes out."""
    with contextlib.suppress(BadInput):
        assert policy_from_yaml(text, OWNER, NOW).owner == OWNER

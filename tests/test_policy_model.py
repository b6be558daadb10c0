"""The signed policy: one spelling, careful defaults, bytes that never change."""

import json
from pathlib import Path

import pytest
from policy_cases import ANALYST, CELL, COLLEAGUE, NOW, OWNER, policy
from pydantic import ValidationError

from sls_jupyter.documents import digest, sign, verify
from sls_jupyter.errors import MalformedDocument, SignatureInvalid
from sls_jupyter.identity import SigningKey, verify_signature
from sls_jupyter.policy.model import OwnerPolicy, utc_text

GOLDEN = Path(__file__).parent / "vectors" / "documents" / "owner_policy.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_bytes(case):
    """A policy that was signed once keeps its bytes and its digest in every later version."""
    document = OwnerPolicy.from_json(json.loads(case["payload"]))
    assert document.payload().decode() == case["payload"]
    assert document.digest == case["digest"] == digest(case["payload"].encode())
    assert OwnerPolicy.parse(case["payload"].encode()) == document


def test_defaults_are_the_careful_ones():
    """Somebody who writes down nothing gives nothing away unasked: no simulated TEE, no text, no run without a yes."""
    document = OwnerPolicy(owner=OWNER)
    assert document.tees == ("sev-snp", "sgx", "tdx")
    assert document.kinds == ("table", "figure")
    assert (document.code, document.requesters, document.full_errors) == ("reviewed", (), False)
    assert document.obligations().kinds == ("table", "figure")


@pytest.mark.parametrize(
    "fields",
    [
        {"requesters": tuple(sorted((ANALYST, COLLEAGUE), reverse=True))},
        {"columns": ("age", "age")},
        {"tees": ()},
        {"tees": ("tdx", "sgx")},
        {"tees": ("SEV SNP",)},
        {"kinds": ()},
        {"kinds": ("figure", "table")},
        {"kinds": ("pickle",)},
        {"purposes": ("",)},
        {"code": "listed"},
        {"code": "any", "code_digests": (CELL,)},
        {"required_approvals": 2},
        {"min_group": 0},
        {"max_runs": True},
        {"minimum_tcb": {"sev-snp": {}}},
        {"minimum_tcb": {"sev-snp/": {"snp": 1}}},
        {"module": "sha256:abc"},
        {"surprise": 1},
    ],
)
def test_one_spelling_and_no_nonsense(fields):
    """Two spellings of one policy would be two digests; a policy that nobody can meet is a mistake."""
    with pytest.raises(ValidationError):
        policy(**fields)


def test_only_the_owner_can_sign_it():
    """A policy in somebody else's name must not be accepted from another key."""
    owner, other = SigningKey.generate(), SigningKey.generate()
    document = OwnerPolicy(owner=owner.did, expires_at=NOW)
    assert verify(sign(document, owner), OwnerPolicy, verify_signature, did=None) == document
    with pytest.raises(SignatureInvalid):
        verify(sign(document, other), OwnerPolicy, verify_signature, did=None)


def test_another_spelling_of_the_bytes_is_refused():
    """White space in a payload would give the same policy a second digest."""
    with pytest.raises(MalformedDocument):
        OwnerPolicy.parse(json.dumps(json.loads(CASES[0]["payload"]), indent=1).encode())


def test_every_time_has_a_text():
    """A far-away expiry must not end in a traceback when a card is drawn."""
    assert utc_text(NOW) == "2027-01-15 08:00 UTC"
    assert utc_text(253_402_300_799) == "9999-12-31 23:59 UTC"
    assert utc_text(2**40 - 1) == "the year 10000"

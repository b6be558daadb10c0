"""Evidence as it travels: one encoding, bounded, and only our own errors."""

from __future__ import annotations

import json

import pytest
from forge import Forge
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.claims import MAX_EVIDENCE_BYTES, Evidence
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import MalformedDocument, SlsError

GOOD = Forge().evidence()


def test_round_trip() -> None:
    """What was sent is what is read."""
    assert Evidence.parse(GOOD.encode()) == GOOD
    assert Evidence.of(GOOD.kind, GOOD.report_bytes(), GOOD.endorsement_bytes()) == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "SEV"},
        {"kind": "sev-snp\n"},
        {"kind": 1},
        {"report": "not base64"},
        {"report": "AB=="},
        {"endorsements": "AAAA"},
        {"endorsements": ["AAAA"] * 9},
        {"extra": 1},
    ],
)
def test_malformed_evidence(changes: dict[str, object]) -> None:
    """A field of another type, another spelling or another name is refused."""
    value = {**json.loads(GOOD.encode()), **changes}
    with pytest.raises(MalformedDocument):
        Evidence.parse(canonical_json(value))


def test_second_spelling() -> None:
    """Evidence has one encoding, so its digest names it."""
    with pytest.raises(MalformedDocument, match="canonical"):
        Evidence.parse(b" " + GOOD.encode())


def test_too_large() -> None:
    """A stranger cannot make us read more than evidence ever needs."""
    with pytest.raises(MalformedDocument, match="too large"):
        Evidence.parse(b" " * (MAX_EVIDENCE_BYTES + 1))


@given(st.binary(max_size=200))
def test_random_bytes_raise_our_errors_only(data: bytes) -> None:
    """A stranger's bytes never end in a foreign traceback."""
    with pytest.raises(SlsError):
        Evidence.parse(data)

"""A run's sealed result: for one run and one recipient, and any changed byte refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.documents import lp
from sls_jupyter.errors import MalformedDocument, SlsError
from sls_jupyter.guest.bundle import Result, open_result, pack, result_info, seal_result
from sls_jupyter.hpke import HpkeKey, seal

SPEC, ME = "sha256:" + "0" * 64, "did:key:me"
KEY = HpkeKey.generate()
RESULT = Result(
    ({"type": "stream", "text": "é"},), (({"name": "x", "shape": "arrow"}, pa.table({"a": [1, None]})),), {"bytes": 7}
)
SEALED = seal_result(pack(RESULT), SPEC, ME, KEY.public_bytes)


def test_a_result_comes_back_whole() -> None:
    """Displays, tables and the verdict are what the gate released."""
    found = open_result(SEALED, SPEC, ME, KEY)
    assert (found.events, found.verdict) == (RESULT.events, RESULT.verdict)
    assert found.tables[0][1].equals(RESULT.tables[0][1])


@pytest.mark.parametrize(("spec", "recipient"), [("sha256:" + "1" * 64, ME), (SPEC, "did:key:other")])
def test_another_runs_result_does_not_open(spec: str, recipient: str) -> None:
    """One run's result cannot be shown as another's, nor one person's to another."""
    with pytest.raises(SlsError):
        open_result(SEALED, spec, recipient, KEY)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SEALED) - 1), st.integers(0, 7))
def test_a_changed_bit_is_refused(place: int, bit: int) -> None:
    """Storage cannot change a result."""
    data = bytearray(SEALED)
    data[place] ^= 1 << bit
    with pytest.raises(SlsError):
        open_result(bytes(data), SPEC, ME, KEY)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.lists(st.binary(max_size=20), max_size=3).map(lambda parts: lp(*parts))))
def test_what_is_sealed_and_no_result_is_malformed(data: bytes) -> None:
    """Anybody can seal to a public key; what they sealed is judged when opened."""
    sealed = seal(KEY.public_bytes, result_info(SPEC, ME), data)
    with pytest.raises(MalformedDocument):
        open_result(sealed, SPEC, ME, KEY)

"""REPORT_DATA: golden values, and that no two uses share one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sls_jupyter.attestation.binding import door_report_data, own_report_data, receipt_report_data, release_report_data

CASES = json.loads((Path(__file__).parent / "vectors" / "attestation" / "bindings.json").read_bytes())
FUNCTIONS = {
    "release": lambda _, *parts: release_report_data(*parts),
    "door": door_report_data,
    "receipt": lambda _, digest: receipt_report_data(digest.decode()),
}


@pytest.mark.parametrize("case", CASES)
def test_golden_values(case: dict[str, object]) -> None:
    """A changed formula would lock new guests out of old authorities, and other languages out of both."""
    parts = [bytes.fromhex(part) for part in case["parts"]]  # type: ignore[attr-defined]
    assert FUNCTIONS[str(case["use"])](case["role"], *parts).hex() == case["report_data"]


def test_uses_do_not_mix() -> None:
    """Evidence made for a door never answers a key release."""
    nonce, key = bytes(32), b"key"
    uses = [
        release_report_data(nonce, key),
        door_report_data("input", nonce, key),
        door_report_data("output", nonce, key),
    ]
    assert len({*uses, own_report_data()}) == 4


def test_parts_do_not_run_into_each_other() -> None:
    """A byte moved from the key to the nonce is another binding."""
    assert release_report_data(b"ab", b"c") != release_report_data(b"a", b"bc")

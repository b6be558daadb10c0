"""Cases that were once judged wrongly get their verdict and their failing line, through the door that people use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.attest import verify_files

VECTORS = Path(__file__).parent / "vectors"
CASES = json.loads((VECTORS / "evidence-2026-11" / "cases.json").read_bytes())


def blank_line(data: bytes) -> bytes:
    value = json.loads(data)
    return json.dumps({**value, "tcb_info_issuer_chain": value["tcb_info_issuer_chain"] + "\n"}).encode()


CHANGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "tcb_info_issuer_chain += a newline": ("collateral.json", blank_line),
    "quote.bin as text: 0x and hex": ("quote.bin", lambda data: b"0x" + data.hex().encode()),
    "byte 0 = 6": ("report.bin", lambda data: b"\x06" + data[1:]),
}
WORDS = {
    "validity_same_day": "2025-01-28 12:00:00 UTC",
    "pck_crl_over": "the CRL of PCK certificates ended 2025-07-19",
    "vlek_words": "signed by the VLEK",
    "floor_case": "did you mean 'Genoa'",
    "floor_twice": "'sev-snp/Genoa' twice",
}
"""What has to stand in the verdict or in the error, beside the lines that fail."""


def files_of(case: dict[str, Any], folder: Path) -> list[str]:
    name, change = CHANGES.get(case.get("change", ""), ("", None))
    found = []
    for path in map(VECTORS.joinpath, case["files"]):
        if change is not None and path.name == name:
            (folder / name).write_bytes(change(path.read_bytes()))
            path = folder / name
        found.append(str(path))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_case_gets_its_verdict(case: dict[str, Any], tmp_path: Path) -> None:
    """Accepted, refused for the reason that is the true one, or an error that says what is wrong with what was asked."""
    assert case.get("change") in (None, *CHANGES)
    minimum = None
    if "minimum_file" in case:
        minimum = str(tmp_path / "minimum.json")
        Path(minimum).write_text(case["minimum_file"])
    asked = {"profile": case.get("profile"), "at": case["at"], "minimum": minimum}
    words = WORDS.get(case["name"], "")
    if case["want"] == "error":
        with pytest.raises(BadInput) as caught:
            verify_files(files_of(case, tmp_path), **asked)
        assert words in str(caught.value)
        return
    verdict = verify_files(files_of(case, tmp_path), **asked)
    assert verdict.accepted == (case["want"] == "accept")
    assert [check.name for check in verdict.checks if not check.ok] == case.get("failing", [])
    assert any(words in f"{check.found} {check.expected}" for check in verdict.checks)

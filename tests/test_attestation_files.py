"""Evidence in files: told by content, judged together, said with the right exit status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter import cli
from sls_jupyter.attestation.files import judge_files, sort_files
from sls_jupyter.attestation.simulated import DevelopmentChain, SimulatedProcessor
from sls_jupyter.errors import BadInput, SlsError

VECTORS = Path(__file__).parent / "vectors"
GENOA = VECTORS / "snp" / "aci-genoa-v3"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
FILES = ["report.bin", "vcek.pem", "ask.pem"]


def genoa() -> list[bytes]:
    return [(GENOA / name).read_bytes() for name in FILES]


def test_real_evidence_is_accepted_in_any_order_and_encoding():
    """An officer can throw the files in as they came: bytes, hex or base64, in any order."""
    report, *certificates = genoa()
    for form in (report, report.hex().encode(), __import__("base64").b64encode(report)):
        assert judge_files(sort_files([*certificates, form]), now=NOW).accepted


def test_a_refusal_lists_what_failed_and_what_was_expected():
    """A flipped bit is refused by name."""
    report, *certificates = genoa()
    changed = bytearray(report)
    changed[0x95] ^= 1
    verdict = judge_files(sort_files([bytes(changed), *certificates]), now=NOW)
    assert not verdict.accepted
    assert [check.name for check in verdict.checks if not check.ok] == ["signature"]


def test_simulated_evidence_is_refused_unless_its_root_is_known():
    """Simulated is never mistaken for real."""
    chain = DevelopmentChain.generate()
    evidence = SimulatedProcessor(chain).evidence(bytes(64), host_data=bytes(32), measurement=bytes(48))
    verdict = judge_files(sort_files([evidence.encode()]), now=NOW)
    assert not verdict.accepted
    assert verdict.simulated


@pytest.mark.parametrize("files", [["ask.pem"], ["report.bin"], []])
def test_files_that_are_not_enough_are_unusable_and_not_refused(files, tmp_path):
    """A forgotten file is exit status 2: it says nothing about the evidence."""
    (tmp_path / "empty").write_bytes(b"")
    paths = [str(GENOA / name) for name in files] or [str(tmp_path / "empty")]
    assert cli.main(["attest", "verify", *paths]) == 2


def test_exit_status_and_json(capsys):
    """Scripts can rely on 0 and 1, and on the JSON form."""
    paths = [str(GENOA / name) for name in FILES]
    assert cli.main(["attest", "verify", *paths, "--at", "2026-11-01T00:00:00Z", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] is True
    assert cli.main(["attest", "verify", *paths, "--at", "2050-01-01"]) == 1
    assert "validity" in capsys.readouterr().out


def test_show_prints_every_field_and_says_that_nothing_was_checked(capsys):
    """Showing is not verifying, and says so."""
    assert cli.main(["attest", "show", str(GENOA / "report.bin")]) == 0
    printed = capsys.readouterr().out
    assert "measurement" in printed
    assert "no signature was checked" in printed


def test_the_profile_aci_needs_an_endorsement_and_a_policy(capsys):
    """The whole Azure evidence is more than AMD's part."""
    paths = [str(GENOA / name) for name in FILES]
    assert cli.main(["attest", "verify", *paths, "--profile", "aci", "--at", "2026-11-01"]) == 1
    assert "uvm" in capsys.readouterr().out


def test_two_pieces_of_evidence_are_not_mixed():
    """Certificates of one machine never speak for another's report unnoticed."""
    turin = (VECTORS / "snp" / "aci-turin-v5" / "report.bin").read_bytes()
    with pytest.raises(BadInput):
        sort_files([*genoa(), turin])


@given(st.binary(max_size=400))
def test_strange_files_raise_only_our_errors(data):
    """Whatever somebody throws in, the answer is a sentence."""
    try:
        judge_files(sort_files([data]), now=NOW)
    except SlsError:
        return

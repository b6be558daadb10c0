"""appraise(): each reference value, broken alone, refuses; and all failures come at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from forge import HOST_DATA, MEASUREMENT, NOW, REPORT_DATA, Forge, genuine_looking, reference

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.evidence import AttestationResult, VerifiedEvidence
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, EvidenceRejected

FORGE = Forge()


def verified(**changes: Any) -> VerifiedEvidence:
    return verify(FORGE.evidence(**changes), FORGE.anchors(), now=NOW)


def refused(evidence: VerifiedEvidence, **changes: Any) -> EvidenceRejected:
    with pytest.raises(EvidenceRejected) as caught:
        appraise(evidence, reference(**changes))
    return caught.value


def failed(evidence: VerifiedEvidence, **changes: Any) -> list[str]:
    return list(refused(evidence, **changes).detail["failed"])


def test_good_evidence_is_accepted() -> None:
    """The result lists every check that was made, of both steps, none of them failed."""
    result = appraise(verified(), reference())
    assert result.claims.tee == "simulated-snp"
    assert len(result.checks) == len(verified().checks) + 8
    assert all(check.ok for check in result.checks)


def test_kind_that_nobody_asked_for() -> None:
    """Simulated evidence gets nothing where only hardware is accepted."""
    assert failed(verified(), tees=frozenset({"sev-snp"})) == ["tee"]
    assert failed(verified(), tees=frozenset()) == ["tee"]


def test_debug() -> None:
    """A guest whose memory the host can read is refused."""
    assert failed(verified(policy=0x3001F | snp.POLICY_DEBUG)) == ["debug"]


def test_migration_agent() -> None:
    """A guest that can be moved out of its machine is refused, by policy bit or by an agent's id."""
    assert failed(verified(policy=0x3001F | snp.POLICY_MIGRATE_MA)) == ["migration_agent"]
    assert failed(verified(report_id_ma=b"\xff" * 31 + b"\xfe")) == ["migration_agent"]


@pytest.mark.parametrize("vmpl", [1, 3, 4, snp.HOST_VMPL])
def test_vmpl(vmpl: int) -> None:
    """A report that the host asked for, or a lower level of the guest, is not the guest's word."""
    assert failed(verified(vmpl=vmpl)) == ["vmpl"]


def test_measurement() -> None:
    """Other code than the approved is refused, and so is everything while nothing is approved."""
    assert failed(verified(), measurements=frozenset({b"x" * 48})) == ["measurement"]
    assert failed(verified(), measurements=frozenset()) == ["measurement"]
    assert failed(verified(), measurements=frozenset({MEASUREMENT[:47]})) == ["measurement"]
    appraise(verified(), reference(measurements=frozenset({b"x" * 48, b"y" * 48, MEASUREMENT})))


def test_init_data() -> None:
    """Another group policy means other code, data or recipients."""
    assert failed(verified(), init_data=HOST_DATA[:31] + b"H") == ["init_data"]
    assert failed(verified(), init_data=b"") == ["init_data"]


def test_no_expectation_of_init_data_makes_no_line() -> None:
    """What was not compared is not listed as if it had been."""
    result = appraise(verified(), reference(init_data=None))
    assert "init_data" not in {check.name for check in result.checks}


@pytest.mark.parametrize("position", [0, 32, 63])
def test_report_data_is_compared_whole(position: int) -> None:
    """A report bound to another nonce or key is a replay or a relay; every one of 64 bytes counts."""
    other = bytearray(REPORT_DATA)
    other[position] ^= 1
    assert failed(verified(), report_data=bytes(other)) == ["report_data"]


def test_report_data_has_64_bytes() -> None:
    """A short reference value is our caller's mistake and would compare a prefix elsewhere."""
    with pytest.raises(BadInput, match="64 bytes"):
        reference(report_data=REPORT_DATA[:32])


@pytest.mark.parametrize("component", ["bootloader", "snp", "microcode"])
def test_old_tcb(component: str) -> None:
    """Old firmware, however well signed, is refused component by component."""
    level = verified().claims.tcb[component]
    floors = {"simulated-snp": {component: level}}
    appraise(verified(), reference(minimum_tcb=floors))
    assert failed(verified(), minimum_tcb={"simulated-snp": {component: level + 1}}) == ["minimum_tcb"]


@pytest.mark.parametrize("which", ["committed_tcb", "launch_tcb"])
def test_old_committed_or_launch_tcb(which: str) -> None:
    """Firmware that can go back, or that the guest was started under, counts as well."""
    old = bytes([9, 0, 0, 0, 0, 0, 0x17, 0x54])
    floors = {"simulated-snp": {"bootloader": 10}}
    error = refused(verified(**{which: old}), minimum_tcb=floors)
    assert error.detail["failed"] == ["minimum_tcb"]
    assert which.removesuffix("_tcb") in str(error.found)


def test_tcb_is_no_single_number() -> None:
    """A high microcode level does not make up for old SNP firmware."""
    forge = Forge(tcb=bytes([10, 0, 0, 0, 0, 0, 0x16, 0xFF]))
    evidence = verify(forge.evidence(reported_tcb=forge.tcb), forge.anchors(), now=NOW)
    assert failed(evidence, minimum_tcb={"simulated-snp": {"snp": 0x17, "microcode": 0x10}}) == ["minimum_tcb"]


def test_component_that_the_product_lacks() -> None:
    """A minimum for a component that is not there fails; it is not skipped."""
    assert failed(verified(), minimum_tcb={"simulated-snp": {"fmc": 0}}) == ["minimum_tcb"]


def test_minimum_of_one_product_leaves_others_alone() -> None:
    """Floors are per product where the owner says so; of two that apply the higher one counts."""
    appraise(verified(), reference(minimum_tcb={"simulated-snp/Milan": {"snp": 200}}))
    both = {"simulated-snp": {"snp": 1}, "simulated-snp/Genoa": {"snp": 200}}
    assert failed(verified(), minimum_tcb=both) == ["minimum_tcb"]


def test_vendor_floor_holds_without_being_asked() -> None:
    """Hardware with firmware that AMD withdrew is refused although the owner named no minimum."""
    old = bytes([10, 0, 0, 0, 0, 0, 0x16, 0x54])
    forge = genuine_looking(tcb=old)
    evidence = forge.evidence(kind="sev-snp", reported_tcb=old)
    checked = verify(evidence, forge.genuine_anchors(), now=NOW)
    tees = frozenset({"sev-snp"})
    assert failed(checked, tees=tees) == ["minimum_tcb"]
    for other in ({"sev-snp/Genoa": {"tee": 0}}, {"sev-snp": {"snp": 1}}):  # says nothing of the vendor's component
        assert failed(checked, tees=tees, minimum_tcb=other) == ["minimum_tcb"]
    result = appraise(checked, reference(tees=tees, minimum_tcb={"sev-snp/Genoa": {"snp": 0x16, "tee": 0}}))
    (line,) = [check.expected for check in result.checks if check.name == "minimum_tcb"]
    assert line == "snp 22, tee 0 (the owner's policy; lowered from snp 23 of AMD-SB-3019 of 2025-02-03)"


def test_all_failures_at_once() -> None:
    """The owner fixes everything in one round."""
    evidence = verified(policy=0x3001F | snp.POLICY_DEBUG, vmpl=1)
    error = refused(evidence, measurements=frozenset(), report_data=bytes(64))
    assert error.detail["failed"] == ["debug", "vmpl", "measurement", "report_data"]
    assert error.hint
    assert len(error.detail["checks"]) == len(evidence.checks) + 8


def test_only_appraise_makes_a_result() -> None:
    """Nobody can skip appraisal by building its result, or changing one."""
    result = appraise(verified(), reference())
    with pytest.raises(TypeError, match="Only appraise"):
        AttestationResult(result.claims, (), proof=None)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        replace(result, checks=())

"""Mistakes that verifiers of others have made, one test each, by the number of the project's list.

Numbers 25 (tokens) and 26 (quotes) are tested with those kinds of evidence. Evidence that no real machine
made is built under a test root; it differs from good evidence in exactly the thing that a test is about.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from forge import HOST_DATA, NOW, REPORT_DATA, Forge, genuine_looking, reference, with_chain, with_report
from uvm_forge import (
    EKU,
    ISSUER,
    LEAF_TO,
    LEDGER,
    Statement,
    chain,
    did,
    ec_key,
    envelope_headers,
    json_headers,
    json_payload,
    receipt,
    with_receipts,
)

from sls_jupyter.attestation import refusals
from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.facts import ALLOW_ALL_POLICIES, UVM_FEED
from sls_jupyter.attestation.azure.forms import Parts, gather
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import AttestationResult, Minimums, ReferenceValues, VerifiedEvidence
from sls_jupyter.attestation.judge import Judgement, Wanted, judge
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import EvidenceRejected

VECTORS = Path(__file__).parent / "vectors"
FORGE = genuine_looking()
ANCHORS = replace(FORGE.genuine_anchors(), uvm_issuers=frozenset({ISSUER}))
WANTED = reference(tees=frozenset({"sev-snp"}))
ENDORSED = replace(WANTED, measurements=frozenset(), uvm_feeds=frozenset({UVM_FEED}))
STATEMENT = Statement().encode()


def files(*names: str) -> Parts:
    return gather((VECTORS / name).read_bytes() for name in names)


def good(forge: Forge = FORGE, **changes: Any) -> Evidence:
    return forge.evidence(kind="sev-snp", **changes)


def endorsed(statement: bytes = STATEMENT, **changes: Any) -> Evidence:
    evidence = good(**changes)
    return with_chain(evidence, (*evidence.endorsement_bytes(), statement))


def accept(
    evidence: Evidence, wanted: ReferenceValues = WANTED, anchors: TrustAnchors = ANCHORS, now: datetime = NOW
) -> AttestationResult:
    return appraise(verify(evidence, anchors, now=now), wanted)


def refuse(error: type[EvidenceRejected], *args: Any, **kwargs: Any) -> EvidenceRejected:
    """Refused for this first reason; the class says which."""
    with pytest.raises(EvidenceRejected) as caught:
        accept(*args, **kwargs)
    assert type(caught.value) is error, caught.value
    return caught.value


def test_nothing_is_wrong() -> None:
    """What the tests below start from is accepted, with a listed and with an endorsed measurement."""
    accept(good())
    accept(endorsed(), ENDORSED)


def test_mistake_01_chain_without_a_pinned_root() -> None:
    """A self-made chain with AMD's names proves that somebody can write names."""
    refuse(refusals.RootNotPinned, good(genuine_looking(root="self-made")))


def test_mistake_02_root_of_another_product() -> None:
    """A Genoa report and a Genoa chain under the key of Milan's root are not AMD's."""
    refuse(refusals.RootNotPinned, good(), anchors=TrustAnchors(amd={"Milan": FORGE.root_pin()}))
    genoa, milan = files("snp/aci-genoa-v3/report.bin"), files("snp/aci-milan-v3-full/platform_certificates.pem")
    refuse(refusals.ProductMismatch, (genoa | milan).evidence(), anchors=TrustAnchors())


VLEK = ("snp/vlek-aws-milan-v3/report.bin", "snp/vlek-aws-milan-v3/vlek.der", "snp/roots/milan_asvk_ark.pem")
VLEK_DAY = datetime(2025, 6, 1, tzinfo=UTC)


def test_mistake_03_vlek_as_vcek() -> None:
    """A cloud's shared key is not a chip's own, even where only the report's own word says so."""
    evidence = files(*VLEK).evidence()
    refuse(refusals.SigningKeyRefused, evidence, anchors=TrustAnchors(), now=VLEK_DAY)
    verify(evidence, TrustAnchors(accept_vlek=True), now=VLEK_DAY)
    names = {"vcek_name": "SEV-VLEK", "ask_name": "SEV-VLEK-Genoa"}
    refuse(refusals.ChainNamesWrong, good(genuine_looking(**names)))
    # where VLEKs are accepted, one has the cloud's name in it and no chip's
    by_vlek, cloud = replace(ANCHORS, accept_vlek=True), b"\x16\x08CN=cloud"
    accept(good(genuine_looking(**names, extensions={"4": None, "5": cloud}), key_info=snp.VLEK << 2), anchors=by_vlek)
    for extensions in ({"4": None}, {"5": cloud}):
        forge = genuine_looking(**names, extensions=extensions)
        refuse(refusals.CertificatesMalformed, good(forge, key_info=snp.VLEK << 2), anchors=by_vlek)
    for oid, value in (
        ("1", b"\x02\x01\x09"),
        ("2", b"\x16\x04Rome"),
        ("3.3", b"\x02\x02\x00\x01"),
        ("5", b"\x0c\x00"),
    ):
        forge = genuine_looking(**names, extensions={"4": None, "5": cloud, oid: value})
        error = refuse(refusals.CertificatesMalformed, good(forge, key_info=snp.VLEK << 2), anchors=by_vlek)
        assert "VLEK" in str(error.found)
        assert "VCEK" not in str(error.found)
    forge = genuine_looking(**names, extensions={"4": None, "5": cloud})
    newer = bytes([10, 0, 0, 0, 0, 0, 0x18, 0x54])
    error = refuse(refusals.TcbMismatch, good(forge, key_info=snp.VLEK << 2, reported_tcb=newer), anchors=by_vlek)
    assert (error.detail["failed"], "VLEK" in error.hint) == (["vlek_tcb"], True)
    refuse(refusals.ChainNamesWrong, good(genuine_looking(**names)), anchors=by_vlek)


@pytest.mark.parametrize("oid", ["3.1", "3.2", "3.3", "3.8", "4"])
def test_mistake_04_missing_extension(oid: str) -> None:
    """A certificate without a TCB level or a hardware id skips no check."""
    refuse(refusals.CertificatesMalformed, good(genuine_looking(extensions={oid: None})))


def test_mistake_05_hardware_id_by_prefix() -> None:
    """All of CHIP_ID counts, and on Turin the 56 bytes after the id are zero."""
    refuse(refusals.ChipMismatch, good(chip_id=bytes(range(63)) + b"\0"))
    turin = genuine_looking(product="Turin", chip_id=b"\1" * 8 + bytes(56))
    anchors = turin.genuine_anchors()
    accept(good(turin), anchors=anchors)
    refuse(refusals.ChipMismatch, good(turin, chip_id=b"\1" * 8 + bytes(55) + b"\1"), anchors=anchors)


def test_mistake_06_signature_bounds_and_order() -> None:
    """R and S are little-endian and between 1 and n-1."""
    report = snp.Report.parse(good().report_bytes())
    swapped = int.from_bytes(report.signature_r.to_bytes(72, "little"), "big")
    for r in (0, snp.P384_ORDER, report.signature_r ^ 1, swapped):
        changed = replace(report, signature_r=r).encode()
        refuse(refusals.ReportSignatureInvalid, with_report(good(), changed))


def test_mistake_07_debug() -> None:
    """AMD signs debug guests like all others."""
    refuse(refusals.DebugOn, good(policy=0x3001F | snp.POLICY_DEBUG))
    real = files("snp/debug-milan-v2/report.bin", "snp/debug-milan-v2/vcek.der")
    for profile in ("hardware", "aci"):
        with pytest.raises(refusals.DebugOn):
            judge(real, profile, now=NOW)  # type: ignore[arg-type]


def test_mistake_08_migration_agent() -> None:
    """A guest that may be moved, or that has an agent who can move it."""
    refuse(refusals.MigrationAgentPresent, good(policy=0x3001F | snp.POLICY_MIGRATE_MA))
    refuse(refusals.MigrationAgentPresent, good(report_id_ma=bytes(32)))


@pytest.mark.parametrize("vmpl", [1, 2, 3, 4, snp.HOST_VMPL])
def test_mistake_09_vmpl(vmpl: int) -> None:
    """The host can ask for a report as well; its VMPL is 0xFFFFFFFF."""
    refuse(refusals.VmplRefused, good(vmpl=vmpl))


def test_mistake_10_masked_key() -> None:
    """With the chip's key masked, or none, the firmware writes zeros for a signature."""
    refuse(refusals.ChipKeyMasked, good(key_info=snp.KEY_MASKED))
    report = snp.Report.parse(good(key_info=snp.NO_KEY << 2).report_bytes())
    unsigned = replace(report, signature_r=0, signature_s=0).encode()
    refuse(refusals.SigningKeyRefused, with_report(good(), unsigned))


def test_mistake_11_tcb_as_one_number() -> None:
    """Components compare one by one, in the product's own layout, and of the reported TCB."""
    floor = {"sev-snp/Genoa": {"snp": 0x18}}
    refuse(refusals.TcbTooOld, good(), replace(WANTED, minimum_tcb=floor))  # microcode, the higher bytes, is newer
    tcb = FORGE.chain().tcb
    newer = tcb[:6] + b"\x18" + tcb[7:]
    refuse(refusals.TcbTooOld, good(current_tcb=newer), replace(WANTED, minimum_tcb=floor))
    parts = files("snp/aci-turin-v5/report.bin", "snp/aci-turin-v5/vcek.pem", "snp/aci-turin-v5/ask.pem")
    claims = verify(parts.evidence(), TrustAnchors(), now=NOW).claims
    assert claims.tcb == {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 4, "microcode": 0x51}


def test_mistake_12_no_floor() -> None:
    """Old firmware is properly signed; the default floor is AMD-SB-3019's, on what is reported, committed, launched."""
    old = genuine_looking(tcb=snp.encode_tcb({"bootloader": 10, "tee": 0, "snp": 0x16, "microcode": 0x54}, "Genoa"))
    refuse(refusals.TcbTooOld, good(old, reported_tcb=old.tcb))
    for which in ("committed_tcb", "launch_tcb"):
        refuse(refusals.TcbTooOld, good(**{which: old.tcb}))


def test_mistake_13_report_data_by_prefix() -> None:
    """All 64 bytes, zeros at the end included."""
    padded = REPORT_DATA[:32] + bytes(32)
    accept(good(report_data=padded), replace(WANTED, report_data=padded))
    refuse(refusals.ReportDataMismatch, good(report_data=padded), WANTED)
    refuse(refusals.ReportDataMismatch, good(report_data=padded[:-1] + b"\1"), replace(WANTED, report_data=padded))


def test_mistake_14_replay() -> None:
    """The same evidence does not answer a second nonce."""
    evidence = good()
    accept(evidence)
    refuse(refusals.ReportDataMismatch, evidence, replace(WANTED, report_data=b"another nonce".ljust(64, b"\0")))


def test_mistake_15_diversion() -> None:
    """Evidence of another genuine guest of the same build holds another key in REPORT_DATA."""
    other = good(report_data=hashlib.sha512(b"the key of another guest").digest(), report_id=b"o" * 32)
    refuse(refusals.ReportDataMismatch, other)


def test_mistake_16_policy_written_again() -> None:
    """769 and 771 bytes mean the same and are two policies; bytes are hashed as they are."""
    base = ("snp/aci-milan-v3-full/attestation.json",)
    wanted = Wanted(uvm_svn=103, accept_allow_all=True)
    same = files(*base, "cce/allow-all/cleanroom-769.rego")
    assert isinstance(judge(same, "aci", now=NOW, wanted=wanted), Judgement)
    longer = files(*base, "cce/allow-all/cleanroom-771.rego")
    for parts in (longer, replace(longer, policy=None)):
        with pytest.raises(refusals.InitDataMismatch):
            judge(parts, "aci", now=NOW, wanted=wanted)
    refuse(refusals.InitDataMismatch, good(), replace(WANTED, init_data=HOST_DATA[:-1] + b"H"))


@pytest.mark.parametrize("digest", sorted(ALLOW_ALL_POLICIES))
def test_mistake_17_policy_that_allows_everything(digest: str) -> None:
    """Each known one is refused by name, even by somebody who pins nothing, unless it was opted in."""
    evidence = good(host_data=bytes.fromhex(digest))
    anything = replace(WANTED, init_data=None)
    error = refuse(refusals.PolicyAllowsAll, evidence, anything)
    assert ALLOW_ALL_POLICIES[digest] in str(error.found)
    accept(evidence, replace(anything, accept_allow_all=True))


def test_mistake_18_measurement_of_another_build() -> None:
    """An endorsement vouches for its own measurement and for no other."""
    refuse(refusals.MeasurementUnknown, endorsed(measurement=b"x" * 48), ENDORSED)
    refuse(refusals.UvmMissing, good(), ENDORSED)
    refuse(refusals.MeasurementUnknown, endorsed(), replace(WANTED, measurements=frozenset({b"x" * 48})))


def test_mistake_19_cose_edited() -> None:
    """Unprotected headers, critical headers, bytes after the message, keys twice."""
    protected, _, payload, signature = cbor2.loads(STATEMENT[1:])
    headers = envelope_headers()
    body = cbor2.dumps(headers)
    edited = [
        b"\xd2" + cbor2.dumps([protected, {2: [1]}, payload, signature]),
        b"\xd2" + cbor2.dumps([protected, {15: {"svn": 999}}, payload, signature]),
        STATEMENT + b"\0",
        Statement({key: value for key, value in headers.items() if key != 15}, unprotected={15: headers[15]}).encode(),
        Statement({**headers, 2: ["svn"]}).encode(),
        Statement(protected_bytes=bytes([body[0] + 1]) + b"\x01\x38\x25" + body[1:]).encode(),
    ]
    for statement in edited:
        refuse(refusals.UvmMalformed, endorsed(statement), ENDORSED)


def test_mistake_20_validity_of_the_endorser() -> None:
    """Its leaf has expired by now and that is normal; that it had when it signed is not."""
    assert LEAF_TO < NOW
    accept(endorsed(), ENDORSED)
    late = Statement(envelope_headers(iat=int((LEAF_TO + timedelta(days=1)).timestamp()))).encode()
    refuse(refusals.UvmOutsideValidity, endorsed(late), ENDORSED)


@pytest.mark.parametrize("svn", ["22", "99", "103"])
def test_mistake_21_svn_as_text(svn: str) -> None:
    """99 is less than 104, and there is a floor by default."""
    old_form = Statement(json_headers(), json_payload(svn)).encode()
    refuse(refusals.UvmTooOld, endorsed(old_form), ENDORSED)
    verified = verify(endorsed(old_form), ANCHORS, now=NOW)
    appraise(verified, ENDORSED, Minimums(uvm_svn=int(svn)))


def test_mistake_22_issuer() -> None:
    """The DID resolves, is the pinned one, and the usage is the leaf's."""
    another = chain("another root")
    for headers in (
        envelope_headers(another),
        envelope_headers(another, iss=did(another)),
        envelope_headers(chain(leaf_eku="1.2.3", ca_eku=EKU)),
    ):
        refuse(refusals.UvmIssuerUnknown, endorsed(Statement(headers).encode()), ENDORSED)
    wrong_feed = Statement(envelope_headers(sub="another-feed")).encode()
    refuse(refusals.UvmFeedUnknown, endorsed(wrong_feed), ENDORSED)
    real = (VECTORS / "uvm" / "wrong-issuer-test-root.cose").read_bytes()
    refuse(refusals.UvmIssuerUnknown, endorsed(real), ENDORSED)


def test_mistake_23_grafted_receipt() -> None:
    """A ledger's good signature over another statement's leaf is no receipt for this one."""
    anchors = replace(ANCHORS, ledger_keys={LEDGER: ec_key(LEDGER).public_key()})
    accept(endorsed(with_receipts(STATEMENT, receipt(STATEMENT))), ENDORSED, anchors)
    grafted = with_receipts(STATEMENT, receipt(Statement(payload=b"o" * 48).encode()))
    refuse(refusals.UvmNotTransparent, endorsed(grafted), ENDORSED, anchors)
    refuse(refusals.UvmNotTransparent, endorsed(), ENDORSED, anchors)


def test_mistake_24_unknown_platform_bits() -> None:
    """The platform sets bits that are newer than a verifier; a policy can require some, and reserves none."""
    accept(good(platform_info=2**63 | 0x65))
    accept(good(platform_info=1 << 5), replace(WANTED, platform_info=1 << 5))
    refuse(refusals.PlatformUnsafe, good(platform_info=0x5F), replace(WANTED, platform_info=1 << 5))
    refuse(refusals.PlatformUnsafe, good(platform_info=1 << 5), replace(WANTED, platform_info=0b11 << 4))
    turin = files("snp/aci-turin-v5/report.bin", "snp/aci-turin-v5/vcek.pem")
    assert int(judge(turin, "hardware", now=NOW).claims.platform_info, 16) == 0x65


def test_mistake_27_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is that of the time that is passed in, years later too."""
    parts = files("snp/aci-milan-v3-full/attestation.json", "snp/aci-milan-v3-full/cce_policy.rego")
    wanted = Wanted(uvm_svn=103, accept_allow_all=True)
    monkeypatch.setattr("time.time", lambda: 4e9)
    judge(parts, "aci", now=NOW, wanted=wanted)
    with pytest.raises(refusals.OutsideValidity):
        judge(parts, "aci", now=datetime(2050, 1, 1, tzinfo=UTC), wanted=wanted)


def test_mistake_28_partial_result() -> None:
    """What was verified is not yet accepted, a judgement of files is no ticket, and neither can be built by hand."""
    verified = verify(good(), ANCHORS, now=NOW)
    assert not isinstance(verified, AttestationResult)
    for make in (VerifiedEvidence, AttestationResult):
        with pytest.raises(TypeError):
            make(verified.claims, verified.checks, proof=None)  # type: ignore[arg-type]
    assert not issubclass(Judgement, AttestationResult)
    error = refuse(refusals.DebugOn, good(policy=0x3001F | snp.POLICY_DEBUG, vmpl=2))
    assert error.detail["failed"] == ["debug", "vmpl"]


def test_mistake_29_utility_vm_with_known_faults() -> None:
    """By default the utility VM is at least the one that the 2026 fixes are in, and the floor has a date and a source."""
    minimums = Minimums()
    assert (minimums.uvm_svn, minimums.date) == (104, "2026-08-04")
    assert minimums.source
    refuse(refusals.UvmTooOld, endorsed(Statement(envelope_headers(svn=103)).encode()), ENDORSED)


def test_mistake_30_broken_products_and_chips() -> None:
    """A policy can name the products and the very chips that it still believes."""
    milan = genuine_looking(product="Milan")
    only_genoa = replace(WANTED, products=frozenset({"Genoa", "Turin"}))
    accept(good(), only_genoa)
    low = {"sev-snp/Milan": {"snp": 0x17}}
    anchors = milan.genuine_anchors()
    refuse(refusals.ProductNotAccepted, good(milan), replace(only_genoa, minimum_tcb=low), anchors)
    accept(good(), replace(WANTED, chips=frozenset({FORGE.chip_id})))
    refuse(refusals.ChipNotAccepted, good(), replace(WANTED, chips=frozenset({b"c" * 64})))

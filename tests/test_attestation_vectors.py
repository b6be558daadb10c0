"""Evidence of real machines: AMD's signatures hold up to the pinned roots, and the flawed ones are refused."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from forge import NOW, tampered, with_chain, with_report

from sls_jupyter.attestation.amd.report import Report
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.forms import Parts, gather, recognise
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import ReferenceValues
from sls_jupyter.attestation.judge import Wanted, judge
from sls_jupyter.attestation.refusals import PolicyAllowsAll
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import EvidenceRejected, MalformedDocument

VECTORS = Path(__file__).parent / "vectors" / "snp"
FILES = {
    "aci-milan-v3-full": ["platform_certificates.pem"],
    "aci-milan-v2-full": ["host_amd_certificate.pem"],
    "aci-genoa-v3": ["vcek.pem", "ask.pem"],
    "aci-turin-v5": ["vcek.pem", "ask.pem"],
    "debug-milan-v2": ["vcek.der", "../roots/milan_ask_ark.pem"],
    "mismatched-vcek-milan-v2": ["certs.pem"],
    "genoa-v5-19a002": ["vcek.der", "../roots/genoa_ask_ark.pem"],
    "vlek-aws-milan-v3": ["vlek.der", "../roots/milan_asvk_ark.pem"],
}
LATER = datetime(2026, 7, 22, tzinfo=UTC)
GOOD = ["aci-milan-v3-full", "aci-milan-v2-full", "aci-genoa-v3", "aci-turin-v5"]


def certificates(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if not data.startswith(b"-----"):
        return [data]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # serial number 0
        return [item.public_bytes(Encoding.DER) for item in x509.load_pem_x509_certificates(data)]


def evidence(name: str) -> Evidence:
    folder = VECTORS / name
    ders = [der for file in FILES[name] for der in certificates(folder / file)]
    return Evidence.of("sev-snp", (folder / "report.bin").read_bytes(), ders)


def failed(value: Evidence) -> list[str]:
    with pytest.raises(EvidenceRejected) as caught:
        verify(value, TrustAnchors(), now=NOW)
    return list(caught.value.detail["failed"])


@pytest.mark.parametrize("name", GOOD)
def test_genuine_evidence_verifies(name: str) -> None:
    """Real reports of three generations verify, roots that did not travel included, and their claims are read."""
    fields = json.loads((VECTORS / name / "expected.json").read_bytes())["fields"]
    claims = verify(evidence(name), TrustAnchors(), now=NOW).claims
    assert not claims.simulated
    assert claims.measurement == fields["measurement"]
    assert claims.init_data == fields["host_data"]
    assert claims.chip_id == fields["chip_id"]
    assert claims.product.lower() in name


def test_a_processor_of_the_genoa_family() -> None:
    """Bergamo and Siena have other models than Genoa, and Genoa's root."""
    claims = verify(evidence("genoa-v5-19a002"), TrustAnchors(), now=LATER).claims
    assert (claims.product, claims.report_version, claims.simulated) == ("Genoa", 5, False)


def test_words_of_a_verdict() -> None:
    """A certificate may begin in the middle of the day, and a report may be signed by a VLEK: both are said."""
    with pytest.raises(EvidenceRejected) as caught:
        verify(evidence("aci-milan-v3-full"), TrustAnchors(), now=datetime(2025, 1, 28, 12, tzinfo=UTC))
    assert caught.value.detail["failed"] == ["validity"]
    assert caught.value.found == "validity: 2025-01-28 12:00:00 UTC"
    assert str(caught.value.expected).startswith("validity: 2025-01-28 2")
    checks = verify(
        evidence("vlek-aws-milan-v3"), replace(TrustAnchors(), accept_vlek=True), now=datetime(2025, 6, 1, tzinfo=UTC)
    ).checks
    said = " ".join(f"{check.found} {check.expected}" for check in checks)
    assert "signed by the VLEK" in said
    assert "ARK and ASVK are CAs" in said
    assert not re.search(r"\bVCEK\b|\bASK\b", said.replace("VCEK or VLEK", ""))


def test_genuine_evidence_is_appraised() -> None:
    """The whole way for a real Azure container group."""
    verified = verify(evidence("aci-milan-v3-full"), TrustAnchors(), now=NOW)
    report_data, host_data, measurement = (
        bytes.fromhex(text)
        for text in (verified.claims.report_data, verified.claims.init_data, verified.claims.measurement)
    )
    wanted = ReferenceValues(frozenset({measurement}), host_data, report_data, ("sev-snp",), accept_allow_all=True)
    appraise(verified, wanted)
    with pytest.raises(PolicyAllowsAll):  # the container policy of this sample allows everything
        appraise(verified, replace(wanted, accept_allow_all=False))


def test_debug_report_is_refused_in_appraisal() -> None:
    """AMD signs debug guests too; only appraisal tells."""
    verified = verify(evidence("debug-milan-v2"), TrustAnchors(), now=NOW)
    values = (bytes.fromhex(text) for text in (verified.claims.init_data, verified.claims.report_data))
    measurement = frozenset({bytes.fromhex(verified.claims.measurement)})
    with pytest.raises(EvidenceRejected) as caught:
        appraise(verified, ReferenceValues(measurement, *values, {"sev-snp"}))
    assert caught.value.detail["failed"] == ["debug", "minimum_tcb"]


def test_vcek_of_another_chip_is_refused() -> None:
    """A genuine chain of another chip at the same TCB."""
    assert failed(evidence("mismatched-vcek-milan-v2")) == ["vcek_chip", "signature"]


def test_vlek_is_refused() -> None:
    """A report signed by a cloud's VLEK is not one of a known chip."""
    assert failed(evidence("vlek-aws-milan-v3")) == ["signing_key", "certificates"]


def test_product_with_another_products_chain() -> None:
    """A Genoa report with a Milan chain is refused for each reason there is."""
    mixed = with_chain(evidence("aci-genoa-v3"), evidence("aci-milan-v3-full").endorsement_bytes())
    assert failed(mixed) == ["product", "vcek_tcb", "vcek_chip", "signature"]


def test_root_of_another_product_in_the_chain() -> None:
    """Turin's intermediate does not lead to Milan's root."""
    vcek, ask = evidence("aci-turin-v5").endorsement_bytes()
    root = certificates(VECTORS / "roots" / "milan_ask_ark.pem")[1]
    assert {"root", "chain_signatures"} <= set(failed(with_chain(evidence("aci-turin-v5"), (vcek, ask, root))))


def test_genuine_evidence_is_not_simulated() -> None:
    """Real evidence under the simulated kind's name is refused as well."""
    value = evidence("aci-turin-v5").model_copy(update={"kind": "simulated-snp"})
    assert failed(value) == ["certificates"]


@pytest.mark.parametrize("name", GOOD)
def test_flipped_bits(name: str) -> None:
    """A changed bit in a real report is refused; a sample of every byte of the signed part."""
    value = evidence(name)
    data = bytearray(value.report_bytes())
    for position in range(0x2A0):
        data[position] ^= 1 << position % 8
        assert failed(with_report(value, bytes(data)))
        data[position] ^= 1 << position % 8


@pytest.mark.parametrize("name", GOOD)
def test_flipped_bits_in_certificates(name: str) -> None:
    """A changed bit in a real certificate is refused, whichever certificate; a sample of all bits."""
    value = evidence(name)
    for index, der in enumerate(value.endorsement_bytes()):
        ders = list(value.endorsement_bytes())
        for bit in range(0, 8 * len(der), 193):
            ders[index] = tampered(der, bit)
            assert failed(with_chain(value, tuple(ders)))


# --- the index: any folder with an expected.json that is dropped in is judged by it ---------------------------

CASES = sorted(path.parent.name for path in VECTORS.glob("*/expected.json"))


def index(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / name / "expected.json").read_bytes()))


REPORTS = [name for name in CASES if (VECTORS / name / "report.bin").exists()]


def parts_of(name: str) -> Parts:
    """What a person has who points at the folder: every file of it, told by its content."""
    found = Parts()
    for path in sorted((VECTORS / name).iterdir()):
        if path.name != "expected.json" and "public_key" not in path.name:
            found |= recognise(path.read_bytes())
    return found


def moment(parts: Parts) -> datetime:
    """A day on which every certificate is valid: the one after the youngest was made."""
    return max(Certificate.parse(der).not_before for der in parts.certificates) + timedelta(days=1)


def verdict(parts: Parts, profile: Any, wanted: Wanted) -> str:
    try:
        judge(parts, profile, now=moment(parts), wanted=wanted)
    except EvidenceRejected:
        return "reject"
    return "accept"


@pytest.mark.parametrize("name", REPORTS)
def test_hardware_verdict_of_the_index(name: str) -> None:
    """The vendor's part alone gets the verdict of the index."""
    says = index(name)["verdict"]
    good = says.startswith("accept") or "hardware part accept" in says or "reject in the ACI profile" in says
    assert verdict(parts_of(name), "hardware", Wanted()) == ("accept" if good else "reject")


@pytest.mark.parametrize("name", REPORTS)
def test_aci_verdict_of_the_index(name: str) -> None:
    """The whole of the evidence is accepted only where it is whole, its svn is enough, and its policy was opted in."""
    expected, parts = index(name), parts_of(name)
    whole = parts.uvm is not None and parts.policy is not None
    good = expected["verdict"].startswith("accept") and whole
    svn = expected.get("uvm", {}).get("svn", 104)
    opted_in = Wanted(uvm_svn=max(svn, 100), accept_allow_all=True)
    assert verdict(parts, "aci", opted_in) == ("accept" if good else "reject")
    assert verdict(parts, "aci", opted_in.model_copy(update={"uvm_svn": svn + 1})) == "reject"
    assert verdict(parts, "aci", opted_in.model_copy(update={"accept_allow_all": False})) == "reject"


@pytest.mark.parametrize("name", REPORTS)
def test_fields_of_the_index(name: str) -> None:
    """Every parsed field is what the index says: bytes as they stand, numbers as numbers."""
    report = Report.parse((VECTORS / name / "report.bin").read_bytes())
    expected = dict(index(name)["fields"])
    assert report.cpuid.replace("-", "") == expected.pop("cpuid_family_model_stepping")
    assert report.launch_mit_vector.to_bytes(8, "little").hex() == expected.pop("launch_mit_vector_le")
    assert report.current_mit_vector.to_bytes(8, "little").hex() == expected.pop("current_mit_vector_le")
    known = {item.name for item in fields(Report)}
    for field, value in expected.items():
        assert field in known
        found = getattr(report, field)
        shown = found.hex() if isinstance(found, bytes) else found
        assert shown == (int(value, 16) if isinstance(value, str) and isinstance(found, int) else value), field


def test_security_context_of_the_index() -> None:
    """The three files of a container are read, and the policy's digest is that of the index."""
    parts = parts_of("security-context")
    assert parts.policy is not None
    assert hashlib.sha256(parts.policy).hexdigest() == index("security-context")["policy_sha256"]
    assert (len(parts.certificates), parts.tcbm) == (3, "7308000000000003")


@pytest.mark.parametrize("name", GOOD)
def test_truncated_and_extended_files(name: str) -> None:
    """A report, a certificate or an endorsement with bytes missing or added is refused, whichever it is."""
    parts = parts_of(name)
    assert parts.report is not None
    for report in (parts.report[:-1], parts.report + b"\0", parts.report[:0x2A0]):
        assert verdict(replace(parts, report=report), "hardware", Wanted()) == "reject"
    first, *rest = parts.certificates
    for der in (first[:-1], first + b"\0"):
        with pytest.raises((EvidenceRejected, MalformedDocument)):
            judge(replace(parts, certificates=(der, *rest)), "hardware", now=NOW)
    if parts.uvm is not None:
        for uvm in (parts.uvm[:-1], parts.uvm + b"\0"):
            wanted = Wanted(uvm_svn=0, accept_allow_all=True)
            assert verdict(replace(parts, uvm=uvm), "aci", wanted) == "reject"


def test_gathered_in_any_order() -> None:
    """The order in which files are named does not matter."""
    files = [path.read_bytes() for path in sorted((VECTORS / "aci-turin-v5").iterdir()) if path.suffix != ".json"]
    assert gather(files).evidence() == gather(reversed(files)).evidence()

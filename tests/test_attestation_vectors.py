"""Evidence of real machines: AMD's signatures hold up to the pinned roots, and the flawed ones are refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from forge import NOW, tampered, with_chain, with_report

from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.evidence import Evidence, ReferenceValues, TrustAnchors
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import EvidenceRejected

VECTORS = Path(__file__).parent / "vectors" / "snp"
FILES = {
    "aci-milan-v3-full": ["platform_certificates.pem"],
    "aci-milan-v2-full": ["host_amd_certificate.pem"],
    "aci-genoa-v3": ["vcek.pem", "ask.pem"],
    "aci-turin-v5": ["vcek.pem", "ask.pem"],
    "debug-milan-v2": ["vcek.der", "../roots/milan_ask_ark.pem"],
    "mismatched-vcek-milan-v2": ["certs.pem"],
    "vlek-aws-milan-v3": ["vlek.der", "../roots/milan_asvk_ark.pem"],
}
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


def test_genuine_evidence_is_appraised() -> None:
    """The whole way for a real Azure container group."""
    verified = verify(evidence("aci-milan-v3-full"), TrustAnchors(), now=NOW)
    report_data, host_data, measurement = (
        bytes.fromhex(text)
        for text in (verified.claims.report_data, verified.claims.init_data, verified.claims.measurement)
    )
    appraise(verified, ReferenceValues(frozenset({measurement}), host_data, report_data, ("sev-snp",)))


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

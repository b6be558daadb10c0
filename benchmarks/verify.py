"""Verifying an SNP report with its chain cached, against the bare P-384 signature check it contains.

The two take turns, and the fastest of each counts, so that a busy machine slows both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure.forms import gather
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.attestation.verify import verify

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "snp" / "aci-genoa-v3"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROUNDS, CALLS = 30, 50


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def main() -> int:
    evidence = gather((VECTORS / name).read_bytes() for name in ("report.bin", "vcek.pem", "ask.pem")).evidence()
    anchors, data = TrustAnchors(), evidence.report_bytes()
    report, key = snp.Report.parse(data), Certificate.parse(evidence.endorsement_bytes()[0]).key
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = encode_dss_signature(report.signature_r, report.signature_s)

    def bare() -> None:
        key.verify(signature, data[: snp.SIGNED_BYTES], ec.ECDSA(hashes.SHA384()))

    def whole() -> None:
        verify(evidence, anchors, now=NOW)

    whole()
    times = [(seconds(whole), seconds(bare)) for _ in range(ROUNDS)]
    ours, plain = min(first for first, _ in times), min(second for _, second in times)
    print(f"  bare P-384 check   {plain * 1e6:7.0f} µs")
    print(f"  whole verification {ours * 1e6:7.0f} µs")
    print(f"  ratio              {ours / plain:7.2f}   (goal ≤ 1.5)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

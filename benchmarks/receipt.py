"""Verifying a receipt of two owners offline, against the bare signature checks that it contains.

The two take turns, and the fastest of each counts, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.documents import Envelope, parse_json
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.transparency.note import SignedNote

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "receipt"
ROUNDS, CALLS = 20, 10


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def bare_checks(receipt: Receipt) -> Iterator[Callable[[], None]]:
    """Every signature of people, authorities and logs in a receipt, and that of the hardware; parsed beforehand."""
    stated = receipt.stated()
    predicate = stated.statement.predicate
    envelopes = [predicate.spec, *(one for item in predicate.inputs for one in (item.manifest, item.grant))]
    for one in envelopes:
        envelope = Envelope.parse(one.encode(), one.payloadType)
        key = Ed25519PublicKey.from_public_bytes(public_key_from_did(envelope.keyid))
        yield partial(key.verify, envelope.signature, envelope.pae())
    proofs = [one.released.proof for one in predicate.inputs if one.released is not None]
    for proof in (*proofs, *(one.entry.proof for one in receipt.recorded)):
        note = SignedNote.parse(proof.checkpoint.encode())
        key = Ed25519PublicKey.from_public_bytes(public_key_from_did(proof.log))
        yield partial(key.verify, note.signatures[0].signature, note.text.encode())
    data = stated.evidence.report_bytes()
    report, vcek = snp.Report.parse(data), Certificate.parse(stated.evidence.endorsement_bytes()[0]).key
    assert isinstance(vcek, ec.EllipticCurvePublicKey)
    signature = encode_dss_signature(report.signature_r, report.signature_s)
    yield partial(vcek.verify, signature, data[: snp.SIGNED_BYTES], ec.ECDSA(hashes.SHA384()))


def main() -> int:
    data, known = (FOLDER / "receipt.json").read_bytes(), json.loads((FOLDER / "auditor.json").read_text())
    now, receipt = datetime.fromtimestamp(known["verified_at"], UTC), Receipt.parse(data)
    checks = list(bare_checks(receipt))

    def whole() -> None:
        verify_receipt(data, now=now, images={known["image"]}, accept_simulated=True).require()

    def bare() -> None:
        for check in checks:
            check()

    def read() -> None:
        parse_json(data)

    whole()
    times = [tuple(map(seconds, (whole, bare, read))) for _ in range(ROUNDS)]
    ours, plain, parsed = (min(column) for column in zip(*times, strict=True))
    print(f"  {len(checks)} bare signature checks {plain * 1e6:7.0f} µs")
    print(f"  reading {len(data)} bytes of JSON {parsed * 1e6:7.0f} µs")
    print(f"  whole verification      {ours * 1e6:7.0f} µs")
    print(f"  ratio                   {ours / plain:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

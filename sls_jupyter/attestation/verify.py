"""Verification: are the signatures on this evidence genuine, up to a root that we chose?

From kind to verifier by table. A new kind of evidence is one file and one row. What is *not* answered
here: whether the claims are the ones wanted, which is :mod:`sls_jupyter.attestation.appraise`'s question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from sls_jupyter.attestation import dcap, maa, snp_verify
from sls_jupyter.attestation import evidence as types
from sls_jupyter.attestation.evidence import Check, Claims, Evidence, TrustAnchors, VerifiedEvidence, rejection
from sls_jupyter.errors import BadInput

Verifier = Callable[[Evidence, TrustAnchors, datetime], tuple[Claims, tuple[Check, ...]]]

VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "sev-snp": snp_verify.verify_genuine,
        "simulated-snp": snp_verify.verify_simulated,
        "tdx": dcap.verify_tdx,
        "sgx": dcap.verify_sgx,
    }
)
"""Kinds of TEE; each has a profile."""

TOKEN_VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "maa-sev-snp": maa.verify_snp_token,
        "maa-sgx": maa.verify_sgx_token,
    }
)
"""Kinds of somebody else's word on a TEE. None has a profile, so no owner accepts one without naming it."""


def verify(evidence: Evidence, anchors: TrustAnchors, *, now: datetime) -> VerifiedEvidence:
    """Check every signature and certificate of ``evidence``.

    The kind that the evidence names chooses roots and rules, so a false name is refused: no development
    root is ever believed for a hardware kind, and no vendor's root for the simulated one.

    Args:
        now: the time to judge validity at, with a time zone. The clock is never read here.

    Returns:
        The claims with the checks made, all of them passed.

    Raises:
        EvidenceRejected: with every check that failed.
        BadInput: ``now`` has no time zone.
    """
    if now.tzinfo is None:
        raise BadInput("The time to verify at needs a time zone.", found=now, hint="Use datetime.now(UTC).")
    verifiers = {**VERIFIERS, **TOKEN_VERIFIERS}
    verifier = verifiers.get(evidence.kind)
    if verifier is None:
        known = Check(name="kind", found=evidence.kind, expected=", ".join(verifiers), ok=False)
        raise rejection(evidence.kind, "does not verify", [known])
    claims, checks = verifier(evidence, anchors, now)
    if not all(check.ok for check in checks):
        raise rejection(evidence.kind, "does not verify", checks)
    return VerifiedEvidence(claims, checks, proof=types._BY_VERIFY)

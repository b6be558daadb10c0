"""Verification: are the signatures on this evidence genuine, up to a root that we chose?

From kind to verifier by table. A new kind of evidence is one file in its maker's room and one row; what no single
maker answers for is put together here. What is *not* answered
here: whether the claims are the ones wanted, which is :mod:`sls_jupyter.attestation.appraise`'s question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from sls_jupyter.attestation import evidence as types
from sls_jupyter.attestation.amd import verify as snp
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure import maa, uvm
from sls_jupyter.attestation.claims import Check, ChecksFailed, Claims, Evidence
from sls_jupyter.attestation.cose.sign1 import SIGN1_TAG
from sls_jupyter.attestation.evidence import VerifiedEvidence, rejection
from sls_jupyter.attestation.intel import verify as dcap
from sls_jupyter.errors import BadInput

Verified = tuple[Claims, tuple[Check, ...]]
Verifier = Callable[[Evidence, TrustAnchors, datetime], Verified]


def _verify_snp(evidence: Evidence, anchors: TrustAnchors, now: datetime) -> Verified:
    """AMD's report, and Microsoft's endorsement of the utility VM if one travelled with it, as the last."""
    items = evidence.endorsement_bytes()
    if not items or not items[-1].startswith(SIGN1_TAG):
        return snp.verify_genuine(evidence, anchors, now)
    claims, checks = snp.verify_genuine(Evidence.of(evidence.kind, evidence.report_bytes(), items[:-1]), anchors, now)
    endorsed, lines = uvm.verify_endorsement(items[-1], anchors.uvm_issuers, anchors.ledger_keys)
    return claims.model_copy(update={"uvm": endorsed}), (*checks, *lines)


def _verify_simulated(evidence: Evidence, anchors: TrustAnchors, now: datetime) -> Verified:
    """Nobody endorses a simulated machine."""
    return snp.verify_simulated(evidence, anchors, now)


VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "sev-snp": _verify_snp,
        "simulated-snp": _verify_simulated,
        "tdx": lambda evidence, anchors, now: dcap.verify_tdx(evidence, anchors.intel, now),
        "sgx": lambda evidence, anchors, now: dcap.verify_sgx(evidence, anchors.intel, now),
    }
)
"""Kinds of TEE; each has a profile."""

TOKEN_VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {
        "maa-sev-snp": lambda evidence, anchors, now: maa.verify_snp_token(evidence, anchors.maa, now),
        "maa-sgx": lambda evidence, anchors, now: maa.verify_sgx_token(evidence, anchors.maa, now),
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
    try:
        claims, checks = verifier(evidence, anchors, now)
    except ChecksFailed as error:
        raise rejection(evidence.kind, "does not verify", error.checks) from None
    if not all(check.ok for check in checks):
        raise rejection(evidence.kind, "does not verify", checks)
    return VerifiedEvidence(claims, checks, proof=types._BY_VERIFY)

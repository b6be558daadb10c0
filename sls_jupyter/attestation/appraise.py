"""Appraisal: are the claims of verified evidence the ones this relying party wants?"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from types import MappingProxyType

from sls_jupyter.attestation import evidence as types
from sls_jupyter.attestation.evidence import (
    AttestationResult,
    Check,
    Claims,
    ReferenceValues,
    VerifiedEvidence,
    compare,
    rejection,
)

VENDOR_MINIMUM_TCB: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "sev-snp/Milan": MappingProxyType({"snp": 0x18}),
        "sev-snp/Genoa": MappingProxyType({"snp": 0x17}),
    }
)
"""Firmware that AMD-SB-3019 (February 2025) asks for; reference values that name the same key replace a row.

No floor for Turin was published when this was written (November 2026).
"""


def appraise(verified: VerifiedEvidence, reference: ReferenceValues) -> AttestationResult:
    """Compare the claims with the reference values.

    Returns:
        Every check, of verification and of appraisal, all of them passed.

    Raises:
        EvidenceRejected: with every check that failed.
    """
    claims = verified.claims
    checks = [
        # 1. a kind of TEE that was asked for       2. not open to a debugger
        _tee(claims, reference),
        compare("debug", "on" if claims.debug else "off", "off"),
        # 3. its memory stays where it was started  4. the guest itself asked for the report
        compare("migration_agent", "present" if claims.migration_agent else "absent", "absent"),
        compare("vmpl", f"{claims.vmpl:#x}", "0x0"),
        # 5. the code we know                       6. the policy we rendered
        _measurement(claims, reference),
        *_init_data(claims, reference),
        # 7. this request's nonce and key           8. firmware that is recent enough
        _report_data(claims, reference),
        _minimum_tcb(claims, reference),
    ]
    if not all(check.ok for check in checks):
        raise rejection(claims.tee, "is not acceptable", [*verified.checks, *checks])
    return AttestationResult(claims, (*verified.checks, *checks), proof=types._BY_APPRAISE)


def _tee(claims: Claims, reference: ReferenceValues) -> Check:
    accepted = ", ".join(sorted(reference.tees)) or "no kind at all"
    return Check(name="tee", found=claims.tee, expected=accepted[:400], ok=claims.tee in reference.tees)


def _measurement(claims: Claims, reference: ReferenceValues) -> Check:
    known = sorted(value.hex() for value in reference.measurements)
    expected = " or ".join(known[:2]) + (f" or {len(known) - 2} more" if len(known) > 2 else "")
    return Check(
        name="measurement",
        found=claims.measurement,
        expected=expected or "no measurement is known",
        ok=claims.measurement in known,
    )


def _init_data(claims: Claims, reference: ReferenceValues) -> list[Check]:
    return [] if reference.init_data is None else [compare("init_data", claims.init_data, reference.init_data.hex())]


def _report_data(claims: Claims, reference: ReferenceValues) -> Check:
    """All 64 bytes, in constant time."""
    same = hmac.compare_digest(bytes.fromhex(claims.report_data), reference.report_data)
    return Check(name="report_data", found=claims.report_data, expected=reference.report_data.hex(), ok=same)


def _minimum_tcb(claims: Claims, reference: ReferenceValues) -> Check:
    """Component by component, for the reported, the committed and the launch TCB; a missing one fails."""
    floors = {**VENDOR_MINIMUM_TCB, **reference.minimum_tcb}
    applying = [floors.get(key, {}) for key in (claims.tee, f"{claims.tee}/{claims.product}")]
    minimum = {name: max(floor.get(name, 0) for floor in applying) for floor in applying for name in floor}
    tcbs = {"reported": claims.tcb, "committed": claims.committed_tcb, "launch": claims.launch_tcb}
    faults = [
        f"{which} {name} {tcb.get(name, 'missing')}"
        for which, tcb in tcbs.items()
        for name, floor in minimum.items()
        if tcb.get(name, -1) < floor
    ]
    expected = ", ".join(f"{name} {floor}" for name, floor in sorted(minimum.items())) or "no minimum"
    found = ", ".join(faults) or ", ".join(f"{name} {value}" for name, value in claims.tcb.items())
    return Check(name="minimum_tcb", found=found[:400], expected=expected[:400], ok=not faults)

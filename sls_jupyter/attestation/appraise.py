"""Appraisal: are the claims of verified evidence the ones this relying party wants?"""

from __future__ import annotations

from sls_jupyter.attestation import claim_checks
from sls_jupyter.attestation import evidence as types
from sls_jupyter.attestation.amd.bulletins import default_source
from sls_jupyter.attestation.claim_checks import VENDOR_MINIMUM_TCB
from sls_jupyter.attestation.claims import Check, Claims, compare
from sls_jupyter.attestation.evidence import AttestationResult, Minimums, ReferenceValues, VerifiedEvidence, rejection

PUBLISHED_MINIMUMS = Minimums()
"""The minimums that vendors had published when this was written."""


def appraise(
    verified: VerifiedEvidence, reference: ReferenceValues, minimums: Minimums = PUBLISHED_MINIMUMS
) -> AttestationResult:
    """Compare the claims with the reference values.

    Args:
        minimums: floors of TCB, UVM svn and report version; ``reference.minimum_tcb`` takes the place of ``minimums.tcb``
            component by component, and that one of the vendor's.

    Returns:
        Every check, of verification and of appraisal, all of them passed.

    Raises:
        EvidenceRejected: with every check that failed.
    """
    claims = verified.claims
    floors, whose = claim_checks.in_force(
        (default_source(), VENDOR_MINIMUM_TCB),
        (minimums.whose("tcb"), minimums.tcb),
        ("the owner's policy", reference.minimum_tcb),
    )
    asked = claim_checks.Asked(
        floors=floors,
        whose=whose,
        bulletins=tuple(dict.fromkeys((*minimums.bulletins, *reference.bulletins))),
        mitigations={*minimums.mitigations, *reference.mitigations},
        registers={**minimums.registers, **reference.registers},
    )
    endorsed = (reference.uvm_feeds, minimums.uvm_svn, minimums.whose("uvm_svn"))
    machine = (reference.products, reference.chips, reference.platform_info, minimums.report_version)
    checks = [
        # 1. a kind of TEE that was asked for     2. closed: no debugger, no migration
        _tee(claims, reference),
        *claim_checks.closed_guest(claims),
        # 3. the guest itself asked               4. the code we know, listed or endorsed
        claim_checks.highest_vmpl(claims, 0),
        *claim_checks.known_code(claims, reference.measurements, *endorsed),
        # 5. the policy we rendered               6. this request's nonce and key
        *claim_checks.known_policy(claims, reference.init_data, reference.accept_allow_all),
        claim_checks.same_report_data(claims, reference.report_data),
        *([] if reference.report_id is None else [compare("report_id", claims.report_id, reference.report_id)]),
        # 7. firmware that is recent enough       8. a machine of those wanted
        *asked.checks(claims),
        *claim_checks.accepted_machine(claims, *machine),
    ]
    if not all(check.ok for check in checks):
        raise rejection(claims.tee, "is not acceptable", [*verified.checks, *checks])
    return AttestationResult(claims, (*verified.checks, *checks), proof=types._BY_APPRAISE)


def _tee(claims: Claims, reference: ReferenceValues) -> Check:
    accepted = ", ".join(sorted(reference.tees)) or "no kind at all"
    return Check(name="tee", found=claims.tee, expected=accepted[:400], ok=claims.tee in reference.tees)

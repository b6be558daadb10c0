"""Verification of SEV-SNP evidence, genuine and simulated, by one code with other roots and other names.

The order is that of AMD's own guidance: form of the report, who signed it, the chain, the certificate
against the report, the signature; then, on Azure, the endorsement of the utility VM. What the *values* should be (measurement, debug, VMPL, TCB floor)
is :mod:`sls_jupyter.attestation.appraise`'s to judge.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sls_jupyter.attestation import snp, uvm
from sls_jupyter.attestation.amd_chain import Chain, ChainRules, examine
from sls_jupyter.attestation.amd_crl import revocation_check
from sls_jupyter.attestation.amd_roots import AMD_ROOT_PINS
from sls_jupyter.attestation.cose import SIGN1_TAG
from sls_jupyter.attestation.evidence import (
    Check,
    Claims,
    Evidence,
    TrustAnchors,
    UvmClaims,
    compare,
    readable,
    rejection,
    unreadable,
    utc_words,
)
from sls_jupyter.errors import MalformedDocument, SignatureInvalid

SIMULATED_PREFIX = "SIMULATED-"
SIMULATED_RSA_BITS = 2048

GENUINE_RULES = ChainRules(prefix="", rsa_bits=4096, shipped_roots=True)
SIMULATED_RULES = ChainRules(prefix=SIMULATED_PREFIX, rsa_bits=SIMULATED_RSA_BITS, shipped_roots=False)
_VLEK_RULES = {rules: replace(rules, leaf="VLEK") for rules in (GENUINE_RULES, SIMULATED_RULES)}


@dataclass(frozen=True, slots=True)
class SnpVerifier:
    """A verifier for one kind of evidence in the SEV-SNP format."""

    kind: str
    rules: ChainRules
    simulated: bool

    def __call__(self, evidence: Evidence, anchors: TrustAnchors, now: datetime) -> tuple[Claims, tuple[Check, ...]]:
        """Make every check; returns the claims and the checks, failed ones included.

        Raises:
            EvidenceRejected: the report or a certificate cannot even be read.
        """
        data = evidence.report_bytes()
        report = require_report(data, self.kind)
        checks = [readable("report_format"), *_signer_checks(report, anchors)]
        ders, endorsement = self._split(evidence)
        chain = self._examine_chain(self._rules(report, anchors), ders, checks)
        checks += [readable("certificates"), *self._root_checks(chain, anchors), *chain.checks, _validity(chain, now)]
        if anchors.revocation_lists and not self.simulated:
            checks.append(revocation_check(chain, anchors.revocation_lists, now))
        checks += [*_binding_checks(report, chain), _signature(data, report, chain)]
        claims = self._claims(report, chain, checks)
        if endorsement is None:
            return claims, tuple(checks)
        endorsed, lines = uvm.verify_endorsement(endorsement, anchors.uvm_issuers, anchors.ledger_keys)
        return _with_uvm(claims, endorsed), (*checks, *lines)

    def _split(self, evidence: Evidence) -> tuple[tuple[bytes, ...], bytes | None]:
        """Certificates, and the UVM endorsement if it is the last; nobody endorses a simulated machine."""
        items = evidence.endorsement_bytes()
        if not self.simulated and items and items[-1].startswith(SIGN1_TAG):
            return items[:-1], items[-1]
        return items, None

    def _rules(self, report: snp.Report, anchors: TrustAnchors) -> ChainRules:
        by_vlek = anchors.accept_vlek and report.signing_key == snp.VLEK
        return _VLEK_RULES[self.rules] if by_vlek else self.rules

    def _examine_chain(self, rules: ChainRules, ders: tuple[bytes, ...], checks: list[Check]) -> Chain:
        try:
            return examine(rules, ders)
        except MalformedDocument as error:
            raise rejection(self.kind, "does not verify", [*checks, unreadable("certificates", error)]) from None

    def _root_checks(self, chain: Chain, anchors: TrustAnchors) -> list[Check]:
        """The pin: AMD's key of that product, or a development root that this relying party knows."""
        pins: Collection[bytes] = anchors.simulated_ark_spki
        if not self.simulated:
            pins = {pin for product, pin in anchors.amd.items() if product == chain.product}
        expected = " or ".join(sorted(pin.hex() for pin in pins)[:2]) or "no root is known"
        return [Check(name="root", found=chain.root_pin.hex(), expected=expected, ok=chain.root_pin in pins)]

    def _claims(self, report: snp.Report, chain: Chain, checks: list[Check]) -> Claims:
        try:
            tcb, committed, launch = (
                snp.decode_tcb(raw, chain.product)
                for raw in (report.reported_tcb, report.committed_tcb, report.launch_tcb)
            )
        except MalformedDocument as error:
            raise rejection(self.kind, "does not verify", [*checks, unreadable("tcb_format", error)]) from None
        return Claims(
            tee=self.kind,
            simulated=self.simulated,
            product=chain.product,
            chip_id=report.chip_id.hex(),
            measurement=report.measurement.hex(),
            init_data=report.host_data.hex(),
            report_data=report.report_data.hex(),
            debug=report.debug,
            migration_agent=report.migration_agent,
            vmpl=report.vmpl,
            guest_svn=report.guest_svn,
            report_version=report.version,
            tcb=tcb,
            committed_tcb=committed,
            launch_tcb=launch,
            platform_info=report.platform_info.to_bytes(8, "big").hex(),
        )


def require_report(data: bytes, kind: str = "sev-snp") -> snp.Report:
    """A report that can be read. Not checked: anything about it.

    Raises:
        EvidenceRejected: it cannot be read; the failed check is ``report_format``.
    """
    try:
        return snp.Report.parse(data)
    except MalformedDocument as error:
        raise rejection(kind, "does not verify", [unreadable("report_format", error)]) from None


verify_genuine = SnpVerifier("sev-snp", GENUINE_RULES, simulated=False)
verify_simulated = SnpVerifier("simulated-snp", SIMULATED_RULES, simulated=True)


def _with_uvm(claims: Claims, endorsed: UvmClaims | None) -> Claims:
    return claims.model_copy(update={"uvm": endorsed})


def _signer_checks(report: snp.Report, anchors: TrustAnchors) -> list[Check]:
    keys = {snp.VCEK: "VCEK", snp.VLEK: "VLEK", snp.NO_KEY: "none"}
    accepted = ("VCEK", "VLEK") if anchors.accept_vlek else ("VCEK",)
    key = keys.get(report.signing_key, "reserved")
    return [
        compare("signature_algorithm", report.signature_algo, snp.ECDSA_P384_SHA384),
        Check(name="signing_key", found=key, expected=" or ".join(accepted), ok=key in accepted),
        compare("chip_key", "masked" if report.chip_key_masked else "shown", "shown"),
    ]


def _validity(chain: Chain, now: datetime) -> Check:
    expected = f"{utc_words(chain.not_before)} to {utc_words(chain.not_after)}"
    return Check(
        name="validity", found=utc_words(now), expected=expected, ok=chain.not_before <= now <= chain.not_after
    )


def _binding_checks(report: snp.Report, chain: Chain) -> list[Check]:
    """The certificate is the one of this chip, at this TCB, of this product; a VLEK is of no chip."""
    product: str | None = chain.product
    if report.version >= 3:  # version 2 has no CPUID; the product is then what the signed VCEK says
        product = snp.product_of(report.cpu_family, report.cpu_model)
    shown = product or f"unknown CPU {report.cpuid}"
    if product is not None and product not in AMD_ROOT_PINS:
        shown = f"{product} (CPU {report.cpuid}), of which no root key is pinned here"
    checks = [
        compare("product", shown, chain.product),
        compare("vcek_tcb", report.reported_tcb.hex(), chain.tcb.hex()),
    ]
    if chain.hwid:
        chip = report.chip_id.hex() if any(report.chip_id) else "no chip id"
        checks.append(compare("vcek_chip", chip, chain.hwid.hex()))
    return checks


def _signature(data: bytes, report: snp.Report, chain: Chain) -> Check:
    expected = f"signed by the {chain.signer}"
    try:
        snp.verify_signature(data, report, chain.key)
    except SignatureInvalid:
        return Check(name="signature", found="does not verify", expected=expected, ok=False)
    return Check(name="signature", found=expected, expected=expected, ok=True)

"""Verification of SEV-SNP evidence, genuine and simulated, by one code with other roots and other names.

The order is that of AMD's own guidance: form of the report, who signed it, the chain, the certificate
against the report, the signature. What the *values* should be (measurement, debug, VMPL, TCB floor)
is :mod:`sls_jupyter.attestation.appraise`'s to judge.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sls_jupyter.attestation import snp
from sls_jupyter.attestation.amd_chain import Chain, ChainRules, examine
from sls_jupyter.attestation.evidence import Check, Claims, Evidence, TrustAnchors, compare, rejection
from sls_jupyter.errors import MalformedDocument, SignatureInvalid

SIMULATED_PREFIX = "SIMULATED-"
SIMULATED_RSA_BITS = 2048

GENUINE_RULES = ChainRules(prefix="", rsa_bits=4096, shipped_roots=True)
SIMULATED_RULES = ChainRules(prefix=SIMULATED_PREFIX, rsa_bits=SIMULATED_RSA_BITS, shipped_roots=False)


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
        report = self._parse_report(data)
        checks = [_readable("report_format"), *_signer_checks(report)]
        chain = self._examine_chain(evidence, checks)
        checks += [_readable("certificates"), *self._root_checks(chain, anchors), *chain.checks]
        checks += [_validity(chain, now), *_binding_checks(report, chain), _signature(data, report, chain)]
        return self._claims(report, chain, checks), tuple(checks)

    def _parse_report(self, data: bytes) -> snp.Report:
        try:
            return snp.Report.parse(data)
        except MalformedDocument as error:
            raise rejection(self.kind, "does not verify", [_unreadable("report_format", error)]) from None

    def _examine_chain(self, evidence: Evidence, checks: list[Check]) -> Chain:
        try:
            return examine(self.rules, evidence.endorsement_bytes())
        except MalformedDocument as error:
            raise rejection(self.kind, "does not verify", [*checks, _unreadable("certificates", error)]) from None

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
            raise rejection(self.kind, "does not verify", [*checks, _unreadable("tcb_format", error)]) from None
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


verify_genuine = SnpVerifier("sev-snp", GENUINE_RULES, simulated=False)
verify_simulated = SnpVerifier("simulated-snp", SIMULATED_RULES, simulated=True)


def _readable(name: str) -> Check:
    return Check(name=name, found="as specified", expected="as specified", ok=True)


def _unreadable(name: str, error: MalformedDocument) -> Check:
    found = f"{error.message} {error.found or ''}".strip()
    return Check(name=name, found=found[:400], expected=(error.expected or "as specified")[:400], ok=False)


def _signer_checks(report: snp.Report) -> list[Check]:
    keys = {snp.VCEK: "VCEK", snp.VLEK: "VLEK", snp.NO_KEY: "none"}
    return [
        compare("signature_algorithm", report.signature_algo, snp.ECDSA_P384_SHA384),
        compare("signing_key", keys.get(report.signing_key, "reserved"), "VCEK"),
        compare("chip_key", "masked" if report.chip_key_masked else "shown", "shown"),
    ]


def _validity(chain: Chain, now: datetime) -> Check:
    expected = f"{chain.not_before:%Y-%m-%d} to {chain.not_after:%Y-%m-%d}"
    return Check(
        name="validity", found=f"{now:%Y-%m-%d}", expected=expected, ok=chain.not_before <= now <= chain.not_after
    )


def _binding_checks(report: snp.Report, chain: Chain) -> list[Check]:
    """The certificate is the one of this chip, at this TCB, of this product."""
    product: str | None = chain.product
    if report.version >= 3:  # version 2 has no CPUID; the product is then what the signed VCEK says
        product = snp.product_of(report.cpu_family, report.cpu_model)
    chip = report.chip_id.hex() if any(report.chip_id) else "no chip id"
    return [
        compare("product", product or f"unknown CPU {report.cpuid}", chain.product),
        compare("vcek_tcb", report.reported_tcb.hex(), chain.tcb.hex()),
        compare("vcek_chip", chip, chain.hwid.hex()),
    ]


def _signature(data: bytes, report: snp.Report, chain: Chain) -> Check:
    expected = "signed by the VCEK"
    try:
        snp.verify_signature(data, report, chain.key)
    except SignatureInvalid:
        return Check(name="signature", found="does not verify", expected=expected, ok=False)
    return Check(name="signature", found=expected, expected=expected, ok=True)

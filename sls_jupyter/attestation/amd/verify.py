"""Verification of SEV-SNP evidence, genuine and simulated, by one code with other roots and other names.

The order is that of AMD's own guidance: form of the report, who signed it, the chain, the certificate
against the report, the signature. What the *values* should be (measurement, debug, VMPL, TCB floor) is
:mod:`sls_jupyter.attestation.appraise`'s to judge, and Azure's endorsement of a utility VM is its own room's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.amd.chain import Chain, ChainRules, examine
from sls_jupyter.attestation.amd.crl import revocation_check
from sls_jupyter.attestation.amd.roots import AMD_ROOT_PINS
from sls_jupyter.attestation.claims import (
    Check,
    ChecksFailed,
    Claims,
    Evidence,
    compare,
    readable,
    unreadable,
    within,
)
from sls_jupyter.errors import MalformedDocument, SignatureInvalid

SIMULATED_PREFIX = "SIMULATED-"
SIMULATED_RSA_BITS = 2048

GENUINE_RULES = ChainRules(prefix="", rsa_bits=4096, shipped_roots=True)
SIMULATED_RULES = ChainRules(prefix=SIMULATED_PREFIX, rsa_bits=SIMULATED_RSA_BITS, shipped_roots=False)
_VLEK_RULES = {rules: replace(rules, leaf="VLEK") for rules in (GENUINE_RULES, SIMULATED_RULES)}


class AmdTrust(Protocol):
    """What a verifier of this format asks of the relying party's anchors; the fields are described there."""

    @property
    def amd(self) -> Mapping[str, bytes]: ...
    @property
    def simulated_ark_spki(self) -> frozenset[bytes]: ...
    @property
    def accept_vlek(self) -> bool: ...
    @property
    def revocation_lists(self) -> tuple[bytes, ...]: ...


@dataclass(frozen=True, slots=True)
class SnpVerifier:
    """A verifier for one kind of evidence in the SEV-SNP format."""

    kind: str
    rules: ChainRules
    simulated: bool

    def __call__(self, evidence: Evidence, anchors: AmdTrust, now: datetime) -> tuple[Claims, tuple[Check, ...]]:
        """Make every check; returns the claims and the checks, failed ones included.

        Raises:
            ChecksFailed: the report or a certificate cannot even be read.
        """
        data = evidence.report_bytes()
        report = require_report(data)
        checks = [readable("report_format"), *_signer_checks(report, anchors)]
        chain = self._examine_chain(self._rules(report, anchors), evidence.endorsement_bytes(), checks)
        checks += [readable("certificates"), *self._root_checks(chain, anchors), *chain.checks]
        checks.append(within("validity", now, chain.not_before, chain.not_after))
        if anchors.revocation_lists and not self.simulated:
            checks.append(revocation_check(chain, anchors.revocation_lists, now))
        checks += [*_binding_checks(report, chain), _signature(data, report, chain)]
        return self._claims(report, chain, checks), tuple(checks)

    def _rules(self, report: snp.Report, anchors: AmdTrust) -> ChainRules:
        by_vlek = anchors.accept_vlek and report.signing_key == snp.VLEK
        return _VLEK_RULES[self.rules] if by_vlek else self.rules

    def _examine_chain(self, rules: ChainRules, ders: tuple[bytes, ...], checks: list[Check]) -> Chain:
        try:
            return examine(rules, ders)
        except MalformedDocument as error:
            raise ChecksFailed([*checks, unreadable("certificates", error)]) from None

    def _root_checks(self, chain: Chain, anchors: AmdTrust) -> list[Check]:
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
            raise ChecksFailed([*checks, unreadable("tcb_format", error)]) from None
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
            cpuid=report.cpuid if report.version >= 3 else "",
            report_id=report.report_id.hex(),
            mitigations=(report.launch_mit_vector & report.current_mit_vector).to_bytes(8, "big").hex(),
        )


def require_report(data: bytes) -> snp.Report:
    """A report that can be read. Not checked: anything about it.

    Raises:
        ChecksFailed: it cannot be read; the failed check is ``report_format``.
    """
    try:
        report = snp.Report.parse(data)
        if report.version not in snp.MET_VERSIONS:
            raise MalformedDocument(
                "An SEV-SNP report is of a version of which no genuine report was known when this was written.",
                found=report.version,
                expected=f"one of {snp.MET_VERSIONS}",
            )
    except MalformedDocument as error:
        raise ChecksFailed([unreadable("report_format", error)]) from None
    return report


verify_genuine = SnpVerifier("sev-snp", GENUINE_RULES, simulated=False)
verify_simulated = SnpVerifier("simulated-snp", SIMULATED_RULES, simulated=True)


def _signer_checks(report: snp.Report, anchors: AmdTrust) -> list[Check]:
    keys = {snp.VCEK: "VCEK", snp.VLEK: "VLEK", snp.NO_KEY: "none"}
    accepted = ("VCEK", "VLEK") if anchors.accept_vlek else ("VCEK",)
    key = keys.get(report.signing_key, "reserved")
    return [
        compare("signature_algorithm", report.signature_algo, snp.ECDSA_P384_SHA384),
        Check(name="signing_key", found=key, expected=" or ".join(accepted), ok=key in accepted),
        compare("chip_key", "masked" if report.chip_key_masked else "shown", "shown"),
    ]


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
        compare(
            f"{chain.signer.lower()}_tcb",
            _tcb_words(report.reported_tcb, chain.product),
            _tcb_words(chain.tcb, chain.product),
        ),
    ]
    if chain.hwid:
        chip = report.chip_id.hex() if any(report.chip_id) else "no chip id"
        checks.append(compare("vcek_chip", chip, chain.hwid.hex()))
    return checks


def _tcb_words(raw: bytes, product: str) -> str:
    """By component; as it stands where that cannot be another value than these bytes."""
    try:
        return ", ".join(f"{name} {value}" for name, value in snp.decode_tcb(raw, product).items())
    except MalformedDocument:
        return raw.hex()


def _signature(data: bytes, report: snp.Report, chain: Chain) -> Check:
    expected = f"signed by the {chain.signer}"
    try:
        snp.verify_signature(data, report, chain.key)
    except SignatureInvalid:
        return Check(name="signature", found="does not verify", expected=expected, ok=False)
    return Check(name="signature", found=expected, expected=expected, ok=True)

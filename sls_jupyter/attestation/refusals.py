"""Why evidence is refused: a class of error for each check of the list.

::

    EvidenceRejected
    ├── FormRefused              something in the evidence cannot be read as what it claims to be
    │   ├── KindUnknown, ReportMalformed, TcbMalformed, CertificatesMalformed
    │   └── UvmMalformed, UvmPayloadMalformed
    ├── SignerRefused            nobody we trust signed it, or not with a key we accept
    │   ├── SignatureAlgorithmUnknown, SigningKeyRefused, ChipKeyMasked
    │   ├── RootNotPinned, ChainSignatureInvalid, ChainNamesWrong, ChainAuthorityMissing
    │   ├── OutsideValidity, CertificateRevoked, ReportSignatureInvalid
    │   └── UvmSignatureInvalid, UvmChainInvalid, UvmOutsideValidity, UvmIssuerUnknown, UvmNotTransparent
    ├── BindingRefused           good parts that do not belong together
    │   └── ProductMismatch, TcbMismatch, ChipMismatch
    └── ClaimsRefused            genuine, and not what this relying party wants
        ├── TeeNotAccepted, DebugOn, MigrationAgentPresent, VmplRefused
        ├── MeasurementUnknown, InitDataMismatch, PolicyAllowsAll, ReportDataMismatch
        ├── UvmMissing, UvmFeedUnknown, UvmTooOld
        └── TcbTooOld, ReportTooOld, ProductNotAccepted, ChipNotAccepted, PlatformUnsafe

An error is of the class of the *first* check that failed; ``detail["failed"]`` names all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sls_jupyter.errors import EvidenceRejected


class FormRefused(EvidenceRejected):
    pass


class SignerRefused(EvidenceRejected):
    pass


class BindingRefused(EvidenceRejected):
    pass


class ClaimsRefused(EvidenceRejected):
    pass


class KindUnknown(FormRefused):
    pass


class ReportMalformed(FormRefused):
    pass


class TcbMalformed(FormRefused):
    pass


class CertificatesMalformed(FormRefused):
    pass


class UvmMalformed(FormRefused):
    pass


class UvmPayloadMalformed(FormRefused):
    pass


class SignatureAlgorithmUnknown(SignerRefused):
    pass


class SigningKeyRefused(SignerRefused):
    pass


class ChipKeyMasked(SignerRefused):
    pass


class RootNotPinned(SignerRefused):
    pass


class ChainSignatureInvalid(SignerRefused):
    pass


class ChainNamesWrong(SignerRefused):
    pass


class ChainAuthorityMissing(SignerRefused):
    pass


class OutsideValidity(SignerRefused):
    pass


class CertificateRevoked(SignerRefused):
    pass


class ReportSignatureInvalid(SignerRefused):
    pass


class UvmSignatureInvalid(SignerRefused):
    pass


class UvmChainInvalid(SignerRefused):
    pass


class UvmOutsideValidity(SignerRefused):
    pass


class UvmIssuerUnknown(SignerRefused):
    pass


class UvmNotTransparent(SignerRefused):
    pass


class ProductMismatch(BindingRefused):
    pass


class TcbMismatch(BindingRefused):
    pass


class ChipMismatch(BindingRefused):
    pass


class TeeNotAccepted(ClaimsRefused):
    pass


class DebugOn(ClaimsRefused):
    pass


class MigrationAgentPresent(ClaimsRefused):
    pass


class VmplRefused(ClaimsRefused):
    pass


class MeasurementUnknown(ClaimsRefused):
    pass


class InitDataMismatch(ClaimsRefused):
    pass


class PolicyAllowsAll(ClaimsRefused):
    pass


class ReportDataMismatch(ClaimsRefused):
    pass


class UvmMissing(ClaimsRefused):
    pass


class UvmFeedUnknown(ClaimsRefused):
    pass


class UvmTooOld(ClaimsRefused):
    pass


class TcbTooOld(ClaimsRefused):
    pass


class ReportTooOld(ClaimsRefused):
    pass


class ProductNotAccepted(ClaimsRefused):
    pass


class ChipNotAccepted(ClaimsRefused):
    pass


class PlatformUnsafe(ClaimsRefused):
    pass


REFUSALS: Mapping[str, type[EvidenceRejected]] = MappingProxyType(
    {
        "kind": KindUnknown,
        "report_format": ReportMalformed,
        "tcb_format": TcbMalformed,
        "certificates": CertificatesMalformed,
        "uvm_format": UvmMalformed,
        "uvm_payload": UvmPayloadMalformed,
        "signature_algorithm": SignatureAlgorithmUnknown,
        "signing_key": SigningKeyRefused,
        "chip_key": ChipKeyMasked,
        "root": RootNotPinned,
        "chain_signatures": ChainSignatureInvalid,
        "chain_names": ChainNamesWrong,
        "chain_authority": ChainAuthorityMissing,
        "validity": OutsideValidity,
        "revocation": CertificateRevoked,
        "signature": ReportSignatureInvalid,
        "uvm_signature": UvmSignatureInvalid,
        "uvm_chain": UvmChainInvalid,
        "uvm_validity": UvmOutsideValidity,
        "uvm_issuer": UvmIssuerUnknown,
        "uvm_transparency": UvmNotTransparent,
        "product": ProductMismatch,
        "vcek_tcb": TcbMismatch,
        "vlek_tcb": TcbMismatch,
        "vcek_chip": ChipMismatch,
        "tee": TeeNotAccepted,
        "debug": DebugOn,
        "migration_agent": MigrationAgentPresent,
        "vmpl": VmplRefused,
        "measurement": MeasurementUnknown,
        "init_data": InitDataMismatch,
        "allow_all_policy": PolicyAllowsAll,
        "report_data": ReportDataMismatch,
        "uvm_endorsement": UvmMissing,
        "uvm_feed": UvmFeedUnknown,
        "uvm_svn": UvmTooOld,
        "minimum_tcb": TcbTooOld,
        "bulletin": TcbTooOld,
        "mitigations": TcbTooOld,
        "registers": MeasurementUnknown,
        "report_version": ReportTooOld,
        "accepted_product": ProductNotAccepted,
        "accepted_chip": ChipNotAccepted,
        "platform_info": PlatformUnsafe,
    }
)
"""Name of a check to the class of error that its failure raises."""


def refusal_for(check: str) -> type[EvidenceRejected]:
    """The class for a check; ``EvidenceRejected`` itself for one without a class of its own."""
    return REFUSALS.get(check, EvidenceRejected)

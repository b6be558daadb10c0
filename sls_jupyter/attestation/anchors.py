"""Which roots and issuers a relying party believes, of every maker of evidence. Values only.

Every field has a default that a careful relying party can keep.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from sls_jupyter.attestation.amd.roots import AMD_ROOT_PINS
from sls_jupyter.attestation.azure.facts import UVM_ISSUER
from sls_jupyter.attestation.azure.maa import NO_MAA, MaaInstance
from sls_jupyter.attestation.intel.trust import IntelTrust


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Which roots a relying party believes.

    Development roots are a choice of its own: none is known by default, and one that is known is
    believed for evidence of kind ``simulated-snp`` only.
    """

    amd: Mapping[str, bytes] = field(default_factory=lambda: AMD_ROOT_PINS)  # product -> SHA-256 of the ARK's SPKI
    simulated_ark_spki: frozenset[bytes] = frozenset()  # SHA-256 of the SPKI of development roots, 32 bytes each
    accept_vlek: bool = False  # SEV-SNP: a cloud's shared key (VLEK) may sign in the place of a chip's own
    revocation_lists: tuple[bytes, ...] = ()  # AMD's CRLs, DER; if there are any, one must cover the chain
    uvm_issuers: frozenset[str] = frozenset({UVM_ISSUER})  # did:x509 of those who endorse utility VMs
    ledger_keys: Mapping[str, EllipticCurvePublicKey] = field(default_factory=lambda: MappingProxyType({}))
    """Key id to key of transparency ledgers; if there are any, a UVM endorsement needs a receipt by one."""
    intel: IntelTrust = field(default_factory=IntelTrust)  # root keys and accepted TCB states of TDX and SGX
    maa: Mapping[str, MaaInstance] = field(default_factory=lambda: NO_MAA)  # issuer -> instance of Azure Attestation

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of evidence that some root here could stand behind, sorted."""
        roots: dict[str, Collection[object]] = {"sev-snp": self.amd, "simulated-snp": self.simulated_ark_spki}
        roots |= {"sgx": self.intel.roots, "tdx": self.intel.roots, "maa-sev-snp": self.maa, "maa-sgx": self.maa}
        return tuple(sorted(kind for kind, known in roots.items() if known))

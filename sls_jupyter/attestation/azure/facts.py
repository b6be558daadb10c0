"""Facts about Azure's confidential containers that a relying party pins, each with its source.

Minimums are configuration: they are published with a date and rise. None of them is derived from what
happens to be deployed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

UVM_ISSUER = (
    "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"  # fingerprint: root
)
"""Who signs utility VM endorsements: the leaf below Microsoft's supply chain root with this key usage.

Source: microsoft/confidential-aci-examples, docs/Confidential_ACI_SCHEME.md.
"""

UVM_FEED = "ContainerPlat-AMD-UVM"
"""The feed of utility VM images; the same issuer signs other things under other feeds. Same source."""

UVM_MINIMUM_SVN = 104
UVM_MINIMUM_SVN_DATE = "2026-08-04"
UVM_MINIMUM_SVN_SOURCE = "microsoft/confidential-aci-examples, docs/Confidential_ACI_SCHEME.md"


def _allow_all() -> dict[str, str]:
    names = json.loads(files("sls_jupyter.attestation").joinpath("data/allow_all_policies.json").read_bytes())
    return {digest: name for name, digest in names.items()}


ALLOW_ALL_POLICIES: Mapping[str, str] = MappingProxyType(_allow_all())
"""SHA-256 (hex) of known policies that allow everything, to their names; source: ``data/README.md``."""


def endorsers_of(tee: str) -> frozenset[str]:
    """Feeds whose endorsement may stand for a measurement: Microsoft's utility VM, under genuine SEV-SNP only."""
    return frozenset({UVM_FEED}) if tee == "sev-snp" else frozenset()

"""What a relying party believes about TDX, SGX and Azure Attestation, beside AMD's roots.

Values only, and no code that verifies: :mod:`sls_jupyter.attestation.evidence` gathers them in its
``TrustAnchors``. Every field has a default that a careful relying party can keep.

Sources: Intel SGX PCK certificate specification (root key); Intel's TCB info format, ``tcbStatus``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sls_jupyter.errors import BadInput

INTEL_ROOT_PINS: frozenset[bytes] = frozenset(
    {bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")}
)
"""SHA-256 of the SubjectPublicKeyInfo of the Intel SGX Root CA.

Two encodings of that certificate are in use (valid until 2033 and until 2049) with one key, so the key is pinned.
"""

TCB_STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""What a policy may allow, in Intel's words. ``Revoked`` is not among them and never accepted."""


@dataclass(frozen=True, slots=True)
class IntelTrust:
    """Which quotes of Intel's TEEs a relying party accepts.

    The defaults take platforms that are up to date, and of those also the ones that may grow by a package,
    cache their keys or run two threads on a core: a server with two sockets is all three.
    """

    roots: frozenset[bytes] = INTEL_ROOT_PINS  # SHA-256 of SPKI, 32 bytes each
    statuses: frozenset[str] = frozenset({"UpToDate"})  # of TCB_STATUSES
    rejected_advisories: frozenset[str] = frozenset()  # such as INTEL-SA-00334, refused whatever the status says
    minimum_evaluation: int = 0  # tcbEvaluationDataNumber of the collateral, so that old collateral is refused
    allow_dynamic_platform: bool = True
    allow_cached_keys: bool = True
    allow_smt: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(self.statuses - set(TCB_STATUSES))
        if unknown:
            raise BadInput(
                "A TCB status cannot be allowed.", found=", ".join(unknown)[:200], expected=", ".join(TCB_STATUSES)
            )


@dataclass(frozen=True, slots=True)
class MaaInstance:
    """One instance of Microsoft Azure Attestation whose word a relying party takes."""

    keys: bytes  # the JSON Web Key Set that this relying party fetched from the instance's own /certs
    policy_hash: str = ""  # x-ms-policy-hash to insist on; "": whatever policy the instance has


NO_MAA: Mapping[str, MaaInstance] = MappingProxyType({})
"""No instance is believed by default."""

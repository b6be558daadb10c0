"""What a relying party believes about Intel's TEEs. Values only, and no code that verifies.

Sources: Intel SGX PCK certificate specification (root key); Intel's TCB info format, ``tcbStatus``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

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


EVALUATIONS = ((17, date(2024, 3, 12)), (18, date(2024, 11, 12)), (19, date(2025, 5, 13)))
"""``tcbEvaluationDataNumber`` and the day of its TCB recovery, oldest first.

Source: Intel's provisioning certification service, ``/sgx/certification/v4/tcbevaluationdatanumbers``, issued
2025-06-02 and signed by Intel's SGX TCB signing key (the signature was verified when this was written down).
"""
GRACE_DAYS = 365  # Intel's "standard" collateral is of the newest recovery that is a year old


def standard_evaluation(at: datetime) -> int:
    """The number below which collateral is too old at that time, by Intel's own rule; 0 before the first one known."""
    old_enough = [number for number, day in EVALUATIONS if (at.astimezone(UTC).date() - day).days >= GRACE_DAYS]
    return max(old_enough, default=0)


@dataclass(frozen=True, slots=True)
class IntelTrust:
    """Which quotes of Intel's TEEs a relying party accepts.

    The defaults take platforms that are up to date, and of those also the ones that may grow by a package,
    cache their keys or run two threads on a core: a server with two sockets is all three.
    """

    roots: frozenset[bytes] = INTEL_ROOT_PINS  # SHA-256 of SPKI, 32 bytes each
    statuses: frozenset[str] = frozenset({"UpToDate"})  # of TCB_STATUSES
    rejected_advisories: frozenset[str] = frozenset()  # such as INTEL-SA-00334, refused whatever the status says
    minimum_evaluation: int | None = (
        None  # tcbEvaluationDataNumber of the collateral; None: Intel's standard at that time
    )
    allow_dynamic_platform: bool = True
    allow_cached_keys: bool = True
    allow_smt: bool = True

    def evaluation_at(self, at: datetime) -> int:
        """The lowest number that is taken at a time."""
        return standard_evaluation(at) if self.minimum_evaluation is None else self.minimum_evaluation

    def __post_init__(self) -> None:
        unknown = sorted(self.statuses - set(TCB_STATUSES))
        if unknown:
            raise BadInput(
                "A TCB status cannot be allowed.", found=", ".join(unknown)[:200], expected=", ".join(TCB_STATUSES)
            )

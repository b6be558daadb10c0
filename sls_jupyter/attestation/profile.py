"""What each kind of TEE is: its boundary, what it measures, and where our ``init_data`` sits in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sls_jupyter.errors import UnknownName

Boundary = Literal["process", "container group", "VM"]


@dataclass(frozen=True, slots=True)
class TeeProfile:
    """One kind of TEE, for placement and for words on a card."""

    kind: str
    label: str  # on every card and result
    hardware: bool  # False: nothing but software stands behind the evidence
    boundary: Boundary
    init_data_field: str  # where the digest of the group's policy sits
    init_data_bytes: int
    measures: str  # what the measurement covers, in words
    memory_limit_bytes: int | None  # of one boundary; None: that of the machine
    neighbours_share: bool  # True: the four containers of a group lie inside one boundary


_PROFILES = (
    TeeProfile(
        kind="sev-snp",
        label="SEV-SNP",
        hardware=True,
        boundary="container group",
        init_data_field="HOST_DATA",
        init_data_bytes=32,
        measures="the utility VM that Azure starts; HOST_DATA holds the policy over the group's containers",
        memory_limit_bytes=180 * 2**30,
        neighbours_share=True,
    ),
    TeeProfile(
        kind="tdx",
        label="TDX",
        hardware=True,
        boundary="VM",
        init_data_field="MRCONFIGID",
        init_data_bytes=48,
        measures="the VM's firmware (MRTD); run-time registers hold what it booted",
        memory_limit_bytes=None,
        neighbours_share=True,
    ),
    TeeProfile(
        kind="sgx",
        label="SGX",
        hardware=True,
        boundary="process",
        init_data_field="CONFIGID",
        init_data_bytes=64,
        measures="the pages of one enclave (MRENCLAVE)",
        memory_limit_bytes=None,
        neighbours_share=False,
    ),
    TeeProfile(
        kind="simulated-snp",
        label="SIMULATED TEE",
        hardware=False,
        boundary="container group",
        init_data_field="HOST_DATA",
        init_data_bytes=32,
        measures="the installed guest code; nothing protects it from this machine's owner",
        memory_limit_bytes=None,
        neighbours_share=True,
    ),
)

PROFILES: Mapping[str, TeeProfile] = MappingProxyType({profile.kind: profile for profile in _PROFILES})
HARDWARE_TEES: tuple[str, ...] = tuple(profile.kind for profile in _PROFILES if profile.hardware)
SIMULATED_TEES: tuple[str, ...] = tuple(profile.kind for profile in _PROFILES if not profile.hardware)


def profile_of(kind: str) -> TeeProfile:
    """The profile of a kind of TEE.

    Raises:
        UnknownName: no such kind.
    """
    try:
        return PROFILES[kind]
    except KeyError:
        raise UnknownName("No kind of TEE has that name.", found=kind[:60], expected=", ".join(PROFILES)) from None

"""The single checks that compare claims with what somebody wants; each gives its lines of the check list.

A line is there only if something was compared: where nothing is wanted, nothing is listed as if it had been.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from types import MappingProxyType

from sls_jupyter.attestation.azure_facts import ALLOW_ALL_POLICIES
from sls_jupyter.attestation.evidence import Check, Claims, compare

Floors = Mapping[str, Mapping[str, int]]
"""Minimum TCB components by kind (``sev-snp``) or by kind and product (``sev-snp/Milan``)."""

VENDOR_MINIMUM_TCB: Floors = MappingProxyType(
    {
        "sev-snp/Milan": MappingProxyType({"snp": 0x18}),
        "sev-snp/Genoa": MappingProxyType({"snp": 0x17}),
    }
)
"""Firmware that AMD-SB-3019 (February 2025) asks for; a caller's row of the same key replaces one.

No floor for Turin was published when this was written (November 2026).
"""


def closed_guest(claims: Claims) -> list[Check]:
    """Not open to a debugger, and its memory stays where it was started."""
    return [
        compare("debug", "on" if claims.debug else "off", "off"),
        compare("migration_agent", "present" if claims.migration_agent else "absent", "absent"),
    ]


def highest_vmpl(claims: Claims, highest: int) -> Check:
    """The guest itself asked for the report, at this privilege level or a higher one (0 is the highest)."""
    expected = f"{highest:#x}" if not highest else f"0x0 to {highest:#x}"
    return Check(name="vmpl", found=f"{claims.vmpl:#x}", expected=expected, ok=claims.vmpl <= highest)


def known_code(
    claims: Claims, listed: Collection[bytes], feeds: Collection[str], minimum_svn: int, source: str
) -> list[Check]:
    """The measurement is listed, or a verified UVM endorsement of one of these feeds vouches for it."""
    known = sorted(value.hex() for value in listed)
    if claims.measurement in known or not feeds:
        expected = " or ".join(known[:2]) + (f" or {len(known) - 2} more" if len(known) > 2 else "")
        return [
            Check(
                name="measurement",
                found=claims.measurement,
                expected=expected or "no measurement is known",
                ok=claims.measurement in known,
            )
        ]
    uvm = claims.uvm
    if uvm is None:
        return [compare("uvm_endorsement", "none", "a verified UVM endorsement of the measurement")]
    return [
        Check(name="uvm_feed", found=uvm.feed, expected=" or ".join(sorted(feeds))[:400], ok=uvm.feed in feeds),
        Check(
            name="uvm_svn",
            found=str(uvm.svn),
            expected=f"{minimum_svn} or more ({source})"[:400],
            ok=uvm.svn >= minimum_svn,
        ),
        compare("measurement", claims.measurement, uvm.measurement),
    ]


def known_policy(claims: Claims, expected: bytes | None, accept_allow_all: bool) -> list[Check]:
    """HOST_DATA (or its like) is the expected digest, and none of a policy that is known to allow everything."""
    checks = [] if expected is None else [compare("init_data", claims.init_data, expected.hex())]
    if not accept_allow_all and not claims.simulated and "sev-snp" in claims.tee:
        name = ALLOW_ALL_POLICIES.get(claims.init_data)
        found = f"{name}, which allows everything" if name else "none of those known"
        checks.append(
            Check(name="allow_all_policy", found=found, expected="no policy that allows everything", ok=not name)
        )
    return checks


def same_report_data(claims: Claims, expected: bytes) -> Check:
    """All 64 bytes, in constant time."""
    same = hmac.compare_digest(bytes.fromhex(claims.report_data), expected)
    return Check(name="report_data", found=claims.report_data, expected=expected.hex(), ok=same)


def minimum_tcb(claims: Claims, floors: Floors) -> Check:
    """Component by component, for the reported, the committed and the launch TCB; a missing one fails."""
    applying = [floors.get(key, {}) for key in (claims.tee, f"{claims.tee}/{claims.product}")]
    minimum = {name: max(floor.get(name, 0) for floor in applying) for floor in applying for name in floor}
    tcbs = {"reported": claims.tcb, "committed": claims.committed_tcb, "launch": claims.launch_tcb}
    faults = [
        f"{which} {name} {tcb.get(name, 'missing')}"
        for which, tcb in tcbs.items()
        for name, floor in minimum.items()
        if tcb.get(name, -1) < floor
    ]
    expected = ", ".join(f"{name} {floor}" for name, floor in sorted(minimum.items())) or "no minimum"
    found = ", ".join(faults) or ", ".join(f"{name} {value}" for name, value in claims.tcb.items())
    return Check(name="minimum_tcb", found=found[:400], expected=expected[:400], ok=not faults)


def accepted_machine(
    claims: Claims, products: Collection[str], chips: Collection[bytes], platform_info: int, report_version: int
) -> list[Check]:
    """The machine is one of those wanted; an empty list, no bits and version 2 mean that any will do."""
    checks = []
    if report_version > 2 and "snp" in claims.tee:
        ok = claims.report_version >= report_version
        expected = f"{report_version} or more"
        checks.append(Check(name="report_version", found=str(claims.report_version), expected=expected, ok=ok))
    if products:
        names = ", ".join(sorted(products))[:400]
        ok = claims.product in products
        checks.append(Check(name="accepted_product", found=claims.product, expected=names, ok=ok))
    if chips:
        ok = claims.chip_id in {chip.hex() for chip in chips}
        expected = f"one of {len(chips)} chips"
        checks.append(Check(name="accepted_chip", found=claims.chip_id[:400], expected=expected, ok=ok))
    if platform_info:
        found = int(claims.platform_info, 16)
        ok = found & platform_info == platform_info
        expected = f"the bits {platform_info:#x}"
        checks.append(Check(name="platform_info", found=f"{found:#x}", expected=expected, ok=ok))
    return checks

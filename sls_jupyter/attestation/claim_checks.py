"""The single checks that compare claims with what somebody wants; each gives its lines of the check list.

A line is there only if something was compared: where nothing is wanted, nothing is listed as if it had been.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sls_jupyter.attestation.amd.bulletins import (
    bulletin_table,
    default_floors,
    default_source,
    missing_mitigations,
    short_components,
)
from sls_jupyter.attestation.azure.facts import ALLOW_ALL_POLICIES
from sls_jupyter.attestation.claims import Check, Claims, compare

Floors = Mapping[str, Mapping[str, int]]
"""Minimum TCB components by kind (``sev-snp``) or by kind and product (``sev-snp/Milan``)."""

VENDOR_MINIMUM_TCB: Floors = default_floors()
"""Firmware that AMD's bulletins ask for and Azure's machines have; see :func:`in_force` for a caller's floors beside them.

No floor for Turin that was read in a bulletin itself was there when this was written (November 2026).
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of a machine's firmware, and who."""

    floors: Floors = field(default_factory=lambda: VENDOR_MINIMUM_TCB)
    whose: Mapping[str, str] = field(
        default_factory=dict
    )  # key of a floor -> who set it; the vendor where it is missing
    bulletins: Collection[str] = ()  # names, each of which the machine has to meet
    mitigations: Collection[int] = ()  # bits of both mitigation vectors
    registers: Mapping[str, Collection[str]] = field(default_factory=dict)  # rtmr0 … -> accepted values, hex

    def checks(self, claims: Claims) -> list[Check]:
        """A line for the floors, and one for each other thing that was asked for."""
        return [
            minimum_tcb(claims, self.floors, self.whose),
            *met_bulletins(claims, self.bulletins),
            *set_mitigations(claims, self.mitigations),
            *known_registers(claims, self.registers),
        ]


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


def in_force(*given: tuple[str, Floors]) -> tuple[Floors, Mapping[str, str]]:
    """Floors of several together, and whose each is; a later one takes an earlier one's place component by component.

    So a component that somebody does not name stays where it was, and one that they lower is told with what it was.

    Args:
        given: who set them, and the floors.
    """
    said: dict[str, dict[str, list[tuple[int, str]]]] = {}
    for who, rows in given:
        for key, row in rows.items():
            for name, least in row.items():
                said.setdefault(key, {}).setdefault(name, []).append((least, who))
    floors = {key: {name: values[-1][0] for name, values in row.items()} for key, row in said.items()}
    return floors, {key: _whose(row) for key, row in said.items()}


def _whose(row: Mapping[str, list[tuple[int, str]]]) -> str:
    last = dict.fromkeys(values[-1][1] for values in row.values())
    highest = [(name, *max(values)) for name, values in row.items() if max(values)[0] > values[-1][0]]
    return "; ".join((*last, *(f"lowered from {name} {least} of {who}" for name, least, who in highest)))


def minimum_tcb(claims: Claims, floors: Floors, whose: Mapping[str, str] = MappingProxyType({})) -> Check:
    """Component by component, for the reported, the committed and the launch TCB; a missing one fails.

    Args:
        whose: key of a floor to who set it; the bulletins behind the vendor's where it is missing.
    """
    applying = {key: floors[key] for key in (claims.tee, f"{claims.tee}/{claims.product}") if key in floors}
    minimum = {name: max(f.get(name, 0) for f in applying.values()) for floor in applying.values() for name in floor}
    faults = tuple(short_components(claims, minimum))
    sources = dict.fromkeys(whose.get(key, default_source()) for key in applying)
    expected = ", ".join(f"{name} {floor}" for name, floor in sorted(minimum.items())) or "no minimum"
    found = "; ".join(faults) or ", ".join(f"{name} {value}" for name, value in claims.tcb.items())
    by = f" ({'; '.join(sources)})" if minimum else ""
    return Check(name="minimum_tcb", found=found[:400], expected=(expected[: 400 - len(by)] + by)[:400], ok=not faults)


def met_bulletins(claims: Claims, demanded: Collection[str]) -> list[Check]:
    """Of each bulletin that is demanded by its name: the machine meets it. One that is not known here fails."""
    checks = []
    for name in demanded:
        bulletin = bulletin_table().named(name)
        faults = ("it is not in the table",) if bulletin is None else bulletin.faults(claims)
        when = f" of {bulletin.date}" if bulletin else ""
        expected = f"a machine that meets {name[:40]}{when}"
        found = "; ".join(faults)[:400] or "met, as far as a report shows"
        checks.append(Check(name="bulletin", found=found, expected=expected, ok=not faults))
    return checks


def set_mitigations(claims: Claims, bits: Collection[int]) -> list[Check]:
    """Every one of these bits is set in the mitigation vectors, at launch and now."""
    if not bits:
        return []
    faults = "; ".join(missing_mitigations(claims, tuple(bits)))
    expected = f"mitigation {', '.join(map(str, sorted(bits)))}"
    return [Check(name="mitigations", found=faults or expected, expected=expected, ok=not faults)]


def known_registers(claims: Claims, accepted: Mapping[str, Collection[str]]) -> list[Check]:
    """Every register that is asked for has one of the values that are accepted for it."""
    checks = []
    for name, values in sorted(accepted.items()):
        found, shown = claims.details.get(name), " or ".join(sorted(values)[:2])
        more = f" or {len(values) - 2} more" if len(values) > 2 else ""
        checks.append(
            Check(name="registers", found=f"{name} {found or 'is not in this evidence'}", expected=f"{name} {shown}{more}"[:400],
                  ok=found in values)
        )  # fmt: skip
    return checks


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

"""Judging evidence by itself, in two profiles, for people who hold files and no running request.

- ``hardware``: the vendor's part alone. AMD's chain and signature, the certificate's binding to the report,
  no debugger, no migration, a report that the guest asked for. No minimum that was not asked for.
- ``aci``: the whole of an Azure container group. All of the above, and: VMPL 0, the UVM endorsement and its
  svn, MEASUREMENT is the endorsed one, HOST_DATA is the SHA-256 of the policy's bytes as they are, the policy
  is none that is known to allow everything, minimum TCB and report version.

The outcome is a :class:`Judgement`, and no ticket for a key: that needs this request's REPORT_DATA, see
:mod:`sls_jupyter.attestation.appraise`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from sls_jupyter.attestation import claim_checks
from sls_jupyter.attestation.amd.bulletins import default_source
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure.facts import UVM_FEED
from sls_jupyter.attestation.azure.forms import Parts
from sls_jupyter.attestation.claim_checks import VENDOR_MINIMUM_TCB
from sls_jupyter.attestation.claims import Check, Claims, compare
from sls_jupyter.attestation.evidence import Minimums, rejection
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, UnknownName

Profile = Literal["hardware", "aci"]
PROFILES: tuple[Profile, ...] = ("hardware", "aci")
ACI_REPORT_VERSION = 3  # from it on a report names its CPU; all that Azure gives out today are newer

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}\Z")]


class Wanted(Minimums):
    """Minimums, and what else somebody wants of evidence; what is left out is not compared."""

    report_data: Hex64 | None = None
    host_data: Hex32 | None = None  # instead of a policy's bytes
    products: tuple[Literal["Milan", "Genoa", "Turin"], ...] = ()
    chips: tuple[Hex64, ...] = ()  # CHIP_ID
    platform_info: Annotated[int, Field(ge=0, lt=2**64)] = 0  # bits that must be set
    accept_vlek: bool = False
    accept_allow_all: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Evidence that passed every check of a profile."""

    profile: Profile
    claims: Claims
    checks: tuple[Check, ...]


NOTHING_ELSE = Wanted()


def judge(
    parts: Parts,
    profile: Profile,
    *,
    now: datetime,
    anchors: TrustAnchors | None = None,
    wanted: Wanted = NOTHING_ELSE,
) -> Judgement:
    """Judge evidence in one profile.

    Args:
        now: the time to judge certificates of the chip at. UVM endorsements are judged at their signing time.
        anchors: by default AMD's and Microsoft's pinned roots. Revocation lists among ``parts`` are added.

    Raises:
        EvidenceRejected: a subclass for the first check that failed, with all of them in ``detail``.
        BadInput: there is no report or no certificate, or ``now`` has no time zone.
        UnknownName: no such profile.
    """
    rules = _PROFILES.get(profile)
    if rules is None:
        raise UnknownName("No profile has that name.", found=profile[:40], expected=", ".join(PROFILES))
    anchors = anchors or TrustAnchors()
    anchors = replace(
        anchors,
        accept_vlek=wanted.accept_vlek or profile == "hardware",
        revocation_lists=(*anchors.revocation_lists, *parts.revocation_lists),
    )
    verified = verify(parts.evidence(with_uvm=profile == "aci"), anchors, now=now)
    checks = (*verified.checks, *rules(verified.claims, parts, wanted), *_wanted_checks(verified.claims, wanted))
    if not all(check.ok for check in checks):
        raise rejection(verified.claims.tee, f"does not meet the profile {profile}", checks)
    return Judgement(profile, verified.claims, checks)


def asked_of(wanted: Wanted, vendor: claim_checks.Floors) -> claim_checks.Asked:
    """What these minimums ask of firmware, on top of a vendor's."""
    floors, whose = claim_checks.in_force((default_source(), vendor), (wanted.whose("tcb"), wanted.tcb))
    return claim_checks.Asked(floors, whose, wanted.bulletins, wanted.mitigations, wanted.registers)


def _hardware(claims: Claims, parts: Parts, wanted: Wanted) -> list[Check]:
    checks = [*claim_checks.closed_guest(claims), claim_checks.highest_vmpl(claims, 3)]
    checks += _machine(claims, wanted, wanted.report_version)
    firmware = asked_of(wanted, {}).checks(claims)
    return checks + (firmware if wanted.tcb else firmware[1:])


def _aci(claims: Claims, parts: Parts, wanted: Wanted) -> list[Check]:
    version = wanted.report_version if "report_version" in wanted.model_fields_set else ACI_REPORT_VERSION
    return [
        *claim_checks.closed_guest(claims),
        claim_checks.highest_vmpl(claims, 0),
        *claim_checks.known_code(claims, (), (UVM_FEED,), wanted.uvm_svn, wanted.whose("uvm_svn")),
        *_policy(claims, parts, wanted),
        *asked_of(wanted, VENDOR_MINIMUM_TCB).checks(claims),
        *_machine(claims, wanted, version),
    ]


_PROFILES = {"hardware": _hardware, "aci": _aci}


def _machine(claims: Claims, wanted: Wanted, report_version: int) -> list[Check]:
    chips = [bytes.fromhex(chip) for chip in wanted.chips]
    return claim_checks.accepted_machine(claims, wanted.products, chips, wanted.platform_info, report_version)


def _policy(claims: Claims, parts: Parts, wanted: Wanted) -> list[Check]:
    """A policy's digest is that of its bytes as they are: one newline more is another policy."""
    checks = claim_checks.known_policy(claims, None, wanted.accept_allow_all)
    if parts.policy is not None:
        digest = hashlib.sha256(parts.policy).hexdigest()
        return [compare("init_data", claims.init_data, digest), *checks]
    if wanted.host_data is not None:  # compared with all that is wanted
        return checks
    return [compare("init_data", "no policy was given", "the policy whose SHA-256 is HOST_DATA"), *checks]


def _wanted_checks(claims: Claims, wanted: Wanted) -> list[Check]:
    checks = []
    if wanted.host_data is not None:
        checks.append(compare("init_data", claims.init_data, wanted.host_data))
    if wanted.report_data is not None:
        checks.append(claim_checks.same_report_data(claims, bytes.fromhex(wanted.report_data)))
    return checks


OF_A_REPORT = ("products", "chips", "platform_info", "report_version", "mitigations", "bulletins", "uvm_svn")
"""What can be asked of a SEV-SNP report only."""


def wanted_of_others(claims: Claims, wanted: Wanted) -> list[Check]:
    """What was asked of evidence that is not judged in a profile: all of it, or nothing is judged.

    Raises:
        BadInput: something is wanted that this kind of evidence does not tell.
    """
    firmware = asked_of(wanted, {}).checks(claims)
    checks = [*_wanted_checks(claims, wanted), *(firmware if wanted.tcb else firmware[1:])]
    if claims.tee == "simulated-snp":
        return [claim_checks.highest_vmpl(claims, 3), *_machine(claims, wanted, wanted.report_version), *checks]
    if asked := [name for name in OF_A_REPORT if name in wanted.model_fields_set and getattr(wanted, name)]:
        raise BadInput(
            f"This cannot be asked of evidence of kind {claims.tee}.",
            found=", ".join(asked),
            expected="report_data, host_data, tcb or registers",
            hint="These are told by a SEV-SNP report only.",
        )
    return checks

"""Verification of Intel TDX and SGX evidence: a quote, its collateral, and a time that the caller names.

Evidence of kind ``tdx`` or ``sgx`` has the quote as its report and the collateral, one JSON object, as its one
endorsement. First come the signatures up to Intel's pinned root (:mod:`~sls_jupyter.attestation.intel.chain`),
then what a guest may not be (debuggable, migratable), then ``dcap-qvl`` for revocation, the QE's identity and
the TCB level, always through its ``verify_with_policy``: its plain ``verify`` takes every status but Revoked.

A TD with SEPT_VE_DISABLE off is refused by the line ``sept_ve_disable``, before dcap-qvl is asked. dcap-qvl 0.7
refuses it as well, under every policy and whatever the TCB level is ("SEPT_VE_DISABLE is not enabled"), and none of
its policies can allow it. Other verifiers leave the bit to policy. The genuine quote of an Azure TDX confidential VM
among our vectors is such a TD: its TDATTRIBUTES are all zero.

Not checked: MRENCLAVE, MRSIGNER, MRTD and the run-time registers, which are the appraiser's; they are in the
claims. Sources: Intel TDX module ABI (TDATTRIBUTES), Intel SGX SDM volume 3D (ATTRIBUTES), dcap-qvl 0.7.0.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sls_jupyter.attestation.claims import (
    Check,
    ChecksFailed,
    Claims,
    Evidence,
    compare,
    readable,
    unreadable,
    utc_words,
)
from sls_jupyter.attestation.intel import quote as quotes
from sls_jupyter.attestation.intel.chain import quote_checks
from sls_jupyter.attestation.intel.collateral import Collateral
from sls_jupyter.attestation.intel.quote import Quote
from sls_jupyter.attestation.intel.trust import IntelTrust
from sls_jupyter.errors import MalformedDocument, Unavailable

TD_DEBUG, TD_SEPT_VE_DISABLE, TD_MIGRATABLE = 1 << 0, 1 << 28, 1 << 29
TD_ATTRIBUTES = {
    0: "DEBUG",
    4: "HGS_PLUS_PROF",
    5: "PERF_PROF",
    6: "PMT_PROF",
    16: "ICSSD",
    27: "LASS",
    28: "SEPT_VE_DISABLE",
    29: "MIGRATABLE",
    30: "PKS",
    31: "KL",
    62: "TPA",
    63: "PERFMON",
}
"""Bits of TDATTRIBUTES by name, as Linux has them in ``arch/x86/include/asm/shared/tdx.h``."""
TD_HARMLESS = {0, 27, 28, 29, 30, 31, 63}  # or judged in a line of its own; bits 0 to 7 open a TD to its host
SGX_INIT, SGX_DEBUG = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class QuoteVerifier:
    """A verifier for one kind of quote."""

    kind: str
    tee_type: int

    def __call__(self, evidence: Evidence, trust: IntelTrust, now: datetime) -> tuple[Claims, tuple[Check, ...]]:
        """Make every check and return the claims with the checks, all of them passed.

        Raises:
            ChecksFailed: with every check made, failed ones among them.
            Unavailable: dcap-qvl is not installed.
        """
        checks: list[Check] = []
        quote = self._parse_quote(evidence.report_bytes(), checks)
        checks += [_names_kind(quote, self.tee_type), *self._signatures(quote, trust, now, checks)]
        checks += _attribute_checks(quote)
        self._require(checks, evidence)
        collateral = self._parse_collateral(evidence, trust, now, checks)
        verdict = _appraise_platform(evidence.report_bytes()[: quote.length], collateral, now, trust, checks)
        self._require(checks, evidence)
        return self._claims(quote, verdict), tuple(checks)

    def _require(self, checks: Sequence[Check], evidence: Evidence) -> None:
        if all(check.ok for check in checks):
            return
        if not evidence.endorsements:
            checks = [*checks, _no_collateral()]
        raise ChecksFailed(checks)

    def _parse_quote(self, data: bytes, checks: list[Check]) -> Quote:
        try:
            quote = Quote.parse(data)
        except MalformedDocument as error:
            raise ChecksFailed([unreadable("quote_format", error)]) from None
        checks.append(readable("quote_format"))
        return quote

    def _signatures(self, quote: Quote, trust: IntelTrust, now: datetime, checks: list[Check]) -> list[Check]:
        try:
            return quote_checks(quote, now, trust.roots)
        except MalformedDocument as error:
            raise ChecksFailed([*checks, unreadable("certificates", error)]) from None

    def _parse_collateral(
        self, evidence: Evidence, trust: IntelTrust, now: datetime, checks: list[Check]
    ) -> Collateral:
        given = evidence.endorsement_bytes()
        if len(given) != 1:
            raise ChecksFailed([*checks, _no_collateral(len(given))])
        try:
            collateral = Collateral.parse(given[0])
            checks += collateral.checks(now, trust.roots)
        except MalformedDocument as error:
            raise ChecksFailed([*checks, unreadable("collateral", error)]) from None
        return collateral

    def _claims(self, quote: Quote, verdict: dict[str, Any]) -> Claims:
        tdx, body = self.tee_type == quotes.TDX, quote.body
        tcb = _tcb(quote, verdict)
        attributes = body["td_attributes"] if tdx else body["attributes"][:8]
        pck = verdict["platform"]["pck"]
        return Claims(
            tee=self.kind,
            simulated=False,
            product="FMSPC " + bytes(pck["fmspc"]).hex(),
            chip_id=bytes(pck["platform_instance_id"] or pck["ppid"]).hex(),
            measurement=body["mr_td" if tdx else "mr_enclave"].hex(),
            init_data=body["mr_config_id" if tdx else "config_id"].hex(),
            report_data=body["report_data"].hex(),
            debug=False,  # anything else was refused above
            migration_agent=False,
            vmpl=0,  # neither TEE has privilege levels inside
            guest_svn=0 if tdx else int.from_bytes(body["isv_svn"], "little"),
            report_version=quote.version,
            tcb=tcb,
            committed_tcb=tcb,  # Intel's quotes know one TCB
            launch_tcb=tcb,
            platform_info=attributes[::-1].hex(),
            details=_details(quote, verdict),
        )


verify_tdx = QuoteVerifier("tdx", quotes.TDX)
verify_sgx = QuoteVerifier("sgx", quotes.SGX)


def _no_collateral(count: int = 0) -> Check:
    return Check(name="collateral", found=f"{count} endorsements", expected="one, the collateral as JSON", ok=False)


def _names_kind(quote: Quote, tee_type: int) -> Check:
    names = {quotes.SGX: "SGX", quotes.TDX: "TDX"}
    return compare("tee_type", names[quote.tee_type], names[tee_type])


def attribute_names(attributes: int, without: Collection[int] = ()) -> list[str]:
    """The attributes of a TD that are set, by name; one that has none by its bit."""
    bits = [bit for bit in range(64) if attributes >> bit & 1 and bit not in without]
    return [TD_ATTRIBUTES.get(bit, f"bit {bit}") for bit in bits]


# --- what a guest may not be ----------------------------------------------------------------------


def _attribute_checks(quote: Quote) -> list[Check]:
    if quote.tee_type == quotes.SGX:
        attributes = int.from_bytes(quote.body["attributes"][:8], "little")
        return [
            compare("debug", "on" if attributes & SGX_DEBUG else "off", "off"),
            compare("initialised", "yes" if attributes & SGX_INIT else "no", "yes"),
        ]
    attributes = int.from_bytes(quote.body["td_attributes"], "little")
    service = quote.body.get("mr_service_td", b"")
    return [
        compare("debug", "on" if attributes & TD_DEBUG else "off", "off"),
        compare("sept_ve_disable", "on" if attributes & TD_SEPT_VE_DISABLE else "off", "on"),
        compare("migration_agent", "present" if attributes & TD_MIGRATABLE or any(service) else "absent", "absent"),
        compare("td_reserved", ", ".join(attribute_names(attributes, without=TD_HARMLESS)) or "none", "none"),
    ]


# --- the platform, by dcap-qvl --------------------------------------------------------------------


def _library() -> Any:
    """dcap-qvl, imported where it is used and nowhere else.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        import dcap_qvl
    except ImportError:
        raise Unavailable(
            "TDX and SGX evidence needs the package dcap-qvl.",
            found="not installed",
            expected="dcap-qvl 0.7 or newer",
            hint="pip install 'sls-jupyter[dcap]'",
        ) from None
    return dcap_qvl


def _appraise_platform(
    data: bytes, collateral: Collateral, now: datetime, trust: IntelTrust, checks: list[Check]
) -> dict[str, Any]:
    """Add the lines on collateral, TCB and policy; returns dcap-qvl's claims, ``{}`` where it has none."""
    library = _library()
    if late := collateral.out_of_time(now):  # before the library, which says it in other words or as another fault
        expected = f"all of it valid at {utc_words(now)}"
        checks.append(Check(name="collateral_time", found="; ".join(late), expected=expected, ok=False))
        return {}
    seconds = max(int(now.timestamp()), 0)
    verdict, fault = _ask(library, data, collateral, seconds, library.QuotePolicy.claims_only(seconds))
    checks.append(Check(name=_fault_name(fault), found=fault or "holds", expected="holds", ok=not fault))
    if fault:
        return {}
    checks += _platform_checks(verdict, collateral, trust, now)
    _, fault = _ask(library, data, collateral, seconds, _library_policy(library, trust, now))
    checks.append(Check(name="tcb_policy", found=fault or "accepts", expected="accepts", ok=not fault))
    return verdict


def _fault_name(fault: str) -> str:
    """The line that a refusal of the library goes to: time, level, or the collateral as a whole."""
    words = {"xpired": "collateral_time", "in the future": "collateral_time", "TCB level": "tcb_level"}
    return next((name for word, name in words.items() if word in fault), "collateral")


def _ask(library: Any, data: bytes, collateral: Collateral, seconds: int, policy: Any) -> tuple[dict[str, Any], str]:
    """One call of ``verify_with_policy``: its claims, or why it refuses."""
    try:
        claims = library.QuoteVerifier().verify_with_policy(
            data, library.QuoteCollateralV3(**collateral.parts), seconds, policy
        )
        found: dict[str, Any] = json.loads(claims.to_json())
    except (ValueError, OverflowError, TypeError) as error:
        return {}, str(error).removeprefix("Verification failed: ")[:400] or type(error).__name__
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how a fault inside the library shows itself
            raise
        return {}, "the library failed on it"
    return found, ""


def _library_policy(library: Any, trust: IntelTrust, now: datetime) -> Any:
    """``trust`` in the library's words; strict, then only what ``trust`` allows."""
    policy = library.QuotePolicy.strict(max(int(now.timestamp()), 0))
    for status in sorted(trust.statuses):
        policy = policy.allow_status(status)
    return (
        policy.reject_advisories(sorted(trust.rejected_advisories))
        .min_tcb_eval_data_number(trust.evaluation_at(now))
        .allow_dynamic_platform(trust.allow_dynamic_platform)
        .allow_cached_keys(trust.allow_cached_keys)
        .allow_smt(trust.allow_smt)
    )


def _platform_checks(verdict: dict[str, Any], collateral: Collateral, trust: IntelTrust, now: datetime) -> list[Check]:
    """What the library leaves out, or says in one sentence where a reader wants a line each."""
    tcb, pck = verdict["tcb"], verdict["platform"]["pck"]
    advisories = set(tcb["advisory_ids"])
    rejected = ", ".join(sorted(advisories & trust.rejected_advisories))
    number, least = tcb["eval_data_number"], trust.evaluation_at(now)
    whose = f"Intel's standard at {utc_words(now)}" if trust.minimum_evaluation is None else "demanded"
    return [
        Check(
            name="tcb_status",
            found=tcb["status"],
            expected=" or ".join(sorted(trust.statuses)) or "no status is allowed",
            ok=tcb["status"] in trust.statuses,
        ),
        Check(
            name="advisories",
            found=(rejected or ", ".join(sorted(advisories)) or "none")[:400],
            expected=f"none of {', '.join(sorted(trust.rejected_advisories))}"[:400]
            if trust.rejected_advisories
            else "any",
            ok=not rejected,
        ),
        Check(
            name="tcb_evaluation",
            found=str(number),
            expected=f"{least} or later ({whose})" if least else "any",
            ok=number >= least,
        ),
        compare("pce_id", bytes(pck["pce_id"]).hex(), str(collateral.tcb_info.get("pceId")).lower()),
    ]


# --- our claims -----------------------------------------------------------------------------------


def _tcb(quote: Quote, verdict: dict[str, Any]) -> dict[str, int]:
    """Every component by name: ``cpu00`` to ``cpu15`` and ``pce`` of the PCK, ``tdx00`` to ``tdx15`` of the TD."""
    pck = verdict["platform"]["pck"]
    parts = {f"cpu{place:02}": svn for place, svn in enumerate(pck["cpu_svn"])}
    parts |= {f"tdx{place:02}": svn for place, svn in enumerate(quote.body.get("tee_tcb_svn", b""))}
    return {**parts, "pce": pck["pce_svn"], "evaluation": verdict["tcb"]["eval_data_number"]}


_SHOWN = (
    *("mr_seam", "mr_signer_seam", "xfam", "mr_owner", "mr_owner_config", "rtmr0", "rtmr1", "rtmr2", "rtmr3"),
    *("mr_signer", "isv_prod_id", "isv_ext_prod_id", "isv_family_id", "config_svn", "misc_select", "attributes"),
)


def _details(quote: Quote, verdict: dict[str, Any]) -> dict[str, str]:
    tcb = verdict["tcb"]
    fields = {name: quote.body[name].hex() for name in _SHOWN if name in quote.body}
    if "td_attributes" in quote.body:
        fields["td_attributes"] = ", ".join(attribute_names(int.from_bytes(quote.body["td_attributes"], "little")))
    return {**fields, "tcb_status": tcb["status"], "advisories": ", ".join(tcb["advisory_ids"])[:500]}

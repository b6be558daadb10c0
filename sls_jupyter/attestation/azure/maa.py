"""Verification of tokens of Microsoft Azure Attestation (MAA).

Such a token is Microsoft's word on evidence that it has seen, not the evidence. Its kinds, ``maa-sev-snp`` and
``maa-sgx``, are therefore kinds of their own: an owner who accepts ``sev-snp`` does not accept them by that.
Evidence has the token (compact JWS, ASCII) as its report and, at most, the runtime data as one endorsement.
The keys come from the relying party (:class:`MaaInstance`), never from the
token's ``jku`` and never with the evidence.

Not checked: the revocation of Microsoft's certificates. Not in a token, so zero or empty in the claims: chip
id, product, committed and launch TCB. A minimum TCB for such a kind therefore fails; ask for raw evidence.

A confidential VM's token (``azurevm``, with the SNP claims inside ``x-ms-isolation-tee``) speaks for another
boundary than a container group's and is refused by its attestation type.

Sources: RFC 7515, 7517, 7519, 7638; Azure Attestation's published claim sets; microsoft/confidential-sidecar-
containers ``pkg/common/maa.go``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sls_jupyter.attestation.azure.maa_token import Token, held_data, signature_holds, signing_key
from sls_jupyter.attestation.claims import (
    Check,
    ChecksFailed,
    Claims,
    Evidence,
    compare,
    readable,
    unreadable,
    utc_words,
    within,
)
from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import MalformedDocument

COMPLIANT = "azure-compliant-uvm"  # Microsoft knew the utility VM's endorsement


@dataclass(frozen=True, slots=True)
class MaaInstance:
    """One instance of Microsoft Azure Attestation whose word a relying party takes."""

    keys: bytes  # the JSON Web Key Set that this relying party fetched from the instance's own /certs
    policy_hash: str = ""  # x-ms-policy-hash to insist on; "": whatever policy the instance has


NO_MAA: Mapping[str, MaaInstance] = MappingProxyType({})
"""No instance is believed by default."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a token of one kind has to say, and where its values stand."""

    kind: str
    required: Mapping[str, tuple[str, str | int | bool]]  # check -> (claim, value); the JSON type counts
    measurement: tuple[str, int]  # claim, bytes
    init_data: tuple[str, int]
    report_data: str
    guest_svn: str
    tcb: Mapping[str, str]  # component -> claim
    runtime_keys: bool  # a token without keys is refused
    init_data_optional: bool = False


_SNP = "x-ms-sevsnpvm-"
SNP = Profile(
    kind="maa-sev-snp",
    required={
        "attestation_type": ("x-ms-attestation-type", "sevsnpvm"),
        "compliance": ("x-ms-compliance-status", COMPLIANT),
        "debug": (_SNP + "is-debuggable", False),
        "vmpl": (_SNP + "vmpl", 0),
        "migration_agent": (_SNP + "migration-allowed", False),
    },
    measurement=(_SNP + "launchmeasurement", 48),
    init_data=(_SNP + "hostdata", 32),
    report_data=_SNP + "reportdata",
    guest_svn=_SNP + "guestsvn",
    tcb={
        "bootloader": _SNP + "bootloader-svn",
        "tee": _SNP + "tee-svn",
        "snp": _SNP + "snpfw-svn",
        "microcode": _SNP + "microcode-svn",
    },
    runtime_keys=True,
)
SGX = Profile(
    kind="maa-sgx",
    required={
        "attestation_type": ("x-ms-attestation-type", "sgx"),
        "debug": ("x-ms-sgx-is-debuggable", False),
    },
    measurement=("x-ms-sgx-mrenclave", 32),
    init_data=("x-ms-sgx-config-id", 64),
    report_data="x-ms-sgx-report-data",
    guest_svn="x-ms-sgx-svn",
    tcb={},
    runtime_keys=False,
    init_data_optional=True,  # tokens of 2021 do not have it
)


def runtime_report_data(runtime_data: bytes) -> bytes:
    """REPORT_DATA as Azure Attestation wants it: SHA-256 of the runtime data, then 32 zero bytes."""
    return hashlib.sha256(runtime_data).digest() + bytes(32)


@dataclass(frozen=True, slots=True)
class MaaVerifier:
    """A verifier for tokens of one profile."""

    profile: Profile

    def __call__(
        self, evidence: Evidence, instances: Mapping[str, MaaInstance], now: datetime
    ) -> tuple[Claims, tuple[Check, ...]]:
        """Make every check; returns the claims and the checks, failed ones included.

        Raises:
            ChecksFailed: the token cannot be read, its signer is not known, or a claim is missing or of
                another type.
        """
        checks: list[Check] = []
        try:
            token = Token.parse(evidence.report_bytes())
        except MalformedDocument as error:
            raise ChecksFailed([unreadable("token_format", error)]) from None
        checks.append(readable("token_format"))
        instance = self._instance(token, instances, checks)
        self._signature(token, instance, now, checks)
        checks += [*_time_checks(token.claims, now), *_required_checks(token.claims, self.profile)]
        checks += _policy_hash(token.claims, instance)
        try:
            claims = _claims(token, self.profile, checks, evidence.endorsement_bytes())
        except MalformedDocument as error:
            raise ChecksFailed([*checks, unreadable("claims", error)]) from None
        return claims, tuple(checks)

    def _instance(self, token: Token, instances: Mapping[str, MaaInstance], checks: list[Check]) -> MaaInstance:
        """The relying party's own entry for the issuer that the token names."""
        issuer = token.claims.get("iss")
        known = instances.get(issuer) if isinstance(issuer, str) else None
        expected = " or ".join(sorted(instances)) or "no instance is known"
        checks.append(Check(name="issuer", found=str(issuer)[:400], expected=expected[:400], ok=known is not None))
        if known is None:
            raise ChecksFailed(checks)
        return known

    def _signature(self, token: Token, instance: MaaInstance, now: datetime, checks: list[Check]) -> None:
        checks.append(compare("algorithm", str(token.header.get("alg"))[:100], "RS256"))
        try:
            key = signing_key(instance.keys, token.header.get("kid"))
        except MalformedDocument as error:
            raise ChecksFailed([*checks, unreadable("signing_key", error)]) from None
        checks.append(compare("signing_key", "known", "known"))
        if key.not_before is not None and key.not_after is not None:
            checks.append(within("key_validity", now, key.not_before, key.not_after))
        holds = signature_holds(token, key)
        expected = "signed by the instance's key"
        checks.append(
            Check(name="signature", found=expected if holds else "does not verify", expected=expected, ok=holds)
        )


verify_snp_token = MaaVerifier(SNP)
verify_sgx_token = MaaVerifier(SGX)


# --- time and values ------------------------------------------------------------------------------


def _moment(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    return value if type(value) is int and 0 <= value < 2**40 else None


def _time_checks(claims: Mapping[str, Any], now: datetime) -> list[Check]:
    """iat and nbf are not after ``now``, and exp is; none may be missing. No leeway."""
    moments = {name: _moment(claims, name) for name in ("iat", "nbf", "exp")}
    seconds = now.timestamp()
    good = {
        "iat": moments["iat"] is not None and moments["iat"] <= seconds,
        "nbf": moments["nbf"] is not None and moments["nbf"] <= seconds,
        "exp": moments["exp"] is not None and seconds < moments["exp"],
    }
    expected = {"iat": "at or before", "nbf": "at or before", "exp": "after"}
    return [
        Check(name=name, found=_shown_time(moments[name]), expected=f"{expected[name]} {utc_words(now)}", ok=ok)
        for name, ok in good.items()
    ]


def _shown_time(seconds: int | None) -> str:
    if seconds is None:
        return "missing"
    try:
        return utc_words(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _required_checks(claims: Mapping[str, Any], profile: Profile) -> list[Check]:
    """Values that have to be these, and of this JSON type: the text "false" and the number 0 are not ``false``."""
    return [
        Check(
            name=name,
            found=json.dumps(claims[claim])[:400] if claim in claims else "missing",
            expected=json.dumps(value),
            ok=type(claims.get(claim)) is type(value) and claims[claim] == value,
        )
        for name, (claim, value) in profile.required.items()
    ]


def _policy_hash(claims: Mapping[str, Any], instance: MaaInstance) -> list[Check]:
    if not instance.policy_hash:
        return []
    return [compare("policy_hash", str(claims.get("x-ms-policy-hash"))[:200], instance.policy_hash)]


# --- the binding to a key, and our claims ---------------------------------------------------------


def _hex(claims: Mapping[str, Any], name: str, size: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or len(value) != 2 * size or set(value) - set("0123456789abcdef"):
        raise MalformedDocument(
            f"The claim {name} is not there, or not in its form.",
            found=str(value)[:200],
            expected=f"{size} bytes in lower-case hexadecimal digits",
        )
    return value


def _number(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < 2**32:
        raise MalformedDocument(f"The claim {name} is not there, or not a number.", found=str(value)[:200])
    return value


def _runtime_checks(claims: Mapping[str, Any], report_data: str, given: Sequence[bytes]) -> list[Check]:
    """REPORT_DATA is the digest of the runtime data, and ``x-ms-runtime`` is what that says.

    The runtime data is what the caller gives, or what an SGX token carries as held data. Where only
    ``x-ms-runtime`` is there, its digest cannot be taken again, and that the service took it is the service's
    word; then only the form is checked.
    """
    data = given[0] if given else held_data(claims)
    runtime = claims.get("x-ms-runtime")
    if data is None and runtime is None:
        return []
    if data is None:
        shaped = report_data.endswith("00" * 32)
        return [Check(name="runtime_binding", found=report_data, expected="32 bytes, then zeros", ok=shaped)]
    checks = [compare("runtime_binding", report_data, runtime_report_data(data).hex())]
    if runtime is not None:
        same = canonical_json(parse_json(data)) == canonical_json(runtime)
        checks.append(compare("runtime_data", "the same" if same else "another", "the same"))
    return checks


_THUMBPRINT = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}  # members that count, RFC 7638


def _keys(claims: Mapping[str, Any]) -> dict[str, str]:
    """The guest's keys by kid: SHA-256 thumbprints (RFC 7638) in hex."""
    runtime = claims.get("x-ms-runtime")
    keys = runtime.get("keys") if isinstance(runtime, dict) else None
    found: dict[str, str] = {}
    for key in keys if isinstance(keys, list) else []:
        members = _THUMBPRINT.get(str(key.get("kty")), ()) if isinstance(key, dict) else ()
        if members and all(isinstance(key.get(name), str) for name in members):
            thumbprint = canonical_json({name: key[name] for name in members})
            found[str(key.get("kid", ""))] = hashlib.sha256(thumbprint).hexdigest()
    return found


def _claims(token: Token, profile: Profile, checks: list[Check], given: Sequence[bytes]) -> Claims:
    """Our claims; adds the lines on the runtime data.

    Raises:
        MalformedDocument: a claim is missing, or not in its form.
    """
    claims = token.claims
    if len(given) > 1:
        raise MalformedDocument("A token has one endorsement at most, its runtime data.", found=len(given))
    report_data = _hex(claims, profile.report_data, 64)
    keys = _keys(claims)
    if profile.runtime_keys:
        checks.append(Check(name="runtime_keys", found=f"{len(keys)} keys", expected="one or more", ok=bool(keys)))
    checks += _runtime_checks(claims, report_data, given)
    name, size = profile.init_data
    absent = profile.init_data_optional and name not in claims
    details = {f"runtime_key {kid}"[:100]: value for kid, value in list(keys.items())[:8]}
    details |= {
        "issuer": str(claims["iss"])[:500],
        "policy_hash": str(claims.get("x-ms-policy-hash", ""))[:500],
        "init_data": "not in the token" if absent else "in the token",
    }
    if "x-ms-sgx-mrsigner" in claims:
        details["mr_signer"] = _hex(claims, "x-ms-sgx-mrsigner", 32)
        details["isv_prod_id"] = str(_number(claims, "x-ms-sgx-product-id"))
    return Claims(
        tee=profile.kind,
        simulated=False,
        product="not in the token",
        chip_id="00" * 64,
        measurement=_hex(claims, *profile.measurement),
        init_data="00" * size if absent else _hex(claims, name, size),
        report_data=report_data,
        debug=claims.get(profile.required["debug"][0]) is not False,
        migration_agent="migration_agent" in profile.required
        and claims.get(profile.required["migration_agent"][0]) is not False,
        vmpl=_number(claims, profile.required["vmpl"][0]) if "vmpl" in profile.required else 0,
        guest_svn=_number(claims, profile.guest_svn),
        report_version=0,
        tcb={component: _number(claims, claim) for component, claim in profile.tcb.items()},
        committed_tcb={},
        launch_tcb={},
        platform_info="00" * 8,
        details=details,
    )

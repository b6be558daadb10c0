"""Evidence in files: any mix of them, each recognised by its content, judged together for a person.

::

    SEV-SNP   report, certificates, UVM endorsement, container policy, Azure's JSON forms (azure/forms.py),
              trustee's (amd/sev_crate.py)
    TDX, SGX  a quote, also as JSON with QuoteHex (Open Enclave, Intel's SDK), quote (dstack, trustee) or in fields (go-tdx-guest); its collateral
    MAA       a token (compact JWS) and the instance's key set
    ours      the JSON of an Evidence document

A key set beside a token is the instance's; beside a UVM endorsement it is a transparency ledger's, and then a
receipt by one of its keys is required. Whoever gives a key set vouches that it is the one they mean: the issuer
that a token names is taken from the token unless the caller pins it, and a note says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sls_jupyter.attestation.amd.bulletins import bulletin_table
from sls_jupyter.attestation.amd.verify import require_report, verify_genuine
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure.ccf_receipt import parse_ledger_keys
from sls_jupyter.attestation.azure.forms import MAX_FILE_BYTES, Parts, decoded, named_members, recognise
from sls_jupyter.attestation.azure.maa import MaaInstance
from sls_jupyter.attestation.azure.maa_token import Token
from sls_jupyter.attestation.claim_checks import closed_guest
from sls_jupyter.attestation.claims import Check, ChecksFailed, Claims, Evidence
from sls_jupyter.attestation.cose.sign1 import SIGN1_TAG
from sls_jupyter.attestation.evidence import rejection
from sls_jupyter.attestation.intel.go_tdx import looks_like_go_tdx, quote_bytes
from sls_jupyter.attestation.judge import NOTHING_ELSE, Profile, Wanted, judge, wanted_of_others
from sls_jupyter.attestation.profile import profile_of
from sls_jupyter.attestation.verify import verify
from sls_jupyter.documents import parse_json, unhex
from sls_jupyter.errors import BadInput, EvidenceRejected, MalformedDocument

_TOKEN = re.compile(rb"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*")
_QUOTE_STARTS = (b"\x03\x00\x02\x00", b"\x04\x00\x02\x00", b"\x05\x00\x02\x00")  # version, ECDSA P-256
_OPEN_ENCLAVE_HEADER = 16  # bytes before the quote in Open Enclave's evidence
_QUOTE_NAMES = {"quote", "tdquote", "tdxquote", "sgxquote", "intelquote", "rawquote"}
_SGX, _TDX = bytes(4), b"\x81\x00\x00\x00"  # TEE type in a quote's header


@dataclass(frozen=True, slots=True)
class Sorted:
    """What was found in the files. Unverified."""

    parts: Parts = field(default_factory=Parts)
    quote: bytes | None = None
    collateral: bytes | None = None
    token: bytes | None = None
    evidence: Evidence | None = None
    key_sets: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for a person: every check, in order, and what it rests on."""

    accepted: bool
    kind: str
    profile: str
    at: datetime
    checks: tuple[Check, ...]
    claims: Claims | None  # of accepted evidence
    reason: str  # why it was refused; "" if it was not
    hint: str
    notes: tuple[str, ...] = ()  # what was taken on trust, or was not asked for

    @property
    def simulated(self) -> bool:
        """Signed by a development chain: proves nothing about hardware."""
        return self.kind.startswith("simulated")

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "accepted": self.accepted,
            "kind": self.kind,
            "profile": self.profile,
            "at": self.at.isoformat(),
            "checks": [check.model_dump() for check in self.checks],
            "claims": None if self.claims is None else self.claims.model_dump(mode="json"),
            "reason": self.reason,
            "hint": self.hint,
            "notes": list(self.notes),
        }


# --- sorting --------------------------------------------------------------------------------------


def sort_files(items: Iterable[bytes]) -> Sorted:
    """Recognise each file by its content and put the pieces together.

    Raises:
        MalformedDocument: a file is none of the forms.
        BadInput: two files contradict each other, or there is nothing to verify.
    """
    found = Sorted()
    for data in items:
        if len(data) > MAX_FILE_BYTES:
            raise MalformedDocument("A file is too large.", found=f"{len(data)} bytes", expected=f"{MAX_FILE_BYTES}")
        found = _add(found, data)
    kinds = [found.parts.report, found.quote, found.token, found.evidence]
    given = sum(one is not None for one in kinds)
    if given != 1 and not (given == 0 and found.parts.uvm is not None):
        raise BadInput(
            "The files hold no evidence." if not given else "The files hold more than one piece of evidence.",
            expected="one report, quote or token, with whatever belongs to it",
            hint="Give the files of one piece of evidence only.",
        )
    return found


def _add(found: Sorted, data: bytes) -> Sorted:
    stripped = data.strip()
    if _TOKEN.fullmatch(stripped):
        return _set(found, "token", stripped)
    forms = _json_forms(stripped)
    evidence = forms.get("evidence")
    if isinstance(evidence, Evidence) and evidence.kind == "sev-snp":  # judged like its parts in files of their own
        return replace(found, parts=found.parts | _parts_of(evidence))
    for name, value in forms.items():
        found = replace(found, key_sets=(*found.key_sets, value)) if name == "key_sets" else _set(found, name, value)
    if forms:
        return found
    quote = _as_quote(data) or _as_quote(decoded(stripped))
    if quote is not None:
        return _set(found, "quote", quote)
    return replace(found, parts=found.parts | recognise(data))


def _parts_of(evidence: Evidence) -> Parts:
    *others, last = (*evidence.endorsement_bytes(), b"")[: len(evidence.endorsements) or 1]
    uvm = last if last.startswith(SIGN1_TAG) else None
    certificates = others if uvm is not None or not last else [*others, last]
    return Parts(report=evidence.report_bytes(), certificates=tuple(certificates), uvm=uvm)


def _set(found: Sorted, name: str, value: Any) -> Sorted:
    if getattr(found, name) not in (None, value):
        raise BadInput(f"There are two of one part: {name}.", hint="Give the files of one piece of evidence only.")
    return replace(found, **{name: value})


def _json_forms(data: bytes) -> dict[str, Any]:
    """The forms that are JSON and not Azure's, by their members."""
    if not data.startswith(b"{"):
        return {}
    value = parse_json(data)
    if "tcb_info" in value and "qe_identity" in value:
        return {"collateral": data}
    if isinstance(value.get("keys"), list):
        return {"key_sets": data}
    if isinstance(value.get("QuoteHex"), str):
        quote = _hex(value["QuoteHex"])
        return {"quote": quote if _as_quote(quote) else quote[_OPEN_ENCLAVE_HEADER:]}
    if looks_like_go_tdx(value):
        return {"quote": quote_bytes(value)}
    if {"kind", "report", "endorsements"} == set(value):
        return {"evidence": Evidence.parse(data)}
    return _quote_within(value)


def _quote_within(value: dict[str, Any]) -> dict[str, Any]:
    """A quote under a name that other verifiers and services give it, and the collateral beside it."""
    found = {}
    for name, item in named_members(value):
        if name in _QUOTE_NAMES and (quote := _as_quote(item) or _as_quote(decoded(item))) is not None:
            found["quote"] = quote
    collateral = value.get("collateral")
    if found and isinstance(collateral, dict) and "tcb_info" in collateral:
        found["collateral"] = json.dumps(collateral).encode()
    return found


def _hex(text: str) -> bytes:
    try:
        return unhex(text)
    except ValueError:
        raise MalformedDocument("QuoteHex is not hex.", found=f"{len(text)} characters") from None


def _as_quote(data: bytes | None) -> bytes | None:
    return data if data and data.startswith(_QUOTE_STARTS) and data[4:8] in (_SGX, _TDX) else None


# --- judging --------------------------------------------------------------------------------------


def judge_files(
    found: Sorted,
    *,
    now: datetime,
    profile: Profile | None = None,
    wanted: Wanted = NOTHING_ELSE,
    issuer: str | None = None,
    anchors: TrustAnchors | None = None,
    today: datetime | None = None,
) -> Verdict:
    """Verify and judge what :func:`sort_files` found.

    Args:
        now: the time to judge at, with a time zone.
        profile: of SEV-SNP evidence; ``aci`` if there is a UVM endorsement or a container policy, else
            ``hardware``. Other kinds know ``hardware`` only.
        issuer: the instance of Azure Attestation that the key set belongs to.
        anchors: the vendors' pinned roots by default; a development root must be put there on purpose.
        today: the time that it is, for the age of the table of bulletins; as ``now`` if it is not given.

    Raises:
        BadInput: a part is missing that the caller has to give, such as the key set of a token.
    """
    anchors = anchors or TrustAnchors()
    chosen = profile or ("aci" if found.parts.uvm is not None or found.parts.policy is not None else "hardware")
    if found.parts.report is None and found.parts.uvm is not None:
        raise BadInput("A UVM endorsement alone endorses nothing.", hint="Add the report that it belongs to.")
    if found.parts.report is not None:
        verdict = _judge_snp(found, chosen, now, wanted, anchors)
        return replace(verdict, notes=(*verdict.notes, *filter(None, [bulletin_table().age_note(today or now)])))
    if chosen == "aci":
        raise BadInput("The profile aci is for SEV-SNP reports.", hint="Use --profile hardware.")
    evidence, anchors, notes = _evidence_of(found, anchors, issuer)
    return _judge_other(evidence, now, anchors, notes, wanted)


def _require_report(data: bytes) -> None:
    try:
        require_report(data)
    except ChecksFailed as error:
        raise rejection("sev-snp", "does not verify", error.checks) from None


def _judge_snp(found: Sorted, profile: Profile, now: datetime, wanted: Wanted, anchors: TrustAnchors) -> Verdict:
    notes = []
    if not found.parts.revocation_lists:
        notes.append("No revocation list was given, so revocation is not part of this verdict.")
    if found.key_sets:
        keys = {key: value for data in found.key_sets for key, value in parse_ledger_keys(data).items()}
        anchors = replace(anchors, ledger_keys=MappingProxyType(keys))
    if profile == "hardware":
        notes.append("The profile hardware judges AMD's part alone: not which code or policy ran.")
    try:
        _require_report(found.parts.report or b"")  # before what belongs to it is looked for
        judged = judge(found.parts, profile, now=now, anchors=anchors, wanted=wanted)
    except EvidenceRejected as error:
        return _refused("sev-snp", profile, now, error, [*notes, *_notes_of_refused(found.parts, anchors, now, wanted)])
    notes += _bulletin_notes(judged.claims, wanted)
    return Verdict(True, judged.claims.tee, profile, now, judged.checks, judged.claims, "", "", tuple(notes))


def _notes_of_refused(parts: Parts, anchors: TrustAnchors, now: datetime, wanted: Wanted) -> list[str]:
    """The same notes of a machine whose evidence was refused, as far as its report and certificates can be read."""
    try:
        evidence = parts.evidence(with_uvm=False)
        claims, checks = verify_genuine(evidence, replace(anchors, accept_vlek=True), now)
    except (BadInput, ChecksFailed):
        return []
    notes = _bulletin_notes(claims, wanted)
    if notes and not all(check.ok for check in checks):
        notes.insert(0, "The evidence does not verify, so what follows of bulletins is its own word.")
    return notes


def _bulletin_notes(claims: Claims, wanted: Wanted) -> list[str]:
    """The bulletins that a machine does not meet and nobody demanded."""
    open_ones = [
        (bulletin, faults)
        for bulletin in bulletin_table().bulletins
        if bulletin.id not in wanted.bulletins and (faults := "; ".join(bulletin.faults(claims)))
    ]
    notes = [
        f"Not shown to be met, and not demanded: {bulletin.id} of {bulletin.date}, {bulletin.about}, {', '.join(bulletin.cves)}: {faults}"
        + (" (values known second hand)." if bulletin.is_second_hand(claims) else ".")
        for bulletin, faults in open_ones
    ]
    if open_ones:
        notes.append(f"A bulletin is demanded by its name: --bulletin {open_ones[0][0].id}.")
    return notes


def _evidence_of(found: Sorted, anchors: TrustAnchors, issuer: str | None) -> tuple[Evidence, TrustAnchors, list[str]]:
    if found.evidence is not None:
        return found.evidence, anchors, []
    if found.quote is not None:
        kind = "tdx" if found.quote[4:8] == _TDX else "sgx"
        collateral = () if found.collateral is None else (found.collateral,)
        return Evidence.of(kind, found.quote, collateral), anchors, []
    return _token_evidence(found.token or b"", found, anchors, issuer)


def _token_evidence(
    token: bytes, found: Sorted, anchors: TrustAnchors, issuer: str | None
) -> tuple[Evidence, TrustAnchors, list[str]]:
    if len(found.key_sets) != 1:
        raise BadInput(
            "A token needs the key set of its instance.",
            found=f"{len(found.key_sets)} key sets",
            hint="Fetch it from the instance's own /certs and give it as a file.",
        )
    named = Token.parse(token).claims
    kind = "maa-sgx" if named.get("x-ms-attestation-type") == "sgx" else "maa-sev-snp"
    notes = []
    if issuer is None:
        issuer = str(named.get("iss", ""))
        notes.append(f"The issuer {issuer} was taken from the token; pin it with --issuer.")
    instance = MaaInstance(found.key_sets[0])
    return Evidence.of(kind, token, ()), replace(anchors, maa=MappingProxyType({issuer: instance})), notes


def _judge_other(evidence: Evidence, now: datetime, anchors: TrustAnchors, notes: list[str], wanted: Wanted) -> Verdict:
    try:
        verified = verify(evidence, anchors, now=now)
        checks = (*verified.checks, *closed_guest(verified.claims), *wanted_of_others(verified.claims, wanted))
        if not all(check.ok for check in checks):
            raise rejection(evidence.kind, "is not acceptable", checks)
    except EvidenceRejected as error:
        return _refused(evidence.kind, "hardware", now, error, notes)
    label = profile_of(evidence.kind).label if not evidence.kind.startswith("maa-") else evidence.kind
    notes.append(f"{label}: which code ran is for the reader of the claims to judge.")
    return Verdict(True, evidence.kind, "hardware", now, checks, verified.claims, "", "", tuple(notes))


def _refused(kind: str, profile: str, now: datetime, error: EvidenceRejected, notes: list[str]) -> Verdict:
    checks = tuple(Check.model_validate(check) for check in error.detail.get("checks", []))
    return Verdict(False, kind, profile, now, checks, None, error.message, error.hint, tuple(notes))

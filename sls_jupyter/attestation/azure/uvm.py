"""Endorsements of Azure's utility VM (UVM): Microsoft's signed word on what a launch measurement is.

A COSE_Sign1 in one of two forms. Up to svn 103 there is the JSON form alone, and svn 104 exists in both, so the
form is read from the headers and never concluded from the svn:

========================  ===========================================  =====================================
what                      JSON form                                    hash-envelope form (svn 104 on)
========================  ===========================================  =====================================
issuer, feed              protected headers ``iss`` and ``feed``       CWT claims (15): 1 and 2
signing time              ``signingtime``                              CWT claims: 6
svn                       payload, text and since October 2025 number  CWT claims: ``svn``, a number
launch measurement        payload, 96 hex digits                       the payload itself, 48 bytes
========================  ===========================================  =====================================

Certificates are judged at the signing time and never at the present one: the leaf lives one year, and
endorsements in use outlive it. The signing time is a claim of the signer, not a proof. What the feed, the
svn and the measurement should be is :mod:`sls_jupyter.attestation.appraise`'s to judge.

Source: microsoft/confidential-aci-examples, docs/Confidential_ACI_SCHEME.md; RFC 9597 (CWT claims in
headers); draft-ietf-cose-hash-envelope (headers 258 and 259).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sls_jupyter.attestation.azure.ccf_receipt import LedgerKeys, receipts_of, verify_receipt
from sls_jupyter.attestation.claims import Check, UvmClaims, readable, unreadable, within
from sls_jupyter.attestation.cose import did_x509
from sls_jupyter.attestation.cose.sign1 import CONTENT_TYPE, CWT_CLAIMS, X5T, Sign1, verify_sign1
from sls_jupyter.attestation.cose.x509_path import PathCertificate, parse_path, path_faults, validity_of
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MalformedDocument, SignatureInvalid, SlsError, VerificationError

MAX_CACHED = 64
_CWT_ISSUER, _CWT_SUBJECT, _CWT_ISSUED_AT, _CWT_SVN = 1, 2, 6, "svn"
_HASH_ALGORITHM, _PREIMAGE_TYPE, _SHA384 = 258, 259, -43
_SVN, _SVN_NUMBER = "x-ms-sevsnpvm-guestsvn", "x-ms-sevsnpvm-guestsvn-int"
_MEASUREMENT = "x-ms-sevsnpvm-launchmeasurement"
_X5T_HASHES = {-16: hashlib.sha256, -43: hashlib.sha384, -44: hashlib.sha512}
_MAX_SVN = 2**32 - 1


@dataclass(frozen=True, slots=True)
class _Headers:
    """What the signer says in the protected header."""

    issuer: str
    feed: str
    signed_at: datetime
    cwt: Mapping[Any, Any] | None  # None: the JSON form


@dataclass(frozen=True, slots=True)
class _Examined:
    """What the bytes alone decide."""

    statement: Sign1
    headers: _Headers
    resolved: bool  # the issuer's DID holds for the chain
    claims: UvmClaims | None  # None: the payload cannot be read
    payload: Check
    checks: tuple[Check, ...]


def verify_endorsement(
    data: bytes, issuers: Collection[str], ledgers: LedgerKeys
) -> tuple[UvmClaims | None, tuple[Check, ...]]:
    """Verify an endorsement; every check is made, failed ones included.

    Args:
        data: a tagged COSE_Sign1.
        issuers: did:x509 identifiers that are believed.
        ledgers: keys of transparency ledgers. If there are any, a receipt by one of them is required, and one by
            them that does not verify is a failure; without any, receipts are not looked at and no line says so.

    Returns:
        The claims, or ``None`` where they could not be read, and the checks. Claims are worth something only
        if every check passed.
    """
    try:
        examined = _examine(data)
    except MalformedDocument as error:
        return None, (unreadable("uvm_format", error),)
    headers, claims = examined.headers, examined.claims
    checks = [*examined.checks, _issuer_check(headers.issuer, examined.resolved, issuers), examined.payload]
    if ledgers:
        check, names = _transparency(examined.statement, ledgers)
        checks.append(check)
        claims = claims and claims.model_copy(update={"ledgers": names})
    return claims, tuple(checks)


@lru_cache(maxsize=MAX_CACHED)
def _examine(data: bytes) -> _Examined:
    """A pure function of the bytes, therefore cached.

    Raises:
        MalformedDocument: not a COSE_Sign1 with a chain, or not one of the two forms.
    """
    statement = Sign1.parse(data)
    headers = _read_headers(statement.protected)
    path = parse_path(statement.certificates())
    claims, payload = _payload(statement, headers)
    checks = (
        readable("uvm_format"),
        _signature(statement, path[0]),
        _chain(statement, path),
        _validity(path, headers.signed_at),
    )
    return _Examined(statement, headers, _resolves(headers.issuer, path), claims, payload, checks)


# --- the checks -----------------------------------------------------------------------------------


def _signature(statement: Sign1, leaf: PathCertificate) -> Check:
    expected = "signed by the leaf certificate"
    try:
        verify_sign1(statement, leaf.key)
    except SignatureInvalid:
        return Check(name="uvm_signature", found="does not verify", expected=expected, ok=False)
    return Check(name="uvm_signature", found=expected, expected=expected, ok=True)


def _chain(statement: Sign1, path: tuple[PathCertificate, ...]) -> Check:
    expected = "each certificate issued by the next, which is a CA"
    faults = path_faults(path)
    if len(path) < 2:
        faults.append("a chain of one")
    if X5T in statement.protected and not _is_thumbprint(statement.protected[X5T], path[0].der):
        faults.append("x5t names another leaf")
    return Check(name="uvm_chain", found="; ".join(faults)[:400] or expected, expected=expected, ok=not faults)


def _is_thumbprint(value: object, der: bytes) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or type(value[0]) is not int:
        return False
    digest = _X5T_HASHES.get(value[0])
    return digest is not None and value[1] == digest(der).digest()


def _validity(path: tuple[PathCertificate, ...], signed_at: datetime) -> Check:
    return within("uvm_validity", signed_at, *validity_of(path), said="signed ")


def _resolves(issuer: str, path: tuple[PathCertificate, ...]) -> bool:
    try:
        return did_x509.resolve(issuer, path).may_sign
    except (MalformedDocument, VerificationError):
        return False


def _issuer_check(issuer: str, resolved: bool, issuers: Collection[str]) -> Check:
    known = " or ".join(sorted(issuers))[:400] or "no issuer is known"
    found = issuer if resolved else f"{issuer[:300]}, which its chain does not bear out"
    return Check(name="uvm_issuer", found=found[:400], expected=known, ok=resolved and issuer in issuers)


def _transparency(statement: Sign1, ledgers: LedgerKeys) -> tuple[Check, tuple[str, ...]]:
    expected = "a receipt for this endorsement by a known ledger"
    try:
        receipts = [verify_receipt(data, statement, ledgers) for data in receipts_of(statement)]
    except SlsError as error:
        return Check(name="uvm_transparency", found=error.message[:400], expected=expected, ok=False), ()
    names = tuple(sorted({receipt.ledger for receipt in receipts if receipt is not None}))
    found = ", ".join(names)[:400] or f"{len(receipts)} receipts, none by a known ledger"
    return Check(name="uvm_transparency", found=found, expected=expected, ok=bool(names)), names


# --- reading --------------------------------------------------------------------------------------


def _malformed(found: str) -> MalformedDocument:
    return MalformedDocument("This is not a UVM endorsement we can read.", found=found)


def _read_headers(protected: Mapping[Any, Any]) -> _Headers:
    """The form is the one that its own headers say; both at once is neither."""
    cwt = protected.get(CWT_CLAIMS)
    if cwt is None:
        issuer, feed, signed_at = (protected.get(name) for name in ("iss", "feed", "signingtime"))
        form_fits = protected.get(CONTENT_TYPE) == "application/json" and _HASH_ALGORITHM not in protected
    elif isinstance(cwt, Mapping):
        issuer, feed, signed_at = (cwt.get(label) for label in (_CWT_ISSUER, _CWT_SUBJECT, _CWT_ISSUED_AT))
        envelope = (protected.get(_HASH_ALGORITHM), protected.get(_PREIMAGE_TYPE))
        form_fits = envelope == (_SHA384, "application/octet-stream") and not {"iss", "feed"} & protected.keys()
    else:
        raise _malformed("CWT claims that are no map")
    if not form_fits:
        raise _malformed("headers of neither form")
    if not (isinstance(issuer, str) and isinstance(feed, str) and max(len(issuer), len(feed)) <= 500):
        raise _malformed("no issuer or no feed in the protected header")
    return _Headers(issuer, feed, _time(signed_at), cwt)


def _time(value: object) -> datetime:
    """A signing time: an epoch date, tagged or plain, after 1970 and before 2200."""
    if type(value) is int and 0 <= value < 2**33 - 1:
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime) or not 1970 <= value.year < 2200:
        raise _malformed("no signing time in the protected header")
    return value


def _payload(statement: Sign1, headers: _Headers) -> tuple[UvmClaims | None, Check]:
    try:
        svn, measurement = _read_payload(headers, statement)
    except MalformedDocument as error:
        return None, unreadable("uvm_payload", error)
    claims = UvmClaims(
        issuer=headers.issuer,
        feed=headers.feed,
        svn=svn,
        measurement=measurement,
        signed_at=int(headers.signed_at.timestamp()),
    )
    return claims, readable("uvm_payload")


def _read_payload(headers: _Headers, statement: Sign1) -> tuple[int, str]:
    """The svn and the measurement (hex).

    Raises:
        MalformedDocument: one of them is missing, of another form, or said twice and differently.
    """
    if statement.payload is None:
        raise _malformed("a detached payload")
    if headers.cwt is None:
        return _read_json(statement.payload)
    svn = headers.cwt.get(_CWT_SVN)
    if type(svn) is not int or not 0 <= svn <= _MAX_SVN:
        raise _malformed("no svn among the CWT claims")
    if len(statement.payload) != 48:
        raise _malformed(f"a payload of {len(statement.payload)} bytes, not of 48")
    return svn, statement.payload.hex()


def _read_json(payload: bytes) -> tuple[int, str]:
    document = parse_json(payload)
    if not isinstance(document, dict):
        raise _malformed("a payload that is no JSON object")
    measurement = document.get(_MEASUREMENT)
    if not isinstance(measurement, str) or not re.fullmatch("[0-9a-f]{96}", measurement):
        raise _malformed("no launch measurement of 96 lower-case hex digits")
    return _json_svn(document), measurement


def _json_svn(document: dict[str, Any]) -> int:
    """The svn as a text of digits or as a number, under one of its two names, or under both if they agree."""
    first, second = document.get(_SVN), document.get(_SVN_NUMBER)
    digits = isinstance(first, str) and re.fullmatch("0|[1-9][0-9]{0,9}", first)
    if first is not None and not digits and type(first) is not int:
        raise _malformed("an svn that is no number")
    if second is not None and type(second) is not int:
        raise _malformed("an svn that is no number")
    found = {int(value) for value in (first, second) if value is not None}
    if len(found) != 1 or not 0 <= min(found) <= _MAX_SVN:
        raise _malformed("no svn, or two")
    return found.pop()

"""The forms in which SEV-SNP evidence of Azure's container groups is handed around, taken apart by content.

::

    a report            1184 bytes, or the same as hex or base64; inside an HCL blob of a confidential VM
    certificates        PEM, DER; host-amd-cert-base64: JSON with vcekCert, certificateChain, tcbm
    UVM endorsement     COSE_Sign1; reference-info-base64
    container policy    Rego text as it is; security-policy-base64
    trustee             JSON whose attestation_report is an object, and cert_chain a table of certificates
    combined            JSON that has some of these as members (attest/combined, snpCACI, a request to
                        Azure Attestation), and a security-context directory

Everything here is unsigned packaging: parts are found and put in order, and nothing is believed. The files of
a security-context directory are writable by everybody in the group.

Source: microsoft/confidential-sidecar-containers (``pkg/common``, ``pkg/attest``);
microsoft/confidential-aci-examples, docs/Confidential_ACI_SCHEME.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sls_jupyter.attestation.amd import sev_crate
from sls_jupyter.attestation.amd.report import REPORT_BYTES
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.attestation.claims import MAX_ENDORSEMENTS, Evidence
from sls_jupyter.attestation.cose.sign1 import SIGN1_TAG
from sls_jupyter.documents import parse_json, unhex
from sls_jupyter.errors import BadInput, MalformedDocument, Unavailable

MAX_FILE_BYTES = 1024 * 1024
MAX_NESTING = 6  # base64 in JSON in base64 ...
MAX_POLICY_BYTES = 512 * 1024

CONTEXT_FILES = ("host-amd-cert-base64", "reference-info-base64", "security-policy-base64")
TRANSPARENT_REFERENCE_INFO = "transparent-reference-info-base64"  # where present, in reference-info's place

_MEMBERS = {
    "attestation",
    "attestationreport",
    "evidence",
    "report",
    "hclreport",
    "ask",
    "ark",
    "asvk",
    "crl",
    "vcek",
    "vlek",
    "certchain",
    "snpreport",
    "platformcertificates",
    "endorsements",
    "vcekcertchain",
    "vcekcert",
    "certificatechain",
    "uvmendorsements",
    "uvm",
    "ccepolicy",
    "securitypolicy",
}
_AS_TEXT = {"evidence", "teeevidence", "primaryevidence"}  # JSON within a text of JSON: each level doubles its escapes
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_POLICY = re.compile(rb"(?:\s|#[^\n]*\n)*+package\s+policy\b")
_HCL_MAGIC, _HCL_REPORT_AT = b"HCLA", 32


@dataclass(frozen=True, slots=True)
class Parts:
    """What was found so far. Unverified."""

    report: bytes | None = None  # as it stands; may be malformed
    certificates: tuple[bytes, ...] = ()  # DER, in the order found
    revocation_lists: tuple[bytes, ...] = ()  # DER
    uvm: bytes | None = None  # COSE_Sign1
    policy: bytes | None = None  # exactly the bytes whose digest is HOST_DATA
    tcbm: str | None = None  # what the host says of its TCB: hex, byte 0 last; a hint and no more

    def __or__(self, other: Parts) -> Parts:
        """Both together.

        Raises:
            BadInput: they have two different reports, endorsements or policies.
        """
        merged: dict[str, Any] = {}
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, tuple):
                merged[item.name] = tuple(dict.fromkeys((*mine, *theirs)))
            elif None not in (mine, theirs) and mine != theirs:
                raise BadInput(
                    f"There are two of one part: {item.name}.", hint="Give the files of one piece of evidence only."
                )
            else:
                merged[item.name] = theirs if mine is None else mine
        return Parts(**merged)

    def evidence(self, *, with_uvm: bool = True) -> Evidence:
        """Evidence of kind ``sev-snp``, its chain in order; AMD's public intermediate is added if it is missing.

        Raises:
            BadInput: there is no report or no certificate.
        """
        if self.report is None or not self.certificates:
            missing = "report" if self.report is None else "certificate of the chip (VCEK)"
            raise BadInput(f"There is no {missing} in what was given.", hint="Add the file that has it.")
        endorsements = list(order_chain(self.certificates))
        if len(endorsements) >= MAX_ENDORSEMENTS:
            raise BadInput("There are too many certificates.", found=len(endorsements), expected="a chip's, ASK, ARK")
        if with_uvm and self.uvm is not None:
            endorsements.append(self.uvm)
        return Evidence.of("sev-snp", self.report, endorsements)


def gather(items: Iterable[bytes]) -> Parts:
    """The parts of several files together.

    Raises:
        MalformedDocument: a file is none of the forms.
        BadInput: two files contradict each other.
    """
    parts = Parts()
    for data in items:
        parts |= recognise(data)
    return parts


# --- one file -------------------------------------------------------------------------------------


def recognise(data: bytes, *, nesting: int = 0) -> Parts:
    """The parts in one file, told by its content.

    Raises:
        MalformedDocument: none of the forms, or too large.
    """
    if len(data) > MAX_FILE_BYTES:
        raise MalformedDocument("A file is too large.", found=f"{len(data)} bytes", expected=f"{MAX_FILE_BYTES}")
    if nesting > MAX_NESTING:
        raise MalformedDocument("Evidence is packed into itself too often.", expected=f"{MAX_NESTING} times at most")
    found = _binary(data) or _text(data, nesting)
    if found is None:
        raise MalformedDocument(
            "This is no evidence that we know, nor a part of any.",
            found=f"{len(data)} bytes",
            expected="of SEV-SNP a report, certificates, a UVM endorsement or a container policy; of TDX or SGX a quote or its "
            "collateral; of Azure Attestation a token or a key set; as bytes, hex, base64, PEM, or JSON with these",
        )
    return found


def _looks_like_report(data: bytes) -> bool:
    """A small version number and the one signature algorithm in their places; a wrong size is for others to refuse."""
    if len(data) == REPORT_BYTES:
        return True
    small_version = data[1:4] == bytes(3) and 0 < data[0] < 16
    return 256 <= len(data) <= 4096 and small_version and data[0x34:0x38] == b"\1\0\0\0"


def _binary(data: bytes) -> Parts | None:
    if data.startswith(SIGN1_TAG):
        return Parts(uvm=data)
    if data.startswith(b"\x30\x82"):
        return Parts(revocation_lists=(data,)) if _is_revocation_list(data) else Parts(certificates=(data,))
    if data.startswith(_HCL_MAGIC):
        return Parts(report=data[_HCL_REPORT_AT : _HCL_REPORT_AT + REPORT_BYTES])
    if data and _looks_like_report(data):
        return Parts(report=data)
    return None


def _is_revocation_list(der: bytes) -> bool:
    """A list's signed part starts with its version 1 as a bare INTEGER, a certificate's with ``[0]`` or a serial."""
    inner = der[4:]  # after the outer SEQUENCE's head
    size = 2 + (inner[1] & 0x7F if len(inner) > 1 and inner[1] & 0x80 else 0)
    return inner[size : size + 4] == b"\x02\x01\x01\x30"


def _text(data: bytes, nesting: int) -> Parts | None:
    stripped = data.strip()
    if stripped.startswith(b"{"):
        return _from_json(parse_json(stripped), nesting)
    if b"-----BEGIN " in data:
        return _from_pem(data)
    if _POLICY.match(data) and len(data) <= MAX_POLICY_BYTES:
        return Parts(policy=data)
    inner = decoded(stripped)
    return None if inner is None else recognise(inner, nesting=nesting + 1)


def decoded(text: bytes) -> bytes | None:
    """Hex, also after 0x, or base64 in either alphabet, with padding or without; white space within is ignored."""
    compact = b"".join(text.split())
    if not compact:
        return None
    try:
        if re.fullmatch(rb"(?:0[xX])?(?:[0-9a-fA-F]{2})+", compact):
            return unhex(compact.decode())
        if re.fullmatch(rb"[A-Za-z0-9+/_-]+={0,2}", compact):
            standard = compact.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return None


def _from_pem(data: bytes) -> Parts:
    parts = Parts()
    for label, body in _PEM.findall(data):
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error:
            raise MalformedDocument("A PEM block is not base64.", found=label.decode()[:40]) from None
        if label == b"CERTIFICATE":
            parts |= Parts(certificates=(der,))
        elif label == b"X509 CRL":
            parts |= Parts(revocation_lists=(der,))
        else:
            raise MalformedDocument("A PEM block is of an unknown kind.", found=label.decode()[:40])
    if parts == Parts():
        raise MalformedDocument("A PEM file has no whole block.")
    return parts


# --- combined forms -------------------------------------------------------------------------------


def _from_json(document: Any, nesting: int) -> Parts | None:
    parts = Parts()
    for name, value in named_members(document):
        if name == "tcbm":
            parts |= Parts(tcbm=value.decode(errors="replace"))
        elif value and name in _MEMBERS:
            parts |= recognise(value, nesting=nesting + 1)
    return None if parts == Parts() else parts


def named_members(value: Any) -> Iterator[tuple[str, bytes]]:
    """Texts and lists of bytes with their names in lower case, at any depth; :func:`parse_json` has bounded that.

    A report and the certificates of the crate ``sev`` come as what they stand for.
    """
    if not isinstance(value, dict):
        return
    if sev_crate.looks_like_report(value):
        yield "report", sev_crate.report_bytes(value)
        return
    if sev_crate.looks_like_certificate(value):
        value = sev_crate.certificate(value)
    for name, item in value.items():
        plain = re.sub("[-_]", "", name.lower())
        if isinstance(item, list) and item and all(type(one) is int and 0 <= one < 256 for one in item):
            yield plain, bytes(item)  # as Rust writes a slice of bytes
            continue
        for single in item if isinstance(item, list) else (item,):
            if isinstance(single, dict):
                yield from named_members(single)
            elif isinstance(single, str) and plain in _AS_TEXT and single.lstrip().startswith("{"):
                yield from named_members(parse_json(single.encode()))
            elif isinstance(single, str):
                yield plain, single.encode()


def read_security_context(folder: Path) -> Parts:
    """The files that an Azure container finds in its security-context directory; there is no report among them.

    Raises:
        Unavailable: none of the files is there, or one cannot be read.
        MalformedDocument: a file is not what its name says.
    """
    names = list(CONTEXT_FILES)
    if (folder / TRANSPARENT_REFERENCE_INFO).is_file():
        names[1] = TRANSPARENT_REFERENCE_INFO
    present = [folder / name for name in names if (folder / name).is_file()]
    if not present:
        raise Unavailable(
            "This is no security-context directory.", found=str(folder), expected=" or ".join(CONTEXT_FILES)
        )
    try:
        return gather(_read(path) for path in present)
    except OSError as error:
        raise Unavailable("A security-context directory cannot be read.", found=error.strerror) from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


# --- the chain ------------------------------------------------------------------------------------


@cache
def _shipped_intermediates() -> tuple[bytes, ...]:
    data = files("sls_jupyter.attestation").joinpath("data/amd_intermediates.pem").read_bytes()
    return _from_pem(data).certificates


def order_chain(ders: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Leaf, intermediate and, if it is there, root, told by their names. Names prove nothing; verification does.

    What has no leaf that can be read is returned as it came, for verification to refuse.

    Raises:
        BadInput: two different leaves, so that it is not clear which is meant.
    """
    named = [(item, der) for der in ders if (item := _parsed(der)) is not None]
    leaves = [pair for pair in named if pair[0].common_name in ("SEV-VCEK", "SEV-VLEK")]
    if len(leaves) > 1:
        raise BadInput("There are two certificates of a chip.", hint="Give the one that fits the report.")
    if not leaves or len(named) != len(ders):
        return ders
    leaf, leaf_der = leaves[0]
    intermediates = [pair for pair in named if pair[0].common_name.startswith("SEV-") and pair not in leaves]
    middle = _issuer_among(leaf, intermediates) or _issuer_among(leaf, _parsed_shipped(), exact=True)
    if middle is None:
        return (leaf_der,)
    root = _issuer_among(middle[0], [pair for pair in named if pair[0].common_name.startswith("ARK-")])
    return (leaf_der, middle[1]) if root is None else (leaf_der, middle[1], root[1])


def _parsed(der: bytes) -> Certificate | None:
    try:
        return Certificate.parse(der)
    except MalformedDocument:
        return None


@cache
def _parsed_shipped() -> tuple[tuple[Certificate, bytes], ...]:
    return tuple((Certificate.parse(der), der) for der in _shipped_intermediates())


def _issuer_among(
    item: Certificate, candidates: Iterable[tuple[Certificate, bytes]], *, exact: bool = False
) -> tuple[Certificate, bytes] | None:
    """The candidate whose name is the issuer's; unless it must be exact, else the first one."""
    found = list(candidates)
    named = [pair for pair in found if pair[0].subject == item.issuer]
    return next(iter(named or ([] if exact else found)), None)

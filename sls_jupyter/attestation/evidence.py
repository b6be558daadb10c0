"""What travels, what it claims, and how far trust in it has come.

::

    bytes -- Evidence.parse --> Evidence -- verify() --> VerifiedEvidence -- appraise() --> AttestationResult
              types, no trust               signatures                     reference values

Each arrow has its own type, and the last two types can only be made by the function above them, so a
step that is left out does not type-check. The words are those of RFC 9334.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, ClassVar, Self, final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import Field, ValidationError, field_validator

from sls_jupyter.attestation.amd_roots import AMD_ROOT_PINS
from sls_jupyter.attestation.anchors import NO_MAA, IntelTrust, MaaInstance
from sls_jupyter.attestation.azure_facts import (
    UVM_ISSUER,
    UVM_MINIMUM_SVN,
    UVM_MINIMUM_SVN_DATE,
    UVM_MINIMUM_SVN_SOURCE,
)
from sls_jupyter.attestation.refusals import refusal_for
from sls_jupyter.documents import (
    Base64,
    Document,
    Model,
    ShortText,
    Timestamp,
    b64decode,
    b64encode,
    canonical_json,
    parse_json,
)
from sls_jupyter.errors import BadInput, EvidenceRejected, MalformedDocument
from sls_jupyter.tcb import floor_fault

MAX_EVIDENCE_BYTES = 64 * 1024  # bytes of the JSON form
MAX_ENDORSEMENTS = 8  # certificates beside one report

TeeKind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2})+\Z")]
Register = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){32,64}\Z")]
Unsigned32 = Annotated[int, Field(ge=0, lt=2**32)]


class Evidence(Document):
    """One report and the certificates that speak for it. Parsed only; it proves nothing yet.

    It is signed by the hardware inside ``report``, never in a DSSE envelope.
    """

    payload_type: ClassVar[str] = "application/vnd.sls.evidence.v1+json"

    kind: TeeKind  # what the sender says it is; verify() holds it to that
    report: Base64  # SEV-SNP: 1184 bytes
    endorsements: Annotated[tuple[Base64, ...], Field(max_length=MAX_ENDORSEMENTS)]
    """SEV-SNP: VCEK, ASK and, if it travels, ARK (DER); on Azure then a UVM endorsement (COSE_Sign1)."""

    @classmethod
    def of(cls, kind: str, report: bytes, endorsements: Iterable[bytes]) -> Self:
        """Evidence from raw bytes."""
        return cls(kind=kind, report=b64encode(report), endorsements=tuple(b64encode(der) for der in endorsements))

    def encode(self) -> bytes:
        """The canonical JSON bytes that travel; ``Evidence.parse(x.encode()) == x``."""
        return self.payload()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read what came over the wire.

        Raises:
            MalformedDocument: too large, not evidence, or not in its canonical form.
        """
        if len(payload) > MAX_EVIDENCE_BYTES:
            raise MalformedDocument(
                "Evidence is too large.", found=f"{len(payload)} bytes", expected=f"{MAX_EVIDENCE_BYTES} at most"
            )
        return super().parse(payload)

    def report_bytes(self) -> bytes:
        return b64decode(self.report)

    def endorsement_bytes(self) -> tuple[bytes, ...]:
        return tuple(b64decode(text) for text in self.endorsements)


class UvmClaims(Model):
    """What Microsoft says of the utility VM that Azure started (see :mod:`sls_jupyter.attestation.uvm`)."""

    issuer: ShortText  # did:x509
    feed: ShortText
    svn: Unsigned32
    measurement: Register  # 48 bytes, hex
    signed_at: Timestamp  # as the signer says
    ledgers: tuple[ShortText, ...] = ()  # transparency ledgers whose receipt verified


class Claims(Model):
    """What one piece of evidence says, in the same words for every kind of TEE. Bytes are lower-case hex.

    TCB components are numbers by name (SEV-SNP: ``bootloader``, ``tee``, ``snp``, ``microcode``, on Turin also
    ``fmc``); they compare one by one and never as one integer.
    """

    tee: TeeKind
    simulated: bool  # signed by a development chain; no hardware stands behind it
    product: ShortText  # Milan, Genoa, Turin
    chip_id: Hex
    measurement: Register  # SEV-SNP: 48 bytes, SHA-384 launch digest
    init_data: Register  # SEV-SNP: HOST_DATA, 32 bytes
    report_data: Register  # 64 bytes, chosen by the guest
    debug: bool
    migration_agent: bool
    vmpl: Unsigned32  # 0 to 3; 0xFFFFFFFF: the host asked for the report
    guest_svn: Unsigned32
    report_version: Unsigned32
    tcb: dict[str, int]  # REPORTED_TCB, the one the VCEK is made for
    committed_tcb: dict[str, int]  # firmware cannot go below it
    launch_tcb: dict[str, int]  # when the guest started
    platform_info: Hex  # 8 bytes, big-endian; bits of AMD 56860, not judged here
    details: dict[str, ShortText] = Field(default_factory=dict)  # what only this kind has, by name: rtmr0, mr_signer …
    uvm: UvmClaims | None = None  # Azure's container groups, where an endorsement travelled with the report


class Check(Model):
    """One line of the check list: pass or fail; there is no third."""

    name: ShortText
    found: ShortText
    expected: ShortText
    ok: bool


def compare(name: str, found: object, expected: object) -> Check:
    """The check that two printable values are equal."""
    return Check(name=name, found=str(found), expected=str(expected), ok=found == expected)


def readable(name: str) -> Check:
    """The line that something could be read."""
    return Check(name=name, found="as specified", expected="as specified", ok=True)


def unreadable(name: str, error: MalformedDocument) -> Check:
    """The line that something could not be read, and why."""
    found = f"{error.message} {error.found or ''}".strip()
    return Check(name=name, found=found[:400], expected=(error.expected or "as specified")[:400], ok=False)


HINTS = {
    "kind": "Use a version of sls-jupyter that verifies this kind of evidence.",
    "root": "An authority believes SIMULATED evidence only if its owner says so: sls authority serve --accept-simulated self "
    "(same machine), or a file with the root that was found. Hardware evidence needs its vendor's chain.",
    "validity": "Set the clock, or fetch the certificate again.",
    "vcek_tcb": "Fetch the VCEK for the report's REPORTED_TCB.",
    "vcek_chip": "Fetch the VCEK of the chip that made the report.",
    "revocation": "Fetch AMD's revocation list of this product again; a revoked intermediate is not to be trusted.",
    "uvm_issuer": "Only endorsements of a pinned issuer are believed; the endorsement may not be Microsoft's.",
    "uvm_transparency": "Fetch the endorsement with its receipt, or the keys of the ledger that gave it.",
    "uvm_endorsement": "Send the UVM endorsement (reference-info-base64) along with the report.",
    "uvm_svn": "Start the container group again, so that Azure gives it a current utility VM.",
    "allow_all_policy": "Launch the group with a policy that names its containers.",
    "tee": "Run on a host of an accepted kind, or ask the owner to accept this kind.",
    "debug": "Launch the group without debugging.",
    "measurement": "Ask the owner to approve this build, or launch an approved image.",
    "init_data": "Launch the group with exactly the policy that was rendered for this run.",
    "report_data": "Ask for evidence again, bound to this request's nonce and key.",
    "collateral": "Send the quote with its collateral: TCB info, QE identity, CRLs and their chains.",
    "collateral_time": "Fetch the collateral again, or name the time at which it held.",
    "tcb_status": "Update the machine's firmware, or allow this status in IntelTrust.",
    "minimum_tcb": "Update the machine's firmware, or ask the owner for a lower minimum.",
}


def utc_words(at: datetime) -> str:
    """A time as the lines of a verdict give it, to the second: a certificate may begin in the middle of the day."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def rejection(kind: str, step: str, checks: Iterable[Check]) -> EvidenceRejected:
    """The error that lists every failed check; its class is that of the first (see :mod:`.refusals`).

    For programs, ``detail["failed"]`` has the names and ``detail["checks"]`` every check made so far.
    """
    checks = tuple(checks)
    failed = [check for check in checks if not check.ok]
    return refusal_for(failed[0].name if failed else "")(
        f"Evidence of kind {kind} {step}: {', '.join(check.name for check in failed)}.",
        found="; ".join(f"{check.name}: {check.found}" for check in failed),
        expected="; ".join(f"{check.name}: {check.expected}" for check in failed),
        hint=next((HINTS[check.name] for check in failed if check.name in HINTS), "Do not trust this guest."),
        detail={
            "failed": [check.name for check in failed],
            "checks": [check.model_dump() for check in checks],
        },
    )


class _Proof:
    """Held by verify() and appraise() alone."""

    __slots__ = ()


_BY_VERIFY, _BY_APPRAISE = _Proof(), _Proof()


def _require_proof(given: object, needed: _Proof, maker: str) -> None:
    if given is not needed:
        raise TypeError(f"Only {maker}() makes this.")


@final
@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """Evidence whose signatures hold up to a root the relying party chose. Not appraised yet."""

    claims: Claims
    checks: tuple[Check, ...]  # all ok
    proof: InitVar[_Proof]

    def __post_init__(self, proof: _Proof) -> None:
        _require_proof(proof, _BY_VERIFY, "verify")


@final
@dataclass(frozen=True, slots=True)
class AttestationResult:
    """Verified evidence that met every reference value. The ticket that key release asks for."""

    claims: Claims
    checks: tuple[Check, ...]  # of verification, then of appraisal; all ok
    proof: InitVar[_Proof]

    def __post_init__(self, proof: _Proof) -> None:
        _require_proof(proof, _BY_APPRAISE, "appraise")


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Which roots a relying party believes.

    Development roots are a choice of its own: none is known by default, and one that is known is
    believed for evidence of kind ``simulated-snp`` only.
    """

    amd: Mapping[str, bytes] = field(default_factory=lambda: AMD_ROOT_PINS)  # product -> SHA-256 of the ARK's SPKI
    simulated_ark_spki: frozenset[bytes] = frozenset()  # SHA-256 of the SPKI of development roots, 32 bytes each
    accept_vlek: bool = False  # SEV-SNP: a cloud's shared key (VLEK) may sign in the place of a chip's own
    revocation_lists: tuple[bytes, ...] = ()  # AMD's CRLs, DER; if there are any, one must cover the chain
    uvm_issuers: frozenset[str] = frozenset({UVM_ISSUER})  # did:x509 of those who endorse utility VMs
    ledger_keys: Mapping[str, EllipticCurvePublicKey] = field(default_factory=lambda: MappingProxyType({}))
    """Key id to key of transparency ledgers; if there are any, a UVM endorsement needs a receipt by one."""
    intel: IntelTrust = field(default_factory=IntelTrust)  # root keys and accepted TCB states of TDX and SGX
    maa: Mapping[str, MaaInstance] = field(default_factory=lambda: NO_MAA)  # issuer -> instance of Azure Attestation


class Minimums(Model):
    """How recent is recent enough: configuration that rises with time, so it says when and whence it is.

    The defaults are those published at ``date``; a relying party that knows better ones replaces them.
    """

    uvm_svn: Unsigned32 = UVM_MINIMUM_SVN
    tcb: dict[str, dict[ShortText, Annotated[int, Field(ge=0, le=255)]]] = Field(default_factory=dict)
    """By kind and product (``sev-snp/Milan``) or by kind; replaces the vendor's floor of the same key."""
    report_version: Annotated[int, Field(ge=2, le=5)] = 2  # SEV-SNP; from 3 on a report names its CPU
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")] = UVM_MINIMUM_SVN_DATE
    source: ShortText = UVM_MINIMUM_SVN_SOURCE

    @field_validator("tcb")
    @classmethod
    def _floors_can_be_met(cls, floors: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        for platform, floor in floors.items():
            if fault := floor_fault(platform, floor):
                raise ValueError(fault)
        return floors

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a file of minimums.

        Raises:
            MalformedDocument: not JSON, an unknown member, two values for one product, or a value out of range.
        """
        try:
            return cls.model_validate_json(canonical_json(parse_json(data)))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "file"
            raise MalformedDocument(
                "This is no file of minimums.", found=f"{where}: {first['msg'].removeprefix('Value error, ')}"
            ) from None


@dataclass(frozen=True, slots=True)
class ReferenceValues:
    """What appraisal compares claims with.

    ``minimum_tcb`` is keyed by kind (``sev-snp``: holds for every product) or by kind and product
    (``sev-snp/Milan``); where both name a component, both must be met.
    """

    measurements: frozenset[bytes]  # 48 bytes each; empty accepts none but endorsed ones
    init_data: bytes | None  # 32 bytes; None: no expectation, and no line in the check list
    report_data: bytes  # 64 bytes
    tees: Collection[str]  # accepted kinds
    minimum_tcb: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    uvm_feeds: frozenset[str] = frozenset()
    """Feeds whose verified UVM endorsement may vouch for a measurement that is not listed; empty: none may."""
    accept_allow_all: bool = False  # container policies that are known to allow everything
    products: frozenset[str] = frozenset()  # Milan, Genoa, Turin; empty: every product
    chips: frozenset[bytes] = frozenset()  # CHIP_ID, 64 bytes each; empty: every chip
    platform_info: int = 0  # SEV-SNP: bits of PLATFORM_INFO that must be set; 1 << 5: alias check done (BadRAM)

    def __post_init__(self) -> None:
        if len(self.report_data) != 64:
            raise BadInput("REPORT_DATA has 64 bytes.", found=f"{len(self.report_data)} bytes", expected="64 bytes")

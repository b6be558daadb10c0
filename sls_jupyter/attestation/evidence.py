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
from types import MappingProxyType
from typing import Annotated, Self, final

from pydantic import Field, ValidationError, field_validator

from sls_jupyter.attestation.azure.facts import UVM_MINIMUM_SVN, UVM_MINIMUM_SVN_DATE, UVM_MINIMUM_SVN_SOURCE
from sls_jupyter.attestation.claims import Check, Claims, Register, RegisterName, Unsigned32
from sls_jupyter.attestation.refusals import refusal_for
from sls_jupyter.documents import Model, ShortText, parse_json
from sls_jupyter.errors import BadInput, EvidenceRejected, MalformedDocument
from sls_jupyter.tcb import bulletin_fault, floor_fault

HINTS = {
    "kind": "Use a version of sls-jupyter that verifies this kind of evidence.",
    "root": "An authority believes SIMULATED evidence only if its owner says so: sls authority serve --accept-simulated self "
    "(same machine), or a file with the root that was found. Hardware evidence needs its vendor's chain.",
    "validity": "Set the clock, or fetch the certificate again.",
    "vcek_tcb": "Fetch the VCEK for the report's REPORTED_TCB.",
    "vlek_tcb": "Ask the cloud for the VLEK of the report's REPORTED_TCB.",
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
    "bulletin": "Update the machine's firmware; sls attest verify without --bulletin names what it does not meet.",
    "mitigations": "Update the machine's firmware, and start the guest again.",
    "registers": "Start an image whose registers the owner accepts, or ask the owner to accept these.",
    "minimum_tcb": "Update the machine's firmware, or ask the owner for a lower minimum.",
}


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


YOURS = "your minimum"  # whose a minimum is that came without a source


class Minimums(Model):
    """How recent is recent enough: configuration that rises with time, so it says when and whence it is.

    The defaults are those published at ``date``; a relying party that knows better ones gives them, and with them a date
    and a source.
    """

    uvm_svn: Unsigned32 = UVM_MINIMUM_SVN
    tcb: dict[str, dict[ShortText, Annotated[int, Field(ge=0, le=255)]]] = Field(default_factory=dict)
    """By kind and product (``sev-snp/Milan``) or by kind; takes the place of the vendor's component by component."""
    bulletins: tuple[ShortText, ...] = ()  # AMD's bulletins that a machine has to meet, by name (AMD-SB-3016)
    mitigations: tuple[Annotated[int, Field(ge=0, lt=64)], ...] = ()  # SEV-SNP: bits of both mitigation vectors
    registers: dict[RegisterName, Annotated[tuple[Register, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """TDX: accepted values of run-time registers, by name (``rtmr1``)."""
    report_version: Annotated[int, Field(ge=2, le=5)] = 2  # SEV-SNP; from 3 on a report names its CPU
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")] = UVM_MINIMUM_SVN_DATE
    source: ShortText = UVM_MINIMUM_SVN_SOURCE

    def whose(self, name: str) -> str:
        """Who set the field of that name, and when; a default is the publisher's, and a date that was not given is none."""
        given = self.model_fields_set
        if name not in given:
            return f"{UVM_MINIMUM_SVN_SOURCE}, {UVM_MINIMUM_SVN_DATE}"
        source = self.source if "source" in given else YOURS
        return f"{source}, {self.date}" if "date" in given else source

    @field_validator("tcb")
    @classmethod
    def _floors_can_be_met(cls, floors: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        for platform, floor in floors.items():
            if fault := floor_fault(platform, floor):
                raise ValueError(fault)
        return floors

    @field_validator("bulletins")
    @classmethod
    def _bulletins_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if fault := bulletin_fault(name):
                raise ValueError(fault)
        return names

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a file of minimums.

        Raises:
            MalformedDocument: not JSON, an unknown member, two values for one product, or a value out of range.
        """
        parse_json(data)  # refuses what the other reader takes, such as a member twice
        try:
            return cls.model_validate_json(data)
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
    bulletins: Collection[str] = ()  # AMD's bulletins that a machine has to meet, by name
    mitigations: Collection[int] = ()  # SEV-SNP: bits of both mitigation vectors
    registers: Mapping[str, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))
    """TDX: accepted values (hex) of run-time registers, by name (``rtmr1``)."""

    report_id: str | None = None  # hex: the very guest that was met before; None: any, and no line in the check list

    def __post_init__(self) -> None:
        if len(self.report_data) != 64:
            raise BadInput("REPORT_DATA has 64 bytes.", found=f"{len(self.report_data)} bytes", expected="64 bytes")

"""Evidence as it travels, what it claims, and one line of the list of checks. Parsed only: nothing here proves anything.

The words of every kind of TEE, below the rooms of their makers. Which evidence is believed is decided above them,
in :mod:`sls_jupyter.attestation.verify` and :mod:`sls_jupyter.attestation.appraise`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self

from pydantic import Field

from sls_jupyter.documents import Base64, Document, Model, ShortText, Timestamp, b64decode, b64encode
from sls_jupyter.errors import MalformedDocument

MAX_EVIDENCE_BYTES = 64 * 1024  # bytes of the JSON form
MAX_ENDORSEMENTS = 8  # certificates beside one report

TeeKind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2})+\Z")]
Register = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){32,64}\Z")]
RegisterName = Annotated[str, Field(pattern=r"^rtmr[0-3]\Z")]  # of TDX
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
    """What Microsoft says of the utility VM that Azure started (see :mod:`sls_jupyter.attestation.azure.uvm`)."""

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
    cpuid: Annotated[str, Field(max_length=8)] = (
        ""  # SEV-SNP from report version 3 on: family, model, stepping (19-01-01)
    )
    report_id: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{64})?\Z")] = ""
    """SEV-SNP: REPORT_ID, 32 bytes, the same for a guest's whole life and for no other guest; "" where there is none."""
    mitigations: Hex = "0" * 16  # SEV-SNP from version 5 on: 8 bytes, big-endian; bits set at launch and now
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


def utc_words(at: datetime) -> str:
    """A time as the lines of a verdict give it, to the second: a certificate may begin in the middle of the day."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def within(name: str, at: datetime, first: datetime, last: datetime, said: str = "") -> Check:
    """The line that a time lies within a validity, its ends included; ``said`` goes before the time."""
    expected = f"{utc_words(first)} to {utc_words(last)}"
    return Check(name=name, found=f"{said}{utc_words(at)}", expected=expected, ok=first <= at <= last)


class ChecksFailed(Exception):
    """A room's verifier cannot go on, because something could not even be read. Carries every check made so far."""

    def __init__(self, checks: Iterable[Check]) -> None:
        super().__init__()
        self.checks = tuple(checks)

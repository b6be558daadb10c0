"""An owner's policy as a signed document: who may use an asset, with which code, where, and what may leave.

The fields are parameters of one Rego module (``owner.rego``). An owner may name a module of their own
instead; what that replaces and what stays enforced is said in ``decide.py``. The defaults are the
careful ones: each request needs the owner's approval, hardware TEEs only, tables and figures only,
results to the requester only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.platform import FragmentName
from sls_jupyter.contract.spec import KINDS, Kind
from sls_jupyter.documents import Did, Digest, Document, ShortText, Timestamp
from sls_jupyter.tcb import bulletin_fault, floor_fault

HARDWARE_TEES = ("sev-snp", "sgx", "tdx")
SIMULATED_TEES = ("simulated-snp",)
DEFAULT_KINDS: tuple[Kind, ...] = ("table", "figure")  # text (stdout, HTML) has to be asked for

CodeMode = Literal["any", "reviewed", "listed"]


def utc_text(seconds: int) -> str:
    """A timestamp as a person reads it."""
    if seconds >= 253_402_300_800:
        return "the year 10000"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", text):
        raise ValueError("lower-case letters, digits, hyphens and underscores, a letter first, 40 at most")
    return text


def _platform(text: str) -> str:
    kind, slash, product = text.partition("/")
    _identifier(kind)
    if slash and not re.fullmatch(r"[A-Za-z0-9]{1,40}", product):
        raise ValueError("a kind of TEE such as sev-snp, or one product of it such as sev-snp/Milan")
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
Platform = Annotated[str, AfterValidator(_platform)]
Count = Annotated[int, Field(ge=1, lt=2**53)]
Size = Annotated[int, Field(ge=0, lt=2**53)]
RegisterName = Annotated[str, Field(pattern=r"^rtmr[0-3]\Z")]
Digest384 = Annotated[str, Field(pattern=r"^[0-9a-f]{96}\Z")]  # hex
Minimum = Annotated[dict[Identifier, Size], Field(min_length=1)]  # component of the TCB -> lowest version


class OwnerPolicy(Document):
    """Under which conditions an owner lets an asset be used. Two policies that mean the same have the same bytes."""

    payload_type: ClassVar[str] = "application/vnd.sls.owner-policy.v5+json"

    owner: Did
    requesters: tuple[Did, ...] = ()  # empty: anyone, but each request needs approval
    code: CodeMode = "reviewed"  # reviewed: listed, or approved by review; listed: only the listed
    code_digests: tuple[Digest, ...] = ()
    tees: Annotated[tuple[Identifier, ...], Field(min_length=1)] = HARDWARE_TEES
    minimum_tcb: dict[Platform, Minimum] = Field(default_factory=dict)
    bulletins: tuple[ShortText, ...] = ()  # AMD's, each of which a machine has to meet (AMD-SB-3016)
    mitigations: tuple[Annotated[int, Field(ge=0, lt=64)], ...] = ()  # SEV-SNP: bits of both mitigation vectors
    registers: dict[RegisterName, Annotated[tuple[Digest384, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """TDX: the values that are accepted of each run-time register that is named."""
    fragments: tuple[FragmentName, ...] = ()  # whose signed containers may join a group beside the asset
    columns: tuple[str, ...] | None = None  # grantable; None: all
    purposes: tuple[Annotated[ShortText, Field(min_length=1)], ...] = ()  # empty: any
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = DEFAULT_KINDS  # in the order of KINDS
    min_group: Count | None = None  # smallest group a row of a result may describe
    max_rows: Size | None = None  # of one table
    max_bytes: Size | None = None  # of everything that leaves one run
    max_runs: Count | None = None  # each cell of a session is one
    sessions: bool = True  # False: every cell is a run of its own
    max_cells: Count | None = None  # that one session may ask for
    full_errors: bool = False  # False: only the type of an exception leaves
    recipients: tuple[Did, ...] = ()  # empty: only the requester
    recipient_keys: dict[Did, Digest] = Field(default_factory=dict)  # of recipients: SHA-256 of the one HPKE key
    approvers: tuple[Did, ...] = ()  # empty: the owner
    required_approvals: Count = 1  # by distinct approvers
    expires_at: Timestamp | None = None
    module: Digest | None = None  # of the UTF-8 text of the owner's own Rego module

    def signer(self) -> str:
        return self.owner

    @model_validator(mode="after")
    def _one_spelling(self) -> OwnerPolicy:
        lists: dict[str, Sequence[str]] = {
            "requesters": self.requesters,
            "code_digests": self.code_digests,
            "tees": self.tees,
            "bulletins": self.bulletins,
            "fragments": self.fragments,
            "columns": self.columns or (),
            **{f"registers.{name}": values for name, values in self.registers.items()},
            "purposes": self.purposes,
            "recipients": self.recipients,
            "approvers": self.approvers,
        }
        for field, values in lists.items():
            if list(values) != sorted(set(values)):
                raise ValueError(f"{field}: unique and sorted")
        if list(self.mitigations) != sorted(set(self.mitigations)):
            raise ValueError("mitigations: unique and sorted")
        if list(self.kinds) != [kind for kind in KINDS if kind in self.kinds]:
            raise ValueError("kinds: unique and in order")
        return self

    @model_validator(mode="after")
    def _can_be_met(self) -> OwnerPolicy:
        if self.code == "any" and self.code_digests:
            raise ValueError("code_digests: has no meaning where any code may run")
        if self.code == "listed" and not self.code_digests:
            raise ValueError("code_digests: at least one where only listed code may run")
        if not self.sessions and self.max_cells is not None:
            raise ValueError("max_cells: has no meaning where there are no sessions")
        if not set(self.recipient_keys) <= set(self.recipients):
            raise ValueError("recipient_keys: only of recipients")
        if self.required_approvals > max(1, len(self.approvers)):
            raise ValueError("required_approvals: not more than there are approvers")
        for platform, floor in self.minimum_tcb.items():
            if fault := floor_fault(platform, floor):
                raise ValueError(f"minimum_tcb: {fault}")
        for name in self.bulletins:
            if fault := bulletin_fault(name):
                raise ValueError(f"bulletins: {fault}")
        return self

    def obligations(self) -> Obligations:
        """What the output gate must enforce for this owner, before it is cut to what a request asks for."""
        return Obligations(
            kinds=self.kinds,
            min_group=self.min_group,
            max_rows=self.max_rows,
            max_bytes=self.max_bytes,
            full_errors=self.full_errors,
        )

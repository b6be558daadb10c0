"""What was decided about a spec: approvals and denials by people, grants by authorities."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sls_jupyter.contract.spec import KINDS, Kind, StreamSpec
from sls_jupyter.documents import Did, Digest, Document, Model, ShortText, Timestamp


class Approval(Document):
    """A person's yes to a spec's terms. It holds for every run on the same terms, or with lower limits, until it expires."""

    payload_type: ClassVar[str] = "application/vnd.sls.approval.v1+json"
    deeply_frozen: ClassVar[bool] = True

    approver: Did
    authority: Did  # the one authority that may count it
    terms: Digest  # StreamSpec.terms
    code: tuple[Digest, ...]  # StreamSpec.code_digests, what was reviewed
    requester: Did
    reason: ShortText
    issued_at: Timestamp
    expires_at: Timestamp

    def signer(self) -> str:
        return self.approver


class Denial(Document):
    """A person's no to a spec's terms, with the reason the requester will read."""

    payload_type: ClassVar[str] = "application/vnd.sls.denial.v1+json"
    deeply_frozen: ClassVar[bool] = True

    approver: Did
    authority: Did
    terms: Digest
    requester: Did
    reason: ShortText
    issued_at: Timestamp

    def signer(self) -> str:
        return self.approver


class Obligations(Model):
    """What the output gate must enforce. ``None`` is no limit; combining takes the stricter side."""

    kinds: tuple[Kind, ...] = KINDS
    min_group: Annotated[int, Field(ge=1)] | None = None  # smallest group a table row may describe
    max_rows: Annotated[int, Field(ge=0)] | None = None  # of one table
    max_bytes: Annotated[int, Field(ge=0)] | None = None  # of everything that leaves
    full_errors: bool = False  # False: only the type of an exception leaves

    def combine(self, other: Obligations) -> Obligations:
        """The strictest of both, field by field."""

        def least(a: int | None, b: int | None) -> int | None:
            return b if a is None else a if b is None else min(a, b)

        def most(a: int | None, b: int | None) -> int | None:
            return b if a is None else a if b is None else max(a, b)

        return Obligations(
            kinds=tuple(kind for kind in KINDS if kind in self.kinds and kind in other.kinds),
            min_group=most(self.min_group, other.min_group),
            max_rows=least(self.max_rows, other.max_rows),
            max_bytes=least(self.max_bytes, other.max_bytes),
            full_errors=self.full_errors and other.full_errors,
        )


class Grant(Document):
    """An authority's yes to one asset in one spec: a promise to release keys to the right evidence."""

    payload_type: ClassVar[str] = "application/vnd.sls.grant.v1+json"
    deeply_frozen: ClassVar[bool] = True

    authority: Did
    spec: Digest
    asset: Digest
    columns: tuple[str, ...] | None  # what will be released; None for a code asset
    obligations: Obligations
    tees: tuple[ShortText, ...]  # kinds of TEE that keys are released to
    issued_at: Timestamp
    expires_at: Timestamp

    def signer(self) -> str:
        return self.authority


def combined_obligations(spec: StreamSpec, grants: tuple[Grant, ...]) -> Obligations:
    """The strictest of all grants, cut to what the requester asked for."""
    result = Obligations(kinds=spec.kinds, max_bytes=spec.limits.output_bytes, full_errors=True)
    for grant in grants:
        result = result.combine(grant.obligations)
    return result

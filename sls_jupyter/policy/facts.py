"""What a decision is made from, and what it says: the facts of one request, the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, Kind
from sls_jupyter.documents import Did, Digest, Model, Timestamp
from sls_jupyter.errors import SlsError

Verdict = Literal["allow", "ask", "deny"]


# --- the input ------------------------------------------------------------------------------------


class AssetFacts(Model):
    """The asset that is decided on, from its manifest."""

    id: Digest
    kind: Literal["table", "code"]
    name: str
    owner: Did
    columns: tuple[str, ...] | None  # all of a table, in its order; None: not known, or not a table


class InputFacts(Model):
    """An asset of the stream: with whose other assets this one is stitched."""

    asset: Digest
    kind: Literal["table", "code"]
    owner: Did
    authority: Did


class SessionFacts(Model):
    """A session as its spec fixes it, and which of its cells is asked for."""

    cells: int  # that it may have
    idle_seconds: int
    wall_seconds: int
    output_bytes: int
    cell: int  # this one's number, from 1


class RequestFacts(Model):
    """What the requester's signed spec asks for, and in a session the order of its next cell."""

    requester: Did
    purpose: str
    columns: tuple[str, ...] | None  # of this asset; None: every column that the owner grants
    code: tuple[Digest, ...]  # the cell's, then each code asset
    recipients: tuple[Did, ...]
    recipient_keys: dict[Did, Digest] = Field(default_factory=dict)  # SHA-256 of the key that each would get it under
    kinds: tuple[Kind, ...]
    outputs: tuple[str, ...]
    limits: dict[str, int]
    tees: tuple[str, ...]
    fragments: tuple[str, ...] = ()  # whose signed containers may join the group
    inputs: tuple[InputFacts, ...]
    session: SessionFacts | None = None  # None: a run

    @classmethod
    def of(cls, asked: Proposal, item: AssetInput, *, granted: int = 0) -> RequestFacts:
        """The facts of what is asked for, for one input.

        Args:
            granted: how many cells of this session were granted before; the code is that of the others.
        """
        spec = asked.spec
        return cls(
            requester=spec.requester,
            purpose=spec.purpose,
            columns=item.columns,
            code=asked.code_digests[granted:],
            recipients=tuple(person.did for person in spec.recipients),
            recipient_keys={person.did: person.key_digest for person in spec.recipients},
            kinds=spec.kinds,
            outputs=asked.cells[-1].outputs,
            limits=spec.limits.model_dump(),
            tees=spec.tees,
            fragments=spec.fragments,
            inputs=tuple(
                InputFacts(asset=other.asset, kind=other.kind, owner=other.owner, authority=other.authority)
                for other in spec.inputs
            ),
            session=None if spec.session is None else SessionFacts(**spec.session.model_dump(), cell=len(asked.cells)),
        )


class DecisionInput(Model):
    """Everything a policy sees. Signatures were verified, approvals matched, claims appraised before."""

    phase: Literal["grant", "release"]
    now: Timestamp
    asset: AssetFacts
    request: RequestFacts
    approvals: tuple[Did, ...] = ()  # who approved these terms, still valid
    denied: tuple[str, ...] = ()  # reasons of people who denied these terms
    runs: int = 0  # earlier runs that got keys of this asset; not this one
    claims: dict[str, Any] | None = None  # at release: tee, simulated (true or false), tcb {component: int}, …


# --- the answer -----------------------------------------------------------------------------------


class Reason(Model):
    """One condition: a stable name, what was found and expected, what to do next."""

    code: str
    text: str
    fix: str
    level: Literal["deny", "ask", "note"] = "deny"  # what it leads to by itself; a note only says what will be cut


class Decision(Model):
    """The verdict. ``reasons`` of an allow are notes about what will be cut."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    columns: tuple[str, ...] | None  # what would be granted; None: all, or not a table
    tees: tuple[str, ...]  # that both sides accept, sorted
    obligations: Obligations


def in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Sorted by code: a decision has one spelling, whatever order the engine gives its sets."""
    return tuple(sorted(reasons, key=lambda reason: (reason.code, reason.text)))


def no_decision(error: Exception) -> Reason:
    """The reason for a denial when the engine or a module failed."""
    found = f"{error.message} {error.found or ''}".strip() if isinstance(error, SlsError) else type(error).__name__
    hint = error.hint if isinstance(error, SlsError) and error.hint else "Tell the owner; nothing was granted."
    return Reason(code="no-decision", text=f"The policy gives no decision: {found}", fix=hint)

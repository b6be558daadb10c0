"""What crosses a group's doors, once: the contract that is brought, and the events that come out.

As the answers of an authority, each field says how it becomes true. An event's sender is proven: the door's key is
in evidence of the very group that the spec derives. What the *program* chose in it is content, cleaned by the gate, and
is shown as the cell's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue

from sls_jupyter.contract.spec import MAX_CELLS
from sls_jupyter.documents import Base64, Did, Digest, Model
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.provenance import Checked, Hearsay
from sls_jupyter.receipt.statement import ImageRecord

MAX_CHOSEN = 64  # URLs of authorities
MAX_INPUTS = 64
IDLE_SECONDS = 120  # that a door keeps a connection between two calls: cells come one after another

_ATTESTED = "the door's evidence: the group that the spec derives says so (safestream.doors)"
_SEALED = f"{_ATTESTED}, and the result that the receipt names"
_CONTENT = "the cell's own words or values, cleaned by the gate and shown as what the cell gave"
M = TypeVar("M", bound=Model)
EnvelopeText = Annotated[str, Field(max_length=4 * 2**20)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Line = Annotated[str, Field(max_length=500)]
Counts = Annotated[Mapping[Line, Count], Field(max_length=100)]


# --- into the group -------------------------------------------------------------------------------


class ContractMessage(Model):
    """``POST /v1/contract`` at the out-door."""

    spec: Annotated[EnvelopeText, Checked("the signatures of requester and recipients, and the measured digest")]
    grants: Annotated[
        tuple[EnvelopeText, ...], Field(max_length=MAX_INPUTS), Checked("each authority's signature (guest.contract)")
    ]
    chosen: Annotated[
        tuple[Line, ...],
        Field(max_length=MAX_CHOSEN),
        Hearsay("nobody is shown it: the requester's word about their own network, for their own protection"),
    ] = ()


class MaterialMessage(Model):
    """What ``POST /v1/contract`` at the in-door brings beside that."""

    code: Annotated[str | None, Checked("the spec's digest of it (guest.contract)")] = None  # None: a session
    parameters: Annotated[Base64 | None, Checked("the spec's digest of it (guest.contract)")] = None
    manifests: Annotated[
        Mapping[Digest, EnvelopeText],
        Field(max_length=MAX_INPUTS),
        Checked("the spec's digest of each, and its owner's signature (assets.opening.verify_manifest)"),
    ]
    image: Annotated[ImageRecord, Checked("this container's own evidence: HOST_DATA is of the policy that it gives")]


class OrderMessage(Model):
    """``POST /v1/cells`` at the out-door."""

    order: Annotated[EnvelopeText, Checked("the requester's signature and the chain so far (contract.cells)")]
    grants: Annotated[
        tuple[EnvelopeText, ...], Field(max_length=MAX_INPUTS), Checked("each authority's signature (contract.cells)")
    ]


class CodeMessage(Model):
    """What ``POST /v1/cells`` at the in-door brings beside that."""

    code: Annotated[str, Checked("the order's digest of it (guest.cells)")]
    parameters: Annotated[Base64, Checked("the order's digest of it (guest.cells)")]


class InterruptMessage(Model):
    """``POST /v1/interrupt`` at the in-door."""

    cell: Annotated[int, Field(ge=1, le=MAX_CELLS), Checked("the number of the cell that runs (guest.input)")]


_TOGETHER: tuple[tuple[type[Model], ...], ...] = ((ContractMessage, MaterialMessage), (OrderMessage, CodeMessage))


def part_of(message: type[M], body: Any) -> M:
    """One of the two messages in a body that may hold both.

    Raises:
        MalformedDocument: a member is missing, of another type, or of neither message.
    """
    both = next(pair for pair in _TOGETHER if message in pair)
    known = {name for one in both for name in one.model_fields}
    if not isinstance(body, dict) or not set(body) <= known:
        what = "contract is a spec" if message in _TOGETHER[0] else "cell is an order"
        raise MalformedDocument(f"A {what} and its grants, with their material.", expected=", ".join(sorted(known)))
    return message.from_json({name: body[name] for name in message.model_fields if name in body})


# --- out of the group -----------------------------------------------------------------------------


class Event(Model):
    """One line of ``GET /v1/events``."""

    seq: Annotated[Count, Checked(_ATTESTED)]
    at: Annotated[float, Hearsay("nobody is shown it: the group's clock is its host's")]
    cell: Annotated[Count | None, Checked(f"{_ATTESTED}, which verified its order")] = None  # of a session


class KeyEvent(Event):
    """An authority released an asset's keys."""

    type: Annotated[Literal["key"], Checked(_ATTESTED)]
    alias: Annotated[Line, Checked(f"{_ATTESTED}, which compared it with the spec")]
    authority: Annotated[Did, Checked(f"{_ATTESTED}, which compared it with the spec")]
    entry: Annotated[Count, Checked(f"{_ATTESTED}, which verified the log's proof; the receipt has it")]


class FedEvent(Event):
    """An input was read to its end."""

    type: Annotated[Literal["fed"], Checked(_ATTESTED)]
    alias: Annotated[Line, Checked(_ATTESTED)]
    rows: Annotated[Count, Checked(_ATTESTED)]


class WordEvent(Event):
    """The input goes on: the cell runs, or was told to stop; a session goes on after that."""

    type: Annotated[Literal["running", "cancelled", "interrupted"], Checked(_ATTESTED)]


class FinishedEvent(Event):
    """The program's kernel answered the cell."""

    type: Annotated[Literal["finished"], Checked(_ATTESTED)]
    status: Annotated[Line, Hearsay("nobody is shown it: the program's word; the output says how a run ended")]


class FailedEvent(Event):
    """The input could not go on."""

    type: Annotated[Literal["failed"], Checked(_ATTESTED)]
    problem: Annotated[
        Mapping[str, JsonValue], Field(max_length=20), Hearsay("printed as the words of the container group")
    ]


class StreamEvent(Event):
    """The cell printed."""

    type: Annotated[Literal["stream"], Checked(_ATTESTED)]
    name: Annotated[Literal["stdout", "stderr"], Checked(_ATTESTED)]
    text: Annotated[str, Hearsay(_CONTENT)]


class DisplayEvent(Event):
    """The cell showed something."""

    type: Annotated[Literal["display"], Checked(_ATTESTED)]
    data: Annotated[Mapping[Line, JsonValue], Field(max_length=20), Hearsay(_CONTENT)]
    display: Annotated[Count | None, Checked(_ATTESTED)] = None
    update: Annotated[bool, Hearsay("the program's word; what stands there is replaced")] = False


class ClearEvent(Event):
    """The cell cleared what it showed."""

    type: Annotated[Literal["clear"], Checked(_ATTESTED)]


class TableEvent(Event):
    """The cell showed a table."""

    type: Annotated[Literal["table"], Checked(_ATTESTED)]
    table: Annotated[Base64, Hearsay(_CONTENT)]
    shape: Annotated[Literal["frame", "series", "arrow", "polars", "polars series", "value"], Hearsay(_CONTENT)]
    rows: Annotated[Count, Checked(_ATTESTED)]
    of: Annotated[Count, Hearsay("the program's word where no owner limits rows; shown as how many there were")]
    note: Annotated[Line, Checked(_ATTESTED)]
    display: Annotated[Count | None, Checked(_ATTESTED)] = None
    update: Annotated[bool, Hearsay("the program's word; what stands there is replaced")] = False


class ErrorEvent(Event):
    """The cell raised."""

    type: Annotated[Literal["error"], Checked(_ATTESTED)]
    error: Annotated[Mapping[Line, JsonValue], Field(max_length=10), Hearsay(_CONTENT)]


class WithheldEvent(Event):
    """The gate held something back."""

    type: Annotated[Literal["withheld"], Checked(_ATTESTED)]
    what: Annotated[Counts, Checked(_ATTESTED)]


class EndEvent(Event):
    """The last word of the output on a cell."""

    type: Annotated[Literal["end"], Checked(_ATTESTED)]
    status: Annotated[Line, Checked(f"{_ATTESTED}; the receipt has it")]
    limit: Annotated[Line | None, Checked(f"{_ATTESTED}; the receipt has it")] = None
    allowed: Annotated[int | None, Checked(_ATTESTED)] = None
    code: Annotated[int | None, Hearsay("the program's exit code; shown beside how it ended")] = None
    seen: Annotated[Line | None, Checked(_ATTESTED)] = None  # what of a dead program was seen to end
    error: Annotated[Mapping[Line, JsonValue] | None, Field(max_length=10), Hearsay(_CONTENT)] = None
    alias: Annotated[Line | None, Checked(f"{_ATTESTED}: an input of the contract")] = None  # that was not opened
    column: Annotated[
        int | None, Hearsay("the program's word for which column it could not open; named from the signed manifest")
    ] = None
    sealed: Annotated[bool, Checked(_SEALED)] = False
    outputs: Annotated[tuple[Mapping[Line, JsonValue], ...], Field(max_length=256), Checked(_SEALED)] = ()
    missing: Annotated[
        Mapping[Line, Line | None], Field(max_length=256), Hearsay("the program's word; shown as what the cell gave")
    ] = Field(default_factory=dict)
    reasons: Annotated[
        Mapping[Line, Mapping[Line, Line]],
        Field(max_length=256),
        Hearsay("the program's word on its own columns; shown as what the gate found"),
    ] = Field(default_factory=dict)
    held_back: Annotated[tuple[Line, ...], Field(max_length=256), Checked(_ATTESTED)] = ()
    verdict: Annotated[
        Mapping[Line, JsonValue] | None, Field(max_length=20), Checked(f"{_ATTESTED}; the receipt has it")
    ] = None


class ClosedEvent(Event):
    """The last event of a session: why there will be no other cell."""

    type: Annotated[Literal["closed"], Checked(_ATTESTED)]
    reason: Annotated[Literal["asked", "idle", "wall", "cells", "limit", "died"], Checked(_ATTESTED)]


_EVENTS: dict[str, type[Event]] = {
    "key": KeyEvent,
    "fed": FedEvent,
    "running": WordEvent,
    "cancelled": WordEvent,
    "interrupted": WordEvent,
    "finished": FinishedEvent,
    "failed": FailedEvent,
    "stream": StreamEvent,
    "display": DisplayEvent,
    "clear": ClearEvent,
    "table": TableEvent,
    "error": ErrorEvent,
    "withheld": WithheldEvent,
    "end": EndEvent,
    "closed": ClosedEvent,
}


def check_event(value: Any) -> dict[str, Any]:
    """An event of one of the known forms.

    Raises:
        MalformedDocument: it is of none.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    known = _EVENTS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise MalformedDocument("A container group sent an event of no known kind.", expected=", ".join(_EVENTS))
    known.from_json(value)
    return dict(value)

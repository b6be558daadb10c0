"""Every answer of an authority's API, once: what the door sends, and what its client is willing to read.

Each is parsed strictly and within bounds. A model says what was told, not that it is true: each field is marked
with how it becomes true (:mod:`sls_jupyter.provenance`). That the authority itself said it is the transport's
business: it signs every answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from sls_jupyter.contract.spec import MAX_CELLS
from sls_jupyter.documents import Base64, Did, Digest, Model, Timestamp
from sls_jupyter.policy.facts import Decision
from sls_jupyter.provenance import Checked, Hearsay
from sls_jupyter.transparency.checkpoint import MAX_TREE_SIZE
from sls_jupyter.transparency.proofs import DisclosedEntry

MAX_PAGE = 100  # items of one page
MAX_CODE_CHARACTERS = 2**20
MAX_PARAMETERS_BYTES = 4 * 2**20
MAX_PARAMETERS_CHARACTERS = (MAX_PARAMETERS_BYTES + 2) // 3 * 4  # of base64
MAX_ROOTS = 64  # of simulated processors that an authority names
MAX_ENTRIES = 4096  # of one run's history
MAX_EXTENDS = 64  # earlier sizes of a log, in one question
MAX_RECEIPT_WAIT = 4  # seconds that an authority waits for a receipt before it answers; it stops serving in 5

AssetState = Literal["active", "superseded", "withdrawn", "shredded"]
RequestState = Literal["open", "granted", "approved", "denied"]
EnvelopeText = Annotated[str, Field(min_length=2, max_length=4 * 2**20)]  # canonical JSON of a DSSE envelope
EnvelopeJson = Annotated[Mapping[str, JsonValue], Field(max_length=8)]  # the same as an object
ShortLine = Annotated[str, Field(max_length=500)]
RootPin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256 of a root's SPKI, hex
Count = Annotated[int, Field(ge=0, lt=2**53)]
Index = Annotated[int, Field(ge=0, le=MAX_TREE_SIZE)]

_LOGGED = "the log's proof of that index (transparency.proofs.verify_log_proof), where the caller needs it"


class About(Model):
    """``GET /v1/authority``: who answers."""

    did: Annotated[Did, Checked("the signature of this very answer (authority.transport), and the DID expected")]
    origin: Annotated[ShortLine, Checked("log_origin(did) (authority.client.about)")]
    owner: Annotated[Did, Checked("the signer of owner_contact and of the appointment (authority.client.about)")]
    owner_contact: Annotated[EnvelopeText, Checked("the owner's signature (documents.verify in client.about)")]
    appointment: Annotated[EnvelopeText, Checked("the owner's signature, and the DID of this authority (client.about)")]
    hpke_public_key: Annotated[Base64, Field(max_length=4096), Checked("the signature of this very answer")]
    log_key: Annotated[ShortLine, Hearsay("nobody is shown it: the key follows from the DID")]
    witness_key: Annotated[ShortLine, Hearsay("nobody is shown it: the key follows from the DID")]
    tees: Annotated[
        tuple[ShortLine, ...],
        Field(max_length=16),
        Hearsay("shown as the kinds that the authority says it believes; a release decides"),
    ]
    simulated_roots: Annotated[
        tuple[RootPin, ...] | None,
        Field(max_length=MAX_ROOTS),
        Hearsay("shown as the roots that the authority says it believes; a release decides"),
    ] = None  # None: it does not say, as one of an earlier version, whose ``tees`` names the simulated kind at most
    version: Annotated[ShortLine, Hearsay("named as what the authority says of itself")]


class PublishAnswer(Model):
    """``POST /v1/assets``."""

    id: Annotated[Digest, Checked("the digest of the manifest that was sent (session.catalogue)")]
    entry: Annotated[Index, Checked(_LOGGED)]


class AssetAnswer(Model):
    """An asset of the catalogue."""

    id: Annotated[Digest, Checked("the digest of the manifest (assets.opening.verify_manifest)")]
    state: Annotated[AssetState, Hearsay("a card calls it the authority's word; a grant decides")]
    manifest: Annotated[EnvelopeJson, Checked("its owner's signature (assets.opening.verify_manifest)")]
    policy: Annotated[EnvelopeJson, Checked("its owner's signature, and the manifest's digest (session.catalogue)")]
    module: Annotated[str | None, Field(max_length=2**20), Checked("the policy's digest of it, by whoever reads it")]


class WithdrawAnswer(Model):
    """``DELETE /v1/assets/{asset}``."""

    entry: Annotated[Index, Checked(_LOGGED)]
    closed: Annotated[Count, Hearsay("shown as how many versions this authority says that it closed")]
    versions: Annotated[Count, Hearsay("shown as how many versions this authority says that there are")]
    shredded: Annotated[Count, Hearsay("shown as how many of them have no keys any more, as this authority says")]


class FileAnswer(Model):
    """One file of a code asset."""

    path: Annotated[str, Field(max_length=4096), Checked("the manifest's list of files (session.inbox)")]
    content: Annotated[Base64, Field(max_length=8 * 2**20), Checked("the manifest's digest of it (session.inbox)")]


class FilesAnswer(Model):
    """``GET /v1/assets/{id}/files``, of code that is not confidential."""

    files: Annotated[tuple[FileAnswer, ...], Field(max_length=4096), Checked("field by field, see there")]


class MutesAnswer(Model):
    """``GET /v1/mutes``."""

    muted: Annotated[tuple[Did, ...], Field(max_length=10_000), Hearsay("shown as the authority's list")]


class MutedAnswer(Model):
    """``POST /v1/mutes``."""

    dropped: Annotated[Count, Hearsay("shown as how many requests the authority says that it dropped")]


class EntryAnswer(Model):
    """An index of the log: of approvals, denials, records and ends."""

    entry: Annotated[Index, Checked(_LOGGED)]


class DecisionAnswer(Model):
    """One asset's decision."""

    asset: Annotated[Digest, Checked("the inputs of the spec that was sent (safestream.request)")]
    decision: Annotated[Decision, Hearsay("shown as what this owner's authority decides; a grant is signed")]


class SubmitAnswer(Model):
    """``POST /v1/requests`` and ``/v1/cells``."""

    request: Annotated[Digest, Checked("the terms of what was sent (safestream.request)")]
    verdict: Annotated[Literal["allow", "ask", "deny"], Hearsay("shown as what this owner's authority says")]
    decisions: Annotated[tuple[DecisionAnswer, ...], Field(max_length=64), Checked("field by field, see there")]
    grants: Annotated[
        tuple[EnvelopeJson, ...], Field(max_length=64), Checked("the authority's signature (safestream.request)")
    ]
    cell_grant: Annotated[
        EnvelopeJson | None, Checked("the authority's signature (contract.cells.verify_cell_grants)")
    ] = None  # in a session


class RequestSummary(Model):
    """One request in a page of an inbox, without its code."""

    id: Annotated[Digest, Checked("the terms of spec and order (session.inbox)")]
    seq: Annotated[int, Field(ge=0, le=MAX_TREE_SIZE), Hearsay("nobody is shown it: only where the next page begins")]
    state: Annotated[RequestState, Hearsay("shown as the state at this authority; it decides again itself")]
    created_at: Annotated[Timestamp, Hearsay("shown as when this authority says that it came")]
    spec: Annotated[EnvelopeText, Checked("its requester's signature (session.inbox)")]
    order: Annotated[EnvelopeText | None, Checked("the same requester's signature, for this spec (session.inbox)")]
    contact: Annotated[EnvelopeText | None, Checked("the requester's signature; the name in it is self-chosen")]


class RequestPage(Model):
    """``GET /v1/requests``: newest first."""

    requests: Annotated[tuple[RequestSummary, ...], Field(max_length=MAX_PAGE), Checked("field by field, see there")]
    next: Annotated[
        int | None, Field(ge=0, le=MAX_TREE_SIZE), Hearsay("nobody is shown it: ``after`` of the next page")
    ]


class CellAnswer(Model):
    """One cell of a session that came before the newest."""

    code: Annotated[str, Field(max_length=MAX_CODE_CHARACTERS), Checked("the order's digest of it (session.inbox)")]
    parameters: Annotated[
        Base64, Field(max_length=MAX_PARAMETERS_CHARACTERS), Checked("the order's digest of it (session.inbox)")
    ]


class RequestDetail(RequestSummary):
    """``GET /v1/requests/{terms}``: all that a reviewer needs. In a session, ``code`` is the newest cell's."""

    code: Annotated[
        str, Field(max_length=MAX_CODE_CHARACTERS), Checked("the digest of it in spec or order (session.inbox)")
    ]
    parameters: Annotated[
        Base64,
        Field(max_length=MAX_PARAMETERS_CHARACTERS),
        Checked("the digest of it in spec or order (session.inbox)"),
    ]
    before: Annotated[
        tuple[CellAnswer, ...] | None, Field(max_length=MAX_CELLS), Checked("field by field, see there")
    ]  # the notebook up to the newest cell; None: a run
    approved_cells: Annotated[
        Count, Hearsay("shown as how many cells this authority says were approved before; all of them stand there")
    ]
    approval: Annotated[
        EnvelopeText | None, Checked("the caller's own signature, over the code of these cells (session.inbox)")
    ]  # the caller's own of before, of a session that begins with those


class ChallengeAnswer(Model):
    """``POST /v1/challenges/{spec}``."""

    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z"), Hearsay("random; only its issuer compares it")]


class ReleaseAnswer(Model):
    """``POST /v1/release``."""

    sealed_keys: Annotated[Base64, Field(max_length=2**20), Checked("opens with the guest's key (guest.keys)")]
    columns: Annotated[
        tuple[Annotated[str, Field(max_length=2000)], ...] | None,
        Field(max_length=16_384),
        Checked("the grant that the authority signed (guest.input)"),
    ]
    entry: Annotated[Index, Checked("the index in ``logged``")]
    logged: Annotated[DisclosedEntry, Checked("the log's signature (transparency.proofs.verify_disclosed)")]
    sealed_pass: Annotated[
        Base64 | None,
        Field(max_length=2 * 2**20),
        Checked("opens with the guest's key; place, parts and time by the manifest (assets.azure.read_pass)"),
    ] = None  # of assets in a storage that only its owner's people may read

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Without a pass there is no such member."""
        return {name: value for name, value in written(self).items() if (name, value) != ("sealed_pass", None)}


class ExtendsAnswer(Model):
    """That a log's tree begins with an earlier one."""

    tree_size: Annotated[Index, Checked("the checkpoints of both (receipt.verify)")]  # of the earlier one
    hashes: Annotated[tuple[Base64, ...], Field(max_length=128), Checked("the checkpoints of both (receipt.verify)")]


class HistoryAnswer(Model):
    """``GET /v1/runs/{spec}``."""

    log: Annotated[Did, Checked("the DID of the authority that was asked")]
    entries: Annotated[
        tuple[DisclosedEntry, ...],
        Field(max_length=MAX_ENTRIES),
        Checked("the log's signature (transparency.proofs.verify_disclosed)"),
    ]
    records: Annotated[str | None, Field(max_length=2 * 2**20), Checked("the receipt's head (receipt.verify)")]
    receipt: Annotated[EnvelopeText | None, Checked("the hardware's signature (receipt.verify)")]
    extends: Annotated[
        tuple[ExtendsAnswer, ...], Field(max_length=MAX_EXTENDS), Checked("field by field, see there")
    ] = ()
    # of the sizes that were asked about, up to the tree that the receipt's entry is proven in


class Consistency(Model):
    """``GET /v1/log/consistency/{old}/{new}`` is its ``hashes``."""

    hashes: Annotated[
        tuple[Base64, ...], Field(max_length=128), Checked("both checkpoints (transparency.memory.CheckpointMemory)")
    ]


class TakenAnswer(Model):
    """``POST /v1/log/cosignatures/{tree_size}``."""

    taken: Annotated[int, Field(ge=0, le=64), Hearsay("nobody is shown it")]

"""What a receipt states: an in-toto Statement whose predicate is one execution.

Subjects are the results, by digests that tell nothing about their content; the predicate names the
contract, the inputs with everything their owners signed, the group, the gate's verdict and the records.
No cell, no table and no key is in it. Claims of the hardware are not repeated: they stand in the
evidence that signs the statement, and are read from there only.

Source: in-toto Attestation Framework, Statement v1 and ResourceDescriptor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, FailFast, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.documents import (
    Base64,
    Digest,
    Document,
    Model,
    Name,
    ShortText,
    Timestamp,
    canonical_model_json,
)
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.transparency.proofs import DisclosedEntry

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sls-jupyter:receipt:v2"
PREDICATE_BEFORE = "urn:sls-jupyter:receipt:v1"  # without sessions; its predicate has no member ``cell``

RunStatus = Literal["ok", "error", "limit", "died", "malformed", "failed", "stopped"]
RUN_STATES: Mapping[RunStatus, str] = {
    "ok": "ended by itself",
    "error": "the cell raised",
    "limit": "stopped at a limit",
    "died": "the program ended before its cell did",
    "malformed": "the program broke its protocol",
    "failed": "a container of the group failed",
    "stopped": "stopped from outside",
}

Count = Annotated[int, Field(ge=0, lt=2**53)]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z")]


class DigestSet(Model):
    sha256: Hex64


class Subject(Model):
    """One result (in-toto ResourceDescriptor); :mod:`sls_jupyter.guest.bundle` says which bytes are hashed."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    digest: DigestSet

    @classmethod
    def of(cls, name: str, digest: str) -> Self:
        """From a digest as this project writes it, ``sha256:…``."""
        return cls(name=name, digest=DigestSet(sha256=digest.removeprefix("sha256:")))


class Signature(Model):
    keyid: ShortText
    sig: Base64


class EnvelopeJson(Model):
    """Somebody's DSSE envelope inside the statement; :meth:`encode` gives its exact bytes back."""

    payload: Base64
    payloadType: ShortText  # noqa: N815  # DSSE's own name
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=1)]

    @classmethod
    def of(cls, envelope: bytes) -> Self:
        """From an envelope's bytes; nothing is verified.

        Raises:
            MalformedDocument: not an envelope with one signature.
        """
        try:
            return cls.read(envelope)
        except MalformedDocument:
            raise MalformedDocument("This is not a DSSE envelope with one signature.") from None

    def encode(self) -> bytes:
        return canonical_model_json(self.model_dump(mode="json"))


class InputRecord(Model):
    """One input of the run, with what its owner and its authority signed."""

    alias: Name
    manifest: EnvelopeJson  # AssetManifest, by the owner
    grant: EnvelopeJson  # Grant, by the authority
    released: DisclosedEntry | None  # key.released in the authority's log; None: no key came


class ImageRecord(Model):
    """The guest image, as :class:`sls_jupyter.contract.image.GuestImage` has it."""

    reference: ShortText
    layers: tuple[Hex64, ...]
    measurement: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{96})?\Z")]  # 48 bytes

    @classmethod
    def of(cls, image: GuestImage) -> Self:
        return cls(reference=image.reference, layers=image.layers, measurement=image.measurement.hex())

    def image(self) -> GuestImage:
        return GuestImage(self.reference, self.layers, bytes.fromhex(self.measurement))


class GroupRecord(Model):
    image: ImageRecord
    cce_policy: Annotated[str, Field(max_length=2**18)]  # the very text; its SHA-256 is HOST_DATA


class GateVerdict(Model):
    """What the output gate enforced, and how much of what kind it let through and held back."""

    rules: Obligations
    released: dict[ShortText, Count]
    withheld: dict[ShortText, Count]
    bytes: Count


class RunRecord(Model):
    """How the run ended. The times are the group's clock, which its host sets."""

    status: RunStatus
    limit: ShortText | None  # the name of the limit that was crossed
    started_at: Timestamp  # the contract was accepted
    ended_at: Timestamp


class ChainRecord(Model):
    """The audit sidecar's records: the head of their chain and their number."""

    head: Digest
    count: Count


class CellRecord(Model):
    """Which cell of its session this was, with what its requester and the authorities signed about it."""

    order: EnvelopeJson  # CellOrder, by the requester
    grants: Annotated[tuple[EnvelopeJson, ...], FailFast(), Field(min_length=1, max_length=64)]
    # CellGrant, of each authority, in the order of the spec's
    previous: Digest | None  # the receipt of the cell before, by its identifier; None: the first cell


class Predicate(Model):
    spec: EnvelopeJson  # StreamSpec, by the requester
    inputs: Annotated[tuple[InputRecord, ...], FailFast(), Field(max_length=64)]  # in the order of the spec
    group: GroupRecord
    gate: GateVerdict | None  # None: the output container was gone before its gate could say
    run: RunRecord
    records: ChainRecord
    cell: CellRecord | None = None  # None: a run


class Statement(Document):
    """The payload that the hardware signs. One of the first version is read too, and is a run's."""

    payload_type: ClassVar[str] = "application/vnd.in-toto+json"
    model_config = ConfigDict(serialize_by_alias=True)

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Subject, ...], FailFast(), Field(min_length=1, max_length=1000)]
    predicate_type: Literal["urn:sls-jupyter:receipt:v1", "urn:sls-jupyter:receipt:v2"] = Field(alias="predicateType")
    predicate: Predicate

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        if self.predicate_type == PREDICATE_BEFORE and self.predicate.cell is not None:
            raise ValueError("cell: there were no sessions in this version")
        return self

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        value: dict[str, Any] = written(self)
        if self.predicate_type == PREDICATE_BEFORE:
            value["predicate"] = {name: one for name, one in value["predicate"].items() if name != "cell"}
        return value

    def subjects(self) -> dict[str, str]:
        """Digest (``sha256:…``) by name.

        Raises:
            MalformedDocument: a name stands twice.
        """
        found = {one.name: f"sha256:{one.digest.sha256}" for one in self.subject}
        if len(found) < len(self.subject):
            raise MalformedDocument("A receipt names one result twice.")
        return found

    @classmethod
    def make(cls, subject: tuple[Subject, ...], predicate: Predicate) -> Self:
        """A statement of today's types."""
        fields: dict[str, Any] = {"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE}
        return cls(**fields, subject=subject, predicate=predicate)

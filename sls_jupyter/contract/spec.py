"""The stream spec: the signed contract of one execution.

Every word of it ends up in HOST_DATA: the container group is derived from the spec's digest, and the
hardware report carries the digest of that group's policy. A spec without its nonce and its times is
its *terms*: what a person approves once and may then see run again.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, ClassVar, Literal

from pydantic import FailFast, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sls_jupyter.contract.platform import FragmentName
from sls_jupyter.documents import (
    Base64,
    Did,
    Digest,
    Document,
    Envelope,
    Model,
    Name,
    OneLine,
    ShortText,
    Timestamp,
    b64decode,
    b64encode,
    canonical_model_json,
    digest,
    verify,
)
from sls_jupyter.errors import MalformedDocument, SignatureInvalid
from sls_jupyter.hpke import PUBLIC_KEY_BYTES
from sls_jupyter.identity import Contact, verify_signature

Kind = Literal["table", "text", "figure"]
KINDS: tuple[Kind, ...] = ("table", "text", "figure")
MAX_CELLS = 1000  # of a session
SPEC_SECONDS = 24 * 3600  # default lifetime of a spec, long enough for a person to approve it


class AssetInput(Model):
    """One sealed asset in a stream."""

    alias: Name  # the variable in the cell; of a code asset, its name in messages
    asset: Digest  # of the manifest
    kind: Literal["table", "code"]
    columns: tuple[str, ...] | None  # sorted; None: every column the owner lets go
    owner: Did
    authority: Did
    authority_url: OneLine


class Recipient(Model):
    """Somebody results are sealed to: their signed contact, spelled out.

    The signature is the recipient's own, so that a requester cannot put a key of their own choice beside
    another person's DID. The name is what the recipient calls themselves: signed, and still only their word.
    """

    did: Did
    name: OneLine
    hpke_public_key: Base64  # X-Wing, 1216 bytes
    signature: Base64  # Ed25519 by ``did`` over the PAE of the Contact with these three fields

    @classmethod
    def of(cls, contact: bytes) -> Recipient:
        """From the DSSE envelope of a :class:`~sls_jupyter.identity.Contact`, which is verified.

        Raises:
            MalformedDocument, SignatureInvalid: it is not one, or not signed by the person it names.
        """
        person = verify(contact, Contact, verify_signature, did=None)
        signature = Envelope.parse(contact, Contact.payload_type).signature
        return cls(**person.model_dump(), signature=b64encode(signature))

    def contact(self) -> Contact:
        """The document that the signature is over."""
        return Contact(did=self.did, name=self.name, hpke_public_key=self.hpke_public_key)

    def envelope(self) -> bytes:
        """The contact as it was signed: its DSSE envelope."""
        return self._envelope().encode()

    def _envelope(self) -> Envelope:
        contact = self.contact()
        return Envelope(contact.payload_type, contact.payload(), self.did, b64decode(self.signature))

    @property
    def key_digest(self) -> str:
        """SHA-256 of the HPKE public key, as an owner pins it."""
        return digest(b64decode(self.hpke_public_key))

    def verify(self) -> None:
        """Check that the person whom ``did`` names signed this key.

        Raises:
            SignatureInvalid: somebody else chose the key. MalformedDocument: it is no X-Wing key.
        """
        signed, key = self._envelope(), b64decode(self.hpke_public_key)
        try:
            verify_signature(self.did, signed.signature, signed.pae())
        except SignatureInvalid as error:
            raise SignatureInvalid(
                "A recipient's key is not signed by the recipient.",
                found=f"a key beside {self.did}",
                expected=error.expected,
                hint="Take the recipient's own contact file (%sls contact) and ask again.",
            ) from None
        if len(key) != PUBLIC_KEY_BYTES:
            raise MalformedDocument(
                "A recipient's key is not an X-Wing key.",
                found=f"{len(key)} bytes",
                expected=f"{PUBLIC_KEY_BYTES} bytes",
            )


class Limits(Model):
    """What the program may use; crossing one ends the run and is logged with its name."""

    cpus: Annotated[int, Field(ge=1, le=31)] = 1
    cpu_seconds: Annotated[int, Field(ge=1, le=7 * 86400)] = 600
    wall_seconds: Annotated[int, Field(ge=1, le=7 * 86400)] = 600
    memory_bytes: Annotated[int, Field(ge=64 * 2**20, le=180 * 2**30)] = 2 * 2**30
    processes: Annotated[int, Field(ge=1, le=4096)] = 64
    output_bytes: Annotated[int, Field(ge=1, le=2**40)] = 64 * 2**20

    def within(self, other: Limits) -> bool:
        """Whether none of these is higher than the other's."""
        return all(getattr(self, name) <= getattr(other, name) for name in type(self).model_fields)


class SessionTerms(Model):
    """How long a session may live, and what may leave it. Its code comes later, in orders (:mod:`~sls_jupyter.contract.cells`).

    A spec's own limits are those of the group, and of each cell by itself: its wall time and its output. The time of the
    processor is counted over the whole session.
    """

    cells: Annotated[int, Field(ge=1, le=MAX_CELLS)] = 100
    idle_seconds: Annotated[int, Field(ge=1, le=86400)] = 1800  # between the end of a cell and the order of the next
    wall_seconds: Annotated[int, Field(ge=1, le=7 * 86400)] = 8 * 3600  # from the first cell to the end of the last
    output_bytes: Annotated[int, Field(ge=1, le=2**40)] = 2**30  # of all cells together


class StreamSpec(Document):
    """The run contract. Two specs that mean the same have the same bytes.

    With ``session`` it is the contract of a session: inputs, recipients, limits and all else are fixed and measured, and
    the code, its parameters and its outputs come cell by cell in signed orders.
    """

    payload_type: ClassVar[str] = "application/vnd.sls.stream-spec.v4+json"
    deeply_frozen: ClassVar[bool] = True
    max_payload_bytes: ClassVar[int] = 2**19  # a receipt has to hold it beside everything else

    requester: Did
    purpose: ShortText
    inputs: Annotated[tuple[AssetInput, ...], FailFast(), Field(min_length=1, max_length=64)]  # sorted by alias
    code: Digest | None  # of the cell's exact UTF-8 text; None: a session
    parameters: Digest | None  # of the parameter bundle's bytes; None: a session
    outputs: Annotated[tuple[Name, ...], Field(max_length=256)]  # named tables, sorted
    kinds: tuple[Kind, ...]  # what the requester asks to see, in the order of KINDS
    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1, max_length=16)]  # sorted by DID
    limits: Limits
    tees: tuple[ShortText, ...]  # kinds of TEE the requester accepts, sorted
    fragments: tuple[FragmentName, ...] = ()  # whose signed containers may join the group, sorted
    session: SessionTerms | None = None
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\Z")]
    issued_at: Timestamp
    expires_at: Timestamp

    def signer(self) -> str:
        return self.requester

    @model_validator(mode="after")
    def _one_spelling(self) -> StreamSpec:
        aliases = [item.alias for item in self.inputs]
        if aliases != sorted(set(aliases)):
            raise ValueError("inputs: aliases are unique and sorted")
        if len(self.authorities()) > len({item.authority for item in self.inputs}):
            raise ValueError("inputs: one authority has one URL")
        if len({item.asset for item in self.inputs}) < len(self.inputs):
            raise ValueError("inputs: each asset once")
        for item in self.inputs:
            if item.columns is not None and list(item.columns) != sorted(set(item.columns)):
                raise ValueError(f"inputs: the columns of {item.alias} are unique and sorted")
        for field, values in (
            ("outputs", self.outputs),
            ("tees", self.tees),
            ("fragments", self.fragments),
            ("recipients", tuple(person.did for person in self.recipients)),
        ):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{field}: unique and sorted")
        if list(self.kinds) != [kind for kind in KINDS if kind in self.kinds]:
            raise ValueError("kinds: unique and in order")
        if self.expires_at <= self.issued_at:
            raise ValueError("expires_at: after issued_at")
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> StreamSpec:
        has_code = [self.code is not None, self.parameters is not None]
        if self.session is None and not all(has_code):
            raise ValueError("code, parameters: needed, but in a session")
        if self.session is not None and (any(has_code) or self.outputs):
            raise ValueError("code, parameters, outputs: a session's come with its orders")
        return self

    @property
    def terms(self) -> str:
        """Digest of what this spec asks for, whenever it is asked: without nonce and times."""
        return self._digest_without("nonce", "issued_at", "expires_at")

    @property
    def terms_but_limits(self) -> str:
        """Digest of the terms without the limits: specs that differ in nothing else ask for the same, with more or less."""
        return self._digest_without("nonce", "issued_at", "expires_at", "limits")

    def is_within(self, approved: StreamSpec) -> bool:
        """Whether an approval of another spec's terms holds for this one: all else is equal, and no limit is higher."""
        return self.terms_but_limits == approved.terms_but_limits and self.limits.within(approved.limits)

    def _digest_without(self, *fields: str) -> str:
        without = " ".join(fields)
        return self._once(
            without, lambda: digest(canonical_model_json(self.model_dump(mode="json", exclude=set(fields))))
        )

    @property
    def code_digests(self) -> tuple[str, ...]:
        """All code that the spec names: the cell, where it has one, then each code asset."""
        cell = () if self.code is None else (self.code,)
        return (*cell, *(item.asset for item in self.inputs if item.kind == "code"))

    def inputs_of(self, authority: str) -> tuple[AssetInput, ...]:
        """The inputs that one authority decides on."""
        return tuple(item for item in self.inputs if item.authority == authority)

    def authorities(self) -> tuple[tuple[str, str], ...]:
        """Each authority that has to grant, as (DID, URL), sorted."""
        return tuple(sorted({(item.authority, item.authority_url) for item in self.inputs}))


class StreamSpecBefore(StreamSpec):
    """A run's spec as it was signed before there were sessions: in receipts of that time, and nowhere else."""

    payload_type: ClassVar[str] = "application/vnd.sls.stream-spec.v3+json"

    @model_validator(mode="after")
    def _no_session(self) -> StreamSpecBefore:
        if self.session is not None:
            raise ValueError("session: there were none")
        return self

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in written(self).items() if name != "session"}


def verify_stated_spec(envelope: bytes) -> StreamSpec:
    """As :func:`verify_stream_spec`, of a spec in a receipt, which may be older than sessions."""
    if f'"{StreamSpecBefore.payload_type}"'.encode() not in envelope:
        return verify_stream_spec(envelope)
    spec: StreamSpec = verify(envelope, StreamSpecBefore, verify_signature, did=None)
    for person in spec.recipients:
        person.verify()
    return spec


def verify_stream_spec(envelope: bytes, *, did: str | None = None) -> StreamSpec:
    """Check the requester's signature on a spec and every recipient's on their own key. The one way to trust a spec.

    What is *not* checked here: the spec's times, its digest, whether anybody granted it.

    Args:
        did: who must have signed; ``None`` takes the requester that the spec itself names.

    Raises:
        MalformedDocument: the envelope, the spec, or a recipient's key.
        SignatureInvalid: another signer, or a signature that does not verify.
    """
    spec = verify(envelope, StreamSpec, verify_signature, did=did)
    for person in spec.recipients:
        person.verify()
    return spec


def fresh_nonce() -> str:
    """16 random bytes in hex: makes each run's spec, hence its HOST_DATA, another one."""
    return secrets.token_hex(16)

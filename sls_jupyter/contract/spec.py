"""The stream spec: the signed contract of one execution.

Every word of it ends up in HOST_DATA: the container group is derived from the spec's digest, and the
hardware report carries the digest of that group's policy. A spec without its nonce and its times is
its *terms*: what a person approves once and may then see run again.
"""

from __future__ import annotations

import secrets
from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field, model_validator

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
    canonical_json,
    digest,
    verify,
)
from sls_jupyter.errors import MalformedDocument, SignatureInvalid
from sls_jupyter.hpke import PUBLIC_KEY_BYTES
from sls_jupyter.identity import Contact, verify_signature

Kind = Literal["table", "text", "figure"]
KINDS: tuple[Kind, ...] = ("table", "text", "figure")
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


class StreamSpec(Document):
    """The run contract. Two specs that mean the same have the same bytes."""

    payload_type: ClassVar[str] = "application/vnd.sls.stream-spec.v2+json"
    max_payload_bytes: ClassVar[int] = 2**19  # a receipt has to hold it beside everything else

    requester: Did
    purpose: ShortText
    inputs: Annotated[tuple[AssetInput, ...], FailFast(), Field(min_length=1, max_length=64)]  # sorted by alias
    code: Digest  # of the cell's exact UTF-8 text
    parameters: Digest  # of the parameter bundle's bytes
    outputs: Annotated[tuple[Name, ...], Field(max_length=256)]  # named tables, sorted
    kinds: tuple[Kind, ...]  # what the requester asks to see, in the order of KINDS
    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1, max_length=16)]  # sorted by DID
    limits: Limits
    tees: tuple[ShortText, ...]  # kinds of TEE the requester accepts, sorted
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
            ("recipients", tuple(person.did for person in self.recipients)),
        ):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{field}: unique and sorted")
        if list(self.kinds) != [kind for kind in KINDS if kind in self.kinds]:
            raise ValueError("kinds: unique and in order")
        if self.expires_at <= self.issued_at:
            raise ValueError("expires_at: after issued_at")
        return self

    @property
    def terms(self) -> str:
        """Digest of what this spec asks for, whenever it is asked: without nonce and times."""
        value = self.model_dump(mode="json", exclude={"nonce", "issued_at", "expires_at"})
        return digest(canonical_json(value))

    @property
    def code_digests(self) -> tuple[str, ...]:
        """All code that will run: the cell, then each code asset."""
        return (self.code, *(item.asset for item in self.inputs if item.kind == "code"))

    def inputs_of(self, authority: str) -> tuple[AssetInput, ...]:
        """The inputs that one authority decides on."""
        return tuple(item for item in self.inputs if item.authority == authority)

    def authorities(self) -> tuple[tuple[str, str], ...]:
        """Each authority that has to grant, as (DID, URL), sorted."""
        return tuple(sorted({(item.authority, item.authority_url) for item in self.inputs}))


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

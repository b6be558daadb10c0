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
    Model,
    Name,
    ShortText,
    Timestamp,
    canonical_json,
    digest,
)

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
    authority_url: ShortText


class Recipient(Model):
    """Somebody results are sealed to."""

    did: Did
    hpke_public_key: Base64  # X-Wing, 1216 bytes


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

    payload_type: ClassVar[str] = "application/vnd.sls.stream-spec.v1+json"
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


def fresh_nonce() -> str:
    """16 random bytes in hex: makes each run's spec, hence its HOST_DATA, another one."""
    return secrets.token_hex(16)

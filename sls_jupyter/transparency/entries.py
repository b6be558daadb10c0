"""Log entries: what happened, in facts that concern nobody, and a commitment to the rest.

An entry never holds code, outputs, names or DIDs. What it meant (who, which asset, which run) is its
*meaning*, and the entry commits to it with a salt::

    commitment = SHA-256(lp("sls-jupyter/entry/v1", salt, canonical_json(meaning)))

The salt is given to the parties only. Whoever has it can show what an entry meant; when all have
forgotten it, nobody can. No entry is signed on its own: the log's checkpoint signs them all.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from sls_jupyter.documents import Digest, Document, Timestamp, canonical_model_json, digest, lp
from sls_jupyter.errors import BadInput, DigestMismatch

SALT_BYTES = 32
_LABEL = "sls-jupyter/entry/v1"

EntryKind = Literal[
    "asset.published",
    "asset.withdrawn",
    "asset.shredded",
    "policy.changed",
    "request.received",
    "decision.made",
    "approval.given",
    "denial.given",
    "evidence.accepted",
    "evidence.refused",
    "key.released",
    "key.refused",
    "run.started",
    "run.ended",
    "run.killed",
    "run.records",
    "output.released",
    "output.refused",
]
Fact = str | int | bool

FACTS: Mapping[EntryKind, frozenset[str]] = {
    "asset.published": frozenset({"asset_kind", "parts", "version"}),
    "asset.withdrawn": frozenset({"reason"}),
    "asset.shredded": frozenset({"keys", "reason"}),
    "policy.changed": frozenset({"policy_kind"}),
    "request.received": frozenset({"assets", "outputs", "cell"}),
    "decision.made": frozenset({"verdict", "assets", "reasons", "cell"}),
    "approval.given": frozenset({"cell"}),
    "denial.given": frozenset({"cell"}),
    "evidence.accepted": frozenset({"tee", "measurement"}),
    "evidence.refused": frozenset({"tee", "check", "reason", "reasons"}),
    "key.released": frozenset({"tee", "measurement", "keys", "columns"}),
    "key.refused": frozenset({"tee", "check", "reason", "reasons"}),
    "run.started": frozenset({"tee"}),
    "run.ended": frozenset({"tee", "status", "records"}),
    "run.killed": frozenset({"tee", "limit", "reason", "records"}),
    "run.records": frozenset({"tee", "record_root", "records", "receipt", "keys", "cell"}),
    "output.released": frozenset({"verdict", "outputs", "bytes"}),
    "output.refused": frozenset({"verdict", "outputs", "reason"}),
}
"""Which facts an entry of each kind may have; all are optional."""

_COUNTS = frozenset({"parts", "version", "keys", "assets", "columns", "outputs", "check", "records", "bytes", "cell"})
_WORD = re.compile(r"[a-z][a-z0-9._-]{0,39}")  # a code of ours: no place for a sentence, a name or a DID
_PATTERNS = {
    "record_root": re.compile(r"sha256:[0-9a-f]{64}"),
    "receipt": re.compile(r"sha256:[0-9a-f]{64}"),
    "measurement": re.compile(r"[0-9a-f]{64}|[0-9a-f]{96}"),
    "reasons": re.compile(r"[a-z0-9,._-]{0,400}"),  # codes of ours with commas between them
}


def _is_allowed(name: str, value: Fact) -> bool:
    if name in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return isinstance(value, str) and _PATTERNS.get(name, _WORD).fullmatch(value) is not None


Facts = Annotated[
    Mapping[str, Fact], AfterValidator(lambda facts: MappingProxyType(dict(facts))), PlainSerializer(dict)
]


class Entry(Document):
    """One entry of a log; :meth:`payload` is what the tree hashes."""

    payload_type: ClassVar[str] = "application/vnd.sls.log-entry.v1+json"

    kind: EntryKind
    at: Timestamp
    facts: Facts = Field(default_factory=dict)
    commitment: Digest  # to salt and meaning

    def payload(self) -> bytes:
        """Canonical JSON. Names and values are ASCII and whole numbers, for which sorted JSON is RFC 8785's."""
        value = {"at": self.at, "commitment": self.commitment, "facts": dict(self.facts), "kind": self.kind}
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    @model_validator(mode="after")
    def _non_personal(self) -> Entry:
        for name, value in self.facts.items():
            if name not in FACTS[self.kind]:
                raise ValueError(f"facts: {name[:40]} may not be in an entry {self.kind}")
            if not _is_allowed(name, value):
                raise ValueError(f"facts: {name} is a count, a digest or a code of ours")
        return self


def fresh_salt() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(SALT_BYTES)


def commit(meaning: Mapping[str, Any], salt: bytes) -> str:
    """The commitment to a meaning.

    Args:
        meaning: JSON values.
        salt: 32 bytes, fresh for each entry; without it the meaning could be guessed.

    Raises:
        BadInput: the salt has another length.
        MalformedDocument: the meaning is not JSON.
    """
    return commit_bytes(canonical_model_json(dict(meaning)), salt)


def commit_bytes(meaning: bytes, salt: bytes) -> str:
    """:func:`commit`, of a meaning that is canonical JSON already."""
    if len(salt) != SALT_BYTES:
        raise BadInput("A log entry's salt has the wrong length.", found=f"{len(salt)} bytes", expected="32 bytes")
    return digest(lp(_LABEL, salt, meaning))


def make_entry(
    kind: EntryKind, *, at: int, facts: Mapping[str, Fact], meaning: Mapping[str, Any], salt: bytes
) -> Entry:
    """An entry that commits to ``meaning``.

    Args:
        at: seconds since 1970-01-01 UTC.
        facts: names from :data:`FACTS` of this kind.

    Raises:
        MalformedDocument: a fact that may not be in the log, or a meaning that is not JSON.
    """
    return Entry.from_json({"kind": kind, "at": at, "facts": dict(facts), "commitment": commit(meaning, salt)})


def open_commitment(entry: Entry, meaning: Mapping[str, Any], salt: bytes) -> None:
    """Check that an entry meant this.

    Raises:
        DigestMismatch: it meant something else, or the salt is another one's.
    """
    found = commit(meaning, salt)
    if found != entry.commitment:
        raise DigestMismatch(
            f"A log entry {entry.kind} does not commit to this meaning.", found=found, expected=entry.commitment
        )

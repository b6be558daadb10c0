"""A proof that an entry is in a log, in one document that needs nothing else to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from sls_jupyter.documents import Base64, Did, Document, Model, b64decode, b64encode
from sls_jupyter.errors import LogInconsistent, MalformedDocument
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.transparency.checkpoint import MAX_TREE_SIZE, Checkpoint, verify_checkpoint
from sls_jupyter.transparency.entries import Entry, open_commitment
from sls_jupyter.transparency.merkle import leaf_hash, verify_inclusion
from sls_jupyter.transparency.note import MAX_NOTE_BYTES


class LogProof(Document):
    """An entry, where it stands in which log, and the checkpoint that commits to it."""

    payload_type: ClassVar[str] = "application/vnd.sls.log-proof.v1+json"

    origin: Annotated[str, Field(min_length=1, max_length=500)]  # the log's name
    log: Did  # the log's key
    checkpoint: Annotated[str, Field(max_length=MAX_NOTE_BYTES)]  # a signed note, with its newlines
    index: Annotated[int, Field(ge=0, le=MAX_TREE_SIZE)]  # of the entry
    entry: Base64  # the bytes that the tree hashed
    hashes: Annotated[tuple[Base64, ...], Field(max_length=64)]  # from the leaf's sibling upwards

    @classmethod
    def make(
        cls, *, origin: str, log: str, checkpoint: bytes, index: int, entry: bytes, hashes: tuple[bytes, ...]
    ) -> LogProof:
        """A proof from its parts as bytes; none of them is verified here."""
        return cls.from_json(
            {
                "origin": origin,
                "log": log,
                "checkpoint": checkpoint.decode(errors="replace"),
                "index": index,
                "entry": b64encode(entry),
                "hashes": [b64encode(value) for value in hashes],
            }
        )


def verify_log_proof(proof: LogProof, *, expected_log: str | None) -> Entry:
    """Check a proof completely and return the entry that it proves.

    1. the log is the one expected
    2. its key signed the checkpoint, for this origin
    3. the entry is one of our documents
    4. the entry is in the tree of that checkpoint, at this index

    Args:
        expected_log: the DID of the log's key, known from elsewhere; ``None`` takes the one in the
            proof, which then proves only that *this* key vouches for the entry. The caller has to say so.

    What is *not* checked: whether the log showed others another tree, and what the entry's commitment
    means (:func:`sls_jupyter.transparency.entries.open_commitment`).

    Raises:
        LogInconsistent: steps 1 and 4, each with its own message.
        SignatureInvalid: step 2.
        MalformedDocument: a part that is not what it should be.
    """
    if expected_log is not None and proof.log != expected_log:  # 1
        raise LogInconsistent(
            "A log proof is by another log than the one expected.",
            found=proof.log,
            expected=expected_log,
            hint="Name the log that you trust, or ask for a proof by it.",
        )
    checkpoint = proof_checkpoint(proof)  # 2
    data = b64decode(proof.entry)
    entry = Entry.parse(data)  # 3
    hashes = tuple(b64decode(value) for value in proof.hashes)
    verify_inclusion(proof.index, checkpoint.tree_size, leaf_hash(data), hashes, checkpoint.root_hash)  # 4
    return entry


def proof_checkpoint(proof: LogProof) -> Checkpoint:
    """The checkpoint in a proof, verified with the key that the proof names.

    Raises:
        MalformedDocument, SignatureInvalid, LogInconsistent: as :func:`verify_checkpoint`.
    """
    return verify_checkpoint(proof.checkpoint.encode(), proof.origin, public_key_from_did(proof.log))


class DisclosedEntry(Model):
    """A proven entry with what it meant, as a party gets it."""

    proof: LogProof
    salt: Base64 | None  # None: forgotten
    meaning: Mapping[str, JsonValue] | None


def verify_disclosed(disclosed: DisclosedEntry, *, expected_log: str | None) -> Entry:
    """Check the proof, and that the entry commits to the meaning if there still is one.

    Raises:
        As :func:`verify_log_proof`. DigestMismatch: the entry meant something else.
        MalformedDocument: a meaning without its salt, which nobody can check, or the other way round.
    """
    entry = verify_log_proof(disclosed.proof, expected_log=expected_log)
    if (disclosed.meaning is None) != (disclosed.salt is None):
        raise MalformedDocument("A log entry's meaning comes with its salt, or both are forgotten.")
    if disclosed.meaning is not None and disclosed.salt is not None:
        open_commitment(entry, disclosed.meaning, b64decode(disclosed.salt))
    return entry

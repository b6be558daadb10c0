"""Checkpoints: what a log commits to, signed (C2SP ``tlog-checkpoint``).

::

    hospital.example/log                            origin
    17                                              tree size
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    root hash
                                                    then the signature lines of the note
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.documents import b64decode, b64encode
from sls_jupyter.errors import LogInconsistent, MalformedDocument
from sls_jupyter.transparency.merkle import EMPTY_ROOT, HASH_BYTES
from sls_jupyter.transparency.note import SignedNote, sign_note, verify_note

if TYPE_CHECKING:
    from sls_jupyter.identity import SigningKey

MAX_TREE_SIZE = 2**63 - 1
LOG_NAME = "sls-jupyter.log/"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def log_origin(did: str) -> str:
    """The name of the log of an authority, by its DID: a log that could choose one could show each reader another."""
    return LOG_NAME + did


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Text of a checkpoint. ``Checkpoint.parse(x).encode() == x``.

    Raises:
        MalformedDocument: values that no checkpoint has.
    """

    origin: str  # the log's name, never empty
    tree_size: int  # number of entries, 0 to MAX_TREE_SIZE
    root_hash: bytes  # 32
    extensions: tuple[str, ...] = ()  # opaque lines; we write none

    def __post_init__(self) -> None:
        if any(not line or "\n" in line for line in (self.origin, *self.extensions)):
            raise MalformedDocument("A line of a checkpoint is empty or holds a newline.")
        if not 0 <= self.tree_size <= MAX_TREE_SIZE:
            raise MalformedDocument("A checkpoint has an impossible tree size.", found=self.tree_size)
        if len(self.root_hash) != HASH_BYTES or (self.tree_size == 0 and self.root_hash != EMPTY_ROOT):
            raise MalformedDocument(
                "A checkpoint has an impossible root hash.",
                found=f"{len(self.root_hash)} bytes",
                expected="32 bytes, and SHA-256 of nothing for an empty tree",
                detail={"finding": "unproven"} if len(self.root_hash) == HASH_BYTES else {},
            )

    @classmethod
    def parse(cls, body: bytes) -> Checkpoint:
        """Read the text of a note that was verified before."""
        try:
            lines = body.decode().split("\n")
        except UnicodeDecodeError:
            raise MalformedDocument("A checkpoint is not UTF-8 text.") from None
        if len(lines) < 4 or lines[-1] or not _SIZE.fullmatch(lines[1]):
            raise MalformedDocument(
                "This is not a checkpoint.", expected="origin, tree size and root hash, each on its line"
            )
        return cls(lines[0], int(lines[1]), b64decode(lines[2]), tuple(lines[3:-1]))

    def encode(self) -> bytes:
        lines = (self.origin, str(self.tree_size), b64encode(self.root_hash), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The signed note of a checkpoint; the key's name is the origin.

    What is *not* checked here: that the log signed nothing that contradicts it. The caller advances
    its stored checkpoint by compare-and-swap and publishes afterwards.

    Raises:
        MalformedDocument: the origin cannot be a key's name (it has a space or a plus).
    """
    return sign_note(checkpoint.encode().decode(), checkpoint.origin, key).encode()


def verify_checkpoint(data: bytes, origin: str, public_key: bytes) -> Checkpoint:
    """Check a log's signature on a checkpoint and return what was signed.

    Args:
        data: a signed note; signatures of others (witnesses) are ignored.
        origin: name of the log that was asked, which is also the name of its key.
        public_key: 32 bytes, Ed25519, known from elsewhere.

    What is *not* checked: whether this log showed others another checkpoint
    (:mod:`sls_jupyter.transparency.memory`), and how old the checkpoint is.

    Raises:
        MalformedDocument: not a note, or its text is not a checkpoint.
        SignatureInvalid: not signed by this key.
        LogInconsistent: the key signed a checkpoint of another log.
    """
    text = verify_note(SignedNote.parse(data), origin, public_key)
    checkpoint = Checkpoint.parse(text.encode())
    if checkpoint.origin != origin:
        raise LogInconsistent("A checkpoint belongs to another log.", found=checkpoint.origin, expected=origin)
    return checkpoint

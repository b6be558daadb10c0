"""Witnessing a log: the ``add-checkpoint`` call of C2SP ``tlog-witness``, from both of its sides, without HTTP.

A witness keeps the last checkpoint of each log it was told about, and cosigns a new one only if a proof
shows that it extends that one. The request is text::

    old 20852014                                    the size that the witness has seen
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=    the consistency proof, a hash a line
                                                    an empty line, then the checkpoint's note

:func:`consider` judges and changes nothing; :class:`Witness` keeps the memory around it. What went wrong
is in ``detail["finding"]`` of the error: ``stale`` (another size was seen; it is in ``detail["tree_size"]``),
``forked`` (two roots for one size: both notes are evidence) or ``unproven``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sls_jupyter.documents import b64decode, b64encode
from sls_jupyter.errors import (
    BadInput,
    LogInconsistent,
    MalformedDocument,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
)
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.cosignature import add_signatures, cosign, cosign_mldsa, verify_cosignature
from sls_jupyter.transparency.merkle import HASH_BYTES, verify_consistency
from sls_jupyter.transparency.note import MAX_NOTE_BYTES, NoteSignature, SignedNote

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096
SIZE_TYPE = "text/x.tlog.size"  # content type of the answer to a stale request
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request for a cosignature. ``AddCheckpoint.parse(x).encode() == x``."""

    old_size: int  # of the checkpoint that the witness cosigned last; 0 if none
    proof: tuple[bytes, ...]  # 0 to MAX_PROOF_LINES hashes of 32 bytes
    note: bytes  # the new checkpoint, signed by its log

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read a request from a stranger; its checkpoint is not looked at yet.

        Raises:
            MalformedDocument: not such a request.
        """
        if len(data) > MAX_REQUEST_BYTES:
            raise MalformedDocument(
                "A request to a witness is too large.", expected=f"{MAX_REQUEST_BYTES} bytes at most"
            )
        head, blank, note = data.partition(b"\n\n")
        try:
            old, *lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise MalformedDocument("A request to a witness is not UTF-8 text.") from None
        found = _OLD.fullmatch(old)
        if found is None or not blank or len(lines) > MAX_PROOF_LINES:
            raise MalformedDocument(
                "This is not a request to a witness.",
                found=old[:40],
                expected=f"old <size>, at most {MAX_PROOF_LINES} hashes, an empty line, a checkpoint",
            )
        proof = tuple(b64decode(line) for line in lines)
        if any(len(value) != HASH_BYTES for value in proof):
            raise MalformedDocument("A line of a consistency proof is not a hash.", expected="32 bytes in base64")
        return cls(int(found[1]), proof, note)

    def encode(self) -> bytes:
        lines = [f"old {self.old_size}", *map(b64encode, self.proof)]
        return ("\n".join(lines) + "\n\n").encode() + self.note


# --- the witness ----------------------------------------------------------------------------------


class WitnessMemory(Protocol):
    """The last checkpoint of each log that a witness cosigned; a ``CheckpointMemory`` is one."""

    def last(self, origin: str) -> Checkpoint | None: ...

    def replace(self, origin: str, known: Checkpoint | None, note: bytes) -> bool:
        """Store ``note`` durably if ``known`` is still the last checkpoint; whether it was stored."""
        ...


def consider(
    request: AddCheckpoint, logs: Mapping[str, bytes], last: Callable[[str], Checkpoint | None]
) -> tuple[Checkpoint, Checkpoint | None]:
    """Judge a request, in the order of the specification; nothing is changed.

    1. the log is one that this witness was told about
    2. its key signed the checkpoint
    3. the old size is not above the checkpoint's
    4. the old size is the one that this witness saw last
    5. the tree of the new size extends that of the old size

    Args:
        logs: origin → public key (32 bytes) of each log that is witnessed.
        last: the checkpoint cosigned last, by origin.

    Returns:
        The new checkpoint, and the last one that it was compared with.

    Raises:
        UnknownName: check 1. SignatureInvalid: check 2. BadInput: check 3.
        LogInconsistent: check 4 (``stale``) and 5 (``forked`` if the sizes are equal, else ``unproven``).
    """
    origin = SignedNote.parse(request.note).text.partition("\n")[0]
    if origin not in logs:  # 1
        raise UnknownName(
            "This log is not witnessed here.", found=origin[:200], hint="Ask the witness's owner to add it."
        )
    try:
        new = verify_checkpoint(request.note, origin, logs[origin])  # 2
    except MalformedDocument as error:
        if error.detail.get("finding") != "unproven":
            raise
        _require_not_smaller(request, 0)  # 3
        _require_seen(request, last(origin))  # 4
        raise LogInconsistent(  # 5: an empty tree has one root, and no proof leads to another
            "An empty tree has another root.", found=error.found, expected=error.expected, detail=error.detail
        ) from None
    _require_not_smaller(request, new.tree_size)  # 3
    known = last(origin)
    if known is not None and new.tree_size == known.tree_size and new.root_hash != known.root_hash:
        _require_extension(known, new, request.proof)  # whatever old size was sent, two roots of one size are a fork
    _require_seen(request, known)  # 4
    if known is not None:
        _require_extension(known, new, request.proof)  # 5
    elif request.proof:
        raise LogInconsistent(
            "A proof from an empty tree is empty.",
            found=f"{len(request.proof)} hashes",
            detail={"finding": "unproven"},
        )
    return new, known


def _require_not_smaller(request: AddCheckpoint, size: int) -> None:
    if request.old_size > size:
        raise BadInput("A checkpoint is smaller than the old size.", found=size, expected=request.old_size)


def _require_seen(request: AddCheckpoint, known: Checkpoint | None) -> None:
    seen = known.tree_size if known else 0
    if request.old_size != seen:
        raise LogInconsistent(
            "This witness has seen another size of this log.",
            found=f"tree size {request.old_size}",
            expected=f"tree size {seen}",
            hint="Send the proof from that size.",
            detail={"finding": "stale", "tree_size": seen},
        )


def _require_extension(known: Checkpoint, new: Checkpoint, proof: tuple[bytes, ...]) -> None:
    try:
        verify_consistency(known.tree_size, known.root_hash, new.tree_size, new.root_hash, proof)
    except LogInconsistent as error:
        forked = known.tree_size == new.tree_size and known.root_hash != new.root_hash
        raise LogInconsistent(
            "A log shows two faces." if forked else "A log does not prove that it extends what this witness saw.",
            found=f"tree size {new.tree_size}, root {new.root_hash.hex()} ({error.message})",
            expected=f"an extension of tree size {known.tree_size}, root {known.root_hash.hex()}",
            hint="This witness does not cosign it. Compare both signed checkpoints with the log's owner.",
            detail={"finding": "forked", "tree_size": known.tree_size} if forked else {"finding": "unproven"},
        ) from None


class Witness:
    """Somebody who cosigns: an authority, or any notebook with its ``CheckpointMemory``.

    Args:
        name: of its key, :func:`sls_jupyter.transparency.cosignature.witness_name` of its DID.
        key: Ed25519, as every identity of this project has; or ML-DSA-44, for a witness that holds against quantum computers.
        logs: origin → public key (32 bytes) of each log it was told about.
    """

    def __init__(
        self, name: str, key: SigningKey | MLDSA44PrivateKey, logs: Mapping[str, bytes], memory: WitnessMemory
    ) -> None:
        self.name, self.logs, self.memory = name, dict(logs), memory
        self._key = key

    def add_checkpoint(self, request: AddCheckpoint, *, now: int) -> NoteSignature:
        """Cosign a checkpoint that extends the last one; the memory is written before.

        Args:
            now: seconds since 1970-01-01 UTC, read before this call: what is seen meanwhile is later.

        Raises:
            As :func:`consider`. Unavailable: others kept moving the memory.
        """
        for _ in range(_ATTEMPTS):
            new, known = consider(request, self.logs, self.memory.last)
            if self.memory.replace(new.origin, known, request.note):
                return self._line(SignedNote.parse(request.note).text, now)
        raise Unavailable("A witness's memory is busy.", hint="Try again.")

    def _line(self, text: str, now: int) -> NoteSignature:
        if isinstance(self._key, SigningKey):
            return cosign(text, self.name, self._key, at=now)
        return cosign_mldsa(text, self.name, self._key, at=now)


# --- the log --------------------------------------------------------------------------------------


def ask_witness(
    send: Callable[[bytes], bytes],
    note: bytes,
    consistency: Callable[[int, int], tuple[bytes, ...]],
    *,
    name: str,
    public_key: bytes,
) -> NoteSignature:
    """Get one witness's cosignature on a checkpoint, whatever size it saw before.

    Args:
        send: an ``add-checkpoint`` call: takes a request, returns signature lines, raises ``LogInconsistent``
            with ``detail["tree_size"]`` when the witness has seen another size.
        note: the checkpoint, signed by its log.
        consistency: ``(old size, new size)`` → hashes.
        name, public_key: of the witness; other lines in its answer are ignored.

    Raises:
        SignatureInvalid: the answer holds no cosignature of this witness on this checkpoint.
        SlsError: what the witness answered.
    """
    size = Checkpoint.parse(SignedNote.parse(note).text.encode()).tree_size
    old = 0
    for _ in range(_ATTEMPTS):
        proof = consistency(old, size) if 0 < old < size else ()
        try:
            return _their_line(note, send(AddCheckpoint(old, proof, note).encode()), name, public_key)
        except LogInconsistent as error:
            seen = error.detail.get("tree_size")
            if error.detail.get("finding") != "stale" or not isinstance(seen, int):
                raise
            if seen == old:  # it has seen this very size, and still refuses
                raise LogInconsistent(
                    "A witness has seen another tree of this size.",
                    found=f"{name}, tree size {seen}",
                    hint="Compare the checkpoint that it cosigned with this log; the database may have been rolled back.",
                ) from None
            old = _within(seen, size)
    raise Unavailable("A witness keeps seeing other sizes.", found=name, hint="Another server of this log asks it too.")


def _within(seen: int, size: int) -> int:
    if not 0 <= seen <= size:
        raise LogInconsistent(
            "A witness has seen a larger tree than this checkpoint's.",
            found=f"tree size {size}",
            expected=f"tree size {seen} or more",
            hint="If this log was never larger, its database was rolled back: restore the newest backup.",
            detail={"finding": "behind"},
        )
    return seen


def _their_line(note: bytes, answer: bytes, name: str, public_key: bytes) -> NoteSignature:
    """The witness's own line in its answer, verified."""
    if len(answer) > MAX_REQUEST_BYTES:
        raise MalformedDocument("A witness's answer is too large.")
    lines = parse_signature_lines(answer)
    for line in lines:
        if line.name != name:
            continue
        try:
            verify_cosignature(SignedNote.parse(add_signatures(_bare(note), [line])), name, public_key)
        except SlsError:
            continue
        return line
    raise SignatureInvalid("A witness answered without a valid cosignature.", expected=name)


def _bare(note: bytes) -> bytes:
    """A note with its first signature only, so that earlier cosignatures do not count for new ones."""
    parsed = SignedNote.parse(note)
    return SignedNote(parsed.text, parsed.signatures[:1]).encode()


def parse_signature_lines(data: bytes) -> tuple[NoteSignature, ...]:
    """Signature lines without a text, as a witness sends them.

    Raises:
        MalformedDocument: not such lines, or too many.
    """
    return SignedNote.parse(b"-\n\n" + data).signatures

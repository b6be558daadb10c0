"""Cosignatures: a witness's word that a log showed it this checkpoint (C2SP ``tlog-cosignature``).

What a witness signs is the checkpoint's text with two lines before it::

    cosignature/v1
    time 1679315147
    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

It says: of this log, at this time, this was the largest tree I have seen, and it extends all that I saw
before. The signature line holds the time (8 bytes, big-endian) and the signature (64 bytes).

A witness may also have a key of ML-DSA-44 (:mod:`sls_jupyter.transparency.mldsa`); a time of zero, by which such a one
says nothing about the newest tree, is refused here, and its witness with it. One with an Ed25519 key may sign with its identity's key: no log's note, token or envelope of this project starts with
``cosignature/v1``, so none of them can be taken for a cosignature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput, SignatureInvalid, SlsError
from sls_jupyter.identity import CLOCK_SKEW_SECONDS, did_from_public_key, public_key_from_did, verify_signature
from sls_jupyter.transparency import mldsa
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.note import (
    COSIGNATURE,
    NoteSignature,
    SignedNote,
    key_id,
    parse_verifier_key,
    split_verifier_key,
    verifier_key,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from sls_jupyter.identity import SigningKey

MAX_TIME = 2**63 - 1
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_NAME = "sls-jupyter.witness/"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that verified: who, and when by the witness's clock."""

    witness: str  # name of its key
    at: int  # seconds since 1970-01-01 UTC


def witness_name(did: str) -> str:
    """The name under which an identity of this project cosigns."""
    return _NAME + did


def key_of_witness(name: str) -> bytes:
    """The public key (32 bytes) of a witness of this project, whose name holds it.

    Raises:
        SignatureInvalid: a witness of another kind; its key must be known from elsewhere.
        MalformedDocument: the name holds no key.
    """
    if not name.startswith(_NAME):
        raise SignatureInvalid("A cosignature is by a witness whose key is not known.", found=name, hint="Pin it.")
    return public_key_from_did(name.removeprefix(_NAME))


def witness_key(name: str, public_key: bytes) -> str:
    """What a witness tells others to recognise it by (a ``vkey`` of type 0x04)."""
    return verifier_key(name, public_key, _type_of(public_key))


def witness_key_of(did: str) -> str:
    """The :func:`witness_key` of an identity of this project.

    Raises:
        MalformedDocument: not a did:key.
    """
    return witness_key(witness_name(did), public_key_from_did(did))


def parse_witness_key(text: str) -> tuple[str, bytes]:
    """The name and the public key in a :func:`witness_key`: 32 bytes of Ed25519, or 1312 of ML-DSA-44.

    Raises:
        MalformedDocument: not one.
    """
    name, signature_type, public_key = split_verifier_key(text)
    if signature_type == mldsa.ML_DSA_44 and len(public_key) == mldsa.PUBLIC_KEY_BYTES:
        return name, public_key
    return parse_verifier_key(text, COSIGNATURE)


def _type_of(public_key: bytes) -> int:
    return mldsa.ML_DSA_44 if len(public_key) == mldsa.PUBLIC_KEY_BYTES else COSIGNATURE


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosign(text: str, name: str, key: SigningKey, *, at: int) -> NoteSignature:
    """Sign the text of a checkpoint as a witness.

    What is *not* checked here: that the log extends what this witness saw before
    (:mod:`sls_jupyter.transparency.witness`).

    Args:
        text: of the checkpoint's note, ending in a newline.
        name: of the witness's key.
        at: seconds since 1970-01-01 UTC.

    Raises:
        BadInput: a time that the line cannot hold. MalformedDocument: the text is no checkpoint.
    """
    if not 0 <= at <= MAX_TIME:
        raise BadInput("A cosignature cannot have this time.", found=at, expected="seconds since 1970-01-01 UTC")
    Checkpoint.parse(text.encode())
    signature = at.to_bytes(_TIME_BYTES, "big") + key.sign(_message(text, at))
    return NoteSignature(name, key_id(name, key.public_bytes, COSIGNATURE), signature)


def cosign_mldsa(text: str, name: str, key: MLDSA44PrivateKey, *, at: int) -> NoteSignature:
    """The same with a key of ML-DSA-44, which signs the witness's name as well.

    Raises:
        BadInput, MalformedDocument: as :func:`cosign`.
    """
    if not 0 < at <= MAX_TIME:  # zero would not say that this was the largest tree
        raise BadInput("A cosignature cannot have this time.", found=at, expected="seconds since 1970-01-01 UTC")
    public_key = key.public_key().public_bytes_raw()
    signature = at.to_bytes(_TIME_BYTES, "big") + mldsa.sign(Checkpoint.parse(text.encode()), name, key, at)
    return NoteSignature(name, key_id(name, public_key, mldsa.ML_DSA_44), signature)


def add_signatures(note: bytes, lines: Iterable[NoteSignature]) -> bytes:
    """A note with more signature lines; those that it has already are not repeated.

    Raises:
        MalformedDocument: not a note, or too many signatures for one.
    """
    parsed = SignedNote.parse(note)
    fresh = tuple(line for line in dict.fromkeys(lines) if line not in parsed.signatures)
    return replace(parsed, signatures=(*parsed.signatures, *fresh)).encode()


def verify_cosignature(note: SignedNote, name: str, public_key: bytes) -> Cosignature:
    """Check one witness's cosignature; of several by the same witness, each one, and the newest is returned.

    What is *not* checked: the log's own signature (:func:`verify_witnessed` does), and the time.

    Raises:
        SignatureInvalid: this witness did not sign, or a line of it does not verify.
    """
    wanted = key_id(name, public_key, _type_of(public_key))
    lines = [line for line in note.signatures if line.name == name and line.key_id == wanted]
    if not lines:
        raise SignatureInvalid("A witness has not cosigned.", expected=f"{name}+{wanted.hex()}")
    times = [_verify_line(line, note.text, name, public_key) for line in lines]
    return Cosignature(name, max(times))


def _verify_line(line: NoteSignature, text: str, name: str, public_key: bytes) -> int:
    post_quantum = _type_of(public_key) == mldsa.ML_DSA_44
    size = mldsa.SIGNATURE_BYTES if post_quantum else _SIGNATURE_BYTES
    at = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if len(line.signature) != _TIME_BYTES + size or at > MAX_TIME:
        raise SignatureInvalid(
            "A cosignature has the wrong form.",
            found=f"{len(line.signature)} bytes",
            expected=f"a time of 8 bytes and a signature of {size}",
        )
    if post_quantum:
        if at == 0:
            raise SignatureInvalid("A cosignature does not say that its tree was the newest.", found="no time")
        mldsa.verify(line.signature[_TIME_BYTES:], Checkpoint.parse(text.encode()), name, public_key, at)
    else:
        verify_signature(did_from_public_key(public_key), line.signature[_TIME_BYTES:], _message(text, at))
    return at


# --- how many are enough --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """How many of which witnesses must have cosigned a checkpoint before it is believed.

    A log that shows two faces needs ``needed`` witnesses for each. It cannot have them as long as fewer
    than ``2 * needed - len(witnesses)`` of them collude with it, so more than half is a good number.

    Raises:
        BadInput: nobody could meet it, everybody would, or one key stands under two names.
    """

    needed: int  # 1 to len(witnesses)
    witnesses: Mapping[str, bytes]  # name of the key -> public key: 32 bytes, of ML-DSA-44 1312

    def __post_init__(self) -> None:
        keys = set(self.witnesses.values())
        if not 1 <= self.needed <= len(self.witnesses):
            raise BadInput(
                "This many witnesses cannot be demanded.", found=self.needed, expected=f"1 to {len(self.witnesses)}"
            )
        if len(keys) != len(self.witnesses) or any(len(key) not in (32, mldsa.PUBLIC_KEY_BYTES) for key in keys):
            raise BadInput(
                "Each witness needs a key of its own.",
                found=f"{len(keys)} keys",
                expected="32 bytes each, of ML-DSA-44 1312",
            )
        object.__setattr__(self, "witnesses", MappingProxyType(dict(self.witnesses)))

    @classmethod
    def of(cls, needed: int, keys: Iterable[str]) -> WitnessPolicy:
        """From verifier keys, as :func:`witness_key` writes them.

        Raises:
            MalformedDocument, BadInput: a key, or the whole, is not valid.
        """
        parsed = [parse_witness_key(key) for key in keys]
        if len(dict(parsed)) != len(parsed):
            raise BadInput("A witness is named twice.")
        return cls(needed, dict(parsed))

    def require(self, data: bytes, *, now: int | None = None) -> tuple[Cosignature, ...]:
        """Check that enough witnesses cosigned a checkpoint; every one of them is looked at.

        Args:
            data: a signed note. The log's own signature is not checked here: :func:`verify_witnessed`.
            now: seconds since 1970-01-01 UTC; cosignatures from the future do not count. ``None`` takes
                any time, for checks years later.

        Raises:
            MalformedDocument: not a note.
            SignatureInvalid: too few; ``detail["witnesses"]`` says of each why it does not count.
        """
        note, good, why = SignedNote.parse(data), [], {}
        for name, key in self.witnesses.items():
            try:
                found = verify_cosignature(note, name, key)
            except SlsError as error:
                why[name] = error.message
                continue
            if now is not None and found.at > now + CLOCK_SKEW_SECONDS:
                why[name] = "Its cosignature is from the future."
            else:
                good.append(found)
        if len(good) < self.needed:
            raise SignatureInvalid(
                "Too few witnesses have cosigned a checkpoint.",
                found=f"{len(good)} of {len(self.witnesses)}",
                expected=f"{self.needed} at least",
                hint="Ask the log's owner to have it witnessed. Do not rely on it before: others may see another log.",
                detail={"witnesses": why},
            )
        return tuple(good)


def verify_witnessed(
    data: bytes, origin: str, public_key: bytes, policy: WitnessPolicy, *, now: int | None = None
) -> tuple[Checkpoint, tuple[Cosignature, ...]]:
    """Check a log's checkpoint and that enough others vouch for it.

    Args:
        data, origin, public_key: as :func:`verify_checkpoint`.

    Raises:
        MalformedDocument, SignatureInvalid, LogInconsistent: as :func:`verify_checkpoint` and
            :meth:`WitnessPolicy.require`.
        BadInput: the policy counts the log itself among the witnesses.
    """
    if public_key in policy.witnesses.values():
        raise BadInput("A log cannot be its own witness.", found=origin, expected="keys of others")
    checkpoint = verify_checkpoint(data, origin, public_key)
    return checkpoint, policy.require(data, now=now)

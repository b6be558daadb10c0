"""Signed notes: text with signature lines below it (C2SP ``signed-note``), Ed25519 only.

::

    text, ending in a newline
                                            an empty line
    — <key name> base64(key id || signature)    one or more lines

A note may carry signatures of keys that a reader does not know (other witnesses); those are kept and
ignored, as the specification demands. Anything that is not exactly this form is refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.documents import b64decode, b64encode
from sls_jupyter.errors import MalformedDocument, SignatureInvalid
from sls_jupyter.identity import did_from_public_key, require_signing_key, verify_signature

if TYPE_CHECKING:
    from sls_jupyter.identity import SigningKey

MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 64  # the specification asks for 16 at least
ED25519 = 0x01  # signature type: Ed25519 over the note's text
COSIGNATURE = 0x04  # signature type: a witness's, with its time (sls_jupyter.transparency.cosignature)
_KEY_ID_BYTES = 4
_DASH = "— "
_NO_NAME = re.compile(r"[+\s\x00-\x1f]")
_NO_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def key_id(name: str, public_key: bytes, signature_type: int = ED25519) -> bytes:
    """``SHA-256(name || 0x0A || signature type || public key)[:4]``: finds a key, proves nothing."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line.

    Raises:
        MalformedDocument: a value that the line cannot hold.
    """

    name: str  # of the key: not empty, no space, no plus
    key_id: bytes  # 4
    signature: bytes  # at least 1; 64 for Ed25519

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.key_id) != _KEY_ID_BYTES or not self.signature:
            raise MalformedDocument("A note's signature is too short.", expected="a key id of 4 bytes and a signature")

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline."""
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise MalformedDocument(
                "A signature line of a note is malformed.", found=line[:60], expected="— name signature"
            )
        data = b64decode(encoded)
        return cls(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])

    def encode(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and its signatures, none of them checked yet. ``SignedNote.parse(x).encode() == x``.

    Raises:
        MalformedDocument: not a note.
    """

    text: str  # ends in a newline; no other control characters
    signatures: tuple[NoteSignature, ...]  # 1 to MAX_SIGNATURES

    def __post_init__(self) -> None:
        _require_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise MalformedDocument(
                "A note has too few or too many signatures.",
                found=len(self.signatures),
                expected=f"1 to {MAX_SIGNATURES}",
            )

    @classmethod
    def parse(cls, data: bytes) -> SignedNote:
        """Read a note from a stranger; gives types and no trust."""
        if len(data) > MAX_NOTE_BYTES:
            raise MalformedDocument(
                "A note is too large.", found=f"{len(data)} bytes", expected=f"{MAX_NOTE_BYTES} at most"
            )
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise MalformedDocument("A note is not UTF-8 text.") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise MalformedDocument(
                "This is not a signed note.", expected="text, an empty line, signature lines, each with its newline"
            )
        if lines.count("\n") > MAX_SIGNATURES:
            raise MalformedDocument("A note has too many signatures.", expected=f"{MAX_SIGNATURES} at most")
        signatures = tuple(NoteSignature.parse(line) for line in lines[:-1].split("\n"))
        return cls(text + "\n", signatures)

    def encode(self) -> bytes:
        return (self.text + "\n" + "".join(line.encode() for line in self.signatures)).encode()


def sign_note(text: str, name: str, key: SigningKey) -> SignedNote:
    """Sign a text; equal input gives equal bytes (Ed25519 is deterministic).

    Args:
        text: ends in a newline.
        name: of the key; a URL without its scheme, for instance.

    Raises:
        MalformedDocument: the text or the name cannot be in a note.
    """
    _require_text(text)
    _require_name(name)
    line = NoteSignature(name, key_id(name, key.public_bytes), key.sign(text.encode()))
    return SignedNote(text, (line,))


def verify_note(note: SignedNote, name: str, public_key: bytes) -> str:
    """Check that one key signed the note; returns the text.

    Signatures of other keys are ignored, also if they share the name or the key id (but not both).
    Every signature that claims to be of this key must verify.

    Args:
        name: of the key that must have signed.
        public_key: 32 bytes, Ed25519.

    Raises:
        SignatureInvalid: this key did not sign, or a signature of it does not verify.
    """
    _require_name(name)
    wanted = key_id(name, public_key)
    lines = [line for line in note.signatures if line.name == name and line.key_id == wanted]
    if not lines:
        raise SignatureInvalid(
            "A note is not signed by the key that was expected.",
            found=", ".join(f"{line.name}+{line.key_id.hex()}" for line in note.signatures[:4])[:200],
            expected=f"{name}+{wanted.hex()}",
            hint="Check the name and the public key of the log with its owner.",
        )
    for line in lines:
        verify_signature(did_from_public_key(public_key), line.signature, note.text.encode())
    return note.text


def verifier_key(name: str, public_key: bytes, signature_type: int = ED25519) -> str:
    """``name+key id in hex+base64(type || public key)``: how other people's clients are told a key."""
    _require_name(name)
    material = b64encode(bytes([signature_type]) + public_key)
    return f"{name}+{key_id(name, public_key, signature_type).hex()}+{material}"


def parse_verifier_key(text: str, signature_type: int = ED25519) -> tuple[str, bytes]:
    """The name and the 32 bytes of the public key in a :func:`verifier_key`.

    Raises:
        MalformedDocument: not one, of another signature type, with the key id of another key, or of a key that
            nobody can hold.
    """
    name, found, public_key = split_verifier_key(text)
    if found != signature_type or len(public_key) != 32:
        raise MalformedDocument(
            "This is not the verifier key of an Ed25519 key.",
            found=text[:80],
            expected=f"name+id+key, of signature type {signature_type}, as its owner gives it",
        )
    return name, require_signing_key(public_key)


def split_verifier_key(text: str) -> tuple[str, int, bytes]:
    """Name, signature type and public key of any :func:`verifier_key`. Not checked: that it is a key of that type.

    Raises:
        MalformedDocument: not one, or with the key id of another key.
    """
    name, _, rest = text.partition("+")
    data = b64decode(rest.partition("+")[2])
    if len(data) < 2 or verifier_key(name, data[1:], data[0]) != text:
        raise MalformedDocument(
            "This is not the verifier key of a log or a witness.",
            found=text[:80],
            expected="name+id+key, as its owner gives it",
        )
    return name, data[0], data[1:]


def _require_name(name: str) -> None:
    if not name or _NO_NAME.search(name) or not _is_utf8(name):
        raise MalformedDocument(
            "This cannot be the name of a note's key.", found=repr(name[:60]), expected="no space, no plus, not empty"
        )


def _require_text(text: str) -> None:
    if not text.endswith("\n") or _NO_TEXT.search(text) or not _is_utf8(text):
        raise MalformedDocument(
            "This cannot be the text of a note.", expected="UTF-8 without control characters, with a final newline"
        )


def _is_utf8(text: str) -> bool:
    return _SURROGATE.search(text) is None

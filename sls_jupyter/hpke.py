"""Sealing to a public key: HPKE (RFC 9180), base mode, with the post-quantum hybrid X-Wing.

One suite, no negotiation: KEM ``MLKEM768_X25519`` (X-Wing, KEM id 0x647A), KDF HKDF-SHA256, AEAD
AES-256-GCM, one message a context. What the message is for goes into ``info``, which both sides
compute with :func:`sls_jupyter.documents.lp`; nothing else is authenticated beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from sls_jupyter.errors import MalformedDocument, VerificationError

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
MLKEM_PUBLIC_BYTES = 1184
PUBLIC_KEY_BYTES = MLKEM_PUBLIC_BYTES + 32  # ML-KEM-768 encapsulation key, then the X25519 key
PRIVATE_KEY_BYTES = 64 + 32  # ML-KEM-768 seed, then the X25519 key
_FIELD = 2**255 - 19  # of Curve25519
_SMALL_ORDER_U = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    }
)
"""u of the points with which everybody's X25519 secret is the same (RFC 7748, section 6.1; libsodium's list)."""


def require_public_key(public_key: bytes) -> bytes:
    """The same 1216 bytes, if they are an X-Wing public key that somebody alone can hold.

    Raises:
        MalformedDocument: another size, not an ML-KEM-768 key, or an X25519 half that is not in its one
            encoding or of small order.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise MalformedDocument(
            "An HPKE public key has the wrong size.",
            found=f"{len(public_key)} bytes",
            expected=f"{PUBLIC_KEY_BYTES} bytes",
        )
    u = int.from_bytes(public_key[MLKEM_PUBLIC_BYTES:], "little")
    if u >= _FIELD or u in _SMALL_ORDER_U:
        raise MalformedDocument("This is not an X-Wing public key that somebody alone can hold.")
    _parse(public_key)
    return public_key


def _parse(public_key: bytes) -> MLKEM768X25519PublicKey:
    try:
        return MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public_key[:MLKEM_PUBLIC_BYTES]),
            x25519.X25519PublicKey.from_public_bytes(public_key[MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise MalformedDocument("These bytes are not an X-Wing public key.") from None


def seal(public_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal one message to ``public_key`` (1216 bytes); returns ``enc || ciphertext``.

    Raises:
        MalformedDocument: not an X-Wing public key.
    """
    key = _parse(require_public_key(public_key))
    try:
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError:
        raise MalformedDocument("These bytes are not an X-Wing public key.") from None


@dataclass(frozen=True, slots=True)
class HpkeKey:
    """A private key that opens what was sealed to its public half. Its repr shows neither."""

    private_bytes: bytes = field(repr=False)  # 96: ML-KEM-768 seed (64), X25519 key (32)

    @classmethod
    def generate(cls) -> HpkeKey:
        seed = mlkem.MLKEM768PrivateKey.generate().private_bytes_raw()
        return cls(seed + x25519.X25519PrivateKey.generate().private_bytes_raw())

    def _parts(self) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        if len(self.private_bytes) != PRIVATE_KEY_BYTES:
            raise MalformedDocument("An HPKE private key has the wrong size.", expected=f"{PRIVATE_KEY_BYTES} bytes")
        return (
            mlkem.MLKEM768PrivateKey.from_seed_bytes(self.private_bytes[:64]),
            x25519.X25519PrivateKey.from_private_bytes(self.private_bytes[64:]),
        )

    @property
    def public_bytes(self) -> bytes:
        """1216 bytes."""
        pq, classical = self._parts()
        return pq.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()

    def open(self, info: bytes, ciphertext: bytes) -> bytes:
        """Open one message.

        Raises:
            VerificationError: sealed to another key, for another purpose, or changed on the way.
        """
        try:
            return _SUITE.decrypt(ciphertext, MLKEM768X25519PrivateKey(*self._parts()), info)
        except (InvalidTag, ValueError):
            raise VerificationError(
                "A sealed message does not open with this key.",
                hint="It was sealed to another key or for another purpose, or it was changed on the way.",
            ) from None

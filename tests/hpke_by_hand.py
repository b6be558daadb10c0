"""X-Wing and HPKE base mode from the primitives, written from the texts: it knows nothing of the package under test.

Sources: draft-connolly-cfrg-xwing-kem, RFC 9180. Keys are the 96 bytes of a private key: ML-KEM-768 seed, X25519 key.
"""

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MLKEM_CIPHERTEXT = 1088  # bytes; an X25519 public key follows
KEM, KDF, AEAD = 0x647A, 0x0001, 0x0002
SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM, KDF, AEAD))
X_WING_LABEL = rb"\.//^\\"[:3] + rb"/^\ "[:3]


def public_key_by_hand(private: bytes) -> bytes:
    """1216 bytes: the ML-KEM-768 encapsulation key, then the X25519 key."""
    pq = MLKEM768PrivateKey.from_seed_bytes(private[:64]).public_key()
    return pq.public_bytes_raw() + X25519PrivateKey.from_private_bytes(private[64:]).public_key().public_bytes_raw()


def x_wing_decapsulate(private: bytes, enc: bytes) -> bytes:
    """``SHA3-256(ss_M || ss_X || ct_X || pk_X || label)``."""
    pq = MLKEM768PrivateKey.from_seed_bytes(private[:64])
    classical = X25519PrivateKey.from_private_bytes(private[64:])
    ct_x = enc[MLKEM_CIPHERTEXT:]
    parts = (
        pq.decapsulate(enc[:MLKEM_CIPHERTEXT]),
        classical.exchange(X25519PublicKey.from_public_bytes(ct_x)),
        ct_x,
        classical.public_key().public_bytes_raw(),
        X_WING_LABEL,
    )
    return hashlib.sha3_256(b"".join(parts)).digest()


def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    """RFC 9180, section 4: LabeledExtract."""
    mac = HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(b"HPKE-v1" + SUITE + label + material)
    return mac.finalize()


def expand(secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """RFC 9180, section 4: LabeledExpand."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info
    return HKDFExpand(hashes.SHA256(), length, labeled).derive(secret)


def open_by_hand(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """RFC 9180, section 5.1, base mode, the first message; no other associated data."""
    enc, ciphertext = sealed[: MLKEM_CIPHERTEXT + 32], sealed[MLKEM_CIPHERTEXT + 32 :]
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(x_wing_decapsulate(private, enc), b"secret", b"")
    aead_key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return AESGCM(aead_key).decrypt(nonce, ciphertext, b"")

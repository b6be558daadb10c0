"""Master keys at rest: wrapped by the store key, unwrapped only to be HPKE-sealed to a guest.

AES-256-GCM with the asset and key id as associated data, so a wrapped key cannot be moved to another
row. The store key is a file with mode 0600 in the authority's folder; an OS keyring or a KMS would
replace :meth:`Keyring.load`. Whoever has both the store key and the database has the master keys.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sls_jupyter.documents import lp
from sls_jupyter.errors import VerificationError
from sls_jupyter.identity import read_or_create_private

_NONCE_BYTES = 12


def _aad(asset: str, key_id: str) -> bytes:
    return lp("sls-jupyter/store-key/v1", asset, key_id)


@dataclass(frozen=True, slots=True)
class Keyring:
    store_key: bytes = field(repr=False)  # 32

    @classmethod
    def load(cls, folder: Path) -> Keyring:
        """The store key in ``folder``, made on first use.

        Raises:
            Unavailable: others can read it, or it is damaged.
        """
        return cls(read_or_create_private(folder / "store-key", os.urandom(32), 32))

    def wrap(self, asset: str, key_id: str, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.store_key).encrypt(nonce, key, _aad(asset, key_id))

    def unwrap(self, asset: str, key_id: str, wrapped: bytes) -> bytes:
        """The 32-byte master key.

        Raises:
            VerificationError: another store key, another row, or changed bytes.
        """
        try:
            nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
            return AESGCM(self.store_key).decrypt(nonce, sealed, _aad(asset, key_id))
        except (InvalidTag, ValueError):
            raise VerificationError(
                "A wrapped master key does not open with this store key.",
                hint="The database and the store key come from different authorities; restore both from one backup.",
            ) from None

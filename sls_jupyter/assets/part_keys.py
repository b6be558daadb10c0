"""The keys of a part: master keys in memory, and what pyarrow needs to encrypt and decrypt with them.

Each column of each part has its own random data key, which AES key wrap (RFC 3394) puts under the master key
of the column's group; the wrapped keys are in the footer, and the manifest has the footer's digest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from sls_jupyter.errors import VerificationError

MASTER_KEY_BYTES = 32


class MasterKeys(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
    """Wraps and unwraps data keys with master keys in memory; remembers which keys were asked for."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        super().__init__()
        self._keys = dict(keys)
        self._unwrapped: dict[tuple[str, str], bytes] = {}
        self.asked: list[str] = []  # key ids, in order

    def _master(self, key_id: str) -> bytes:
        self.asked.append(key_id)
        if len(self._keys.get(key_id, b"")) != MASTER_KEY_BYTES:
            raise VerificationError(
                "A part asks for a key that was not released.",
                found=key_id[:40],
                hint="Ask the owner to grant these columns too, or leave them out.",
            )
        return self._keys[key_id]

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        """Base64 of RFC 3394 key wrap."""
        return base64.b64encode(aes_key_wrap(self._master(master_key_identifier), key_bytes)).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        """The data key.

        Raises:
            VerificationError: no such master key, or another one than the data key was wrapped with.
        """
        master, place = self._master(master_key_identifier), (master_key_identifier, wrapped_key)
        if place not in self._unwrapped:
            try:
                self._unwrapped[place] = aes_key_unwrap(master, base64.b64decode(wrapped_key, validate=True))
            except (InvalidUnwrap, ValueError, binascii.Error):
                raise VerificationError("A key does not open this part.", found=master_key_identifier[:40]) from None
        return self._unwrapped[place]


def _factory(keys: MasterKeys) -> Any:
    return pe.CryptoFactory(lambda _: keys)  # a fresh one each time: factories cache keys by access token


def encryption(keys: MasterKeys, footer_key_id: str, column_keys: Mapping[str, str]) -> Any:
    """Encryption properties; ``column_keys`` maps each physical top-level name to a key id."""
    by_key: dict[str, list[str]] = {}
    for column, key_id in column_keys.items():
        by_key.setdefault(key_id, []).append(column)
    config = pe.EncryptionConfiguration(
        footer_key=footer_key_id,
        column_keys=by_key,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=256,
    )
    return _factory(keys).file_encryption_properties(pe.KmsConnectionConfig(), config)


def decryption(keys: MasterKeys) -> Any:
    return _factory(keys).file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())

"""Tokens as JSON Web Signatures: one strict spelling, one algorithm, keys from the caller.

PyJWT checks the signature; reading is done here, because a token that travels as evidence has one encoding
only: base64url without padding and without stray bits, JSON without duplicate members, no ``crit`` and no
``b64``. ``jku`` is read by nobody.

Sources: RFC 7515 section 5.2, RFC 7517, RFC 8725.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MalformedDocument

MAX_TOKEN_BYTES = 64 * 1024  # those seen have 2 to 5 KiB
MAX_KEYS_BYTES = 1024 * 1024
MIN_RSA_BITS = 2048
UNWELCOME = frozenset({"crit", "b64", "zip", "enc"})

_JWS = jwt.PyJWS(algorithms=["RS256"])


def base64url(text: str) -> bytes:
    """Decode base64url without padding; a second spelling of the same bytes is refused.

    Raises:
        MalformedDocument: for everything else.
    """
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise MalformedDocument("A part of a token is not base64url in its one form.", found=f"{len(text)} characters")
    return data


@dataclass(frozen=True, slots=True)
class Token:
    """A compact JWS taken apart. Nobody has checked its signature yet."""

    text: bytes  # header.claims.signature, ASCII
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a token strictly.

        Raises:
            MalformedDocument: too large, not three parts in base64url, header or claims not a JSON object, or a
                header that changes the meaning of the rest.
        """
        if len(text) > MAX_TOKEN_BYTES:
            raise MalformedDocument("A token is too large.", found=f"{len(text)} bytes")
        parts = text.decode("ascii", "replace").split(".")
        if len(parts) != 3:
            raise MalformedDocument("This is not a signed token.", found=f"{len(parts)} parts", expected="3 parts")
        header, claims = (_object(base64url(part)) for part in parts[:2])
        base64url(parts[2])
        odd = sorted(UNWELCOME & set(header))
        if odd:
            raise MalformedDocument("A token's header has a member that is not understood.", found=", ".join(odd))
        return cls(text, header, claims)


def _object(data: bytes) -> Mapping[str, Any]:
    value = parse_json(data)
    if not isinstance(value, dict):
        raise MalformedDocument("A part of a token is not a JSON object.", found=type(value).__name__)
    return MappingProxyType(value)


def held_data(claims: Mapping[str, Any]) -> bytes | None:
    """The enclave's held data that an SGX token carries; None where it carries none.

    Raises:
        MalformedDocument: it is not base64url.
    """
    text = claims.get("x-ms-sgx-ehd")
    if text is None:
        return None
    if not isinstance(text, str):
        raise MalformedDocument("The claim x-ms-sgx-ehd is not text.", found=type(text).__name__)
    return base64url(text)


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of a key set, with the validity of its certificate where it has one."""

    key: rsa.RSAPublicKey
    not_before: datetime | None
    not_after: datetime | None


def signing_key(key_set: bytes, kid: object) -> SigningKey:
    """The one RSA key that a key set has under this name.

    Not checked: who signed the key's certificate; the caller chose the set.

    Raises:
        MalformedDocument: no such key, more than one, one that cannot be read, or one that is too small.
    """
    value = parse_json(key_set, max_bytes=MAX_KEYS_BYTES)
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list):
        raise MalformedDocument("This is not a JSON Web Key Set.", expected='an object with the member "keys"')
    matching = [key for key in keys if isinstance(key, dict) and isinstance(kid, str) and key.get("kid") == kid]
    if len(matching) != 1:
        raise MalformedDocument(
            "The token's key is not in the key set exactly once.",
            found=f"{len(matching)} keys named {str(kid)[:100]}",
            expected="one",
        )
    return _read_key(matching[0])


def _read_key(jwk: dict[str, Any]) -> SigningKey:
    candidates = [_from_certificate(jwk["x5c"])] if "x5c" in jwk else []
    if "n" in jwk or "e" in jwk:
        candidates.append(SigningKey(_from_numbers(jwk), None, None))
    if not candidates or len({found.key.public_numbers() for found in candidates}) != 1:
        raise MalformedDocument("A key of the key set has no key material, or two kinds that differ.")
    if candidates[0].key.key_size < MIN_RSA_BITS:
        raise MalformedDocument(
            "A signing key is too small.", found=f"{candidates[0].key.key_size} bits", expected=f"{MIN_RSA_BITS} bits"
        )
    return candidates[0]


def _from_certificate(x5c: object) -> SigningKey:
    """The key of the first certificate, which RFC 7517 section 4.7 makes the key's own."""
    try:
        if not isinstance(x5c, list) or not isinstance(x5c[0], str):
            raise ValueError("x5c")
        certificate = Certificate.parse(b64decode(x5c[0], validate=True))
    except (ValueError, IndexError) as error:
        raise MalformedDocument("A certificate of the key set cannot be read.", found=type(error).__name__) from None
    if not isinstance(certificate.key, rsa.RSAPublicKey):
        raise MalformedDocument("A key of the key set is not RSA.", found=type(certificate.key).__name__)
    return SigningKey(certificate.key, certificate.not_before, certificate.not_after)


def _from_numbers(jwk: dict[str, Any]) -> rsa.RSAPublicKey:
    texts = (jwk.get("n"), jwk.get("e"))
    if not all(isinstance(text, str) for text in texts):
        raise MalformedDocument("An RSA key of the key set is incomplete.")
    n, e = (int.from_bytes(base64url(str(text)), "big") for text in texts)
    try:
        return rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError as error:
        raise MalformedDocument("An RSA key of the key set cannot be read.", found=error) from None


def signature_holds(token: Token, key: SigningKey) -> bool:
    """Whether this key signed the token with RS256; any other algorithm is no."""
    if token.header.get("alg") != "RS256":
        return False
    try:
        _JWS.decode_complete(token.text, key.key, algorithms=["RS256"])
    except jwt.InvalidTokenError:
        return False
    return True

"""Who: Ed25519 keys named by did:key, the homes they live in, and short-lived tokens.

A *home* is one persona's folder (mode 0700). It holds the signing key, the HPKE key that results are
sealed to, the persona's embedded authority, its sealed assets and its runs. ``SLS_HOME`` names the
root of all homes; by default it is the platform's per-user data folder.

Sources: did:key method 0.7 (W3C CCG), Ed25519 RFC 8032, JWT RFC 7519 with EdDSA (RFC 8037); the claims
``htm`` and ``htu`` are those of DPoP (RFC 9449, section 4.2).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import platformdirs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sls_jupyter.documents import NO_CONTROLS, Base64, Did, Document, ShortText, b64decode, b64encode, digest, lp
from sls_jupyter.errors import BadInput, MalformedDocument, NotAuthorised, SignatureInvalid, Unavailable
from sls_jupyter.hpke import HpkeKey, require_public_key

TOKEN_SECONDS = 60  # lifetime of a token
CLOCK_SKEW_SECONDS = 30  # how far two honest clocks may differ
_ED25519_MULTICODEC = b"\xed\x01"
_P = 2**255 - 19  # the field of Curve25519, RFC 8032, section 5.1
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # of order 8; the other is its negative
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
"""y of the eight points whose order divides 8 ("Taming the many EdDSAs", Chalkias et al. 2020, table 1)."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


# --- did:key --------------------------------------------------------------------------------------


def require_signing_key(public_key: bytes) -> bytes:
    """The same 32 bytes, if somebody can hold the Ed25519 key that they encode.

    Under a key of small order one signature verifies for every message, so it names nobody; and a key has
    one encoding, or one person would have several names.

    Raises:
        MalformedDocument: not 32 bytes, not the one encoding of its y (RFC 8032, section 5.1.3), or of small
            order. (Bytes that are no point at all pass: under them no signature verifies.)
    """
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if len(public_key) != 32 or y >= _P or y in _SMALL_ORDER_Y:
        raise MalformedDocument(
            "This is not an Ed25519 key that somebody can hold.",
            found=public_key[:32].hex(),
            expected="a canonical point that is not of small order",
            hint="Ask its owner for the right key or DID.",
        )
    return public_key


@functools.lru_cache(maxsize=4096)
def did_from_public_key(public_key: bytes) -> str:
    """The did:key of a raw Ed25519 public key (32 bytes).

    Raises:
        MalformedDocument: a key that nobody can hold (:func:`require_signing_key`).
    """
    return _base58_did(_ED25519_MULTICODEC + require_signing_key(public_key))


def _base58_did(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "did:key:z" + text


@functools.lru_cache(maxsize=4096)
def public_key_from_did(did: str) -> bytes:
    """The raw Ed25519 public key (32 bytes) that a did:key names.

    Raises:
        MalformedDocument: not a did:key, or not one of an Ed25519 key that somebody can hold.
    """
    number = 0
    for letter in did.removeprefix("did:key:z") or "0":
        value = _BASE58.find(letter)
        if value < 0 or number >= 2**280:
            raise MalformedDocument("This is not a did:key.", found=did[:80], expected="did:key:z6Mk…")
        number = number * 58 + value
    data = number.to_bytes(36, "big").lstrip(b"\0")
    if len(data) != 34 or not data.startswith(_ED25519_MULTICODEC) or _base58_did(data) != did:
        raise MalformedDocument("This DID is not one of an Ed25519 key.", found=did[:80], expected="did:key:z6Mk…")
    return require_signing_key(data[2:])


def verify_signature(did: str, signature: bytes, message: bytes) -> None:
    """Check an Ed25519 signature by the key that ``did`` names.

    Raises:
        SignatureInvalid: it does not verify.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key_from_did(did)).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid(
            "A signature does not verify.",
            expected=f"a signature by {did}",
            hint="The document was changed, or its author did not sign it.",
        ) from None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key and the DID of its public half."""

    private_key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @property
    def public_bytes(self) -> bytes:
        """32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def did(self) -> str:
        return did_from_public_key(self.public_bytes)

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)


# --- people ---------------------------------------------------------------------------------------


class Contact(Document):
    """What others need to know of somebody: the DID and the key that results are sealed to."""

    payload_type: ClassVar[str] = "application/vnd.sls.contact.v1+json"

    did: Did
    name: ShortText  # what they call themselves; one line in every contact that is read
    hpke_public_key: Base64  # X-Wing, 1216 bytes

    def signer(self) -> str:
        return self.did

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """As :meth:`Document.parse`. MalformedDocument: also for a name that is not one line."""
        contact = super().parse(payload)
        if re.fullmatch(NO_CONTROLS, contact.name) is None:
            raise MalformedDocument(
                "This is not a valid Contact.", found="name: a control character or the end of a line"
            )
        return contact


class Appointment(Document):
    """An owner's word that an authority is theirs; without it an authority could name anybody as its owner."""

    payload_type: ClassVar[str] = "application/vnd.sls.appointment.v1+json"

    owner: Did
    authority: Did

    def signer(self) -> str:
        return self.owner


@dataclass(frozen=True, slots=True)
class Identity:
    """A person (or service) that signs and that results can be sealed to."""

    name: str
    signing: SigningKey
    hpke: HpkeKey

    @property
    def did(self) -> str:
        return self.signing.did

    def sign(self, message: bytes) -> bytes:
        return self.signing.sign(message)

    def contact(self) -> Contact:
        return Contact(did=self.did, name=self.name, hpke_public_key=b64encode(self.hpke.public_bytes))


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read; never overwrites, never leaves half a file.

    Raises:
        FileExistsError: the file is there already.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)
    finally:
        scratch.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that anybody may read, whole or not at all; one that is there is replaced.

    It is on the disk before it gets its name, and two writers do not get in each other's way.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process of this user at a time reads a file and replaces it; the lock is a file beside it.

    Raises:
        Unavailable: the lock cannot be made there.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable("A file of yours cannot be changed.", found=f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lock_if_free(path: Path) -> int | None:
    """The lock that this file is, made where it is not there, as an open file; ``None`` while another process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def save_file(path: str | Path, data: bytes, what: str) -> Path:
    """:func:`write_whole`, for a person who named the place.

    Args:
        what: in words, such as "receipt".

    Raises:
        Unavailable: it cannot be written there.
    """
    path = Path(path)
    try:
        write_whole(path, data)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise Unavailable(
            f"The {what} cannot be written.", found=f"{path}: {why}", hint="Choose another folder."
        ) from None
    return path


def read_or_create_private(path: Path, make: bytes, length: int) -> bytes:
    """The bytes of a private file, made from ``make`` on first use.

    Two processes that start together agree: the first to link its file wins, the other reads it.

    Raises:
        Unavailable: the file cannot be written or read, others may read it, or it has not ``length`` bytes.
    """
    try:
        with contextlib.suppress(FileExistsError):
            write_private(path, make)
    except OSError as error:
        raise _not_kept(path, error) from None
    return read_private(path, length)


def _not_kept(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The private key {path.name} cannot be kept.",
        found=f"{path}: {error.strerror}",
        hint="Free some space, or set SLS_HOME to a folder that you may write to.",
    )


def read_private(path: Path, length: int) -> bytes:
    """The bytes of a private file that is there.

    Raises:
        Unavailable: it cannot be read, others may read it, or it has not ``length`` bytes.
    """
    try:
        mode, data = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
    except OSError as error:
        raise _not_kept(path, error) from None
    if mode & 0o077:
        raise Unavailable(
            f"The private key {path.name} can be read by others.",
            found=f"mode {mode:04o}",
            expected="mode 0600",
            hint=f"chmod 600 {path}",
        )
    if len(data) != length:
        raise Unavailable(
            f"The private key {path.name} is damaged.",
            found=f"{len(data)} bytes",
            expected=f"{length} bytes",
            hint=f"Restore {path} from a backup. What was sealed with it cannot be opened without it.",
        )
    return data


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            "The folder for keys and assets cannot be made.",
            found=f"{path}: {error.strerror}",
            hint="Set SLS_HOME to a folder that you may write to.",
        ) from None
    return path


@dataclass(frozen=True, slots=True)
class Home:
    """One persona's folder."""

    root: Path  # of all personas of this user
    persona: str

    DEFAULT: ClassVar[str] = "me"

    @classmethod
    def find(cls, persona: str | None = None) -> Home:
        """The home of ``persona`` (default ``me``) below ``SLS_HOME`` or the platform's data folder.

        Raises:
            BadInput: the name cannot be a folder's.
            Unavailable: the folder cannot be made.
        """
        name = persona or os.environ.get("SLS_PERSONA") or cls.DEFAULT
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
            raise BadInput(
                "A persona's name is lower-case letters, digits and hyphens.",
                found=name[:60],
                hint="For instance: %sls as hospital-north",
            )
        home = cls(cls.find_root(), name)
        _make_folder(home.path)
        return home

    @staticmethod
    def with_keys(root: Path) -> list[str]:
        """Every persona below a folder of all personas that has keys, by name; nothing is made, and the folder need not be there."""
        return sorted(path.parent.parent.name for path in (root / "personas").glob("*/keys/ed25519"))

    @staticmethod
    def find_root() -> Path:
        """The folder of all personas of this user, which need not be there: ``SLS_HOME``, or below the platform's data folder."""
        chosen = os.environ.get("SLS_HOME")
        root = Path(chosen) if chosen else Path(platformdirs.user_data_path("sls_jupyter"))
        return root.expanduser().absolute()

    @property
    def path(self) -> Path:
        return self.root / "personas" / self.persona

    @property
    def mark(self) -> str:
        """Names the folder of all personas without saying where it is: ``digest(lp("sls-jupyter/home/v1", root))``.

        Equal where two processes use the same root under the same path; it proves nothing to anybody else.
        """
        return digest(lp("sls-jupyter/home/v1", os.fsencode(self.root)))  # a path may have bytes that are no text

    def folder(self, name: str) -> Path:
        """A sub-folder, made with mode 0700 on first use.

        Raises:
            Unavailable: it cannot be made.
        """
        return _make_folder(self.path / name)

    def personas(self) -> list[str]:
        """Every persona of this user that has a home, by name."""
        return sorted(path.name for path in (self.root / "personas").iterdir() if path.is_dir())

    def identity(self) -> Identity:
        """This persona's keys, made on first use."""
        keys = self.folder("keys")
        fresh = SigningKey.generate().private_key.private_bytes_raw()
        seed = read_or_create_private(keys / "ed25519", fresh, 32)
        hpke = read_or_create_private(keys / "x-wing", HpkeKey.generate().private_bytes, 96)
        return Identity(self.persona, SigningKey(Ed25519PrivateKey.from_private_bytes(seed)), HpkeKey(hpke))


# --- tokens ---------------------------------------------------------------------------------------


def make_token(key: SigningKey, *, audience: str, method: str, path: str, body: bytes, now: int) -> str:
    """A JWT that lets its bearer make exactly this one call within a minute.

    Args:
        audience: the DID of the authority, or the digest of a door's public key.
        path: of the URL, with ``?`` and its query if it has one, exactly as they are sent.
        now: seconds since 1970-01-01 UTC.
    """
    import jwt  # not before there is a token: a program and a sidecar have none

    claims = {
        "iss": key.did,
        "aud": audience,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "htm": method,
        "htu": path,
        "body": digest(body),
        "jti": secrets.token_hex(16),
    }
    return jwt.encode(claims, key.private_key, algorithm="EdDSA")


def verify_token(token: str, *, audience: str, method: str, path: str, body: bytes | None, now: int) -> str:
    """Check a token against the call it came with; returns the caller's DID.

    Args:
        body: of the call; ``None`` before it is read, to refuse whom it need not be read of. It is checked again then.

    The clock is an argument. What is *not* checked here: whether that caller may make the call, and
    whether the same token came before (the calls of this project can be repeated without harm).

    Raises:
        NotAuthorised: with the reason.
    """
    import jwt

    hint = "Sign a fresh token for this call; if clocks differ by more than 30 seconds, set them."
    try:
        issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
        key = Ed25519PublicKey.from_public_bytes(public_key_from_did(issuer))
        options = {
            "require": ["iss", "aud", "iat", "exp"],
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        }
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, MalformedDocument, ValueError, TypeError, RecursionError) as error:
        raise NotAuthorised("The caller's token is not valid.", found=type(error).__name__, hint=hint) from None
    issued, expires = claims["iat"], claims["exp"]
    if not (isinstance(issued, int) and isinstance(expires, int)) or expires - issued > TOKEN_SECONDS:
        raise NotAuthorised(
            "The caller's token lives too long.", expected=f"{TOKEN_SECONDS} seconds at most", hint=hint
        )
    if not issued - CLOCK_SKEW_SECONDS <= now <= expires + CLOCK_SKEW_SECONDS:
        raise NotAuthorised(
            "The caller's token is not valid at this time.", found=f"issued {now - issued} s ago", hint=hint
        )
    named = {"htm": method, "htu": path} | ({} if body is None else {"body": digest(body)})
    for claim, value in named.items():
        if claims.get(claim) != value:
            raise NotAuthorised("The caller's token is for another call.", found=f"another {claim}", hint=hint)
    return issuer


def contact_key(contact: Contact) -> bytes:
    """The HPKE public key of a contact, decoded.

    Raises:
        MalformedDocument: not an X-Wing key, or one that everybody holds.
    """
    return require_public_key(b64decode(contact.hpke_public_key))

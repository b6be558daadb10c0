"""Signed documents: one encoding per value, one digest per document, one envelope around it.

A document is a frozen pydantic model. Its payload is RFC 8785 canonical JSON, its identifier the
SHA-256 of that payload, and it travels in a DSSE envelope (https://github.com/secure-systems-lab/dsse,
protocol 1.0.2) whose payload type names the document and its version.

Parsing gives types and no trust; :func:`verify` gives the signed document.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self, TypeVar, cast

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sls_jupyter.errors import DigestMismatch, MalformedDocument, SignatureInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024  # bytes of an envelope we are willing to parse
MAX_DEPTH = 32  # nested JSON containers
MAX_KEPT, MAX_KEPT_BYTES = 256, 2**16  # of envelopes that were verified
MAX_OPENED = 32  # of those that were only read, whoever sent them
MAX_VALUES = 200_000  # of one document: a stranger's list of nothings costs as much time as a list of something


# --- digests and encodings ------------------------------------------------------------------------


def digest(data: bytes) -> str:
    """``sha256:`` and 64 lower-case hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def lp(*parts: bytes | str) -> bytes:
    """Each part preceded by its length in bytes (8 bytes, big-endian); text as UTF-8.

    The one way in which this project joins values before hashing or authenticating them, so that no
    two different lists of parts give the same bytes.
    """
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def b64encode(data: bytes) -> str:
    """Standard base64 with padding, as DSSE uses it."""
    return base64.b64encode(data).decode()


def b64decode(text: str) -> bytes:
    """Decode standard base64; any second spelling of the same bytes is refused.

    Raises:
        MalformedDocument: not base64, or not in its canonical form.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if b64encode(data) != text:
        raise MalformedDocument("A base64 field is not in its one canonical form.", found=f"{len(text)} characters")
    return data


def unhex(text: str) -> bytes:
    """Bytes as hexadecimal digits, in either case, also after ``0x``; white space is passed over.

    Raises:
        ValueError: anything else.
    """
    text = text.strip()
    return bytes.fromhex(text[2:] if text[:2].lower() == "0x" else text)


def _base64_text(text: str) -> str:
    try:
        b64decode(text)
    except MalformedDocument as error:
        raise ValueError(error.message) from None
    return text


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Did = Annotated[str, Field(pattern=r"^did:key:z[1-9A-HJ-NP-Za-km-z]{40,80}\Z")]
Base64 = Annotated[str, AfterValidator(_base64_text)]
Timestamp = Annotated[int, Field(ge=0, lt=253_402_300_800, description="seconds since 1970-01-01 UTC, to year 9999")]
ShortText = Annotated[str, Field(max_length=500)]
NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"  # nor what ends a line
OneLine = Annotated[str, Field(max_length=500, pattern=NO_CONTROLS)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")]


# --- strict JSON ----------------------------------------------------------------------------------


def no_member_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of one JSON object, for ``object_pairs_hook``; of two of one name neither would be the one meant.

    Raises:
        MalformedDocument: a member is there twice; it is named.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise MalformedDocument(
            "A JSON object names one member twice.",
            found=f"{twice[:100]!r} twice",
            expected="each member once",
            hint="Ask the sender for a valid document.",
        )
    return result


def _refuse_constant(name: str) -> Any:
    raise MalformedDocument("JSON has no such number.", found=name)


# a string, ended or not, is taken out as one: each byte is looked at once, whatever a stranger sends
_JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _require_bounded(data: bytes, max_values: int) -> None:
    """Depth and number of values, found before anything is built from them."""
    rest, strings = _JSON_STRING.subn(b"", data)
    if strings + sum(map(rest.count, (b",", b"[", b"{"))) > max_values:  # at least as many as there are values
        raise MalformedDocument("A JSON document has too many values.", expected=f"{max_values} at most")
    depth = 0
    for bracket in rest.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedDocument("A JSON document is nested too deeply.", expected=f"{MAX_DEPTH} levels at most")


def parse_json(data: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES, max_values: int = 2 * MAX_VALUES) -> Any:
    """Parse UTF-8 JSON from a stranger: bounded in size, depth and number, no duplicate members, no NaN.

    Raises:
        MalformedDocument: for everything else.
    """
    if len(data) > max_bytes:
        raise MalformedDocument("A document is too large.", found=f"{len(data)} bytes", expected=f"{max_bytes} at most")
    _require_bounded(data, max_values)
    try:
        return json.loads(data.decode(), object_pairs_hook=no_member_twice, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument("This is not JSON.", found=type(error).__name__) from None


_LONG_NUMBER = re.compile(rb"(?:^|[:,\[])-?[0-9]{16,}(?:$|[,\]}])")  # maybe within a text; then it is looked at closely


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value, which :func:`parse_json` reads as the same value.

    Raises:
        MalformedDocument: the value has no canonical form (NaN, a whole number beyond 2**53, a lone surrogate); a number
            is named by its place. A float of that size would be written as an integer that nobody may read.
    """
    try:
        data = bytes(rfc8785.dumps(value))
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        _refuse_large_numbers(value)
        raise MalformedDocument("A value cannot be written as canonical JSON.", found=error) from None
    if _LONG_NUMBER.search(data):
        _refuse_large_numbers(value)
    return data


# What the standard library's encoder writes otherwise than RFC 8785: numbers that are no integers, integers that nobody may
# read, and keys beyond the basic plane, which UTF-16 sorts otherwise. An expression takes longer than all the rest, so
# first only kinds of bytes are looked at: digits, what a float has after one, and the first bytes of such characters.
_KINDS = bytes(
    ord("0" if chr(one) in "0123456789" else chr(one).lower() if chr(one) in ".eE" else "-" if chr(one) in "+-" else
        "F" if 0xF0 <= one <= 0xF4 else "_") for one in range(256)
)  # fmt: skip
_NUMBER = re.compile(rb"[:,\[]-?(?:[0-9]{16}|[0-9]+[.eE])")  # maybe within a text; then the slow way is taken as well
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def canonical_model_json(value: Any) -> bytes:
    """:func:`canonical_json` of what a model or :func:`parse_json` gives, whose keys are texts: most of all JSON here.

    The same bytes in a fraction of the time.
    """
    try:
        data = _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError):  # no JSON, no number, or half a character
        return canonical_json(value)
    kinds = data.translate(_KINDS)
    suspicious = b"0." in kinds or b"0e-" in kinds or b"0" * 16 in kinds
    otherwise = b"F" in kinds or data[:1] in b"-0123456789" or (suspicious and _NUMBER.search(data))
    return canonical_json(value) if otherwise else data


def _refuse_large_numbers(value: Any) -> None:
    """Say where a whole number beyond 2**53 stands, a float below 1e21 included, which has no exponent."""
    rest: list[tuple[str, Any]] = [("", value)]
    while rest:
        where, one = rest.pop()
        if isinstance(one, dict):
            rest += [(f"{where}.{name}" if where else str(name), item) for name, item in one.items()]
        elif isinstance(one, list | tuple):
            rest += [(f"{where}[{place}]", item) for place, item in enumerate(one)]
        elif (isinstance(one, int) and abs(one) >= 2**53) or (isinstance(one, float) and 2**53 <= abs(one) < 1e21):
            raise MalformedDocument(
                "A value cannot be written as canonical JSON.",
                found=f"a number beyond 2**53 at {where[:200] or 'the top'}",
                hint="A number of 2**53 or more travels as text, or as a typed value.",
            ) from None


class Model(BaseModel):
    """A frozen, strict part of a document: unknown fields and coerced types are refused."""

    # Python's regular expressions know \Z, the very end of a text; the default engine does not
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, regex_engine="python-re")

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build from decoded JSON, strictly.

        Raises:
            MalformedDocument: a field is missing, unknown or of another type; the first one is named.
        """
        return cls._from_text(json.dumps(value))

    @classmethod
    def read(cls, data: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES, max_values: int = 2 * MAX_VALUES) -> Self:
        """Build from a stranger's JSON, strictly; bounded as :func:`parse_json` is.

        Raises:
            MalformedDocument: as :func:`parse_json` and :meth:`from_json`.
        """
        parse_json(data, max_bytes=max_bytes, max_values=max_values)
        return cls._from_text(data)

    @classmethod
    def _from_text(cls, text: str | bytes) -> Self:
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise MalformedDocument(f"This is not a valid {cls.__name__}.", found=f"{where}: {first['msg']}") from None


V = TypeVar("V")


class Document(Model):
    """A document that is signed as a whole."""

    __slots__ = ("_made",)  # no field: a copy, which may differ, does not have it, and no comparison sees it
    payload_type: ClassVar[str]
    deeply_frozen: ClassVar[bool] = False  # no part of it can change (a dict could), so that its bytes are made once
    max_payload_bytes: ClassVar[int] = MAX_DOCUMENT_BYTES  # of a payload that is read

    def payload(self) -> bytes:
        """The bytes that are hashed and signed."""
        return self._once("payload", lambda: canonical_model_json(self.model_dump(mode="json")))

    def _once(self, name: str, make: Callable[[], V]) -> V:
        """What follows from a document, made once where no part of it can change."""
        if not self.deeply_frozen:
            return make()
        try:
            made = cast(dict[str, Any], object.__getattribute__(self, "_made"))
        except AttributeError:
            made = {}
            object.__setattr__(self, "_made", made)
        if name not in made:
            made[name] = make()
        return cast(V, made[name])

    @property
    def digest(self) -> str:
        """The document's identifier."""
        return self._once("digest", lambda: digest(self.payload()))

    def signer(self) -> str | None:
        """The DID that this document itself says must have signed it; ``None`` if it names nobody."""
        return None

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a payload; ``parse(x).payload() == x`` holds for everything that is accepted.

        Raises:
            MalformedDocument: not JSON, not this document, or not in its canonical form.
        """
        if len(payload) > cls.max_payload_bytes:
            raise MalformedDocument(
                f"A {cls.__name__} is too large.",
                found=f"{len(payload)} bytes",
                expected=f"{cls.max_payload_bytes} at most",
            )
        if payload.count(b",") > MAX_VALUES:
            raise MalformedDocument(f"A {cls.__name__} has too many values.", expected=f"{MAX_VALUES} at most")
        document = cls.read(payload)
        if document.payload() != payload:
            raise MalformedDocument(
                f"A {cls.__name__} is not in canonical form.",
                expected="RFC 8785 bytes",
                hint="Send the payload exactly as it was signed.",
            )
        return document


D = TypeVar("D", bound=Document)


# --- envelopes ------------------------------------------------------------------------------------


class Signer(Protocol):
    """Whoever can sign: an identity, an authority, a test."""

    @property
    def did(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope taken apart. Nothing in it is verified."""

    payload_type: str
    payload: bytes
    keyid: str
    signature: bytes

    def pae(self) -> bytes:
        """The bytes that are signed: DSSE's pre-authentication encoding of type and payload."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def encode(self) -> bytes:
        """Canonical JSON; ``Envelope.parse(x.encode(), x.payload_type) == x``."""
        signature = {"keyid": self.keyid, "sig": b64encode(self.signature)}
        return canonical_model_json(
            {"payload": b64encode(self.payload), "payloadType": self.payload_type, "signatures": [signature]}
        )

    @classmethod
    def parse(cls, envelope: bytes, payload_type: str) -> Self:
        """Read an envelope of one payload type with one signature.

        Raises:
            MalformedDocument: not such an envelope, or not in its canonical form.
        """
        value = parse_json(envelope)
        if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
            raise MalformedDocument("This is not a DSSE envelope.", expected="payload, payloadType and signatures")
        if value["payloadType"] != payload_type:
            raise MalformedDocument(
                "An envelope holds another document.", found=value["payloadType"], expected=payload_type
            )
        signature = _one_signature(value["signatures"])
        if not isinstance(value["payload"], str):
            raise MalformedDocument("The payload of a DSSE envelope is base64 text.")
        parsed = cls(payload_type, b64decode(value["payload"]), signature["keyid"], b64decode(signature["sig"]))
        if canonical_model_json(value) != envelope:
            raise MalformedDocument("A DSSE envelope is not in canonical form.", expected="RFC 8785 bytes")
        return parsed


def _one_signature(signatures: Any) -> dict[str, str]:
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise MalformedDocument("An envelope needs exactly one signature.")
    if set(signatures[0]) != {"keyid", "sig"} or not all(isinstance(text, str) for text in signatures[0].values()):
        raise MalformedDocument("A DSSE signature has a key id and a signature, and nothing else.")
    return dict(signatures[0])


def sign(document: Document, signer: Signer) -> bytes:
    """Put a document into a DSSE envelope with one signature.

    Returns:
        Canonical JSON of the envelope; equal input gives equal bytes (Ed25519 is deterministic).
    """
    unsigned = Envelope(document.payload_type, document.payload(), signer.did, b"")
    return replace(unsigned, signature=signer.sign(unsigned.pae())).encode()


def verify(envelope: bytes, cls: type[D], verify_key: Callable[[str, bytes, bytes], None], *, did: str | None) -> D:
    """Check an envelope's signature and return the document in it.

    Args:
        envelope: canonical JSON of a DSSE envelope with one signature.
        cls: the document expected; another payload type is refused.
        verify_key: ``(did, signature, message)``, raises :class:`SignatureInvalid`
            (:func:`sls_jupyter.identity.verify_signature`).
        did: who must have signed; ``None`` takes the signer that the document itself names through
            :meth:`Document.signer` (a document that names nobody is then refused).

    What can never change is read and verified once for equal arguments.

    Raises:
        MalformedDocument: the envelope or the document.
        SignatureInvalid: another signer, or a signature that does not verify.
    """
    if cls.deeply_frozen and len(envelope) <= MAX_KEPT_BYTES:
        return cast(D, _verify_once(bytes(envelope), cls, verify_key, did))
    return _verify(envelope, cls, verify_key, did)


def _verify(envelope: bytes, cls: type[D], verify_key: Callable[[str, bytes, bytes], None], did: str | None) -> D:
    parsed, document = _opened(envelope, cls)
    expected = did if did is not None else document.signer()
    if expected is None or parsed.keyid != expected:
        raise SignatureInvalid(f"A {cls.__name__} is signed by somebody else.", found=parsed.keyid, expected=expected)
    verify_key(expected, parsed.signature, parsed.pae())
    return document


def parse_signed(envelope: bytes, cls: type[D]) -> D:
    """The document in an envelope, with no look at the signature. Nothing may rest on it.

    Raises:
        MalformedDocument: the envelope or the document.
    """
    return _opened(envelope, cls)[1]


def _opened(envelope: bytes, cls: type[D]) -> tuple[Envelope, D]:
    if cls.deeply_frozen and len(envelope) <= MAX_KEPT_BYTES:
        return cast(tuple[Envelope, D], _open_once(bytes(envelope), cls))
    return _open(envelope, cls)


def _open(envelope: bytes, cls: type[D]) -> tuple[Envelope, D]:
    parsed = Envelope.parse(envelope, cls.payload_type)
    return parsed, cls.parse(parsed.payload)


# The same spec, manifests and grants come with every cell of a session. Who signed which bytes does not change, nor can
# what was read from them; what is refused is looked at again.
_open_once = lru_cache(MAX_OPENED)(_open)
_verify_once = lru_cache(MAX_KEPT)(_verify)


def require_digest(data: bytes, expected: str, what: str) -> None:
    """Raise :class:`DigestMismatch` unless ``digest(data) == expected``."""
    if digest(data) != expected:
        raise DigestMismatch(
            f"The bytes of {what} are not the ones that were named.", found=digest(data), expected=expected
        )

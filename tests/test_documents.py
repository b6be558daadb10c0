"""Signed documents: one encoding per value, and strangers' bytes end in our errors."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_args, get_origin

import pytest
from builders import person
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from securesystemslib.dsse import Envelope as Dsse
from securesystemslib.signer import Signature

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.contract.cells import CellGrant, CellOrder, CellTerms
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import (
    MAX_DEPTH,
    Base64,
    Document,
    Envelope,
    Timestamp,
    b64decode,
    b64encode,
    canonical_json,
    canonical_model_json,
    digest,
    lp,
    parse_json,
    require_digest,
    sign,
    verify,
)
from sls_jupyter.errors import DigestMismatch, MalformedDocument, SignatureInvalid, SlsError
from sls_jupyter.identity import verify_signature

AUTHOR = person("author")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.text("0123456789.e:,[\"-"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def written(write: Any, value: Any) -> bytes | str:
    """What a function writes, or why it does not."""
    try:
        return bytes(write(value))
    except MalformedDocument as error:
        return f"{error.message} {error.found}"


@given(ANY_JSON)
def test_the_fast_way_writes_what_the_slow_one_writes(value: Any) -> None:
    """Two spellings of one document would be two digests; what has no canonical form is refused by both, in the same words."""
    assert written(canonical_model_json, value) == written(canonical_json, value)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        -0.0,
        1e22,
        2**53,
        -(2**60),
        {"a": [1e-7]},
        {"\ue000": 1, "\U00010000": 2},
        "\ud800",
        float("nan"),
        "\x7f\x1f\u2028",
    ],
)
def test_what_the_two_encoders_write_otherwise_is_written_the_slow_way(value: Any) -> None:
    """These are where the standard library's encoder and RFC 8785 part."""
    assert written(canonical_model_json, value) == written(canonical_json, value)


class Letter(Document):
    """A document for these tests."""

    payload_type: ClassVar[str] = "application/vnd.sls.test-letter.v1+json"

    to: str
    at: Timestamp = 5
    body: Base64 = ""
    lines: tuple[str, ...] = ()
    flag: bool | None = None


class Signed(Letter):
    """One that names its signer."""

    payload_type: ClassVar[str] = "application/vnd.sls.test-signed.v1+json"

    author: str

    def signer(self) -> str:
        return self.author


letters = st.builds(
    Letter,
    to=st.text(),
    at=st.integers(0, 253_402_300_799),
    body=st.binary().map(b64encode),
    lines=st.lists(st.text()).map(tuple),
    flag=st.none() | st.booleans(),
)


# --- encodings ------------------------------------------------------------------------------------


@given(st.binary())
def test_base64_round_trip(data):
    """What is encoded comes back."""
    assert b64decode(b64encode(data)) == data
    assert b64encode(data) == base64.standard_b64encode(data).decode()


@given(st.text(alphabet="AQgw+/=-_ \n", max_size=12))
def test_base64_has_one_spelling(text):
    """Padding, spaces, the other alphabet or stray bits: a second spelling would be a second hash, so it is refused."""
    try:
        data = b64decode(text)
    except MalformedDocument:
        return
    assert b64encode(data) == text


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q-==", "Q_==", "ä", "QQ==QQ=="])
def test_base64_that_is_none(text):
    """Each of these decodes somewhere, and not here."""
    with pytest.raises(MalformedDocument):
        b64decode(text)


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_joined_parts_tell_their_borders(one, other):
    """No two lists of parts give the same bytes, so nothing can be moved from one field into the next."""
    assert (lp(*one) == lp(*other)) == (one == other)


def test_joined_parts_as_written_down():
    """The formula that other implementations have to follow: 8 bytes of length, big-endian, then the part."""
    assert lp("ab", b"", "ü").hex() == "0000000000000002616200000000000000000000000000000002c3bc"
    assert digest(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    require_digest(b"abc", digest(b"abc"), "a file")
    with pytest.raises(DigestMismatch):
        require_digest(b"abd", digest(b"abc"), "a file")


# --- JSON -----------------------------------------------------------------------------------------


@given(JSON)
def test_canonical_json_round_trip(value):
    """A value's canonical bytes are read back as the same value with the same bytes."""
    data = canonical_json(value)
    assert parse_json(data) == value
    assert canonical_json(parse_json(data)) == data


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"\ufb33": 0, "\U0001f600": 1, "\u20ac": 2}, b'{"\xe2\x82\xac":2,"\xf0\x9f\x98\x80":1,"\xef\xac\xb3":0}'),
        ([1e21, 1e-7, 1.0, -0.0, 4.5e15], b"[1e+21,1e-7,1,0,4500000000000000]"),
        ('\x00\x1f"\\/\u2028', '"\\u0000\\u001f\\"\\\\/\u2028"'.encode()),
    ],
)
def test_canonical_json_as_the_rfc_says(value, expected):
    """Names are sorted as UTF-16, numbers written as ECMAScript does, and only what must be escaped is (RFC 8785)."""
    assert canonical_json(value) == expected


@pytest.mark.parametrize("number", [2**53, -(2**63), 2.0**53, 1e20, -295147905179352830000.0, 9.99e20])
def test_a_number_that_could_not_be_read_again_is_named_by_its_place(number):
    """Nanoseconds since 1970 are such a number; its owner learns which member it is."""
    with pytest.raises(MalformedDocument) as raised:
        canonical_json({"parameters": [{"since": number, "other": "12345678901234567890"}]})
    assert raised.value.found == "a number beyond 2**53 at parameters[0].since"
    assert canonical_json([1e21, 2**53 - 1, float(2**53 - 1), "9007199254740993"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, -(2**60), "\ud800", {"\udfff": 1}])
def test_values_without_a_canonical_form(value):
    """What cannot be written in one way only is refused."""
    with pytest.raises(MalformedDocument):
        canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"{", b'{"a":1,"a":1}', b'{"x":{"a":1,"a":2}}', b'{"a":1,"\\u0061":2}', b"NaN", b"[Infinity]",
        b"-Infinity", b"{}x", b"{} {}", b"\xff", b"'a'", b"[1,]", b"01", b"[" * 40 + b"]" * 40, b"[" * 200_000,
        b'{"a":' * 200_000, b"9" * 5000, b"\xef\xbb\xbf{}", b'"\\x"', b"\x00", "{}".encode("utf-16"),
    ],
)  # fmt: skip
def test_json_from_strangers(data):
    """Doubled names, numbers that are none, depth, trailing bytes: each ends in our error, at once."""
    started = time.monotonic()
    with pytest.raises(MalformedDocument):
        parse_json(data)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("data", [b'"' + b'\\"' * 500_000, b'"' * 999_999, b'"\\\n' * 300_000, b'["\\' * 250_000])
def test_hostile_strings_take_no_time(data):
    """A megabyte that is made to confuse a scanner costs a megabyte's time, not its square."""
    started = time.monotonic()
    with pytest.raises(MalformedDocument):
        parse_json(data)
    assert time.monotonic() - started < 2


def test_json_limits():
    """Size and depth are bounded exactly; brackets within strings do not count."""
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse_json(canonical_json("[" * 1000 + '"\\"[')) == "[" * 1000 + '"\\"['
    assert parse_json(b"[1]", max_bytes=3) == [1]
    with pytest.raises(MalformedDocument):
        parse_json(b"[1] ", max_bytes=3)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_parser_fail(data):
    """Any bytes are JSON or our error."""
    with contextlib.suppress(MalformedDocument):
        parse_json(data)


# --- documents ------------------------------------------------------------------------------------


@given(letters)
def test_document_round_trip(letter):
    """``parse(x).payload() == x``, and equal documents have equal digests."""
    try:
        payload = letter.payload()
    except MalformedDocument:
        assert any("\ud800" <= sign <= "\udfff" for sign in letter.to + "".join(letter.lines))
        return
    assert Letter.parse(payload) == letter
    assert letter.digest == digest(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"at":5,"body":"","flag":null,"lines":[]}',
        b'{"at":5,"body":"","flag":null,"lines":[],"to":"x","cc":"y"}',
        b'{"at":"5","body":"","flag":null,"lines":[],"to":"x"}',
        b'{"at":5.0,"body":"","flag":null,"lines":[],"to":"x"}',
        b'{"at":true,"body":"","flag":null,"lines":[],"to":"x"}',
        b'{"at":5,"body":"","flag":1,"lines":[],"to":"x"}',
        b'{"at":5,"body":"","flag":null,"lines":{},"to":"x"}',
        b'{"at":5,"body":"QR==","flag":null,"lines":[],"to":"x"}',
        b'{"at":5,"body":"","flag":null,"lines":[],"to":7}',
        b'{"at":-1,"body":"","flag":null,"lines":[],"to":"x"}',
        b'{"at":5,"body":"","flag":null,"lines":[], "to":"x"}',
        b'{"to":"x","at":5,"body":"","flag":null,"lines":[]}',
        b'{"at":5,"body":"","flag":null,"lines":[],"to":"\\u0078"}',
        b'{"to":"x"}',
        b"[]",
        b"null",
        b'"x"',
        '{"at":5,"body":"","flag":null,"lines":[],"to":"x"}'.encode("utf-16"),
    ],
)
def test_payloads_that_are_no_letter(payload):
    """Missing, unknown and coerced fields, other orders and other spellings are refused."""
    with pytest.raises(MalformedDocument):
        Letter.parse(payload)
    assert Letter.parse(b'{"at":5,"body":"","flag":null,"lines":[],"to":"x"}') == Letter(to="x")


def test_documents_do_not_change():
    """What was verified cannot be changed in hand."""
    with pytest.raises(Exception, match="frozen"):
        Letter(to="x").to = "y"


# --- envelopes ------------------------------------------------------------------------------------


def envelope(**changes: Any) -> bytes:
    """A signed letter, with members of its envelope changed."""
    value = json.loads(sign(Letter(to="x"), AUTHOR)) | changes
    return canonical_json({name: item for name, item in value.items() if item is not ...})


GOOD = json.loads(sign(Letter(to="x"), AUTHOR))
(SIGNATURE,) = GOOD["signatures"]


def test_signed_letter_comes_back():
    """The signature is one over the DSSE pre-authentication encoding, so other DSSE tools verify it too."""
    signed = sign(Letter(to="x"), AUTHOR)
    assert verify(signed, Letter, verify_signature, did=AUTHOR.did) == Letter(to="x")
    assert sign(Letter(to="x"), AUTHOR) == signed
    payload, kind = Letter(to="x").payload(), Letter.payload_type.encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    verify_signature(AUTHOR.did, base64.b64decode(SIGNATURE["sig"]), message)


@pytest.mark.parametrize(
    "data",
    [
        envelope(payloadType="application/vnd.sls.other.v1+json"),
        envelope(payloadType=5),
        envelope(signatures=[]),
        envelope(signatures=[SIGNATURE, SIGNATURE]),
        envelope(signatures=[SIGNATURE, {**SIGNATURE, "keyid": person("other").did}]),
        envelope(signatures=[{**SIGNATURE, "extra": "x"}]),
        envelope(signatures=[{"sig": SIGNATURE["sig"]}]),
        envelope(signatures=[{**SIGNATURE, "sig": SIGNATURE["sig"].rstrip("=")}]),
        envelope(signatures=[{**SIGNATURE, "sig": 5}]),
        envelope(signatures={"0": SIGNATURE}),
        envelope(signatures=[[]]),
        envelope(signatures=None),
        envelope(payload=GOOD["payload"].rstrip("=") + "\n"),
        envelope(payload=5),
        envelope(payload=...),
        envelope(extra=1),
        json.dumps(GOOD).encode(),
        b"[]",
        b"",
        b'{"payload":"","payload":"","payloadType":"","signatures":[]}',
    ],
)
def test_envelopes_that_are_none(data):
    """Two signatures, extra members, other base64 or other spacing: an envelope has one form."""
    with pytest.raises(MalformedDocument):
        verify(data, Letter, verify_signature, did=AUTHOR.did)


@pytest.mark.parametrize(
    "data",
    [
        envelope(payload=b64encode(Letter(to="y").payload())),
        envelope(signatures=[{**SIGNATURE, "sig": b64encode(bytes(64))}]),
        envelope(signatures=[{**SIGNATURE, "sig": ""}]),
        envelope(signatures=[{**SIGNATURE, "keyid": person("other").did}]),
        envelope(signatures=[{**SIGNATURE, "keyid": ""}]),
        sign(Letter(to="x"), person("other")),
    ],
)
def test_signatures_that_are_none(data):
    """Another text, no signature, or somebody else's."""
    with pytest.raises(SignatureInvalid):
        verify(data, Letter, verify_signature, did=AUTHOR.did)


def test_who_must_have_signed():
    """A document that names its signer is held to it, and one that names nobody needs the name from elsewhere."""
    named = Signed(to="x", author=AUTHOR.did)
    assert verify(sign(named, AUTHOR), Signed, verify_signature, did=None) == named
    with pytest.raises(SignatureInvalid):
        verify(sign(named, person("other")), Signed, verify_signature, did=None)
    with pytest.raises(SignatureInvalid):
        verify(sign(Letter(to="x"), AUTHOR), Letter, verify_signature, did=None)


def test_one_kind_is_never_taken_for_another():
    """A signature on one kind of document is none on another with the same fields."""

    class Twin(Letter):
        payload_type: ClassVar[str] = "application/vnd.sls.test-twin.v1+json"

    with pytest.raises(MalformedDocument):
        verify(sign(Letter(to="x"), AUTHOR), Twin, verify_signature, did=AUTHOR.did)
    forged = envelope(payloadType=Twin.payload_type)
    with pytest.raises(SignatureInvalid):
        verify(forged, Twin, verify_signature, did=AUTHOR.did)


@given(st.binary(max_size=80))
def test_no_bytes_are_a_letter_by_chance(data):
    """Any bytes are refused with one of our errors."""
    with pytest.raises(SlsError):
        verify(data, Letter, verify_signature, did=AUTHOR.did)


@given(st.from_regex(r"[a-z+/.-]{1,40}", fullmatch=True), st.binary(max_size=300), st.binary(max_size=80))
def test_an_envelope_is_what_another_implementation_of_dsse_writes(kind: str, payload: bytes, signature: bytes) -> None:
    """A receipt or grant would otherwise verify with this library alone."""
    other = Dsse(payload, kind, {"a key": Signature("a key", signature.hex())})
    ours = Envelope(kind, payload, "a key", signature)
    assert ours.pae() == other.pae()
    assert json.loads(ours.encode()) == other.to_dict()
    assert Dsse.from_dict(json.loads(ours.encode())) == other


def _parts(annotation: Any) -> Iterator[Any]:
    """Every type that an annotation names, those of the models in it included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from _parts(field.annotation)
    elif arguments := get_args(annotation):
        yield get_origin(annotation)
        for argument in arguments:
            yield from _parts(argument)
    else:
        yield annotation


@pytest.mark.parametrize("kind", [StreamSpec, CellOrder, CellGrant, Grant, Approval, Denial, AssetManifest])
def test_bytes_are_kept_only_of_what_cannot_change(kind: type[Document]) -> None:
    """A document whose bytes are made once has no part that anybody could change after them."""
    assert kind.deeply_frozen
    found = set(_parts(kind))
    assert not found & {dict, list, set, Mapping, Sequence, Any, object}, found


def test_a_changed_copy_has_its_own_digest() -> None:
    """The kept bytes stay with the document that they are of."""
    cell = CellTerms(code=digest(b"code"), parameters=digest(b"parameters"))
    order = CellOrder(
        requester=AUTHOR.did, session=digest(b"s"), previous=None, cells=(cell,), issued_at=1, expires_at=9
    )
    before = order.digest
    assert order.model_copy(update={"issued_at": 2}).digest != before == order.digest
    assert copy.deepcopy(order).digest == before


def test_what_was_refused_is_looked_at_again() -> None:
    """Only what was verified is remembered, and for these bytes and this signer alone."""
    order = CellOrder(
        requester=AUTHOR.did, session=digest(b"s"), previous=None, issued_at=1, expires_at=9,
        cells=(CellTerms(code=digest(b"code"), parameters=digest(b"parameters")),),
    )  # fmt: skip
    envelope = sign(order, AUTHOR)
    signature = json.loads(envelope)["signatures"][0]["sig"].encode()
    forged = envelope.replace(signature, base64.b64encode(bytes(64)))
    for _ in range(2):
        assert verify(envelope, CellOrder, verify_signature, did=AUTHOR.did) == order
        with pytest.raises(SignatureInvalid):
            verify(envelope, CellOrder, verify_signature, did=person("other").did)
        with pytest.raises(SignatureInvalid):
            verify(forged, CellOrder, verify_signature, did=AUTHOR.did)

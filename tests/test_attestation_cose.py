"""COSE_Sign1 and the CBOR below it: one spelling, one algorithm for each key, and nothing unsigned believed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from forge import rsa_key
from hypothesis import given
from hypothesis import strategies as st
from uvm_forge import Statement, ec_key, envelope_headers, raw_signature

from sls_jupyter.attestation.cose import cbor
from sls_jupyter.attestation.cose.sign1 import Sign1, VerifiedSign1, verify_sign1
from sls_jupyter.attestation.cose.x509_path import parse_path
from sls_jupyter.errors import MalformedDocument, SignatureInvalid

VECTORS = Path(__file__).parent / "vectors" / "uvm"
GOOD = Statement().encode()
KEY = ec_key("uvm leaf").public_key()


# --- CBOR -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 2**64 - 1, "text", b"bytes", [1, [2]], {1: {"a": b""}}, True, None, 1.5])
def test_what_is_decoded(value: Any) -> None:
    """Everything that our messages are made of comes back as it was."""
    found = cbor.decode(cbor2.dumps(value))
    assert (list(found) if isinstance(value, list) else found) == value or cbor.decode(cbor.encode(found)) == found


def test_dates() -> None:
    """Tag 1 is a date in UTC in both major versions of the library."""
    assert cbor.decode(bytes.fromhex("c11a641dc5f0")) == datetime.fromtimestamp(0x641DC5F0, UTC)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("bytes after the item", "0000"),
        ("there twice", "a201000100"),
        ("there twice", "a1" + "01" + "a2" + "6161" + "00" + "6161" + "01"),
        ("there twice", "82" + "00" + "a2" + "20" + "00" + "20" + "01"),
        ("no plain integer", "a2" + "01" + "00" + "1801" + "00"),
        ("no plain integer", "a1" + "4101" + "00"),
        ("no plain integer", "a1" + "80" + "00"),
        ("indefinite", "9f00ff"),
        ("indefinite", "bf0100ff"),
        ("indefinite", "5f4101ff"),
        ("indefinite", "7f6161ff"),
        ("reserved head", "1c"),
        ("tag 2", "c24101"),
        ("tag 28", "d81c80"),
        ("tag 35", "d8236161"),
        ("tag 55799", "d9d9f700"),
        ("simple value", "f7"),
        ("simple value", "f8ff"),
        ("too early", ""),
        ("too early", "18"),
        ("too early", "8201"),
        ("too early", "44616161"),
        ("too early", "9bffffffffffffffff"),
        ("too early", "5bffffffffffffffff00"),
        ("cannot be decoded", "61ff"),
        ("cannot be decoded", "c1fb7ff0000000000000"),
        ("levels", "81" * 20 + "00"),
    ],
)
def test_refused_cbor(what: str, data: str) -> None:
    """Two spellings of one message, or one message that two readers read differently, are refused."""
    with pytest.raises(MalformedDocument, match=what):
        cbor.decode(bytes.fromhex(data))


def test_size_limit() -> None:
    """A stranger cannot make us decode more than an endorsement ever needs."""
    with pytest.raises(MalformedDocument, match="too large"):
        cbor.decode(cbor2.dumps(bytes(cbor.MAX_CBOR_BYTES)))


@given(st.binary(max_size=200))
def test_random_cbor(data: bytes) -> None:
    """Random bytes are decoded or refused, and never end in a foreign error."""
    try:
        cbor.decode(data)
    except MalformedDocument:
        return


# --- the message ----------------------------------------------------------------------------------


def refused(data: bytes, match: str | None = None) -> None:
    with pytest.raises(MalformedDocument, match=match):
        Sign1.parse(data)


def test_good_message() -> None:
    """A signed message verifies with its key, and says what it said."""
    verified = verify_sign1(Sign1.parse(GOOD), KEY)
    assert verified.payload == Statement().payload
    assert verified.protected[1] == -35


def test_only_verify_makes_verified_messages() -> None:
    """Nobody can skip the signature by building the result."""
    with pytest.raises(TypeError, match="Only verify_sign1"):
        VerifiedSign1({}, b"", proof=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [GOOD[1:], b"\xd8\x12" + GOOD[1:], GOOD + b"\0", b"\xd2\xd2" + GOOD[1:], b"", b"\xd2"])
def test_framing(data: bytes) -> None:
    """Exactly one tag 18 in its shortest form, and nothing after the message."""
    refused(data)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"", {}, b""],
        [b"", {}, b"", b"", b""],
        {1: 2},
        [{}, {}, b"", b""],
        [b"\xa0", [], b"", b""],
        [b"\xa0", {}, "text", b""],
        [b"\xa0", {}, b"", None],
        [b"", {}, b"", b""],
        [b"\x80", {}, b"", b""],
    ],
)
def test_parts_of_the_wrong_type(parts: Any) -> None:
    """The four parts have their four types."""
    refused(b"\xd2" + cbor2.dumps(parts))


def test_critical_headers() -> None:
    """A header that must be understood and is not: refused, in either place."""
    refused(Statement(headers={**envelope_headers(), 2: ["svn"]}).encode(), "critical")
    refused(Statement(unprotected={2: [1]}).encode(), "critical")


def test_duplicate_protected_key() -> None:
    """Two algorithms in one header: the library would take the last."""
    headers = envelope_headers()
    body = cbor2.dumps(headers)
    twice = bytes([body[0] + 1]) + cbor2.dumps(1) + cbor2.dumps(-38) + body[1:]
    refused(Statement(protected_bytes=twice).encode(), "twice")


def test_label_in_both_headers() -> None:
    """A label that is protected cannot be said again without protection."""
    refused(Statement(unprotected={33: [b"x"]}).encode(), "both headers")


@pytest.mark.parametrize("algorithm", [None, 0, -8, -257, -65535, 5, "ES384", True, -35.0])
def test_algorithms(algorithm: Any) -> None:
    """RSA with old padding, MACs, hashes alone, texts: none is on the list."""
    refused(Statement(headers={**envelope_headers(), 1: algorithm}).encode(), "algorithm")


def test_algorithm_from_the_unprotected_header() -> None:
    """Anybody can write there, so nothing is read from it."""
    headers = {key: value for key, value in envelope_headers().items() if key != 1}
    refused(Statement(headers=headers, unprotected={1: -35}).encode(), "algorithm")


@pytest.mark.parametrize("chain", [None, [], "text", [b"x"] * 9, ["text"], [b"x", 1]])
def test_chains(chain: Any) -> None:
    """An x5chain is one to eight byte strings."""
    message = Sign1.parse(Statement(headers={**envelope_headers(), 33: chain}).encode())
    with pytest.raises(MalformedDocument, match="x5chain"):
        message.certificates()


# --- the signature --------------------------------------------------------------------------------


def test_rsa_signature() -> None:
    """PS384 verifies with an RSA key, and not with another one."""
    headers = {**envelope_headers(), 1: -38}
    message = Sign1.parse(Statement(headers=headers, key="rsa signer", rsa=True).encode())
    verify_sign1(message, rsa_key("rsa signer").public_key())
    for key in (rsa_key("another").public_key(), KEY):
        with pytest.raises(SignatureInvalid):
            verify_sign1(message, key)


@pytest.mark.parametrize(
    "key",
    [
        ec_key("other").public_key(),
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(),
        None,
    ],
)
def test_keys_that_do_not_fit(key: object) -> None:
    """ES384 is for P-384, whatever else would verify."""
    with pytest.raises(SignatureInvalid):
        verify_sign1(Sign1.parse(GOOD), key)


def test_algorithm_on_another_curve() -> None:
    """ES384 by a key of P-256 is mathematically fine and is refused: each algorithm has its curve."""
    key = ec.generate_private_key(ec.SECP256R1())
    protected, _, payload, _ = cbor2.loads(GOOD[1:])
    signature = raw_signature(key, cbor2.dumps(["Signature1", protected, b"", payload]), -35)
    message = Sign1.parse(b"\xd2" + cbor2.dumps([protected, {}, payload, signature]))
    with pytest.raises(SignatureInvalid):
        verify_sign1(message, key.public_key())


def test_small_rsa_key() -> None:
    """An RSA key that can be factored signs nothing."""
    headers = {**envelope_headers(), 1: -38}
    message = Sign1.parse(Statement(headers=headers, key="rsa signer", rsa=True).encode())
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    with pytest.raises(SignatureInvalid):
        verify_sign1(message, small)


def test_payload_once() -> None:
    """A payload that is given beside the message does not replace the one inside."""
    with pytest.raises(SignatureInvalid):
        verify_sign1(Sign1.parse(GOOD), KEY, detached=Statement().payload)
    protected, unprotected, payload, signature = cbor2.loads(GOOD[1:])
    bare = Sign1.parse(b"\xd2" + cbor2.dumps([protected, unprotected, None, signature]))
    verify_sign1(bare, KEY, detached=payload)
    with pytest.raises(SignatureInvalid):
        verify_sign1(bare, KEY)


def test_signature_lengths() -> None:
    """Zeros before r or s make no second signature."""
    protected, unprotected, payload, signature = cbor2.loads(GOOD[1:])
    for changed in (signature[:-1], signature + b"\0", b"\0" + signature, b"", bytes(96)):
        with pytest.raises(SignatureInvalid):
            verify_sign1(Sign1.parse(b"\xd2" + cbor2.dumps([protected, unprotected, payload, changed])), KEY)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit() -> None:
    """No bit of a message can change: protected header, payload, signature and the heads between them."""
    data = Statement(headers={1: -35, 3: "text"}, payload=b"payload").encode()
    verify_sign1(Sign1.parse(data), KEY)
    for bit in range(8 * len(data)):
        with pytest.raises((MalformedDocument, SignatureInvalid)):
            verify_sign1(Sign1.parse(flipped(data, bit)), KEY)


def test_flipped_bits_of_a_real_message() -> None:
    """A bit of every byte of Microsoft's signed part, certificates included, and of the signature."""
    real = (VECTORS / "hashenvelope-svn104.cose").read_bytes()
    message = Sign1.parse(real)
    key = parse_path(message.certificates())[0].key
    size = len(message.protected_bytes)
    spans = [(5, 5 + size), (len(real) - 48 - 384 - 5, len(real))]
    for position in (position for span in spans for position in range(*span)):
        with pytest.raises((MalformedDocument, SignatureInvalid)):
            verify_sign1(Sign1.parse(flipped(real, 8 * position + position % 8)), key)


@given(st.binary(max_size=300))
def test_random_messages(data: bytes) -> None:
    """Only our own errors come out of a stranger's message."""
    try:
        Sign1.parse(b"\xd2" + data).certificates()
    except MalformedDocument:
        return


@given(st.data())
def test_mutated_messages(data: st.DataObject) -> None:
    """Cut, doubled and overwritten real endorsements end in our own errors too."""
    real = bytearray((VECTORS / "hashenvelope-svn104.cose").read_bytes())
    start = data.draw(st.integers(0, len(real)))
    real[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    try:
        Sign1.parse(bytes(real)).certificates()
    except MalformedDocument:
        return

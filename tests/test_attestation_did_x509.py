"""did:x509: the method's own vectors, its own percent-encoding, and names that are not what they seem."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvm_forge import EKU, chain, did

from sls_jupyter.attestation.cose.did_x509 import DidX509, percent_decode, resolve
from sls_jupyter.attestation.cose.x509_path import parse_path
from sls_jupyter.errors import MalformedDocument, SignatureInvalid, SlsError, VerificationError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "uvm" / "did-x509" / "test-vectors.json").read_bytes())
REASONS = {
    "Certificate chain verification failed: certificate signature failure.": "certificate signature failure",
    "Certificate chain verification failed: unhandled critical extension.": "unhandled critical extension",
    "Certificate chain verification failed: invalid CA certificate.": "invalid CA certificate",
    "Certificate chain verification failed: path length constraint exceeded.": "path length constraint exceeded",
    "Certificate chain verification failed: permitted subtree violation.": "permitted subtree violation",
    "Certificate chain verification failed: excluded subtree violation.": "excluded subtree violation",
    "Supplied chain does not match the verified chain.": "certificate signature failure",
    "Certificate chain must contain at least two certificates.": "at least two certificates",
    "Certificate name contains duplicate attributes.": "one attribute twice",
    "Certificate does not contain a Fulcio issuer extension.": "no Fulcio issuer extension",
    "Certificate does not contain an EKU extension.": "no EKU extension",
    "Certificate contains an unsupported SAN type.": "unsupported kind",
    "Leaf certificate key usage does not support DID operations.": "key usage",
    "CA fingerprint does not match the certificate chain.": "fingerprint is not one",
    "DID must contain at least one predicate.": "no predicate",
    "DID contains an unknown predicate.": "unknown predicate",
    "EKU predicate does not match the certificate.": "eku predicate does not match",
    "Fulcio issuer predicate does not match the certificate.": "fulcio-issuer predicate does not match",
    "SAN predicate does not match the certificate.": "san predicate does not match",
    "SAN predicate requires exactly one type and value.": "one type and one value",
    "Subject predicate contains duplicate fields.": "one field twice",
    "Subject predicate does not match the certificate.": "subject predicate does not match",
    "Subject predicate contains an unknown key.": "unknown key",
    "Subject predicate requires key-value pairs.": "pairs of key and value",
}
"""The method's reasons to ours; a reason that is not here is ours word for word."""


@pytest.mark.parametrize("case", VECTORS, ids=[case["id"] for case in VECTORS])
def test_vectors_of_the_method(case: dict[str, Any]) -> None:
    """Every published case resolves to its document, or is refused for the published reason."""
    ders = [base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in case["input"]["chain"]]
    expected = case["output"]
    if "document" in expected:
        assert resolve(case["input"]["did"], parse_path(ders)).document() == expected["document"]
        return
    with pytest.raises(SlsError) as caught:
        resolve(case["input"]["did"], parse_path(ders))
    assert REASONS.get(expected["error"], expected["error"]) in f"{caught.value.message} {caught.value.found}"


@pytest.mark.parametrize(
    ("text", "value"),
    [("a-b.c_d9", "a-b.c_d9"), ("%7E", "~"), ("a%20b", "a b"), ("%e2%82%ac", "€"), ("%41", "A")],
)
def test_percent_decoding(text: str, value: str) -> None:
    """Letters, digits and three marks stand for themselves, the rest is encoded."""
    assert percent_decode(text) == value


@pytest.mark.parametrize("text", ["~", "a+b", "a b", "é", "%", "%4", "%zz", "%ff", "", "a/b", "@"])
def test_percent_encoding_of_others(text: str) -> None:
    """What URL libraries leave as it is, ``~`` above all, is a second spelling here."""
    with pytest.raises(MalformedDocument):
        percent_decode(text)


GOOD = did(chain())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:x509:1" + GOOD[10:],
        GOOD.replace("sha256", "SHA256"),
        GOOD.replace("::eku", "=::eku"),
        GOOD.replace("::eku", "AA::eku"),
        GOOD + "::",
        GOOD + "::eku",
        GOOD + "::eku:",
        GOOD + "::eku:1..2",
        GOOD + "::eku:1.2:3",
        GOOD + "::san:dn:x",
        GOOD + "::subject:",
        GOOD + "::fulcio-issuer:a:b",
        GOOD + "\n",
        "x" + GOOD,
        GOOD + "::eku:1.2" * 1000,
    ],
    ids=range(16),  # each process makes a certificate of its own
)
def test_malformed_identifiers(text: str) -> None:
    """Another version, another spelling, or a part too many or too few is refused before a certificate is read."""
    with pytest.raises(MalformedDocument):
        DidX509.parse(text)


def test_usage_in_the_wrong_certificate() -> None:
    """The leaf has to have the key usage; that its CA has it is not enough."""
    ders = chain(leaf_eku="1.2.3", ca_eku=EKU)
    with pytest.raises(VerificationError, match="eku"):
        resolve(did(ders), parse_path(ders))


def test_leaf_signed_by_another() -> None:
    """All the right names under a key of somebody else's are worth nothing."""
    ders = chain(signer="somebody")
    with pytest.raises(SignatureInvalid):
        resolve(did(ders), parse_path(ders))


@given(st.text(max_size=80), st.text(max_size=40))
def test_random_identifiers(start: str, end: str) -> None:
    """Only our own errors come out of a stranger's identifier."""
    path = parse_path(chain())
    for text in (start, GOOD + end, "did:x509:0:" + start, GOOD + "::subject:CN:" + end):
        with contextlib.suppress(SlsError):
            resolve(text, path)


@given(st.binary(max_size=200))
def test_random_certificates(data: bytes) -> None:
    """Bytes that are no certificate are refused by us and not by a library."""
    with pytest.raises(MalformedDocument):
        parse_path([data])

"""UVM endorsements: both forms, who signed them and when, and what a ledger says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from forge import MEASUREMENT
from hypothesis import given
from hypothesis import strategies as st
from uvm_forge import (
    FEED,
    ISSUER,
    LEAF_FROM,
    LEAF_TO,
    LEDGER,
    SIGNED_AT,
    Statement,
    certificate,
    chain,
    claims,
    did,
    ec_key,
    envelope_headers,
    json_headers,
    json_payload,
    receipt,
    with_receipts,
)

from sls_jupyter.attestation.azure.ccf_receipt import parse_ledger_keys
from sls_jupyter.attestation.azure.facts import UVM_ISSUER
from sls_jupyter.attestation.azure.uvm import verify_endorsement
from sls_jupyter.attestation.claims import UvmClaims
from sls_jupyter.errors import MalformedDocument

VECTORS = Path(__file__).parent / "vectors" / "uvm"
STATEMENT = Statement()
GOOD = STATEMENT.encode()  # once: ECDSA signatures are random
LEDGERS = {LEDGER: ec_key(LEDGER).public_key()}


def failed(data: bytes, issuers: Any = (ISSUER,), ledgers: Any = None) -> list[str]:
    _, checks = verify_endorsement(data, issuers, ledgers or {})
    return [check.name for check in checks if not check.ok]


def accepted(data: bytes, ledgers: Any = None) -> UvmClaims:
    found, checks = verify_endorsement(data, (ISSUER,), ledgers or {})
    assert [check for check in checks if not check.ok] == []
    assert found is not None
    return found


def json_form(payload: bytes | None = None, **headers: Any) -> bytes:
    return Statement(json_headers(**headers), json_payload() if payload is None else payload).encode()


# --- Microsoft's own ------------------------------------------------------------------------------


def table() -> list[tuple[str, str]]:
    """File and verdict of each endorsement, from the folder's own table."""
    lines = (VECTORS / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if ".cose`" in line]
    return [(row[0].strip("`"), row[-1]) for row in rows]


@pytest.mark.parametrize(("name", "verdict"), table(), ids=[name for name, _ in table()])
def test_verdicts_of_the_table(name: str, verdict: str) -> None:
    """Every published endorsement gets the verdict that stands beside it."""
    found, checks = verify_endorsement((VECTORS / name).read_bytes(), (UVM_ISSUER,), {})
    wrong = [check.name for check in checks if not check.ok]
    if verdict.startswith("reject (issuer)"):
        assert wrong[0] == "uvm_issuer"
        return
    assert wrong == []
    assert found is not None
    assert (found.feed, found.issuer) == (FEED, UVM_ISSUER)
    assert found.svn == int(name.partition("svn")[2].partition(".")[0])
    if "minimum svn <=" in verdict:
        assert found.svn == int(verdict.partition("<=")[2].split()[0])


def test_every_endorsement_is_in_the_table() -> None:
    """A vector without a verdict would be a test that nobody runs."""
    assert sorted(name for name, _ in table()) == sorted(path.name for path in VECTORS.glob("*.cose"))


def ledger(name: str) -> Any:
    return parse_ledger_keys((VECTORS / f"ledger-keys-{name}.jwks.json").read_bytes())


def test_real_receipt() -> None:
    """Microsoft's ledger vouches for the endorsement, and is named."""
    found, checks = verify_endorsement((VECTORS / "hashenvelope-svn104.cose").read_bytes(), (UVM_ISSUER,), ledger("db"))
    assert all(check.ok for check in checks)
    assert found is not None
    assert found.ledgers == ("esrp-cts-db.confidential-ledger.azure.com",)


def test_real_receipt_of_another_statement() -> None:
    """A genuine receipt that was grafted from another statement has a good signature and the wrong leaf."""
    data = (VECTORS / "grafted-receipt-svn104.cose").read_bytes()
    _, checks = verify_endorsement(data, (UVM_ISSUER,), ledger("cp"))
    assert [check.name for check in checks if not check.ok] == ["uvm_transparency"]
    assert "another statement" in checks[-1].found


@pytest.mark.parametrize("name", ["hashenvelope-svn104.cose", "legacy-svn103.cose"])
def test_no_receipt_by_a_known_ledger(name: str) -> None:
    """Where ledgers are named, an endorsement without a receipt by one of them is not enough."""
    _, checks = verify_endorsement((VECTORS / name).read_bytes(), (UVM_ISSUER,), ledger("cp"))
    assert [check.name for check in checks if not check.ok] == ["uvm_transparency"]


# --- the forms ------------------------------------------------------------------------------------


def test_both_forms() -> None:
    """The old and the new form say the same things in the same words of ours."""
    new, old = accepted(GOOD), accepted(json_form())
    assert new == old
    assert (new.svn, new.measurement, new.signed_at) == (104, MEASUREMENT.hex(), int(SIGNED_AT.timestamp()))


def test_tagged_time_in_the_new_form() -> None:
    """The signing time may be a tagged date or a plain number."""
    tagged = Statement(envelope_headers(iat=cbor2.CBORTag(1, int(SIGNED_AT.timestamp()))))
    assert accepted(tagged.encode()) == accepted(GOOD)


@pytest.mark.parametrize("svn", [0, 22, 104, 2**32 - 1])
def test_svn_as_a_number_under_the_first_name(svn: int) -> None:
    """Microsoft has published endorsements whose svn is a number where others have a text."""
    assert accepted(json_form(json_payload(svn))).svn == svn


@pytest.mark.parametrize("svn", ["22", "100", "104", "99", "4294967295"])
def test_svn_as_text_only(svn: str) -> None:
    """Endorsements before October 2025 have the svn as a text alone; it is a number all the same."""
    assert accepted(json_form(json_payload(svn))).svn == int(svn)


@pytest.mark.parametrize(
    "payload",
    [
        json_payload("0104"),
        json_payload("104 "),
        json_payload("-1"),
        json_payload("1e2"),
        json_payload("٣"),
        json_payload(104.0),
        json_payload(True),
        json_payload(-1),
        json_payload(2**32),
        json_payload(None),
        json_payload(**{"x-ms-sevsnpvm-guestsvn-int": 105}),
        json_payload(**{"x-ms-sevsnpvm-guestsvn-int": "104"}),
        json_payload(**{"x-ms-sevsnpvm-guestsvn-int": True}),
        json_payload("4294967296"),
        json_payload(**{"x-ms-sevsnpvm-launchmeasurement": "AB" * 48}),
        json_payload(**{"x-ms-sevsnpvm-launchmeasurement": "ab" * 47}),
        json_payload()[:-1] + b', "x-ms-sevsnpvm-guestsvn": "200"}',
        b"[]",
        b"{}",
        b"\xff",
        b"",
    ],
)
def test_payloads_of_the_old_form(payload: bytes) -> None:
    """An svn or a measurement in another spelling, or said twice, is none."""
    assert failed(json_form(payload)) == ["uvm_payload"]


@pytest.mark.parametrize("svn", [None, "104", -1, 2**32, True, 104.0])
def test_svn_of_the_new_form(svn: Any) -> None:
    """The svn is a number and nothing that merely looks like one."""
    assert failed(Statement(envelope_headers(svn=svn)).encode()) == ["uvm_payload"]


@pytest.mark.parametrize("payload", [b"", MEASUREMENT[:47], MEASUREMENT + b"\0", MEASUREMENT.hex().encode()])
def test_payload_of_the_new_form(payload: bytes) -> None:
    """The payload is the 48 bytes of the measurement; no prefix of it and no text."""
    assert failed(Statement(payload=payload).encode()) == ["uvm_payload"]


def without(headers: dict[Any, Any], label: Any) -> dict[Any, Any]:
    return {key: value for key, value in headers.items() if key != label}


@pytest.mark.parametrize(
    "headers",
    [
        {**envelope_headers(), "iss": ISSUER},
        {**json_headers(), 15: claims()},
        without(json_headers(), 3),
        without(json_headers(), "iss"),
        without(json_headers(), "feed"),
        without(json_headers(), "signingtime"),
        {**json_headers(), 258: -43},
        {**json_headers(), "signingtime": "2026"},
        without(envelope_headers(), 258),
        {**envelope_headers(), 258: -16},
        {**envelope_headers(), 259: "application/json"},
        {**envelope_headers(), 15: [1]},
        {**envelope_headers(), 15: {}},
        envelope_headers(iss=5),
        envelope_headers(sub=b"feed"),
        envelope_headers(iat=-1),
        envelope_headers(iat=2**60),
        envelope_headers(iat=True),
        without(envelope_headers(), 33),
    ],
)
def test_headers_of_neither_form(headers: dict[Any, Any]) -> None:
    """Both forms at once, or half of one, is read as neither."""
    payload = json_payload() if "signingtime" in headers else MEASUREMENT
    assert failed(Statement(headers, payload).encode()) == ["uvm_format"]


def test_claims_in_the_unprotected_header() -> None:
    """What anybody can write there is not what Microsoft said."""
    headers = without(envelope_headers(), 15)
    assert failed(Statement(headers, unprotected={15: claims()}).encode()) == ["uvm_format"]
    assert failed(Statement(without(json_headers(), "feed"), json_payload(), {"feed": FEED}).encode()) == ["uvm_format"]
    assert failed(Statement(without(envelope_headers(), 33), unprotected={33: list(chain())}).encode()) == [
        "uvm_format"
    ]


# --- who signed it, and when ----------------------------------------------------------------------


def test_issuer_that_is_not_pinned() -> None:
    """A perfect endorsement under somebody else's root is somebody else's."""
    ders = chain("another root")
    data = Statement(envelope_headers(ders, iss=did(ders))).encode()
    assert failed(data) == ["uvm_issuer"]
    assert failed(data, (did(ders),)) == []


def test_pinned_issuer_with_another_chain() -> None:
    """To write the pinned name into the header is not to be it."""
    assert failed(Statement(envelope_headers(chain("another root"))).encode()) == ["uvm_issuer"]


def test_leaf_without_the_usage() -> None:
    """The same company's certificates for other things do not endorse utility VMs."""
    assert failed(
        Statement(envelope_headers(chain(leaf_eku="1.2.3", ca_eku="1.3.6.1.4.1.311.76.59.1.2"))).encode()
    ) == ["uvm_issuer"]


def test_chain_with_a_leaf_of_somebody_else() -> None:
    """A leaf that the CA did not sign is refused, its names notwithstanding."""
    data = Statement(envelope_headers(chain(signer="somebody"))).encode()
    assert failed(data) == ["uvm_chain", "uvm_issuer"]


def test_chain_through_a_leaf() -> None:
    """A certificate that is no CA signs no other."""
    leaf, _, root = chain()
    middle = certificate("uvm ca", "uvm root", ca=False)
    assert failed(Statement(envelope_headers((leaf, middle, root))).encode()) == ["uvm_chain", "uvm_issuer"]


def test_signature_by_another_key() -> None:
    """The leaf of the chain signed it, and no other."""
    assert failed(replace(STATEMENT, key="uvm ca").encode()) == ["uvm_signature"]


@pytest.mark.parametrize("x5t", [[-16, b"x" * 32], [-15, b"x" * 8], ["sha256", b""], b"x", [-16]])
def test_thumbprint_of_another_leaf(x5t: Any) -> None:
    """Where the header names its leaf by digest, it is this leaf."""
    assert failed(Statement({**envelope_headers(), 34: x5t}).encode()) == ["uvm_chain"]


def test_validity_is_told_to_the_second() -> None:
    """A day alone would stand on both sides of a line that fails."""
    late = int((LEAF_TO + timedelta(seconds=1)).timestamp())
    _, checks = verify_endorsement(Statement(envelope_headers(iat=late)).encode(), (ISSUER,), {})
    (line,) = [check for check in checks if check.name == "uvm_validity"]
    assert line.found == "signed 2026-06-01 00:00:01 UTC"
    assert line.expected == "2025-06-01 00:00:00 UTC to 2026-06-01 00:00:00 UTC"


@pytest.mark.parametrize("moment", [LEAF_FROM - timedelta(seconds=1), LEAF_TO + timedelta(seconds=1)])
def test_signed_outside_validity(moment: Any) -> None:
    """Certificates are judged at the signing time: before their first and after their last second they sign nothing."""
    assert failed(Statement(envelope_headers(iat=int(moment.timestamp()))).encode()) == ["uvm_validity"]


def test_detached_payload() -> None:
    """An endorsement without its payload endorses nothing."""
    protected, unprotected, _, signature = cbor2.loads(GOOD[1:])
    assert failed(b"\xd2" + cbor2.dumps([protected, unprotected, None, signature])) == ["uvm_signature", "uvm_payload"]


# --- receipts -------------------------------------------------------------------------------------


def test_good_receipt() -> None:
    """A receipt by a known ledger for this endorsement is named in the claims."""
    data = with_receipts(GOOD, receipt(GOOD))
    assert accepted(data, LEDGERS).ledgers == (LEDGER,)


def test_no_ledgers_no_line() -> None:
    """Where no ledger is known, receipts are not looked at and the list does not say that they were."""
    _, checks = verify_endorsement(with_receipts(GOOD, b"rubbish"), (ISSUER,), {})
    assert "uvm_transparency" not in [check.name for check in checks]


OTHER = Statement(payload=b"o" * 48).encode()


@pytest.mark.parametrize(
    "receipts",
    [
        (),
        (b"rubbish",),
        ("text",),
        (receipt(GOOD, kid="unknown"),),
        (receipt(GOOD, key="somebody"),),
        (receipt(OTHER),),
        (receipt(GOOD), receipt(OTHER)),
        (receipt(GOOD),) * 9,
    ],
)
def test_receipts_that_are_not_enough(receipts: tuple[Any, ...]) -> None:
    """None, unreadable, by an unknown ledger, unsigned, for another statement: a bad one spoils a good one."""
    assert failed(with_receipts(GOOD, *receipts), ledgers=LEDGERS) == ["uvm_transparency"]


def test_flipped_bits_of_a_receipt() -> None:
    """No bit of a receipt can change unseen, its path and its leaf included; one of every byte."""
    good = receipt(GOOD, steps=2)
    assert failed(with_receipts(GOOD, good), ledgers=LEDGERS) == []
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        assert failed(with_receipts(GOOD, bytes(changed)), ledgers=LEDGERS) == ["uvm_transparency"], position


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"keys": 1}',
        b'{"keys": [1]}',
        b'{"keys": [{"kty": "RSA", "kid": "a", "crv": "P-384"}]}',
        b'{"keys": [{"kty": "EC", "kid": "a", "crv": "P-384", "x": "AA", "y": "AA"}]}',
        b'{"keys": [{"kty": "EC", "kid": "a", "crv": "P-1", "x": "AA", "y": "AA"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]}',
    ],
)
def test_malformed_ledger_keys(data: bytes) -> None:
    """A key set that cannot be read is an error, and never an empty set that requires nothing."""
    with pytest.raises(MalformedDocument):
        parse_ledger_keys(data)


# --- strangers' bytes -----------------------------------------------------------------------------

CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-50, 400) | st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([3, 15, 33, 34, 258, 259, 394, "iss", "feed", "signingtime"]), CBOR), CBOR)
def test_random_headers(headers: dict[Any, Any], receipts: Any) -> None:
    """Headers of any type end in a failed check and never in a foreign error."""
    data = Statement({**envelope_headers(), **headers}, unprotected={394: receipts} if 394 not in headers else {})
    verify_endorsement(data.encode(), (ISSUER,), LEDGERS)


@given(CBOR)
def test_random_receipts(value: Any) -> None:
    """So do receipts."""
    parts = [cbor2.dumps({1: -35, 4: LEDGER.encode(), 395: 2}), {396: value}, None, bytes(96)]
    data = with_receipts(GOOD, b"\xd2" + cbor2.dumps(parts))
    assert failed(data, ledgers=LEDGERS) == ["uvm_transparency"]

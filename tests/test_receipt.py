"""The receipt as a file: one encoding of each, any other byte refused, saved whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import IMAGE
from hypothesis import given, settings
from hypothesis import strategies as st
from receipt_forge import forged, other_signature, predicate
from receipt_kit import SignedRun, signed_run, worlds_at

from sls_jupyter.attestation.binding import receipt_report_data
from sls_jupyter.documents import MAX_DEPTH, MAX_DOCUMENT_BYTES, Envelope, b64decode, b64encode, canonical_json, digest
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, Unavailable, VerificationError
from sls_jupyter.receipt.files import read_receipt, verify_file
from sls_jupyter.receipt.receipt import Receipt, open_envelope
from sls_jupyter.receipt.statement import PREDICATE_TYPE, STATEMENT_TYPE, EnvelopeJson, Statement, Subject
from sls_jupyter.receipt.verdict import VerifiedReceipt

STRIDE = 61  # bytes between those that are changed; a prime, so that it falls into step with nothing


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedRun]:
    worlds = worlds_at(tmp_path_factory.mktemp("worlds"))
    yield signed_run(worlds)
    for world in worlds.values():
        world.close()


@pytest.fixture(scope="module")
def data(run: SignedRun) -> bytes:
    return run.receipt().payload()


# --- form -----------------------------------------------------------------------------------------


def test_a_receipt_round_trips(run: SignedRun, data: bytes) -> None:
    """What is read is what was written, and its name is that of its statement."""
    receipt = Receipt.parse(data)
    assert receipt == run.receipt()
    assert receipt.payload() == data
    assert receipt.id == digest(receipt.stated().statement.payload())
    assert repr(receipt) == f"<Receipt {receipt.id}, recorded in 2 logs>"


def test_the_statement_is_one_of_in_toto(data: bytes) -> None:
    """Other people's tools read it: a DSSE envelope, the Statement's own names, SHA-256 in hex."""
    outer = json.loads(data)["statement"]
    assert outer["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(b64decode(outer["payload"]))
    assert statement["_type"] == STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert all(set(one["digest"]) == {"sha256"} for one in statement["subject"])
    assert {one["name"] for one in statement["subject"]} >= {"records", "result", "output/risk"}


def test_the_hardware_signs_the_pae_of_the_statement(data: bytes) -> None:
    """The formula of the specification, from the parts of the file."""
    outer = json.loads(data)["statement"]
    payload, kind = b64decode(outer["payload"]), outer["payloadType"]
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    assert Receipt.parse(data).stated().report_data == receipt_report_data(digest(pae))


def test_a_name_that_stands_twice_is_refused(run: SignedRun) -> None:
    """Else one result would have two digests."""

    def doubled(said: Statement) -> Statement:
        return said.model_copy(update={"subject": (*said.subject, Subject.of("result", "sha256:" + "0" * 64))})

    failed = run.check(forged(run, statement=doubled)).failed
    assert failed[0].found.startswith("A receipt names one result twice.")


def test_the_key_id_is_the_kind_of_evidence(run: SignedRun) -> None:
    """A reader who looks at the outside only is not told of hardware."""
    parsed = Envelope.parse(run.envelope, Statement.payload_type)
    lie = Envelope(parsed.payload_type, parsed.payload, "sev-snp", parsed.signature)
    with pytest.raises(MalformedDocument, match="key id"):
        open_envelope(lie.encode())


@pytest.mark.parametrize("signatures", [[], [{"keyid": "a", "sig": ""}] * 2, [{"keyid": "a", "sig": "", "x": 1}]])
def test_an_envelope_has_one_signature(signatures: list[Any]) -> None:
    """A second one would be looked at by nobody."""
    with pytest.raises(MalformedDocument):
        EnvelopeJson.of(canonical_json({"payload": "", "payloadType": "x", "signatures": signatures}))


# --- every byte counts ----------------------------------------------------------------------------


def is_refused(run: SignedRun, changed: bytes) -> None:
    """A verdict, never an accepted one and never another exception."""
    verdict = run.check(changed)
    assert not verdict.accepted
    assert verdict.failed
    assert "not checked" not in verdict.failed[0].found


def test_any_changed_byte_is_refused(run: SignedRun, data: bytes) -> None:
    """A stride over the whole file, the bit that changes going round."""
    for number, position in enumerate(range(0, len(data), STRIDE)):
        changed = bytearray(data)
        changed[position] ^= 1 << number % 8
        is_refused(run, bytes(changed))


def base64_changed(text: str, position: int, bit: int) -> str:
    raw = bytearray(b64decode(text))
    raw[position % len(raw)] ^= 1 << bit
    return b64encode(bytes(raw))


@settings(max_examples=150, deadline=None)
@given(
    position=st.integers(0, 2**20), bit=st.integers(0, 7), piece=st.sampled_from(["payload", "report", "certificate"])
)
def test_any_changed_byte_inside_is_refused(run: SignedRun, data: bytes, position: int, bit: int, piece: str) -> None:
    """Changed below the base64, so that the form is right and only the content is not."""
    value = json.loads(data)
    if piece == "payload":
        value["statement"]["payload"] = base64_changed(value["statement"]["payload"], position, bit)
    else:
        signature = value["statement"]["signatures"][0]
        evidence = json.loads(b64decode(signature["sig"]))
        if piece == "report":
            evidence["report"] = base64_changed(evidence["report"], position, bit)
        else:
            which = position % len(evidence["endorsements"])
            evidence["endorsements"][which] = base64_changed(evidence["endorsements"][which], position, bit)
        signature["sig"] = b64encode(canonical_json(evidence))
    is_refused(run, canonical_json(value))


def test_a_changed_signature_of_the_hardware_is_refused(run: SignedRun) -> None:
    """ECDSA has two signatures for each; the logs hold the receipt that was posted, with its one."""
    receipt = run.receipt()
    evidence = other_signature(receipt.stated().evidence)
    (signature,) = receipt.statement.signatures
    changed = signature.model_copy(update={"sig": b64encode(evidence.encode())})
    other = receipt.model_copy(update={"statement": receipt.statement.model_copy(update={"signatures": (changed,)})})
    assert not run.check(other).accepted


BOMBS = {
    "empty": b"",
    "null": b"null",
    "a number": b"1",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe{}",
    "an empty object": b"{}",
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "just too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "huge": b" " * (MAX_DOCUMENT_BYTES + 1),
    "a number of a million digits": b"1" * 1_000_000,
    "not a number": b'{"recorded":NaN,"statement":1}',
    "infinite": b'{"recorded":1e999,"statement":1}',
    "a lone surrogate": b'{"recorded":"\\ud800","statement":1}',
    "one name twice": b'{"recorded":[],"recorded":[],"statement":1}',
    "many quotes": b'"' * 1_000_000,
    "many escapes": b'"' + b"\\" * 1_000_001,
    "many empty proofs": b'{"recorded":[' + b"{}," * 20_000 + b'{}],"statement":1}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_no_receipt_ends_in_a_verdict(run: SignedRun, name: str) -> None:
    """Not in a traceback, and not after minutes."""
    is_refused(run, BOMBS[name])


def test_a_receipt_in_another_form_is_refused(run: SignedRun, data: bytes) -> None:
    """Cut, doubled, reordered, indented or with a line end: one receipt has one form."""
    value = json.loads(data)
    assert isinstance(value, dict)
    reordered = json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode()
    others = [data[:-1], data[: len(data) // 2], data + data, data + b"\n", b"\xef\xbb\xbf" + data, reordered]
    others += [json.dumps(value, indent=1).encode(), canonical_json({**value, "note": ""}), run.envelope]
    for other in others:
        is_refused(run, other)


# --- files ----------------------------------------------------------------------------------------


def test_save_and_read(run: SignedRun, tmp_path: Path) -> None:
    """A file that is there is replaced, whole, and nothing stays beside it."""
    receipt = run.receipt()
    path = tmp_path / "receipt.json"
    path.write_bytes(b"old")
    assert receipt.save(path) == path
    assert Receipt.parse(read_receipt(str(path))) == receipt
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_read_or_written(run: SignedRun, tmp_path: Path) -> None:
    """Says which, and loses nothing."""
    for path in (tmp_path, tmp_path / "missing" / "receipt.json"):
        with pytest.raises(Unavailable, match="cannot be written"):
            run.receipt().save(path)
        with pytest.raises(BadInput, match="cannot be read"):
            read_receipt(path)
        with pytest.raises(BadInput, match="cannot be read"):
            verify_file(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """Its size says so."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(BadInput, match="too large"):
        verify_file(path)


@pytest.mark.parametrize("pins", [{"owners": ["me"]}, {"logs": ["a+b"]}, {"witnesses": ["x"]}, {"needed": 2}])
def test_pins_that_cannot_be_any_are_errors(data: bytes, pins: dict[str, Any]) -> None:
    """A mistyped key is told, and not taken for a receipt of somebody else."""
    with pytest.raises(SlsError):
        verify_file(data, **pins)


def test_verify_file_knows_a_logs_key_by_did_and_by_verifier_key(run: SignedRun, tmp_path: Path) -> None:
    """Both are what people have of a log."""
    from sls_jupyter.transparency.note import verifier_key

    path = run.receipt().save(tmp_path / "receipt.json")
    authorities = [world.authority for world in run.worlds.values()]
    keys = [authorities[0].did, verifier_key(authorities[1].origin, authorities[1].identity.signing.public_bytes)]
    options: dict[str, Any] = {"images": [IMAGE.digest], "accept_simulated": True}
    verify_file(path, logs=keys, owners=[item.owner for item in run.spec.inputs], **options)
    failed = [check.name for check in verify_file(path, logs=keys[:1], **options).failed]
    assert "logs" in failed
    assert not any(isinstance(one, str) and one == "" for one in failed)


def test_a_predicate_with_a_field_too_many_is_refused(run: SignedRun) -> None:
    """What no check looks at has no place in what hardware signs."""
    value = json.loads(run.statement().payload())
    value["predicate"]["note"] = "trust me"
    with pytest.raises(MalformedDocument):
        Statement.parse(canonical_json(value))
    assert predicate()(run.statement()) == run.statement()


def test_a_verified_receipt_is_made_by_its_verdict_only(run: SignedRun) -> None:
    """What was parsed and not verified could be handed on as if it were."""
    receipt = run.receipt()
    with pytest.raises(TypeError):
        VerifiedReceipt(receipt, run.spec, run.check(receipt, owners=[]), proof=object())
    with pytest.raises(VerificationError):
        run.check(receipt, owners=[]).require()
    assert run.check(receipt).require().receipt == receipt

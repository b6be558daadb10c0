"""The documents of the contract: golden bytes, one spelling, and every changed byte refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import World, person, recipient
from contract_kit import (
    APPOINTMENT,
    APPROVAL,
    CELL_GRANT,
    CONTACT,
    DENIAL,
    GRANT,
    ORDER,
    SESSION,
    SPEC,
    changed_specs,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.contract.cells import CellGrant, CellOrder
from sls_jupyter.contract.grants import Approval, Denial, Grant, Obligations, combined_obligations
from sls_jupyter.contract.spec import KINDS, Recipient, StreamSpec, fresh_nonce, verify_stream_spec
from sls_jupyter.documents import canonical_json, digest, sign, verify
from sls_jupyter.errors import MalformedDocument, SignatureInvalid, SlsError
from sls_jupyter.identity import Appointment, Contact, verify_signature
from sls_jupyter.policy.model import OwnerPolicy

GOLDEN = Path(__file__).parent / "vectors" / "documents"
CLASSES = {
    "stream_spec": (StreamSpec, SPEC),
    "session_spec": (StreamSpec, SESSION),
    "cell_order": (CellOrder, ORDER),
    "cell_grant": (CellGrant, CELL_GRANT),
    "approval": (Approval, APPROVAL),
    "denial": (Denial, DENIAL),
    "grant": (Grant, GRANT),
    "contact": (Contact, CONTACT),
    "appointment": (Appointment, APPOINTMENT),
}


@pytest.mark.parametrize("name", CLASSES)
def test_golden_bytes(name):
    """A document that was signed once keeps its bytes and its digest in every later version."""
    cls, document = CLASSES[name]
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert golden["payload_type"] == cls.payload_type
    (case,) = golden["cases"]
    payload = case["payload"].encode()
    assert (
        payload == json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )  # the same encoding by other means, as far as these values need it
    assert document.payload() == payload
    assert document.digest == case["digest"] == digest(payload)
    assert cls.parse(payload) == document
    if "terms" in case:
        assert document.terms == case["terms"]


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_is_in_the_bytes(name):
    """No field can be changed without changing what was signed."""
    _, document = CLASSES[name]
    assert set(json.loads(document.payload())) == set(type(document).model_fields)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def envelopes(tmp_path_factory) -> dict[str, tuple[bytes, type]]:
    """One signed document of each kind that travels."""
    world = World(tmp_path_factory.mktemp("world"))
    policy = world.policy()
    sealed = world.seal(policy)
    spec = world.spec(world.input(sealed))
    owner = person("hospital")
    found = {
        "spec": (sign(spec, person("analyst")), StreamSpec),
        "manifest": (sealed.envelope, AssetManifest),
        "policy": (sign(policy, owner), OwnerPolicy),
        "grant": (sign(GRANT.model_copy(update={"authority": owner.did}), owner), Grant),
        "approval": (world.approval(spec), Approval),
        "denial": (world.denial(spec), Denial),
    }
    world.close()
    return found


@pytest.mark.parametrize("name", ["spec", "manifest", "policy", "grant", "approval", "denial"])
def test_every_changed_byte_is_refused(envelopes, name):
    """Whoever changes any single byte of a signed document on the way is found out, with one of our errors."""
    envelope, cls = envelopes[name]
    assert verify(envelope, cls, verify_signature, did=None)
    for place in range(len(envelope)):
        changed = bytearray(envelope)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(SlsError):
            verify(bytes(changed), cls, verify_signature, did=None)


@pytest.mark.parametrize("name", ["spec", "grant"])
def test_every_cut_is_refused(envelopes, name):
    """A document that was cut short or continued is refused."""
    envelope, cls = envelopes[name]
    for place in range(0, len(envelope), 7):
        with pytest.raises(SlsError):
            verify(envelope[:place], cls, verify_signature, did=None)
    for tail in (b" ", b"\n", b"}", b"\0", envelope):
        with pytest.raises(SlsError):
            verify(envelope + tail, cls, verify_signature, did=None)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": []},
        {"inputs": [SPEC.inputs[1].model_dump(), SPEC.inputs[0].model_dump()]},
        {"inputs": [SPEC.inputs[0].model_dump(), SPEC.inputs[0].model_dump()]},
        {"inputs": [{**SPEC.inputs[1].model_dump(), "columns": ["sex", "age"]}]},
        {"inputs": [{**SPEC.inputs[1].model_dump(), "columns": ["age", "age"]}]},
        {"outputs": ["b", "a"]},
        {"outputs": ["a b"]},
        {"kinds": ["figure", "table"]},
        {"kinds": ["pickle"]},
        {"tees": ["tdx", "sev-snp"]},
        {"recipients": []},
        {"nonce": "0" * 31},
        {"nonce": "0" * 32 + "\n"},
        {"nonce": "A" * 32},
        {"code": "sha256:" + "G" * 64},
        {"requester": "did:web:example.org"},
        {"expires_at": SPEC.issued_at},
        {"issued_at": -1},
        {"issued_at": 1.5},
        {"issued_at": True},
        {"issued_at": "1790000000"},
        {"limits": {**SPEC.limits.model_dump(), "cpus": 0}},
        {"limits": {**SPEC.limits.model_dump(), "memory_bytes": 1}},
        {"limits": {**SPEC.limits.model_dump(), "gpus": 1}},
        {"purpose": "x" * 501},
        {"surprise": 1},
    ],
)
def test_specs_that_are_none(change):
    """A spec has one spelling: unsorted, doubled, coerced, unknown or impossible values are refused by name."""
    with pytest.raises(MalformedDocument):
        StreamSpec.from_json(SPEC.model_dump(mode="json") | json.loads(json.dumps(change)))


def test_a_missing_field_is_refused():
    """Nothing in a spec is filled in by the reader."""
    value = SPEC.model_dump(mode="json")
    for name in value:
        with pytest.raises(MalformedDocument):
            StreamSpec.parse(canonical_json({key: item for key, item in value.items() if key != name}))


def test_terms_are_the_spec_without_nonce_and_times():
    """What was approved once is recognised when it is asked again, and nothing else is."""
    again = SPEC.model_copy(update={"nonce": fresh_nonce(), "issued_at": SPEC.issued_at + 5, "expires_at": 2**39})
    assert again.terms == SPEC.terms
    assert again.digest != SPEC.digest
    free = {"nonce", "issued_at", "expires_at"}
    for name, other in changed_specs(SPEC):
        assert other.digest != SPEC.digest, name
        assert (other.terms == SPEC.terms) == (name in free), name


def test_what_a_spec_says_about_itself():
    """All code that runs is named, and each authority sees its own inputs."""
    model, patients = SPEC.inputs
    assert SPEC.code_digests == (SPEC.code, model.asset)
    assert SPEC.inputs_of(patients.authority) == (patients,)
    assert [did for did, _ in SPEC.authorities()] == sorted({model.authority, patients.authority})


def test_one_person_is_named_once():
    """Recipients are a set, whatever keys somebody lists for one person."""
    one = SPEC.recipients[0]
    with pytest.raises(ValidationError):
        StreamSpec(**{**dict(SPEC), "recipients": (one, one.model_copy(update={"hpke_public_key": ""}))})


def test_a_recipients_key_is_the_recipients_own(world):
    """Nobody puts a key of their own choice, or another name, beside the DID of somebody else."""
    board, mallory = recipient(person("board")), recipient(person("mallory"))
    sealed = world.seal(world.policy())

    def signed(person_: Recipient) -> bytes:
        return sign(world.spec(world.input(sealed), recipients=(person_,)), world.analyst)

    assert verify_stream_spec(signed(board)).recipients == (board,)
    for lie in (
        {"hpke_public_key": mallory.hpke_public_key},
        {"hpke_public_key": mallory.hpke_public_key, "signature": mallory.signature},
        {"did": mallory.did},
        {"name": "the board"},
        {"signature": ""},
        {"signature": mallory.signature},
    ):
        with pytest.raises(SignatureInvalid, match="not signed by the recipient"):
            verify_stream_spec(signed(board.model_copy(update=lie)))
    with pytest.raises(SignatureInvalid, match="somebody else"):
        verify_stream_spec(signed(board), did=mallory.did)


def test_a_recipients_key_is_one_that_can_be_sealed_to():
    """A key of another size is refused before anything runs, whoever signed it."""
    short = Contact(did=person("board").did, name="board", hpke_public_key="AAAA")
    with pytest.raises(MalformedDocument, match="X-Wing"):
        Recipient.of(sign(short, person("board"))).verify()


# --- obligations ----------------------------------------------------------------------------------

limits = st.none() | st.integers(1, 1000)
obligations = st.builds(
    Obligations,
    kinds=st.sets(st.sampled_from(KINDS)).map(lambda found: tuple(kind for kind in KINDS if kind in found)),
    min_group=limits,
    max_rows=limits,
    max_bytes=limits,
    full_errors=st.booleans(),
)


def is_as_strict(one: Obligations, other: Obligations) -> bool:
    """``one`` lets nothing through that ``other`` keeps back; written from the words, not from the code."""

    def upper(a, b):
        return b is None or (a is not None and a <= b)

    def lower(a, b):
        return b is None or (a is not None and a >= b)

    return (
        set(one.kinds) <= set(other.kinds)
        and lower(one.min_group, other.min_group)
        and upper(one.max_rows, other.max_rows)
        and upper(one.max_bytes, other.max_bytes)
        and one.full_errors <= other.full_errors
    )


@given(a=obligations, b=obligations, c=obligations)
def test_combined_obligations_satisfy_every_owner(a, b, c):
    """With several owners the strictest of each rule holds, in whatever order they are asked."""
    both = a.combine(b)
    assert is_as_strict(both, a)
    assert is_as_strict(both, b)
    assert both == b.combine(a)
    assert both.combine(c) == a.combine(b.combine(c))
    assert a.combine(a) == a


@given(obligations)
def test_a_run_never_gives_more_than_was_asked_or_granted(found):
    """The gate enforces the grants and what the requester asked for, whichever is stricter."""
    grant = GRANT.model_copy(update={"obligations": found})
    result = combined_obligations(SPEC, (grant,))
    assert is_as_strict(result, found)
    assert set(result.kinds) <= set(SPEC.kinds)
    assert result.max_bytes <= SPEC.limits.output_bytes

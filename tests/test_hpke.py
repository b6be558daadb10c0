"""Sealing to a public key: opened by other means, from the primitives, and by nobody else."""

from __future__ import annotations

import pytest
from builders import World
from hpke_by_hand import MLKEM_CIPHERTEXT, X_WING_LABEL, open_by_hand
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.authority.release import release
from sls_jupyter.documents import b64encode, lp, parse_json
from sls_jupyter.errors import MalformedDocument, VerificationError
from sls_jupyter.hpke import PUBLIC_KEY_BYTES, HpkeKey, seal

KEY = HpkeKey.generate()


# --- opened by other means --------------------------------------------------------------------


def test_label_of_x_wing():
    """The label is the draft's picture of an X-wing fighter, six bytes."""
    assert bytes.fromhex("5c2e2f2f5e5c") == X_WING_LABEL


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_opened_by_an_independent_computation(plaintext, info):
    """Anybody who implements the draft and the RFC opens what we seal: no private dialect."""
    assert open_by_hand(KEY.private_bytes, info, seal(KEY.public_bytes, info, plaintext)) == plaintext


def test_released_keys_open_by_hand(tmp_path):
    """What an authority releases is exactly what the design says: this KEM, this info, these keys."""
    world = World(tmp_path)
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec)
    released = release(world.authority, attempt.request)
    info = lp("sls-jupyter/release/v1", spec.digest, sealed.digest)
    keys = parse_json(open_by_hand(attempt.key.private_bytes, info, released.sealed_keys))
    wanted = sealed.manifest.key_ids_for(("age", "outcome", "sex"))
    assert keys == {name: b64encode(sealed.keys[name]) for name in wanted}
    world.close()


# --- sealing and opening --------------------------------------------------------------------------


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_round_trip(plaintext, info):
    """What is sealed to a key is opened with it."""
    assert KEY.open(info, seal(KEY.public_bytes, info, plaintext)) == plaintext


def test_another_key_or_purpose_opens_nothing():
    """A message sealed for one release is nothing in another."""
    sealed = seal(KEY.public_bytes, b"release 1", b"secret")
    for key, info in ((KEY, b"release 2"), (KEY, b""), (HpkeKey.generate(), b"release 1")):
        with pytest.raises(VerificationError):
            key.open(info, sealed)


def test_every_changed_byte_is_refused():
    """Whoever changes one bit of a sealed message on the way is found out."""
    sealed = seal(KEY.public_bytes, b"i", b"secret")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1 << place % 8
        if place == MLKEM_CIPHERTEXT + 31 and place % 8 == 7:
            continue  # X25519 ignores this bit; the combiner does not
        with pytest.raises(VerificationError):
            KEY.open(b"i", bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 31, 1088, 1119, 1120, 1121, 1135])
def test_short_messages(length):
    """A message that was cut ends in our error."""
    with pytest.raises(VerificationError):
        KEY.open(b"i", seal(KEY.public_bytes, b"i", b"")[:length])


@pytest.mark.parametrize("public_key", [b"", b"k" * 32, bytes(1215), b"\xff" * PUBLIC_KEY_BYTES, bytes(1217)])
def test_public_keys_that_are_none(public_key):
    """A malformed key is refused before anything is sealed to it."""
    with pytest.raises(MalformedDocument):
        seal(public_key, b"", b"")


def test_low_order_key_is_refused():
    """A key that would make the classical half of the secret zero for everybody is refused."""
    with pytest.raises(MalformedDocument):
        seal(KEY.public_bytes[:1184] + bytes(32), b"", b"secret")


def test_private_keys_are_not_shown():
    """Neither a log line nor a traceback that prints the key shows it."""
    assert KEY.private_bytes.hex()[:16] not in repr(KEY)
    assert "private_bytes" not in repr(KEY)
    with pytest.raises(MalformedDocument):
        _ = HpkeKey(b"short").public_bytes

"""Who: DIDs, keys in a home, and tokens for exactly one call."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from builders import NOW, person
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter import hpke
from sls_jupyter.documents import b64decode, b64encode, digest, lp, sign, verify
from sls_jupyter.errors import BadInput, MalformedDocument, NotAuthorised, SignatureInvalid, SlsError, Unavailable
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import (
    Contact,
    Home,
    Identity,
    SigningKey,
    contact_key,
    did_from_public_key,
    make_token,
    public_key_from_did,
    read_or_create_private,
    verify_signature,
    verify_token,
    write_private,
)

WHO = person("somebody").signing
AUDIENCE = person("an authority").did


# --- DIDs -----------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_did_round_trip(key):
    """A DID is the key, written down."""
    key = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    assert public_key_from_did(did_from_public_key(key)) == key


def test_known_did():
    """The example of the did:key method, so that other implementations know our people."""
    key = bytes.fromhex("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6")
    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    assert did_from_public_key(key) == did
    assert public_key_from_did(did) == key


def test_known_signature():
    """RFC 8032, section 7.1, test 2: the signature of one byte, verified through a DID."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.public_bytes.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72") == signature
    verify_signature(key.did, signature, b"\x72")


@pytest.mark.parametrize(
    "did",
    [
        "", "did:key:", "did:key:z", "did:key:z0", "did:web:example.org", WHO.did + "x", WHO.did[:-1], WHO.did[8:],
        WHO.did.upper(), WHO.did + "\n", "did:key:z1" + WHO.did[9:], "did:key:z" + "z" * 5000,
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    ],
    ids=range(13),  # each process has another DID
)  # fmt: skip
def test_dids_that_are_none(did):
    """Another method, another kind of key, another spelling: refused with our error, however long."""
    with pytest.raises(MalformedDocument):
        public_key_from_did(did)
    with pytest.raises(SlsError):
        verify_signature(did, bytes(64), b"")


@given(st.binary(max_size=80), st.integers(0, 511))
def test_signatures(message, bit):
    """A signature holds for its message and its signer, and no bit of it can be changed."""
    signature = WHO.sign(message)
    verify_signature(WHO.did, signature, message)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    for did, sig, text in (
        (WHO.did, bytes(changed), message),
        (WHO.did, signature, message + b"x"),
        (AUDIENCE, signature, message),
    ):
        with pytest.raises(SignatureInvalid):
            verify_signature(did, sig, text)


@pytest.mark.parametrize("odd", ["\n", "\r", "\x1b", "\0", "\x9b", "\u2028", "\u2029", "\x7f"])
def test_what_somebody_calls_themselves_is_one_line(odd):
    """A contact whose name steers or adds a line is no contact, whoever signed it; names of all scripts are names."""
    who = Identity("a", WHO, HpkeKey.generate())
    for name in ("Dr. Müller", "د. هدى", "医院", "O'Brien 🙂"):
        honest = who.contact().model_copy(update={"name": name})
        assert verify(sign(honest, who), Contact, verify_signature, did=None).name == name
    lying = who.contact().model_copy(update={"name": f"Dr. Weber{odd}  state  … open"})
    with pytest.raises(MalformedDocument, match="Contact"):
        verify(sign(lying, who), Contact, verify_signature, did=None)


def test_contact_is_signed_by_its_person():
    """Results go to the key that the person signed, and not to one that somebody else put there."""
    who, other = person("somebody"), person("other")
    contact = verify(sign(who.contact(), who), Contact, verify_signature, did=None)
    assert contact_key(contact) == who.hpke.public_bytes
    with pytest.raises(SignatureInvalid):
        verify(sign(who.contact(), other), Contact, verify_signature, did=None)


# --- homes ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "root"))
    monkeypatch.delenv("SLS_PERSONA", raising=False)
    return Home.find()


def test_home_is_private_from_the_start(home):
    """Nobody else on the machine reads a key, whatever the umask."""
    home.identity()
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.path.rglob("*")}
    assert modes == {"keys": 0o700, "ed25519": 0o600, "x-wing": 0o600}
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_identity_stays(home):
    """A kernel restart does not make another person, and two personas are two people."""
    assert home.identity().did == home.identity().did
    assert Home.find("other").identity().did != home.identity().did
    assert home.personas() == ["me", "other"]


def test_a_home_s_mark_is_of_its_root(tmp_path):
    """Two processes see that they use one folder, of whichever persona, and no one reads from it where that is."""
    root = tmp_path / os.fsdecode(b"h\xffme")
    assert Home(root, "me").mark == Home(root, "other").mark != Home(tmp_path, "me").mark
    assert Home(Path("/r"), "me").mark == digest(lp("sls-jupyter/home/v1", "/r"))


@pytest.mark.parametrize("name", ["ed25519", "x-wing"])
def test_readable_key_is_refused(home, name):
    """A key that others can read is not used, and the fix is told."""
    home.identity()
    path = home.folder("keys") / name
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="can be read by others") as caught:
        home.identity()
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_damaged_key_is_told_and_kept(home, data):
    """A damaged key is never replaced silently: what was sealed with it would be lost."""
    home.identity()
    path = home.folder("keys") / "ed25519"
    path.write_bytes(data)
    with pytest.raises(Unavailable, match="damaged"):
        home.identity()
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", ["..", "a/b", "", "A", "a" * 41, "-a", "ä", "a\n"])
def test_names_that_lead_out_of_the_root(home, name):
    """A persona's name is a folder's name and nothing more."""
    if name:
        with pytest.raises(BadInput):
            Home.find(name)
    else:
        assert Home.find(name) == home


def test_home_that_cannot_be_made(tmp_path, monkeypatch):
    """Where there is no place for keys, the user learns which variable to set."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match="SLS_HOME"):
        Home.find()


def test_private_files_are_whole_or_absent(tmp_path):
    """A file is there with all its bytes or not at all, is never overwritten, and leaves no scratch behind."""
    write_private(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"first"


@pytest.mark.parametrize("place", ["missing/key", "file/key"])
def test_keys_that_cannot_be_kept(tmp_path, place):
    """A folder that is gone or is none ends in a sentence, not in a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        read_or_create_private(tmp_path / place, b"k" * 32, 32)


def test_full_disk_keeps_no_half_key(monkeypatch, tmp_path):
    """On a full disk the first start says so, and the next one begins anew."""
    import os

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        read_or_create_private(tmp_path / "key", b"k" * 32, 32)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_make_one_identity(tmp_path):
    """Notebooks that start together on a new home are the same person."""
    code = "from sls_jupyter.identity import Home; who = Home.find('twin').identity(); print(who.did, who.hpke.public_bytes.hex())"
    environment = {"SLS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent
        )
        for _ in range(3)
    ]
    outputs = {process.communicate(timeout=60)[0] for process in processes}
    assert len(outputs) == 1
    assert outputs != {b""}


# --- tokens ---------------------------------------------------------------------------------------

CALL = {"audience": AUDIENCE, "method": "POST", "path": "/v1/requests", "body": b"{}"}
CLAIMS = {
    "iss": WHO.did, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "htm": "POST", "htu": "/v1/requests",
    "body": digest(b"{}"),
}  # fmt: skip


def forged(key=WHO.private_key, algorithm: str = "EdDSA", **changes) -> str:
    """A token with claims changed; ``...`` leaves one away."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    return jwt.encode(claims, key, algorithm=algorithm)


def test_token_lets_its_bearer_make_this_call():
    """A fresh token for this call says who calls."""
    assert verify_token(make_token(WHO, **CALL, now=NOW), **CALL, now=NOW) == WHO.did
    assert verify_token(forged(), **CALL, now=NOW) == WHO.did


@pytest.mark.parametrize("change", [{"audience": WHO.did}, {"method": "GET"}, {"path": "/v1"}, {"body": b"{ }"}])
def test_token_is_for_one_call(change):
    """For another authority, method, path or body it is worth nothing."""
    token = make_token(WHO, **CALL, now=NOW)
    with pytest.raises(NotAuthorised):
        verify_token(token, **(CALL | change), now=NOW)


@pytest.mark.parametrize(("seconds", "valid"), [(-31, False), (-30, True), (60, True), (90, True), (91, False)])
def test_token_is_for_one_minute(seconds, valid):
    """A minute, and half a minute for two honest clocks."""
    token = make_token(WHO, **CALL, now=NOW)
    if valid:
        assert verify_token(token, **CALL, now=NOW + seconds)
    else:
        with pytest.raises(NotAuthorised):
            verify_token(token, **CALL, now=NOW + seconds)


def test_the_clock_is_the_argument():
    """Whether a token is valid does not depend on when a test or an auditor looks."""
    for now in (1, 2**39):
        assert verify_token(make_token(WHO, **CALL, now=now), **CALL, now=now) == WHO.did
    assert verify_token(forged(nbf=2**40), **CALL, now=NOW) == WHO.did


@pytest.mark.parametrize(
    "token",
    [
        forged(exp=NOW + 61),
        forged(iat=NOW + 31, exp=NOW + 91),
        forged(iat=str(NOW)),
        forged(exp=...),
        forged(iat=...),
        forged(aud=...),
        forged(iss=...),
        forged(htm=...),
        forged(htu=...),
        forged(body=...),
        forged(iss=AUDIENCE),
        forged(iss="did:web:example.org"),
        forged(key=SigningKey.generate().private_key),
        forged(key="", algorithm="none"),
        forged(key=WHO.public_bytes.hex(), algorithm="HS256"),
        "",
        "x",
        "x.y.z",
        "...",
        forged()[:-4],
        forged() + "A",
        "ä" * 50,
    ],
)
def test_tokens_that_are_none(token):
    """No signature, another key, missing or stretched claims: nobody is let in, and nothing breaks."""
    with pytest.raises(NotAuthorised):
        verify_token(token, **CALL, now=NOW)


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("payload", [b"[" * 20_000, b"[]", b"null", b'{"iss":' + b"[" * 5000, b"\xff", b"9" * 5000])
def test_hostile_tokens(payload):
    """A token that is made to break a parser ends in the same refusal."""
    header = segment(json.dumps({"alg": "EdDSA", "typ": "JWT"}).encode())
    for token in (f"{header}.{segment(payload)}.{segment(bytes(64))}", f"{segment(payload)}.{header}.{segment(b'')}"):
        with pytest.raises(NotAuthorised):
            verify_token(token, **CALL, now=NOW)


# --- keys that nobody holds -----------------------------------------------------------------------

KEYS = json.loads((Path(__file__).parent / "vectors" / "documents" / "keys.json").read_text())


def _did_of(key: bytes) -> str:
    """A did:key by the book, whatever the bytes are."""
    number, text = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[rest] + text
    return f"did:key:z{text}"


@pytest.mark.parametrize("case", KEYS["ed25519_refused"], ids=lambda case: case["name"])
def test_keys_that_nobody_holds(case):
    """A key under which one signature fits every message names nobody: no DID, signature, token or log key."""
    key = bytes.fromhex(case["key"])
    signature = bytes([1]) + bytes(63)
    with pytest.raises(MalformedDocument):
        did_from_public_key(key)
    for message in (b"1", b"2"):
        with pytest.raises((MalformedDocument, SignatureInvalid)):
            verify_signature(_did_of(key), signature, message)
    with pytest.raises(NotAuthorised):
        verify_token(forged(iss=_did_of(key)), **CALL, now=NOW)


@pytest.mark.parametrize("key", KEYS["ed25519"])
def test_keys_that_somebody_holds(key):
    """Keys of the standard are taken."""
    assert public_key_from_did(_did_of(bytes.fromhex(key))).hex() == key


@pytest.mark.parametrize("case", KEYS["x25519_refused"], ids=lambda case: case["name"])
def test_contacts_with_keys_that_everybody_holds(case):
    """Nothing is sealed to a key of small order, or to a second spelling of one."""
    good = Identity("a", WHO, HpkeKey.generate()).contact()
    weak = b64decode(good.hpke_public_key)[:-32] + bytes.fromhex(case["key"])
    with pytest.raises(MalformedDocument):
        contact_key(good.model_copy(update={"hpke_public_key": b64encode(weak)}))
    with pytest.raises(MalformedDocument):
        hpke.seal(weak, b"", b"secret")
    assert contact_key(good) == b64decode(good.hpke_public_key)

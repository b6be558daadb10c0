"""Azure Attestation: the service's own tokens, and tokens of an instance that exists for the tests alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.maa import MaaInstance, runtime_report_data
from sls_jupyter.attestation.azure.maa_token import Token, base64url, signing_key
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import ReferenceValues
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import EvidenceRejected, MalformedDocument

VECTORS = Path(__file__).parent / "vectors" / "maa"
INDEX = json.loads((VECTORS / "expected.json").read_bytes())
KEYS = (VECTORS / "jwks.json").read_bytes()
ISSUER = "https://example.attest.azure.net"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
KEY = rsa.generate_private_key(65537, 2048)
RUNTIME = b'{\n  "keys": [{"e":"AQAB","key_ops":["encrypt"],"kid":"guest","kty":"RSA","n":"AQIDBA"}]\n}'
P = "x-ms-sevsnpvm-"


def anchors(issuer: str = INDEX["issuer"], keys: bytes = KEYS, **more: str) -> TrustAnchors:
    return TrustAnchors(maa={issuer: MaaInstance(keys, **more)})


def failed(token: bytes, now: datetime, trust: TrustAnchors, kind: str, given: list[bytes] | None = None) -> list[str]:
    try:
        verify(Evidence.of(kind, token, given or []), trust, now=now)
    except EvidenceRejected as error:
        return list(error.detail["failed"])
    return []


# --- tokens of the service ------------------------------------------------------------------------


@pytest.mark.parametrize("entry", INDEX["tokens"], ids=lambda entry: f"{entry['file']}-{entry['at']}-{entry['kind']}")
def test_verdicts_of_the_index(entry: dict[str, Any]) -> None:
    """A token that the service made gets the verdict that is written beside it, for the reasons written there."""
    token = (VECTORS / entry["file"]).read_bytes()
    trust = anchors(entry.get("issuer", INDEX["issuer"]))
    assert failed(token, datetime.fromisoformat(entry["at"]), trust, entry["kind"]) == entry["failed"]


def test_claims_of_a_real_token() -> None:
    """An enclave's measurement and signer are read, and the held data that the token carries is bound."""
    evidence = Evidence.of("maa-sgx", (VECTORS / "sgx-rs256.jwt").read_bytes(), [])
    verified = verify(evidence, anchors(), now=datetime(2021, 7, 1, 22, tzinfo=UTC))
    assert verified.claims.measurement == "b779202618becb636768e5d902f28d524222735fafb539ea9ba07c3fc171a1c2"
    assert verified.claims.details["init_data"] == "not in the token"
    assert "runtime_binding" in [check.name for check in verified.checks]


def test_no_instance_is_known_by_default() -> None:
    """A token proves nothing to whoever has not chosen its issuer, however well it is signed."""
    token = (VECTORS / "sgx-rs256.jwt").read_bytes()
    assert failed(token, datetime(2021, 7, 1, 22, tzinfo=UTC), TrustAnchors(), "maa-sgx") == ["issuer"]


def test_claims_of_a_confidential_vm() -> None:
    """A confidential VM's token speaks for another boundary, even where its inner claims look right."""
    claims = json.loads((VECTORS / "azurevm-claims.json").read_bytes())
    value = signed({**claims, "iss": ISSUER, "iat": 1, "nbf": 1, "exp": 2**35})
    assert failed(value, NOW, ours(), "maa-sev-snp")[0] == "attestation_type"


def test_runtime_data_of_a_real_request() -> None:
    """The report in a genuine request to attest is bound to its runtime data by our formula."""
    request = json.loads((VECTORS / "attest-sevsnp-request.json").read_bytes())
    report = base64url(json.loads(base64url(request["report"].rstrip("=")))["SnpReport"].rstrip("="))
    assert runtime_report_data(base64url(request["runtimeData"]["data"].rstrip("="))) == report[0x50:0x90]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_bit_of_a_real_token(part: int) -> None:
    """Flipped bits of header and claims, and all of the signature, stray bits of its last character included."""
    text = bytearray((VECTORS / "sgx-rs256.jwt").read_bytes())
    now, trust = datetime(2021, 7, 1, 22, tzinfo=UTC), anchors()
    starts = [0, *(place + 1 for place, byte in enumerate(text) if byte == ord(".")), len(text) + 1]
    for bit in range(8 * starts[part], 8 * (starts[part + 1] - 1), 1 if part == 2 else 5):
        text[bit // 8] ^= 1 << bit % 8
        assert failed(bytes(text), now, trust, "maa-sgx"), bit
        text[bit // 8] ^= 1 << bit % 8


# --- tokens of an instance of our own -------------------------------------------------------------


def b64(value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=")


def certificate(key: rsa.RSAPrivateKey, start: datetime, days: int) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=days))
    return b64encode(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


def numbers(key: rsa.RSAPrivateKey) -> dict[str, str]:
    public = key.public_key().public_numbers()
    n, e = (b64(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode() for value in (public.n, public.e))
    return {"n": n, "e": e}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys or [{"kid": "ours", "kty": "RSA", **numbers(KEY)}]}).encode()


def ours(keys: bytes = b"", **more: str) -> TrustAnchors:
    return anchors(ISSUER, keys or key_set(), **more)


def sign(header: Any, claims: Any) -> bytes:
    text = b64(header) + b"." + b64(claims)
    return text + b"." + b64(KEY.sign(text, padding.PKCS1v15(), hashes.SHA256()))


def signed(claims: Any, **header: Any) -> bytes:
    return sign({"alg": "RS256", "kid": "ours", "typ": "JWT", **header}, claims)


def snp_claims(**changes: Any) -> dict[str, Any]:
    """Claims of a container group in order; a change to None takes a claim out."""
    now = int(NOW.timestamp())
    claims: dict[str, Any] = {"iss": ISSUER, "iat": now - 60, "nbf": now - 60, "exp": now + 3600}
    claims |= {"x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm"}
    claims |= {"x-ms-runtime": json.loads(RUNTIME), "x-ms-policy-hash": "hash"}
    claims |= {P + "reportdata": runtime_report_data(RUNTIME).hex(), P + "hostdata": "ab" * 32}
    claims |= {P + "launchmeasurement": "cd" * 48, P + "is-debuggable": False, P + "vmpl": 0, P + "guestsvn": 2}
    claims |= {P + "migration-allowed": False, P + "bootloader-svn": 4, P + "tee-svn": 0, P + "snpfw-svn": 24}
    claims |= {P + "microcode-svn": 219}
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def test_group_in_order() -> None:
    """A container group's token verifies and appraises, under a kind that an owner has to name."""
    evidence = Evidence.of("maa-sev-snp", signed(snp_claims()), [RUNTIME])
    verified = verify(evidence, ours(policy_hash="hash"), now=NOW)
    claims = verified.claims
    assert (claims.init_data, claims.tcb["snp"]) == ("ab" * 32, 24)
    expected = hashlib.sha256(b'{"e":"AQAB","kty":"RSA","n":"AQIDBA"}').hexdigest()
    assert claims.details["runtime_key guest"] == expected
    values = (frozenset({bytes.fromhex("cd" * 48)}), bytes.fromhex("ab" * 32), runtime_report_data(RUNTIME))
    appraise(verified, ReferenceValues(*values, {"maa-sev-snp"}))
    for refused in (
        ReferenceValues(*values, {"sev-snp"}),
        ReferenceValues(*values, {"maa-sev-snp"}, minimum_tcb={"maa-sev-snp": {"snp": 1}}),
    ):
        with pytest.raises(EvidenceRejected):
            appraise(verified, refused)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({P + "is-debuggable": True}, "debug"),
        ({P + "is-debuggable": "false"}, "debug"),
        ({P + "is-debuggable": 0}, "debug"),
        ({P + "is-debuggable": None}, "debug"),
        ({P + "vmpl": 1}, "vmpl"),
        ({P + "vmpl": False}, "vmpl"),
        ({P + "vmpl": "0"}, "vmpl"),
        ({P + "migration-allowed": True}, "migration_agent"),
        ({P + "migration-allowed": None}, "migration_agent"),
        ({"x-ms-compliance-status": None}, "compliance"),
        ({"x-ms-compliance-status": "azure-compliant-cvm"}, "compliance"),
        ({"x-ms-attestation-type": "sgx"}, "attestation_type"),
        ({"x-ms-attestation-type": None}, "attestation_type"),
        ({"iss": "https://other.attest.azure.net"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"exp": int(NOW.timestamp())}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": str(2**33)}, "exp"),
        ({"nbf": int(NOW.timestamp()) + 1}, "nbf"),
        ({"iat": int(NOW.timestamp()) + 1}, "iat"),
        ({"iat": None}, "iat"),
        ({P + "hostdata": None}, "claims"),
        ({P + "hostdata": "AB" * 32}, "claims"),
        ({P + "hostdata": "ab" * 31}, "claims"),
        ({P + "launchmeasurement": "cd" * 32}, "claims"),
        ({P + "snpfw-svn": "24"}, "claims"),
        ({P + "guestsvn": -1}, "claims"),
        ({P + "reportdata": runtime_report_data(RUNTIME + b" ").hex()}, "runtime_binding"),
        ({P + "reportdata": (runtime_report_data(RUNTIME)[:-1] + b"\1").hex()}, "runtime_binding"),
        ({"x-ms-runtime": {"keys": [{"kty": "RSA", "e": "AQAB", "n": "AQ"}]}}, "runtime_data"),
        ({"x-ms-runtime": {}}, "runtime_keys"),
        ({"x-ms-runtime": None}, "runtime_keys"),
        ({"x-ms-policy-hash": "another"}, "policy_hash"),
    ],
)
def test_wrong_claims(change: dict[str, Any], name: str) -> None:
    """Each claim counts, with its JSON type; a missing one is a refusal."""
    assert name in failed(signed(snp_claims(**change)), NOW, ours(policy_hash="hash"), "maa-sev-snp", [RUNTIME])


def test_without_runtime_data() -> None:
    """Without the raw runtime data the form of REPORT_DATA still counts; with two of them nothing does."""
    assert failed(signed(snp_claims()), NOW, ours(), "maa-sev-snp") == []
    odd = snp_claims(**{P + "reportdata": "ab" * 64})
    assert failed(signed(odd), NOW, ours(), "maa-sev-snp") == ["runtime_binding"]
    assert failed(signed(snp_claims()), NOW, ours(), "maa-sev-snp", [RUNTIME, RUNTIME]) == ["claims"]


# --- mistake 25 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS384", "PS256", "ES256", None, ["RS256"]])
def test_mistake_25_algorithm_of_the_token(alg: object) -> None:
    """Only RS256: not none, and not another algorithm with the same key and a signature that fits RS256."""
    assert "algorithm" in failed(signed(snp_claims(), alg=alg), NOW, ours(), "maa-sev-snp", [RUNTIME])


def test_mistake_25_alg_none() -> None:
    """The service itself answers draft policies without a signature."""
    text = b64({"alg": "none", "kid": "ours"}) + b"." + b64(snp_claims()) + b"."
    assert failed(text, NOW, ours(), "maa-sev-snp", [RUNTIME]) == ["algorithm", "signature"]


def test_mistake_25_key_confusion() -> None:
    """A public key is no shared secret: HS256 over its bytes, PEM or DER, is refused."""
    public = KEY.public_key()
    for encoding in (Encoding.PEM, Encoding.DER):
        secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        text = b64({"alg": "HS256", "kid": "ours"}) + b"." + b64(snp_claims())
        token = text + b"." + b64(hmac.digest(secret, text, "sha256"))
        assert "algorithm" in failed(token, NOW, ours(), "maa-sev-snp", [RUNTIME])


def test_mistake_25_jku_and_jwk_followed() -> None:
    """Keys that the token brings or points to are not looked at; a known name with another key is refused."""
    stranger = key_set({"kid": "ours", "kty": "RSA", **numbers(rsa.generate_private_key(65537, 2048))})
    header = {"jku": "https://127.0.0.1:1/certs", "jwk": {"kty": "RSA", **numbers(KEY)}, "x5u": "https://127.0.0.1:1"}
    assert failed(signed(snp_claims(), **header), NOW, ours(stranger), "maa-sev-snp", [RUNTIME]) == ["signature"]
    assert failed(signed(snp_claims(), **header), NOW, ours(), "maa-sev-snp", [RUNTIME]) == []


def test_mistake_25_policy_answer_as_attestation() -> None:
    """The same key signs answers about policy; they are not attestation results."""
    now = datetime(2021, 7, 1, 20, 30, tzinfo=UTC)
    for kind in ("maa-sgx", "maa-sev-snp"):
        token = (VECTORS / "policy-response-rs256.jwt").read_bytes()
        assert "attestation_type" in failed(token, now, anchors(), kind)


# --- keys and forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{"kid": "unknown"}, {"kid": None}, {"kid": 7}, {"kid": ["ours"]}])
def test_unknown_key(header: dict[str, Any]) -> None:
    """A key that the relying party does not have by that name is never guessed."""
    assert failed(signed(snp_claims(), **header), NOW, ours(), "maa-sev-snp", [RUNTIME]) == ["signing_key"]


def test_key_sets() -> None:
    """Two keys of one name, a small key, two materials that differ, none, nonsense: refused by name."""
    good, small = numbers(KEY), numbers(rsa.generate_private_key(65537, 1024))
    named = {"kid": "ours", "kty": "RSA"}
    sets = [
        key_set({**named, **good}, {**named, **good}),
        key_set({**named, **small}),
        key_set({**named, **small, "x5c": [certificate(KEY, NOW, 10)]}),
        key_set(named),
        key_set({**named, "x5c": ["AAAA"]}),
        key_set({**named, "x5c": []}),
        key_set({**named, "n": good["n"]}),
        b'{"keys": {}}',
        b"[]",
        b"\xff",
    ]
    for keys in sets:
        with pytest.raises(MalformedDocument):
            signing_key(keys, "ours")
        assert failed(signed(snp_claims()), NOW, ours(keys), "maa-sev-snp", [RUNTIME]) == ["signing_key"]


def test_small_key_of_the_real_set() -> None:
    """The service's own set has a key of 1024 bits; it signs nothing for us, and does not spoil the others."""
    with pytest.raises(MalformedDocument, match="too small"):
        signing_key(KEYS, "15N2MHoj9iAdkF/c5nRE3J2HB8JG6Vue3Uzvu3K/Ses=")


@pytest.mark.parametrize(
    ("start", "found"), [(NOW - timedelta(days=2), []), (NOW - timedelta(days=20), ["key_validity"])]
)
def test_validity_of_the_keys_certificate(start: datetime, found: list[str]) -> None:
    """A key whose certificate has run out is refused, at the time that is passed in."""
    keys = key_set({"kid": "ours", "kty": "RSA", "x5c": [certificate(KEY, start, 10)]})
    assert failed(signed(snp_claims()), NOW, ours(keys), "maa-sev-snp", [RUNTIME]) == found


def test_times_are_told_to_the_second_and_in_one_zone() -> None:
    """A day alone would stand on both sides of a line that fails; a caller's own zone would not be the claims'."""
    now = (NOW + timedelta(days=20, seconds=7)).astimezone(timezone(timedelta(hours=5)))
    keys = key_set({"kid": "ours", "kty": "RSA", "x5c": [certificate(KEY, NOW, 10)]})
    with pytest.raises(EvidenceRejected) as caught:
        verify(Evidence.of("maa-sev-snp", signed(snp_claims()), [RUNTIME]), ours(keys), now=now)
    lines = {check["name"]: check for check in caught.value.detail["checks"] if not check["ok"]}
    at = f"{NOW + timedelta(days=20, seconds=7):%Y-%m-%d %H:%M:%S} UTC"
    assert (lines["key_validity"]["found"], lines["exp"]["expected"]) == (at, f"after {at}")


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": False}, {"zip": "DEF"}])
def test_header_that_changes_the_meaning(header: dict[str, Any]) -> None:
    """What RFC 7515 lets a header change about the rest is not understood here, so it is refused."""
    assert failed(signed(snp_claims(), **header), NOW, ours(), "maa-sev-snp") == ["token_format"]


@pytest.mark.parametrize(
    "token",
    [b"", b"..", b"a.b", b"a.b.c.d", b"!.!.!", b"\xff.\xff.\xff", sign([], {}), sign({}, [])[:-1], b"e30=.e30=.AA"],
)
def test_other_texts(token: bytes) -> None:
    """What is not a token is refused by its form."""
    assert failed(token, NOW, ours(), "maa-sev-snp") == ["token_format"]


def test_duplicate_members() -> None:
    """JSON that says two things is refused, though most parsers keep the last."""
    claims = json.dumps(snp_claims()).replace("{", '{"iss":"x",', 1).encode()
    assert failed(signed(claims), NOW, ours(), "maa-sev-snp", [RUNTIME]) == ["token_format"]


@given(st.binary(max_size=200), st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_parser_survives(data: bytes, parts: list[bytes]) -> None:
    """Whatever comes, only our own errors come out."""
    for text in (data, b".".join(b64(part) for part in parts)):
        try:
            Token.parse(text)
        except MalformedDocument:
            continue

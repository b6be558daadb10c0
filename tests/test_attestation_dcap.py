"""TDX and SGX: quotes of real machines get the verdict that is written beside them, and none when changed."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.claim_checks import known_registers
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.linux import with_collateral
from sls_jupyter.attestation.evidence import ReferenceValues, VerifiedEvidence
from sls_jupyter.attestation.intel.chain import PCK, PCK_CA, ROOT, chain_checks, parse_chain
from sls_jupyter.attestation.intel.collateral import PARTS, Collateral
from sls_jupyter.attestation.intel.quote import Quote
from sls_jupyter.attestation.intel.trust import IntelTrust
from sls_jupyter.attestation.intel.verify import attribute_names
from sls_jupyter.attestation.refusals import MeasurementUnknown
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, EvidenceRejected, MalformedDocument, Unavailable

VECTORS = Path(__file__).parent / "vectors"
FOLDERS = sorted(path.parent for kind in ("tdx", "sgx") for path in (VECTORS / kind).glob("*/expected.json"))
GOOD = VECTORS / "tdx" / "uptodate-v4"
NEEDED = "ConfigurationAndSWHardeningNeeded"
SGX_ALLOWED = TrustAnchors(intel=IntelTrust(statuses=frozenset({"UpToDate", NEEDED})))


def quote_of(folder: Path) -> bytes:
    if (folder / "quote.bin").exists():
        return (folder / "quote.bin").read_bytes()
    return bytes.fromhex(json.loads((folder / "enclave.info.json").read_bytes())["QuoteHex"])[16:]


def collateral_of(folder: Path) -> list[bytes]:
    path = folder / "collateral.json"
    return [path.read_bytes()] if path.exists() else []


def evidence_of(folder: Path) -> Evidence:
    return Evidence.of(folder.parent.name, quote_of(folder), collateral_of(folder))


def time_of(folder: Path) -> datetime:
    text = json.loads((folder / "expected.json").read_bytes()).get("verify_at", "2021-07-01T12:00:00Z")
    return datetime.fromisoformat(text)


def changed(folder: Path, **parts: Any) -> Evidence:
    """The folder's evidence with other parts in its collateral; None takes a part out."""
    value = {**json.loads(collateral_of(folder)[0]), **parts}
    kept = {name: part for name, part in value.items() if part is not None}
    return with_collateral(evidence_of(folder), json.dumps(kept).encode())


def failed(evidence: Evidence, now: datetime, anchors: TrustAnchors | None = None) -> list[str]:
    with pytest.raises(EvidenceRejected) as caught:
        verify(evidence, anchors or TrustAnchors(), now=now)
    return list(caught.value.detail["failed"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_verdicts_of_the_index(folder: Path) -> None:
    """A quote that somebody else's machine made gets the verdict that its folder names."""
    verdict = json.loads((folder / "expected.json").read_bytes())["verdict"]
    evidence, now = evidence_of(folder), time_of(folder)
    if verdict == "accept":
        assert verify(evidence, TrustAnchors(), now=now).claims.tee == folder.parent.name
    elif verdict.startswith("accept only if the policy allows"):
        status = verdict.rpartition(" ")[2]
        assert failed(evidence, now) == ["tcb_status", "tcb_policy"]
        allowing = TrustAnchors(intel=IntelTrust(statuses=frozenset({"UpToDate", status})))
        assert verify(evidence, allowing, now=now).claims.details["tcb_status"] == status
    elif verdict.startswith("signatures accept"):
        assert failed(evidence, now) == ["collateral"]
    elif verdict == "policy decision":
        assert failed(evidence, now) == ["sept_ve_disable"]
    else:
        assert verdict.startswith("reject")
        assert {"debug", "tcb_level"} & set(failed(evidence, now))


def test_claims_of_a_td() -> None:
    """An appraiser finds MRTD, MRCONFIGID, the run-time registers and the report data where they belong."""
    quote = quote_of(GOOD)
    claims = verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD)).claims
    assert claims.measurement == quote[48 + 136 : 48 + 184].hex()
    assert claims.init_data == quote[48 + 184 : 48 + 232].hex()
    assert claims.report_data == quote[48 + 520 : 48 + 584].hex()
    assert claims.details["rtmr2"] == quote[48 + 424 : 48 + 472].hex()
    assert (claims.tcb["pce"], claims.tcb["tdx01"]) == (11, 1)
    assert not claims.simulated


def test_claims_of_an_enclave() -> None:
    """CONFIGID is the init data of SGX, and the signer is among the details."""
    folder = VECTORS / "sgx" / "config-needed-v3"
    quote, claims = quote_of(folder), verify(evidence_of(folder), SGX_ALLOWED, now=time_of(folder)).claims
    assert claims.measurement == quote[112:144].hex()
    assert claims.details["mr_signer"] == quote[176:208].hex()
    assert claims.init_data == quote[240:304].hex()
    assert claims.details["advisories"] == "INTEL-SA-00289, INTEL-SA-00615"


def appraised(verified: VerifiedEvidence, **changes: Any) -> None:
    claims = verified.claims
    values = {
        "measurements": frozenset({bytes.fromhex(claims.measurement)}),
        "init_data": bytes.fromhex(claims.init_data),
        "report_data": bytes.fromhex(claims.report_data),
        "tees": {"tdx"},
    }
    appraise(verified, ReferenceValues(**{**values, **changes}))


def test_appraisal_of_a_td() -> None:
    """The claims of a TD go through the same appraisal as a SEV-SNP guest's, floors by component included."""
    verified = verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD))
    appraised(verified, minimum_tcb={"tdx": {"tdx01": 1, "pce": 11}})
    for changes in ({"minimum_tcb": {"tdx": {"pce": 12}}}, {"tees": {"sev-snp"}}, {"measurements": frozenset()}):
        with pytest.raises(EvidenceRejected):
            appraised(verified, **changes)


def test_kind_is_held_to() -> None:
    """A TDX quote under the name of SGX is refused, and so is the reverse."""
    assert failed(Evidence.of("sgx", quote_of(GOOD), collateral_of(GOOD)), time_of(GOOD)) == ["tee_type"]


# --- mistake 26: identity, status, debug, time ----------------------------------------------------


def test_mistake_26_qe_identity_of_another_enclave() -> None:
    """CVE-2026-22696: genuine QE identities, of SGX's quoting enclave and of another time, do not vouch for a TD's."""
    for other in ("sgx/config-needed-v3", "tdx/nomatchingtcb-v5"):
        theirs = json.loads(collateral_of(VECTORS / other)[0])
        parts = {name: text for name, text in theirs.items() if name.startswith("qe_identity")}
        assert set(failed(changed(GOOD, **parts), time_of(GOOD))) & {"collateral", "collateral_time"}


def test_mistake_26_qe_report_of_another_enclave() -> None:
    """A quoting enclave's report that the PCK key did not sign is refused before anything else is asked."""
    quote = bytearray(quote_of(GOOD))
    at = quote.index(Quote.parse(bytes(quote)).qe_report)
    quote[at + 64] ^= 1  # MRENCLAVE
    assert failed(Evidence.of("tdx", bytes(quote), collateral_of(GOOD)), time_of(GOOD)) == ["qe_signature"]


def test_mistake_26_status_ignored() -> None:
    """A platform that Intel says needs configuring is refused unless this very status is allowed."""
    folder = VECTORS / "sgx" / "config-needed-v3"
    for statuses in ({"UpToDate"}, {"UpToDate", "SWHardeningNeeded"}, set()):
        anchors = TrustAnchors(intel=IntelTrust(statuses=frozenset(statuses)))
        assert "tcb_status" in failed(evidence_of(folder), time_of(folder), anchors)


@pytest.mark.parametrize("name", ["tdx/debug-td-v4", "sgx/oe-debug-v3"])
def test_mistake_26_debug_ignored(name: str) -> None:
    """Everything Intel signed holds for a debuggable guest too."""
    assert failed(evidence_of(VECTORS / name), time_of(VECTORS / name))[0] == "debug"


@pytest.mark.parametrize("days", [-3650, -30, 30, 365, 3650])
def test_mistake_26_collateral_without_time(days: int) -> None:
    """Collateral that is too old, or not yet issued, does not verify anything."""
    names = failed(evidence_of(GOOD), time_of(GOOD) + timedelta(days=days))
    assert set(names) & {"collateral_time", "chain_validity", "tcb_info_chain_validity"}


def test_validity_of_a_chain_is_told_to_the_second() -> None:
    """A day alone would stand on both sides of a line that fails."""
    chain = parse_chain(Quote.parse(quote_of(GOOD)).certificates)
    last = min(certificate.not_after for certificate in chain.certificates)
    line = chain_checks(chain, (PCK, PCK_CA, ROOT), last + timedelta(seconds=1), (), "x_")[-1]
    assert (line.name, line.ok) == ("x_chain_validity", False)
    assert line.expected.endswith(f" to {last:%Y-%m-%d %H:%M:%S} UTC")
    assert line.found == f"{last + timedelta(seconds=1):%Y-%m-%d %H:%M:%S} UTC"


# --- the policy on TCB ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trust", "name"),
    [
        (IntelTrust(allow_dynamic_platform=False), "tcb_policy"),
        (IntelTrust(allow_cached_keys=False), "tcb_policy"),
        (IntelTrust(allow_smt=False), "tcb_policy"),
        (IntelTrust(minimum_evaluation=18), "tcb_evaluation"),
        (IntelTrust(roots=frozenset({hashlib.sha256(b"another root").digest()})), "root"),
    ],
)
def test_stricter_policies(trust: IntelTrust, name: str) -> None:
    """Each switch of the policy is one that really refuses."""
    assert name in failed(evidence_of(GOOD), time_of(GOOD), TrustAnchors(intel=trust))


def test_collateral_may_not_be_older_than_intels_standard() -> None:
    """A host that keeps collateral of before a recovery would hide a year of advisories."""
    trust = IntelTrust()
    days = {
        (2024, 1, 1): 0,
        (2025, 3, 11): 0,
        (2025, 3, 12): 17,
        (2025, 11, 12): 18,
        (2026, 5, 13): 19,
        (2030, 1, 1): 19,
    }
    assert {day: trust.evaluation_at(datetime(*day, tzinfo=UTC)) for day in days} == days
    checks = verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD)).checks
    (line,) = [check for check in checks if check.name == "tcb_evaluation"]
    assert (line.found, line.expected[:11], "Intel's standard at 2025" in line.expected) == ("17", "17 or later", True)


def test_a_policy_can_demand_run_time_registers() -> None:
    """MRTD is the firmware alone: which kernel and which system ran stands in the registers."""
    verified = verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD))
    claims, right = verified.claims, verified.claims.details["rtmr2"]
    wanted = ReferenceValues(
        measurements=frozenset({bytes.fromhex(claims.measurement)}), init_data=None, tees=("tdx",),
        report_data=bytes.fromhex(claims.report_data), registers={"rtmr2": ["00" * 48, right]},
    )  # fmt: skip
    assert appraise(verified, wanted).claims is claims
    with pytest.raises(MeasurementUnknown) as refused:
        appraise(verified, replace(wanted, registers={"rtmr2": ["00" * 48]}))
    assert refused.value.detail["failed"] == ["registers"]
    assert f"rtmr2 {right}" in (refused.value.found or "")
    missing = known_registers(claims.model_copy(update={"details": {}}), {"rtmr1": [right]})
    assert [(check.ok, check.found) for check in missing] == [(False, "rtmr1 is not in this evidence")]


def test_attributes_of_a_td_have_their_names() -> None:
    """A reader sees which attribute opens a TD to its host, not a number."""
    assert attribute_names(1 << 28 | 1 << 5 | 1 << 40 | 1 << 62) == ["PERF_PROF", "SEPT_VE_DISABLE", "bit 40", "TPA"]
    claims = verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD)).claims
    assert "SEPT_VE_DISABLE" in claims.details["td_attributes"]


def test_rejected_advisory() -> None:
    """An advisory that the relying party does not accept is refused under an allowed status."""
    folder = VECTORS / "sgx" / "config-needed-v3"
    trust = IntelTrust(statuses=frozenset({NEEDED}), rejected_advisories=frozenset({"INTEL-SA-00615"}))
    assert failed(evidence_of(folder), time_of(folder), TrustAnchors(intel=trust)) == ["advisories", "tcb_policy"]


@pytest.mark.parametrize("status", ["Revoked", "uptodate", ""])
def test_status_that_cannot_be_allowed(status: str) -> None:
    """Nobody allows a revoked platform, or believes to have allowed something by a misspelt status."""
    with pytest.raises(BadInput):
        IntelTrust(statuses=frozenset({status}))


# --- collateral -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [None, "", 7])
def test_missing_collateral(part: str, value: object) -> None:
    """Each of the nine parts is needed; dcap-qvl alone does not miss the chain of the PCK CRL."""
    assert failed(changed(GOOD, **{part: value}), time_of(GOOD)) == ["collateral"]


@pytest.mark.parametrize("endorsements", [[], [b"{}", b"{}"], [b"[]"], [b"\xff"], [b'{"a":1,"a":2}']])
def test_no_collateral(endorsements: list[bytes]) -> None:
    """A quote without collateral, or with two, or with something else, is refused by that name."""
    assert failed(Evidence.of("tdx", quote_of(GOOD), endorsements), time_of(GOOD)) == ["collateral"]


@pytest.mark.parametrize("part", PARTS)
def test_changed_collateral(part: str) -> None:
    """A changed character anywhere in any part is refused; a sample of 40 places each."""
    text = json.loads(collateral_of(GOOD)[0])[part]
    body = len(text) - 60 if text.startswith("-----") else len(text)
    for place in range(30, body, max(body // 40, 1)):
        if text[place] in "\n-":
            continue
        other = ("1" if text[place] != "1" else "2") if not part.endswith("chain") else flipped(text[place])
        assert failed(changed(GOOD, **{part: text[:place] + other + text[place + 1 :]}), time_of(GOOD))


def flipped(character: str) -> str:
    return "A" if character != "A" else "B"


def test_signer_of_tcb_info() -> None:
    """A PCK key is Intel's too, and lies on every machine: its chain is not one that may sign TCB info."""
    chain = "".join(pem_of(der) for der in Quote.parse(quote_of(GOOD)).certificates)
    assert "tcb_info_chain_names" in failed(changed(GOOD, tcb_info_issuer_chain=chain), time_of(GOOD))


def pem_of(der: bytes) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def test_collateral_of_another_platform() -> None:
    """Genuine TCB info of another processor family says nothing about this one."""
    theirs = json.loads(collateral_of(VECTORS / "sgx/config-needed-v3")[0])
    parts = {name: text for name, text in theirs.items() if name.startswith("tcb_info")}
    assert failed(changed(GOOD, **parts), time_of(GOOD)) == ["collateral"]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    with pytest.raises(Unavailable, match=r"sls-jupyter\[dcap\]"):
        verify(evidence_of(GOOD), TrustAnchors(), now=time_of(GOOD))


# --- changed quotes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tdx/uptodate-v4", "sgx/config-needed-v3"])
def test_every_bit_of_the_signed_part_and_signature(name: str) -> None:
    """All bits of header, body and signature, and of the key and the QE report behind them."""
    folder = VECTORS / name
    quote, now = bytearray(quote_of(folder)), time_of(folder)
    parsed = Quote.parse(bytes(quote))
    start = len(parsed.signed)
    whole = [*range(start), *range(start + 4, start + 132)]
    at = quote.index(parsed.qe_report)
    sample = range(at, at + 384 + 64 + 2 + len(parsed.qe_auth))
    bits = [8 * place + bit for place in whole for bit in range(8)] + [8 * place + place % 8 for place in sample]
    for bit in bits:
        quote[bit // 8] ^= 1 << bit % 8
        assert failed(Evidence.of(parsed_kind(folder), bytes(quote), []), now) != ["collateral"], bit
        quote[bit // 8] ^= 1 << bit % 8


def parsed_kind(folder: Path) -> str:
    return folder.parent.name


@pytest.mark.parametrize("name", ["tdx/uptodate-v4", "tdx/nomatchingtcb-v5", "sgx/oe-release-v3"])
def test_changed_certificates_in_the_quote(name: str) -> None:
    """A bit of any certificate's signed part or signature, by way of its PEM; a sample of all bits."""
    folder = VECTORS / name
    quote = quote_of(folder)
    for der in Quote.parse(quote).certificates:
        pem = pem_of(der).encode()
        assert pem in quote
        for bit in range(0, 8 * len(der), 331):
            other = bytearray(der)
            other[bit // 8] ^= 1 << bit % 8
            found = failed(
                Evidence.of(parsed_kind(folder), quote.replace(pem, raw_pem(bytes(other))), []), time_of(folder)
            )
            assert found != ["collateral"], bit


def raw_pem(der: bytes) -> bytes:
    from base64 import b64encode

    text = b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])


def test_padding() -> None:
    """Zero bytes after a quote are padding; anything else after it is refused, and so is a missing byte."""
    quote = quote_of(GOOD)
    length = Quote.parse(quote).length
    assert length == len(quote) - 70
    for padding in (b"", bytes(3065)):
        verify(Evidence.of("tdx", quote[:length] + padding, collateral_of(GOOD)), TrustAnchors(), now=time_of(GOOD))
    for other in (quote + b"\1", quote[:length] + b"x", quote[: length - 1], quote + bytes(40_000), b""):
        assert failed(Evidence.of("tdx", other, collateral_of(GOOD)), time_of(GOOD)) == ["quote_format"]


def test_swapped_chains() -> None:
    """The chain of another machine, itself genuine, did not sign this quoting enclave."""
    mine, theirs = (Quote.parse(quote_of(VECTORS / name)) for name in ("tdx/uptodate-v4", "tdx/azure-cvm-v4"))
    pems = [b"".join(raw_pem(der) for der in each.certificates) for each in (mine, theirs)]
    assert len(pems[0]) == len(pems[1])
    mixed = Evidence.of("tdx", quote_of(GOOD).replace(*pems), collateral_of(GOOD))
    assert "qe_signature" in failed(mixed, time_of(GOOD))


@given(st.binary(max_size=700), st.sampled_from(FOLDERS), st.integers(0, 5000), st.binary(max_size=4))
def test_parser_survives(data: bytes, folder: Path, place: int, patch: bytes) -> None:
    """Whatever comes, only our own errors come out of the parser."""
    quote = quote_of(folder)
    for value in (data, quote[:place], quote[:place] + patch + quote[place + len(patch) :]):
        try:
            Quote.parse(value)
        except MalformedDocument:
            continue


@given(st.binary(max_size=300))
def test_collateral_parser_survives(data: bytes) -> None:
    """The same for collateral."""
    with pytest.raises(MalformedDocument):
        Collateral.parse(data)


def test_time_before_the_epoch() -> None:
    """A clock that is far off ends in a verdict and not in an overflow."""
    assert failed(evidence_of(GOOD), datetime(1960, 1, 1, tzinfo=UTC))

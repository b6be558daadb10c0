"""Evidence as people have it: files in many forms, and the two profiles that judge them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forge import NOW, Forge, genuine_looking
from hypothesis import given
from hypothesis import strategies as st
from uvm_forge import ISSUER, Statement

from sls_jupyter.attestation import refusals
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure.facts import ALLOW_ALL_POLICIES
from sls_jupyter.attestation.azure.forms import Parts, gather, order_chain, read_security_context, recognise
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.judge import Wanted, judge
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, EvidenceRejected, MalformedDocument, SlsError, Unavailable, UnknownName

VECTORS = Path(__file__).parent / "vectors"
SNP = VECTORS / "snp"
FULL, OLD, CONTEXT = SNP / "aci-milan-v3-full", SNP / "aci-milan-v2-full", SNP / "security-context"
REPORT = (FULL / "report.bin").read_bytes()
UVM = (FULL / "uvm_endorsements.cose").read_bytes()
POLICY = (FULL / "cce_policy.rego").read_bytes()

FORGE = genuine_looking()
OWN_POLICY = b"package policy\n\nallowed := false\n"
ANCHORS = replace(FORGE.genuine_anchors(), uvm_issuers=frozenset({ISSUER}))


def own(**changes: Any) -> Parts:
    """Forged evidence that meets the profile ``aci``, with changes to the report."""
    report = {"host_data": hashlib.sha256(OWN_POLICY).digest(), **changes}
    evidence = FORGE.evidence(kind="sev-snp", **report)
    return Parts(evidence.report_bytes(), evidence.endorsement_bytes(), uvm=Statement().encode(), policy=OWN_POLICY)


# --- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        REPORT,
        REPORT.hex().encode(),
        REPORT.hex().upper().encode() + b"\n",
        base64.b64encode(REPORT),
        base64.encodebytes(REPORT),
        base64.urlsafe_b64encode(REPORT).rstrip(b"="),
    ],
)
def test_report_in_every_form(data: bytes) -> None:
    """Bytes, hex or base64: the same report."""
    assert recognise(data) == Parts(report=REPORT)


def test_report_in_an_hcl_blob() -> None:
    """A confidential VM hands its report out inside a larger blob."""
    folder = SNP / "mismatched-vcek-milan-v2"
    assert recognise((folder / "hcl_report.bin").read_bytes()).report == (folder / "report.bin").read_bytes()


def test_host_certificates() -> None:
    """The host's JSON has the chip's certificate, the chain and a TCB; as text or as base64."""
    data = (OLD / "host_amd_certificate.json").read_bytes()
    found = recognise(data)
    assert (
        found
        == recognise(base64.b64encode(data))
        == replace(recognise((OLD / "host_amd_certificate.pem").read_bytes()), tcbm=found.tcbm)
    )
    assert (len(found.certificates), found.tcbm) == (3, "7308000000000003")


def test_combined_attestation() -> None:
    """One JSON with report, chain and endorsement; the service's own certificate in it is no part of the evidence."""
    found = recognise((FULL / "attestation.json").read_bytes())
    assert (found.report, found.uvm) == (REPORT, UVM)
    assert found.certificates == recognise((FULL / "platform_certificates.pem").read_bytes()).certificates


@pytest.mark.parametrize(
    "names",
    [("evidence", "endorsements", "uvm_endorsements"), ("Attestation", "platform-certificates", "uvmEndorsements")],
)
def test_combined_by_other_names(names: tuple[str, str, str]) -> None:
    """Services name the members differently, and put the host's JSON where others put PEM."""
    host = (OLD / "host_amd_certificate.json").read_bytes()
    values = [base64.b64encode(data).decode() for data in (REPORT, host, UVM)]
    found = recognise(json.dumps(dict(zip(names, values, strict=True))).encode())
    assert (found.report, len(found.certificates), found.uvm) == (REPORT, 3, UVM)


def test_request_to_azure_attestation() -> None:
    """A request packs JSON into base64 into JSON; what it holds is found."""

    def packed(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    inner = {"SnpReport": text(REPORT), "VcekCertChain": text((FULL / "platform_certificates.pem").read_bytes())}
    request = {"report": packed({**inner, "Endorsements": packed({"Uvm": [text(UVM)]})}), "runtimeData": {"data": "x"}}
    found = recognise(json.dumps(request).encode())
    assert (found.report, len(found.certificates), found.uvm) == (REPORT, 3, UVM)


def test_policy_is_kept_as_it_is() -> None:
    """Not a byte of a policy is changed on its way, and base64 of it is the same policy."""
    for path in (VECTORS / "cce" / "allow-all").glob("*.rego"):
        data = path.read_bytes()
        assert recognise(data) == recognise(base64.b64encode(data)) == Parts(policy=data)
        assert ALLOW_ALL_POLICIES[hashlib.sha256(data).hexdigest()] == path.name
    assert recognise(b"# a comment\n\npackage policy\n").policy is not None


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{}", b'{"keys": []}', b"\0" * 100, b"package other", b"aGVsbG8=", b"[]"]
)
def test_unknown_files(data: bytes) -> None:
    """A file that is none of the forms is named as such and not passed over."""
    with pytest.raises(MalformedDocument):
        recognise(data)


def test_private_keys_are_not_certificates() -> None:
    """A PEM block of another kind is refused."""
    with pytest.raises(MalformedDocument, match="unknown kind"):
        recognise(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")


def test_packed_too_often() -> None:
    """A stranger cannot pack evidence into itself for ever."""
    data = REPORT
    for _ in range(8):
        data = base64.b64encode(data)
    with pytest.raises(MalformedDocument, match="too often"):
        recognise(data)


def test_contradicting_files() -> None:
    """Two reports are two pieces of evidence; the same one twice is not."""
    assert gather([REPORT, REPORT.hex().encode()]) == Parts(report=REPORT)
    with pytest.raises(BadInput, match="two of one part"):
        gather([REPORT, (OLD / "report.bin").read_bytes()])


# --- directory and chain --------------------------------------------------------------------------


def test_security_context(tmp_path: Path) -> None:
    """A container's directory is read, and a transparent endorsement is preferred to the plain one."""
    found = read_security_context(CONTEXT)
    assert (len(found.certificates), found.report, found.tcbm) == (3, None, "7308000000000003")
    for name in ("host-amd-cert-base64", "reference-info-base64"):
        (tmp_path / name).write_bytes((CONTEXT / name).read_bytes())
    assert read_security_context(tmp_path).uvm == found.uvm
    newer = (VECTORS / "uvm" / "hashenvelope-svn104.cose").read_bytes()
    (tmp_path / "transparent-reference-info-base64").write_bytes(base64.b64encode(newer))
    assert read_security_context(tmp_path).uvm == newer


def test_security_context_that_is_none(tmp_path: Path) -> None:
    """An empty or missing directory says what was looked for."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(Unavailable, match="security-context"):
            read_security_context(folder)


def test_chain_is_put_in_order() -> None:
    """Certificates in any order, with AMD's intermediate missing or there twice, make the same chain."""
    vcek, ask, ark = recognise((FULL / "platform_certificates.pem").read_bytes()).certificates
    assert order_chain((ark, vcek, ask)) == (vcek, ask, ark)
    assert order_chain((vcek,)) == (vcek, ask)
    asvk = recognise((SNP / "roots" / "milan_asvk_ark.pem").read_bytes()).certificates[0]
    assert order_chain((asvk, ark, ask, vcek)) == (vcek, ask, ark)


def test_two_leaves() -> None:
    """Which of two chips is meant is not guessed."""
    genoa = recognise((SNP / "aci-genoa-v3" / "vcek.pem").read_bytes()).certificates
    milan = recognise((FULL / "platform_certificates.pem").read_bytes()).certificates
    with pytest.raises(BadInput, match="two certificates"):
        order_chain((*genoa, *milan))


def test_swapped_chain_is_not_repaired() -> None:
    """A chain with another product's intermediate is handed on as it is, and refused."""
    vcek = recognise((FULL / "platform_certificates.pem").read_bytes()).certificates[0]
    genoa = recognise((SNP / "roots" / "genoa_ask_ark.pem").read_bytes()).certificates
    with pytest.raises(EvidenceRejected) as caught:
        judge(Parts(REPORT, (vcek, *genoa)), "hardware", now=NOW)
    assert caught.value.detail["failed"][:2] == ["root", "chain_signatures"]


@pytest.mark.parametrize("parts", [Parts(), Parts(report=REPORT), Parts(certificates=(b"x",))])
def test_evidence_with_a_part_missing(parts: Parts) -> None:
    """Without a report or a certificate there is nothing to judge, which is not a verdict."""
    with pytest.raises(BadInput, match="There is no"):
        judge(parts, "hardware", now=NOW)


def test_too_many_certificates() -> None:
    """A heap of certificates is refused as such."""
    with pytest.raises(BadInput, match="too many"):
        judge(Parts(REPORT, tuple(bytes([n]) for n in range(9))), "hardware", now=NOW)


# --- profiles -------------------------------------------------------------------------------------


def failed(parts: Parts, profile: Any = "aci", **changes: Any) -> list[str]:
    with pytest.raises(EvidenceRejected) as caught:
        judge(parts, profile, now=NOW, anchors=ANCHORS, wanted=Wanted(**changes))
    assert type(caught.value) is refusals.refusal_for(caught.value.detail["failed"][0])
    return list(caught.value.detail["failed"])


def test_whole_evidence() -> None:
    """Evidence of a group with a current utility VM and a real policy passes both profiles."""
    for profile in ("aci", "hardware"):
        judgement = judge(own(), profile, now=NOW, anchors=ANCHORS)  # type: ignore[arg-type]
        assert all(check.ok for check in judgement.checks)
    assert judge(own(), "aci", now=NOW, anchors=ANCHORS).claims.uvm is not None


def test_evidence_travels_with_its_endorsement() -> None:
    """The document that goes over the wire carries the endorsement to any verifier."""
    evidence = Evidence.parse(own().evidence().encode())
    uvm = verify(evidence, ANCHORS, now=NOW).claims.uvm
    assert uvm is not None
    assert uvm.svn == 104


def test_endorsement_of_a_simulated_machine() -> None:
    """Nobody endorses simulated machines; one that brings an endorsement is refused."""
    forge = Forge()
    evidence = forge.evidence()
    extended = Evidence.of(evidence.kind, evidence.report_bytes(), (*evidence.endorsement_bytes(), UVM))
    with pytest.raises(refusals.CertificatesMalformed):
        verify(extended, forge.anchors(), now=NOW)


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        (replace(own(), uvm=None), ["uvm_endorsement"]),
        (replace(own(), policy=None), ["init_data"]),
        (replace(own(), policy=OWN_POLICY + b"\n"), ["init_data"]),
        (own(vmpl=1), ["vmpl"]),
        (own(measurement=b"x" * 48), ["measurement"]),
        (own(policy=0xB001F), ["debug"]),
        (own(version=2, cpu_family=0, cpu_model=0, cpu_stepping=0), ["report_version"]),
        (own(launch_tcb=bytes([10, 0, 0, 0, 0, 0, 0x16, 0x54])), ["minimum_tcb"]),
    ],
)
def test_profile_aci(parts: Parts, names: list[str]) -> None:
    """Each part that the profile adds is required, and each is refused under its own name."""
    assert failed(parts) == names


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"uvm_svn": 105}, ["uvm_svn"]),
        ({"report_version": 5}, ["report_version"]),
        ({"tcb": {"sev-snp": {"microcode": 255}}}, ["minimum_tcb"]),
        ({"products": ("Turin",)}, ["accepted_product"]),
        ({"chips": ("ab" * 64,)}, ["accepted_chip"]),
        ({"platform_info": 1 << 40}, ["platform_info"]),
        ({"report_data": "00" * 64}, ["report_data"]),
        ({"host_data": "00" * 32}, ["init_data"]),
    ],
)
def test_wanted(changes: dict[str, Any], names: list[str]) -> None:
    """What somebody wants beyond the profile is compared, and what nobody wants is not listed."""
    assert failed(own(), **changes) == names
    if "uvm_svn" not in changes and "report_version" not in changes:
        assert failed(own(), "hardware", **changes) == names


def test_host_data_instead_of_a_policy() -> None:
    """Who has only the policy's digest can give that."""
    digest = hashlib.sha256(OWN_POLICY).hexdigest()
    judge(replace(own(), policy=None), "aci", now=NOW, anchors=ANCHORS, wanted=Wanted(host_data=digest))


@pytest.mark.parametrize("vmpl", [4, 0xFFFFFFFF])
def test_profile_hardware(vmpl: int) -> None:
    """The vendor's part alone still refuses what the host asked for, debuggers and migration."""
    assert failed(own(vmpl=vmpl), "hardware") == ["vmpl"]
    assert failed(own(policy=0xB001F), "hardware") == ["debug"]
    assert failed(own(policy=0x7001F), "hardware") == ["migration_agent"]
    judge(own(vmpl=3), "hardware", now=NOW, anchors=ANCHORS)


def test_unknown_profile() -> None:
    """A profile that nobody defined judges nothing."""
    with pytest.raises(UnknownName):
        judge(own(), "lenient", now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"uvm_svn": "104"}',
        b'{"uvm_svn": -1}',
        b'{"svn": 104}',
        b'{"tcb": {"sev-snp/Milan": {"snp": 24}, "sev-snp/Milan": {"snp": 1}}}',
        b'{"tcb": {"sev-snp/Milan": {"snp": 256}}}',
        b'{"report_version": 6}',
        b'{"chips": ["ab"]}',
        b'{"date": "yesterday"}',
    ],
)
def test_malformed_minimums(data: bytes) -> None:
    """A file of minimums that says something twice, wrongly or not at all is refused: a floor must not vanish."""
    with pytest.raises(MalformedDocument):
        Wanted.from_json(data)


def test_minimums_from_a_file() -> None:
    """A file names what it changes; the rest stays as published."""
    found = Wanted.from_json(b'{"uvm_svn": 103, "tcb": {"sev-snp/Turin": {"snp": 4}}, "products": ["Turin"]}')
    assert (found.uvm_svn, found.products, found.date) == (103, ("Turin",), "2026-08-04")
    assert found.tcb == {"sev-snp/Turin": {"snp": 4}}


def test_every_check_has_its_own_error() -> None:
    """Every line of a full list has a class of its own, so a program can tell the reasons apart."""
    wanted = Wanted(report_data="72" * 64, products=("Genoa",), chips=(FORGE.chip_id.hex(),), platform_info=1)
    names = [check.name for check in judge(own(), "aci", now=NOW, anchors=ANCHORS, wanted=wanted).checks]
    assert len(names) == len(set(names)) == 34
    classes = [refusals.refusal_for(name) for name in names]
    assert len(set(classes)) == len(classes)
    assert EvidenceRejected not in classes


# --- strangers' bytes -----------------------------------------------------------------------------

PIECES = st.sampled_from(
    [REPORT, UVM, POLICY, b"{", b'{"report": "', b"-----BEGIN CERTIFICATE-----", b"\x30\x82", b"\xd2\x84"]
)


@given(PIECES, st.binary(max_size=60), st.integers(0, 2000), st.booleans())
def test_random_files(piece: bytes, tail: bytes, cut: int, packed: bool) -> None:
    """Files that begin like evidence and go on like nothing end in our own errors."""
    data = piece[:cut] + tail
    try:
        judge(
            gather([base64.b64encode(data) if packed else data, (FULL / "platform_certificates.pem").read_bytes()]),
            "aci",
            now=NOW,
        )
    except SlsError:
        return


@given(st.dictionaries(st.sampled_from(["report", "evidence", "endorsements", "uvm", "tcbm"]), st.text(max_size=30)))
def test_random_json(document: dict[str, str]) -> None:
    """So does JSON with the right names and the wrong values."""
    try:
        recognise(json.dumps(document).encode())
    except SlsError:
        return


def test_trust_anchors_are_amds_by_default() -> None:
    """Who names no anchors believes the vendors and no test root."""
    with pytest.raises(refusals.RootNotPinned):
        judge(own(), "hardware", now=NOW)
    assert TrustAnchors().revocation_lists == ()

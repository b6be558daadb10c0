"""verify(): each way in which evidence can be false is refused, with its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forge import NOW, Forge, genuine_looking, rsa_key, tampered, with_chain, with_report

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.evidence import VerifiedEvidence
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, EvidenceRejected

GOOD = Forge()


def failed(evidence: Evidence, anchors: TrustAnchors | None = None, now: datetime = NOW) -> list[str]:
    """Names of the checks that fail; a pass is a test's failure."""
    with pytest.raises(EvidenceRejected) as caught:
        verify(evidence, anchors or GOOD.anchors(), now=now)
    assert caught.value.hint
    return list(caught.value.detail["failed"])


# --- good evidence --------------------------------------------------------------------------------


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
def test_good_evidence_verifies(product: str) -> None:
    """Evidence of every product, with its own TCB layout, verifies and says that it is simulated."""
    forge = Forge(
        product=product, chip_id=b"\x01" * (8 if product == "Turin" else 64) + bytes(56) * (product == "Turin")
    )
    verified = verify(forge.evidence(), forge.anchors(), now=NOW)
    assert verified.claims.product == product
    assert verified.claims.simulated
    assert verified.claims.tcb["snp"] == 0x17
    assert ("fmc" in verified.claims.tcb) == (product == "Turin")
    assert all(check.ok for check in verified.checks)


def test_genuine_rules_accept_their_own_root() -> None:
    """The code that judges AMD's evidence accepts a chain like AMD's under the root it is given."""
    forge = genuine_looking(product="Milan")
    verified = verify(forge.evidence(kind="sev-snp"), forge.genuine_anchors(), now=NOW)
    assert (verified.claims.tee, verified.claims.simulated) == ("sev-snp", False)


def test_only_mitigations_at_launch_and_now_are_claimed() -> None:
    """A guest that was launched before its host was mitigated is not protected by what came later, nor by what went."""
    evidence = GOOD.evidence(version=5, launch_mit_vector=0b0110, current_mit_vector=0b1100)
    claims = verify(evidence, GOOD.anchors(), now=NOW).claims
    assert (int(claims.mitigations, 16), claims.cpuid) == (0b0100, "19-11-01")
    old = GOOD.evidence(version=2, cpu_family=0, cpu_model=0, cpu_stepping=0)
    assert verify(old, GOOD.anchors(), now=NOW).claims.cpuid == ""


def test_large_spl_numbers_are_decoded() -> None:
    """A microcode level above 127 takes two bytes in the certificate and is still compared whole."""
    forge = Forge(tcb=bytes([4, 0, 0, 0, 0, 0, 0x18, 0xDB]))
    verified = verify(forge.evidence(reported_tcb=forge.tcb), forge.anchors(), now=NOW)
    assert verified.claims.tcb["microcode"] == 0xDB


def test_wrapped_hardware_id_is_read() -> None:
    """Some certificates wrap the chip's id in an OCTET STRING; they are the same chip."""
    forge = Forge(extensions={"4": b"\x04\x40" + bytes(range(64))})
    verify(forge.evidence(), forge.anchors(), now=NOW)


# --- kinds and roots ------------------------------------------------------------------------------


def test_unknown_kind_is_refused() -> None:
    """Evidence of a kind nobody can verify is not accepted by default."""
    assert failed(GOOD.evidence(kind="magic")) == ["kind"]


def test_simulated_never_passes_as_hardware() -> None:
    """Simulated evidence that calls itself sev-snp is refused, known development root or not."""
    assert {"root", "chain_names"} <= set(failed(GOOD.evidence(kind="sev-snp")))


def test_development_root_is_not_believed_for_hardware() -> None:
    """A development root stays one even if its certificates imitate AMD's names."""
    forge = genuine_looking()
    assert failed(forge.evidence(kind="sev-snp"), forge.anchors()) == ["root"]


def test_hardware_never_passes_as_simulated() -> None:
    """The name of the kind decides the roots, in this direction too."""
    forge = genuine_looking()
    assert "root" in failed(forge.evidence(kind="simulated-snp"), forge.genuine_anchors())


def test_no_development_root_is_known_by_default() -> None:
    """A relying party that did not choose a development root refuses all simulated evidence."""
    assert failed(GOOD.evidence(), TrustAnchors()) == ["root"]


def test_wrong_root() -> None:
    """A chain with all the right names under somebody else's root is refused."""
    assert failed(replace(GOOD, root="other").evidence()) == ["root"]


def test_root_of_another_product() -> None:
    """AMD's Genoa root does not vouch for a Milan."""
    forge = genuine_looking(product="Milan")
    anchors = TrustAnchors(amd={"Genoa": forge.root_pin()})
    assert failed(forge.evidence(kind="sev-snp"), anchors) == ["root"]


# --- the chain ------------------------------------------------------------------------------------


def test_swapped_chain() -> None:
    """A good VCEK with another root's ASK and ARK, the pinned root's name notwithstanding, is refused."""
    other = replace(GOOD, root="other").chain().endorsements
    vcek = GOOD.chain().endorsements[0]
    mixed = with_chain(GOOD.evidence(), (vcek, GOOD.chain().endorsements[1], other[2]))
    assert failed(mixed) == ["root", "chain_signatures"]


def test_vcek_signed_by_another_ask() -> None:
    """A VCEK that the ASK did not sign is refused even if it names it."""
    assert failed(replace(GOOD, vcek_signer="other").evidence()) == ["chain_signatures"]


def test_missing_root_certificate() -> None:
    """Simulated evidence has to bring its whole chain; there is nothing to complete it from."""
    assert failed(with_chain(GOOD.evidence(), GOOD.chain().endorsements[:2])) == ["certificates"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_wrong_number_of_certificates(count: int) -> None:
    """Extra certificates are not searched for a chain that fits."""
    ders = (*GOOD.chain().endorsements, GOOD.chain().endorsements[2])[:count]
    assert failed(with_chain(GOOD.evidence(), ders)) == ["certificates"]


def test_certificates_in_another_order() -> None:
    """The leaf comes first; nothing is sorted."""
    vcek, ask, ark = GOOD.chain().endorsements
    assert failed(with_chain(GOOD.evidence(), (ask, vcek, ark))) == ["certificates"]


def test_vlek_is_no_vcek() -> None:
    """A cloud's shared VLEK chain does not slip through in the place of a chip's own key."""
    forge = replace(GOOD, vcek_name="SEV-VLEK", ask_name="SEV-VLEK-Genoa")
    assert failed(forge.evidence(key_info=snp.VLEK << 2)) == ["signing_key", "chain_names"]


def test_intermediate_without_ca_bit() -> None:
    """A leaf certificate may not sign other certificates."""
    assert failed(replace(GOOD, ask_is_ca=False).evidence()) == ["chain_authority"]


def test_root_with_path_length_zero() -> None:
    """A root that may sign leaves only has no intermediate below it."""
    assert failed(replace(GOOD, root_path_length=0).evidence()) == ["chain_authority"]


def test_vcek_that_is_a_ca() -> None:
    """A chip's certificate is not a certificate authority."""
    assert failed(replace(GOOD, vcek_is_ca=True).evidence()) == ["chain_authority"]


def test_intermediate_of_another_size() -> None:
    """AMD's intermediates are RSA-4096; a small one under the right root is not one of them."""
    forge = replace(genuine_looking(), ask_bits=2048)
    assert failed(forge.evidence(kind="sev-snp"), forge.genuine_anchors()) == ["chain_authority"]


@pytest.mark.parametrize("days", [-1, 3])
def test_outside_validity(days: int) -> None:
    """A certificate is judged at the caller's time: neither before its first day nor after its last."""
    forge = replace(GOOD, valid=(NOW, NOW + timedelta(days=2)))
    verify(forge.evidence(), forge.anchors(), now=NOW + timedelta(days=1))
    assert failed(forge.evidence(), now=NOW + timedelta(days=days)) == ["validity"]


def test_time_without_zone() -> None:
    """A naive time is the caller's mistake and is named as such."""
    with pytest.raises(BadInput, match="time zone"):
        verify(GOOD.evidence(), GOOD.anchors(), now=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("oid", ["1", "2", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "4"])
def test_missing_extension(oid: str) -> None:
    """A VCEK without one of AMD's extensions is refused; its check is not skipped."""
    assert failed(replace(GOOD, extensions={oid: None}).evidence()) == ["certificates"]


def test_missing_fmc_extension() -> None:
    """On Turin the FMC level is required as well."""
    forge = Forge(product="Turin", chip_id=b"\x01" * 8 + bytes(56), extensions={"3.9": None})
    assert failed(forge.evidence(), forge.anchors()) == ["certificates"]


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("1", b"\x02\x01\x07"),
        ("2", b"\x16\x05Pluto"),
        ("2", b"\x0c\x05Genoa"),
        ("3.3", b"\x02\x01\x97"),
        ("3.3", b"\x02\x02\x00\x17"),
        ("3.3", b"\x02\x01\x17\x00"),
        ("3.3", b"\x02\x02\x01\x17"),
        ("3.3", b"\x02\x00"),
        ("3.3", b""),
        ("4", bytes(range(63))),
        ("4", b"\x04\x40" + bytes(range(64)) + b"\0"),
        ("4", b"\x04\x3f" + bytes(range(63))),
    ],
)
def test_malformed_extension(oid: str, value: bytes) -> None:
    """One encoding of each extension is accepted; a second spelling could mean something else to others."""
    assert failed(replace(GOOD, extensions={oid: value}).evidence()) == ["certificates"]


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa_key("wrong kind")])
def test_vcek_key_of_another_kind(key: object) -> None:
    """A VCEK's key is one of P-384 and nothing weaker."""
    chain = replace(GOOD, vcek_key=key).chain()
    assert failed(with_chain(GOOD.evidence(), chain.endorsements)) == ["certificates"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_tampered_certificate(index: int) -> None:
    """A changed certificate is refused, whichever it is (every bit of each: test_attestation_certs)."""
    chain = list(GOOD.chain().endorsements)
    good, evidence = chain[index], GOOD.evidence()
    for bit in range(0, 8 * len(good), 67):
        chain[index] = tampered(good, bit)
        assert failed(with_chain(evidence, tuple(chain)))


def test_bytes_after_a_certificate() -> None:
    """Nothing hides behind a certificate."""
    vcek, ask, ark = GOOD.chain().endorsements
    assert failed(with_chain(GOOD.evidence(), (vcek + b"\0", ask, ark))) == ["certificates"]


# --- the certificate and the report ---------------------------------------------------------------


def test_vcek_of_another_chip() -> None:
    """A good certificate of another chip does not fit."""
    forge = replace(GOOD, chip_id=b"\x07" * 64)
    assert failed(GOOD.processor().sign(forge.report()), forge.anchors()) == ["vcek_chip"]


@pytest.mark.parametrize("position", [0, 31, 63])
def test_chip_id_is_compared_whole(position: int) -> None:
    """A chip id that differs in any one byte is another chip."""
    chip = bytearray(GOOD.chip_id)
    chip[position] ^= 1
    assert failed(GOOD.evidence(chip_id=bytes(chip))) == ["vcek_chip"]


def test_turin_chip_id_has_nothing_after_eight_bytes() -> None:
    """On Turin the rest of CHIP_ID is zero, not whatever one likes."""
    forge = Forge(product="Turin", chip_id=b"\x01" * 8 + bytes(56))
    assert failed(forge.evidence(chip_id=b"\x01" * 9 + bytes(55)), forge.anchors()) == ["vcek_chip"]


def test_chip_id_of_zeros() -> None:
    """A report without a chip id is refused even where a certificate agrees with it."""
    forge = replace(GOOD, chip_id=bytes(64))
    assert failed(forge.evidence()) == ["vcek_chip"]


def test_tcb_mismatch() -> None:
    """The certificate's TCB is the reported one, component by component."""
    for position in (0, 1, 6, 7):
        tcb = bytearray(GOOD.chain().tcb)
        tcb[position] ^= 1
        assert failed(GOOD.evidence(reported_tcb=bytes(tcb))) == ["vcek_tcb"]


def test_reported_tcb_counts_and_not_the_current_one() -> None:
    """A machine whose running firmware is newer than what it reports is a normal machine."""
    tcb = bytes(GOOD.chain().tcb[:7] + b"\xff")
    verify(GOOD.evidence(current_tcb=tcb), GOOD.anchors(), now=NOW)


def test_product_mismatch() -> None:
    """A Milan's report does not verify with a Genoa's certificate."""
    assert failed(GOOD.evidence(cpu_model=0x01)) == ["product"]


def test_unknown_cpu() -> None:
    """A CPU that is not in the table is not guessed at."""
    assert failed(GOOD.evidence(cpu_model=0x20)) == ["product"]


def test_a_processor_without_a_pinned_root_is_named() -> None:
    """The newest processors are known by name before their root key is."""
    with pytest.raises(EvidenceRejected, match=r"Venice .*no root key is pinned") as caught:
        verify(GOOD.evidence(cpu_family=0x1A, cpu_model=0x50), GOOD.anchors(), now=NOW)
    assert caught.value.detail["failed"] == ["product"]


def test_version_two_takes_the_product_from_the_certificate() -> None:
    """Old reports have no CPUID; the signed certificate says what they come from."""
    evidence = GOOD.evidence(version=2, cpu_family=0, cpu_model=0, cpu_stepping=0)
    assert verify(evidence, GOOD.anchors(), now=NOW).claims.product == "Genoa"


def test_masked_chip_key() -> None:
    """A report made with the chip key masked proves nothing, whoever signed it."""
    assert failed(GOOD.evidence(key_info=snp.KEY_MASKED)) == ["chip_key"]


def test_no_signing_key() -> None:
    """A report that says it is unsigned is refused."""
    assert failed(GOOD.evidence(key_info=snp.NO_KEY << 2)) == ["signing_key"]


def test_another_signature_algorithm() -> None:
    """The one algorithm is ECDSA P-384 with SHA-384."""
    assert failed(GOOD.evidence(signature_algo=2)) == ["signature_algorithm"]


def test_every_failure_is_reported_at_once() -> None:
    """The owner of a broken machine sees all reasons in one round."""
    evidence = GOOD.evidence(key_info=snp.KEY_MASKED, signature_algo=2, cpu_model=0)
    assert failed(evidence, TrustAnchors()) == ["signature_algorithm", "chip_key", "root", "product"]


# --- the report's bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 6, 2**32 - 1])
def test_unknown_version(version: int) -> None:
    """A version we have no layout for is not read with another one's."""
    assert failed(GOOD.evidence(version=version)) == ["report_format"]


@pytest.mark.parametrize("size", [0, 1, 672, 1183])
def test_truncated_report(size: int) -> None:
    """A short report is refused before a byte of it is believed."""
    evidence = GOOD.evidence()
    assert failed(with_report(evidence, evidence.report_bytes()[:size])) == ["report_format"]


def test_extended_report() -> None:
    """A byte behind the report is refused."""
    evidence = GOOD.evidence()
    assert failed(with_report(evidence, evidence.report_bytes() + b"\0")) == ["report_format"]


def test_every_flipped_bit_is_refused() -> None:
    """No single bit of all 1184 bytes can change: signed part, signature and reserved bytes."""
    evidence, anchors = GOOD.evidence(), GOOD.anchors()
    data = bytearray(evidence.report_bytes())
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EvidenceRejected):
            verify(with_report(evidence, bytes(data)), anchors, now=NOW)
        data[bit // 8] ^= 1 << bit % 8


def signature_replaced(r: int, s: int) -> Evidence:
    evidence = GOOD.evidence()
    report = replace(snp.Report.parse(evidence.report_bytes()), signature_r=r, signature_s=s)
    return with_report(evidence, report.encode())


@pytest.mark.parametrize("r", [0, snp.P384_ORDER, snp.P384_ORDER + 1, 2**576 - 1])
def test_signature_out_of_bounds(r: int) -> None:
    """R and S lie between 1 and n-1; zero and n have broken verifiers elsewhere."""
    assert failed(signature_replaced(r, 1)) == ["signature"]
    assert failed(signature_replaced(1, r)) == ["signature"]


def test_signature_read_big_endian() -> None:
    """R and S are little-endian; a report signed the other way round is refused."""
    evidence = GOOD.evidence()
    report = snp.Report.parse(evidence.report_bytes())
    r, s = (int.from_bytes(x.to_bytes(72, "little"), "big") for x in (report.signature_r, report.signature_s))
    assert failed(signature_replaced(r, s)) == ["signature"]


def test_signature_by_another_chip() -> None:
    """Another chip's signature under this chip's certificate is refused."""
    key = ec.generate_private_key(ec.SECP384R1())
    forged = replace(GOOD, vcek_key=key).evidence()
    assert failed(with_chain(forged, GOOD.chain().endorsements)) == ["signature"]


# --- types and speed ------------------------------------------------------------------------------


def test_only_verify_makes_verified_evidence() -> None:
    """Nobody can skip verification by building its result."""
    verified = verify(GOOD.evidence(), GOOD.anchors(), now=NOW)
    with pytest.raises(TypeError, match="Only verify"):
        VerifiedEvidence(verified.claims, (), proof=None)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        replace(verified, checks=())


def test_utc_is_not_the_only_zone() -> None:
    """Any time with a zone will do."""
    verify(GOOD.evidence(), GOOD.anchors(), now=NOW.astimezone(timezone(timedelta(hours=5.5))))

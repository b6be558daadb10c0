"""Evidence in files: told by content, judged together, said with the right exit status."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter import cli
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.device.simulated import DevelopmentChain, SimulatedProcessor
from sls_jupyter.attestation.evidence import Minimums
from sls_jupyter.attestation.files import judge_files, sort_files
from sls_jupyter.attestation.intel.collateral import HEX_PARTS
from sls_jupyter.attestation.judge import Wanted
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.notebook.attest import verify_files

VECTORS = Path(__file__).parent / "vectors"
GENOA = VECTORS / "snp" / "aci-genoa-v3"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
FILES = ["report.bin", "vcek.pem", "ask.pem"]


def genoa() -> list[bytes]:
    return [(GENOA / name).read_bytes() for name in FILES]


def test_real_evidence_is_accepted_in_any_order_and_encoding():
    """An officer can throw the files in as they came: bytes, hex or base64, in any order."""
    report, *certificates = genoa()
    for form in (report, report.hex().encode(), __import__("base64").b64encode(report)):
        assert judge_files(sort_files([*certificates, form]), now=NOW).accepted


def test_a_refusal_lists_what_failed_and_what_was_expected():
    """A flipped bit is refused by name."""
    report, *certificates = genoa()
    changed = bytearray(report)
    changed[0x95] ^= 1
    verdict = judge_files(sort_files([bytes(changed), *certificates]), now=NOW)
    assert not verdict.accepted
    assert [check.name for check in verdict.checks if not check.ok] == ["signature"]


def test_simulated_evidence_is_refused_unless_its_root_is_known():
    """Simulated is never mistaken for real."""
    chain = DevelopmentChain.generate()
    evidence = SimulatedProcessor(chain).evidence(bytes(64), host_data=bytes(32), measurement=bytes(48))
    verdict = judge_files(sort_files([evidence.encode()]), now=NOW)
    assert not verdict.accepted
    assert verdict.simulated


@pytest.mark.parametrize("files", [["ask.pem"], ["report.bin"], []])
def test_files_that_are_not_enough_are_unusable_and_not_refused(files, tmp_path):
    """A forgotten file is exit status 2: it says nothing about the evidence."""
    (tmp_path / "empty").write_bytes(b"")
    paths = [str(GENOA / name) for name in files] or [str(tmp_path / "empty")]
    assert cli.main(["attest", "verify", *paths]) == 2


def test_exit_status_and_json(capsys):
    """Scripts can rely on 0 and 1, and on the JSON form."""
    paths = [str(GENOA / name) for name in FILES]
    assert cli.main(["attest", "verify", *paths, "--at", "2026-11-01T00:00:00Z", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] is True
    assert cli.main(["attest", "verify", *paths, "--at", "2050-01-01"]) == 1
    assert "validity" in capsys.readouterr().out


def test_show_prints_every_field_and_says_that_nothing_was_checked(capsys):
    """Showing is not verifying, and says so."""
    assert cli.main(["attest", "show", str(GENOA / "report.bin")]) == 0
    printed = capsys.readouterr().out
    assert "measurement" in printed
    assert "no signature was checked" in printed


def test_the_profile_aci_needs_an_endorsement_and_a_policy(capsys):
    """The whole Azure evidence is more than AMD's part."""
    paths = [str(GENOA / name) for name in FILES]
    assert cli.main(["attest", "verify", *paths, "--profile", "aci", "--at", "2026-11-01"]) == 1
    assert "uvm" in capsys.readouterr().out


def test_two_pieces_of_evidence_are_not_mixed():
    """Certificates of one machine never speak for another's report unnoticed."""
    turin = (VECTORS / "snp" / "aci-turin-v5" / "report.bin").read_bytes()
    with pytest.raises(BadInput):
        sort_files([*genoa(), turin])


@given(st.binary(max_size=400))
def test_strange_files_raise_only_our_errors(data):
    """Whatever somebody throws in, the answer is a sentence."""
    try:
        judge_files(sort_files([data]), now=NOW)
    except SlsError:
        return


# --- forms that other tools write -----------------------------------------------------------------

TDX = VECTORS / "tdx" / "uptodate-v4"
THEN = datetime(2025, 7, 4, 10, 16, 31, tzinfo=UTC)
LIST = "a list of bytes"
BASE64 = b64encode((TDX / "quote.bin").read_bytes()).decode()
QUOTE_FORMS = {
    "hex after 0x": lambda quote: b"0x" + quote.hex().encode(),
    "hex after 0X": lambda quote: b"0X" + quote.hex().upper().encode(),
    "QuoteHex after 0X": lambda quote: json.dumps({"QuoteHex": "0X" + quote.hex()}).encode(),
    "trustee, its evidence as text": lambda quote: json.dumps(
        {"tee": "tdx", "tee-evidence": json.dumps({"quote": BASE64, "cc_eventlog": None})}
    ).encode(),
    "base64url without padding": lambda quote: urlsafe_b64encode(quote).rstrip(b"="),
    "dstack": lambda quote: json.dumps({"quote": quote.hex(), "event_log": "[]", "vm_config": "{}"}).encode(),
    "a platform with its evidence": lambda quote: json.dumps(
        {"platform": "tdx", "evidence": {"quote": BASE64, "cc_eventlog": None}}
    ).encode(),
    LIST: lambda quote: json.dumps({"td_quote": list(quote)}).encode(),
    "QuoteHex without a header": lambda quote: json.dumps({"QuoteHex": quote.hex()}).encode(),
    "QuoteHex of Open Enclave": lambda quote: json.dumps({"QuoteHex": bytes(16).hex() + quote.hex()}).encode(),
}


@pytest.mark.parametrize("form", QUOTE_FORMS)
def test_forms_of_a_quote(form):
    """A quote is the same in whatever its tool packed it."""
    given = QUOTE_FORMS[form]((TDX / "quote.bin").read_bytes())
    assert judge_files(sort_files([given, (TDX / "collateral.json").read_bytes()]), now=THEN).accepted


def test_a_quote_with_its_collateral_in_one_file():
    """Services hand out both at once."""
    both = {"quote": BASE64, "collateral": json.loads((TDX / "collateral.json").read_bytes())}
    assert judge_files(sort_files([json.dumps(both).encode()]), now=THEN).accepted


@pytest.mark.parametrize("prefix", ["0x", "0X"])
def test_hex_of_collateral_may_say_that_it_is_hex(prefix):
    """As contracts and their tools write it."""
    collateral = json.loads((TDX / "collateral.json").read_bytes())
    collateral |= {name: prefix + collateral[name] for name in HEX_PARTS}
    files = [(TDX / "quote.bin").read_bytes(), json.dumps(collateral).encode()]
    assert judge_files(sort_files(files), now=THEN).accepted


@pytest.mark.parametrize("end", ["\n", "\r\n\r\n", "\n\n\n", " \n", "\0", "\n\0", "\0\n"])
@pytest.mark.parametrize("part", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_blank_lines_after_a_chain(part, end):
    """Intel's service and caches end their chains so."""
    collateral = json.loads((TDX / "collateral.json").read_bytes())
    collateral[part] = end + collateral[part] + end
    files = [(TDX / "quote.bin").read_bytes(), json.dumps(collateral).encode()]
    assert judge_files(sort_files(files), now=THEN).accepted


def test_what_of_the_collateral_is_out_of_time_is_said_in_words():
    """A list of revoked certificates that ended five minutes ago is the reason, and no other line."""
    files = [(TDX / "quote.bin").read_bytes(), (TDX / "collateral.json").read_bytes()]
    verdict = judge_files(sort_files(files), now=datetime(2025, 7, 19, 10, 5, tzinfo=UTC))
    (line,) = [check for check in verdict.checks if not check.ok]
    assert line.name == "collateral_time"
    assert line.found == "the CRL of PCK certificates ended 2025-07-19 10:00:35 UTC"
    early = judge_files(sort_files(files), now=datetime(2025, 6, 19, 9, 0, tzinfo=UTC))
    assert "TCB info begins" in next(check for check in early.checks if not check.ok).found


REPORT_FORMS = {
    "platform and evidence": lambda report, vcek: {
        "platform": "snp",
        "evidence": {"attestation_report": report, "cert_chain": {"vcek": vcek}},
    },
    "a report as a list": lambda report, vcek: {"report": list(b64decode(report)), "vcek": vcek},
}


@pytest.mark.parametrize("form", REPORT_FORMS)
def test_forms_of_a_report(form):
    """JSON of other verifiers, whose names for the same things differ."""
    folder = VECTORS / "snp" / "genoa-v5-19a002"
    texts = [b64encode((folder / name).read_bytes()).decode() for name in ("report.bin", "vcek.der")]
    given = json.dumps(REPORT_FORMS[form](*texts)).encode()
    assert judge_files(sort_files([given]), now=datetime(2026, 7, 22, tzinfo=UTC)).accepted


def test_an_unreadable_report_is_refused_before_its_certificates_are_missed():
    """A report of a version that nobody has met yet is refused by its form."""
    verdict = judge_files(sort_files([b"\6" + (GENOA / "report.bin").read_bytes()[1:]]), now=NOW)
    assert [check.name for check in verdict.checks if not check.ok] == ["report_format"]


def test_what_is_no_evidence_is_told_all_that_is():
    """The message names quotes and tokens as well as reports."""
    with pytest.raises(SlsError) as raised:
        sort_files([b"hello"])
    for word in ("report", "quote", "collateral", "token", "hex"):
        assert word in str(raised.value.expected)


def test_a_file_of_minimums_says_each_thing_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two values for one product the later would count, and a reader sees the first."""
    minimums = tmp_path / "minimums.json"
    minimums.write_text('{"tcb": {"sev-snp/Genoa": {"snp": 99}, "sev-snp/Genoa": {"snp": 1}}}')
    report = str(GENOA / "report.bin")
    assert cli.main(["attest", "verify", report, "--at", "2026-11-01", "--minimum", str(minimums)]) == 2
    assert "twice" in capsys.readouterr().err


MACHINE = Path(__file__).parent / "vectors" / "snp" / "genoa-v5-19a002"


@pytest.mark.parametrize(
    ("wanted", "failed"),
    [
        ({"products": ("Turin",)}, ["accepted_product"]),
        ({"chips": ("ab" * 64,)}, ["accepted_chip"]),
        ({"platform_info": 1 << 60}, ["platform_info"]),
        ({"bulletins": ("AMD-SB-3016",)}, ["bulletin"]),
        ({"report_data": "ab" * 64}, ["report_data"]),
    ],
)
def test_what_is_wanted_counts_for_every_form_of_evidence(wanted: dict[str, Any], failed: list[str]) -> None:
    """The same report is refused as a file and in our own JSON, or a demand could be got round by another spelling."""
    report, vcek = (MACHINE / "report.bin").read_bytes(), (MACHINE / "vcek.der").read_bytes()
    parts = sort_files([report, vcek]).parts.evidence()
    for files in ([report, vcek], [parts.encode()]):
        assert judge_files(sort_files(files), now=datetime(2026, 7, 22, tzinfo=UTC)).accepted
        verdict = judge_files(sort_files(files), now=datetime(2026, 7, 22, tzinfo=UTC), wanted=Wanted(**wanted))
        assert [check.name for check in verdict.checks if not check.ok] == failed


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        ('{"tcb": {"sev-snp/Genoa": {"tee": 1}}}', "(your minimum in lower.json)"),
        ('{"tcb": {"sev-snp/Genoa": {"tee": 1}}, "date": "2026-11-01"}', "(your minimum in lower.json, 2026-11-01)"),
        ('{"tcb": {"sev-snp/Genoa": {"tee": 1}}, "source": "the bank"}', "(the bank)"),
    ],
)
def test_a_minimum_says_whose_file_it_was_in(text: str, whose: str, tmp_path: Path) -> None:
    """It was put down to Microsoft, whose svn is another field's default."""
    (tmp_path / "lower.json").write_text(text)
    files = [str(MACHINE / "report.bin"), str(MACHINE / "vcek.der")]
    verdict = verify_files(files, at="2026-07-22", minimum=str(tmp_path / "lower.json"))
    (line,) = [check.expected for check in verdict.checks if check.name == "minimum_tcb"]
    assert line == f"tee 1 {whose}"
    assert "microsoft/" in Minimums(tcb={"sev-snp": {"tee": 1}}).whose("uvm_svn")


def test_what_a_quote_cannot_tell_is_no_demand_on_it() -> None:
    """A demand that nothing is compared with would look as if it had been met."""
    folder = Path(__file__).parent / "vectors" / "tdx" / "uptodate-v4"
    files = sort_files([(folder / name).read_bytes() for name in ("quote.bin", "collateral.json")])
    now = datetime.fromisoformat(json.loads((folder / "expected.json").read_bytes())["verify_at"])
    assert judge_files(files, now=now).accepted
    with pytest.raises(BadInput, match="cannot be asked"):
        judge_files(files, now=now, wanted=Wanted(platform_info=32))


def test_what_is_wanted_counts_for_a_simulated_report_too() -> None:
    """A rehearsal on a laptop fails where the real machine would."""
    chain = DevelopmentChain.generate()
    evidence = SimulatedProcessor(chain).evidence(bytes(64), host_data=bytes(32), measurement=bytes(48))
    files, anchors = sort_files([evidence.encode()]), TrustAnchors(simulated_ark_spki=frozenset({chain.root_pin}))
    assert judge_files(files, now=NOW, anchors=anchors).accepted
    for name, wanted in (
        ("accepted_product", Wanted(products=("Turin",))),
        ("accepted_chip", Wanted(chips=("ab" * 64,))),
    ):
        verdict = judge_files(files, now=NOW, anchors=anchors, wanted=wanted)
        assert [check.name for check in verdict.checks if not check.ok] == [name]

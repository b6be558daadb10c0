"""Receipts for people: every check is in the text, the page and the JSON; a forged one adds no line; the printed page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from notebook_kit import EVIL, check_html, run_magic, shell_with_magics
from receipt_kit import SignedRun, signed_run, worlds_at

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract import cce
from sls_jupyter.documents import MAX_DOCUMENT_BYTES
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.notebook import attest, audit_report, receipts, reports
from sls_jupyter.notebook.cards import escape
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.receipt.files import read_receipt
from sls_jupyter.session import Audit
from sls_jupyter.session.auditing import AuditLine
from sls_jupyter.transparency.chain import parse_records
from sls_jupyter.transparency.proofs import verify_disclosed
from tests.builders import IMAGE

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ACCEPT = f"--accept-simulated --image {IMAGE.digest}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return signed_run(worlds_at(tmp_path_factory.mktemp("worlds")), purpose=f"study {EVIL}")


@pytest.fixture(scope="module")
def verdict(run):
    return run.check(run.receipt())


def audit_of(run: SignedRun, verdict, **changes) -> Audit:
    """What a session would have found about this run."""
    lines, sizes = [], {}
    for number, (did, client) in enumerate(run.clients.items()):
        name = f"log {number} {EVIL}"
        found = client.history(run.spec.digest).entries
        lines += [
            AuditLine(name, one.proof.index, verify_disclosed(one, expected_log=did), one.meaning) for one in found
        ]
        sizes[name] = len(found)
    records = tuple(dict(record.body) for record in parse_records(run.records))
    names = {run.spec.requester: f"analyst {EVIL}"}
    audit = Audit(run.spec.digest[7:19], run.spec, names, tuple(lines), records, sizes, verdict, (), True)
    return replace(audit, **changes)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with shell_with_magics(tmp_path) as shell:
        yield shell


def texts(card):
    check_html(card._repr_html_())
    return str(card), card._repr_html_()


# --- the card -------------------------------------------------------------------------------------


def test_every_check_is_shown_in_every_form(run, verdict):
    """Nobody has to trust a summary: what was found and expected stands there, numbered, in each form."""
    text, html = texts(receipts.receipt_card(verdict))
    rows = json.loads(receipts.verdict_json(verdict))["checks"]
    assert [row["number"] for row in rows] == list(range(1, len(verdict.checks) + 1))
    for number, check in enumerate(verdict.checks, start=1):
        (line,) = [one for one in text.split("\n") if re.match(rf" *{number}  ✓ pass  {re.escape(check.name)} ", one)]
        assert check.found in line
        assert escape(check.found) in html
    assert text.startswith("ACCEPTED · SIMULATED\n")
    assert verdict.word in text
    assert verdict.id in text
    assert "ended by itself" in text


def test_what_nobody_pinned_is_listed_with_its_option(run, verdict):
    """An auditor sees whom the receipt itself names, and how to demand somebody else."""
    text, _ = texts(receipts.receipt_card(verdict))
    for item in run.spec.inputs:
        assert f"--owner {item.owner}" in text
        assert f"--log {item.authority}" in text
    pinned = run.check(run.receipt(), owners={item.owner for item in run.spec.inputs})
    assert "--owner did:" not in texts(receipts.receipt_card(pinned))[0]


def test_a_refusal_says_what_failed_and_how_to_name_the_image(run):
    """The usual reason, another guest image, comes with the option that names it; the word stays REFUSED."""
    text, html = texts(receipts.receipt_card(run.check(run.receipt(), images=())))
    assert text.startswith("REFUSED · SIMULATED")
    assert "✗ FAIL  image" in text
    assert f"--image {IMAGE.digest}" in text
    assert "sls-bad" in html
    assert "run, as stated" in text


def test_a_forged_line_stays_in_its_line(verdict):
    """A newline in a receipt cannot add a check that passed."""
    forged = Check(name="x\n 99  ✓ pass  y", found="a\n 98  ✓ pass  z", expected="b\t\u202e", ok=False)
    text, _ = texts(receipts.receipt_card(replace(verdict, accepted=False, checks=(forged,))))
    assert not re.search(r"^ *9[89]", text, re.MULTILINE)
    assert "⟦U+000A⟧" in text
    assert "\u202e" not in text


def test_what_is_no_receipt(tmp_path, run):
    """Evidence is sent to the command that judges it; other files are told apart; what cannot be read is an error."""
    evidence = run.receipt().stated().evidence.encode()
    refused = run.check(evidence)
    assert "sls attest verify" in receipts.advice(evidence, refused)
    assert "not a receipt" in receipts.advice(b"{}", run.check(b"{}"))
    text, _ = texts(receipts.receipt_card(refused, advice="Advice."))
    assert "none: the file" in text
    assert "→ Advice." in text
    assert (text.count("FAIL"), text.count("not checked")) == (1, 0)
    assert len(json.loads(receipts.verdict_json(refused))["checks"]) == len(refused.checks) > 1
    for path in ("nowhere.json", str(tmp_path), "a\0b"):
        with pytest.raises(BadInput):
            read_receipt(path)
    (tmp_path / "large").write_bytes(b" " * (MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(BadInput, match="too large"):
        read_receipt(str(tmp_path / "large"))


@pytest.mark.parametrize("change", [lambda data: data[:-7], lambda data: data.replace(b"recorded", b"recordee", 1)])
def test_a_damaged_receipt_is_told_from_another_file(run, change, shell, tmp_path):
    """Who lost a byte on the way asks for the file again, and does not look for another one."""
    data = change(run.receipt().payload())
    assert "changed or cut off" in receipts.advice(data, run.check(data))
    (tmp_path / "cut.json").write_bytes(data)
    assert "changed or cut off" in run_magic(shell, "%sls verify cut.json").plain
    with pytest.raises(BadInput, match="sls verify FILE"):
        attest.verify_files([str(tmp_path / "cut.json")])


# --- %sls verify and %sls receipt -----------------------------------------------------------------


def test_the_magic_takes_receipts_beside_evidence(shell, run, tmp_path):
    """One command for whatever was handed over; a refusal is a card, not an error."""
    receipt = run.receipt()
    receipt.save("receipt.json")
    (tmp_path / "evidence.json").write_bytes(receipt.stated().evidence.encode())
    assert "ACCEPTED" in run_magic(shell, f"%sls verify receipt.json {ACCEPT}").plain
    assert "REFUSED" in run_magic(shell, "%sls verify receipt.json").plain
    pinned = run_magic(shell, f"%sls verify receipt.json {ACCEPT} --owner {run.spec.requester}").plain
    assert "✗ FAIL  owners" in pinned
    assert "receipt.json" not in run_magic(shell, "%sls verify evidence.json").plain


@pytest.mark.parametrize(
    "line",
    [
        "receipt.json evidence.json",
        "receipt.json --profile aci",
        "receipt.json --image sha256:abc",
        "receipt.json --owner did:key:nobody",
        "receipt.json --witnesses 1",
        "receipt.json --witnesses 65",
        "evidence.json --owner did:key:z6Mk",
        "evidence.json --witnesses 0",
    ],
)
def test_an_option_that_would_be_ignored_is_refused(shell, run, tmp_path, line):
    """Nobody believes that an owner was pinned where none was."""
    run.receipt().save("receipt.json")
    (tmp_path / "evidence.json").write_bytes(run.receipt().stated().evidence.encode())
    with pytest.raises(SlsError):
        run_magic(shell, f"%sls verify {line}")


def test_a_saved_receipt_says_where_it_is(run, tmp_path):
    """The card has the digest and the command for whoever gets the file."""
    receipt = run.check(run.receipt()).require()
    text, _ = texts(receipts.saved_card(receipt, receipt.save(tmp_path / "r.json")))
    assert receipt.id in text
    assert f"sls verify {tmp_path / 'r.json'} --accept-simulated" in " ".join(text.split())  # as wide as a screen


# --- the audit ------------------------------------------------------------------------------------


def test_the_audit_card_has_verdict_and_warning(run, verdict):
    """A log that released keys and never heard the end is on the card, which is not green then."""
    text, html = texts(reports.audit_card(audit_of(run, verdict)))
    assert verdict.id in text
    assert f"all {len(verdict.checks)} checks passed" in text
    assert "sls-card sls-good" in html
    text, html = texts(reports.audit_card(audit_of(run, verdict, unrecorded=("bank's authority",))))
    assert "bank's authority released keys and never heard how the run ended" in " ".join(text.split())
    assert "sls-card sls-note" in html
    refused = run.check(run.receipt(), owners=[])
    assert "sls-card sls-bad" in texts(reports.audit_card(audit_of(run, refused)))[1]


def test_the_page_is_one_file_with_everything(run, verdict):
    """An auditor gets every digest, every check and every log entry on paper; nothing runs and nothing is loaded."""
    audit = audit_of(run, verdict)
    page = audit_report.audit_page(audit, now=datetime(2026, 11, 23, tzinfo=UTC))
    check_html(page)
    assert "://" not in page
    policy = verdict.predicate.group.cce_policy.encode()
    digests = {verdict.id, run.spec.digest, run.spec.code, IMAGE.digest, IMAGE.measurement.hex(), *IMAGE.layers}
    digests |= {cce.host_data(policy).hex(), *dict(verdict.subjects).values(), *(one.asset for one in run.spec.inputs)}
    digests |= {one for check in verdict.checks for one in DIGEST.findall(check.found)}
    digests |= {value for line in audit.lines for value in map(str, line.entry.facts.values()) if DIGEST.match(value)}
    assert [one for one in digests if one not in page] == []
    for check in verdict.checks:
        assert f">{escape(check.name)}</" in page
    for kind in {line.entry.kind for line in audit.lines}:
        assert kind in page
    for item in run.spec.inputs:
        assert item.owner in page
    assert "SIMULATED" in page
    assert all(words in page for words in receipts.NOT_PROVEN)
    assert "analyst &lt;script&gt;" in page


def test_the_page_says_what_is_missing(run, verdict):
    """No receipt, no end, no records, forgotten salts: each is said, and nothing is made up in its place."""
    audit = audit_of(run, None, unrecorded=(f"bank {EVIL}",), records=())
    audit = replace(audit, lines=tuple(replace(line, meaning=None) for line in audit.lines))
    page = audit_report.audit_page(audit)
    check_html(page)
    assert "NO RECEIPT" in page
    assert "ACCEPTED" not in page
    for words in ("never heard how the run ended", "There is no receipt, though", "records of the audit sidecar are"):
        assert words in page
    assert "was forgotten with the salt" in page
    assert page.count(audit_report.NO_RECEIPT) == 4
    text, _ = texts(audit_report.page_card(audit, audit_report.Path("x.html")))
    assert "there is no receipt" in text


def test_a_log_that_could_not_be_read_is_missing_and_nothing_is_made_up(run, verdict):
    """The receipt that is kept here is shown; what only the silent log knows is called not known."""
    words = "hospital's log could not be reached: start it."
    audit = audit_of(run, verdict, unreached=(words,), lines=(), records=(), checkpoints={})
    card = reports.audit_card(audit)
    text, _ = texts(card)
    assert (card.incomplete, audit_report.page_card(audit, audit_report.Path("x.html")).incomplete) == (True, True)
    assert words in text
    assert verdict.id in text
    assert "every proof verified" not in text
    page = audit_report.audit_page(audit)
    check_html(page)
    assert escape(words) in page
    assert "before any were sent" not in page
    page = audit_report.audit_page(replace(audit, verdict=None))
    assert "no hardware has signed" not in page


def test_a_refused_receipt_is_not_relied_on(run):
    """What a receipt that does not verify states is marked where it stands."""
    refused = run.check(run.receipt(), owners=[])
    page = audit_report.audit_page(audit_of(run, refused))
    check_html(page)
    assert "✗ REFUSED" in page
    assert page.count("do not rely on it") == 3
    unreadable = run.check(b"{}")
    assert "cannot be read" in audit_report.audit_page(audit_of(run, unreadable))


@pytest.mark.parametrize("status", ["limit", "died", "stopped"])
def test_a_run_that_ended_badly_has_a_page_too(tmp_path, status):
    """The page of a run that was cut short tells how it ended, also when its gate never spoke."""
    run = signed_run(worlds_at(tmp_path, ("hospital",)), status=status, finish=status != "stopped")
    page = audit_report.audit_page(audit_of(run, run.check(run.receipt())))
    check_html(page)
    assert receipts.RUN_STATES[status] in page
    if status == "stopped":
        assert "The gate has not said" in page


def test_hostile_records_and_times_make_no_error(run, verdict):
    """The sidecar's records are the guest's words: any value in them is shown as text."""
    hostile = ({"from": EVIL, "event": [EVIL], "at": 2**60, EVIL: {"x": EVIL}}, {"at": EVIL}, {"at": True})
    page = audit_report.audit_page(audit_of(run, verdict, records=hostile))
    check_html(page)
    assert str(2**60) in page


def test_report_and_receipt_go_into_files(run, verdict, tmp_path, monkeypatch):
    """%sls audit RUN --report and %sls receipt RUN write where they are told to, or under the run's name."""
    monkeypatch.chdir(tmp_path)

    class FakeSession:
        def audit(self, _):
            return audit_of(run, verdict)

        def runs(self):
            return []

        def cells_of_session(self, _):
            return ()

        def isolated(self):
            return True

        def receipt(self, _, *, witnesses=0):
            assert witnesses == 0
            return run.check(run.receipt()).require()

    def call(name, *words):
        return texts(COMMANDS[name](Context(FakeSession(), command_parsers()[name].parse(list(words)))))[0]

    id_ = run.spec.digest[7:19]
    assert "Log entries" in call("audit", id_)
    assert f"audit-{id_}.html" in call("audit", id_, "--report")
    assert "x.html" in call("audit", id_, "--report", "x.html")
    assert f"receipt-{id_}.json" in call("receipt", id_)
    assert "x.json" in call("receipt", id_, "x.json")
    check_html((tmp_path / "x.html").read_text())
    assert run.check((tmp_path / "x.json").read_bytes()).accepted
    assert len(list(tmp_path.iterdir())) == 4


def test_a_page_that_cannot_be_written_is_named(tmp_path):
    """The next step is in the error, and no half page is left."""
    with pytest.raises(Unavailable, match="cannot be written"):
        audit_report.write_page("x", tmp_path / "nowhere" / "x.html")
    with pytest.raises(Unavailable):
        audit_report.write_page("x", tmp_path)
    assert audit_report.write_page("ü", tmp_path / "x.html").read_text(encoding="utf-8") == "ü"
    assert [one.name for one in tmp_path.iterdir()] == ["x.html"]

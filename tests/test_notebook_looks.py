"""What people see: nothing is cut at 600 pixels and 200 %, what failed stands open, words stay apart, one style sheet."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser_kit import as_page, axe, measure, needs_chromium
from IPython.utils.capture import capture_output
from jupyter_core.paths import jupyter_path
from notebook_kit import FakeShell, Kernel, check_html, frame, scripted_run, shell_with_magics
from receipt_kit import signed_run, worlds_at
from review_kit import reviewed, reviewed_session
from test_notebook_receipts import audit_of

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.hosts.doctor import Finding
from sls_jupyter.identity import Home
from sls_jupyter.notebook import attest, follow, receipts, remembered, render, reports, review, sheet
from sls_jupyter.notebook.audit_report import audit_page
from sls_jupyter.notebook.cards import Bullets, Card, Chip, Details, Facts, Heading, Line, Mono, Table, Warn
from sls_jupyter.notebook.checks import Checks
from sls_jupyter.notebook.editing import edit_card
from sls_jupyter.notebook.handle import RunHandle
from sls_jupyter.notebook.hosts import findings_card
from sls_jupyter.notebook.sheet import SHEET, SHEET_ID, Carrier, Place
from sls_jupyter.notebook.status import StatusBlock, StepLine
from sls_jupyter.policy.decide import Decision
from sls_jupyter.policy.facts import Reason
from sls_jupyter.session import RunRecord, Session
from sls_jupyter.session.directory import Silent
from sls_jupyter.session.reviewing import Earlier

CODE = "# how it was asked\nfor name in patients:\n    print(f'{name} is {len(name):>3}')\nclass Model: pass\n"
LONG = "x" * 300
VECTORS = Path(__file__).parent / "vectors"
NARROW = 300  # CSS pixels: a window of 600 at 200 %


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return signed_run(worlds_at(tmp_path_factory.mktemp("worlds")), purpose="risk study")


@pytest.fixture(scope="module")
def cards(run, tmp_path_factory):
    """Each kind of card that people read, and one whose every text is a word without an end."""
    session = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    sealed = session.seal(frame(), "patients", tee="simulated-snp")
    request = reviewed(session, ["patients"], CODE, parameters={"by": "sex"}, purpose="risk study")
    verdict = run.check(run.receipt())
    ended = scripted_run([], tee="simulated-snp")
    ended.steps.note("attested", "simulated SEV-SNP", evidence="sha256:" + "a" * 64)
    ended.wait()
    record = RunRecord("a" * 12, "sha256:" + "a" * 64, "failed", 0, ("patients",), "study", "sev-snp", "It waited.")
    block = StatusBlock(ended, "")
    found = {
        "accepted": receipts.receipt_card(verdict, file="receipt.json").html(),
        "refused": receipts.receipt_card(run.check(run.receipt(), images=())).html(),
        "audit": reports.audit_card(audit_of(run, verdict)).html(),
        "sealed": render.sealed_card(sealed).html(),
        "request": review.request_card(request).html(),
        "session": review.request_card(notebook(session)).html(),
        "runs": remembered.runs_card([record] * 3).html(),
        "help": reports.help_card({"audit": "A run's records."}).html(),
        "long": hostile().html(),
        "status": block.html() + StepLine(ended)._repr_mimebundle_()["text/html"],
        **{name: card.html() for name, card in more_cards(session, request, record).items()},
    }
    session.close()
    return found


def more_cards(session, request, record):
    """Those that a person meets before and beside a run; the evidence is a real machine's."""
    machine = VECTORS / "snp" / "genoa-v5-19a002"
    evidence = [str(machine / "report.bin"), str(machine / "vcek.der")]
    reason = Reason(code="x", text=f"The owner wants {LONG[:80]} in words.", fix="Ask them.")
    ask, allow = (
        Decision(
            verdict=verdict,
            reasons=reasons,
            columns=("age", LONG[:60]),
            tees=("simulated-snp",),
            obligations=Obligations(),
        )
        for verdict, reasons in (("ask", (reason, reason)), ("allow", ()))
    )
    findings = [Finding("image", True, LONG), Finding("quota", False, "none is left", f"Ask for more at {LONG[:90]}")]
    silent = [Silent("https://bank.example", "bank", "", LONG)]
    assets, hosts = session.assets(), session.hosts
    return {
        "evidence": attest.verdict_card(attest.verify_files(evidence, at="2026-07-22")),
        "evidence refused": attest.verdict_card(attest.verify_files(evidence, at="2020-01-01", profile="aci")),
        "report": attest.report_card(evidence[:1]),
        "edit": edit_card(session, "patients", {}),
        "edit, changed": edit_card(session, "patients", {"min_group": 5, "max_rows": 20}),
        "preflight": reports.preflight_card({"patients": ask, "b": allow}, {}, with_code=False),
        "preflight of a host": findings_card("Host aci", findings),
        "can-run": reports.can_run_card(
            [("hospital/patients", "local", ask), (LONG[:40], "", allow)], {"a": ask}, {}, silent
        ),
        "hosts": reports.hosts_card(hosts),
        "assets": render.assets_card(assets, silent),
        "assets, none": render.assets_card([], silent),
        "requests": render.requests_card([request] * 2, silent, [f"A request of {LONG} does not verify."]),
        "overview": reports.overview_card(
            LONG[:60], assets, [request], [record], hosts, silent, "The agent does not answer."
        ),
    }


def notebook(session):
    """A request of a session: one cell that was approved, one that changed, one that is new and is given something."""
    old = Earlier("sha256:" + "e" * 64, "approved", ("cell 2: changed",), {2: (f"− 1: {LONG[:90]}", "+ 1: new")})
    cells = ["total = len(patients)", f"mean = {LONG}", CODE]
    return reviewed_session(session, ["patients"], cells, own_cells=1, earlier=old, given={3: {"by": LONG}})


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Where ``display`` shows something; a kernel's displays can change."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path / "home"))
    with shell_with_magics(tmp_path):
        shell = FakeShell()
        shell.kernel = object()
        yield shell


def hostile():
    """A card of every block whose texts are words that no line can hold."""
    checks = Checks(
        [
            Check(name=LONG, found=LONG, expected=LONG + "y", ok=False),
            Check(name=LONG, found=LONG, expected=LONG, ok=True),
        ]
    )
    cells = (LONG, Mono(LONG), Chip(LONG, "bad"))
    blocks = [
        Line(LONG),
        Warn(LONG),
        Heading(LONG),
        Bullets([LONG]),
        Facts([(LONG, LONG), ("b", Mono(LONG)), ("c", cells[2])]),
    ]
    blocks += [
        Table([LONG[:count], *"abcdefgh"[: count - 1]], [[*cells, *cells, *cells][:count]]) for count in (2, 3, 5, 7)
    ]
    return Card(LONG, [*blocks, checks, Details(LONG, blocks)], subtitle=LONG, simulated=True)


# --- with a browser -------------------------------------------------------------------------------


@needs_chromium
def test_nothing_is_cut_and_no_page_scrolls_sideways(cards, tmp_path):
    """At 600 pixels, at 200 % and on a wide screen every word of every card is on the page, also what was folded."""
    for name, html in cards.items():
        page = as_page(SHEET, html.replace("<details>", "<details open>"))
        for width, found in measure(page, [1400, 600, NARROW], tmp_path).items():
            assert found["outside"] == [], (name, width)
            assert found["scrolling"] == [], (name, width)
            assert found["across"] == width, (name, width)


@needs_chromium
def test_a_verdict_takes_a_screen_or_two(cards, tmp_path):
    """Who verifies a receipt in a narrow window reads the verdict and what failed, and does not scroll past what passed."""
    for name in ("accepted", "refused"):
        found = measure(as_page(SHEET, cards[name]), [600, NARROW], tmp_path)
        assert found[600]["height"] < 1600, name
        assert found[NARROW]["height"] < 2400, name


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_with_any_card(cards, tmp_path, dark):
    """Headings, lists, tables, names and contrast, outside JupyterLab, for eyes and for screen readers."""
    opened = [html.replace("<details>", "<details open>") for html in cards.values()]
    assert axe(as_page(SHEET, *opened, dark=dark), tmp_path, dark=dark) == []


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong_in_jupyterlab_s_themes(cards, tmp_path, theme):
    """Cards take the colours of the page that they stand in, and can be read in each; the system's wish changes nothing."""
    opened = "".join(html.replace("<details>", "<details open>") for html in cards.values())
    page = as_page(f'<div class="jp-RenderedHTMLCommon">{SHEET}{opened}</div>')
    page = page.replace("<head>", f"<head><style>{lab_theme(theme)}</style>").replace(
        "<body>", '<body class="jp-Notebook">'
    )
    for dark in (False, True):
        assert axe(page, tmp_path, dark=dark) == []
    for width, found in measure(page, [1400, 600, NARROW], tmp_path).items():
        assert (found["outside"], found["scrolling"]) == ([], []), width


def lab_theme(theme):
    """JupyterLab's own looks, as nbconvert brings them along."""
    for folder in jupyter_path("nbconvert", "templates", "lab", "static"):
        if (path := Path(folder)).exists():
            sheets = ((path / name).read_text() for name in ("index.css", f"theme-{theme}.css"))
            return "".join(sheets) + "body{background:var(--jp-layout-color0);color:var(--jp-content-font-color1)}"
    raise AssertionError("nbconvert's template lab is not installed")


@needs_chromium
def test_axe_finds_nothing_wrong_with_a_card_that_lost_its_sheet_or_with_the_printed_page(cards, run, tmp_path):
    """A viewer that takes style sheets away leaves a page that can be used; the page for paper is one too."""
    assert axe(as_page(cards["refused"], cards["request"]), tmp_path) == []
    assert axe(audit_page(audit_of(run, run.check(run.receipt()))), tmp_path) == []


@needs_chromium
def test_the_browser_sees_what_is_wrong(tmp_path):
    """The tests above can fail: a line that is cut is found, and so are pale words."""
    bad = (
        '<div style="width:200px;overflow:auto;white-space:nowrap"><p style="color:#bbb;width:900px">'
        + "words " * 90
        + "</p></div>"
    )
    found = measure(as_page(bad), [600], tmp_path)[600]
    assert found["scrolling"]
    assert found["outside"]
    assert "color-contrast" in [one["id"] for one in axe(as_page(bad), tmp_path)]


# --- what the markup says -------------------------------------------------------------------------


class _Texts(HTMLParser):
    """The text of a page as one string, with a mark wherever a tag stands; code keeps its own spacing."""

    def __init__(self):
        super().__init__()
        self.text, self.headings, self._in = "", [], []

    def handle_starttag(self, tag, attrs):
        self._in.append(tag)
        self.text += "" if "pre" in self._in else "\0"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])

    def handle_endtag(self, tag):
        self.text += "" if "pre" in self._in else "\0"
        self._in.pop()

    def handle_data(self, data):
        self.text += data
        if self._in and re.fullmatch("h[1-6]", self._in[-1]):
            self.headings[-1][1] += data


def read(html):
    parser = _Texts()
    parser.feed(re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL))
    return parser


def test_words_do_not_run_together(cards, run):
    """Who copies a card, searches in it or hears it meets the words that stand there, not two as one."""
    page = audit_page(audit_of(run, run.check(run.receipt())))
    for name, html in {**cards, "page": page.split("<body>")[1].split("</body>")[0]}.items():
        check_html(html) if name != "page" else None
        assert re.findall(r"\w+\0+\w+", read(html).text) == [], name


def test_headings_are_there_and_in_order(cards, run):
    """Somebody who goes from heading to heading finds each card by its title and skips no level."""
    for name, html in cards.items():
        levels = [level for level, _ in read(html).headings]
        assert levels[0] == 3, name
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
    page = read(audit_page(audit_of(run, run.check(run.receipt())))).headings
    assert all(after[0] <= before[0] + 1 for before, after in pairwise(page))
    assert all(text.strip() for _, text in page)


def test_no_head_of_a_table_is_empty(cards, run):
    """A column without a name says nothing to who cannot see what stands in it."""
    for html in [*cards.values(), audit_page(audit_of(run, run.check(run.receipt())))]:
        heads = re.findall(r"<(th|dt|h\d|summary)\b[^>]*>(.*?)</\1>", html, re.DOTALL)
        assert heads
        assert [one for one in heads if not re.sub("<[^>]*>", "", one[1]).strip()] == []


def test_what_passed_is_folded_and_counted_and_what_failed_stands_open():
    """The one check that matters is not the ninth of twenty rows."""
    checks = [Check(name=f"check{at}", found="a", expected="b" if at == 9 else "a", ok=at != 9) for at in range(1, 19)]
    html = Checks(checks).html()
    before, folded = html.split("<details><summary>")
    assert 'value="9"' in before
    assert "check9" in before
    assert folded.startswith("✓ 17 checks passed</summary>")
    assert "check9" not in folded
    assert [f"check{at}<" in folded for at in range(1, 19) if at != 9] == [True] * 17
    assert "<details" not in Checks(checks[8:9]).html()
    assert "check1<" in Checks(checks, folded=False).html()


# --- the line that is heard -----------------------------------------------------------------------


def test_the_line_that_is_heard_has_the_step_and_no_clock():
    """A screen reader says the step, named by the run; the card beside it, whose times go on, is silent."""
    run = scripted_run([])
    run.wait()
    line = StepLine(run)._repr_mimebundle_()
    assert f'role="status" aria-live="polite" aria-label="SafeStream {run.id}"' in line["text/html"]
    assert line["text/plain"] == f"SafeStream {run.id}: done"
    assert not re.search("role=.status|aria-live", StatusBlock(run, "").html())


def test_time_that_passes_is_not_announced(shell, monkeypatch):
    """While only a clock goes on, the block is drawn anew and the line is left alone; the next step changes it."""
    monkeypatch.setattr(follow, "TICK_SECONDS", 0.0)
    run = scripted_run([])
    run.wait()
    run.state = "running"
    run.steps.begin("attested")
    with capture_output() as captured:
        screen = follow.Screen(run, updates=True)
        screen.start()
        for _ in range(3):
            screen.take({"type": "tick"})
        run.steps.done("attested")
        run.steps.begin("running")
        screen.take({"type": "status"})
    shown = [one.data["text/plain"] for one in captured.outputs]
    said = [text for text in shown if text.startswith(f"SafeStream {run.id}: ")]
    assert said == [f"SafeStream {run.id}: step {words}" for words in ("4 of 9, attested", "6 of 9, running")]
    assert len(shown) - len(said) == 5


# --- one sheet ------------------------------------------------------------------------------------


def test_a_notebook_has_one_sheet_and_gets_it_again_with_its_cell():
    """The first card carries it; run again, that cell carries it again; outside a notebook each page has it."""
    carrier = Carrier()
    first, other = Place("a", "1"), Place("b", "2")
    assert [bool(carrier.sheet_at(place)) for place in (first, first, other, other)] == [True, False, False, False]
    assert carrier.sheet_at(Place("a", "3"))
    assert not carrier.sheet_at(Place("a", "3"))
    assert not carrier.sheet_at(Place("b", "4"))
    assert not carrier.sheet_at(Place("", "5"))
    assert carrier.sheet_at(None)
    assert carrier.sheet_at(None)
    nameless = Carrier()
    assert [bool(nameless.sheet_at(Place("", execution))) for execution in "1123"] == [True, False, False, False]


def test_a_kernel_shows_one_sheet(tmp_path):
    """Fifty cards are not fifty style sheets; the cell that had it, run again, still has it."""
    kernel = Kernel({**os.environ, "SLS_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")})
    try:
        kernel.run("%load_ext sls_jupyter")
        cells = ["%sls whoami", "%sls hosts\n%sls help", "%sls"]
        first = [sheets(kernel.run(cell, cell=cell)) for cell in cells]
        again = [sheets(kernel.run(cell, cell=cell)) for cell in cells]
        unnamed = [sheets(kernel.run(cell)) for cell in cells]
    finally:
        kernel.stop()
    assert first == [[1], [0, 0], [0]]
    assert again == [[1], [0, 0], [0]]
    assert unnamed == [[0], [0, 0], [0]]


def sheets(outcome):
    assert outcome.error == ""
    return [bundle["text/html"].count(f'<style id="{SHEET_ID}">') for bundle in outcome.bundles]


def test_a_block_that_changes_keeps_its_sheet(shell, monkeypatch):
    """When the first card of a notebook is a run's, its looks are not lost at the first change."""
    monkeypatch.setattr(sheet, "_CARRIER", Carrier())
    monkeypatch.setattr(sheet, "_here", lambda: Place("a", "1"))
    with capture_output() as captured:
        RunHandle(SimpleNamespace(home=Home(Path("/"), "me")), scripted_run([]), shell).wait()
    blocks = [one.data["text/html"] for one in captured.outputs if "sls-steps" in one.data.get("text/html", "")]
    assert len(blocks) > 1
    assert all(SHEET in html for html in blocks)
    assert SHEET not in Card("Another")._repr_mimebundle_()["text/html"]

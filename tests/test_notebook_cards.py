"""Cards: text and HTML say the same, everything is escaped, nothing is loaded, SIMULATED is on what rests on it."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_kit import EVIL, FakeShell, check_html, frame, scripted_run

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.errors import ApprovalPending
from sls_jupyter.identity import Home
from sls_jupyter.notebook import remembered, render, reports
from sls_jupyter.notebook.cards import (
    Block,
    Bullets,
    Card,
    Chip,
    Details,
    Facts,
    Heading,
    Line,
    Mono,
    Table,
    Warn,
)
from sls_jupyter.notebook.handle import RunHandle
from sls_jupyter.notebook.listing import Listing
from sls_jupyter.notebook.status import StatusBlock, cut_line, summary_line, withheld_line
from sls_jupyter.notebook.words import size_words
from sls_jupyter.policy.decide import Decision
from sls_jupyter.policy.facts import Reason
from sls_jupyter.session import RunRecord, Session
from sls_jupyter.session.directory import Silent

RECEIPT = "sha256:ab12cd34" + "0" * 56


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    session = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    yield session
    session.close()


@pytest.fixture(scope="module")
def sealed(session):
    return session.seal(frame(), "patients", tee="simulated-snp", purpose=EVIL)


@pytest.fixture(scope="module")
def request_info(session, sealed):
    analyst = Session(Home(session.home.root, "analyst"))
    run = analyst.run(analyst.prepare(f"x = 1  # '{EVIL}'\n", ["patients"], outputs=["x"], purpose=EVIL))
    with pytest.raises(ApprovalPending):
        run.wait()
    analyst.close()
    return session.requests()[0]


def decision(verdict="deny"):
    reason = Reason(code="x", text=EVIL, fix=f"Do {EVIL}")
    return Decision(
        verdict=verdict, reasons=(reason,), columns=None, tees=("simulated-snp",), obligations=Obligations()
    )


def record(tee="simulated-snp"):
    return RunRecord("a" * 12, "sha256:" + "a" * 64, "failed", 0, ("patients",), EVIL, tee, EVIL)


def both(card):
    bundle = card._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    return bundle["text/plain"], bundle["text/html"]


def require_clean(card):
    """Text and HTML are there, the HTML is well formed, and an attack stands there as text."""
    text, html = both(card)
    assert text.strip()
    check_html(html)
    return text, html


def test_an_asset_s_card(sealed):
    """Name, size, owner, policy in words, and the proof that its publication is logged."""
    text, html = require_clean(render.sealed_card(sealed))
    for part in ("Sealed patients", "SIMULATED", "100 rows × 2 columns", "hospital", "inclusion proof verified", EVIL):
        assert part in text
    assert "SIMULATED" in html


def test_attrs_of_a_frame_are_said_to_stay_behind(session):
    """What is not sealed is named; a name from a file's metadata cannot write lines of the card."""
    data = frame()
    data.attrs = {"unit": "mg", "a\nb\x1b[2J": 1} | {f"n{i}": i for i in range(9)}
    text, _ = require_clean(render.sealed_card(session.seal(data, "noted")))
    assert r"attrs are not sealed: 'unit', 'a\nb\x1b[2J', 'n0'" in " ".join(text.split())
    assert "and 3 more. Make a column" in " ".join(text.split())


def test_an_asset_for_hardware_only_says_how_to_allow_the_simulated_tee(session):
    """The card of an asset that a laptop cannot run tells how to change that, and is not called SIMULATED."""
    text, _ = require_clean(render.sealed_card(session.seal(frame(), "hard")))
    assert "--tee simulated-snp" in text
    assert "· SIMULATED" not in text.splitlines()[0]


def test_lists_of_assets_and_requests(session, sealed, request_info):
    """What is listed can be read and named again."""
    assert "patients" in require_clean(render.assets_card(session.assets()))[0]
    text, _ = require_clean(render.requests_card(session.requests()))
    assert request_info.id[7:19] in text


def test_a_request_shows_its_code_exactly(request_info):
    """An approver reads every character of what will run, coloured but not run."""
    text, html = require_clean(render.request_card(request_info))
    assert f"1  │ x = 1  # '{EVIL}'" in text
    assert "&lt;script&gt;" in html
    assert "SIMULATED" in html


def test_decisions(session):
    """Who is refused reads the first reason and its fix, with names instead of DIDs."""
    did = session.did
    ask = decision("ask").model_copy(update={"reasons": (Reason(code="y", text=f"by {did}", fix="wait"),)})
    text, _ = require_clean(reports.preflight_card({"a": ask, "b": decision()}, {did: "hospital"}, with_code=False))
    assert "this run would be denied" in text
    assert f"First, the authority of b says: {EVIL}" in text
    assert "by hospital" in text
    text, _ = require_clean(reports.can_run_card([("o/a", "local", decision("allow"))], {"a0": ask}, {}))
    assert "✓ allowed" in text
    require_clean(reports.can_run_card([], None, {}))


def test_runs_and_the_rest(session):
    """Each list is a card, an empty one too, and SIMULATED stands where it belongs."""
    assert "SIMULATED" in require_clean(remembered.runs_card([record()]))[0]
    assert "SIMULATED" not in require_clean(remembered.runs_card([record("sev-snp")]))[0]
    require_clean(remembered.runs_card([]))
    for card in (
        reports.hosts_card(session.hosts),
        remembered.whoami_card({"name": EVIL, "did": EVIL, "home": EVIL}),
        reports.overview_card(EVIL, [], [], [record()], session.hosts),
        reports.help_card({"x": EVIL}),
        render.decided_card("sha256:abc", False, 3, EVIL),
    ):
        require_clean(card)


def test_the_status_block_tells_where_a_run_stands():
    """Text and HTML name each step; a run that waits for a person is not called failed."""
    run = scripted_run([], end=ApprovalPending(f"{EVIL} must approve"))
    with pytest.raises(ApprovalPending):
        run.wait()
    text, html = require_clean(StatusBlock(run))
    assert "waits for approval" in text
    assert "planned" in text
    assert "waits for approval" in html


def test_the_line_under_a_run():
    """What it rests on, how many checks, which log entries."""
    run = scripted_run(
        [], tee="simulated-snp", label="SIMULATED TEE", checks=22, simulated=True, entries={"d": 6}, receipt=RECEIPT
    )
    run.wait()
    line = summary_line(run)
    passed = "SIMULATED TEE · 22 checks passed"
    assert line == f"{passed} · receipt sha256:ab12cd34… · log entry 6 ✓ · %sls audit {run.id}"
    assert "SIMULATED" in StatusBlock(run)._repr_html_()
    run.summary["receipt"] = ""
    assert "· NO RECEIPT: the group could not send one to every authority · log entry 6 ·" in summary_line(run)


def test_an_authority_that_does_not_answer_is_on_the_card(session):
    """Nobody takes an owner who is away for one who has nothing."""
    silent = [Silent("http://127.0.0.1:9", "hospital", "hospital"), Silent("https://x.example", EVIL, "")]
    for card in (
        render.assets_card([], silent),
        render.requests_card([], silent),
        reports.overview_card("me", [], [], [], session.hosts, silent),
        reports.can_run_card([], None, {}, silent),
    ):
        text, _ = require_clean(card)
        assert "hospital (http://127.0.0.1:9) does not answer: its" in " ".join(text.split())
        assert "sls authority serve --persona hospital" in " ".join(text.split())
        assert "No asset yet" not in text


def test_a_run_that_waits_for_a_person_is_not_called_failed(session, request_info):
    """The list says what to wait for; a failure is something else."""
    analyst = Session(Home(session.home.root, "analyst"))
    text, _ = require_clean(remembered.runs_card(analyst.runs()))
    analyst.close()
    assert "… waits for approval" in text
    assert "failed" not in text


def test_a_run_that_waits_is_named_by_its_request(session, request_info):
    """What the card of a run that waits names is what %sls show and approve take, and no other id."""
    analyst = Session(Home(session.home.root, "analyst"))
    code = f"x = 1  # '{EVIL}'\n"
    try:
        request = analyst.prepare(code, ["patients"], outputs=["x"], purpose=EVIL)
        run = analyst.run(request)
        with pytest.raises(ApprovalPending):
            run.wait()
        text, _ = require_clean(StatusBlock(run))
        short = request_info.id[7:19]
        assert text.splitlines()[0].startswith(f"Request {short} · waits for approval")
        assert run.id not in text
        assert short in repr(remembered.runs_card(analyst.runs()))
        handle = RunHandle(analyst, analyst.run(request, wait_for_approval=True), FakeShell()).settle()
        try:
            assert f"waiting for hospital: request {short} since 20" in repr(handle)
        finally:
            handle.cancel()
    finally:
        analyst.close()


def test_cuts_and_withheld_outputs_are_said_once():
    """Nothing is cut in silence."""
    about = {"rows": 8, "of": 10, "note": "groups under 5 are withheld"}
    assert cut_line("risk", about) == "risk: 8 of 10 rows: groups under 5 are withheld"
    assert cut_line("risk", {"rows": 10, "of": 10}) == ""
    assert withheld_line({"text": 2, "figure": 0}) == "Withheld: 2 texts (print and the text of a value may not leave)."
    assert withheld_line({}) == ""


@settings(deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_is_escaped_everywhere(text):
    """No name, purpose or reason can add a tag to a page."""
    rows = [(text, Mono(text), Chip(text, "bad"))]
    blocks = [Line(text), Bullets([text]), Facts([(text, text)]), Table((text, "b", "c"), rows), Listing(text)]
    check_html(Card(text, [*blocks, Details(text, blocks)], subtitle=text, simulated=True)._repr_html_())


LINES = "a " * 60 + "\n  state    … open\r\x1b[2J\u2028\u202e"


def every_block():
    """One of each kind of block of the package, made of a stranger's text, also of those that others define."""
    from sls_jupyter.attestation.claims import Check
    from sls_jupyter.notebook.audit_report import Command
    from sls_jupyter.notebook.receipts import Checks

    check = Check(name=LINES, found=LINES, expected=LINES + "x", ok=False)
    rows = [(LINES, Mono(LINES), Chip(LINES, "bad"))]
    blocks = [Line(LINES), Warn(LINES), Heading(LINES), Bullets([LINES]), Facts([(LINES, LINES), ("b", Mono(LINES))])]
    blocks += [Table((LINES, "b", "c"), rows), Table((LINES,), [], LINES), Checks([check]), Command([LINES])]
    return [*blocks, Details(LINES, blocks), Listing("x")]


def test_no_block_lets_a_stranger_add_a_line():
    """Whatever a text holds and wherever it stands, it steers no terminal and begins no line of its own."""
    for block in every_block():
        for text in (str(Card(LINES, [block], subtitle=LINES)), block.html()):
            assert not set("\r\x1b\u2028\u202e") & set(text)
            assert not re.search(r"^(?: {2}| {6})?state ", text, re.MULTILINE)  # where a line of a card begins


def test_a_new_kind_of_block_cannot_forget_it():
    """A block is clean when it is made, by its type; and a card takes nothing else."""

    @dataclass(frozen=True, slots=True)
    class Careless(Block):
        words: str
        more: tuple[tuple[str, Chip], ...] = ()

        def text(self):
            return [self.words, *(f"{name} {chip.word}" for name, chip in self.more)]

        def html(self):
            return self.words

    careless = Careless(LINES, ((LINES, Chip(LINES)),))
    assert "\n" not in careless.html()
    assert len(str(Card("x", [careless])).splitlines()) == 3
    known = {type(block).__name__ for block in every_block()}
    assert {kind.__name__ for kind in Block.__subclasses__()} <= known | {"Careless"}, "show the new one above"
    with pytest.raises(TypeError, match="made of blocks"):
        Card("x", ["text"])


def test_what_could_hide_in_code_is_shown():
    """A right-to-left override, a carriage return or a terminal's escape is seen by whoever reviews or lists."""
    code = "a = 1 # \u202e evil\r\n\x1b[2J"
    for shown in both(Card("x", [Listing(code), Line(code), Facts([(code, code)])], subtitle=code)):
        assert "U+202E" in shown
        assert "U+000D" in shown
        assert "U+001B" in shown
        assert not set("\u202e\r\x1b") & set(shown)


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB")])
def test_sizes_in_words(count, words):
    """A size reads well."""
    assert size_words(count) == words
